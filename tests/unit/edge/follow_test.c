/* SPDX-License-Identifier: MIT */

/* The follower against a hub of the test's own: an HTTPS server on the same loop that says what each case wants. */

#include <towonel/edge/follower.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <towonel/tunnel/http_server.h>
#include <towonel/wire/request_signature.h>

#define WITHIN_NS (20 * TOW_NSEC_PER_SEC)

struct world {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_node_key hub_key, edge_key;
	struct tow_tls_context *tls;
	struct tow_http_server *server;
	struct tow_follower *follower;
	char url[TOW_URL_MAX];

	/* the hub */
	int status;      /* of a subscription; 0: 200 */
	int beat_status; /* of a heartbeat; 0: 200 */
	int revoked;
	struct tow_http_event_stream *stream;
	size_t streams, beats;
	char last_id[64]; /* of the last subscription */
	struct tow_buf beat_body;

	/* the sink */
	size_t taken;
	enum tow_route_event_kind kind;
	uint64_t version;
	char json[64];
	int sink_rc;

	int told_revoked;
	char revoked_text[200];
};

static int verified(struct tow_http_request *request, const struct tow_node_key *key,
                    const char *domain)
{
	const char *auth = tow_http_header(request, "Authorization");
	struct tow_request_signature signature;

	return auth && tow_request_signature_parse(tow_slice_of(auth), &signature) == 0 &&
	       tow_id_equal(&signature.node_id, &key->id) &&
	       tow_request_signature_verify(&signature, domain, tow_http_body(request)) == 0;
}

static void refuse(struct world *w, struct tow_http_request *request, int status)
{
	tow_http_respond_json(request, status,
	                      json_pack("{s:{s:s, s:s, s:b}}", "error", "code", "unauthorized",
	                                "message", "because", "revoked", w->revoked));
}

static void on_closed(void *user)
{
	((struct world *)user)->stream = NULL;
}

static void on_subscribe(void *user, struct tow_http_request *request)
{
	struct world *w = user;
	const char *last_id = tow_http_header(request, "Last-Event-ID");

	assert_true(verified(request, &w->edge_key, TOW_DOMAIN_EDGE_SUBSCRIBE));
	snprintf(w->last_id, sizeof w->last_id, "%s", last_id ? last_id : "");
	w->streams++;
	if (w->status)
		refuse(w, request, w->status);
	else
		w->stream = tow_http_event_stream_start(request, on_closed, w);
}

static void on_beat(void *user, struct tow_http_request *request)
{
	struct world *w = user;
	struct tow_slice body = tow_http_body(request);

	assert_true(verified(request, &w->edge_key, TOW_DOMAIN_EDGE_HEARTBEAT));
	tow_buf_clear(&w->beat_body);
	tow_buf_append(&w->beat_body, body.base, body.len);
	w->beats++;
	if (w->beat_status)
		refuse(w, request, w->beat_status);
	else
		tow_http_respond_json(
			request, 200,
			json_pack("{s:s, s:i}", "status", "ok", "next_interval_secs", 1));
}

static const struct tow_http_route routes[] = {
	{ "GET", "/v1/routes/subscribe", 0, 0, on_subscribe },
	{ "POST", "/v1/edge/heartbeat", 0, 0, on_beat },
};

static int sink(void *user, const struct tow_route_event *event)
{
	struct world *w = user;

	w->taken++;
	w->kind = event->kind;
	w->version = event->version;
	snprintf(w->json, sizeof w->json, "%.*s", (int)event->json.len,
	         (const char *)event->json.base);
	return w->sink_rc;
}

static void on_revoked(void *user, const char *text)
{
	struct world *w = user;

	w->told_revoked = 1;
	snprintf(w->revoked_text, sizeof w->revoked_text, "%s", text);
	tow_follower_free(w->follower);
	w->follower = NULL;
}

static void start_hub(struct world *w, struct tow_addr listen)
{
	struct tow_http_server_config config = {
		.loop = w->loop,
		.log = w->log,
		.listen = listen,
		.tls = w->tls,
		.routes = routes,
		.route_count = 2,
		.user = w,
	};
	struct tow_error err;
	char text[TOW_ADDR_TEXT_SIZE];

	if (tow_http_server_new(&config, &w->server, &err) != 0)
		fail_msg("%s", err.text);
	snprintf(w->url, sizeof w->url, "https://%s",
	         tow_addr_format(tow_http_server_addr(w->server), text));
}

static void follow(struct world *w, const struct tow_id *hub_id)
{
	struct tow_follower_config config = {
		.loop = w->loop,
		.log = w->log,
		.metrics = w->metrics,
		.key = &w->edge_key,
		.hub_id = *hub_id,
		.user_agent = "test",
		.sink = sink,
		.sink_user = w,
		.revoked = on_revoked,
		.user = w,
	};

	memcpy(config.hub_url, w->url, sizeof config.hub_url);
	assert_int_equal(tow_follower_new(&config, &w->follower), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->loop = tow_loop_new();
	w->metrics = tow_metrics_new();
	w->log = tow_log_new(TOW_LOG_ERROR, TOW_LOG_TEXT, NULL, NULL);
	tow_node_key_generate(&w->hub_key);
	tow_node_key_generate(&w->edge_key);
	assert_int_equal(tow_tls_context_new_identity(&w->hub_key, "http/1.1", &w->tls, NULL), 0);
	start_hub(w, (struct tow_addr){ .family = 4, .bytes = { 127, 0, 0, 1 } });
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	tow_follower_free(w->follower);
	if (w->server)
		tow_http_server_close(w->server, 0, NULL, NULL);
	tow_tls_context_free(w->tls);
	tow_buf_deinit(&w->beat_body);
	tow_loop_free(w->loop);
	tow_metrics_free(w->metrics);
	tow_log_free(w->log);
	free(w);
	return 0;
}

static void on_time(void *user)
{
	*(int *)user = 1;
}

static void turn_for(struct world *w, uint64_t ns)
{
	struct tow_timer timer;
	int over = 0;

	tow_timer_init(&timer, w->loop, on_time, &over);
	tow_timer_start_in(&timer, ns);
	while (!over) {
		struct pollfd fd = { tow_loop_fd(w->loop), POLLIN, 0 };
		poll(&fd, 1, tow_loop_timeout_ms(w->loop));
		tow_loop_dispatch(w->loop);
	}
}

/* Turns the loop until the condition holds. */
static void turn_until(struct world *w, int (*holds)(const struct world *w), const char *what)
{
	uint64_t until = tow_now_ns() + WITHIN_NS;

	while (!holds(w)) {
		if (tow_now_ns() > until)
			fail_msg("waited in vain: %s", what);
		turn_for(w, 10 * TOW_NSEC_PER_MSEC);
	}
}
#define UNTIL(name, expression)                                                                    \
	static int name(const struct world *w)                                                     \
	{                                                                                          \
		return expression;                                                                 \
	}
UNTIL(has_stream, w->stream != NULL)
UNTIL(took_one, w->taken >= 1)
UNTIL(took_two, w->taken >= 2)
UNTIL(took_three, w->taken >= 3)
UNTIL(asked_twice, w->streams >= 2 && w->stream)
UNTIL(asked_three_times, w->streams >= 3)
UNTIL(beat_once, w->beats >= 1)
UNTIL(beat_twice, w->beats >= 2)
UNTIL(is_revoked, w->told_revoked)

static void say(struct world *w, uint64_t id, const char *type, const char *data)
{
	assert_int_equal(tow_http_event_stream_send(w->stream, id, type, tow_slice_of(data)), 0);
}

static int has_note(struct world *w)
{
	struct tow_buf notes = { 0 };
	int has;

	tow_follower_note(w->follower, &notes);
	has = tow_buf_len(&notes) > 0;
	tow_buf_deinit(&notes);
	return has;
}

static void events_reach_the_sink(void **state)
{
	struct world *w = *state;

	follow(w, &w->hub_key.id);
	assert_true(has_note(w));
	turn_until(w, has_stream, "a subscription");
	assert_string_equal(w->last_id, "");
	say(w, 7, "snapshot", "{\"version\":7}");
	turn_until(w, took_one, "the snapshot");
	assert_int_equal(w->kind, TOW_ROUTE_SNAPSHOT);
	assert_int_equal(w->version, 7);
	assert_string_equal(w->json, "{\"version\":7}");
	assert_false(has_note(w));
	/* what a newer hub may say is not minded */
	say(w, 0, "weather", "fine");
	tow_http_event_stream_comment(w->stream, "");
	say(w, 8, "delta", "{\"version\":8,\"from\":7}");
	turn_until(w, took_two, "the delta");
	assert_int_equal(w->kind, TOW_ROUTE_DELTA);
	assert_int_equal(w->version, 8);
	/* the stream breaks: it is taken up where it was */
	tow_http_event_stream_end(w->stream);
	turn_until(w, asked_twice, "another subscription");
	assert_string_equal(w->last_id, "8");
	say(w, 9, "delta", "{}");
	turn_until(w, took_three, "what came meanwhile");
}

/* Whatever is wrong with what the edge has, it asks for all of it. */
static void a_refused_event_leads_to_a_snapshot(void **state)
{
	static const int codes[] = { TOW_ECONFLICT, TOW_EPARSE };

	for (size_t i = 0; i < 2; i++) {
		struct world *w = *state;

		follow(w, &w->hub_key.id);
		turn_until(w, has_stream, "a subscription");
		say(w, 7, "snapshot", "{}");
		turn_until(w, took_one, "the snapshot");
		w->sink_rc = codes[i];
		say(w, 9, "delta", "{}");
		turn_until(w, asked_twice, "another subscription");
		assert_string_equal(w->last_id, "");
		if (i == 0) {
			teardown(state);
			setup(state);
		}
	}
}

static void garbage_is_no_feed(void **state)
{
	struct world *w = *state;
	char *long_id = calloc(1, TOW_EVENT_WORD_MAX + 2);

	follow(w, &w->hub_key.id);
	turn_until(w, has_stream, "a subscription");
	memset(long_id, 'x', TOW_EVENT_WORD_MAX + 1);
	say(w, 0, long_id, "{}"); /* a type that is too long */
	turn_until(w, asked_twice, "another subscription");
	assert_int_equal(w->taken, 0);
	free(long_id);
}

static void a_hub_that_refuses_for_now_is_asked_again(void **state)
{
	struct world *w = *state;
	static const char *const addresses[] = { "e.eu:443" };
	struct tow_edge_report report = { .addresses = addresses,
		                          .address_count = 1,
		                          .version = "1" };

	w->status = w->beat_status = 401; /* as with a wrong clock */
	follow(w, &w->hub_key.id);
	tow_follower_report(w->follower, &report);
	turn_until(w, asked_three_times, "more subscriptions");
	turn_until(w, beat_twice, "more heartbeats");
	assert_false(w->told_revoked);
	assert_true(has_note(w));
	w->status = w->beat_status = 0;
	turn_until(w, has_stream, "a subscription that works");
}

static void reports_are_told(void **state)
{
	struct world *w = *state;
	static const char *const addresses[] = { "e.eu:443", "[2001:db8::1]:443" };
	const struct tow_id agent = { { 0xab } };
	const struct tow_failed_port port = { TOW_PROTOCOL_UDP, 53, TOW_EADDRINUSE };
	struct tow_edge_report report = {
		.addresses = addresses,
		.address_count = 2,
		.version = "9.9",
		.agents = &agent,
		.agent_count = 1,
		.tcp_port = 8443,
		.failed_ports = &port,
		.failed_port_count = 1,
	};
	static const char said[] =
		"{\"addresses\":[\"e.eu:443\",\"[2001:db8::1]:443\"],\"tcp_port\":8443,\"version\":\"9.9\","
		"\"agents\":[\"ab00000000000000000000000000000000000000000000000000000000000000\"],"
		"\"failed_ports\":[{\"protocol\":\"udp\",\"port\":53,"
		"\"reason\":\"address in use\"}]}";

	follow(w, &w->hub_key.id);
	tow_follower_report(w->follower, &report);
	turn_until(w, beat_once, "a heartbeat");
	assert_int_equal(tow_buf_len(&w->beat_body), sizeof said - 1);
	assert_memory_equal(w->beat_body.base, said, sizeof said - 1);
	/* again, as often as the hub wants it, though nothing has changed */
	turn_until(w, beat_twice, "another heartbeat");
}

static void revocation_is_the_end(void **state)
{
	struct world *w = *state;
	struct tow_edge_report report = { .version = "1" };

	follow(w, &w->hub_key.id);
	tow_follower_report(w->follower, &report);
	turn_until(w, beat_once, "a heartbeat");
	w->status = w->beat_status = 401;
	w->revoked = 1;
	if (w->stream)
		tow_http_event_stream_end(w->stream);
	turn_until(w, is_revoked, "the end");
	assert_string_equal(w->revoked_text, "because");
	assert_null(w->follower);
}

static void another_key_is_no_hub(void **state)
{
	struct world *w = *state;
	struct tow_node_key other;

	tow_node_key_generate(&other);
	follow(w, &other.id);
	turn_for(w, TOW_NSEC_PER_SEC);
	assert_int_equal(w->streams, 0);
	assert_true(has_note(w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(events_reach_the_sink), T(a_refused_event_leads_to_a_snapshot),
		T(garbage_is_no_feed),    T(a_hub_that_refuses_for_now_is_asked_again),
		T(reports_are_told),      T(revocation_is_the_end),
		T(another_key_is_no_hub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
