/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile.h"

struct row {
	const char *what;
	const char *https, *tcp, *udp; /* what the environment wants */
	const struct tow_entry log[6]; /* what the tenant has said; sequence 0 ends it */
	const char *said;              /* the operations, one letter and name each */
};

#define UP(n)                                                                                      \
	{                                                                                          \
		.op = TOW_ENTRY_UPSERT_HOSTNAME, .name = n, .sequence = 1                          \
	}
#define DEL(n)                                                                                     \
	{                                                                                          \
		.op = TOW_ENTRY_DELETE_HOSTNAME, .name = n, .sequence = 1                          \
	}
#define TCP(n, p)                                                                                  \
	{                                                                                          \
		.op = TOW_ENTRY_UPSERT_TCP_SERVICE, .name = n, .listen_port = p, .port_count = 1,  \
		.sequence = 1                                                                      \
	}
#define TCPS(n, p, c)                                                                              \
	{                                                                                          \
		.op = TOW_ENTRY_UPSERT_TCP_SERVICE, .name = n, .listen_port = p, .port_count = c,  \
		.sequence = 1                                                                      \
	}
#define UDP(n, p)                                                                                  \
	{                                                                                          \
		.op = TOW_ENTRY_UPSERT_UDP_SERVICE, .name = n, .listen_port = p, .port_count = 1,  \
		.idle_timeout_secs = 60, .sequence = 1                                             \
	}
#define A "{\"hostname\":\"a.example.eu\",\"origin\":\"127.0.0.1:1\"}"
#define B "{\"hostname\":\"b.example.eu\",\"origin\":\"127.0.0.1:1\"}"
#define A_TERMINATE                                                                                \
	"{\"hostname\":\"a.example.eu\",\"origin\":\"127.0.0.1:1\",\"tls_mode\":{\"mode\":"        \
	"\"terminate\"}}"
#define A_DENY(prefix)                                                                             \
	"{\"hostname\":\"a.example.eu\",\"origin\":\"127.0.0.1:1\",\"deny_from\":[\"" prefix "\"]}"
#define DENIED                                                                                     \
	{                                                                                          \
		.counts = { 0, 1 }, .prefixes = { { 4, { 192, 0, 2, 7 }, 32 } }                    \
	}
#define UP_DENY(n, list)                                                                           \
	{                                                                                          \
		.op = TOW_ENTRY_UPSERT_HOSTNAME, .name = n, .access = list, .sequence = 1          \
	}
#define SSH(port) "{\"name\":\"ssh\",\"origin\":\"127.0.0.1:22\",\"listen_port\":" port "}"
#define RANGE(name, port, count)                                                                   \
	"{\"name\":\"" name "\",\"origin\":\"127.0.0.1:22\",\"listen_port\":" port                 \
	",\"ports\":" count "}"
#define IDLE(port, secs)                                                                           \
	"{\"name\":\"ssh\",\"origin\":\"127.0.0.1:22\",\"listen_port\":" port                      \
	",\"idle_timeout_secs\":" secs "}"
#define GIT(port) "{\"name\":\"git\",\"origin\":\"127.0.0.1:22\",\"listen_port\":" port "}"

static const struct row rows[] = {
	{ "nothing wanted, nothing there", "", "", "", { { 0 } }, "" },
	{ "all new",
	  "[" A "," B "]",
	  "[" SSH("2222") "]",
	  "",
	  { { 0 } },
	  "upsert_hostname a.example.eu;upsert_hostname b.example.eu;upsert_tcp_service ssh;" },
	{ "as it is",
	  "[" A "]",
	  "[" SSH("2222") "]",
	  "",
	  { UP("a.example.eu"), TCP("ssh", 2222) },
	  "" },
	{ "one gone",
	  "[" A "]",
	  "",
	  "",
	  { UP("a.example.eu"), UP("b.example.eu") },
	  "delete_hostname b.example.eu;" },
	{ "gone already",
	  "[" A "]",
	  "",
	  "",
	  { UP("a.example.eu"), UP("b.example.eu"), DEL("b.example.eu") },
	  "" },
	{ "another TLS mode",
	  "[" A_TERMINATE "]",
	  "",
	  "",
	  { UP("a.example.eu") },
	  "upsert_hostname a.example.eu;" },
	{ "a TLS mode that was set apart",
	  "[" A_TERMINATE "]",
	  "",
	  "",
	  { UP("a.example.eu"),
	    { .op = TOW_ENTRY_SET_HOSTNAME_TLS,
	      .name = "a.example.eu",
	      .tls_mode = TOW_TLS_TERMINATE,
	      .sequence = 2 } },
	  "" },
	{ "another list of who may come",
	  "[" A_DENY("192.0.2.7") "]",
	  "",
	  "",
	  { UP("a.example.eu") },
	  "upsert_hostname a.example.eu;" },
	{ "lists as they are, and a TLS mode that was set apart",
	  "[" A_DENY("192.0.2.7") "]",
	  "",
	  "",
	  { UP_DENY("a.example.eu", DENIED),
	    { .op = TOW_ENTRY_SET_HOSTNAME_TLS, .name = "a.example.eu", .sequence = 2 } },
	  "" },
	{ "no list any more",
	  "[" A "]",
	  "",
	  "",
	  { UP_DENY("a.example.eu", DENIED) },
	  "upsert_hostname a.example.eu;" },
	{ "ports swap: both are let go first",
	  "",
	  "[" SSH("2") "," GIT("1") "]",
	  "",
	  { TCP("ssh", 1), TCP("git", 2) },
	  "delete_tcp_service ssh;delete_tcp_service git;upsert_tcp_service ssh;upsert_tcp_service "
	  "git;" },
	{ "tcp and udp are apart",
	  "",
	  "",
	  "[" SSH("2222") "]",
	  { TCP("ssh", 2222) },
	  "delete_tcp_service ssh;upsert_udp_service ssh;" },
	{ "udp moves",
	  "",
	  "",
	  "[" SSH("2223") "]",
	  { UDP("ssh", 2222) },
	  "delete_udp_service ssh;upsert_udp_service ssh;" },
	{ "another time limit needs no release",
	  "",
	  "",
	  "[" IDLE("2222", "90") "]",
	  { UDP("ssh", 2222) },
	  "upsert_udp_service ssh;" },
	{ "the usual time limit, said or not",
	  "",
	  "",
	  "[" IDLE("2222", "60") "]",
	  { UDP("ssh", 2222) },
	  "" },
	{ "a range as it is",
	  "",
	  "[" RANGE("game", "5000", "16") "]",
	  "",
	  { TCPS("game", 5000, 16) },
	  "" },
	{ "a range that grows keeps what it has",
	  "",
	  "[" RANGE("game", "5000", "17") "]",
	  "",
	  { TCPS("game", 5000, 16) },
	  "upsert_tcp_service game;" },
	{ "a range that shrinks, and one that shifts",
	  "",
	  "[" RANGE("a", "5000", "2") "," RANGE("b", "6001", "4") "]",
	  "",
	  { TCPS("a", 5000, 4), TCPS("b", 6000, 4) },
	  "upsert_tcp_service a;upsert_tcp_service b;" },
	{ "a range that goes elsewhere",
	  "",
	  "[" RANGE("game", "5016", "16") "]",
	  "",
	  { TCPS("game", 5000, 16) },
	  "delete_tcp_service game;upsert_tcp_service game;" },
	{ "ranges that move into one another",
	  "",
	  "[" RANGE("a", "5002", "4") "," RANGE("b", "5006", "4") "]",
	  "",
	  { TCPS("a", 5000, 4), TCPS("b", 5004, 4) },
	  "delete_tcp_service b;upsert_tcp_service a;upsert_tcp_service b;" },
	{ "a port that a service gives up is another's at once",
	  "",
	  "[" RANGE("a", "5000", "1") "," RANGE("b", "5001", "1") "]",
	  "",
	  { TCPS("a", 5000, 2) },
	  "delete_tcp_service a;upsert_tcp_service a;upsert_tcp_service b;" },
	{ "the same range of the other protocol is nobody's business",
	  "",
	  "[" RANGE("a", "5000", "4") "]",
	  "[" RANGE("b", "5000", "4") "]",
	  { TCPS("a", 5000, 2) },
	  "upsert_tcp_service a;upsert_udp_service b;" },
	{ "the tenant has left",
	  "[" A "]",
	  "",
	  "",
	  { UP("a.example.eu"), { .op = TOW_ENTRY_LEAVE, .sequence = 9 } },
	  "upsert_hostname a.example.eu;" },
	{ "agents are not services",
	  "",
	  "",
	  "",
	  { { .op = TOW_ENTRY_UPSERT_AGENT, .sequence = 4 },
	    { .op = TOW_ENTRY_REVOKE_AGENT, .sequence = 5 } },
	  "" },
};

static void parse(struct tow_service_list *list, enum tow_service_kind kind, const char *text)
{
	struct tow_error err = { 0 };
	if (text[0] && tow_service_list_parse(list, kind, tow_slice_of(text), &err) != 0)
		fail_msg("%s", err.text);
}

static void rows_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct tow_service_list wanted = { 0 };
		struct hub_state has = { 0 };
		struct operations operations = { 0 };
		struct tow_buf said = { 0 };
		uint64_t latest = 0;

		parse(&wanted, TOW_SERVICE_HTTPS, row->https);
		parse(&wanted, TOW_SERVICE_TCP, row->tcp);
		parse(&wanted, TOW_SERVICE_UDP, row->udp);
		for (size_t k = 0; k < 6 && row->log[k].sequence; k++) {
			assert_int_equal(tow__hub_state_fold(&has, &row->log[k]), 0);
			if (row->log[k].sequence > latest)
				latest = row->log[k].sequence;
		}
		assert_int_equal(has.latest_sequence, latest);
		assert_int_equal(tow__reconcile(&wanted, &has, &operations), 0);
		tow_buf_append_text(&said, "");
		for (size_t k = 0; k < operations.count; k++)
			tow_buf_printf(&said, "%s %s;", tow_entry_op_name(operations.items[k].op),
			               operations.items[k].name);
		tow_buf_append(&said, "", 1);
		if (strcmp((const char *)tow_buf_peek(&said).base, row->said) != 0)
			fail_msg("%s: said \"%s\"", row->what,
			         (const char *)tow_buf_peek(&said).base);

		/* Once said, there is nothing left to say. */
		for (size_t k = 0; k < operations.count; k++)
			assert_int_equal(tow__hub_state_fold(&has, &operations.items[k]), 0);
		tow__operations_deinit(&operations);
		assert_int_equal(tow__reconcile(&wanted, &has, &operations), 0);
		assert_int_equal(operations.count, 0);

		tow_buf_deinit(&said);
		tow__operations_deinit(&operations);
		tow__hub_state_deinit(&has);
		tow_service_list_deinit(&wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_hold) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
