/* SPDX-License-Identifier: MIT */
/* What comes to the visitors' port and wants to carry QUIC: within the limits of visitors, and not for long in vain. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/quic_carrier.h>

#define CARRIERS 3

struct scene {
	struct fixture *f;
	struct tow_quic_endpoint *endpoint;
	struct tow_node_key key;
	struct tow_quic_carrier *carriers[CARRIERS];
	int dialled, status;
	size_t count;
};

static void on_dialled(void *user, int status, struct tow_quic_carrier *carrier,
                       const struct tow_error *err)
{
	struct scene *s = user;

	(void)err;
	s->dialled = 1;
	s->status = status;
	if (status == 0)
		s->carriers[s->count++] = carrier;
}

static int dial(struct scene *s)
{
	const struct tow_quic_carrier_dial_config config = {
		.loop = s->f->loop,
		.endpoint = s->endpoint,
		.host = "127.0.0.1",
		.port = tow_edge_addr(s->f->edge)->port,
		.peer = &s->f->key.id,
		.done = on_dialled,
		.user = s,
	};
	struct tow_quic_carrier_dial *dial;

	s->dialled = 0;
	assert_int_equal(tow_quic_carrier_dial_start(&config, &dial), 0);
	await(s->f, s->dialled);
	return s->status;
}

static void start(struct scene *s, struct fixture *f)
{
	struct tow_quic_config config = {
		.loop = f->loop,
		.key = &s->key,
		.alpn = TOW_TUNNEL_ALPN,
		.udp.bind = { .family = 4, .bytes = { 127, 0, 0, 1 } },
	};

	*s = (struct scene){ .f = f };
	tow_node_key_generate(&s->key);
	assert_int_equal(tow_quic_endpoint_new(&config, &s->endpoint, NULL), 0);
	fixture_start(f);
	apply_usual(f);
}

static void stop(struct scene *s)
{
	for (size_t i = 0; i < s->count; i++)
		tow_quic_carrier_free(s->carriers[i]);
	tow_quic_endpoint_free(s->endpoint, 0);
}

static int64_t carriers(struct fixture *f)
{
	return metric(f, "towonel_edge_quic_carriers", NULL);
}

static void they_count_as_visitors(void **state)
{
	struct fixture *f = *state;
	struct scene s;
	int fd;

	f->config.connections_per_address = 2;
	start(&s, f);
	assert_int_equal(dial(&s), 0);
	assert_int_equal(dial(&s), 0);
	await(f, carriers(f) == 2 && metric(f, "towonel_edge_active_connections", NULL) == 0);
	assert_int_not_equal(dial(&s), 0);
	fd = visit(f);
	expect_end(f, fd);
	assert_int_equal(refused(f, "address_limit"), 2);
	tow_quic_carrier_free(s.carriers[--s.count]);
	await(f, carriers(f) == 1);
	fd = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	close(fd);
	stop(&s);
}

static void all_of_them_are_counted(void **state)
{
	struct fixture *f = *state;
	struct scene s;

	f->config.connections_max = 1;
	start(&s, f);
	assert_int_equal(dial(&s), 0);
	await(f, carriers(f) == 1);
	assert_int_not_equal(dial(&s), 0);
	assert_int_equal(refused(f, "limit"), 1);
	stop(&s);
}

static void one_in_vain_is_closed(void **state)
{
	struct fixture *f = *state;
	struct scene s;
	uint64_t begin;

	f->timing.carrier_begin_ns = 100 * TOW_NSEC_PER_MSEC;
	f->config.connections_per_address = 1;
	start(&s, f);
	assert_int_equal(dial(&s), 0);
	begin = now_ms();
	await(f, carriers(f) == 1);
	await(f, carriers(f) == 0);
	assert_true(now_ms() - begin >= 50);
	assert_int_equal(dial(&s), 0);
	stop(&s);
}

static void the_edge_closes_with_some(void **state)
{
	struct fixture *f = *state;
	struct scene s;

	start(&s, f);
	assert_int_equal(dial(&s), 0);
	await(f, carriers(f) == 1);
	fixture_stop(f, 20 * TOW_NSEC_PER_SEC); /* nobody waits for it */
	assert_int_equal(carriers(f), 0);
	stop(&s);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(they_count_as_visitors),
		EDGE_TEST(all_of_them_are_counted),
		EDGE_TEST(one_in_vain_is_closed),
		EDGE_TEST(the_edge_closes_with_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
