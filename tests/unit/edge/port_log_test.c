/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "port_log.h"

static char lines[1024];

static void sink(void *user, enum tow_log_level level, const char *line)
{
	(void)user;
	(void)level;
	line = strchr(line, ' ') + 1; /* behind the time */
	snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s;", line);
}

static struct tow_route_port route(enum tow_protocol protocol, unsigned port, const char *service)
{
	struct tow_route_port r = { .protocol = protocol, .port = (uint16_t)port };

	snprintf(r.service, sizeof r.service, "%s", service);
	return r;
}

/* Says so much and no more, without the tenant. */
static void expect(const char *wanted)
{
	char *tenant;

	while ((tenant = strstr(lines, " tenant=")) != NULL)
		memmove(tenant, tenant + 8 + 64, strlen(tenant + 8 + 64) + 1);
	assert_string_equal(lines, wanted);
	lines[0] = '\0';
}

static void ports_in_a_row_are_one_line(void **state)
{
	struct tow_loop *loop = tow_loop_new();
	struct tow_log *to = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, sink, NULL);
	struct tow_error in_use, denied;
	struct tow_route_port r;
	struct port_log log;

	(void)state;
	tow_error_set(&in_use, TOW_EADDRINUSE, "5000: address in use");
	tow_error_set(&denied, TOW_EDENIED, "no");
	tow__port_log_init(&log, loop, to);
	r = route(TOW_PROTOCOL_TCP, 22, "ssh");
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	expect("");
	tow_loop_dispatch(loop);
	expect("INFO port is bound port=22 protocol=tcp service=ssh;");
	/* backwards, as a range comes, and both ways */
	for (unsigned port = 5511; port >= 5000; port--) {
		r = route(TOW_PROTOCOL_UDP, port, "game");
		tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	}
	r = route(TOW_PROTOCOL_UDP, 5512, "game");
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	tow_loop_dispatch(loop);
	expect("INFO ports are bound port=5000 last=5512 protocol=udp service=game;");
	tow_loop_dispatch(loop);
	expect("");
	/* something else each time */
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	r.port = 5514;
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	expect("INFO port is bound port=5512 protocol=udp service=game;");
	r = route(TOW_PROTOCOL_TCP, 5515, "game");
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	r = route(TOW_PROTOCOL_TCP, 5516, "other");
	tow__port_log_note(&log, PORT_BOUND, &r, NULL);
	r.port = 5517;
	tow__port_log_note(&log, PORT_RELEASED, &r, NULL);
	r.port = 5518;
	tow__port_log_note(&log, PORT_FAILED, &r, &in_use);
	r.port = 5519;
	tow__port_log_note(&log, PORT_FAILED, &r, &in_use);
	r.port = 5520;
	tow__port_log_note(&log, PORT_FAILED, &r, &denied);
	tow__port_log_deinit(&log);
	expect("INFO port is bound port=5514 protocol=udp service=game;"
	       "INFO port is bound port=5515 protocol=tcp service=game;"
	       "INFO port is bound port=5516 protocol=tcp service=other;"
	       "INFO port is released port=5517 protocol=tcp service=other;"
	       "WARN ports cannot be bound, trying again port=5518 last=5519 protocol=tcp "
	       "service=other error=\"5000: address in use\";"
	       "WARN port cannot be bound, trying again port=5520 protocol=tcp service=other "
	       "error=no;");
	tow__port_log_deinit(&log);
	expect("");
	tow_log_free(to);
	tow_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ports_in_a_row_are_one_line) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
