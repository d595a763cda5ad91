/* SPDX-License-Identifier: MIT */

/*
 * A UDP session goes to another worker, which has a tunnel of an agent that may take it, before any
 * agent has. The kernel goes on giving its datagrams to the worker where it began, its home, which
 * hands them on: there a signpost says where the session is.
 *
 *            home                          another
 *     session ── move ──────────────────────► session ──► (gone)
 *        '─► signpost ── each datagram ─────────►'            │
 *               '◄───────────────────────────── tell_home ────'
 *
 * One that has to move on says so at home, too. Answers leave from where the session is: all
 * workers' sockets have the same port.
 */

#include <stdlib.h>
#include <string.h>
#include <towonel/wire/control_message.h>
#include "../worker.h"
#include "listener.h"
#include "session.h"

struct udp_signpost {
	uint8_t key[UDP_KEY_SIZE];
	unsigned worker;
	UT_hash_handle hh;
};

/* A letter about a session that is not here. */
struct news {
	struct udp_session *session; /* comes with it, or NULL */
	uint8_t key[UDP_KEY_SIZE];
	uint16_t port;
	unsigned worker; /* where it is now, or was */
};

static struct udp_signpost *find(const struct udp_listener *listener,
                                 const uint8_t key[UDP_KEY_SIZE])
{
	struct udp_signpost *post;

	HASH_FIND_BYHASHVALUE(hh, listener->signposts, key, UDP_KEY_SIZE,
	                      tow__udp_key_hash(listener->worker, key), post);
	return post;
}

/* Returns 0, TOW_ENOMEM. */
static int put_up(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE], unsigned worker)
{
	struct udp_signpost *post = calloc(1, sizeof(*post));

	if (post == NULL)
		return TOW_ENOMEM;
	memcpy(post->key, key, UDP_KEY_SIZE);
	post->worker = worker;
	HASH_ADD_BYHASHVALUE(hh, listener->signposts, key, UDP_KEY_SIZE,
	                     tow__udp_key_hash(listener->worker, key), post);
	if (post->hh.tbl != NULL)
		return 0;
	free(post);
	return TOW_ENOMEM;
}

static void take_down(struct udp_listener *listener, struct udp_signpost *post)
{
	if (post == NULL)
		return;
	HASH_DEL(listener->signposts, post);
	free(post);
}

void tow__udp_signposts_deinit(struct udp_listener *listener)
{
	struct udp_signpost *post, *next;

	HASH_ITER(hh, listener->signposts, post, next)
	take_down(listener, post);
}

/* --- on the way --- */

static int mail(struct worker *to, void (*fn)(struct worker *w, void *message),
                const struct news *news)
{
	return to->all->over ? TOW_ECLOSED : tow__worker_mail(to, fn, news, sizeof(*news));
}

static void arrive(struct worker *w, void *message)
{
	const struct news *news = message;
	struct udp_session *s = news->session, *old = NULL;
	struct udp_listener *listener = tow__ports_udp(&w->ports, news->port);

	tow__dial_moved(&s->opening->dial, w);
	if (listener != NULL)
		old = tow__udp_session_find(listener, s->key);
	if (old != NULL)
		tow__udp_session_end(old, TOW_TUNNEL_IDLE);
	if (listener == NULL || tow__udp_session_link(s, listener) != 0) {
		tow__udp_session_tell_home(s, w);
		tow__udp_session_free(s, w, TOW_TUNNEL_OK);
		return;
	}
	if (s->home == w->index)
		take_down(listener, find(listener, s->key));
	tow__udp_session_dial(s);
}

static void on_moved_on(struct worker *w, void *message)
{
	const struct news *news = message;
	struct udp_listener *listener = tow__ports_udp(&w->ports, news->port);
	struct udp_signpost *post = listener != NULL ? find(listener, news->key) : NULL;

	if (post != NULL)
		post->worker = news->worker;
}

int tow__udp_session_move(struct udp_session *s)
{
	struct udp_listener *listener = s->listener;
	struct worker *w = listener->worker;
	struct workers *all = w->all;
	unsigned home = s->home;
	int to = s->opening->moves < TOW_VISITOR_MOVES_MAX ? tow__dial_elsewhere(&s->opening->dial)
	                                                   : ROSTER_NOBODY;
	struct news news = { .session = s, .port = s->port, .worker = (unsigned)to };

	if (to == ROSTER_NOBODY || (home == w->index && put_up(listener, s->key, news.worker) != 0))
		return 0;
	memcpy(news.key, s->key, UDP_KEY_SIZE);
	tow_timer_stop(&s->timer);
	tow__udp_session_unlink(s);
	s->opening->moves++;
	tow_metric_inc(w->metrics.handed_over);
	if (mail(&all->list[to], arrive, &news) != 0) {
		if (home == w->index)
			take_down(listener, find(listener, news.key));
		else
			tow__udp_session_tell_home(s, w);
		tow__udp_session_free(s, w, TOW_TUNNEL_INTERNAL);
	} else if (home != w->index && home != news.worker) {
		/* behind the session: what comes from there finds it; short of memory, the visitor
		 * begins anew */
		(void)mail(&all->list[home], on_moved_on, &news);
	}
	return 1;
}

/* --- at the end --- */

static void on_over(struct worker *w, void *message)
{
	const struct news *news = message;
	struct udp_listener *listener = tow__ports_udp(&w->ports, news->port);
	struct udp_signpost *post = listener != NULL ? find(listener, news->key) : NULL;

	if (post != NULL && post->worker == news->worker)
		take_down(listener, post);
}

static int tell(struct worker *w, unsigned home, uint16_t port, const uint8_t key[UDP_KEY_SIZE])
{
	struct news news = { .port = port, .worker = w->index };

	memcpy(news.key, key, UDP_KEY_SIZE);
	return mail(&w->all->list[home], on_over, &news);
}

void tow__udp_session_tell_home(const struct udp_session *s, struct worker *w)
{
	/* short of memory, it hears of it with the visitor's next datagram */
	(void)tell(w, s->home, s->port, s->key);
}

int tow__udp_signposts_mislead(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                               unsigned home)
{
	return tell(listener->worker, home, listener->port, key);
}

/* --- at home --- */

int tow__udp_signposts_follow(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                              const struct tow_udp_packet *packet)
{
	struct worker *w = listener->worker;
	const struct udp_signpost *post;

	post = listener->signposts != NULL ? find(listener, key) : NULL;
	if (post == NULL)
		return 0;
	tow__worker_mail_packet(&w->all->list[post->worker], packet, listener->port, w->index);
	return 1;
}

/* One that makes room is enough for all who have asked. */
static void on_room_asked(struct worker *w, void *message)
{
	uint16_t port = *(const uint16_t *)message;
	struct udp_listener *listener = tow__ports_udp(&w->ports, port);
	int full;

	pthread_mutex_lock(&w->all->limits_lock);
	full = tow__udp_limits_full(&w->all->udp, port);
	pthread_mutex_unlock(&w->all->limits_lock);
	if (full && listener != NULL)
		(void)tow__udp_sessions_make_room(listener, NULL);
}

void tow__udp_sessions_ask_room(struct udp_listener *listener)
{
	if (listener->room_asked)
		return;
	listener->room_asked = 1;
	tow__workers_mail(listener->worker, on_room_asked, &listener->port, sizeof(listener->port));
}
