/* SPDX-License-Identifier: MIT */
#include "live_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <cmocka.h>

#include "postgres_server.h"

static const uint16_t reserved[] = { 8443 };

static void keep_line(void *user, enum tow_log_level level, const char *line)
{
	struct live_hub *h = user;

	(void)level;
	pthread_mutex_lock(&h->lock);
	tow_buf_printf(&h->logged, "%s\n", line);
	pthread_mutex_unlock(&h->lock);
}

static void *run(void *user)
{
	tow_loop_run(((struct live_hub *)user)->loop);
	return NULL;
}

static void start(struct live_hub *h)
{
	static const uint8_t hash_key[TOW_SECRET_SIZE] = { 9 };
	struct tow_hub_config config = {
		.key = &h->key,
		.invite_hash_key = hash_key,
		.operator_key = OPERATOR_KEY,
		.listen = { .family = 4, .bytes = { 127, 0, 0, 1 } },
		.public_url = "https://hub.example.eu:8443",
		.db_driver = h->driver,
		.db_dsn = h->dsn[0] ? h->dsn : h->db,
		.db_max_open_conns = 3,
		.reserved_ports = reserved,
		.reserved_port_count = 1,
		.version = "1.2.3",
	};
	struct tow_error err;
	char text[TOW_ADDR_TEXT_SIZE];

	h->loop = tow_loop_new();
	h->metrics = tow_metrics_new();
	h->log = tow_log_new(TOW_LOG_DEBUG, TOW_LOG_TEXT, keep_line, h);
	config.loop = h->loop;
	config.metrics = h->metrics;
	config.log = h->log;
	if (tow_hub_new(&config, &h->hub, &err))
		fail_msg("%s", err.text);
	snprintf(h->url, sizeof h->url, "https://%s", tow_addr_format(tow_hub_addr(h->hub), text));
	assert_int_equal(pthread_create(&h->thread, NULL, run, h), 0);
}

static void closed(void *user)
{
	struct live_hub *h = user;

	h->hub = NULL;
	tow_loop_stop(h->loop);
}

static void close_hub(void *user)
{
	struct live_hub *h = user;

	tow_hub_close(h->hub, TOW_NSEC_PER_SEC, closed, h);
}

static void stop(struct live_hub *h)
{
	assert_int_equal(tow_loop_post(h->loop, close_hub, h), 0);
	pthread_join(h->thread, NULL);
	assert_null(h->hub);
	tow_loop_free(h->loop);
	tow_log_free(h->log);
	tow_metrics_free(h->metrics);
}

int live_hub_setup(void **state)
{
	struct live_hub *h = calloc(1, sizeof *h);

	assert_non_null(h);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	pthread_mutex_init(&h->lock, NULL);
	h->driver = *state ? *state : "sqlite";
	if (!strcmp(h->driver, "postgres")) {
		postgres_schema_make(h->dsn);
	} else {
		snprintf(h->dir, sizeof h->dir, "/tmp/towonel-hub-XXXXXX");
		assert_non_null(mkdtemp(h->dir));
		snprintf(h->db, sizeof h->db, "%s/hub.db", h->dir);
	}
	tow_node_key_generate(&h->key);
	start(h);
	*state = h;
	return 0;
}

struct live_hub *live_hub_beside(const struct live_hub *h)
{
	struct live_hub *other = calloc(1, sizeof *other);

	assert_non_null(other);
	assert_true(h->dsn[0]);
	pthread_mutex_init(&other->lock, NULL);
	other->driver = h->driver;
	snprintf(other->dsn, sizeof other->dsn, "%s", h->dsn);
	tow_node_key_generate(&other->key);
	start(other);
	return other;
}

void live_hub_free(struct live_hub *h)
{
	stop(h);
	tow_buf_deinit(&h->logged);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int live_hub_teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct live_hub *h = *state, was = *h;
	char path[96];

	live_hub_free(h);
	if (was.dsn[0]) {
		postgres_schema_drop(was.dsn);
		return 0;
	}
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(path, sizeof path, "%s%s", was.db, suffixes[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(was.dir), 0);
	return 0;
}

void live_hub_restart(struct live_hub *h)
{
	stop(h);
	start(h);
}

struct errand {
	struct live_hub *hub;
	void (*fn)(struct live_hub *h);
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int done;
};

static void run_errand(void *user)
{
	struct errand *e = user;

	e->fn(e->hub);
	pthread_mutex_lock(&e->lock);
	e->done = 1;
	pthread_cond_signal(&e->ended);
	pthread_mutex_unlock(&e->lock);
}

void live_hub_do(struct live_hub *h, void (*fn)(struct live_hub *h))
{
	struct errand e = { h, fn, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

	assert_int_equal(tow_loop_post(h->loop, run_errand, &e), 0);
	pthread_mutex_lock(&e.lock);
	while (!e.done)
		pthread_cond_wait(&e.ended, &e.lock);
	pthread_mutex_unlock(&e.lock);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *user)
{
	return tow_buf_append(user, bytes, size * count) ? 0 : size * count;
}

static void take(const char *line, size_t len, const char *name, char *out, size_t cap)
{
	size_t at = strlen(name), n = 0;

	if (len < at || strncasecmp(line, name, at) != 0)
		return;
	while (at < len && line[at] != '\r' && n + 1 < cap)
		out[n++] = line[at++];
	out[n] = '\0';
}

static size_t take_header(char *bytes, size_t size, size_t count, void *user)
{
	struct reply *reply = user;
	size_t len = size * count;

	take(bytes, len, "X-Total-Count: ", reply->total_count, sizeof reply->total_count);
	take(bytes, len, "Retry-After: ", reply->retry_after, sizeof reply->retry_after);
	take(bytes, len, "X-Request-Id: ", reply->request_id, sizeof reply->request_id);
	return len;
}

struct reply ask(struct live_hub *h, const char *method, const char *path, const char *auth,
                 const char *body)
{
	struct reply reply = { 0 };
	struct tow_buf answer = { 0 };
	struct tow_slice text;
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	CURLcode code;
	char url[512], header[5000];
	long status = 0;

	assert_non_null(curl);
	snprintf(url, sizeof url, "%s%s", h->url, path);
	if (auth) {
		snprintf(header, sizeof header, "Authorization: %s", auth);
		headers = curl_slist_append(headers, header);
	}
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, "X-Request-Id: of-the-test");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER,
	                 0L); /* the key is pinned elsewhere; this is about the API */
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
	code = curl_easy_perform(curl);
	if (code)
		fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	text = tow_buf_peek(&answer);
	reply.body = json_loadb((const char *)text.base, text.len, 0, NULL);
	assert_non_null(reply.body);
	tow_buf_deinit(&answer);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return reply;
}

struct reply ask_as_operator(struct live_hub *h, const char *method, const char *path,
                             const char *body)
{
	return ask(h, method, path, "Bearer " OPERATOR_KEY, body);
}

void reply_deinit(struct reply *reply)
{
	json_decref(reply->body);
	reply->body = NULL;
}

void expect(struct reply reply, int status, const char *code)
{
	const char *got =
		json_string_value(json_object_get(json_object_get(reply.body, "error"), "code"));

	if (reply.status != status || strcmp(got ? got : "", code) != 0) {
		char *text = json_dumps(reply.body, 0);
		fail_msg("wanted %d %s, got %d: %s", status, code, reply.status, text);
	}
	assert_string_equal(reply.request_id, "of-the-test");
	reply_deinit(&reply);
}

const char *text_of(const struct reply *reply, const char *key)
{
	const char *text = json_string_value(json_object_get(reply->body, key));

	return text ? text : "";
}
