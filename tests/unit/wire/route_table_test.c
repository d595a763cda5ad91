/* SPDX-License-Identifier: MIT */
#include <towonel/wire/route_feed.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum { TENANTS = 5, AGENTS = 2, HOSTNAMES = 12, PORTS = 6 };

static const char *const patterns[HOSTNAMES] = {
	"a.eu",   "b.eu",   "x.a.eu", "y.a.eu",  "*.a.eu",   "*.b.eu",
	"c.b.eu", "d.b.eu", "*.x.eu", "z.x.eu", "q.y.a.eu", "*.y.a.eu",
};

/* What a table should know, in arrays; owners are tenants by number, -1 none. */
struct model {
	uint64_t version;
	int known[TENANTS];
	uint64_t revoked[TENANTS][AGENTS]; /* expires_at_ms + 1; 0: not revoked */
	int hostname_owner[HOSTNAMES];
	enum tow_tls_mode mode[HOSTNAMES];
	int port_owner[PORTS];
	int service[PORTS]; /* its idle timeout goes with it */
};

static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static struct tow_id id_of(int tenant)
{
	struct tow_id id;

	memset(id.bytes, 0x10 + tenant, sizeof(id.bytes));
	return id;
}

static struct tow_id agent_of(int agent)
{
	struct tow_id id;

	memset(id.bytes, 0xa0 + agent, sizeof(id.bytes));
	return id;
}

static enum tow_protocol protocol_of(int port)
{
	return port % 2 ? TOW_PROTOCOL_UDP : TOW_PROTOCOL_TCP;
}

static uint16_t number_of(int port)
{
	return (uint16_t)(2000 + port / 2);
}

static uint16_t idle_timeout_of(const struct model *m, int port)
{
	static const uint16_t secs[] = { TOW_IDLE_TIMEOUT_S, 1, TOW_IDLE_TIMEOUT_MAX_S };

	return protocol_of(port) == TOW_PROTOCOL_UDP ? secs[m->service[port] % 3] : 0;
}

/* Goes with the TLS mode. */
static enum tow_http_mode http_mode_of(const struct model *m, int hostname)
{
	if (m->mode[hostname] == TOW_TLS_TERMINATE)
		return (enum tow_http_mode)(hostname % 3);
	return hostname % 2 ? TOW_HTTP_CHALLENGE : TOW_HTTP_FORWARDED;
}

/* Goes with what else there is to say of a route, so that it changes and goes with it. */
static struct tow_access *access_of(int which)
{
	static struct tow_access lists[3];
	struct tow_access *access = &lists[which % 3];

	memset(access, 0, sizeof(*access));
	if (which % 3 == 0)
		return NULL;
	assert_int_equal(tow_access_parse(access, TOW_ACCESS_DENY, tow_slice_of("192.0.2.7,2001:db8::7"), NULL), 0);
	if (which % 3 == 2)
		assert_int_equal(tow_access_parse(access, TOW_ACCESS_ALLOW, tow_slice_of("192.0.2.0/24"), NULL), 0);
	return access;
}

static struct tow_tenant_limits limits_of(int tenant)
{
	return tenant == 0 ? (struct tow_tenant_limits){ 0, 0, 0 }
	                   : (struct tow_tenant_limits){ (uint32_t)tenant - 1, TOW_TENANT_RATE_MAX, 7 };
}

static void write_tenant(struct tow_route_writer *w, int tenant)
{
	struct tow_route_tenant route = { .id = id_of(tenant), .limits = limits_of(tenant) };

	memset(route.public_key, tenant + 1, sizeof(route.public_key));
	tow_route_write_tenant(w, &route);
}

static void write_hostname(struct tow_route_writer *w, const struct model *m, int hostname)
{
	struct tow_route_hostname route = { .tenant_id = id_of(m->hostname_owner[hostname]),
		                            .tls_mode = m->mode[hostname],
		                            .http_mode = http_mode_of(m, hostname),
		                            .access = access_of(m->hostname_owner[hostname]) };

	snprintf(route.pattern, sizeof(route.pattern), "%s", patterns[hostname]);
	tow_route_write_hostname(w, &route);
}

static void write_port(struct tow_route_writer *w, const struct model *m, int port)
{
	struct tow_route_port route = { .protocol = protocol_of(port),
		                        .port = number_of(port),
		                        .tenant_id = id_of(m->port_owner[port]),
		                        .idle_timeout_secs = idle_timeout_of(m, port),
		                        .access = access_of(m->service[port]) };

	snprintf(route.service, sizeof(route.service), "s%d", m->service[port]);
	tow_route_write_port(w, &route);
}

static void write_revoked(struct tow_route_writer *w, const struct model *m, int tenant, int agent)
{
	struct tow_id tenant_id = id_of(tenant), agent_id = agent_of(agent);

	tow_route_write_revoked_agent(w, &tenant_id, &agent_id, m->revoked[tenant][agent] - 1);
}

static struct tow_slice finish(struct tow_route_writer *w, struct tow_buf *buf)
{
	tow_buf_clear(buf);
	assert_int_equal(tow_route_writer_finish(w, buf), 0);
	tow_route_writer_free(w);
	return tow_buf_peek(buf);
}

static struct tow_slice snapshot_of(const struct model *m, struct tow_buf *buf)
{
	struct tow_route_writer *w = tow_route_writer_new(0, m->version);

	assert_non_null(w);
	for (int t = 0; t < TENANTS; t++) {
		if (m->known[t])
			write_tenant(w, t);
		for (int a = 0; a < AGENTS; a++)
			if (m->revoked[t][a])
				write_revoked(w, m, t, a);
	}
	for (int h = 0; h < HOSTNAMES; h++)
		if (m->hostname_owner[h] >= 0)
			write_hostname(w, m, h);
	for (int p = 0; p < PORTS; p++)
		if (m->port_owner[p] >= 0)
			write_port(w, m, p);
	return finish(w, buf);
}

static void remove_tenant(struct model *m, int tenant)
{
	m->known[tenant] = 0;
	memset(m->revoked[tenant], 0, sizeof(m->revoked[tenant]));
	for (int h = 0; h < HOSTNAMES; h++)
		if (m->hostname_owner[h] == tenant)
			m->hostname_owner[h] = -1;
	for (int p = 0; p < PORTS; p++)
		if (m->port_owner[p] == tenant)
			m->port_owner[p] = -1;
}

/* Changes the model by chance, and writes down what changed: first removals, then the rest. */
static struct tow_slice random_delta(struct model *m, struct tow_buf *buf)
{
	uint64_t version = m->version + 1 + rnd(3);
	struct tow_route_writer *w = tow_route_writer_new(m->version, version);

	assert_non_null(w);
	m->version = version;
	for (uint32_t n = rnd(2); n > 0; n--) {
		int t = (int)rnd(TENANTS);
		struct tow_id id = id_of(t);

		tow_route_write_tenant_removed(w, &id);
		remove_tenant(m, t);
	}
	for (uint32_t n = rnd(3); n > 0; n--) {
		int h = (int)rnd(HOSTNAMES);

		tow_route_write_hostname_removed(w, patterns[h]);
		m->hostname_owner[h] = -1;
	}
	for (uint32_t n = rnd(3); n > 0; n--) {
		int p = (int)rnd(PORTS);

		tow_route_write_port_removed(w, protocol_of(p), number_of(p));
		m->port_owner[p] = -1;
	}
	for (uint32_t n = rnd(3); n > 0; n--) {
		int t = (int)rnd(TENANTS);

		m->known[t] = 1;
		write_tenant(w, t);
	}
	for (uint32_t n = rnd(4); n > 0; n--) {
		int h = (int)rnd(HOSTNAMES);

		m->hostname_owner[h] = (int)rnd(TENANTS);
		m->mode[h] = rnd(2) ? TOW_TLS_TERMINATE : TOW_TLS_PASSTHROUGH;
		write_hostname(w, m, h);
	}
	for (uint32_t n = rnd(3); n > 0; n--) {
		int p = (int)rnd(PORTS);

		m->port_owner[p] = (int)rnd(TENANTS);
		m->service[p] = (int)rnd(3);
		write_port(w, m, p);
	}
	for (uint32_t n = rnd(2); n > 0; n--) {
		int t = (int)rnd(TENANTS), a = (int)rnd(AGENTS);

		m->revoked[t][a] = 1 + rnd(100);
		write_revoked(w, m, t, a);
	}
	return finish(w, buf);
}

/* What the observer was told, counted. */
struct told {
	int port_added[PORTS], port_removed[PORTS];
	int tenant_removed[TENANTS];
	int revoked[TENANTS][AGENTS];
	const struct tow_route_table *table;
};

static int port_index(enum tow_protocol protocol, uint16_t number)
{
	return (number - 2000) * 2 + (protocol == TOW_PROTOCOL_UDP);
}

static void port_added(void *user, const struct tow_route_port *port)
{
	struct told *told = user;

	told->port_added[port_index(port->protocol, port->port)]++;
	assert_ptr_equal(tow_route_lookup_port(told->table, port->protocol, port->port), port);
}

static void port_removed(void *user, enum tow_protocol protocol, uint16_t port)
{
	struct told *told = user;

	told->port_removed[port_index(protocol, port)]++;
	assert_null(tow_route_lookup_port(told->table, protocol, port));
}

static void tenant_removed(void *user, const struct tow_id *tenant)
{
	struct told *told = user;

	told->tenant_removed[tenant->bytes[0] - 0x10]++;
	assert_null(tow_route_lookup_tenant(told->table, tenant));
}

static void agent_revoked(void *user, const struct tow_id *tenant, const struct tow_id *agent)
{
	struct told *told = user;

	told->revoked[tenant->bytes[0] - 0x10][agent->bytes[0] - 0xa0]++;
	assert_true(tow_route_agent_revoked(told->table, tenant, agent));
}

static const struct tow_route_observer observer = { port_added, port_removed, tenant_removed,
	                                            agent_revoked };

static void check_told(const struct told *told, const struct model *before, const struct model *after)
{
	for (int p = 0; p < PORTS; p++) {
		int was = before->port_owner[p] >= 0, is = after->port_owner[p] >= 0;

		assert_int_equal(told->port_added[p], !was && is);
		assert_int_equal(told->port_removed[p], was && !is);
	}
	for (int t = 0; t < TENANTS; t++) {
		assert_int_equal(told->tenant_removed[t], before->known[t] && !after->known[t]);
		for (int a = 0; a < AGENTS; a++)
			assert_int_equal(told->revoked[t][a], !before->revoked[t][a] && after->revoked[t][a]);
	}
}

static int owner_in_model(const struct model *m, const char *name)
{
	for (int h = 0; h < HOSTNAMES; h++)
		if (m->hostname_owner[h] >= 0 && strcmp(patterns[h], name) == 0)
			return m->hostname_owner[h];
	for (int h = 0; h < HOSTNAMES; h++)
		if (m->hostname_owner[h] >= 0 && tow_hostname_is_wildcard(patterns[h]) &&
		    tow_hostname_matches(patterns[h], name))
			return m->hostname_owner[h];
	return -1;
}

static void count_port(void *user, const struct tow_route_port *port)
{
	(void)port;
	++*(size_t *)user;
}

static void check_table(const struct tow_route_table *table, const struct model *m)
{
	static const char *const others[] = { "w.a.eu", "w.b.eu", "w.y.a.eu", "x.eu", "eu", "w.w.a.eu" };
	size_t hostnames = 0, ports = 0, visited = 0;

	for (int h = 0; h < HOSTNAMES + 6; h++) {
		const char *name = h < HOSTNAMES ? patterns[h] : others[h - HOSTNAMES];
		const struct tow_route_hostname *found;
		int owner = owner_in_model(m, name);
		struct tow_id id;

		hostnames += h < HOSTNAMES && m->hostname_owner[h] >= 0;
		if (tow_hostname_is_wildcard(name))
			continue;
		found = tow_route_lookup(table, name);
		assert_int_equal(found != NULL, owner >= 0);
		if (!found)
			continue;
		id = id_of(owner);
		assert_true(tow_id_equal(&found->tenant_id, &id));
		if (h < HOSTNAMES && m->hostname_owner[h] >= 0) {
			assert_int_equal(found->tls_mode, m->mode[h]);
			assert_int_equal(found->http_mode, http_mode_of(m, h));
			assert_int_equal(found->access == NULL, owner % 3 == 0);
			assert_int_equal(tow_access_compare(found->access, access_of(owner)), 0);
		}
	}
	assert_int_equal(tow_route_table_hostname_count(table), hostnames);
	for (int p = 0; p < PORTS; p++) {
		const struct tow_route_port *found =
		        tow_route_lookup_port(table, protocol_of(p), number_of(p));

		assert_int_equal(found != NULL, m->port_owner[p] >= 0);
		if (found) {
			struct tow_id id = id_of(m->port_owner[p]);

			assert_true(tow_id_equal(&found->tenant_id, &id));
			assert_int_equal(found->service[1] - '0', m->service[p]);
			assert_int_equal(found->idle_timeout_secs, idle_timeout_of(m, p));
			assert_int_equal(tow_access_compare(found->access, access_of(m->service[p])), 0);
			ports++;
		}
	}
	tow_route_table_each_port(table, count_port, &visited);
	assert_int_equal(visited, ports);
	for (int t = 0; t < TENANTS; t++) {
		struct tow_id id = id_of(t);
		const struct tow_route_tenant *found = tow_route_lookup_tenant(table, &id);

		assert_int_equal(found != NULL, m->known[t]);
		if (found) {
			struct tow_tenant_limits limits = limits_of(t);

			assert_int_equal(found->public_key[TOW_MLDSA_PUBLIC_SIZE - 1], t + 1);
			assert_int_equal(found->limits.connections, limits.connections);
			assert_int_equal(found->limits.bytes_in_per_sec, limits.bytes_in_per_sec);
			assert_int_equal(found->limits.bytes_out_per_sec, limits.bytes_out_per_sec);
		}
		for (int a = 0; a < AGENTS; a++) {
			struct tow_id agent = agent_of(a);

			assert_int_equal(tow_route_agent_revoked(table, &id, &agent), m->revoked[t][a] != 0);
		}
	}
}

static void empty(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->version = 1;
	for (int h = 0; h < HOSTNAMES; h++)
		m->hostname_owner[h] = -1;
	for (int p = 0; p < PORTS; p++)
		m->port_owner[p] = -1;
}

static void apply(struct tow_route_table *table, struct tow_slice json, struct told *told)
{
	struct tow_error err;

	memset(told, 0, sizeof(*told));
	told->table = table;
	if (tow_route_table_apply(table, json, &observer, told, &err) != 0)
		fail_msg("%s: %.*s", err.text, (int)json.len, (const char *)json.base);
}

/* After each of many random deltas the table answers as the model, the observer was told exactly what
 * changed, and so it is with tables made from the table's dump and from a snapshot of the model. */
static void deltas_lead_where_the_snapshot_is(void **state)
{
	struct tow_buf buf = { .base = NULL };
	struct told told;
	struct model m;

	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		struct tow_route_table *table = tow_route_table_new();
		struct tow_route_table *jumping = tow_route_table_new();
		struct model jumped;

		seed = round;
		empty(&m);
		jumped = m;
		apply(table, snapshot_of(&m, &buf), &told);
		apply(jumping, snapshot_of(&m, &buf), &told);
		for (int step = 0; step < 60; step++) {
			struct model before = m;
			struct tow_slice json = random_delta(&m, &buf);

			apply(table, json, &told);
			assert_int_equal(tow_route_table_version(table), m.version);
			check_told(&told, &before, &m);
			check_table(table, &m);
			if (rnd(8) == 0) {
				apply(jumping, snapshot_of(&m, &buf), &told);
				check_told(&told, &jumped, &m);
				check_table(jumping, &m);
				assert_int_equal(tow_route_table_version(jumping), m.version);
				jumped = m;
			}
			if (rnd(8) == 0) {
				tow_buf_clear(&buf);
				assert_int_equal(tow_route_table_dump(table, &buf), 0);
				apply(jumping, tow_buf_peek(&buf), &told);
				check_told(&told, &jumped, &m);
				check_table(jumping, &m);
				jumped = m;
			}
		}
		tow_route_table_free(table);
		tow_route_table_free(jumping);
	}
	tow_buf_deinit(&buf);
}

static void revocations_are_forgotten_when_they_expire(void **state)
{
	struct tow_route_table *table = tow_route_table_new();
	struct tow_buf buf = { .base = NULL };
	struct told told;
	struct model m;

	(void)state;
	empty(&m);
	m.known[0] = 1;
	m.revoked[0][0] = 1 + 100;
	m.revoked[0][1] = 1 + 0;   /* never */
	m.revoked[1][0] = 1 + 101; /* of a tenant that is not there */
	apply(table, snapshot_of(&m, &buf), &told);
	tow_route_table_expire(table, 99);
	check_table(table, &m);
	tow_route_table_expire(table, 100);
	m.revoked[0][0] = 0;
	check_table(table, &m);
	tow_route_table_expire(table, UINT64_MAX);
	m.revoked[1][0] = 0;
	check_table(table, &m);
	tow_route_table_free(table);
	tow_buf_deinit(&buf);
}

#define TENANT_A "{\"tenant_id\":\"" A "\",\"public_key\":\"k\"}"
#define HOSTNAME(name) "{\"hostname\":\"" name "\",\"tenant_id\":\"" A "\",\"tls_mode\":\"passthrough\"}"
#define PORT(protocol, number, service) \
	"{\"protocol\":\"" protocol "\",\"port\":" number ",\"tenant_id\":\"" A "\",\"service\":\"" service "\"}"
#define IDLE_PORT(secs) \
	"{\"protocol\":\"udp\",\"port\":1,\"tenant_id\":\"" A "\",\"service\":\"s\",\"idle_timeout_secs\":" secs "}"

static const char good[] =
        "{\"version\":5,\"hostnames\":[" HOSTNAME("a.eu") "],\"ports\":[" PORT("tcp", "22", "ssh") "],"
        "\"mood\":\"sunny\"}";

static void bad_events_change_nothing(void **state)
{
	static const struct {
		const char *json;
		int rc;
		const char *why;
	} cases[] = {
		{ "", TOW_EPARSE, "empty" },
		{ "{\"version\"", TOW_EPARSE, "line 1" },
		{ "[]", TOW_EPARSE, "not an object" },
		{ "{}", TOW_EPARSE, "version" },
		{ "{\"version\":0}", TOW_EPARSE, "version" },
		{ "{\"version\":-1}", TOW_EPARSE, "version" },
		{ "{\"version\":6,\"version\":7}", TOW_EPARSE, "duplicate" },
		{ "{\"version\":6,\"from\":4}", TOW_ECONFLICT, "from version 4" },
		{ "{\"version\":7,\"from\":6}", TOW_ECONFLICT, "the table has 5" },
		{ "{\"version\":5,\"from\":5}", TOW_EPARSE, "does not come after" },
		{ "{\"version\":6,\"from\":null}", TOW_EPARSE, "from" },
		{ "{\"version\":6,\"removed\":{}}", TOW_EPARSE, "removed" },
		{ "{\"version\":6,\"from\":5,\"removed\":[]}", TOW_EPARSE, "removed" },
		{ "{\"version\":6,\"hostnames\":{}}", TOW_EPARSE, "hostnames is not an array" },
		{ "{\"version\":6,\"tenants\":[" TENANT_A "]}", TOW_EPARSE, "tenants[0]: public_key" },
		{ "{\"version\":6,\"from\":5,\"hostnames\":[" HOSTNAME("b.eu") "," HOSTNAME("b") "]}", TOW_EPARSE,
		  "hostnames[1]" },
		{ "{\"version\":6,\"from\":5,\"hostnames\":[7]}", TOW_EPARSE, "hostnames[0]" },
		{ "{\"version\":6,\"from\":5,\"hostnames\":[{\"hostname\":\"b.eu\",\"tenant_id\":\"" A
		  "\",\"tls_mode\":\"magic\"}]}",
		  TOW_EPARSE, "tls_mode" },
		{ "{\"version\":1,\"hostnames\":[{\"hostname\":\"a.eu\",\"tenant_id\":\"" A
		  "\",\"tls_mode\":\"terminate\",\"http\":\"x\"}]}",
		  TOW_EPARSE, "http" },
		{ "{\"version\":6,\"from\":5,\"hostnames\":[{\"hostname\":\"b.eu\",\"tenant_id\":\"A\"}]}",
		  TOW_EPARSE, "tenant_id" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" PORT("sctp", "1", "s") "]}", TOW_EPARSE, "protocol" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" PORT("tcp", "0", "s") "]}", TOW_EPARSE, "port" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" PORT("tcp", "65536", "s") "]}", TOW_EPARSE, "port" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" PORT("tcp", "1", "") "]}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" IDLE_PORT("0") "]}", TOW_EPARSE, "idle_timeout_secs" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" IDLE_PORT("3601") "]}", TOW_EPARSE, "idle_timeout_secs" },
		{ "{\"version\":6,\"from\":5,\"ports\":[" IDLE_PORT("null") "]}", TOW_EPARSE, "idle_timeout_secs" },
		{ "{\"version\":6,\"from\":5,\"revoked_agents\":[{\"tenant_id\":\"" A "\",\"agent_id\":\"" B
		  "\"}]}",
		  TOW_EPARSE, "expires_at_ms" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"hostnames\":[\"a.eu\"],\"ports\":[\"tcp/\"]}}",
		  TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"ports\":[\"tcp/022\"]}}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"ports\":[\"tcp/65536\"]}}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"ports\":[\"tcp/2a\"]}}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"ports\":[\"sct/22\"]}}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"ports\":[22]}}", TOW_EPARSE, "ports[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"tenants\":[\"a\"]}}", TOW_EPARSE, "tenants[0]" },
		{ "{\"version\":6,\"from\":5,\"removed\":{\"hostnames\":[\"a\"]}}", TOW_EPARSE, "hostnames[0]" },
	};
	struct tow_route_table *table = tow_route_table_new();
	struct tow_buf before = { .base = NULL }, after = { .base = NULL };

	(void)state;
	assert_int_equal(tow_route_table_version(table), 0);
	assert_int_equal(tow_route_table_apply(table, tow_slice_of("{\"version\":1,\"from\":0}"), NULL, NULL, NULL),
	                 TOW_ECONFLICT);
	assert_int_equal(tow_route_table_apply(table, tow_slice_of(good), NULL, NULL, NULL), 0);
	assert_int_equal(tow_route_table_dump(table, &before), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_error err = { .text = "" };
		int rc = tow_route_table_apply(table, tow_slice_of(cases[i].json), NULL, NULL, &err);

		if (rc != cases[i].rc || !strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].json, err.text);
		tow_buf_clear(&after);
		assert_int_equal(tow_route_table_dump(table, &after), 0);
		assert_true(tow_slice_equal(tow_buf_peek(&before), tow_buf_peek(&after)));
	}
	assert_int_equal(tow_route_table_version(table), 5);
	tow_route_table_free(table);
	tow_buf_deinit(&before);
	tow_buf_deinit(&after);
}

static void names_are_normalised(void **state)
{
	struct tow_route_table *table = tow_route_table_new();

	(void)state;
	assert_int_equal(tow_route_table_apply(table,
	                                       tow_slice_of("{\"version\":1,\"hostnames\":["
	                                                    HOSTNAME("A.Eu.") "," HOSTNAME("a.eu") "]}"),
	                                       NULL, NULL, NULL),
	                 0);
	assert_int_equal(tow_route_table_hostname_count(table), 1);
	assert_non_null(tow_route_lookup(table, "a.eu"));
	assert_int_equal(tow_route_table_apply(table,
	                                       tow_slice_of("{\"version\":2,\"from\":1,\"removed\":"
	                                                    "{\"hostnames\":[\"A.EU\"]}}"),
	                                       NULL, NULL, NULL),
	                 0);
	assert_null(tow_route_lookup(table, "a.eu"));
	tow_route_table_free(table);
}

static void a_hundred_thousand_names_are_held(void **state)
{
	enum { MANY = 100000 };
	struct tow_route_table *table = tow_route_table_new();
	struct tow_route_writer *w = tow_route_writer_new(0, 1);
	struct tow_route_hostname route = { .tls_mode = TOW_TLS_PASSTHROUGH };
	struct tow_buf buf = { .base = NULL };
	struct tow_id first;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(route.pattern, sizeof(route.pattern), "%sn%d.example.eu", i % 10 ? "" : "*.", i);
		memset(route.tenant_id.bytes, i % 100, sizeof(route.tenant_id.bytes));
		tow_route_write_hostname(w, &route);
	}
	finish(w, &buf);
	assert_int_equal(tow_route_table_apply(table, tow_buf_peek(&buf), NULL, NULL, NULL), 0);
	assert_int_equal(tow_route_table_hostname_count(table), MANY);
	for (int i = 0; i < MANY; i++) {
		char name[64];
		const struct tow_route_hostname *found;

		snprintf(name, sizeof(name), "%sn%d.example.eu", i % 10 ? "" : "x.", i);
		found = tow_route_lookup(table, name);
		assert_non_null(found);
		assert_int_equal(found->tenant_id.bytes[0], i % 100);
	}

	/* a tenant takes its hundredth with it, the others stay */
	memset(first.bytes, 3, sizeof(first.bytes));
	w = tow_route_writer_new(1, 2);
	tow_route_write_tenant_removed(w, &first);
	finish(w, &buf);
	assert_int_equal(tow_route_table_apply(table, tow_buf_peek(&buf), NULL, NULL, NULL), 0);
	assert_int_equal(tow_route_table_hostname_count(table), MANY - MANY / 100);
	assert_null(tow_route_lookup(table, "n3.example.eu"));
	assert_non_null(tow_route_lookup(table, "n4.example.eu"));
	tow_route_table_free(table);
	tow_buf_deinit(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas_lead_where_the_snapshot_is),
		cmocka_unit_test(revocations_are_forgotten_when_they_expire),
		cmocka_unit_test(bad_events_change_nothing),
		cmocka_unit_test(names_are_normalised),
		cmocka_unit_test(a_hundred_thousand_names_are_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
