/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quic/endpoint.h"

#define NOW_NS   (1000 * TOW_NSEC_PER_SEC)
#define SHORT_NS (TOW_NSEC_PER_MSEC / 2)

/* What came may wait for an answer to travel with: not long, not much of it, and not with others
 * who wait for a packet. */
static void acknowledgements_wait_for_company(void **state)
{
	struct tow_quic_stream stream;
	const struct {
		const char *what;
		unsigned packets;
		size_t bytes; /* of each */
		uint64_t after_ns;
		struct tow_quic_conn conn;
		int waits;
	} cases[] = {
		{ "nothing came", 0, 1200, SHORT_NS, { .state = TOW__QUIC_UP }, 0 },
		{ "one packet", 1, 1200, SHORT_NS, { .state = TOW__QUIC_UP }, 1 },
		{ "some packets", 9, 1200, SHORT_NS, { .state = TOW__QUIC_UP }, 1 },
		{ "many packets", 10, 1200, SHORT_NS, { .state = TOW__QUIC_UP }, 0 },
		{ "a large packet", 1, 65487, SHORT_NS, { .state = TOW__QUIC_UP }, 1 },
		{ "two large packets", 2, 65487, SHORT_NS, { .state = TOW__QUIC_UP }, 0 },
		{ "long ago", 1, 1200, 100 * SHORT_NS, { .state = TOW__QUIC_UP }, 0 },
		{ "in a handshake", 1, 1200, SHORT_NS, { .state = TOW__QUIC_CONNECTING }, 0 },
		{ "at the end", 1, 1200, SHORT_NS, { .state = TOW__QUIC_ENDING }, 0 },
		{ "with a stream",
		  1,
		  1200,
		  SHORT_NS,
		  { .state = TOW__QUIC_UP, .ready = &stream },
		  0 },
		{ "with an unhurried one",
		  1,
		  1200,
		  SHORT_NS,
		  { .state = TOW__QUIC_UP, .ready = &stream, .unhurried = 1 },
		  1 },
		{ "with a datagram",
		  1,
		  1200,
		  SHORT_NS,
		  { .state = TOW__QUIC_UP, .datagram_streams = &stream, .unhurried = 1 },
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_quic_conn conn = cases[i].conn;
		struct tow__link link = { .conn = &conn };

		for (unsigned n = 0; n < cases[i].packets; n++)
			tow__link_received(&link, cases[i].bytes, NOW_NS + n);
		print_message("%s\n", cases[i].what);
		assert_int_equal(tow__link_may_wait(&link, NOW_NS + cases[i].after_ns),
		                 cases[i].waits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledgements_wait_for_company),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
