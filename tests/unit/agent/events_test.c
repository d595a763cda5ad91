/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"

static void events_come_in_order_with_their_own_strings(void **state)
{
	struct agent_events events = { 0 };
	struct tow_agent_event event = { .kind = TOW_AGENT_STOPPED };
	char text[16];
	(void)state;

	assert_int_equal(tow__events_take(&events, &event), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(text, sizeof text, "text %d", i);
			event = (struct tow_agent_event){ .kind = TOW_AGENT_LOST,
				                          .text = text,
				                          .edge_address = text,
				                          .code = i };
			tow__events_push(&events, &event);
		}
		for (int i = 0; i < 100; i++) {
			assert_int_equal(tow__events_take(&events, &event), 1);
			snprintf(text, sizeof text, "text %d", i);
			assert_int_equal(event.code, i);
			assert_string_equal(event.text, text);
			assert_string_equal(event.edge_address, text);
			assert_null(event.service);
		}
		assert_int_equal(tow__events_take(&events, &event), 0);
	}
	tow__events_deinit(&events);
}

static void a_host_that_never_asks_keeps_the_newest(void **state)
{
	struct agent_events events = { 0 };
	struct tow_agent_event event = { .kind = TOW_AGENT_LOST, .text = "x" };
	(void)state;

	for (int i = 0; i < 3 * AGENT_EVENTS_MAX; i++) {
		event.code = i;
		tow__events_push(&events, &event);
	}
	event.kind = TOW_AGENT_STOPPED;
	tow__events_push(&events, &event);
	for (int i = 0; i < AGENT_EVENTS_MAX; i++) {
		assert_int_equal(tow__events_take(&events, &event), 1);
		if (i + 1 < AGENT_EVENTS_MAX)
			assert_int_equal(event.code, 2 * AGENT_EVENTS_MAX + 1 + i);
	}
	assert_int_equal(event.kind, TOW_AGENT_STOPPED);
	assert_int_equal(tow__events_take(&events, &event), 0);
	event.text = "x";
	tow__events_push(&events, &event);
	tow__events_deinit(&events); /* with one inside */
	tow__events_deinit(&events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_order_with_their_own_strings),
		cmocka_unit_test(a_host_that_never_asks_keeps_the_newest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
