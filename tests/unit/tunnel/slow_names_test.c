/* SPDX-License-Identifier: MIT */
/*
 * A name server that does not answer: getaddrinfo sits on its thread for as long as it likes. The loop goes on, and
 * so does whoever gives up waiting.
 */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <towonel/tunnel/http_client.h>
#include <towonel/tunnel/tcp.h>

#define MSEC    TOW_NSEC_PER_MSEC
#define SLOW_MS 3000

static atomic_int slow_lookups;

/* In place of the system's, for curl and libuv. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
	(void)service;
	(void)hints;
	(void)out;
	if (strcmp(node, "slow.example") != 0)
		return EAI_NONAME;
	atomic_fetch_add(&slow_lookups, 1);
	usleep(SLOW_MS * 1000);
	return EAI_AGAIN;
}

struct scene {
	struct tow_loop *loop;
	struct tow_timer tick;
	uint64_t last_ns, gap_ns;
	int done;
};

static void tick(void *user)
{
	struct scene *s = user;
	uint64_t now_ns = tow_now_ns();

	if (now_ns - s->last_ns > s->gap_ns)
		s->gap_ns = now_ns - s->last_ns;
	s->last_ns = now_ns;
	tow_timer_start_in(&s->tick, 10 * MSEC);
}

static void on_done(void *user, const struct tow_http_result *result)
{
	struct scene *s = user;

	assert_int_not_equal(result->error.code, 0);
	s->done = 1;
}

static void start(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->loop = tow_loop_new();
	tow_timer_init(&s->tick, s->loop, tick, s);
	s->last_ns = tow_now_ns();
	tick(s);
}

static void stop(void *user)
{
	tow_loop_stop(((struct scene *)user)->loop);
}

static void run_for(struct scene *s, uint64_t ns)
{
	struct tow_timer timer;

	tow_timer_init(&timer, s->loop, stop, s);
	tow_timer_start_in(&timer, ns);
	tow_loop_run(s->loop);
	tow_timer_stop(&timer);
}

static void finish(struct scene *s)
{
	tick(s);
	tow_timer_stop(&s->tick);
	tow_loop_free(s->loop);
	assert_in_range(tow_now_ns() - s->last_ns + s->gap_ns, 0, SLOW_MS / 2 * MSEC);
}

enum end { GIVEN_UP, CANCELLED, CLIENT_FREED };

/* The loop goes on without a pause, and whoever is done with the call does so, too. */
static void check_call(enum end how)
{
	struct scene s;
	struct tow_http_client_config client = { .user_agent = "test" };
	struct tow_http_call_config config = { .method = "GET",
		                               .url = "http://slow.example:1/",
		                               .timeout_ns = 300 * MSEC,
		                               .done = on_done,
		                               .user = &s };
	struct tow_http_client *http;
	struct tow_http_call *call;

	start(&s);
	client.loop = s.loop;
	http = tow_http_client_new(&client);
	assert_int_equal(tow_http_call_start(http, &config, &call), 0);
	run_for(&s, 100 * MSEC);
	if (how == CANCELLED)
		tow_http_call_cancel(call);
	else if (how == CLIENT_FREED)
		tow_http_client_free(http);
	run_for(&s, 400 * MSEC);
	assert_int_equal(s.done, how == GIVEN_UP);
	if (how != CLIENT_FREED)
		tow_http_client_free(http);
	finish(&s);
}

static void a_call_does_not_stop_the_loop(void **state)
{
	(void)state;
	for (enum end how = GIVEN_UP; how <= CLIENT_FREED; how++)
		check_call(how);
}

static void on_resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                        const struct tow_error *err)
{
	(void)user;
	(void)status;
	(void)addrs;
	(void)count;
	(void)err;
	fail();
}

/* Visitors of one service, whose origin's name is looked up for ever, and one of another. */
struct asker {
	struct scene *scene;
	struct tow_resolve *resolve;
	int answers, status;
};

static void on_answer(void *user, int status, const struct tow_addr *addrs, size_t count,
                      const struct tow_error *err)
{
	struct asker *asker = user;

	(void)addrs;
	(void)count;
	(void)err;
	asker->resolve = NULL;
	asker->answers++;
	asker->status = status;
}

static void ask(struct asker *asker, struct scene *s, const char *name)
{
	*asker = (struct asker){ .scene = s };
	assert_int_equal(tow_resolve_start(s->loop, name, 1, on_answer, asker, &asker->resolve), 0);
}

static void many_ask_for_it_and_others_are_answered(void **state)
{
	struct scene s;
	struct asker slow[16], other;
	size_t count = sizeof(slow) / sizeof(*slow);

	(void)state;
	start(&s);
	atomic_store(&slow_lookups, 0);
	for (size_t i = 0; i < count; i++)
		ask(&slow[i], &s, "slow.example");
	ask(&other, &s, "other.example");
	run_for(&s, SLOW_MS / 4 * MSEC);
	assert_int_equal(other.answers, 1);
	/* they give up, and come again */
	for (size_t i = 0; i < count; i++)
		tow_resolve_cancel(slow[i].resolve);
	for (size_t i = 0; i < count; i++)
		ask(&slow[i], &s, "slow.example");
	tow_resolve_cancel(slow[3].resolve);
	ask(&other, &s, "other.example");
	run_for(&s, SLOW_MS / 4 * MSEC);
	assert_int_equal(other.answers, 1);
	run_for(&s, SLOW_MS * MSEC);
	assert_int_equal(atomic_load(&slow_lookups), 1);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(slow[i].answers, i != 3);
		assert_int_equal(slow[i].status, i != 3 ? TOW_ENOTFOUND : 0);
	}
	ask(&slow[0], &s, "slow.example");
	run_for(&s, 100 * MSEC);
	assert_int_equal(atomic_load(&slow_lookups), 2);
	tow_resolve_cancel(slow[0].resolve);
	finish(&s);
}

static void nor_does_the_loop_outlive_it(void **state)
{
	struct scene s;
	struct tow_resolve *resolve;

	(void)state;
	start(&s);
	assert_int_equal(tow_resolve_start(s.loop, "slow.example", 1, on_resolved, &s, &resolve),
	                 0);
	run_for(&s, 100 * MSEC);
	tow_resolve_cancel(resolve);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_does_not_stop_the_loop),
		cmocka_unit_test(many_ask_for_it_and_others_are_answered),
		cmocka_unit_test(nor_does_the_loop_outlive_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
