/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/key_file.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tls.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <cmocka.h>

static char folder[] = "/tmp/towonel-server-XXXXXX";

static void shell(const char *script)
{
	char command[2048];

	snprintf(command, sizeof command, "cd %s && exec 2>/dev/null; set -e; %s", folder, script);
	if (system(command) != 0) /* NOLINT: a test may */
		fail_msg("%s", command);
}

static int make_certificates(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	shell("P='-pkeyopt ec_paramgen_curve:P-256'; "
	      "openssl req -x509 -newkey ec $P -nodes -keyout ca.key -out ca.crt -days 2 -subj "
	      "'/O=Test/CN=CA'; "
	      "openssl req -x509 -newkey ec $P -nodes -keyout other.key -out other.crt -days 2 "
	      "-subj /CN=other; "
	      "leaf() { openssl req -newkey $2 -nodes -keyout $1.key -subj /CN=$1 -out $1.csr; "
	      "echo subjectAltName=DNS:app.example.eu,DNS:*.w.example.eu > $1.ext; "
	      "openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
	      "-extfile $1.ext -out $1.crt; "
	      "}; leaf ec \"ec $P\"; leaf rsa rsa:2048; leaf p384 'ec -pkeyopt "
	      "ec_paramgen_curve:P-384'; "
	      "cat ec.crt ca.crt > chain.crt; cp ec.key chain.key; "
	      "openssl ecparam -name prime256v1 -genkey -out params.key; "
	      "openssl req -x509 -key params.key -days 2 -subj /CN=app.example.eu -out params.crt");
	return 0;
}

static int remove_certificates(void **state)
{
	(void)state;
	shell("rm -r \"$PWD\"");
	return 0;
}

static struct tow_buf read_file(const char *name, const char *suffix)
{
	struct tow_buf bytes = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
	assert_int_equal(tow_file_read(path, 100000, &bytes, NULL), 0);
	return bytes;
}

static int make_context(const char *chain, const char *key, struct tow_tls_context **out,
                        struct tow_error *err)
{
	struct tow_buf c = read_file(chain, ".crt"), k = read_file(key, ".key");
	int rc = tow_tls_context_new_server(tow_buf_peek(&c), tow_buf_peek(&k), "http/1.1", out,
	                                    err);

	tow_buf_deinit(&c);
	tow_buf_deinit(&k);
	return rc;
}

static void pairs_are_used_or_refused(void **state)
{
	static const struct {
		const char *chain, *key, *error;
	} cases[] = {
		{ "ec", "ec", NULL },
		{ "rsa", "rsa", NULL },
		{ "p384", "p384", NULL },
		{ "chain", "chain", NULL },
		{ "params", "params", NULL },
		{ "ec", "rsa", "not the certificate's" },
		{ "ec", "other", "not the certificate's" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_tls_context *context = NULL;
		struct tow_error err = { 0 };
		int rc = make_context(cases[i].chain, cases[i].key, &context, &err);

		if (rc != (cases[i].error ? TOW_ECRYPTO : 0) ||
		    (cases[i].error && !strstr(err.text, cases[i].error)))
			fail_msg("%s, %s: %d %s", cases[i].chain, cases[i].key, rc, err.text);
		tow_tls_context_free(context);
	}
}

static void any_prefix_of_a_pair_is_refused(void **state)
{
	struct tow_buf chain = read_file("ec", ".crt"), key = read_file("ec", ".key");
	struct tow_slice c = tow_buf_peek(&chain), k = tow_buf_peek(&key);

	(void)state;
	for (size_t len = 0; len < c.len - 1; len += 7) {
		struct tow_tls_certificate facts;
		struct tow_tls_context *context;

		assert_int_equal(tow_tls_context_new_server(tow_slice_make(c.base, len), k, NULL,
		                                            &context, NULL),
		                 TOW_ECRYPTO);
		assert_int_equal(
			tow_tls_certificate_read(tow_slice_make(c.base, len), NULL, &facts, NULL),
			TOW_EPARSE);
	}
	for (size_t len = 0; len < k.len - 1; len += 7) {
		struct tow_tls_context *context;

		assert_int_equal(tow_tls_context_new_server(c, tow_slice_make(k.base, len), NULL,
		                                            &context, NULL),
		                 TOW_ECRYPTO);
	}
	tow_buf_deinit(&chain);
	tow_buf_deinit(&key);
}

static void a_certificate_says_what_it_is(void **state)
{
	static const struct {
		const char *name;
		int covered;
	} names[] = {
		{ "app.example.eu", 1 }, { "a.w.example.eu", 1 },   { "other.example.eu", 0 },
		{ "example.eu", 0 },     { "a.b.w.example.eu", 0 }, { NULL, 0 },
	};
	struct tow_buf pem = read_file("chain", ".crt");

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tow_tls_certificate facts;
		uint64_t now = tow_wall_ms();

		assert_int_equal(
			tow_tls_certificate_read(tow_buf_peek(&pem), names[i].name, &facts, NULL),
			0);
		assert_int_equal(facts.covers, names[i].covered);
		assert_string_equal(facts.issuer, "Test, CA");
		assert_true(facts.not_before_ms <= now && facts.not_after_ms > now + 86400000);
	}
	tow_buf_deinit(&pem);
}

/* The client's first flight has been read from the socket before the session is made. */
static void a_hello_may_have_been_read_already(void **state)
{
	static const char *const pairs[] = { "ec", "rsa", "chain" };

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct tow_tls_context *server_context, *client_context;
		struct tow_tls *server, *client;
		struct tow_error err = { 0 };
		int fds[2], from_server = TOW_BLOCKED, from_client;
		uint8_t early[8192], got[16];
		char ca[64];
		ssize_t len;
		size_t n;

		snprintf(ca, sizeof ca, "%s/ca.crt", folder);
		assert_int_equal(make_context(pairs[i], pairs[i], &server_context, &err), 0);
		assert_int_equal(
			tow_tls_context_new_client(ca, 0, "http/1.1", &client_context, &err), 0);
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(tow_tls_new(client_context, fds[1], "app.example.eu", &client), 0);
		from_client = tow_tls_handshake(client, &err);
		assert_int_equal(from_client, TOW_BLOCKED);
		len = recv(fds[0], early, sizeof early, 0);
		assert_true(len > 0);
		assert_int_equal(tow_tls_accept(server_context, fds[0], NULL,
		                                tow_slice_make(early, (size_t)len), &server),
		                 0);
		tow_tls_context_free(server_context); /* the session goes on */
		for (int turn = 0; turn < 20 && (from_client || from_server); turn++) {
			if (from_server)
				from_server = tow_tls_handshake(server, &err);
			if (from_client)
				from_client = tow_tls_handshake(client, &err);
		}
		if (from_client || from_server)
			fail_msg("%s: %s", pairs[i], err.text);
		assert_string_equal(tow_tls_alpn(server), "http/1.1");
		assert_string_equal(tow_tls_alpn(client), "http/1.1");
		assert_false(tow_tls_resumed(server));
		assert_int_equal(tow_tls_write(client, "hello", 5, &n), 0);
		assert_int_equal(tow_tls_read(server, got, sizeof got, &n), 0);
		assert_int_equal(n, 5);
		tow_tls_free(server);
		tow_tls_free(client);
		tow_tls_context_free(client_context);
		close(fds[0]);
		close(fds[1]);
	}
}

static void groups_are_known(void **state)
{
	static const struct {
		uint16_t group;
		int served;
	} cases[] = { { 0x11ec, 1 }, { 29, 1 }, { 23, 1 },  { 24, 1 },
		      { 25, 0 },     { 30, 0 }, { 256, 0 }, { 0x0a0a, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(tow_tls_group_served(cases[i].group), cases[i].served);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_used_or_refused),
		cmocka_unit_test(any_prefix_of_a_pair_is_refused),
		cmocka_unit_test(a_certificate_says_what_it_is),
		cmocka_unit_test(a_hello_may_have_been_read_already),
		cmocka_unit_test(groups_are_known),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
