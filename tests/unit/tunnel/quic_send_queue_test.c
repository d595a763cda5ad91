/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quic/send_queue.h"

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 37);
}

static void put(struct tow__send_queue *queue, struct tow__chunk_pool *pool, size_t len, int copy)
{
	uint8_t *room, *bytes = NULL;
	size_t cap, i;

	if (copy) {
		bytes = malloc(len);
		assert_non_null(bytes);
		room = bytes;
	} else {
		room = tow__send_queue_reserve(queue, pool, SIZE_MAX, &cap);
		assert_non_null(room);
		assert_true(cap >= 4096);
		if (len > cap)
			len = cap;
	}
	for (i = 0; i < len; i++)
		room[i] = pattern(queue->end + i);
	if (copy)
		assert_int_equal(tow__send_queue_append(queue, pool, bytes, len), 0);
	else
		tow__send_queue_commit(queue, pool, len);
	free(bytes);
}

/* Takes up to len bytes as a packet would, and checks them. */
static void take(struct tow__send_queue *queue, size_t len)
{
	ngtcp2_vec vec[4];
	size_t total, count, i, k, at = 0;

	count = tow__send_queue_peek(queue, vec, 4, &total);
	assert_true(total <= tow__send_queue_unsent(queue));
	assert_int_equal(count == 0, tow__send_queue_unsent(queue) == 0);
	for (i = 0; i < count; i++)
		for (k = 0; k < vec[i].len; k++, at++)
			assert_int_equal(vec[i].base[k], pattern(queue->sent + at));
	assert_int_equal(at, total);
	tow__send_queue_advance(queue, len < total ? len : total);
}

static size_t held(const struct tow__send_queue *queue)
{
	const struct tow__chunk *chunk;
	size_t n = 0;

	for (chunk = queue->first; chunk; chunk = chunk->next)
		n++;
	return n;
}

static void test_any_order(void **state)
{
	unsigned seed;

	(void)state;
	for (seed = 1; seed < 60; seed++) {
		struct tow__chunk_pool pool = { 0 };
		struct tow__send_queue queue = { 0 };
		uint64_t acked = 0;
		unsigned random = seed, i;

		for (i = 0; i < 400; i++) {
			random = random * 1103515245 + 12345;
			size_t amount = (random >> 8) % ((random >> 4) % 3 ? 900 : 150000);

			switch ((random >> 28) % 4) {
			case 0: put(&queue, &pool, amount, 0); break;
			case 1: put(&queue, &pool, amount, 1); break;
			case 2: take(&queue, amount); break;
			default:
				acked += queue.sent > acked ? amount % (queue.sent - acked + 1) : 0;
				tow__send_queue_acked(&queue, &pool, acked);
				break;
			}
		}
		while (tow__send_queue_unsent(&queue))
			take(&queue, 10000);
		tow__send_queue_acked(&queue, &pool, queue.sent);
		assert_int_equal(held(&queue), 0);
		tow__send_queue_deinit(&queue, &pool);
		tow__chunk_pool_deinit(&pool);
	}
}

static void test_idle_holds_nothing(void **state)
{
	struct tow__chunk_pool pool = { 0 };
	struct tow__send_queue queue = { 0 };
	size_t len;

	(void)state;
	assert_non_null(tow__send_queue_reserve(&queue, &pool, SIZE_MAX, &len));
	tow__send_queue_commit(&queue, &pool, 0);
	assert_int_equal(held(&queue), 0);
	assert_null(queue.spare);
	tow__send_queue_deinit(&queue, &pool);
	tow__chunk_pool_deinit(&pool);
}

static void test_appetite(void **state)
{
	struct tow__chunk_pool pool = { 0 };
	struct tow__send_queue queue = { 0 };
	size_t len, i;

	(void)state;
	/* a source that fills what it is given gets more, up to 64 KiB */
	for (i = 0; i < 5; i++) {
		assert_non_null(tow__send_queue_reserve(&queue, &pool, SIZE_MAX, &len));
		tow__send_queue_commit(&queue, &pool, len);
	}
	assert_int_equal(len, 65536);
	/* one that has little gets little again, and pieces of what is left before */
	for (i = 0; i < 1000; i++) {
		assert_non_null(tow__send_queue_reserve(&queue, &pool, SIZE_MAX, &len));
		tow__send_queue_commit(&queue, &pool, 1000);
	}
	assert_true(len <= 16384);
	tow__send_queue_deinit(&queue, &pool);
	tow__chunk_pool_deinit(&pool);
}

/* What is given out is counted, there and where it came from, and the reader's room is bounded. */
static void test_count_and_bound(void **state)
{
	struct tow__chunk_pool above = { 0 }, pools[2] = { { .above = &above }, { .above = &above } };
	struct tow__send_queue queues[2] = { { 0 } };
	size_t len;

	(void)state;
	put(&queues[0], &pools[0], 1000, 1);
	put(&queues[1], &pools[1], 65536, 1);
	assert_int_equal(pools[0].used, 1024);
	assert_int_equal(pools[1].used, 65536);
	assert_int_equal(above.used, 1024 + 65536);
	queues[1].appetite = TOW__CHUNK_CLASSES - 1;
	assert_non_null(tow__send_queue_reserve(&queues[1], &pools[1], 16384, &len));
	assert_int_equal(len, 16384);
	tow__send_queue_commit(&queues[1], &pools[1], len);
	assert_non_null(tow__send_queue_reserve(&queues[1], &pools[1], 1, &len));
	assert_int_equal(len, 4096);
	tow__send_queue_commit(&queues[1], &pools[1], 0);
	assert_int_equal(pools[1].used, 65536 + 16384);
	tow__send_queue_advance(&queues[1], 65536 + 16384);
	tow__send_queue_acked(&queues[1], &pools[1], 65536);
	assert_int_equal(pools[1].used, 16384);
	tow__send_queue_cut(&queues[0], &pools[0]);
	for (int i = 0; i < 2; i++) {
		tow__send_queue_deinit(&queues[i], &pools[i]);
		assert_int_equal(pools[i].used, 0);
	}
	assert_int_equal(above.used, 0);
	tow__chunk_pool_deinit(&above);
}

static void test_cut(void **state)
{
	static const size_t sent[] = { 0, 1, 999, 1000, 1024, 5000, 70000, 200000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		struct tow__chunk_pool pool = { 0 };
		struct tow__send_queue queue = { 0 };

		put(&queue, &pool, 1000, 1);
		put(&queue, &pool, 199000, 1);
		while (queue.sent < sent[i])
			take(&queue, (size_t)(sent[i] - queue.sent));
		tow__send_queue_cut(&queue, &pool);
		assert_int_equal(tow__send_queue_unsent(&queue), 0);
		assert_int_equal(queue.end, sent[i]);
		/* and it goes on from there */
		put(&queue, &pool, 3000, 1);
		take(&queue, 3000);
		tow__send_queue_acked(&queue, &pool, queue.sent);
		assert_int_equal(held(&queue), 0);
		tow__send_queue_deinit(&queue, &pool);
		tow__chunk_pool_deinit(&pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_idle_holds_nothing),
		cmocka_unit_test(test_appetite),
		cmocka_unit_test(test_count_and_bound),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
