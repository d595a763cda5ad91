/* SPDX-License-Identifier: MIT */
/*
 * Puts libtowonel-wire's formats on standard input and output, to be held against programs that speak
 * them too:
 *
 *   wire_tool hello                  reads a ClientHello, one byte at a time
 *   wire_tool read-proxy             reads a PROXY header
 *   wire_tool write-proxy SOURCE DESTINATION AUTHORITY UNIQUE_ID
 *
 * What was read is printed as NAME=VALUE lines.
 */
#include <towonel/wire.h>

#include <stdio.h>
#include <string.h>

static int read_hello(void)
{
	struct tow_client_hello_parser parser = { .total = 0 };
	struct tow_client_hello hello;
	int rc = TOW_MORE, c;

	while (rc == TOW_MORE && (c = getchar()) != EOF) {
		uint8_t byte = (uint8_t)c;

		rc = tow_client_hello_feed(&parser, tow_slice_make(&byte, 1), &hello);
	}
	printf("result=%s\n", tow_strerror(rc));
	if (rc == 0) {
		printf("server_name=%s\ntls13=%d\nbytes=%zu\nalpn=", hello.server_name,
		       hello.offers_tls13, parser.total);
		for (size_t i = 0; i < hello.alpn_count; i++)
			printf("%s%.*s", i ? "," : "", (int)hello.alpn[i].len,
			       (const char *)hello.alpn[i].base);
		putchar('\n');
	}
	tow_client_hello_deinit(&parser);
	return rc != 0;
}

static int read_proxy(void)
{
	uint8_t bytes[2 * TOW_PROXY_HEADER_MAX];
	size_t size = fread(bytes, 1, sizeof(bytes), stdin), len;
	char source[TOW_ADDR_TEXT_SIZE], destination[TOW_ADDR_TEXT_SIZE];
	struct tow_proxy_header header;
	int rc = tow_proxy_header_read(tow_slice_make(bytes, size), &header, &len);

	printf("result=%s\n", tow_strerror(rc));
	if (rc != 0)
		return 1;
	printf("command=%s\nlength=%zu\n", header.command == TOW_PROXY_LOCAL ? "local" : "proxy", len);
	if (header.source.family != 0)
		printf("source=%s\ndestination=%s\n", tow_addr_format(&header.source, source),
		       tow_addr_format(&header.destination, destination));
	printf("authority=%.*s\nalpn=%.*s\nunique_id=%.*s\n", (int)header.authority.len,
	       (const char *)header.authority.base, (int)header.alpn.len,
	       (const char *)header.alpn.base, (int)header.unique_id.len,
	       (const char *)header.unique_id.base);
	return 0;
}

static int write_proxy(char **words)
{
	struct tow_proxy_header header = { .command = TOW_PROXY_PROXY, .transport = TOW_PROXY_STREAM };
	uint8_t out[TOW_PROXY_HEADER_MAX];
	int n;

	if (tow_addr_parse(tow_slice_of(words[0]), &header.source) != 0 ||
	    tow_addr_parse(tow_slice_of(words[1]), &header.destination) != 0)
		return 1;
	header.authority = tow_slice_of(words[2]);
	header.unique_id = tow_slice_of(words[3]);
	n = tow_proxy_header_write(&header, 1, out, sizeof(out));
	return n < 0 || fwrite(out, 1, (size_t)n, stdout) != (size_t)n;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "hello") == 0)
		return read_hello();
	if (argc == 2 && strcmp(argv[1], "read-proxy") == 0)
		return read_proxy();
	if (argc == 6 && strcmp(argv[1], "write-proxy") == 0)
		return write_proxy(argv + 2);
	fprintf(stderr, "usage: wire_tool hello | read-proxy | write-proxy SOURCE DESTINATION AUTHORITY ID\n");
	return 2;
}
