/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>
#include <towonel/wire/cursor.h>

/* --- the edge --- */

uint64_t now_ms(void)
{
	return tow_now_ns() / TOW_NSEC_PER_MSEC;
}

void turn(struct fixture *f, int ms)
{
	struct pollfd fd = { .fd = tow_loop_fd(f->loop), .events = POLLIN };
	int timeout = tow_loop_timeout_ms(f->loop);

	poll(&fd, 1, timeout < 0 || timeout > ms ? ms : timeout);
	tow_loop_dispatch(f->loop);
}

void pass(struct fixture *f, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		turn(f, 5);
}

static void on_report(void *user, const struct tow_edge_report *report)
{
	struct fixture *f = user;

	f->reports++;
	f->reported_minor = report->minor;
	f->reported_traffic = report->traffic != NULL && report->traffic->at_ms > 0;
	f->reported_agents = report->agent_count;
	f->reported_failed_ports = report->failed_port_count;
	if (report->failed_port_count)
		f->reported_failed_port = report->failed_ports[0];
	assert_true(tow_id_equal(&report->node_id, &f->key.id));
	assert_int_equal(report->address_count, 1);
	snprintf(f->reported_address, sizeof(f->reported_address), "%s", report->addresses[0]);
}

static void tenant_make(struct tenant *t, uint8_t seed_byte)
{
	uint8_t seed[TOW_SEED_SIZE];

	memset(seed, seed_byte, sizeof(seed));
	assert_int_equal(tow_tenant_key_new(seed, &t->key), 0);
	t->id = *tow_tenant_key_id(t->key);
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = tow_loop_new();
	assert_non_null(f->loop);
	if (getenv("EDGE_TEST_LOG") != NULL)
		f->log = tow_log_new(TOW_LOG_TRACE, TOW_LOG_TEXT, NULL, NULL);
	f->metrics = tow_metrics_new();
	tow_node_key_generate(&f->key);
	tenant_make(&f->alice, 1);
	tenant_make(&f->bob, 2);
	tow__timing_default(&f->timing);
	f->config = (struct tow_edge_config){
		.loop = f->loop,
		.log = f->log,
		.metrics = f->metrics,
		.key = &f->key,
		.version = "test",
		.reported = on_report,
		.user = f,
	};
	assert_int_equal(tow_addr_parse(tow_slice_of("127.0.0.1:0"), &f->config.listen), 0);
	f->config.tunnel_listen = f->config.listen;
	*state = f;
	return 0;
}

void fixture_start(struct fixture *f)
{
	struct tow_error err = { 0, "" };

	f->closed = 0;
	if (tow__edge_new_timed(&f->config, &f->timing, &f->edge, &err) != 0)
		fail_msg("%s", err.text);
}

void fixture_closed(void *user)
{
	struct fixture *f = user;

	f->edge = NULL;
	f->closed = 1;
}

void fixture_stop(struct fixture *f, uint64_t grace_ns)
{
	tow_edge_close(f->edge, grace_ns, fixture_closed, f);
	await(f, f->closed);
}

void agent_free(struct agent *a)
{
	struct agent_stream *s;

	if (a->endpoint != NULL)
		tow_quic_endpoint_free(a->endpoint, TOW_TUNNEL_OK);
	while ((s = a->streams) != NULL) {
		a->streams = s->next;
		tow_buf_deinit(&s->in);
		tow_buf_deinit(&s->kept);
		free(s);
	}
	tow_buf_deinit(&a->input);
	memset(a, 0, sizeof(*a));
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < AGENTS_MAX; i++)
		agent_free(&f->agents[i]);
	if (f->edge != NULL)
		fixture_stop(f, 0);
	tow_tenant_key_free(f->alice.key);
	tow_tenant_key_free(f->bob.key);
	tow_metrics_free(f->metrics);
	tow_loop_free(f->loop);
	tow_log_free(f->log);
	free(f);
	return 0;
}

/* --- routes --- */

struct tow_route_writer *routes(uint64_t from, uint64_t version)
{
	struct tow_route_writer *w = tow_route_writer_new(from, version);

	assert_non_null(w);
	return w;
}

void add_tenant_limited(struct tow_route_writer *w, const struct tenant *t,
                        const struct tow_tenant_limits *limits)
{
	struct tow_route_tenant tenant = { .id = t->id, .limits = *limits };

	memcpy(tenant.public_key, tow_tenant_key_public(t->key), sizeof(tenant.public_key));
	tow_route_write_tenant(w, &tenant);
}

void add_tenant(struct tow_route_writer *w, const struct tenant *t)
{
	add_tenant_limited(w, t, &(struct tow_tenant_limits){ 0 });
}

void add_hostname(struct tow_route_writer *w, const struct tenant *t, const char *pattern)
{
	struct tow_route_hostname hostname = { .tenant_id = t->id,
		                               .tls_mode = TOW_TLS_PASSTHROUGH };

	snprintf(hostname.pattern, sizeof(hostname.pattern), "%s", pattern);
	tow_route_write_hostname(w, &hostname);
}

void add_port(struct tow_route_writer *w, const struct tenant *t, uint16_t port,
              const char *service)
{
	struct tow_route_port route = { .protocol = TOW_PROTOCOL_TCP,
		                        .port = port,
		                        .tenant_id = t->id };

	snprintf(route.service, sizeof(route.service), "%s", service);
	tow_route_write_port(w, &route);
}

void add_udp_port(struct tow_route_writer *w, const struct tenant *t, uint16_t port,
                  const char *service, uint16_t idle_timeout_secs)
{
	struct tow_route_port route = { .protocol = TOW_PROTOCOL_UDP,
		                        .port = port,
		                        .tenant_id = t->id,
		                        .idle_timeout_secs = idle_timeout_secs };

	snprintf(route.service, sizeof(route.service), "%s", service);
	tow_route_write_port(w, &route);
}

static struct tow_access *denying(struct tow_access *access, const char *denied)
{
	memset(access, 0, sizeof(*access));
	assert_int_equal(tow_access_parse(access, TOW_ACCESS_DENY, tow_slice_of(denied), NULL), 0);
	return access;
}

void add_hostname_denied(struct tow_route_writer *w, const struct tenant *t, const char *pattern,
                         const char *denied)
{
	struct tow_access access;
	struct tow_route_hostname hostname = { .tenant_id = t->id,
		                               .access = denying(&access, denied) };

	snprintf(hostname.pattern, sizeof(hostname.pattern), "%s", pattern);
	tow_route_write_hostname(w, &hostname);
}

void add_port_denied(struct tow_route_writer *w, const struct tenant *t, enum tow_protocol protocol,
                     uint16_t port, const char *service, const char *denied)
{
	struct tow_access access;
	struct tow_route_port route = { .protocol = protocol,
		                        .port = port,
		                        .tenant_id = t->id,
		                        .idle_timeout_secs = 60,
		                        .access = denying(&access, denied) };

	snprintf(route.service, sizeof(route.service), "%s", service);
	tow_route_write_port(w, &route);
}

int apply(struct fixture *f, struct tow_route_writer *w)
{
	struct tow_route_event event = { .kind = TOW_ROUTE_SNAPSHOT };
	struct tow_buf json = { NULL, 0, 0, 0 };
	int rc;

	assert_int_equal(tow_route_writer_finish(w, &json), 0);
	tow_route_writer_free(w);
	event.json = tow_buf_peek(&json);
	rc = tow_edge_apply(f->edge, &event);
	tow_buf_deinit(&json);
	return rc;
}

void apply_usual(struct fixture *f)
{
	struct tow_route_writer *w = routes(0, 1);

	add_tenant(w, &f->alice);
	add_tenant(w, &f->bob);
	add_hostname(w, &f->alice, "app.alice.test");
	add_hostname(w, &f->alice, "*.wild.alice.test");
	add_hostname(w, &f->bob, "app.bob.test");
	assert_int_equal(apply(f, w), 0);
}

/* --- agents --- */

void agent_write(struct agent_stream *s, struct tow_slice bytes)
{
	assert_int_equal(tow_quic_stream_write(s->stream, bytes), 0);
}

static void answer(struct agent_stream *s)
{
	static const uint8_t accepted = TOW_STREAM_ACCEPTED, wrong = 0x7f;
	struct tow_slice bytes = tow_buf_peek(&s->in);
	size_t len;

	if (s->header.authority.base == NULL) {
		if (tow_proxy_header_read(bytes, &s->header, &len) != 0)
			return;
		assert_int_equal(tow_buf_append(&s->kept, bytes.base, len), 0);
		assert_int_equal(tow_proxy_header_read(tow_buf_peek(&s->kept), &s->header, &len),
		                 0);
		tow_buf_consume(&s->in, len);
	}
	if (s->agent->habit == HABIT_SILENT || s->stream == NULL)
		return;
	if (s->agent->habit == HABIT_REFUSE) {
		tow_quic_stream_abandon(s->stream, TOW_TUNNEL_ORIGIN_REFUSED);
		s->stream = NULL;
		return;
	}
	if (!s->answered)
		agent_write(s, tow_slice_make(s->agent->habit == HABIT_GARBAGE ? &wrong : &accepted,
		                              1));
	if (s->agent->habit == HABIT_END && !s->answered)
		tow_quic_stream_finish(s->stream);
	s->answered = 1;
	if (s->agent->habit != HABIT_ECHO)
		return;
	if (tow_buf_len(&s->in) > 0)
		agent_write(s, tow_buf_peek(&s->in));
	tow_buf_consume(&s->in, tow_buf_len(&s->in));
	if (s->finished)
		tow_quic_stream_finish(s->stream);
}

static void on_stream_data(void *user, struct tow_slice bytes, int fin)
{
	struct agent_stream *s = user;

	assert_int_equal(tow_buf_append(&s->in, bytes.base, bytes.len), 0);
	tow_quic_stream_consume(s->stream, bytes.len);
	s->finished |= fin;
	answer(s);
}

static void on_stream_datagram(void *user, struct tow_slice payload)
{
	struct agent_stream *s = user;

	s->datagrams++;
	if (s->agent->habit == HABIT_ECHO)
		assert_int_equal(tow_quic_stream_send_datagram(s->stream, payload), 0);
}

static void on_stream_reset(void *user, uint64_t code)
{
	struct agent_stream *s = user;

	s->was_reset = 1;
	s->reset_code = code;
}

static void on_stream_closed(void *user)
{
	struct agent_stream *s = user;

	s->stream = NULL;
}

static void on_nothing(void *user)
{
	(void)user;
}

static const struct tow_quic_stream_events stream_events = {
	.data = on_stream_data,
	.writable = on_nothing,
	.reset = on_stream_reset,
	.stopped = on_stream_reset,
	.datagram = on_stream_datagram,
	.closed = on_stream_closed,
};

static void on_stream_opened(void *user, struct tow_quic_stream *stream)
{
	struct agent *a = user;
	struct agent_stream *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->agent = a;
	s->stream = stream;
	s->next = a->streams;
	a->streams = s;
	a->stream_count++;
	tow_quic_stream_set_events(stream, &stream_events, s);
}

static void on_established(void *user)
{
	struct agent *a = user;

	a->established = 1;
}

static void on_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct agent *a = user;

	a->closed = 1;
	a->conn = NULL;
	a->reason = *reason;
}

static const struct tow_quic_conn_events conn_events = {
	.established = on_established,
	.stream_opened = on_stream_opened,
	.closed = on_closed,
};

static void on_control(void *user, struct tow_slice bytes, int fin)
{
	struct agent *a = user;
	struct tow_control_message m;
	size_t len;

	(void)fin;
	tow_quic_stream_consume(a->control, bytes.len);
	assert_int_equal(tow_buf_append(&a->input, bytes.base, bytes.len), 0);
	while (tow_control_read(tow_buf_peek(&a->input), &m, &len) == 0) {
		tow_buf_consume(&a->input, len);
		switch (m.type) {
		case TOW_CONTROL_WELCOME:
			assert_true(tow_id_equal(&m.edge_id, &a->f->key.id));
			a->welcomed++;
			a->tunnels = m.tunnels;
			break;
		case TOW_CONTROL_REFUSED:
			a->refused = 1;
			a->refused_code = m.code;
			break;
		case TOW_CONTROL_SUPERSEDED: a->superseded_by = m.generation; break;
		case TOW_CONTROL_DRAIN: a->drained = 1; break;
		case TOW_CONTROL_PING:
			a->pings++;
			m.type = TOW_CONTROL_PONG;
			if (!a->mute)
				agent_say(a, &m);
			break;
		default: break;
		}
		tow_control_message_deinit(&m);
	}
}

static void on_control_closed(void *user)
{
	struct agent *a = user;

	a->control = NULL;
}

static void on_control_reset(void *user, uint64_t code)
{
	(void)user;
	(void)code;
}

static const struct tow_quic_stream_events control_events = {
	.data = on_control,
	.writable = on_nothing,
	.reset = on_control_reset,
	.stopped = on_control_reset,
	.closed = on_control_closed,
};

void agent_connect(struct fixture *f, struct agent *a)
{
	struct tow_quic_config config = {
		.loop = f->loop, .log = f->log, .key = &a->key, .alpn = TOW_TUNNEL_ALPN
	};
	struct tow_error err = { 0, "" };

	a->f = f;
	if (tow_id_is_zero(&a->key.id))
		tow_node_key_generate(&a->key);
	assert_int_equal(tow_addr_parse(tow_slice_of("127.0.0.1:0"), &config.udp.bind), 0);
	if (tow_quic_endpoint_new(&config, &a->endpoint, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(tow_quic_connect_at(a->endpoint, tow_edge_tunnel_addr(f->edge), &f->key.id,
	                                     a->worker, f->config.workers, &conn_events, a,
	                                     &a->conn),
	                 0);
	await(f, a->established || a->closed);
	assert_false(a->closed);
}

void agent_say_bytes(struct agent *a, const void *bytes, size_t len)
{
	if (a->control == NULL)
		assert_int_equal(tow_quic_open_stream(a->conn, &control_events, a, &a->control), 0);
	assert_int_equal(tow_quic_stream_write(a->control, tow_slice_make(bytes, len)), 0);
}

void agent_say(struct agent *a, const struct tow_control_message *message)
{
	struct tow_buf out = { NULL, 0, 0, 0 };

	assert_int_equal(tow_control_write(message, &out), 0);
	agent_say_bytes(a, out.base + out.head, tow_buf_len(&out));
	tow_buf_deinit(&out);
}

void agent_hello(struct agent *a, const struct claim *claim)
{
	static const char *const usual[] = { "app.alice.test", "*.wild.alice.test", NULL };
	const char *const *authorities = claim->authorities != NULL ? claim->authorities : usual;
	struct tow_control_message hello = { .type = TOW_CONTROL_HELLO };
	struct tow_entry entry = {
		.version = TOW_ENTRY_VERSION,
		.tenant_id = claim->tenant->id,
		.sequence = 1,
		.timestamp_ms = tow_wall_ms(),
		.op = claim->op != 0 ? (enum tow_entry_op)claim->op : TOW_ENTRY_UPSERT_AGENT,
		.agent_id = claim->agent != NULL ? claim->agent->id : a->key.id,
		.generation = claim->generation != 0 ? claim->generation : 1,
		.services_hash = { claim->services },
		.expires_at_ms = tow_wall_ms() +
		                 (claim->expires_in_ms != 0 ? claim->expires_in_ms : 3600000),
	};
	struct tow_buf jws = { NULL, 0, 0, 0 };
	struct tow_error err = { 0, "" };

	if (claim->expired)
		entry.expires_at_ms = tow_wall_ms() - 1;
	if (tow_entry_sign(&entry, claim->tenant->key, &jws, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(tow_buf_append(&jws, "", 1), 0);
	if (claim->forged) {
		char *signature = strstr((char *)jws.base + jws.head, "\"signature\"");

		assert_non_null(signature);
		signature[100] = signature[100] == 'A' ? 'B' : 'A';
	}
	hello.version = claim->version != 0 ? claim->version : TOW_TUNNEL_VERSION;
	hello.entry = (char *)jws.base + jws.head;
	hello.services = (char **)(uintptr_t)authorities;
	while (authorities[hello.service_count] != NULL)
		hello.service_count++;
	agent_say(a, &hello);
	tow_buf_deinit(&jws);
}

struct agent *agent_up(struct fixture *f, size_t index, const struct claim *claim)
{
	struct agent *a = &f->agents[index];

	agent_connect(f, a);
	agent_hello(a, claim);
	await(f, a->welcomed || a->refused || a->superseded_by);
	assert_true(a->welcomed);
	return a;
}

void agent_leave(struct agent *a)
{
	struct tow_quic_endpoint *endpoint = a->endpoint;

	a->endpoint = NULL;
	tow_quic_endpoint_free(endpoint, TOW_TUNNEL_OK);
}

/* --- visitors --- */

int visit_port(struct fixture *f, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)f;
	assert_true(fd >= 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

int visit(struct fixture *f)
{
	return visit_port(f, tow_edge_addr(f->edge)->port);
}

void visitor_send(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

size_t visitor_read(struct fixture *f, int fd, void *out, size_t len, int *how)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	size_t have = 0;
	char waste[4096];

	*how = 0;
	while (have < len) {
		ssize_t n = out != NULL ? recv(fd, (char *)out + have, len - have, 0)
		                        : recv(fd, waste, sizeof(waste), 0);

		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		if (n == 0 || errno != EAGAIN) {
			*how = n == 0 ? 1 : -1;
			break;
		}
		if (now_ms() > end)
			fail_msg("the visitor waited in vain, with %zu bytes", have);
		turn(f, 10);
	}
	return have;
}

void expect_alert(struct fixture *f, int fd, int alert)
{
	uint8_t expected[TOW_TLS_ALERT_SIZE], got[64];
	int how;

	tow_tls_alert_write((enum tow_tls_alert)alert, expected);
	assert_int_equal(visitor_read(f, fd, got, sizeof(got), &how), sizeof(expected));
	assert_memory_equal(got, expected, sizeof(expected));
	assert_int_equal(how, 1);
	close(fd);
}

void expect_end(struct fixture *f, int fd)
{
	char byte;
	int how;

	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 0);
	close(fd);
}

void expect_reset(struct fixture *f, int fd)
{
	int how;

	visitor_read(f, fd, NULL, SIZE_MAX, &how);
	assert_int_equal(how, -1);
	close(fd);
}

struct tow_buf client_hello(const char *name, const char *alpn, size_t padding)
{
	static uint8_t text[70000];
	struct tow_buf out = { NULL, 0, 0, 0 };
	struct tow_writer w = tow_writer_of(text, sizeof(text)), extensions;
	uint8_t *space = malloc(65536);
	size_t name_len = name != NULL ? strlen(name) : 0;

	assert_non_null(space);
	extensions = tow_writer_of(space, 65536);
	if (name != NULL) {
		tow_write_u16(&extensions, 0);
		tow_write_u16(&extensions, (uint16_t)(name_len + 5));
		tow_write_u16(&extensions, (uint16_t)(name_len + 3));
		tow_write_u8(&extensions, 0);
		tow_write_u16(&extensions, (uint16_t)name_len);
		tow_write_bytes(&extensions, name, name_len);
	}
	if (alpn != NULL) {
		tow_write_u16(&extensions, 16);
		tow_write_u16(&extensions, (uint16_t)(strlen(alpn) + 3));
		tow_write_u16(&extensions, (uint16_t)(strlen(alpn) + 1));
		tow_write_u8(&extensions, (uint8_t)strlen(alpn));
		tow_write_bytes(&extensions, alpn, strlen(alpn));
	}
	tow_write_u16(&extensions, 21); /* padding, RFC 7685 */
	tow_write_u16(&extensions, (uint16_t)padding);
	for (size_t i = 0; i < padding; i++)
		tow_write_u8(&extensions, 0);
	tow_write_u8(&w, 22);
	tow_write_u16(&w, 0x0301);
	tow_write_u16(&w, (uint16_t)(extensions.len + 47));
	tow_write_u8(&w, 1);
	tow_write_uint(&w, extensions.len + 43, 3);
	tow_write_u16(&w, 0x0303);
	for (int i = 0; i < 32; i++)
		tow_write_u8(&w, (uint8_t)i);
	tow_write_u8(&w, 0);
	tow_write_u16(&w, 2);
	tow_write_u16(&w, 0x1301);
	tow_write_u8(&w, 1);
	tow_write_u8(&w, 0);
	tow_write_u16(&w, (uint16_t)extensions.len);
	tow_write_bytes(&w, extensions.base, extensions.len);
	assert_false(tow_writer_failed(&w) || tow_writer_failed(&extensions));
	assert_int_equal(tow_buf_append(&out, w.base, w.len), 0);
	free(space);
	return out;
}

void visit_says_hello(int fd, const char *name)
{
	struct tow_buf hello = client_hello(name, NULL, 0);

	visitor_send(fd, hello.base + hello.head, tow_buf_len(&hello));
	tow_buf_deinit(&hello);
}

/* --- metrics --- */

int64_t metric(struct fixture *f, const char *name, const char *labels)
{
	struct tow_buf text = { NULL, 0, 0, 0 };
	char start[256];
	int64_t value = 0;
	char *line;

	snprintf(start, sizeof(start), labels != NULL ? "\n%s{%s} " : "\n%s ", name, labels);
	assert_int_equal(tow_metrics_render(f->metrics, &text), 0);
	assert_int_equal(tow_buf_append(&text, "", 1), 0);
	line = strstr((char *)text.base + text.head, start);
	if (line == NULL)
		fail_msg("no metric %s", start + 1);
	else
		value = strtoll(line + strlen(start), NULL, 10);
	tow_buf_deinit(&text);
	return value;
}

int64_t refused(struct fixture *f, const char *reason)
{
	char label[64];

	return metric(f, "towonel_edge_connections_refused_total",
	              tow_metric_label(label, sizeof(label), "reason", reason));
}
