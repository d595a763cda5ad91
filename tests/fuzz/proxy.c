/* SPDX-License-Identifier: MIT */
/* An answer to CONNECT, and what a variable says of the proxy. */
#include <assert.h>
#include <string.h>

#include <towonel/tunnel/proxy.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice bytes = tow_slice_make(data, size);
	struct tow_error err = { 0 };
	struct tow_proxy proxy;
	unsigned status;
	size_t len;
	int rc = tow_proxy_answer_read(bytes, &status, &len);

	if (rc == 0)
		assert(status < 1000 && len >= 4 && len <= size);
	else
		assert(rc == TOW_MORE || rc == TOW_EPARSE || rc == TOW_ETOOBIG);
	assert(rc != TOW_MORE || size < TOW_PROXY_ANSWER_MAX);
	if (tow_proxy_parse(bytes, &proxy, &err) == 0)
		assert(proxy.port && proxy.host[0] && strlen(proxy.host) < sizeof(proxy.host) &&
		       strlen(proxy.user) < sizeof(proxy.user) &&
		       strlen(proxy.password) < sizeof(proxy.password));
	else
		assert(err.code == TOW_EPARSE && err.text[0]);
	return 0;
}
