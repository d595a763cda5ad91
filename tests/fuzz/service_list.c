/* SPDX-License-Identifier: MIT */
/* The first byte chooses the kind, the rest is the JSON. What is taken obeys the
 * rules for names. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/service.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_service_list list = { 0 }, copy;
	uint8_t hash[TOW_HASH_SIZE], again[TOW_HASH_SIZE];
	char authority[TOW_AUTHORITY_SIZE], name[TOW_HOSTNAME_SIZE];
	struct tow_error err = { 0 };
	uint16_t port;

	if (!size)
		return 0;
	if (tow_service_list_parse(&list, (enum tow_service_kind)(data[0] % 3),
	                           tow_slice_make(data + 1, size - 1), &err)) {
		assert(err.code && err.text[0] && !list.count);
		tow_service_list_deinit(&list);
		return 0;
	}
	assert(!tow_service_list_copy(&list, &copy));
	for (size_t i = 0; i < list.count; i++) {
		const struct tow_service *s = &list.items[i];
		if (s->kind == TOW_SERVICE_HTTPS)
			assert(!tow_hostname_parse(tow_slice_of(s->name), TOW_HOSTNAME_PATTERN,
			                           name, NULL) &&
			       !strcmp(s->name, name));
		else
			assert(!tow_service_name_check(tow_slice_of(s->name), NULL) &&
			       s->listen_port && s->port_count);
		assert(!tow_service_origin_port(s, s->listen_port, &port) &&
		       port == s->origin_port);
		if (s->port_count)
			assert(!tow_service_origin_port(
				       s, (uint16_t)(s->listen_port + s->port_count - 1), &port) &&
			       port == s->origin_port + s->port_count - 1);
		assert((s->http_mode == TOW_HTTP_CHALLENGE) == (s->http_origin_port != 0) &&
		       !s->http_origin_port == !s->http_origin_host[0]);
		assert(s->origin_host[0] && !s->origin_port == (tow_service_inproc(s) != NULL));
		assert(tow_service_list_find(&list, tow_service_authority(s, authority)));
		copy.items[list.count - 1 - i] = *s;
	}
	tow_service_list_hash(&list, hash);
	tow_service_list_hash(&copy, again);
	assert(!memcmp(hash, again, sizeof hash));
	tow_service_list_check(&list, &err);
	tow_service_list_deinit(&copy);
	tow_service_list_deinit(&list);
	return 0;
}
