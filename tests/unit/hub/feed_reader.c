/* SPDX-License-Identifier: MIT */
#include "feed_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>
#include <towonel/wire/request_signature.h>

#define PATIENCE_S 20

static int keep(void *user, const struct tow_event *event)
{
	struct feed_reader *r = user;
	struct feed_event *e = &r->events[r->count];

	if (r->count == sizeof r->events / sizeof r->events[0])
		return TOW_ETOOBIG;
	snprintf(e->type, sizeof e->type, "%s", event->type);
	e->id = strtoull(event->id, NULL, 10);
	e->data = strndup((const char *)event->data.base, event->data.len);
	r->count++;
	pthread_cond_broadcast(&r->changed);
	return 0;
}

static size_t take(char *bytes, size_t size, size_t count, void *user)
{
	struct feed_reader *r = user;
	size_t len = size * count;
	int rc;

	pthread_mutex_lock(&r->lock);
	while (r->held && !r->over)
		pthread_cond_wait(&r->changed, &r->lock);
	rc = r->over ? TOW_ECLOSED
	             : tow_event_parse(&r->parser, tow_slice_make(bytes, len), keep, r);
	pthread_mutex_unlock(&r->lock);
	return rc ? 0 : len;
}

static int is_over(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct feed_reader *r = user;
	int over;

	(void)a, (void)b, (void)c, (void)d;
	pthread_mutex_lock(&r->lock);
	over = r->over;
	pthread_mutex_unlock(&r->lock);
	return over;
}

static int small_window(void *user, curl_socket_t fd, curlsocktype type)
{
	int size = 4096;

	(void)user;
	(void)type;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return CURL_SOCKOPT_OK;
}

static void *run(void *user)
{
	struct feed_reader *r = user;
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
	CURL *curl = curl_easy_init();
	char url[256], header[400];
	long status = 0;

	snprintf(url, sizeof url, "%s/v1/routes/subscribe", r->hub->url);
	snprintf(header, sizeof header, "Authorization: %s", r->auth);
	headers = curl_slist_append(headers, header);
	snprintf(header, sizeof header, "Last-Event-ID: %s", r->last_id);
	if (r->last_id[0])
		headers = curl_slist_append(headers, header);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_over);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, r);
	if (r->slow)
		curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, small_window);
	curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	pthread_mutex_lock(&r->lock);
	r->status = (int)status;
	r->over = 1;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

void feed_start(struct feed_reader *r, struct live_hub *h, const struct tow_node_key *key,
                const char *last_id, const char *auth, int slow)
{
	memset(r, 0, sizeof *r);
	r->hub = h;
	r->slow = slow;
	snprintf(r->last_id, sizeof r->last_id, "%s", last_id ? last_id : "");
	if (auth)
		snprintf(r->auth, sizeof r->auth, "%s", auth);
	else
		tow_request_sign(key, TOW_DOMAIN_EDGE_SUBSCRIBE, tow_wall_ms(), tow_slice_of(""),
		                 r->auth);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
}

/* With the lock. Fails the test when it takes too long. */
static void wait_changed(struct feed_reader *r, const struct timespec *until, const char *what)
{
	if (pthread_cond_timedwait(&r->changed, &r->lock, until) != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&r->lock);
	fail_msg("waited in vain for %s; there are %zu events", what, r->count);
}

static struct timespec patience(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	return until;
}

const struct feed_event *feed_event(struct feed_reader *r, size_t n)
{
	struct timespec until = patience();

	pthread_mutex_lock(&r->lock);
	while (r->count <= n) {
		if (r->over) {
			pthread_mutex_unlock(&r->lock);
			fail_msg("the stream is over, status %d, with %zu events", r->status,
			         r->count);
		}
		wait_changed(r, &until, "an event");
	}
	pthread_mutex_unlock(&r->lock);
	return &r->events[n];
}

static void free_reader(struct feed_reader *r)
{
	pthread_join(r->thread, NULL);
	for (size_t i = 0; i < r->count; i++)
		free(r->events[i].data);
	r->count = 0;
	tow_event_parser_deinit(&r->parser);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->changed);
}

int feed_over(struct feed_reader *r)
{
	struct timespec until = patience();

	pthread_mutex_lock(&r->lock);
	while (!r->over)
		wait_changed(r, &until, "the end");
	pthread_mutex_unlock(&r->lock);
	free_reader(r);
	return r->status;
}

void feed_hold(struct feed_reader *r, int hold)
{
	pthread_mutex_lock(&r->lock);
	r->held = hold;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void feed_stop(struct feed_reader *r)
{
	pthread_mutex_lock(&r->lock);
	r->over = 1;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	free_reader(r);
}
