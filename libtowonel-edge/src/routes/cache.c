/* SPDX-License-Identifier: MIT */

#include "routes/cache.h"

#include <stdlib.h>
#include <string.h>
#include <towonel/tunnel/key_file.h>
#include <towonel/wire/limits.h>

struct routes_cache {
	struct routes_cache_config config; /* path is ours */
	struct tow_timer timer;
	int dirty;    /* the table is newer than what was last handed to the writer */
	int flushing; /* somebody waits for `settled` */
	int writing;  /* the pool's thread has json and error */
	struct tow_buf json;
	struct tow_error error;
	int failed; /* the last write did: said once */
};

static void start_writing(struct routes_cache *cache);

/* On the pool's thread. */
static void on_work(void *user)
{
	struct routes_cache *cache = user;

	cache->error.code = 0;
	tow_file_replace(cache->config.path, tow_buf_peek(&cache->json), 0600, &cache->error);
}

static void on_written(void *user)
{
	struct routes_cache *cache = user;
	struct tow_log *log = cache->config.log;

	cache->writing = 0;
	tow_buf_deinit(&cache->json);
	if (cache->error.code != 0 && !cache->failed)
		tow_log_warn(log, "cannot keep a copy of the routes", tow_f_err(&cache->error));
	else if (cache->error.code == 0 && cache->failed)
		tow_log_info(log, "the copy of the routes is written again");
	cache->failed = cache->error.code != 0;
	if (cache->dirty && cache->flushing)
		start_writing(cache);
	else if (cache->dirty)
		tow_timer_start_in(&cache->timer, cache->config.delay_ns);
	if (cache->flushing && !cache->writing)
		cache->config.settled(cache->config.user); /* may free the cache */
}

static void start_writing(struct routes_cache *cache)
{
	tow_timer_stop(&cache->timer);
	cache->dirty = 0;
	if (tow_route_table_dump(cache->config.table, &cache->json) == 0 &&
	    tow_loop_work(cache->config.loop, on_work, on_written, cache) == 0) {
		cache->writing = 1;
		return;
	}
	tow_buf_deinit(&cache->json);
	tow_log_warn(cache->config.log, "out of memory for a copy of the routes");
}

static void on_timer(void *user)
{
	struct routes_cache *cache = user;

	if (cache->dirty && !cache->writing)
		start_writing(cache);
}

int tow__routes_cache_new(const struct routes_cache_config *config, struct routes_cache **out)
{
	struct routes_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return TOW_ENOMEM;
	cache->config = *config;
	cache->config.path = strdup(config->path);
	if (cache->config.path == NULL) {
		free(cache);
		return TOW_ENOMEM;
	}
	tow_timer_init(&cache->timer, config->loop, on_timer, cache);
	*out = cache;
	return 0;
}

void tow__routes_cache_free(struct routes_cache *cache)
{
	if (cache == NULL)
		return;
	tow_timer_stop(&cache->timer);
	tow_buf_deinit(&cache->json);
	free((char *)(uintptr_t)cache->config.path);
	free(cache);
}

void tow__routes_cache_load(const struct routes_cache *cache, struct tow_route_table *table)
{
	struct tow_log *log = cache->config.log;
	struct tow_buf json = { NULL, 0, 0, 0 };
	struct tow_error err;
	int rc = tow_file_read(cache->config.path, TOW_ROUTE_EVENT_MAX, &json, &err);

	if (rc == 0)
		rc = tow_route_table_apply(table, tow_buf_peek(&json), NULL, NULL, &err);
	if (rc == 0)
		tow_log_info(log, "routes are as they were", tow_f_str("file", cache->config.path),
		             tow_f_uint("version", tow_route_table_version(table)),
		             tow_f_uint("hostnames", tow_route_table_hostname_count(table)));
	else if (rc != TOW_ENOTFOUND)
		tow_log_warn(log, "the copy of the routes cannot be used",
		             tow_f_str("file", cache->config.path), tow_f_err(&err));
	tow_buf_deinit(&json);
}

/* The first change starts the clock, later ones do not put it back. */
void tow__routes_cache_changed(struct routes_cache *cache)
{
	if (cache->dirty)
		return;
	cache->dirty = 1;
	if (!cache->writing && tow_timer_start_in(&cache->timer, cache->config.delay_ns) != 0)
		start_writing(cache);
}

int tow__routes_cache_flush(struct routes_cache *cache)
{
	if (cache == NULL)
		return 0;
	if (cache->dirty && !cache->writing)
		start_writing(cache);
	cache->flushing = cache->writing;
	return cache->writing ? TOW_BLOCKED : 0;
}
