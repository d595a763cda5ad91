/* SPDX-License-Identifier: MIT */
/* Answers: status line, header fields, body (RFC 9110, RFC 9112), and the end of
 * a request's life. */
#include "http/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/connection.h"

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

/* IMF-fixdate, RFC 9110 section 5.6.7; not strftime, whose names follow the locale. */
static void format_date(char *out, size_t cap)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(out, cap, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
	         tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
	         tm.tm_sec);
}

int tow__answer_head(struct tow_http_request *request, int status, const char *content_type,
                     struct tow_buf *out)
{
	struct tow_slice extra = tow_buf_peek(&request->extra);
	char date[40];
	int rc;

	format_date(date, sizeof date);
	rc = tow_buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n", status,
	                    reason_of(status), date, request->id);
	if (!rc && content_type)
		rc = tow_buf_printf(out, "Content-Type: %s\r\n", content_type);
	if (!rc && status == 405)
		rc = tow_buf_printf(out, "Allow: %s\r\n", request->match.allow);
	if (!rc)
		rc = tow_buf_append(out, extra.base, extra.len);
	return rc;
}

/* A request ends here, answered or not. */
void tow__request_finish(struct tow_http_request *request, int status)
{
	struct tow_http_server *server = request->server;

	if (server->config.after && !server->closed)
		server->config.after(server->config.user, request, status);
	tow__request_free(request);
	tow__http_server_unref(server);
}

void tow_http_set_header(struct tow_http_request *request, const char *name, const char *value)
{
	/* A line break in a value would let whoever chose it write the rest of the answer. */
	if (!strpbrk(name, "\r\n") && !strpbrk(value, "\r\n"))
		(void)tow_buf_printf(&request->extra, "%s: %s\r\n", name, value);
}

void tow_http_respond(struct tow_http_request *request, int status, const char *content_type,
                      struct tow_slice body)
{
	struct tow__connection *connection = request->connection;
	bool bodiless = status == 204 || status == 304;
	bool keep_alive;
	struct tow_buf *out;
	int rc;

	if (!connection) {
		tow__request_finish(request, status);
		return;
	}
	out = tow__connection_out(connection);
	keep_alive = tow__connection_keeps_alive(connection, request);
	rc = tow__answer_head(request, status, bodiless ? NULL : content_type, out);
	if (!rc && !bodiless)
		rc = tow_buf_printf(out, "Content-Length: %zu\r\n", body.len);
	/* HTTP/1.0 closes unless told otherwise, HTTP/1.1 the other way round */
	if (!rc)
		rc = tow_buf_printf(out, "Connection: %s\r\n\r\n",
		                    keep_alive ? "keep-alive" : "close");
	if (!rc && !bodiless && strcmp(request->method, "HEAD"))
		rc = tow_buf_append(out, body.base, body.len);
	tow__request_finish(request, status);
	if (rc)
		tow__connection_abort(connection);
	else
		tow__connection_answered(connection, keep_alive);
}

void tow_http_respond_json(struct tow_http_request *request, int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (!text) {
		tow_http_respond(request, 500, "application/json",
		                 tow_slice_of("{\"error\":{\"code\":\"internal\","
		                              "\"message\":\"the answer could not be made\"}}"));
		return;
	}
	tow_http_respond(request, status, "application/json", tow_slice_of(text));
	/* answers carry tokens */
	explicit_bzero(text, strlen(text));
	free(text);
}

void tow_http_respond_error(struct tow_http_request *request, int status, const char *code,
                            const char *format, ...)
{
	char message[TOW_ERROR_TEXT_SIZE];
	va_list args;
	json_t *text;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	text = json_string(message);
	if (!text) { /* cut in the middle of a character, or quoting what is no text */
		for (unsigned char *p = (unsigned char *)message; *p; p++)
			if (*p >= 0x80)
				*p = '?';
		text = json_string(message);
	}
	tow_http_respond_json(request, status,
	                      json_pack("{s:{s:s,s:o}}", "error", "code", code, "message", text));
}
