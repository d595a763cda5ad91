/* SPDX-License-Identifier: MIT */
/*
 * However a hello is cut up, the parser comes to the same end: all at once, byte by byte, and in
 * pieces whose sizes come from the input.
 */
#include <assert.h>
#include <string.h>

#include <towonel/wire/client_hello.h>

struct outcome {
	int rc;
	struct tow_client_hello_parser parser;
	struct tow_client_hello hello;
};

static void feed(struct outcome *o, const uint8_t *data, size_t size, size_t (*piece)(size_t at, uint8_t byte))
{
	memset(o, 0, sizeof(*o));
	o->rc = TOW_MORE;
	for (size_t at = 0; at < size && o->rc == TOW_MORE;) {
		size_t n = piece(at, data[at]);

		n = n < size - at ? n : size - at;
		o->rc = tow_client_hello_feed(&o->parser, tow_slice_make(data + at, n), &o->hello);
		at += n;
	}
}

static size_t whole(size_t at, uint8_t byte)
{
	(void)at;
	(void)byte;
	return SIZE_MAX;
}

static size_t single(size_t at, uint8_t byte)
{
	(void)at;
	(void)byte;
	return 1;
}

static size_t varied(size_t at, uint8_t byte)
{
	return 1 + (at * 7 + byte) % 97;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome a, b, c;

	feed(&a, data, size, whole);
	feed(&b, data, size, single);
	feed(&c, data, size, varied);
	assert(a.rc == b.rc && b.rc == c.rc);
	if (a.rc == 0) {
		assert(strcmp(a.hello.server_name, b.hello.server_name) == 0);
		assert(strlen(a.hello.server_name) <= TOW_HOSTNAME_MAX);
		assert(a.hello.offers_tls13 == b.hello.offers_tls13);
		assert(a.hello.alpn_count == b.hello.alpn_count && a.hello.alpn_count <= TOW_ALPN_MAX);
		for (size_t i = 0; i < a.hello.alpn_count; i++) {
			assert(a.hello.alpn[i].len >= 1 && a.hello.alpn[i].len <= TOW_ALPN_ID_MAX);
			assert(tow_slice_equal(a.hello.alpn[i], b.hello.alpn[i]));
			assert(tow_slice_equal(a.hello.alpn[i], c.hello.alpn[i]));
		}
	}
	tow_client_hello_deinit(&a.parser);
	tow_client_hello_deinit(&b.parser);
	tow_client_hello_deinit(&c.parser);
	return 0;
}
