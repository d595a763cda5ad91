/* SPDX-License-Identifier: MIT */

#include "visitor_private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "http/refusal.h"

enum state tow__visitor_refuse(struct visitor *v, enum refusal why, enum answer answer,
                               enum tow_tls_alert alert)
{
	struct worker *w = v->worker;
	const char *name = v->opening != NULL ? v->opening->dial.authority : "";

	tow_metric_inc(w->metrics.refused[why]);
	tow_log_debug(w->log, "visitor refused", tow_f_hex("id", v->id, sizeof(v->id)),
	              tow_f_addr("from", &v->peer), tow_f_str("name", name),
	              tow_f_str("reason", tow__refusal_name(why)));
	v->answer = answer;
	v->alert = alert;
	return answer == ANSWER_NONE || answer == ANSWER_RESET ? CLOSING : ALERT;
}

/* Where HTTP/1.1 is spoken in it. */
enum state tow__visitor_refuse_inside(struct visitor *v, enum refusal why, unsigned status)
{
	const char *alpn = tow_tls_alpn(v->tls);

	v->status = status;
	return tow__visitor_refuse(
		v, why, alpn == NULL || strcmp(alpn, "h2") != 0 ? ANSWER_PAGE : ANSWER_SAID, 0);
}

static unsigned status_of(enum refusal why)
{
	switch (why) {
	case REFUSED_NO_AGENT:
	case REFUSED_MEMORY:
	case REFUSED_LIMIT: return 503;
	case REFUSED_ORIGIN: return 502;
	case REFUSED_AGENT_TIMEOUT: return 504;
	default: return 500;
	}
}

enum state tow__visitor_refuse_all(struct visitor *v, enum refusal why)
{
	if (v->tls != NULL && v->state != HANDSHAKE)
		return tow__visitor_refuse_inside(v, why, status_of(why));
	return tow__visitor_refuse(v, why, v->service_port != 0 ? ANSWER_RESET : ANSWER_TLS,
	                           TOW_ALERT_INTERNAL_ERROR);
}

static const char http_answer[] = "HTTP/1.1 400 Bad Request\r\n"
				  "Content-Type: text/plain\r\n"
				  "Content-Length: 51\r\n"
				  "Connection: close\r\n"
				  "\r\n"
				  "This port speaks HTTPS: ask with https://, please.\n";

/* The socket has room for so little: nothing else was written but the handshake. */
static void send_page(struct visitor *v)
{
	struct tow_buf page = { NULL, 0, 0, 0 };
	size_t n;

	if (tow__http_refusal(v->status, 0, &page) == 0)
		tow_tls_write(v->tls, page.base, tow_buf_len(&page), &n);
	tow_buf_deinit(&page);
}

static int send_answer(struct visitor *v)
{
	uint8_t alert[TOW_TLS_ALERT_SIZE];
	ssize_t n = 0;

	switch (v->answer) {
	case ANSWER_TLS:
		tow_tls_alert_write(v->alert, alert);
		n = send(v->fd, alert, sizeof(alert), MSG_NOSIGNAL);
		break;
	case ANSWER_HTTP:
		n = send(v->fd, http_answer, sizeof(http_answer) - 1, MSG_NOSIGNAL);
		break;
	case ANSWER_PAGE:
		send_page(v);
		tow_tls_shutdown(v->tls);
		break;
	default:
		if (v->tls != NULL)
			tow_tls_shutdown(v->tls); /* nothing after an alert that was fatal */
	}
	v->answer = ANSWER_NONE;
	return n >= 0 && shutdown(v->fd, SHUT_WR) == 0 ? 0 : TOW_ERESET;
}

/* Answers first; then reads until the visitor closes. */
enum state tow__visitor_alert(struct visitor *v)
{
	uint8_t waste[4096];
	ssize_t n;

	if (v->timed_out)
		return CLOSING;
	if (v->answer != ANSWER_NONE) {
		tow__visitor_forget_opening(v);
		if (send_answer(v) != 0)
			return CLOSING;
		tow_io_watch(v->io, TOW_IO_READ);
	}
	do {
		n = recv(v->fd, waste, sizeof(waste), 0);
		v->drained += n > 0 ? (size_t)n : 0;
	} while (n > 0 && v->drained < TOW_ALERT_DRAIN_MAX);
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? ALERT : CLOSING;
}
