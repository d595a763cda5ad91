/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "drivers.h"

#define TCP(t, name, port) ports_entry_of((t), TOW_ENTRY_UPSERT_TCP_SERVICE, (name), (port), 1)

static int show_tenant(void *user, const struct tow__tenant *tenant)
{
	for (size_t i = 0; i < tenant->hostnames.count; i++)
		tow_buf_printf(user, "%s ", tenant->hostnames.items[i]);
	for (size_t i = 0; i < tenant->agent_count; i++)
		tow_buf_printf(user, "agent%u@%llu ", tenant->agents[i].id.bytes[0],
		               (unsigned long long)tenant->agents[i].generation);
	for (size_t i = 0; i < tenant->port_count; i++)
		tow_buf_printf(user, "%u ", tenant->ports[i].number);
	return 0;
}

/* Of the only tenant. */
static void expect_state(struct fixture *f, uint64_t now_ms, const char *want)
{
	struct tow_buf text = { 0 };
	struct tow__fault fault = { 0 };
	struct tow__page page = { 10, 0 };
	uint64_t total;

	assert_int_equal(
		tow__store_tenant_list(f->store, &page, now_ms, show_tenant, &text, &total, &fault),
		0);
	assert_int_equal(tow_buf_append(&text, "", 1), 0);
	assert_string_equal((const char *)tow_buf_peek(&text).base, want);
	tow_buf_deinit(&text);
}

static int count_entry(void *user, uint64_t sequence, struct tow_slice jws)
{
	assert_true(sequence > 0);
	assert_true(jws.len > 0);
	++*(uint64_t *)user;
	return 0;
}

static void expect_log(struct fixture *f, struct tenant *t, uint64_t count, uint64_t latest)
{
	struct tow__fault fault = { 0 };
	struct tow__page page = { 100000, 0 };
	uint64_t seen = 0, last = 0;

	assert_int_equal(tow__store_entries(f->store, &t->invite.tenant_id, &page, count_entry,
	                                    &seen, &last, &fault),
	                 0);
	assert_int_equal(seen, count);
	assert_int_equal(last, latest);
}

static void hostnames_stay_within_the_patterns(void **state)
{
	static const struct {
		const char *name;
		int allowed;
	} cases[] = {
		{ "app.a.eu", 1 },   { "x.wild.eu", 1 },   { "*.wild.eu", 1 },
		{ "other.a.eu", 0 }, { "x.y.wild.eu", 0 }, { "wild.eu", 0 },
		{ "*.a.eu", 0 },     { "*.app.a.eu", 0 },  { "*.x.wild.eu", 0 },
	};
	static const enum tow_entry_op ops[] = { TOW_ENTRY_UPSERT_HOSTNAME,
		                                 TOW_ENTRY_SET_HOSTNAME_TLS,
		                                 TOW_ENTRY_DELETE_HOSTNAME };
	struct fixture *f = *state;
	struct tenant t;

	tenant_make_ok(f, &t, "t", "app.a.eu,*.wild.eu");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t j = 0; j < sizeof ops / sizeof *ops; j++) {
			struct tow_entry e = entry_of(&t, ops[j], cases[i].name);
			if (cases[i].allowed)
				submit_ok(f, &t, e);
			else
				submit_refused(f, &t, e, TOW__HOSTNAME_NOT_OWNED, cases[i].name);
		}
	expect_state(f, NOW, "");
	submit_refused(f, &t, entry_of(&t, TOW_ENTRY_SET_HOSTNAME_TLS, "app.a.eu"), TOW__NOT_FOUND,
	               "not in use");
	/* deleting what is not there is what was wanted */
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_DELETE_HOSTNAME, "app.a.eu"));
	tenant_deinit(&t);
}

static void a_sequence_is_used_once(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow_entry first, e;

	tenant_make_ok(f, &t, "t", "t.eu");
	first = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu");
	submit_ok(f, &t, first);
	submit_refused(f, &t, first, TOW__SEQUENCE_CONFLICT, "sequence 1");
	e = entry_of(&t, TOW_ENTRY_DELETE_HOSTNAME, "t.eu");
	e.sequence = 10;
	submit_ok(f, &t, e);
	e.sequence = 5; /* lower, but unused */
	submit_ok(f, &t, e);
	submit_refused(f, &t, first, TOW__SEQUENCE_CONFLICT, "the latest is 10");
	expect_log(f, &t, 3, 10);
	/* ownership comes before */
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "not.mine.eu");
	e.sequence = 1;
	submit_refused(f, &t, e, TOW__HOSTNAME_NOT_OWNED, "not.mine.eu");
	tenant_deinit(&t);
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct tenant t, other;
	struct tow_entry batch[4];
	struct tow__fault fault;
	uint64_t version;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	tenant_make_ok(f, &other, "other", "o.eu");
	version = tow__store_version(f->store);
	batch[0] = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu");
	batch[1] = TCP(&t, "ssh", 2222);
	batch[2] = agent_entry_of(&t, 1, 1, 1, NOW + 1000);
	batch[3] = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu");
	assert_int_equal(submit(f, &t, batch, 4, &fault), TOW__HOSTNAME_NOT_OWNED);
	assert_non_null(strstr(fault.text, "entry 4 of 4"));
	expect_log(f, &t, 0, 0);
	expect_ports(f, "");
	assert_int_equal(tow__store_version(f->store), version);
	batch[3] = batch[0];
	assert_int_equal(submit(f, &t, batch, 4, &fault), TOW__SEQUENCE_CONFLICT);
	expect_log(f, &t, 0, 0);
	batch[3] = TCP(&t, "git", 2222); /* taken by the one before */
	assert_int_equal(submit(f, &t, batch, 4, &fault), TOW__PORT_IN_USE);
	expect_ports(f, "");
	/* and it all was one version */
	assert_int_equal(submit(f, &t, batch, 3, &fault), 0);
	assert_int_equal(tow__store_version(f->store), version + 1);
	expect_log(f, &t, 3, 3);
	expect_ports(f, "tcp/2222=ssh ");
	tenant_deinit(&t);
	tenant_deinit(&other);
}

/* The JWS of one entry with the signature of another. */
static void transplant(struct tow_slice entry, struct tow_slice signature, struct tow_buf *out)
{
	json_t *a = json_loadb((const char *)entry.base, entry.len, 0, NULL);
	json_t *b = json_loadb((const char *)signature.base, signature.len, 0, NULL);
	char *text;

	assert_int_equal(json_object_set(a, "signature", json_object_get(b, "signature")), 0);
	text = json_dumps(a, JSON_COMPACT);
	assert_int_equal(tow_buf_append_text(out, text), 0);
	free(text);
	json_decref(a);
	json_decref(b);
}

/* A JWS of a version that this hub does not know, signed by signer in the name of t. */
static void sign_version_2(struct tenant *t, struct tenant *signer, struct tow_buf *out)
{
	char id[TOW_ID_TEXT_SIZE], payload[200], input[400], p[TOW_BASE64URL_SIZE(200)],
		s[TOW_BASE64URL_SIZE(TOW_MLDSA_SIGNATURE_SIZE)];
	static const char header[] = "eyJhbGciOiJNTC1EU0EtNjUifQ";
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
	int len = snprintf(payload, sizeof payload,
	                   "{\"version\":2,\"tenant_id\":\"%s\",\"op\":\"new\"}",
	                   tow_id_format(&t->invite.tenant_id, id));

	tow_base64url_encode(payload, (size_t)len, p);
	snprintf(input, sizeof input, "%s.%s", header, p);
	assert_int_equal(tow_tenant_key_sign(signer->key, tow_slice_of(input), signature), 0);
	tow_base64url_encode(signature, sizeof signature, s);
	assert_int_equal(
		tow_buf_printf(out,
	                       "{\"payload\":\"%s\",\"protected\":\"%s\",\"signature\":\"%s\"}", p,
	                       header, s),
		0);
}

static void another_version_is_refused_after_the_signature(void **state)
{
	struct fixture *f = *state;
	struct tenant t, stranger;
	struct tow__fault fault = { 0 };
	struct tow_buf own = { 0 }, foreign = { 0 };
	struct tow_slice text;
	struct tow__submission in = { &text, 1, NULL, NOW };
	struct tow__submitted out = { 0 };

	tenant_make_ok(f, &t, "t", "t.eu");
	tenant_make_ok(f, &stranger, "stranger", "s.eu");
	sign_version_2(&t, &t, &own);
	sign_version_2(&t, &stranger, &foreign);
	text = tow_buf_peek(&own);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault),
	                 TOW__UNSUPPORTED_VERSION);
	assert_false(out.is_signed);
	fault.kind = 0;
	text = tow_buf_peek(&foreign);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault),
	                 TOW__INVALID_SIGNATURE);
	fault.kind = 0;
	assert_int_equal(tow__store_tenant_remove(f->store, &t.invite.tenant_id, NOW, &fault), 0);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault),
	                 TOW__TENANT_NOT_ALLOWED);
	tow_buf_deinit(&own);
	tow_buf_deinit(&foreign);
	tenant_deinit(&t);
	tenant_deinit(&stranger);
}

static void a_batch_is_of_one_tenant(void **state)
{
	struct fixture *f = *state;
	struct tenant t, other;
	struct tow_entry e;
	struct tow_buf texts[2] = { { 0 } };
	struct tow_slice jws[2];
	struct tow__submission in = { jws, 2, NULL, NOW };
	struct tow__fault fault = { 0 };
	struct tow__submitted out = { 0 };

	tenant_make_ok(f, &t, "t", "t.eu");
	tenant_make_ok(f, &other, "other", "o.eu");
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu");
	assert_int_equal(tow_entry_sign(&e, t.key, &texts[0], NULL), 0);
	e = entry_of(&other, TOW_ENTRY_UPSERT_HOSTNAME, "o.eu");
	assert_int_equal(tow_entry_sign(&e, other.key, &texts[1], NULL), 0);
	for (int i = 0; i < 2; i++)
		jws[i] = tow_buf_peek(&texts[i]);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault), TOW__INVALID_REQUEST);
	expect_log(f, &t, 0, 0);
	for (int i = 0; i < 2; i++)
		tow_buf_deinit(&texts[i]);
	tenant_deinit(&t);
	tenant_deinit(&other);
}

static void who_did_not_sign_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tenant t, stranger;
	struct tow__fault fault = { 0 };
	struct tow_entry e;
	struct tow_buf own = { 0 }, foreign = { 0 }, forged = { 0 };
	struct tow_slice text;
	struct tow__submission in = { &text, 1, NULL, NOW };
	struct tow__submitted out = { 0 };

	tenant_make_ok(f, &t, "t", "t.eu");
	tenant_make_ok(f, &stranger, "stranger", "s.eu");
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "not.mine.eu");
	assert_int_equal(tow_entry_sign(&e, t.key, &own, NULL), 0);
	e = entry_of(&stranger, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu");
	assert_int_equal(tow_entry_sign(&e, stranger.key, &foreign, NULL), 0);
	/* the signature comes before ownership */
	transplant(tow_buf_peek(&own), tow_buf_peek(&foreign), &forged);
	text = tow_buf_peek(&forged);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault),
	                 TOW__INVALID_SIGNATURE);
	/* the tenant before the signature */
	fault.kind = 0;
	assert_int_equal(tow__store_tenant_remove(f->store, &t.invite.tenant_id, NOW, &fault), 0);
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault),
	                 TOW__TENANT_NOT_ALLOWED);
	/* no entry at all */
	fault.kind = 0;
	text = tow_slice_of("{\"payload\":\"\"}");
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault), TOW__INVALID_REQUEST);
	fault.kind = 0;
	in.count = 0;
	assert_int_equal(tow__store_submit(f->store, &in, &out, &fault), TOW__INVALID_REQUEST);
	expect_log(f, &stranger, 0, 0);
	tow_buf_deinit(&own);
	tow_buf_deinit(&foreign);
	tow_buf_deinit(&forged);
	tenant_deinit(&t);
	tenant_deinit(&stranger);
}

static void agents_come_refresh_expire_and_are_revoked(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	struct tow_entry e, replay;

	tenant_make_ok(f, &t, "t", "t.eu");
	replay = agent_entry_of(&t, 1, 100, 1, NOW + 1000);
	submit_ok(f, &t, replay);
	submit_ok(f, &t, agent_entry_of(&t, 2, 200, 1, NOW + 5000));
	expect_state(f, NOW, "agent1@100 agent2@200 ");
	expect_state(f, NOW + 1000, "agent2@200 ");
	for (int i = 0; i < 20; i++)
		submit_ok(f, &t, agent_entry_of(&t, 1, 100, 1, NOW + 2000));
	expect_state(f, NOW + 1000, "agent1@100 agent2@200 ");
	/* only the last of them is kept, but none can be sent again */
	expect_log(f, &t, 2, 22);
	submit_refused(f, &t, replay, TOW__SEQUENCE_CONFLICT, "sequence 1 ");
	submit_refused(f, &t, agent_entry_of(&t, 3, 1, 1, NOW), TOW__INVALID_REQUEST, "expired");
	t.sequence--;
	assert_int_equal(tow__store_agent_check(f->store, &t.invite.tenant_id, &replay.agent_id,
	                                        NOW, &fault),
	                 0);
	assert_int_equal(tow__store_agent_check(f->store, &t.invite.tenant_id, &replay.agent_id,
	                                        NOW + 2000, &fault),
	                 TOW__TENANT_NOT_ALLOWED);
	fault.kind = 0;

	e = entry_of(&t, TOW_ENTRY_REVOKE_AGENT, NULL);
	e.agent_id = replay.agent_id;
	submit_ok(f, &t, e);
	expect_state(f, NOW, "agent2@200 ");
	assert_int_equal(
		tow__store_agent_check(f->store, &t.invite.tenant_id, &e.agent_id, NOW, &fault),
		TOW__AGENT_REVOKED);
	fault.kind = 0;
	submit_refused(f, &t, agent_entry_of(&t, 1, 100, 1, NOW + 9000), TOW__AGENT_REVOKED,
	               "revoked");
	t.sequence--;

	assert_int_equal(tow__store_sweep(f->store, NOW + 5000, &fault), 0);
	expect_state(f, NOW, "");
	expect_log(f, &t, 0, 23);
	e = agent_entry_of(&t, 2, 200, 1, NOW + 5000);
	e.sequence = 2;
	submit_refused(f, &t, e, TOW__SEQUENCE_CONFLICT, "sequence 2 ");
	tenant_deinit(&t);
}

static void a_newer_agent_with_other_services_supersedes(void **state)
{
	static const struct {
		uint64_t generation;
		uint8_t hash;
		int superseded;
	} cases[] = {
		{ 100, 1, 1 }, /* older, other services than agent 2 */
		{ 100, 2, 0 }, /* a replica of it */
		{ 200, 1, 0 }, /* as new */
		{ 300, 1, 0 },
	};
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	struct tow__agent agent = { .generation = 0 };
	struct tow__siblings siblings;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, agent_entry_of(&t, 1, 100, 1, NOW + 2000));
	submit_ok(f, &t, agent_entry_of(&t, 2, 200, 2, NOW + 1000));
	memset(agent.id.bytes, 1, sizeof agent.id.bytes);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		agent.generation = cases[i].generation;
		memset(agent.services_hash, cases[i].hash, sizeof agent.services_hash);
		siblings.superseded = -1;
		assert_int_equal(tow__store_agent_siblings(f->store, &t.invite.tenant_id, &agent,
		                                           NOW, &siblings, &fault),
		                 0);
		assert_int_equal(siblings.superseded, cases[i].superseded);
		/* not by one that has expired */
		assert_int_equal(tow__store_agent_siblings(f->store, &t.invite.tenant_id, &agent,
		                                           NOW + 1000, &siblings, &fault),
		                 0);
		assert_int_equal(siblings.superseded, 0);
	}
	agent.id.bytes[0] = 9;
	assert_int_equal(tow__store_agent_siblings(f->store, &t.invite.tenant_id, &agent, NOW,
	                                           &siblings, &fault),
	                 TOW__TENANT_NOT_ALLOWED);
	tenant_deinit(&t);
}

static void a_tenant_leaves_by_itself(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow_entry leave, batch[2];
	struct tow__fault fault;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu"));
	leave = entry_of(&t, TOW_ENTRY_LEAVE, NULL);
	/* only by itself, where leaving is asked for */
	batch[0] = leave;
	batch[1] = entry_of(&t, TOW_ENTRY_DELETE_HOSTNAME, "t.eu");
	assert_int_equal(submit(f, &t, batch, 2, &fault), TOW__UNSUPPORTED_OP);
	submit_ok(f, &t, leave);
	submit_refused(f, &t, leave, TOW__TENANT_NOT_ALLOWED, "");
	tenant_deinit(&t);
	tenant_make_ok(f, &t, "again", "t.eu");
	tenant_deinit(&t);
}

/* What a reader of the log makes of it, by sequence. */
static int replay(void *user, uint64_t sequence, struct tow_slice jws)
{
	json_t *names = user;
	struct tow_entry e;

	assert_int_equal(tow_entry_peek(jws, &e, NULL), 0);
	assert_int_equal(e.sequence, sequence);
	if (e.op == TOW_ENTRY_DELETE_HOSTNAME)
		json_object_del(names, e.name);
	else
		json_object_set_new(names, e.name, json_integer(e.tls_mode));
	return 0;
}

static int note_last(void *user, uint64_t sequence, struct tow_slice jws)
{
	json_object_set_new(user, "last", json_integer((json_int_t)sequence));
	return replay(user, sequence, jws);
}

/* However often hostnames come and go, the log stays in proportion to what it comes to, and says
 * the same. */
static void a_long_log_loses_what_is_void(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	struct tow__page page = { 1000, 0 };
	struct tow_entry e, first;
	json_t *want = json_object(), *got = json_object();
	uint64_t latest, seen = 0;
	char name[32];

	f->config.entries_kept = 20;
	fixture_reopen(f);
	tenant_make_ok(f, &t, "t", "*.t.eu");
	srandom(3);
	for (int i = 0; i < 300; i++) {
		static const enum tow_entry_op ops[] = { TOW_ENTRY_UPSERT_HOSTNAME,
			                                 TOW_ENTRY_DELETE_HOSTNAME,
			                                 TOW_ENTRY_SET_HOSTNAME_TLS };
		snprintf(name, sizeof name, "n%ld.t.eu", random() % 5);
		e = entry_of(&t, ops[random() % 3], name);
		if (e.op != TOW_ENTRY_DELETE_HOSTNAME)
			e.tls_mode = random() % 2 ? TOW_TLS_TERMINATE : TOW_TLS_PASSTHROUGH;
		if (!i)
			first = e;
		if (submit(f, &t, &e, 1, &fault)) {
			/* no such hostname to set */
			t.sequence--;
			continue;
		}
		if (e.op == TOW_ENTRY_DELETE_HOSTNAME)
			json_object_del(want, name);
		else
			json_object_set_new(want, name, json_integer(e.tls_mode));
	}
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_entries(f->store, &t.invite.tenant_id, &page, count_entry,
	                                    &seen, &latest, &fault),
	                 0);
	assert_true(seen <= 31);
	assert_int_equal(latest, t.sequence);
	assert_int_equal(tow__store_entries(f->store, &t.invite.tenant_id, &page, replay, got,
	                                    &latest, &fault),
	                 0);
	assert_true(json_object_size(want) > 0);
	assert_true(json_equal(want, got));
	/* and nothing of it can be sent again */
	submit_refused(f, &t, first, TOW__SEQUENCE_CONFLICT, "sequence 1 ");
	/* in pages */
	json_object_clear(got);
	for (page.limit = 4; page.offset < latest;) {
		json_object_set_new(got, "last", json_integer(0));
		assert_int_equal(tow__store_entries(f->store, &t.invite.tenant_id, &page, note_last,
		                                    got, &latest, &fault),
		                 0);
		if (!json_integer_value(json_object_get(got, "last")))
			break;
		assert_true(json_integer_value(json_object_get(got, "last")) >
		            (json_int_t)page.offset);
		page.offset = (uint64_t)json_integer_value(json_object_get(got, "last"));
	}
	json_object_del(got, "last");
	assert_true(json_equal(want, got));
	json_decref(want);
	json_decref(got);
	tenant_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(hostnames_stay_within_the_patterns),
		T(a_sequence_is_used_once),
		T(a_batch_is_taken_whole_or_not_at_all),
		T(a_batch_is_of_one_tenant),
		T(who_did_not_sign_is_refused),
		T(another_version_is_refused_after_the_signature),
		T(agents_come_refresh_expire_and_are_revoked),
		T(a_newer_agent_with_other_services_supersedes),
		T(a_long_log_loses_what_is_void),
		T(a_tenant_leaves_by_itself),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
