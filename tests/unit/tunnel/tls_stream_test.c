/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tls.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

/* --- our two ends, on a pair of sockets with little room --- */

struct ends {
	struct tow_tls_context *server_context, *client_context;
	struct tow_tls *server, *client;
	int fds[2];
};

static void ends_init(struct ends *e, const char *server_alpn, const char *client_alpn)
{
	struct tow_node_key key;
	struct tow_error err;
	int small = 4096;

	tow_node_key_generate(&key);
	assert_int_equal(tow_tls_context_new_identity(&key, server_alpn, &e->server_context, &err),
	                 0);
	assert_int_equal(tow_tls_context_new_client(NULL, 1, client_alpn, &e->client_context, &err),
	                 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, e->fds),
	                 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(e->fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small),
		                 0);
	assert_int_equal(tow_tls_new(e->server_context, e->fds[0], NULL, &e->server), 0);
	assert_int_equal(tow_tls_new(e->client_context, e->fds[1], "nas", &e->client), 0);
}

static void ends_deinit(struct ends *e)
{
	tow_tls_free(e->server);
	tow_tls_free(e->client);
	close(e->fds[0]);
	if (e->fds[1] >= 0)
		close(e->fds[1]);
	tow_tls_context_free(e->server_context);
	tow_tls_context_free(e->client_context);
}

static void shake_hands(struct ends *e, int *server, int *client)
{
	struct tow_error err;

	*server = *client = TOW_BLOCKED;
	for (int i = 0; i < 1000 && (*server == TOW_BLOCKED || *client == TOW_BLOCKED); i++) {
		if (*client == TOW_BLOCKED)
			*client = tow_tls_handshake(e->client, &err);
		if (*server == TOW_BLOCKED)
			*server = tow_tls_handshake(e->server, &err);
	}
}

static void every_byte_arrives(void **state)
{
	static uint8_t sent[1 << 20], got[sizeof sent];
	struct ends e;
	size_t written = 0, read = 0, n;
	int server, client, blocked = 0;

	(void)state;
	ends_init(&e, "http/1.1", "http/1.1");
	shake_hands(&e, &server, &client);
	assert_int_equal(server, 0);
	assert_int_equal(client, 0);
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	while (read < sizeof sent) {
		if (written < sizeof sent) {
			int rc = tow_tls_write(e.client, sent + written, sizeof sent - written, &n);
			if (!rc)
				written += n;
			else
				assert_int_equal(rc, TOW_BLOCKED);
			blocked += rc == TOW_BLOCKED && tow_tls_events(e.client) == TOW_IO_WRITE;
		}
		int rc = tow_tls_read(e.server, got + read, sizeof got - read, &n);
		if (!rc)
			read += n;
		else
			assert_int_equal(rc, TOW_BLOCKED);
		if (rc)
			assert_int_equal(tow_tls_events(e.server), TOW_IO_READ);
	}
	assert_memory_equal(sent, got, sizeof sent);
	assert_true(blocked > 0);
	/* a part of a record leaves the rest inside */
	assert_int_equal(tow_tls_write(e.server, "hello", 5, &n), 0);
	assert_int_equal(tow_tls_read(e.client, got, 2, &n), 0);
	assert_int_equal(n, 2);
	assert_true(tow_tls_pending(e.client));
	assert_int_equal(tow_tls_read(e.client, got, sizeof got, &n), 0);
	assert_int_equal(n, 3);
	assert_false(tow_tls_pending(e.client));
	/* the end, said and unsaid */
	assert_int_equal(tow_tls_shutdown(e.client), 0);
	assert_int_equal(tow_tls_read(e.server, got, sizeof got, &n), TOW_EOF);
	assert_int_equal(tow_tls_read(e.server, got, sizeof got, &n), TOW_EOF);
	ends_deinit(&e);

	ends_init(&e, NULL, NULL);
	shake_hands(&e, &server, &client);
	assert_int_equal(server | client, 0);
	close(e.fds[1]);
	e.fds[1] = -1;
	assert_int_equal(tow_tls_read(e.server, got, sizeof got, &n), TOW_EOF);
	assert_true(tow_tls_write(e.server, "x", 1, &n) < 0); /* and no SIGPIPE */
	ends_deinit(&e);
}

static void protocols_have_to_agree(void **state)
{
	struct ends e;
	int server, client;

	(void)state;
	ends_init(&e, "http/1.1", "h2");
	shake_hands(&e, &server, &client);
	assert_int_equal(server, TOW_ETLS);
	assert_true(client < 0);
	ends_deinit(&e);
}

static void nonsense_is_refused(void **state)
{
	static const char *const cases[] = { "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff",
		                             "\x80\x2e\x01\x03\x01", "" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ends e;
		struct tow_error err = { 0 };
		ends_init(&e, NULL, NULL);
		assert_int_equal(write(e.fds[1], cases[i], strlen(cases[i])), strlen(cases[i]));
		shutdown(e.fds[1], SHUT_WR);
		int rc = tow_tls_handshake(e.server, &err);
		assert_true(rc == TOW_ETLS || rc == TOW_ERESET);
		assert_int_equal(err.code, rc);
		assert_true(err.text[0]);
		ends_deinit(&e);
	}
}

/* --- towards somebody else's server --- */

static char folder[] = "/tmp/towonel-tls-XXXXXX";

static void shell(const char *command)
{
	if (system(command) != 0) /* NOLINT: a test may */
		fail_msg("%s", command);
}

static int make_certificates(void **state)
{
	char command[2048];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(command, sizeof command,
	         "cd %s && exec 2>/dev/null; set -e; "
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	         "ca.key -out ca.crt "
	         "-days 2 -subj '/CN=Test CA'; "
	         "printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\n"
	         "new_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' "
	         ">ca.conf; touch index; echo 01 >serial; "
	         "leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	         "$1.key -subj /CN=$1 -out $1.csr; printf \"subjectAltName=$2\" >$1.ext; "
	         "openssl ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.key "
	         "-startdate 20200101000000Z -enddate $3 -extfile $1.ext -in $1.csr -out $1.crt; }; "
	         "leaf good 'DNS:app.example.eu,DNS:*.wild.example.eu,DNS:nas' 20990101000000Z; "
	         "leaf old 'DNS:app.example.eu' 20200102000000Z",
	         folder);
	shell(command);
	return 0;
}

static int remove_certificates(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", folder);
	shell(command);
	return 0;
}

static uint16_t free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

static pid_t start_server(const char *name, const char *option, uint16_t port)
{
	pid_t pid = fork();

	if (!pid) {
		char number[8], certificate[32], key[32];
		snprintf(number, sizeof number, "%u", port);
		snprintf(certificate, sizeof certificate, "%s.crt", name);
		snprintf(key, sizeof key, "%s.key", name);
		if (chdir(folder) || !freopen("/dev/null", "w", stdout) ||
		    !freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("openssl", "openssl", "s_server", "-quiet", "-rev", "-accept", number,
		       "-cert", certificate, "-key", key, option, (char *)NULL);
		_exit(1);
	}
	return pid;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_port = htons(port),
		                    .sin_addr = { htonl(INADDR_LOOPBACK) } };

	for (int i = 0; i < 300; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(fd, (struct sockaddr *)&addr, sizeof addr)) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			return fd;
		}
		close(fd);
		usleep(10000);
	}
	fail_msg("the server does not start");
	return -1;
}

static void wait_for(const struct tow_tls *tls, int fd)
{
	struct pollfd poll_fd = { fd, tow_tls_events(tls) == TOW_IO_READ ? POLLIN : POLLOUT, 0 };

	assert_int_equal(poll(&poll_fd, 1, 3000), 1);
}

static void origins_are_verified(void **state)
{
	static const struct {
		const char *certificate, *option, *ca, *name;
		int insecure;
		const char *error; /* NULL: it works */
	} cases[] = {
		{ "good", "-tls1_3", "ca.crt", "app.example.eu", 0, NULL },
		{ "good", "-tls1_2", "ca.crt", "APP.example.eu", 0, NULL },
		{ "good", "-tls1_3", "ca.crt", "a.wild.example.eu", 0, NULL },
		{ "good", "-tls1_3", "ca.crt", "nas", 0, NULL },
		{ "good", "-tls1_3", "ca.crt", "127.0.0.1", 0, "another name" }, /* see tls.h */
		{ "good", "-tls1_3", "ca.crt", "other.example.eu", 0, "another name" },
		{ "good", "-tls1_2", "ca.crt", "other.example.eu", 0, "another name" },
		{ "good", "-tls1_3", "ca.crt", "a.b.wild.example.eu", 0, "another name" },
		{ "good", "-tls1_3", "ca.crt", "other", 0, "another name" },
		{ "good", "-tls1_3", NULL, "app.example.eu", 0, "nobody that is trusted here" },
		{ "good", "-tls1_3", NULL, "other.example.eu", 1, NULL },
		{ "old", "-tls1_3", "ca.crt", "app.example.eu", 0, "has expired" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tow_tls_context *context;
		struct tow_tls *tls;
		struct tow_error err = { 0 };
		uint16_t port = free_port();
		pid_t pid = start_server(cases[i].certificate, cases[i].option, port);
		int fd = connect_to(port), rc;
		char ca[64], answer[16];
		size_t n = 0;

		snprintf(ca, sizeof ca, "%s/%s", folder, cases[i].ca ? cases[i].ca : "");
		assert_int_equal(tow_tls_context_new_client(cases[i].ca ? ca : NULL,
		                                            cases[i].insecure, NULL, &context,
		                                            &err),
		                 0);
		assert_int_equal(tow_tls_new(context, fd, cases[i].name, &tls), 0);
		while ((rc = tow_tls_handshake(tls, &err)) == TOW_BLOCKED)
			wait_for(tls, fd);
		if (cases[i].error) {
			assert_int_equal(rc, TOW_ETLS);
			if (!strstr(err.text, cases[i].error))
				fail_msg("case %zu: %s", i, err.text);
		} else {
			if (rc)
				fail_msg("case %zu: %s", i, err.text);
			assert_int_equal(tow_tls_write(tls, "olleh\n", 6, &n), 0);
			while ((rc = tow_tls_read(tls, answer, sizeof answer, &n)) == TOW_BLOCKED)
				wait_for(tls, fd);
			assert_int_equal(rc, 0);
			assert_int_equal(n, 6);
			assert_memory_equal(answer, "hello\n", 6);
			assert_int_equal(tow_tls_shutdown(tls), 0);
		}
		tow_tls_free(tls);
		tow_tls_context_free(context);
		close(fd);
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
}

static void a_missing_ca_file_is_told(void **state)
{
	struct tow_tls_context *context;
	struct tow_error err = { 0 };

	(void)state;
	assert_int_equal(tow_tls_context_new_client("/nonexistent/ca.crt", 0, NULL, &context, &err),
	                 TOW_ECRYPTO);
	assert_non_null(strstr(err.text, "/nonexistent/ca.crt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives),
		cmocka_unit_test(protocols_have_to_agree),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(origins_are_verified),
		cmocka_unit_test(a_missing_ca_file_is_told),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
