/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/hub_client.h>

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

#include <towonel/tunnel/tcp.h>

#include "http_fixture.h"

/* The client has a loop of its own, on the test's thread. */
struct caller {
	struct tow_loop *loop;
	struct tow_http_client *http;
	int done, data_calls;
	int status, code;
	char text[TOW_ERROR_TEXT_SIZE];
	char body[70000];
	size_t body_len;
	char header[64];
	uint64_t retry_after_ms;
	struct tow_http_call *call;
};

static void caller_init(struct caller *c, const struct tow_node_key *key, const char *ca_file)
{
	struct tow_http_client_config config = { .user_agent = "test",
		                                 .key = key,
		                                 .ca_file = ca_file };

	memset(c, 0, sizeof *c);
	c->loop = tow_loop_new();
	assert_non_null(c->loop);
	config.loop = c->loop;
	c->http = tow_http_client_new(&config);
	assert_non_null(c->http);
}

static void caller_deinit(struct caller *c)
{
	tow_http_client_free(c->http);
	tow_loop_free(c->loop);
}

static void on_done(void *user, const struct tow_http_result *result)
{
	struct caller *c = user;
	const char *header = result->header(result, "x-test");

	c->done++;
	c->status = result->status;
	c->code = result->error.code;
	snprintf(c->text, sizeof c->text, "%s", result->error.text);
	snprintf(c->header, sizeof c->header, "%s", header ? header : "none");
	c->retry_after_ms = result->retry_after_ms;
	if (result->body.len && result->body.len < sizeof c->body) {
		memcpy(c->body, result->body.base, result->body.len);
		c->body[result->body.len] = '\0';
	}
	c->body_len = result->body.len;
	tow_loop_stop(c->loop);
}

static void url_of(const struct fixture *f, const char *path, char *out, size_t cap)
{
	snprintf(out, cap, "%s://%s:%u%s", f->tls ? "https" : "http", f->host, f->addr.port, path);
}

static void call(struct caller *c, const struct fixture *f, const char *method, const char *path,
                 const char *body, const struct tow_id *pin, uint64_t timeout_ns)
{
	struct tow_http_call_config config = {
		.method = method,
		.body = tow_slice_of(body ? body : ""),
		.content_type = "text/plain",
		.pin = pin,
		.timeout_ns = timeout_ns,
		.done = on_done,
		.user = c,
	};
	char url[256];

	url_of(f, path, url, sizeof url);
	config.url = url;
	c->done = 0;
	c->body[0] = '\0';
	assert_int_equal(tow_http_call_start(c->http, &config, &c->call), 0);
	assert_int_equal(c->done, 0);
	tow_loop_run(c->loop);
	assert_int_equal(c->done, 1);
}

static const struct tow__http_limits patient = {
	5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC,
	5 * TOW_NSEC_PER_SEC, TOW_NSEC_PER_SEC,     64,
};

static void count_open(void *user)
{
	size_t *out = ((void **)user)[1];

	*out = ((struct fixture *)((void **)user)[0])->server->connection_count;
}

static size_t open_connections(struct fixture *f)
{
	size_t count = 0;
	void *pair[] = { f, &count };

	fixture_run(f, count_open, pair);
	return count;
}

static void requests_are_made(void **state)
{
	struct fixture f;
	struct caller c;

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		const struct tow_id *pin = tls ? &f.key.id : NULL;
		fixture_start(&f, tls, &patient);
		caller_init(&c, &f.key, NULL);
		call(&c, &f, "GET", "/hello", NULL, pin, 0);
		assert_string_equal(c.text, "");
		assert_int_equal(c.status, 200);
		assert_int_equal(c.code, 0);
		assert_string_equal(c.body, "hello\n");
		assert_string_equal(c.header, "yes");
		call(&c, &f, "POST", "/echo", "some body", pin, 0);
		assert_string_equal(c.body, "some body");
		assert_string_equal(c.header, "none");
		call(&c, &f, "PUT", "/echo", "other body", pin, 0);
		assert_string_equal(c.body, "other body");
		call(&c, &f, "POST", "/echo", NULL, pin, 0);
		assert_int_equal(c.status, 200);
		assert_int_equal(c.body_len, 0);
		call(&c, &f, "HEAD", "/hello", NULL, pin, 0);
		assert_int_equal(c.status, 200);
		assert_int_equal(c.body_len, 0);
		call(&c, &f, "DELETE", "/hello", NULL, pin, 0);
		assert_int_equal(c.status, 405);
		assert_int_equal(c.code, 0);
		call(&c, &f, "GET", "/items/a%2fb?limit=x", NULL, pin, 0);
		assert_string_equal(c.body, "{\"id\":\"a/b\",\"limit\":\"x\",\"method\":\"GET\"}");
		call(&c, &f, "GET", "/later", NULL, pin, 0);
		assert_string_equal(c.body, "late\n");
		assert_int_equal(open_connections(&f), 1); /* all on one */
		caller_deinit(&c);
		fixture_stop(&f, TOW_NSEC_PER_SEC);
	}
}

/* However a connection was made for one pin, nobody with another one may have it. */
static void a_pin_is_kept(void **state)
{
	struct fixture f;
	struct caller c;
	struct tow_node_key other;
	char mine[TOW_ID_TEXT_SIZE], theirs[TOW_ID_TEXT_SIZE], expected[300];

	(void)state;
	fixture_start(&f, 1, &patient);
	tow_node_key_generate(&other);
	caller_init(&c, NULL, NULL);
	snprintf(expected, sizeof expected, "its key is %s, and not %s",
	         tow_id_format(&f.key.id, mine), tow_id_format(&other.id, theirs));
	for (int i = 0; i < 2; i++) {
		call(&c, &f, "GET", "/hello", NULL, &f.key.id, 0);
		assert_int_equal(c.status, 200);
		call(&c, &f, "GET", "/hello", NULL, &other.id, 0);
		assert_int_equal(c.status, 0);
		assert_int_equal(c.code, TOW_EAUTH);
		assert_string_equal(c.text, expected);
		/* no pin: chain and name, and it has none */
		call(&c, &f, "GET", "/hello", NULL, NULL, 0);
		assert_int_equal(c.status, 0);
		assert_non_null(strstr(c.text, "the server's key has to be given"));
		assert_int_equal(c.code, TOW_EAUTH);
	}
	assert_int_equal(f.answers, 2);
	f.host = "localhost";
	call(&c, &f, "GET", "/hello", NULL, NULL, 0);
	assert_int_equal(c.code, TOW_EAUTH);
	assert_non_null(strstr(c.text, "trusted"));
	call(&c, &f, "GET", "/hello", NULL, &other.id, 0); /* tried both ways */
	assert_int_equal(c.code, TOW_EAUTH);
	assert_string_equal(c.text, expected);
	call(&c, &f, "GET", "/hello", NULL, &f.key.id, 0);
	assert_int_equal(c.status, 200);
	caller_deinit(&c);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static int try_connect(const struct fixture *f)
{
	struct sockaddr_storage to;
	socklen_t len = tow_addr_to_sockaddr(&f->addr, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!connect(fd, (struct sockaddr *)&to, len))
		return fd;
	close(fd);
	return -1;
}

static pid_t start_public_server(const char *folder, uint16_t port)
{
	pid_t pid = fork();

	if (!pid) {
		char number[8];
		snprintf(number, sizeof number, "%u", port);
		if (chdir(folder) || !freopen("/dev/null", "w", stdout) ||
		    !freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("openssl", "openssl", "s_server", "-quiet", "-www", "-accept", number,
		       "-cert", "leaf.crt", "-key", "leaf.key", (char *)NULL);
		_exit(1);
	}
	return pid;
}

/* Behind a public name and its certificate the hub's own key isn't seen. */
static void a_chain_is_as_good_as_a_pin(void **state)
{
	char folder[] = "/tmp/towonel-http-XXXXXX", command[1024], ca_file[64];
	struct fixture f = { .host = "localhost", .tls = (void *)folder /* only for the URL */ };
	struct tow_http_client_config untrusting = { .user_agent = "test" };
	struct tow_node_key other;
	struct caller c;
	pid_t pid;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof command,
	         "cd %s && exec 2>/dev/null; set -e; "
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	         "ca.key -out ca.crt "
	         "-days 2 -subj '/CN=Test CA'; "
	         "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key "
	         "-subj /CN=x "
	         "-out leaf.csr; printf subjectAltName=DNS:localhost > ext; "
	         "openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
	         "-extfile ext "
	         "-out leaf.crt",
	         folder);
	assert_int_equal(system(command), 0);
	snprintf(ca_file, sizeof ca_file, "%s/ca.crt", folder);
	/* a port that is free: somebody else's server is not told to pick one */
	fixture_start(&f, 0, NULL);
	fixture_stop(&f, 0);
	f.host = "localhost";
	f.tls = (void *)folder;
	pid = start_public_server(folder, f.addr.port);
	for (int i = 0; (fd = try_connect(&f)) < 0 && i < 300; i++)
		usleep(10000);
	close(fd);
	tow_node_key_generate(&other);
	caller_init(&c, NULL, ca_file);
	for (int i = 0; i < 2; i++) { /* the second time it is what is tried first */
		call(&c, &f, "GET", "/", NULL, &other.id, 0);
		assert_string_equal(c.text, "");
		assert_int_equal(c.status, 200);
	}
	call(&c, &f, "GET", "/", NULL, NULL, 0);
	assert_int_equal(c.status, 200);
	tow_http_client_free(c.http);
	/* without trust in that CA */
	untrusting.loop = c.loop;
	c.http = tow_http_client_new(&untrusting);
	call(&c, &f, "GET", "/", NULL, &other.id, 0);
	assert_int_equal(c.code, TOW_EAUTH);
	assert_non_null(strstr(c.text, "it has not shown the key "));
	call(&c, &f, "GET", "/", NULL, NULL, 0);
	assert_int_equal(c.code, TOW_EAUTH);
	assert_string_equal(c.text, "nobody that is trusted here has signed its certificate");
	caller_deinit(&c);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	snprintf(command, sizeof command, "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void failures_have_reasons(void **state)
{
	struct fixture f;
	struct caller c;
	struct tow_http_call_config bad = { .method = "GET", .url = "ftp://x/", .done = on_done };
	uint16_t port;

	(void)state;
	fixture_start(&f, 0, &patient);
	caller_init(&c, NULL, NULL);
	assert_int_equal(tow_http_call_start(c.http, &bad, NULL), TOW_EINVAL);
	bad.url = "not a url";
	assert_int_equal(tow_http_call_start(c.http, &bad, NULL), TOW_EINVAL);
	call(&c, &f, "GET", "/later", NULL, NULL, 50 * TOW_NSEC_PER_MSEC);
	assert_int_equal(c.code, TOW_ETIMEDOUT);
	assert_int_equal(c.status, 0);
	usleep(200000);
	/* an answer that is too large */
	call(&c, &f, "GET", "/big?size=17000000", NULL, NULL, 0);
	assert_int_equal(c.code, TOW_ETOOBIG);
	/* https where http is spoken */
	port = f.addr.port;
	f.tls = (void *)&port; /* only for the URL */
	call(&c, &f, "GET", "/hello", NULL, &f.key.id, 0);
	assert_int_equal(c.status, 0);
	assert_true(c.code == TOW_EHTTP);
	f.tls = NULL;
	fixture_stop(&f, TOW_NSEC_PER_SEC);
	/* nobody there */
	call(&c, &f, "GET", "/hello", NULL, NULL, 0);
	assert_int_equal(c.code, TOW_EREFUSED);
	assert_string_equal(c.text, "connection refused");
	/* no such name: RFC 6761 keeps .invalid from ever existing */
	bad.url = "http://nobody.invalid/";
	bad.user = &c;
	assert_int_equal(tow_http_call_start(c.http, &bad, NULL), 0);
	tow_loop_run(c.loop);
	assert_int_equal(c.code, TOW_ENOTFOUND);
	caller_deinit(&c);
}

static void never(void *user, const struct tow_http_result *result)
{
	(void)user;
	(void)result;
	fail();
}

static void stop_loop(void *user)
{
	tow_loop_stop(user);
}

static void calls_can_be_cancelled(void **state)
{
	struct fixture f;
	struct caller c;
	char url[256];
	struct tow_http_call_config config = { .method = "GET", .url = url, .done = never };
	struct tow_http_call *calls[3];
	struct tow_timer timer;
	int before;

	(void)state;
	fixture_start(&f, 1, &patient);
	caller_init(&c, NULL, NULL);
	config.pin = &f.key.id;
	tow_timer_init(&timer, c.loop, stop_loop, c.loop);
	url_of(&f, "/later", url, sizeof url);
	/* before anything happened, in the middle of the handshake, while the answer is made */
	assert_int_equal(tow_http_call_start(c.http, &config, &calls[0]), 0);
	tow_http_call_cancel(calls[0]);
	assert_int_equal(tow_timer_start_in(&timer, 50 * TOW_NSEC_PER_MSEC), 0);
	tow_loop_run(c.loop);
	assert_int_equal(f.handled, 0);
	assert_int_equal(tow_http_call_start(c.http, &config, &calls[1]), 0);
	tow_loop_dispatch(c.loop);
	tow_loop_dispatch(c.loop);
	tow_http_call_cancel(calls[1]);
	assert_int_equal(tow_timer_start_in(&timer, 200 * TOW_NSEC_PER_MSEC), 0);
	tow_loop_run(c.loop);
	before = f.handled; /* it may have come as far as that */
	assert_int_equal(tow_http_call_start(c.http, &config, &calls[2]), 0);
	assert_int_equal(tow_timer_start_in(&timer, 100 * TOW_NSEC_PER_MSEC), 0);
	tow_loop_run(c.loop);
	assert_int_equal(f.handled, before + 1);
	tow_http_call_cancel(calls[2]);
	assert_int_equal(tow_timer_start_in(&timer, 200 * TOW_NSEC_PER_MSEC), 0);
	tow_loop_run(c.loop);
	/* and all that is under way, by freeing the client */
	assert_int_equal(tow_http_call_start(c.http, &config, NULL), 0);
	assert_int_equal(tow_timer_start_in(&timer, 20 * TOW_NSEC_PER_MSEC), 0);
	tow_loop_run(c.loop);
	assert_int_equal(tow_http_call_start(c.http, &config, NULL), 0);
	caller_deinit(&c);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void on_data(void *user, int status, struct tow_slice bytes)
{
	struct caller *c = user;

	c->data_calls++;
	assert_int_equal(status, 200);
	assert_true(c->body_len + bytes.len < sizeof c->body);
	memcpy(c->body + c->body_len, bytes.base, bytes.len);
	c->body_len += bytes.len;
	c->body[c->body_len] = '\0';
	if (strstr(c->body, "data: \n\n"))
		tow_loop_stop(c->loop);
}

static void end_stream(void *user)
{
	tow_http_event_stream_end(((struct fixture *)user)->stream);
}

static void on_data_cancel(void *user, int status, struct tow_slice bytes)
{
	struct caller *c = user;

	(void)status;
	(void)bytes;
	tow_http_call_cancel(c->call);
	tow_loop_stop(c->loop);
}

static void on_data_free(void *user, int status, struct tow_slice bytes)
{
	struct caller *c = user;

	(void)status;
	(void)bytes;
	tow_http_client_free(c->http);
	c->http = NULL;
	tow_loop_stop(c->loop);
}

static void events_are_taken_as_they_come(void **state)
{
	struct fixture f;
	struct caller c;
	char url[256];
	struct tow_http_call_config config = { .method = "GET",
		                               .url = url,
		                               .done = on_done,
		                               .on_data = on_data,
		                               .timeout_ns = TOW_NEVER };

	(void)state;
	fixture_start(&f, 1, &patient);
	caller_init(&c, NULL, NULL);
	url_of(&f, "/events", url, sizeof url);
	config.pin = &f.key.id;
	config.user = &c;
	assert_int_equal(tow_http_call_start(c.http, &config, &c.call), 0);
	tow_loop_run(c.loop);
	assert_int_equal(c.done, 0);
	assert_string_equal(
		c.body, ": welcome\n\nid: 7\nevent: delta\ndata: one\ndata: two\ndata: three\n\n"
			"data: \n\n");
	fixture_run(&f, end_stream, &f);
	tow_loop_run(c.loop);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.code, 0);
	assert_int_equal(c.status, 200);
	/* cancelled, and the client freed, by what came */
	config.done = never;
	config.on_data = on_data_cancel;
	assert_int_equal(tow_http_call_start(c.http, &config, &c.call), 0);
	tow_loop_run(c.loop);
	config.on_data = on_data_free;
	assert_int_equal(tow_http_call_start(c.http, &config, &c.call), 0);
	tow_loop_run(c.loop);
	assert_null(c.http);
	tow_loop_free(c.loop);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

/* --- the hub's API --- */

struct asker {
	struct tow_loop *loop;
	struct tow_hub_client *hub;
	int status, code, retriable;
	char text[TOW_ERROR_TEXT_SIZE], hub_code[48];
	char *body;
};

static void on_answer(void *user, const struct tow_hub_answer *answer)
{
	struct asker *a = user;

	a->status = answer->status;
	a->code = answer->error.code;
	a->retriable = answer->retriable;
	snprintf(a->text, sizeof a->text, "%s", answer->error.text);
	snprintf(a->hub_code, sizeof a->hub_code, "%s", answer->code);
	free(a->body);
	a->body = answer->body ? json_dumps(answer->body, JSON_COMPACT) : NULL;
	tow_loop_stop(a->loop);
}

static void ask(struct asker *a, const char *method, const char *path, json_t *body)
{
	assert_int_equal(
		tow_hub_call(a->hub, method, path, body, TOW_HUB_NO_AUTH, NULL, on_answer, a, NULL),
		0);
	tow_loop_run(a->loop);
}

static void a_hub_is_asked(void **state)
{
	struct fixture f;
	struct caller c;
	struct asker a = { 0 };
	struct tow_hub_client_config config = { .operator_key = "secret" };
	struct tow_node_key other;
	char expected[TOW_URL_MAX + 100];
	struct tow_http_call *cancelled;

	(void)state;
	fixture_start(&f, 1, &patient);
	caller_init(&c, NULL, NULL);
	config.http = c.http;
	config.hub_id = f.key.id;
	config.key = &f.key;
	url_of(&f, "", config.url, sizeof config.url);
	a.loop = c.loop;
	a.hub = tow_hub_client_new(&config);
	assert_non_null(a.hub);
	ask(&a, "POST", "/json", json_pack("{s:i}", "a", 1));
	assert_int_equal(a.status, 201);
	assert_int_equal(a.code, 0);
	assert_string_equal(a.body, "{\"a\":1}");
	ask(&a, "GET", "/nothing", NULL);
	assert_int_equal(a.status, 404);
	assert_int_equal(a.code, TOW_ENOTFOUND);
	assert_string_equal(a.hub_code, "not_found");
	assert_string_equal(a.text, "there is nothing at this path");
	assert_false(a.retriable);
	ask(&a, "GET", "/hello", NULL); /* not JSON */
	assert_int_equal(a.code, TOW_EHTTP);
	assert_non_null(strstr(a.text, "answers, but not as a hub does: is the URL right?"));
	/* cancelled, and freed with a call under way */
	assert_int_equal(tow_hub_call(a.hub, "GET", "/later", NULL, TOW_HUB_SIGNED, "test/v1",
	                              on_answer, &a, &cancelled),
	                 0);
	tow_http_call_cancel(cancelled);
	ask(&a, "GET", "/items/x", NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(tow_hub_call(a.hub, "GET", "/later", NULL, TOW_HUB_OPERATOR, NULL,
	                              on_answer, &a, NULL),
	                 0);
	tow_hub_client_free(a.hub);
	/* another key than the token's */
	tow_node_key_generate(&other);
	config.hub_id = other.id;
	a.hub = tow_hub_client_new(&config);
	ask(&a, "GET", "/items/x", NULL);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.code, TOW_EAUTH);
	assert_false(a.retriable);
	snprintf(expected, sizeof expected,
	         "the hub at %s is not the one that was expected: its key is ", config.url);
	assert_memory_equal(a.text, expected, strlen(expected));
	/* nobody there */
	fixture_stop(&f, TOW_NSEC_PER_SEC);
	ask(&a, "GET", "/items/x", NULL);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.code, TOW_EREFUSED);
	assert_true(a.retriable);
	snprintf(expected, sizeof expected, "the hub at %s does not answer: connection refused",
	         config.url);
	assert_string_equal(a.text, expected);
	tow_hub_client_free(a.hub);
	caller_deinit(&c);
	free(a.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_made),
		cmocka_unit_test(a_pin_is_kept),
		cmocka_unit_test(a_chain_is_as_good_as_a_pin),
		cmocka_unit_test(failures_have_reasons),
		cmocka_unit_test(calls_can_be_cancelled),
		cmocka_unit_test(events_are_taken_as_they_come),
		cmocka_unit_test(a_hub_is_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
