/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>

static int64_t outcome(struct fixture *f, const char *name)
{
	char label[64];

	return metric(f, "towonel_edge_agent_hellos_total",
	              tow_metric_label(label, sizeof(label), "outcome", name));
}

static int serving(struct fixture *f)
{
	return (int)metric(f, "towonel_edge_agents_connected", NULL);
}

/* Answers the last ping, late. */
static void agent_pong(struct agent *a)
{
	struct tow_control_message pong = { .type = TOW_CONTROL_PONG, .ping_id = a->pings };

	agent_say(a, &pong);
}

/* A visitor of alice's name arrives at one of the agents; returns its socket. */
static int visit_alice(struct fixture *f)
{
	int fd = visit(f), how;
	char byte;

	visit_says_hello(fd, "app.alice.test");
	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 1);
	return fd;
}

static void hellos_are_judged(void **state)
{
	struct fixture *f = *state;
	struct tow_node_key other;
	struct {
		struct claim claim;
		const char *outcome;
		uint64_t code;
	} cases[] = {
		{ { .tenant = &f->alice, .expired = 1 }, "expired", TOW_TUNNEL_UNAUTHORIZED },
		{ { .tenant = &f->alice, .agent = &other }, "wrong_key", TOW_TUNNEL_UNAUTHORIZED },
		{ { .tenant = &f->alice, .forged = 1 }, "bad_signature", TOW_TUNNEL_UNAUTHORIZED },
		{ { .tenant = &f->alice, .op = TOW_ENTRY_REVOKE_AGENT },
		  "bad_entry",
		  TOW_TUNNEL_UNAUTHORIZED },
		{ { .tenant = &f->alice, .version = 2 }, "version", TOW_TUNNEL_VERSION_REFUSED },
	};

	tow_node_key_generate(&other);
	fixture_start(f);
	apply_usual(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct agent *a = &f->agents[i % AGENTS_MAX];
		int64_t before = outcome(f, cases[i].outcome);

		agent_free(a);
		agent_connect(f, a);
		agent_hello(a, &cases[i].claim);
		await(f, a->closed);
		assert_int_equal(a->welcomed, 0);
		assert_int_equal(a->refused, 1);
		assert_int_equal(a->refused_code, cases[i].code);
		assert_true(a->reason.by_peer && a->reason.application);
		assert_int_equal(a->reason.code, cases[i].code);
		assert_int_equal(outcome(f, cases[i].outcome), before + 1);
	}
	assert_int_equal(serving(f), 0);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "\0\0\0\2{]", 6 },
		{ "\xff\xff\xff\xff{}", 6 },
		{ "\0\0\0\x10{\"type\":\"hello\"}", 20 },
		{ "\0\0\0\x0f{\"type\":\"none\"}", 19 }, /* before a hello */
	};
	struct fixture *f = *state;

	fixture_start(f);
	apply_usual(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct agent *a = &f->agents[i];

		agent_connect(f, a);
		agent_say_bytes(a, cases[i].bytes, cases[i].len);
		await(f, a->closed);
		assert_true(a->reason.application);
		assert_true(a->reason.code == TOW_TUNNEL_PROTOCOL ||
		            a->reason.code == TOW_TUNNEL_VERSION_REFUSED);
		assert_int_equal(a->welcomed, 0);
	}
}

static void silence_is_not_waited_out(void **state)
{
	struct fixture *f = *state;

	f->timing.agent_hello_ns = 80 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	apply_usual(f);
	agent_connect(f, &f->agents[0]); /* opens no stream */
	agent_connect(f, &f->agents[1]);
	agent_say_bytes(&f->agents[1], "\0\0\1", 3);
	await(f, f->agents[0].closed && f->agents[1].closed);
	assert_int_equal(outcome(f, "timeout"), 2);
}

/* Who is not accepted yet may say little. */
static void a_chatterer_is_refused(void **state)
{
	static const struct tow_control_message ping = { .type = TOW_CONTROL_PING };
	struct fixture *f = *state;
	struct agent *a = &f->agents[0];

	fixture_start(f);
	agent_connect(f, a);
	agent_hello(a, &(struct claim){ .tenant = &f->alice });
	for (int i = 1; i < TOW_AGENT_EARLY_MESSAGES; i++)
		agent_say(a, &ping);
	pass(f, 50);
	assert_int_equal(a->refused + a->closed, 0);
	agent_say(a, &ping);
	await(f, a->closed);
	assert_int_equal(a->refused_code, TOW_TUNNEL_PROTOCOL);
}

/* The table may be a moment behind the hub's acceptance. */
static void an_unknown_tenant_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct agent *a = &f->agents[0];

	fixture_start(f);
	agent_connect(f, a);
	agent_hello(a, &(struct claim){ .tenant = &f->alice });
	pass(f, 50);
	assert_int_equal(a->welcomed + a->refused + a->closed, 0);
	apply_usual(f);
	await(f, a->welcomed);
	close(visit_alice(f));
}

static void an_unknown_tenant_is_refused_in_the_end(void **state)
{
	struct fixture *f = *state;
	struct agent *a = &f->agents[0];

	f->timing.tenant_wait_ns = 60 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	agent_connect(f, a);
	agent_hello(a, &(struct claim){ .tenant = &f->alice });
	await(f, a->closed);
	assert_int_equal(a->refused_code, TOW_TUNNEL_UNAUTHORIZED);
	assert_int_equal(outcome(f, "unknown_tenant"), 1);
}

static void replicas_share(void **state)
{
	struct fixture *f = *state;
	int fds[6];

	fixture_start(f);
	apply_usual(f);
	for (size_t i = 0; i < 3; i++)
		agent_up(f, i, &(struct claim){ .tenant = &f->alice, .generation = i + 1 });
	assert_int_equal(serving(f), 3);
	for (size_t i = 0; i < 6; i++)
		fds[i] = visit_alice(f);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->agents[i].stream_count, 2);
		assert_int_equal(f->agents[i].superseded_by, 0);
	}
	for (size_t i = 0; i < 6; i++)
		close(fds[i]);
}

static void a_newer_set_supersedes(void **state)
{
	struct fixture *f = *state;
	struct agent *old, *replica, *newer, *late = &f->agents[3];
	int before, after;

	fixture_start(f);
	apply_usual(f);
	old = agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .generation = 10 });
	before = visit_alice(f);
	replica = agent_up(f, 1, &(struct claim){ .tenant = &f->alice, .generation = 11 });
	newer = agent_up(f, 2,
	                 &(struct claim){ .tenant = &f->alice, .generation = 12, .services = 1 });
	await(f, old->superseded_by == 12 && replica->superseded_by == 12);
	assert_int_equal(serving(f), 1);
	assert_int_equal(metric(f, "towonel_edge_agents_superseded_total", NULL), 2);
	after = visit_alice(f);
	assert_int_equal(newer->stream_count, 1);
	/* what runs goes on */
	assert_int_equal(old->stream_count, 1);
	visitor_send(before, "ping", 4);
	await(f, old->streams->answered);
	assert_false(old->closed);
	/* one of the older set comes late */
	agent_connect(f, late);
	agent_hello(late, &(struct claim){ .tenant = &f->alice, .generation = 9 });
	await(f, late->superseded_by == 12);
	assert_int_equal(late->welcomed, 0);
	assert_int_equal(serving(f), 1);
	assert_int_equal(outcome(f, "superseded"), 1);
	close(before);
	close(after);
	/* when the newer set is gone, an older one is better than none */
	agent_leave(newer);
	await(f, serving(f) == 0);
	agent_hello(late, &(struct claim){ .tenant = &f->alice, .generation = 9 });
	await(f, late->welcomed);
	close(visit_alice(f));
	assert_int_equal(late->stream_count, 1);
}

static void an_agent_may_say_hello_again(void **state)
{
	static const char *const more[] = { "*.wild.alice.test", "app.alice.test", "new.alice.test",
		                            NULL };
	struct fixture *f = *state;
	struct agent *a;
	int fd;

	fixture_start(f);
	apply_usual(f);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .generation = 1 });
	fd = visit_alice(f);
	agent_hello(a, &(struct claim){ .tenant = &f->alice,
	                                .generation = 2,
	                                .services = 1,
	                                .authorities = more });
	await(f, a->welcomed == 2);
	assert_int_equal(serving(f), 1);
	assert_int_equal(a->superseded_by, 0);
	close(visit_alice(f));
	close(fd);
	assert_int_equal(a->stream_count, 2);
}

/* The same key over a new connection: the old one is not used any more. */
/* Each is verified, and told of in the log. */
static void hellos_without_end_are_too_many(void **state)
{
	struct fixture *f = *state;
	struct agent *a;

	fixture_start(f);
	apply_usual(f);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	for (int i = 0; i < TOW_AGENT_HELLOS_PER_MINUTE + 5; i++)
		agent_hello(a, &(struct claim){ .tenant = &f->alice });
	await(f, a->closed);
	assert_int_equal(outcome(f, "welcome"), TOW_AGENT_HELLOS_PER_MINUTE + 1);
	assert_int_equal(outcome(f, "protocol"), 1);
}

static void an_agent_that_comes_back_replaces_itself(void **state)
{
	struct fixture *f = *state;
	struct agent *first, *second = &f->agents[1];

	fixture_start(f);
	apply_usual(f);
	first = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	second->key = first->key;
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	assert_int_equal(serving(f), 1);
	close(visit_alice(f));
	close(visit_alice(f));
	assert_int_equal(first->stream_count, 0);
	assert_int_equal(second->stream_count, 2);
}

static void an_agent_that_drains_gets_nothing_new(void **state)
{
	struct fixture *f = *state;
	struct tow_control_message drain = { .type = TOW_CONTROL_DRAIN };
	struct agent *a;
	int fd;

	fixture_start(f);
	apply_usual(f);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	fd = visit_alice(f);
	agent_say(a, &drain);
	await(f, serving(f) == 0);
	assert_false(a->closed);
	visitor_send(fd, "x", 1);
	await(f, a->streams->answered);
	close(fd);
}

static void a_removed_tenant_is_cut_off(void **state)
{
	struct fixture *f = *state;
	struct tow_route_writer *w = routes(1, 2);
	static const char *const bobs[] = { "app.bob.test", NULL };
	struct agent *again = &f->agents[3];
	int fd;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	agent_up(f, 2, &(struct claim){ .tenant = &f->bob, .authorities = bobs });
	fd = visit_alice(f);
	tow_route_write_tenant_removed(w, &f->alice.id);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(serving(f), 1);
	expect_reset(f, fd);
	await(f, f->agents[0].closed && f->agents[1].closed);
	assert_int_equal(f->agents[0].reason.code, TOW_TUNNEL_UNAUTHORIZED);
	assert_false(f->agents[2].closed);
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_UNRECOGNIZED_NAME);
	/* and does not get back in */
	agent_connect(f, again);
	agent_hello(again, &(struct claim){ .tenant = &f->alice });
	pass(f, 50);
	assert_int_equal(again->welcomed, 0);
}

/* After a snapshot only what is in it counts: an edge may have missed any number of changes. */
static void a_snapshot_cuts_off_who_is_not_in_it(void **state)
{
	static const char *const bobs[] = { "app.bob.test", NULL };
	struct fixture *f = *state;
	struct tow_route_writer *w = routes(0, 9);
	int fd;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	agent_up(f, 1, &(struct claim){ .tenant = &f->bob, .authorities = bobs });
	fd = visit_alice(f);
	add_tenant(w, &f->bob);
	add_hostname(w, &f->bob, "app.bob.test");
	assert_int_equal(apply(f, w), 0);
	expect_reset(f, fd);
	await(f, f->agents[0].closed);
	assert_false(f->agents[1].closed);
	assert_int_equal(serving(f), 1);
}

static void a_revoked_agent_is_cut_off(void **state)
{
	struct fixture *f = *state;
	struct tow_route_writer *w = routes(1, 2);
	struct agent *a, *other, *again = &f->agents[2];
	struct tow_node_key key;
	int fds[2];

	fixture_start(f);
	apply_usual(f);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	other = agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	fds[0] = visit_alice(f);
	fds[1] = visit_alice(f);
	key = a->key;
	tow_route_write_revoked_agent(w, &f->alice.id, &key.id, tow_wall_ms() + 3600000);
	assert_int_equal(apply(f, w), 0);
	await(f, a->closed);
	assert_int_equal(a->reason.code, TOW_TUNNEL_UNAUTHORIZED);
	assert_false(other->closed);
	assert_int_equal(serving(f), 1);
	close(fds[0]);
	close(fds[1]);
	close(visit_alice(f));
	again->key = key;
	agent_connect(f, again);
	agent_hello(again, &(struct claim){ .tenant = &f->alice });
	await(f, again->closed);
	assert_int_equal(outcome(f, "revoked"), 1);
}

static void pings_go_both_ways(void **state)
{
	struct fixture *f = *state;
	struct tow_control_message ping = { .type = TOW_CONTROL_PING, .ping_id = 7, .sent_ms = 1 };
	struct agent *a, *mute = &f->agents[1];
	struct tow_buf notes = { 0 };
	int fds[2], cut;

	f->timing.ping_interval_ns = 30 * TOW_NSEC_PER_MSEC;
	f->timing.ping_timeout_ns = 800 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	apply_usual(f);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	agent_say(a, &ping);
	await(f, a->pings >= 3);
	assert_true(metric(f, "towonel_edge_agent_pongs_total", NULL) >= 2);
	assert_true(metric(f, "towonel_edge_agent_rtt_microseconds_total", NULL) > 0);
	await(f, metric(f, "towonel_edge_agent_rtt_min_microseconds", NULL) > 0);
	/* one that does not answer is given up, and so are its visitors */
	mute->mute = 1;
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	fds[0] = visit_alice(f);
	cut = mute->stream_count == 1 ? 0 : 1;
	fds[1] = visit_alice(f);
	assert_int_equal(mute->stream_count, 1);
	await(f, metric(f, "towonel_edge_agents_late", NULL) == 1);
	tow_edge_notes(f->edge, &notes);
	tow_buf_append(&notes, "", 1);
	assert_non_null(strstr((const char *)notes.base, "1 of 2 agents owe an answer"));
	tow_buf_deinit(&notes);
	await(f, mute->closed);
	assert_int_equal(mute->reason.code, TOW_TUNNEL_IDLE);
	assert_int_equal(metric(f, "towonel_edge_agents_lost_total", NULL), 1);
	assert_int_equal(metric(f, "towonel_edge_agents_late", NULL), 0);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	assert_false(a->closed);
	expect_reset(f, fds[cut]);
	close(fds[1 - cut]);
}

/* A visitor that an agent lets wait is a sign: the next ones go elsewhere, until it
 * answers a ping. */
static void one_that_lets_visitors_wait_is_avoided(void **state)
{
	struct fixture *f = *state;
	struct agent *slow, *other;
	int fds[4];

	f->timing.dial_ns = 60 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	apply_usual(f);
	slow = agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	slow->habit = HABIT_SILENT;
	slow->mute = 1;
	other = agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	pass(f, 20);
	for (size_t i = 0; i < 4; i++) /* the first two meet both, in whatever order */
		fds[i] = visit_alice(f);
	assert_int_equal(slow->stream_count, 1);
	assert_int_equal(other->stream_count, 4);
	slow->mute = 0;
	slow->habit = HABIT_ECHO;
	agent_pong(slow);
	pass(f, 20);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	close(visit_alice(f));
	close(visit_alice(f));
	assert_true(slow->stream_count > 1);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(hellos_are_judged),
		EDGE_TEST(nonsense_is_refused),
		EDGE_TEST(silence_is_not_waited_out),
		EDGE_TEST(a_chatterer_is_refused),
		EDGE_TEST(an_unknown_tenant_is_waited_for),
		EDGE_TEST(an_unknown_tenant_is_refused_in_the_end),
		EDGE_TEST(replicas_share),
		EDGE_TEST(a_newer_set_supersedes),
		EDGE_TEST(an_agent_may_say_hello_again),
		EDGE_TEST(hellos_without_end_are_too_many),
		EDGE_TEST(an_agent_that_comes_back_replaces_itself),
		EDGE_TEST(an_agent_that_drains_gets_nothing_new),
		EDGE_TEST(a_removed_tenant_is_cut_off),
		EDGE_TEST(a_snapshot_cuts_off_who_is_not_in_it),
		EDGE_TEST(a_revoked_agent_is_cut_off),
		EDGE_TEST(pings_go_both_ways),
		EDGE_TEST(one_that_lets_visitors_wait_is_avoided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
