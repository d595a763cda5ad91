/* SPDX-License-Identifier: MIT */

/*
 * A visitor whose TLS ends here: the states between ROUTE and DIAL.
 */

#include "visitor_private.h"

#include "carriers.h"

/* Nothing was wrong, and nothing more is to be said. */
static enum state end_session(struct visitor *v)
{
	v->answer = ANSWER_SAID;
	return ALERT;
}

static int has_group(const struct tow_client_hello *hello)
{
	for (size_t i = 0; i < hello->group_count; i++) {
		if (tow_tls_group_served(hello->groups[i]))
			return 1;
	}
	return hello->group_count == 0;
}

/* Whoever validates control of the name (RFC 8737) offers this and nothing else. */
int tow__visitor_is_challenge(const struct visitor *v)
{
	const struct tow_client_hello *hello = &v->opening->hello;

	return hello->alpn_count == 1 &&
	       tow_slice_equal(hello->alpn[0], tow_slice_of("acme-tls/1"));
}

enum state tow__visitor_terminate(struct visitor *v)
{
	struct worker *w = v->worker;
	struct opening *o = v->opening;

	if (w->certs == NULL)
		return tow__visitor_refuse_all(v, REFUSED_NO_CERTIFICATE);
	if (w->index > 0) /* the first has the certificates */
		return tow__visitor_move(v, 0, ROUTE);
	if (!has_group(&o->hello))
		return tow__visitor_refuse(v, REFUSED_HANDSHAKE, ANSWER_TLS,
		                           TOW_ALERT_HANDSHAKE_FAILURE);
	o->challenge = tow__visitor_is_challenge(v);
	/* No certificate is asked for on behalf of a service that nobody offers. */
	if (!o->challenge && !o->denied && !tow__dial_possible(&o->dial))
		return tow__visitor_no_agent(v);
	return CERT;
}

static void on_cert(void *user, struct tow_tls_context *context)
{
	struct visitor *v = user;

	v->opening->context = context;
	tow__visitor_step(v);
}

/* The session is the store's context's, and has read what we have. */
static enum state start_handshake(struct visitor *v, struct tow_tls_context *context)
{
	struct opening *o = v->opening;
	struct tow_slice hello = tow_buf_peek(&o->dial.bytes);
	int speaks_h2 = o->http_mode == TOW_HTTP_H2C && !o->denied;
	const char *alpn = o->challenge ? "acme-tls/1"
	                   : o->carrier ? TOW_CARRIER_ALPN
	                   : speaks_h2  ? "h2,http/1.1"
	                                : "http/1.1,http/1.0";

	hello = tow_slice_make(hello.base + TOW__HEADER_ROOM, hello.len - TOW__HEADER_ROOM);
	if (atomic_load(&v->worker->all->handshakes) >= TOW_TLS_HANDSHAKES_MAX)
		return tow__visitor_refuse_all(v, REFUSED_LIMIT);
	if (tow_tls_accept(context, v->fd, alpn, hello, &v->tls) != 0)
		return tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	tow_buf_deinit(&o->dial.bytes);
	tow__visitor_forget_hello(o);
	v->readable = 1;
	if (!o->challenge && o->home != v->worker->index)
		return tow__visitor_move(v, o->home, HANDSHAKE);
	return HANDSHAKE;
}

enum state tow__visitor_carry(struct visitor *v)
{
	v->opening->carrier = 1;
	return start_handshake(v, v->worker->carrier_tls);
}

static enum state become_carrier(struct visitor *v)
{
	tow_io_free(v->io);
	v->io = NULL;
	if (tow__edge_carrier_take(v->worker, v->fd, v->tls, &v->peer, &v->local) != 0)
		return tow__visitor_refuse(v, REFUSED_INTERNAL, ANSWER_NONE, 0);
	v->fd = -1;
	v->tls = NULL;
	v->carries = 1;
	return CLOSING;
}

enum state tow__visitor_cert(struct visitor *v)
{
	struct opening *o = v->opening;
	struct tow_tls_context *context = o->context;
	int rc;

	o->context = NULL;
	if (context != NULL)
		return start_handshake(v, context);
	if (v->timed_out || o->waited)
		return tow__visitor_refuse_all(v, REFUSED_NO_CERTIFICATE);
	if (o->wait.cert != NULL)
		return CERT;
	if (o->challenge) {
		context = tow__cert_store_challenge(v->worker->certs, o->dial.authority);
		rc = context != NULL ? 0 : TOW_ENOTFOUND;
	} else if (o->denied) {
		if (tow__cert_store_get(v->worker->certs, o->dial.authority, NULL, &context) != 0)
			return tow__visitor_deny(v);
		rc = 0;
	} else {
		o->wait.done = on_cert;
		o->wait.user = v;
		rc = tow__cert_store_get(v->worker->certs, o->dial.authority, &o->wait, &context);
	}
	if (rc == 0)
		return start_handshake(v, context);
	if (rc != TOW_BLOCKED)
		return tow__visitor_refuse_all(v, rc == TOW_ELIMIT ? REFUSED_LIMIT
		                                                   : REFUSED_NO_CERTIFICATE);
	o->waited = 1;
	tow_io_watch(v->io, 0); /* it has nothing to say before we have */
	return CERT;
}

/* One step of the handshake. It takes a quarter of a millisecond, with RSA several times that, and
 * many may have come at once: those that find the turn's share used up wait for the next, which a
 * socket that can be written to brings at once. */
static int shake_hands(struct visitor *v, struct tow_error *err)
{
	struct worker *w = v->worker;
	uint64_t turn_ns = tow_loop_now_ns(w->loop), began_ns;
	int rc;

	if (w->handshake_turn_ns != turn_ns) {
		w->handshake_turn_ns = turn_ns;
		w->handshake_spent_ns = 0;
	}
	if (w->handshake_spent_ns >= TOW_TLS_HANDSHAKE_TURN_US * 1000ULL) {
		tow_io_watch(v->io, TOW_IO_WRITE);
		return TOW_BLOCKED;
	}
	began_ns = tow_now_ns();
	rc = tow_tls_handshake(v->tls, err);
	w->handshake_spent_ns += tow_now_ns() - began_ns;
	if (rc == TOW_BLOCKED)
		tow_io_watch(v->io, tow_tls_events(v->tls));
	return rc;
}

enum state tow__visitor_handshake(struct visitor *v)
{
	struct worker *w = v->worker;
	struct tow_error err;
	int rc;

	if (v->timed_out)
		return tow__visitor_refuse(v, REFUSED_HANDSHAKE, ANSWER_NONE, 0);
	if (!v->readable)
		return HANDSHAKE;
	v->readable = 0;
	rc = shake_hands(v, &err);
	if (rc == TOW_BLOCKED)
		return HANDSHAKE;
	if (rc != 0) {
		tow_log_debug(w->log, "visitor's handshake failed",
		              tow_f_hex("id", v->id, sizeof(v->id)), tow_f_err(&err));
		return tow__visitor_refuse(v, REFUSED_HANDSHAKE, ANSWER_SAID, 0);
	}
	if (v->opening->carrier)
		return become_carrier(v);
	tow_metric_inc(w->metrics.terminated);
	if (tow_tls_resumed(v->tls))
		tow_metric_inc(w->metrics.resumed);
	if (v->opening->challenge)
		return end_session(v);
	if (v->opening->http_mode == TOW_HTTP_FORWARDED)
		v->exchange = tow__exchange_new(v->opening->dial.authority, &v->peer,
		                                tow_loop_now_ns(w->loop));
	if (tow__visitor_write_header(v) != 0 ||
	    (v->exchange == NULL && v->opening->http_mode == TOW_HTTP_FORWARDED))
		return tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	tow_io_watch(v->io, TOW_IO_READ);
	v->readable = 1; /* the session may have read ahead */
	return REQUEST;
}

enum state tow__visitor_request(struct visitor *v)
{
	struct tow_slice fresh = { NULL, 0 };
	int rc;

	if (v->timed_out)
		return v->exchange != NULL && tow__exchange_begun(v->exchange)
		               ? tow__visitor_refuse_inside(v, REFUSED_REQUEST, 408)
		               : end_session(v);
	if (!v->readable)
		return REQUEST;
	do {
		rc = tow__visitor_receive(v, TOW_HELLO_READ_SIZE, &fresh);
	} while (rc == 0 && fresh.len == 0);
	if ((rc == 0 || rc == TOW_MORE) && fresh.len > 0 && v->opening->denied)
		return tow__visitor_deny(v);
	if ((rc == 0 || rc == TOW_MORE) && fresh.len > 0)
		return DIAL; /* readable still: there may be more inside */
	v->readable = 0;
	if (rc == TOW_BLOCKED)
		return REQUEST;
	if (rc == TOW_EOF)
		return end_session(v);
	if (rc == TOW_MORE)
		return tow__visitor_refuse_inside(v, REFUSED_REQUEST,
		                                  tow__exchange_refused(v->exchange));
	if (rc == TOW_ELIMIT)
		return tow__visitor_refuse_all(v, REFUSED_MEMORY);
	return rc == TOW_ENOMEM ? tow__visitor_refuse_all(v, REFUSED_INTERNAL)
	                        : tow__visitor_refuse(v, REFUSED_GONE, ANSWER_NONE, 0);
}
