/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A line is made on the stack and leaves in one write(2), so that lines of several threads and
 * processes do not mix (POSIX promises that for pipes up to PIPE_BUF, 4096 bytes). A field that
 * does not fit is left out and `cut` says so. Both formats escape alike, as JSON does, all that is
 * not printable UTF-8: a peer's bytes must not be able to forge a line or to drive a terminal.
 */

#define LINE_MAX_SIZE 4096
#define VALUE_MAX     1024 /* bytes of a string that are shown */
#define HEX_BYTES_MAX 16
#define CUT_TEXT      " cut=1"
#define CUT_JSON      ",\"cut\":true}"
#define CUT_ROOM      (sizeof CUT_JSON + 1) /* with newline and NUL */

struct tow_log {
	_Atomic int level;
	enum tow_log_format format;
	tow_log_sink sink;
	void *user;
	pthread_mutex_t lock;
};

static const char *const level_names[] = {
	[TOW_LOG_ERROR] = "ERROR", [TOW_LOG_WARN] = "WARN",   [TOW_LOG_INFO] = "INFO",
	[TOW_LOG_DEBUG] = "DEBUG", [TOW_LOG_TRACE] = "TRACE",
};

struct line {
	char text[LINE_MAX_SIZE];
	size_t len;
	int full;
};

static void put_bytes(struct line *line, const char *bytes, size_t len)
{
	if (line->full || len > sizeof line->text - CUT_ROOM - line->len) {
		line->full = 1;
		return;
	}
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
}

static void put(struct line *line, const char *text)
{
	put_bytes(line, text, strlen(text));
}

/* The length of the UTF-8 sequence at p, and its code point; 0 when it is none (RFC 3629). */
static size_t sequence(const unsigned char *p, size_t len, unsigned *code)
{
	size_t n = p[0] < 0x80   ? 1
	           : p[0] < 0xc2 ? 0
	           : p[0] < 0xe0 ? 2
	           : p[0] < 0xf0 ? 3
	           : p[0] < 0xf5 ? 4
	                         : 0;
	static const unsigned char lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };

	if (!n || n > len)
		return 0;
	*code = p[0] & lead_bits[n];
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && (*code < 0x800 || (*code >= 0xd800 && *code < 0xe000))) ||
	    (n == 4 && (*code < 0x10000 || *code > 0x10ffff)))
		return 0;
	return n;
}

/* Controls of ASCII and Latin-1, line separators, and what turns the direction of writing. */
static int unprintable(unsigned code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

static void put_escaped(struct line *line, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end;
	int shortened = len > VALUE_MAX;
	char escape[8];

	for (end = p + (shortened ? VALUE_MAX : len); p < end;) {
		unsigned code = 0;
		size_t n = sequence(p, (size_t)(end - p), &code);
		if (!n) {
			if (shortened && end - p < 4)
				break; /* where it was cut */
			put(line, "\\ufffd");
			n = 1;
		} else if (code == '"' || code == '\\') {
			snprintf(escape, sizeof escape, "\\%c", (int)code);
			put(line, escape);
		} else if (code == '\n') {
			put(line, "\\n");
		} else if (unprintable(code)) {
			snprintf(escape, sizeof escape, "\\u%04x", code);
			put(line, escape);
		} else {
			put_bytes(line, (const char *)p, n);
		}
		p += n;
	}
	if (shortened)
		put(line, "...");
}

static void put_quoted(struct line *line, const char *text, size_t len)
{
	put(line, "\"");
	put_escaped(line, text, len);
	put(line, "\"");
}

/* Whether logfmt can do without quotes. */
static int plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
			return 0;
	}
	return len > 0;
}

static void put_text(struct line *line, enum tow_log_format format, const char *text)
{
	size_t len = strlen(text);

	if (format == TOW_LOG_TEXT && len <= VALUE_MAX && plain(text, len))
		put_bytes(line, text, len);
	else
		put_quoted(line, text, len);
}

static void put_value(struct line *line, enum tow_log_format format, const struct tow_field *field)
{
	char text[TOW_ADDR_TEXT_SIZE + TOW_ID_TEXT_SIZE];
	size_t n;

	switch (field->kind) {
	case TOW_FIELD_STR:
		if (field->value.str)
			put_text(line, format, field->value.str);
		else
			put(line, "null");
		break;
	case TOW_FIELD_INT:
		snprintf(text, sizeof text, "%lld", (long long)field->value.i);
		put(line, text);
		break;
	case TOW_FIELD_UINT:
		snprintf(text, sizeof text, "%llu", (unsigned long long)field->value.u);
		put(line, text);
		break;
	case TOW_FIELD_ADDR:
		put_text(line, format, tow_addr_format(field->value.addr, text));
		break;
	case TOW_FIELD_ID: put_text(line, format, tow_id_format(field->value.id, text)); break;
	case TOW_FIELD_HEX:
		n = field->value.bytes.len < HEX_BYTES_MAX ? field->value.bytes.len : HEX_BYTES_MAX;
		tow_hex_encode(field->value.bytes.base, n, text);
		if (n < field->value.bytes.len)
			memcpy(text + 2 * n, "...", 4);
		put_text(line, format, text);
		break;
	case TOW_FIELD_END: break;
	}
}

static void put_time(struct line *line)
{
	char text[48];
	uint64_t now_ms = tow_wall_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(now_ms % 1000));
	put(line, text);
}

static void put_head(struct line *line, enum tow_log_format format, enum tow_log_level level,
                     const char *message)
{
	if (format == TOW_LOG_JSON) {
		put(line, "{\"time\":\"");
		put_time(line);
		put(line, "\",\"level\":\"");
		put(line, level_names[level]);
		put(line, "\",\"message\":");
		put_quoted(line, message, strlen(message));
	} else {
		put_time(line);
		put(line, " ");
		put(line, level_names[level]);
		put(line, " ");
		put_escaped(line, message, strlen(message));
	}
}

static void put_field(struct line *line, enum tow_log_format format, const struct tow_field *field)
{
	if (format == TOW_LOG_JSON) {
		put(line, ",");
		put_quoted(line, field->name, strlen(field->name));
		put(line, ":");
	} else {
		put(line, " ");
		put(line, field->name);
		put(line, "=");
	}
	put_value(line, format, field);
}

static void put_tail(struct line *line, enum tow_log_format format, int cut)
{
	const char *tail = format == TOW_LOG_JSON ? (cut ? CUT_JSON : "}") : cut ? CUT_TEXT : "";

	/* CUT_ROOM has been kept for this. */
	memcpy(line->text + line->len, tail, strlen(tail) + 1);
	line->len += strlen(tail);
}

static void write_stderr(char *text, size_t len)
{
	text[len++] = '\n';
	while (len) {
		ssize_t n = write(STDERR_FILENO, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* there is nobody to tell */
		text += n;
		len -= (size_t)n;
	}
}

void tow_log_write(struct tow_log *log, enum tow_log_level level, const char *message,
                   const struct tow_field *fields)
{
	struct line line;
	int cut = 0, saved_errno = errno;

	if (!tow_log_enabled(log, level))
		return;
	line.len = 0;
	line.full = 0;
	put_head(&line, log->format, level, message);
	for (; fields->kind != TOW_FIELD_END; fields++) {
		size_t before = line.len;
		put_field(&line, log->format, fields);
		if (line.full) {
			line.len = before;
			line.full = 0;
			cut = 1;
		}
	}
	put_tail(&line, log->format, cut);
	pthread_mutex_lock(&log->lock);
	if (log->sink)
		log->sink(log->user, level, line.text);
	else
		write_stderr(line.text, line.len);
	pthread_mutex_unlock(&log->lock);
	errno = saved_errno;
}

struct tow_log *tow_log_new(enum tow_log_level level, enum tow_log_format format, tow_log_sink sink,
                            void *user)
{
	struct tow_log *log = calloc(1, sizeof *log);

	if (!log)
		return NULL;
	atomic_init(&log->level, (int)level);
	log->format = format;
	log->sink = sink;
	log->user = user;
	pthread_mutex_init(&log->lock, NULL);
	return log;
}

void tow_log_free(struct tow_log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void tow_log_set_level(struct tow_log *log, enum tow_log_level level)
{
	atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

int tow_log_enabled(const struct tow_log *log, enum tow_log_level level)
{
	/* C11 has no atomic load of a const object. */
	struct tow_log *l = (struct tow_log *)(uintptr_t)log;

	return l && (int)level <= atomic_load_explicit(&l->level, memory_order_relaxed);
}

int tow_log_gate_open(struct tow_log_gate *gate, uint64_t now_ns, uint64_t *suppressed)
{
	if (now_ns < gate->next_ns) {
		gate->suppressed++;
		return 0;
	}
	*suppressed = gate->suppressed;
	gate->suppressed = 0;
	gate->next_ns = now_ns + TOW_NSEC_PER_SEC;
	return 1;
}

int tow_log_level_parse(const char *name, enum tow_log_level *out)
{
	static const char *const names[] = { "error", "warn", "info", "debug", "trace" };

	for (int i = 0; i <= TOW_LOG_TRACE; i++) {
		if (!strcmp(name, names[i])) {
			*out = (enum tow_log_level)i;
			return 0;
		}
	}
	return TOW_EPARSE;
}

int tow_log_format_parse(const char *name, enum tow_log_format *out)
{
	if (!strcmp(name, "text"))
		*out = TOW_LOG_TEXT;
	else if (!strcmp(name, "json"))
		*out = TOW_LOG_JSON;
	else
		return TOW_EPARSE;
	return 0;
}
