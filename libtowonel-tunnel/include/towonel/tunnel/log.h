/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_LOG_H
#define TOWONEL_TUNNEL_LOG_H

/*
 * Log lines with fields. The message is a constant sentence, the facts are fields, so that both
 * logfmt and JSON come out right and a line can be searched for:
 *
 *     tow_log_info(log, "tunnel is up", tow_f_id("edge", &id), tow_f_int("rtt_us", rtt));
 *     2026-01-02T03:04:05.678Z INFO tunnel is up edge=3f.. rtt_us=812
 *
 * A logger is safe to use from several threads. Never pass a secret.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tow_log_level {
	TOW_LOG_ERROR,
	TOW_LOG_WARN,
	TOW_LOG_INFO,
	TOW_LOG_DEBUG,
	TOW_LOG_TRACE,
};

enum tow_log_format {
	TOW_LOG_TEXT, /* logfmt */
	TOW_LOG_JSON,
};

enum tow_field_kind {
	TOW_FIELD_END,
	TOW_FIELD_STR,
	TOW_FIELD_INT,
	TOW_FIELD_UINT,
	TOW_FIELD_ADDR,
	TOW_FIELD_ID,
	TOW_FIELD_HEX, /* bytes, at most 16 shown */
};

struct tow_field {
	enum tow_field_kind kind;
	const char *name;
	union {
		const char *str;
		int64_t i;
		uint64_t u;
		const struct tow_addr *addr;
		const struct tow_id *id;
		struct tow_slice bytes;
	} value;
};

#define tow_f_str(n, v)  ((struct tow_field){ TOW_FIELD_STR, (n), { .str = (v) } })
#define tow_f_int(n, v)  ((struct tow_field){ TOW_FIELD_INT, (n), { .i = (int64_t)(v) } })
#define tow_f_uint(n, v) ((struct tow_field){ TOW_FIELD_UINT, (n), { .u = (uint64_t)(v) } })
#define tow_f_addr(n, v) ((struct tow_field){ TOW_FIELD_ADDR, (n), { .addr = (v) } })
#define tow_f_id(n, v)   ((struct tow_field){ TOW_FIELD_ID, (n), { .id = (v) } })
#define tow_f_hex(n, b, l)                                                                         \
	((struct tow_field){ TOW_FIELD_HEX, (n), { .bytes = { (const uint8_t *)(b), (l) } } })
/* the text of a struct tow_error * */
#define tow_f_err(v) ((struct tow_field){ TOW_FIELD_STR, "error", { .str = (v)->text } })

struct tow_log;

/* Takes a finished line without newline. Called with the logger's lock held. */
typedef void (*tow_log_sink)(void *user, enum tow_log_level level, const char *line);

/* sink NULL writes to stderr. NULL when out of memory. */
struct tow_log *tow_log_new(enum tow_log_level level, enum tow_log_format format, tow_log_sink sink,
                            void *user);
void tow_log_free(struct tow_log *log);
void tow_log_set_level(struct tow_log *log, enum tow_log_level level);
int tow_log_enabled(const struct tow_log *log, enum tow_log_level level); /* NULL log: 0 */

/* fields ends with TOW_FIELD_END. A NULL log takes nothing. */
void tow_log_write(struct tow_log *log, enum tow_log_level level, const char *message,
                   const struct tow_field *fields);

#define tow_log_at(log, level, message, ...)                                                       \
	do {                                                                                       \
		if (tow_log_enabled((log), (level)))                                               \
			tow_log_write((log), (level), (message),                                   \
			              (const struct tow_field[]){ __VA_ARGS__ __VA_OPT__(, ){      \
					      TOW_FIELD_END, NULL, { .u = 0 } } });                \
	} while (0)
#define tow_log_error(log, ...) tow_log_at((log), TOW_LOG_ERROR, __VA_ARGS__)
#define tow_log_warn(log, ...)  tow_log_at((log), TOW_LOG_WARN, __VA_ARGS__)
#define tow_log_info(log, ...)  tow_log_at((log), TOW_LOG_INFO, __VA_ARGS__)
#define tow_log_debug(log, ...) tow_log_at((log), TOW_LOG_DEBUG, __VA_ARGS__)
#define tow_log_trace(log, ...) tow_log_at((log), TOW_LOG_TRACE, __VA_ARGS__)

/* For lines that a flood could repeat: true at most once a second per gate; *suppressed gets how
 * many were held back since the last one. All-zero is valid. */
struct tow_log_gate {
	uint64_t next_ns;
	uint64_t suppressed;
};
int tow_log_gate_open(struct tow_log_gate *gate, uint64_t now_ns, uint64_t *suppressed);

int tow_log_level_parse(const char *name, enum tow_log_level *out);   /* 0, TOW_EPARSE */
int tow_log_format_parse(const char *name, enum tow_log_format *out); /* 0, TOW_EPARSE */

#ifdef __cplusplus
}
#endif
#endif
