/* SPDX-License-Identifier: MIT */
/*
 * What only PostgreSQL has: a server that goes and comes back, other hubs on the same database,
 * transactions that get into each other's way, a password in its name.
 */
#include "fixture.h"
#include "live_hub.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <towonel/wire/route_table.h>

#include "drivers.h"
#include "postgres_server.h"
#include "store/db.h"
#include "store/dsn.h"

/* --- a hub's subscriber ------------------------------------------------------------------- */

struct follower {
	struct live_hub *hub;
	struct tow_hub_subscription *subscription;
	pthread_mutex_t lock;
	struct tow_route_table *table;
	int snapshots;
};
static struct follower followers[2];

static int take_event(void *user, const struct tow_route_event *event)
{
	struct follower *f = user;
	struct tow_error err;

	pthread_mutex_lock(&f->lock);
	/* one that does not follow on from the last would be refused */
	if (tow_route_table_apply(f->table, event->json, NULL, NULL, &err))
		fail_msg("%s", err.text);
	f->snapshots += event->kind == TOW_ROUTE_SNAPSHOT;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static void subscribe(struct live_hub *h)
{
	struct follower *f = &followers[followers[0].hub != h];

	assert_int_equal(tow_hub_subscribe(h->hub, take_event, f, &f->subscription), 0);
}

static void unsubscribe(struct live_hub *h)
{
	tow_hub_unsubscribe(followers[followers[0].hub != h].subscription);
}

static void follow(struct follower *f, struct live_hub *h)
{
	memset(f, 0, sizeof *f);
	f->hub = h;
	pthread_mutex_init(&f->lock, NULL);
	f->table = tow_route_table_new();
	live_hub_do(h, subscribe);
}

static void unfollow(struct follower *f)
{
	live_hub_do(f->hub, unsubscribe);
	tow_route_table_free(f->table);
	pthread_mutex_destroy(&f->lock);
}

static int has_tenant(struct follower *f, const struct tow_id *tenant)
{
	int has;

	pthread_mutex_lock(&f->lock);
	has = tow_route_lookup_tenant(f->table, tenant) != NULL;
	pthread_mutex_unlock(&f->lock);
	return has;
}

/* How long it took. */
static uint64_t await_tenant(struct follower *f, const struct tow_id *tenant)
{
	uint64_t began = tow_now_ns();

	while (!has_tenant(f, tenant)) {
		if (tow_now_ns() - began > 20 * TOW_NSEC_PER_SEC)
			fail_msg("the tenant does not come");
		usleep(1000);
	}
	return tow_now_ns() - began;
}

/* It was told everything by changes, but for the beginning. */
static uint64_t version_without_a_gap(struct follower *f)
{
	uint64_t version;

	pthread_mutex_lock(&f->lock);
	assert_int_equal(f->snapshots, 1);
	version = tow_route_table_version(f->table);
	pthread_mutex_unlock(&f->lock);
	return version;
}

/* Makes a tenant with an invite for "NAME.eu"; its id. */
static struct tow_id tenant_through(struct live_hub *h, const char *name)
{
	struct reply r;
	struct tow_id id;
	char body[80];

	snprintf(body, sizeof body, "{\"hostnames\":[\"%s.eu\"]}", name);
	r = ask_as_operator(h, "POST", "/v1/invites", body);
	assert_int_equal(r.status, 200);
	assert_int_equal(tow_id_parse(tow_slice_of(text_of(&r, "tenant_id")), &id), 0);
	reply_deinit(&r);
	return id;
}

/* --- two hubs ----------------------------------------------------------------------------- */

#define EACH 25

struct maker {
	struct live_hub *hub;
	char letter;
	struct tow_id made[EACH];
};

static void *make_tenants(void *user)
{
	struct maker *m = user;
	char name[16];

	for (int i = 0; i < EACH; i++) {
		snprintf(name, sizeof name, "%c%d", m->letter, i);
		m->made[i] = tenant_through(m->hub, name);
	}
	return NULL;
}

static void what_one_hub_accepts_the_other_has_soon(void **state)
{
	struct live_hub *a = *state, *b = live_hub_beside(a);
	struct tow_id tenant;
	uint64_t took, longest = 0;

	follow(&followers[0], a);
	follow(&followers[1], b);
	for (int i = 0; i < 10; i++) {
		char name[16];
		snprintf(name, sizeof name, "t%d", i);
		tenant = tenant_through(i % 2 ? b : a, name);
		took = await_tenant(&followers[!(i % 2)], &tenant);
		longest = took > longest ? took : longest;
	}
	assert_true(longest < TOW_NSEC_PER_SEC);
	print_message("# the other hub's subscriber had it after %llu ms at most\n",
	              (unsigned long long)(longest / TOW_NSEC_PER_MSEC));
	unfollow(&followers[0]);
	unfollow(&followers[1]);
	live_hub_free(b);
}

/* Both write as fast as they can: subscribers of both miss nothing and see no version twice. */
static void hubs_that_write_at_once_leave_no_gap(void **state)
{
	struct live_hub *a = *state, *b = live_hub_beside(a);
	static struct maker makers[2];
	pthread_t threads[2];

	makers[0].hub = a;
	makers[0].letter = 'a';
	makers[1].hub = b;
	makers[1].letter = 'b';
	follow(&followers[0], a);
	follow(&followers[1], b);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_tenants, &makers[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2 * EACH; i++)
		for (int f = 0; f < 2; f++)
			await_tenant(&followers[f], &makers[i % 2].made[i / 2]);
	for (int f = 0; f < 2; f++) {
		assert_int_equal(version_without_a_gap(&followers[f]), 1 + 2 * EACH);
		unfollow(&followers[f]);
	}
	live_hub_free(b);
}

/* --- the server goes ---------------------------------------------------------------------- */

static struct tow_buf reasons;

static void ready_or_not(struct live_hub *h)
{
	tow_hub_not_ready(h->hub, &reasons);
}

static int is_ready(struct live_hub *h)
{
	int ready;

	live_hub_do(h, ready_or_not);
	ready = !tow_buf_len(&reasons);
	tow_buf_deinit(&reasons);
	return ready;
}

static void await_ready(struct live_hub *h, int want)
{
	for (int i = 0; i < 1500; i++) {
		if (is_ready(h) == want)
			return;
		usleep(10 * 1000);
	}
	fail_msg("the hub %s ready", want ? "does not become" : "goes on being");
}

static void an_outage_is_said_and_ends_by_itself(void **state)
{
	struct live_hub *a = *state, *b = live_hub_beside(a);
	struct tow_id before, during, after;
	uint64_t began;

	follow(&followers[0], a);
	follow(&followers[1], b);
	for (int round = 0; round < 2; round++) {
		char name[16];
		snprintf(name, sizeof name, "before%d", round);
		before = tenant_through(a, name);
		await_tenant(&followers[1], &before);
		began = tow_now_ns();
		if (round)
			postgres_kill();
		else
			postgres_stop();
		await_ready(a, 0);
		await_ready(b, 0);
		assert_true(tow_now_ns() - began < 20 * TOW_NSEC_PER_SEC);
		expect(ask_as_operator(a, "POST", "/v1/invites", "{\"hostnames\":[\"no.eu\"]}"), 503, "unavailable");
		expect(ask_as_operator(a, "GET", "/v1/invites", NULL), 503, "unavailable");
		expect(ask_as_operator(b, "GET", "/v1/tenants", NULL), 503, "unavailable");
		expect(ask(a, "GET", "/v1/health", NULL, NULL), 200, "");
		/* it stays so: nothing else is told while nothing answers */
		usleep(1500 * 1000);
		assert_false(is_ready(a));
		postgres_start();
		began = tow_now_ns();
		await_ready(a, 1);
		await_ready(b, 1);
		assert_true(tow_now_ns() - began < 20 * TOW_NSEC_PER_SEC);
		snprintf(name, sizeof name, "during%d", round);
		during = tenant_through(b, name);
		await_tenant(&followers[0], &during);
		snprintf(name, sizeof name, "after%d", round);
		after = tenant_through(a, name);
		for (int f = 0; f < 2; f++)
			await_tenant(&followers[f], &after);
		assert_true(has_tenant(&followers[1], &before));
	}
	for (int f = 0; f < 2; f++) {
		assert_true(version_without_a_gap(&followers[f]) > 6);
		unfollow(&followers[f]);
	}
	live_hub_free(b);
}

/* One that keeps its connections and says nothing holds nobody up for ever. */
static void a_server_that_hangs_is_given_up(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	struct tow_entry e;
	uint64_t began;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu");
	postgres_freeze(1);
	began = tow_now_ns();
	assert_int_equal(submit(f, &t, &e, 1, &fault), TOW__UNAVAILABLE);
	assert_true(tow_now_ns() - began < 40 * TOW_NSEC_PER_SEC);
	postgres_freeze(0);
	assert_non_null(strstr(fault.text, "does not answer"));
	submit_ok(f, &t, e);
	tenant_deinit(&t);
}

/* Connections that died while nobody used them are replaced before anybody notices. */
static void a_restart_between_two_requests_is_not_noticed(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };

	tenant_make_ok(f, &t, "t", "*.t.eu");
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu"));
	postgres_stop();
	postgres_start();
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "b.t.eu"));
	postgres_stop();
	postgres_start();
	assert_int_equal(tow__store_ping(f->store, &fault), 0);
	tenant_deinit(&t);
}

static int count_entry(void *user, uint64_t sequence, struct tow_slice jws)
{
	(void)sequence;
	assert_true(jws.len > 0);
	++*(uint64_t *)user;
	return 0;
}

/* A child says a number once its entry is acknowledged. The server is killed at any moment; what
 * was said is there, and at most the one that was under way beyond it. */
static void a_killed_server_loses_nothing_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__page all = { 1 << 20, 0 };

	tenant_make_ok(f, &t, "t", "*.t.eu");
	srandom(11);
	for (int round = 0; round < 5; round++) {
		struct tow__fault fault = { 0 };
		uint64_t said, last = 0, logged = 0, latest = 0;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		tow__store_close(f->store);
		f->store = NULL;
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct tow_error err;
			if (tow__store_open(&f->config, 1, &f->store, &err))
				_exit(1);
			for (;;) {
				struct tow_entry e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, NULL);
				snprintf(e.name, sizeof e.name, "n%llu.t.eu", (unsigned long long)e.sequence);
				if (submit(f, &t, &e, 1, &fault))
					_exit(fault.kind == TOW__UNAVAILABLE ? 0 : 2);
				if (write(fds[1], &e.sequence, sizeof e.sequence) != sizeof e.sequence)
					_exit(3);
			}
		}
		close(fds[1]);
		assert_int_equal(read(fds[0], &last, sizeof last), sizeof last);
		usleep((useconds_t)(random() % 60000));
		postgres_kill();
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		while (read(fds[0], &said, sizeof said) == sizeof said)
			last = said;
		close(fds[0]);
		postgres_start();
		fixture_reopen(f);
		assert_int_equal(tow__store_entries(f->store, &t.invite.tenant_id, &all, count_entry, &logged,
		                                    &latest, &fault),
		                 0);
		assert_true(latest >= last && latest <= last + 1);
		assert_int_equal(logged, latest);
		assert_int_equal(fixture_number(f, "SELECT count(*) FROM hostnames"), latest);
		t.sequence = latest;
	}
	tenant_deinit(&t);
}

/* --- in each other's way ------------------------------------------------------------------ */

/* A sequence is not rolled back, so this fails as often as it says and then works. */
static void fail_inserts(struct fixture *f, const char *state, int times)
{
	char sql[800];

	snprintf(sql, sizeof sql,
	         "DROP SEQUENCE IF EXISTS tries CASCADE; CREATE SEQUENCE tries;"
	         "CREATE OR REPLACE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
	         "IF nextval('tries') <= %d THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '%s'; END IF; "
	         "RETURN NEW; END $$;"
	         "CREATE OR REPLACE TRIGGER stumbles BEFORE INSERT ON hostnames FOR EACH ROW EXECUTE FUNCTION "
	         "stumble()",
	         times, state);
	fixture_sql(f, sql);
}

static void what_met_others_is_done_again(void **state)
{
	static const struct {
		const char *state;
		int times;
		enum tow__fault_kind outcome;
		uint64_t tries;
	} cases[] = {
		{ "40001", 1, TOW__NO_FAULT, 2 },    { "40001", 3, TOW__NO_FAULT, 4 },
		{ "40P01", 2, TOW__NO_FAULT, 3 },    { "40P01", 100, TOW__UNAVAILABLE, 5 },
		{ "53100", 1, TOW__UNAVAILABLE, 1 }, { "55P03", 1, TOW__UNAVAILABLE, 1 },
		{ "23505", 1, TOW__INTERNAL, 1 },    { "XX001", 1, TOW__INTERNAL, 1 },
	};
	struct fixture *f = *state;
	struct tenant t;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow__fault fault;
		struct tow_entry e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, NULL);
		uint64_t version = tow__store_version(f->store), logged;

		snprintf(e.name, sizeof e.name, "n%zu.t.eu", i);
		fail_inserts(f, cases[i].state, cases[i].times);
		logged = fixture_number(f, "SELECT count(*) FROM entries");
		assert_int_equal(submit(f, &t, &e, 1, &fault), cases[i].outcome);
		assert_int_equal(fixture_number(f, "SELECT last_value FROM tries"), cases[i].tries);
		assert_int_equal(tow__store_version(f->store), version + !cases[i].outcome);
		assert_int_equal(fixture_number(f, "SELECT count(*) FROM entries"), logged + !cases[i].outcome);
	}
	tenant_deinit(&t);
}

/* Tables that somebody changes under a running hub (a newer one that migrates, say). */
static void a_stale_plan_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct tenant t;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu"));
	fixture_sql(f, "ALTER TABLE meta ALTER COLUMN value TYPE NUMERIC;"
	               "ALTER TABLE meta ALTER COLUMN value TYPE BIGINT;"
	               "ALTER TABLE hostnames ALTER COLUMN tls_mode TYPE INTEGER");
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "b.t.eu"));
	tenant_deinit(&t);
}

/* A database that is lax about commits is told not to be for us. */
static void commits_are_waited_for(void **state)
{
	struct fixture *f = *state;
	struct tow__db *db;
	struct tow__db_rows rows;
	char dsn[240], value[16] = "", lax[240];

	snprintf(lax, sizeof lax, "%s%%20-csynchronous_commit%%3Doff", f->dsn);
	snprintf(dsn, sizeof dsn, "%s%%20-csynchronous_commit%%3Dlocal", f->dsn);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tow__db_open("postgres", i ? dsn : lax, NULL, &db, NULL), 0);
		tow__db_begin(db, TOW__DB_READ);
		for (rows = tow__db_query(db, "SELECT current_setting('synchronous_commit')", TOW__NO_ARGS);
		     tow__db_next(&rows);)
			tow__db_get_text(&rows, 0, value, sizeof value);
		assert_int_equal(tow__db_commit(db, NULL), 0);
		assert_string_equal(value, i ? "local" : "on");
		tow__db_close(db);
	}
}

/* --- the name ----------------------------------------------------------------------------- */

static void passwords_are_never_repeated(void **state)
{
	static const struct {
		const char *dsn;
		const char *place; /* NULL: refused */
	} cases[] = {
		{ "postgres://u:hunter2@db.example.eu:5433/hub", "postgres://db.example.eu:5433/hub" },
		{ "postgresql://u:hunter2@db.example.eu/hub?sslmode=require", "postgres://db.example.eu/hub" },
		{ "postgres://u@/hub?host=/run/pg&password=hunter2", "postgres:///run/pg/hub" },
		{ "postgres:///hub?host=/run/pg&user=a@b&password=hunter2", "postgres:///run/pg/hub" },
		{ "postgres://u:hun%40ter2@127.0.0.1/hub", "postgres://127.0.0.1/hub" },
		{ "postgres://u:hunter2@[2001:db8::1]:5432/hub", "postgres://2001:db8::1:5432/hub" },
		{ "postgres://u:hun@hunter2@127.0.0.1/hub", NULL },
		{ "postgres://u:hun/hunter2@127.0.0.1/hub", NULL },
		{ "postgres://u:hun%hunter2@127.0.0.1/hub", NULL },
		{ "postgres://u:hunter2@127.0.0.1/hub?hunter2", NULL },
		{ "postgres://u:hunter2@127.0.0.1/hub?hunter2=1", NULL },
		{ "postgres://u:hunter2@[::1/hub", NULL },
		{ "host=127.0.0.1 password=hunter2", NULL },
		{ "mysql://u:hunter2@127.0.0.1/hub", NULL },
		{ "hunter2", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char place[256] = "";
		struct tow_error err = { 0 };
		int r = tow__dsn_check(cases[i].dsn, place, sizeof place, &err);

		assert_int_equal(r, cases[i].place ? 0 : TOW_ECONFIG);
		assert_null(strstr(err.text, "hunter2"));
		assert_string_equal(place, cases[i].place ? cases[i].place : "");
	}
}

static void who_cannot_connect_says_why_and_no_password(void **state)
{
	static const struct {
		const char *dsn, *says;
	} cases[] = {
		{ "postgres://u:hunter2@127.0.0.1:1/hub", "Connection refused" },
		{ "postgres://u:hunter2@/hub?host=/no/such/directory", "No such file" },
		{ "postgres://u:hunter2@127.0.0.1:hunter/hub", "port" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow__store_config config = f->config;
		struct tow__store *store = NULL;
		struct tow_error err = { 0 };

		config.dsn = cases[i].dsn;
		assert_int_equal(tow__store_open(&config, 1, &store, &err), TOW_EUNAVAILABLE);
		assert_null(strstr(err.text, "hunter2"));
		if (!strstr(err.text, cases[i].says) || !strstr(err.text, "postgres://"))
			fail_msg("%s", err.text);
	}
}

static int end_server(void **state)
{
	(void)state;
	postgres_end();
	return 0;
}

int main(void)
{
	static char postgres[] = "postgres";
	const struct CMUnitTest missing[] = { cmocka_unit_test(postgres_is_not_installed) };
	const struct CMUnitTest tests[] = {
#define H(name) { #name, name, live_hub_setup, live_hub_teardown, postgres }
#define S(name) { #name, name, fixture_setup, fixture_teardown, postgres }
		H(what_one_hub_accepts_the_other_has_soon),
		H(hubs_that_write_at_once_leave_no_gap),
		H(an_outage_is_said_and_ends_by_itself),
		S(a_server_that_hangs_is_given_up),
		S(a_restart_between_two_requests_is_not_noticed),
		S(a_killed_server_loses_nothing_acknowledged),
		S(what_met_others_is_done_again),
		S(a_stale_plan_is_made_anew),
		S(commits_are_waited_for),
		S(who_cannot_connect_says_why_and_no_password),
		cmocka_unit_test(passwords_are_never_repeated),
	};
	return postgres_installed() ? cmocka_run_group_tests(tests, NULL, end_server)
	                            : cmocka_run_group_tests(missing, NULL, NULL);
}
