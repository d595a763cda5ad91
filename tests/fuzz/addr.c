/* SPDX-License-Identifier: MIT */
/* What is taken is written, and that is taken again as the same. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/addr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice text = tow_slice_make(data, size);
	struct tow_addr addr, again;
	struct tow_error err = { 0 };
	char written[TOW_ADDR_TEXT_SIZE], host[254];
	uint16_t port;

	if (!tow_addr_parse_host(text, &addr)) {
		assert(addr.port == 0 && (addr.family == 4 || addr.family == 6));
		assert(!tow_addr_parse_host(tow_slice_of(tow_addr_format_host(&addr, written)),
		                            &again));
		assert(tow_addr_equal(&addr, &again));
		assert(!tow_addr_is_loopback(&addr) || tow_addr_is_private(&addr));
	}
	if (!tow_addr_parse(text, &addr)) {
		assert(!tow_addr_parse(tow_slice_of(tow_addr_format(&addr, written)), &again));
		assert(tow_addr_equal(&addr, &again));
		assert(!tow_host_port_split(text, host, &port, NULL) == (addr.port != 0));
		tow_addr_unmap(&addr);
		assert(!tow_addr_parse(tow_slice_of(tow_addr_format(&addr, written)), &again));
		assert(tow_addr_equal(&addr, &again));
	}
	if (tow_host_port_split(text, host, &port, &err))
		assert(err.code == TOW_EPARSE && err.text[0]);
	else
		assert(port && host[0] && strlen(host) < sizeof host);
	return 0;
}
