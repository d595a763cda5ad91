/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <pthread.h>
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

#define TCPS(t, name, port, count)                                                                 \
	ports_entry_of((t), TOW_ENTRY_UPSERT_TCP_SERVICE, (name), (port), (count))
#define UDPS(t, name, port, count)                                                                 \
	ports_entry_of((t), TOW_ENTRY_UPSERT_UDP_SERVICE, (name), (port), (count))
#define TCP(t, name, port) TCPS((t), (name), (port), 1)
#define UDP(t, name, port) UDPS((t), (name), (port), 1)

static void a_port_belongs_to_one_service_of_one_tenant(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;

	tenant_make_ok(f, &a, "alice", "a.eu");
	tenant_make_ok(f, &b, "bob", "b.eu");
	submit_ok(f, &a, TCP(&a, "ssh", 2222));
	submit_ok(f, &a, TCP(&a, "ssh", 2222));
	submit_ok(f, &a, UDP(&a, "ssh", 2222));
	submit_refused(f, &a, TCP(&a, "git", 2222), TOW__PORT_IN_USE,
	               "port 2222/tcp is taken by your own service \"ssh\"");
	submit_refused(f, &b, TCP(&b, "ssh", 2222), TOW__PORT_IN_USE,
	               "port 2222/tcp is taken by service \"ssh\" of tenant \"alice\"");
	submit_refused(f, &b, UDP(&b, "dns", 2222), TOW__PORT_IN_USE, "2222/udp");
	submit_refused(f, &b, TCP(&b, "web", 8443), TOW__PORT_IN_USE, "host");
	submit_refused(f, &b, UDP(&b, "dns", 53), TOW__TENANT_NOT_ALLOWED, "below 1024");
	submit_ok(f, &b, UDP(&b, "dns", 5353));
	submit_ok(f, &b, UDP(&b, "dns", 5354)); /* moves */
	expect_ports(f, "tcp/2222=ssh udp/2222=ssh udp/5354=dns ");
	submit_refused(f, &b, UDP(&b, "dns", 2222), TOW__PORT_IN_USE, "2222/udp");
	expect_ports(f, "tcp/2222=ssh udp/2222=ssh udp/5354=dns ");
	/* another tenant's service of that name is not touched */
	submit_ok(f, &b, entry_of(&b, TOW_ENTRY_DELETE_TCP_SERVICE, "ssh"));
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_DELETE_UDP_SERVICE, "ssh"));
	expect_ports(f, "tcp/2222=ssh udp/5354=dns ");
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_DELETE_TCP_SERVICE, "ssh"));
	submit_ok(f, &b, TCP(&b, "ssh", 2222));
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void privileged_ports_are_allowed_by_setting(void **state)
{
	struct fixture *f = *state;
	struct tenant t;

	f->config.allow_privileged_ports = 1;
	fixture_reopen(f);
	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, UDP(&t, "dns", 53));
	expect_ports(f, "udp/53=dns ");
	tenant_deinit(&t);
}

static void free_ports_leave_out_what_is_held_or_needed(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	static uint16_t ports[65536];
	size_t found = 0;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, TCP(&t, "a", 20000));
	submit_ok(f, &t, TCP(&t, "b", 20003));
	submit_ok(f, &t, TCP(&t, "c", 40000));
	submit_ok(f, &t, UDP(&t, "d", 20002));
	assert_int_equal(
		tow__store_port_available(f->store, TOW_PROTOCOL_TCP, 3, ports, &found, &fault), 0);
	assert_int_equal(found, 3);
	assert_int_equal(ports[0], 20002); /* 20001 is the host's */
	assert_int_equal(ports[1], 20004);
	assert_int_equal(ports[2], 20005);
	assert_int_equal(
		tow__store_port_available(f->store, TOW_PROTOCOL_TCP, 65536, ports, &found, &fault),
		0);
	assert_int_equal(found, TOW__PORTS_LAST - TOW__PORTS_FIRST + 1 - 3);
	assert_int_equal(ports[found - 1], TOW__PORTS_LAST);
	tenant_deinit(&t);
}

/* --- ranges --- */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Which ports the delta since a version brings and removes; databases give them in any order. */
static void expect_delta(struct fixture *f, uint64_t from, const char *want)
{
	struct tow_buf json = { 0 }, text = { 0 };
	struct tow__fault fault = { 0 };
	enum tow_route_event_kind kind;
	uint64_t version;
	json_t *root, *port;
	int ports[64];
	size_t i, count = 0;

	assert_int_equal(
		tow__store_routes_since(f->store, from, NOW, &kind, &version, &json, &fault), 0);
	if (version != from) {
		assert_int_equal(kind, TOW_ROUTE_DELTA);
		assert_int_equal(version, from + 1);
		root = json_loadb((const char *)tow_buf_peek(&json).base, tow_buf_len(&json), 0,
		                  NULL);
		assert_non_null(root);
		json_array_foreach(json_object_get(root, "ports"), i, port) ports[count++] =
			(int)json_integer_value(json_object_get(port, "port"));
		json_array_foreach(json_object_get(json_object_get(root, "removed"), "ports"), i,
		                   port) ports[count++] =
			-(int)strtol(strchr(json_string_value(port), '/') + 1, NULL, 10);
		json_decref(root);
	}
	qsort(ports, count, sizeof *ports, by_number);
	for (i = 0; i < count; i++)
		assert_int_equal(tow_buf_printf(&text, "%+d", ports[i]), 0);
	assert_int_equal(tow_buf_append(&text, "", 1), 0);
	assert_string_equal((const char *)tow_buf_peek(&text).base, want);
	tow_buf_deinit(&json);
	tow_buf_deinit(&text);
}

/* Makes the change, which is all that edges hear of; delta NULL: too long to tell. */
static void change(struct fixture *f, struct tenant *t, struct tow_entry e, const char *delta)
{
	uint64_t from = tow__store_version(f->store);

	submit_ok(f, t, e);
	if (delta)
		expect_delta(f, from, delta);
}

static void a_range_is_claimed_grown_shrunk_and_moved(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow_entry e;

	tenant_make_ok(f, &t, "t", "t.eu");
	change(f, &t, TCPS(&t, "game", 5000, 4), "+5000+5001+5002+5003");
	expect_ports(f, "tcp/5000-5003=game ");
	change(f, &t, TCPS(&t, "game", 5000, 4), "");
	change(f, &t, TCPS(&t, "game", 5000, 6), "+5004+5005");
	change(f, &t, TCPS(&t, "game", 5002, 2), "-5005-5004-5001-5000");
	expect_ports(f, "tcp/5002-5003=game ");
	change(f, &t, TCPS(&t, "game", 5001, 2), "-5003+5001");
	change(f, &t, TCPS(&t, "game", 7000, 2), "-5002-5001+7000+7001");
	expect_ports(f, "tcp/7000-7001=game ");
	change(f, &t, UDPS(&t, "game", 7000, 512), NULL);
	expect_ports(f, "tcp/7000-7001=game udp/7000-7511=game ");
	/* another time limit is another route */
	change(f, &t, UDPS(&t, "game", 7000, 2), NULL);
	e = UDPS(&t, "game", 7000, 2);
	e.idle_timeout_secs = 300;
	change(f, &t, e, "+7000+7001");
	/* and so are other lists of who may come */
	assert_int_equal(tow_access_parse(&e.access, TOW_ACCESS_DENY, tow_slice_of("::/0"), NULL),
	                 0);
	e.sequence = ++t.sequence;
	change(f, &t, e, "+7000+7001");
	e.sequence = ++t.sequence;
	change(f, &t, e, "");
	change(f, &t, entry_of(&t, TOW_ENTRY_DELETE_TCP_SERVICE, "game"), "-7001-7000");
	expect_ports(f, "udp/7000-7001=game ");
	change(f, &t, entry_of(&t, TOW_ENTRY_DELETE_TCP_SERVICE, "game"), "");
	/* to the end */
	change(f, &t, TCPS(&t, "top", 65535, 1), "+65535");
	change(f, &t, TCPS(&t, "top", 65024, 512), NULL);
	expect_ports(f, "tcp/65024-65535=top udp/7000-7001=game ");
	tenant_deinit(&t);
}

/* A range that moves to and fro is a thousand changes each time, of the same ports. */
static void a_port_is_once_in_the_log_of_changes(void **state)
{
	struct fixture *f = *state;
	struct tenant t;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, TCPS(&t, "other", 7000, 10));
	for (int i = 0; i < 6; i++)
		submit_ok(f, &t, TCPS(&t, "game", i % 2 ? 5000 : 6000, 500));
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM changes WHERE port IS NOT NULL"),
	                 1010);
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_DELETE_TCP_SERVICE, "game"));
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM changes WHERE port IS NOT NULL"),
	                 1010);
	tenant_deinit(&t);
}

static void a_range_is_claimed_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;
	struct tow__fault fault;

	tenant_make_ok(f, &a, "alice", "a.eu");
	tenant_make_ok(f, &b, "bob", "b.eu");
	submit_ok(f, &a, TCPS(&a, "game", 5000, 16));
	submit_ok(f, &a, TCP(&a, "ssh", 5020));
	submit_refused(f, &b, TCPS(&b, "x", 4990, 512), TOW__PORT_IN_USE,
	               "port 5000/tcp is taken by service \"game\" of tenant \"alice\"");
	submit_refused(f, &b, TCPS(&b, "x", 5015, 512), TOW__PORT_IN_USE,
	               "port 5015/tcp is taken by service \"game\"");
	submit_refused(f, &a, TCPS(&a, "game", 5000, 32), TOW__PORT_IN_USE,
	               "port 5020/tcp is taken by your own service \"ssh\"");
	submit_refused(f, &a, TCPS(&a, "game", 8430, 16), TOW__PORT_IN_USE,
	               "port 8443/tcp is taken by the host");
	submit_refused(f, &a, TCPS(&a, "game", 1023, 2), TOW__TENANT_NOT_ALLOWED, "port 1023/tcp");
	expect_ports(f, "tcp/5000-5015=game tcp/5020=ssh ");
	submit_ok(f, &b, UDPS(&b, "x", 5000, 16));
	submit_ok(f, &b, TCPS(&b, "x", 5016, 4));
	submit_refused(f, &b, TCPS(&b, "x", 5016, 5), TOW__PORT_IN_USE, "5020/tcp");
	expect_ports(f, "tcp/5000-5015=game tcp/5016-5019=x tcp/5020=ssh udp/5000-5015=x ");
	/* and released whole */
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_tenant_remove(f->store, &a.invite.tenant_id, NOW, &fault), 0);
	expect_ports(f, "tcp/5016-5019=x udp/5000-5015=x ");
	submit_ok(f, &b, TCPS(&b, "x", 5000, 512));
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void a_batch_may_pass_ports_on(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow_entry batch[4];
	struct tow__fault fault;
	uint64_t from;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, TCPS(&t, "a", 5000, 2));
	submit_ok(f, &t, TCPS(&t, "b", 5002, 2));
	from = tow__store_version(f->store);
	batch[0] = entry_of(&t, TOW_ENTRY_DELETE_TCP_SERVICE, "a");
	batch[1] = entry_of(&t, TOW_ENTRY_DELETE_TCP_SERVICE, "b");
	batch[2] = TCPS(&t, "a", 5002, 2);
	batch[3] = TCPS(&t, "b", 5000, 2);
	assert_int_equal(submit(f, &t, batch, 4, &fault), 0);
	expect_ports(f, "tcp/5000-5001=b tcp/5002-5003=a ");
	/* for an edge they never went away */
	expect_delta(f, from, "+5000+5001+5002+5003");
	/* onto what another one gives up */
	batch[0] = TCPS(&t, "a", 5003, 1);
	batch[1] = TCPS(&t, "b", 5000, 3);
	assert_int_equal(submit(f, &t, batch, 2, &fault), 0);
	expect_ports(f, "tcp/5000-5002=b tcp/5003=a ");
	tenant_deinit(&t);
}

static void a_tenant_has_so_many_ports_at_most(void **state)
{
	enum { RANGES = TOW__PORTS_PER_TENANT / TOW_PORT_RANGE_MAX };
	struct fixture *f = *state;
	struct tenant t;
	char name[16];

	tenant_make_ok(f, &t, "t", "t.eu");
	for (int i = 0; i < RANGES; i++) {
		snprintf(name, sizeof name, "s%d", i);
		submit_ok(f, &t,
		          UDPS(&t, name, (uint16_t)(30000 + i * TOW_PORT_RANGE_MAX),
		               TOW_PORT_RANGE_MAX));
	}
	submit_refused(f, &t, TCP(&t, "one", 5000), TOW__TENANT_NOT_ALLOWED, "at most 4096 ports");
	/* one that moves may have as many as before, also at places where it is */
	submit_ok(f, &t, UDPS(&t, "s0", 29999, TOW_PORT_RANGE_MAX));
	submit_ok(f, &t, UDPS(&t, "s0", 20480, TOW_PORT_RANGE_MAX));
	submit_ok(f, &t, UDPS(&t, "s0", 20480, TOW_PORT_RANGE_MAX - 1));
	submit_ok(f, &t, TCP(&t, "one", 5000));
	submit_refused(f, &t, UDPS(&t, "s0", 20480, TOW_PORT_RANGE_MAX), TOW__TENANT_NOT_ALLOWED,
	               "at most 4096 ports");
	tenant_deinit(&t);
}

/* --- reservations --- */

static enum tow__fault_kind reserve(struct fixture *f, const struct tenant *t,
                                    enum tow_protocol protocol, uint16_t number,
                                    struct tow__port *port, struct tow__fault *fault)
{
	*port = (struct tow__port){ .protocol = protocol, .number = number, .claimed_ms = NOW };
	port->tenant_id = t->invite.tenant_id;
	snprintf(port->label, sizeof port->label, "a label");
	fault->kind = TOW__NO_FAULT;
	return tow__store_port_reserve(f->store, port, fault);
}

static void expect_reserved(struct fixture *f, const struct tenant *t, uint16_t number,
                            uint16_t want)
{
	struct tow__port port;
	struct tow__fault fault;

	if (reserve(f, t, TOW_PROTOCOL_TCP, number, &port, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(port.number, want);
	assert_int_equal(port.claimed_ms, NOW);
}

static void expect_not_reserved(struct fixture *f, const struct tenant *t, uint16_t number,
                                enum tow__fault_kind kind, const char *part)
{
	struct tow__port port;
	struct tow__fault fault;

	assert_int_equal(reserve(f, t, TOW_PROTOCOL_TCP, number, &port, &fault), kind);
	if (!strstr(fault.text, part))
		fail_msg("%s", fault.text);
}

static void a_reserved_port_is_for_its_tenants_services(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;
	struct tow__fault fault = { 0 };
	struct tow_id *alice = &a.invite.tenant_id;

	tenant_make_ok(f, &a, "alice", "a.eu");
	tenant_make_ok(f, &b, "bob", "b.eu");
	expect_reserved(f, &a, 0, TOW__PORTS_FIRST);
	expect_reserved(f, &b, 0, TOW__PORTS_FIRST + 2); /* the next one is the host's */
	expect_reserved(f, &a, 5003, 5003);
	expect_not_reserved(f, &a, 5003, TOW__PORT_IN_USE, "reserved for this tenant already");
	expect_not_reserved(f, &b, 5003, TOW__PORT_IN_USE,
	                    "port 5003/tcp is reserved for tenant \"alice\"");
	expect_not_reserved(f, &b, 8443, TOW__PORT_IN_USE, "host");
	expect_not_reserved(f, &b, 80, TOW__TENANT_NOT_ALLOWED, "below 1024");
	submit_refused(f, &b, TCPS(&b, "x", 5000, 16), TOW__PORT_IN_USE,
	               "port 5003/tcp is reserved for tenant \"alice\"");
	submit_ok(f, &b, UDPS(&b, "x", 5000, 16));
	expect_ports(f, "tcp/5003=! tcp/20000=! tcp/20002=! udp/5000-5015=x ");
	/* its own service takes it, and letting go of it leaves it reserved */
	change(f, &a, TCPS(&a, "game", 5002, 3), "+5002+5003+5004");
	expect_ports(f, "tcp/5002=game tcp/5003=game! tcp/5004=game tcp/20000=! tcp/20002=! "
	                "udp/5000-5015=x ");
	expect_not_reserved(f, &b, 5003, TOW__PORT_IN_USE, "taken by service \"game\" of tenant");
	expect_not_reserved(f, &b, 5004, TOW__PORT_IN_USE, "taken by service \"game\" of tenant");
	change(f, &a, TCPS(&a, "game", 6000, 1), "-5004-5003-5002+6000");
	expect_ports(f, "tcp/5003=! tcp/6000=game tcp/20000=! tcp/20002=! udp/5000-5015=x ");
	/* a port in use can be reserved, and that ends without the service noticing */
	expect_reserved(f, &a, 6000, 6000);
	assert_int_equal(tow__store_port_release(f->store, alice, TOW_PROTOCOL_TCP, 6000, &fault),
	                 0);
	expect_ports(f, "tcp/5003=! tcp/6000=game tcp/20000=! tcp/20002=! udp/5000-5015=x ");
	assert_int_equal(tow__store_port_release(f->store, alice, TOW_PROTOCOL_TCP, 6000, &fault),
	                 TOW__NOT_FOUND);
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_port_release(f->store, &b.invite.tenant_id, TOW_PROTOCOL_TCP,
	                                         5003, &fault),
	                 TOW__NOT_FOUND);
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_port_release(f->store, alice, TOW_PROTOCOL_UDP, 5003, &fault),
	                 TOW__NOT_FOUND);
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_port_release(f->store, alice, TOW_PROTOCOL_TCP, 5003, &fault),
	                 0);
	submit_ok(f, &b, TCPS(&b, "y", 5000, 16));
	/* what is reserved goes with the tenant */
	assert_int_equal(tow__store_tenant_remove(f->store, alice, NOW, &fault), 0);
	expect_ports(f, "tcp/5000-5015=y tcp/20002=! udp/5000-5015=x ");
	expect_not_reserved(f, &a, 0, TOW__NOT_FOUND, "no such tenant");
	tenant_deinit(&a);
	tenant_deinit(&b);
}

/* --- races --- */

enum { RACERS = 4, ROUNDS = 20 };

struct racer {
	struct fixture *f;
	struct tenant tenant;
	pthread_barrier_t *start;
	int by_reserving;
	int won;
	char why[200];
};

/* Each with a connection of its own. */
static void *race(void *user)
{
	struct racer *r = user;
	struct fixture own = *r->f;
	struct tow_error err;
	struct tow__fault fault = { 0 };
	struct tow__port port;

	if (tow__store_open(&own.config, 0, &own.store, &err)) {
		snprintf(r->why, sizeof r->why, "%.190s", err.text);
		pthread_barrier_wait(r->start);
		return NULL;
	}
	pthread_barrier_wait(r->start);
	if (r->by_reserving) {
		reserve(&own, &r->tenant, TOW_PROTOCOL_TCP, 5007, &port, &fault);
	} else {
		struct tow_entry e = TCPS(&r->tenant, "s", 5000, 16);
		submit(&own, &r->tenant, &e, 1, &fault);
	}
	r->won = !fault.kind;
	snprintf(r->why, sizeof r->why, "%.190s", fault.text);
	tow__store_close(own.store);
	return NULL;
}

static void of_many_that_want_a_port_one_gets_it(void **state)
{
	struct fixture *f = *state;
	static struct racer racers[RACERS];
	pthread_barrier_t start;
	pthread_t threads[RACERS];
	struct tow__fault fault;
	char name[16], pattern[32];

	for (int round = 0; round < ROUNDS; round++) {
		int winners = 0;
		assert_int_equal(pthread_barrier_init(&start, NULL, RACERS), 0);
		for (int i = 0; i < RACERS; i++) {
			snprintf(name, sizeof name, "t%d", i);
			snprintf(pattern, sizeof pattern, "t%d.eu", i);
			racers[i] = (struct racer){ .f = f, .start = &start };
			racers[i].by_reserving = (i + round) % 2;
			tenant_make_ok(f, &racers[i].tenant, name, pattern);
		}
		for (int i = 0; i < RACERS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
		for (int i = 0; i < RACERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			winners += racers[i].won;
			if (!racers[i].won && !strstr(racers[i].why, "of tenant \"t") &&
			    !strstr(racers[i].why, "for tenant \"t"))
				fail_msg("%s", racers[i].why);
		}
		assert_int_equal(winners, 1);
		for (int i = 0; i < RACERS; i++) {
			fault.kind = TOW__NO_FAULT;
			assert_int_equal(
				tow__store_tenant_remove(
					f->store, &racers[i].tenant.invite.tenant_id, NOW, &fault),
				0);
			tenant_deinit(&racers[i].tenant);
		}
		expect_ports(f, "");
		pthread_barrier_destroy(&start);
	}
}

/* Two operators at once: the same hostname for two tenants. */
static void *race_for_a_name(void *user)
{
	struct racer *r = user;
	struct fixture own = *r->f;
	struct tow_error err;
	struct tow__fault fault = { 0 };
	int rc = tow__store_open(&own.config, 0, &own.store, &err);

	pthread_barrier_wait(r->start);
	if (rc)
		return NULL;
	r->won = !tenant_make(&own, &r->tenant, "t", r->by_reserving ? "*.a.eu" : "x.a.eu", &fault);
	snprintf(r->why, sizeof r->why, "%.190s", fault.text);
	tow__store_close(own.store);
	return NULL;
}

static void of_many_that_want_a_hostname_one_gets_it(void **state)
{
	struct fixture *f = *state;
	static struct racer racers[RACERS];
	pthread_barrier_t start;
	pthread_t threads[RACERS];
	struct tow__fault fault;

	for (int round = 0; round < ROUNDS; round++) {
		int winners = 0;
		assert_int_equal(pthread_barrier_init(&start, NULL, RACERS), 0);
		for (int i = 0; i < RACERS; i++) {
			racers[i] = (struct racer){ .f = f, .start = &start };
			racers[i].by_reserving = (i + round) % 2;
			assert_int_equal(
				pthread_create(&threads[i], NULL, race_for_a_name, &racers[i]), 0);
		}
		for (int i = 0; i < RACERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			winners += racers[i].won;
			if (!racers[i].won && !strstr(racers[i].why, "belongs to tenant \"t\""))
				fail_msg("%s", racers[i].why);
		}
		assert_int_equal(winners, 1);
		for (int i = 0; i < RACERS; i++) {
			fault.kind = TOW__NO_FAULT;
			if (racers[i].won)
				assert_int_equal(
					tow__store_tenant_remove(f->store,
				                                 &racers[i].tenant.invite.tenant_id,
				                                 NOW, &fault),
					0);
			tenant_deinit(&racers[i].tenant);
		}
		pthread_barrier_destroy(&start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(a_port_belongs_to_one_service_of_one_tenant),
		T(privileged_ports_are_allowed_by_setting),
		T(free_ports_leave_out_what_is_held_or_needed),
		T(a_range_is_claimed_grown_shrunk_and_moved),
		T(a_port_is_once_in_the_log_of_changes),
		T(a_range_is_claimed_whole_or_not_at_all),
		T(a_batch_may_pass_ports_on),
		T(a_tenant_has_so_many_ports_at_most),
		T(a_reserved_port_is_for_its_tenants_services),
		T(of_many_that_want_a_port_one_gets_it),
		T(of_many_that_want_a_hostname_one_gets_it),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
