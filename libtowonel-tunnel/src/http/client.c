/* SPDX-License-Identifier: MIT */
/*
 * libcurl's multi interface on our loop: curl says which descriptors and which time it waits for,
 * we tell it what has happened. curl must not be called from within its own callbacks, and our
 * callers do what they like in theirs: so everything that starts or ends a call happens in one
 * task.
 *
 *   start -> STARTING --task--> RUNNING (in curl) --curl or a deadline--> ENDING --task--> done
 *
 * Cancelling makes a call CANCELLED at once, and the task takes it from curl.
 */
#include <towonel/tunnel/http_client.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <towonel/wire/limits.h>

#include "http/client.h"
#include "http/client_proxy.h"
#include "http/peer_check.h"
#include "tls/preferences.h"

#define USUAL_TIMEOUT_NS (30 * TOW_NSEC_PER_SEC)
#define CONNECT_TIMEOUT  10000L /* ms */
#define STREAM_STALL_NS  (45 * TOW_NSEC_PER_SEC)
#define USUAL_BODY_MAX   ((size_t)16 << 20)
#define CONNECTION_AGE   50L /* seconds idle; our server closes after 60 */
#define RETRY_AFTER_MAX  86400

enum call_state { STARTING, RUNNING, ENDING, CANCELLED };

struct tow_http_call {
	struct tow_http_client *client;
	struct tow_http_call *next, **link;
	enum call_state state;
	CURL *easy;
	struct curl_slist *headers;
	struct tow_buf request, body;
	struct tow__pin *pin; /* NULL: none */
	char *url, *key_url;  /* key_url: with the name of the pinned key for the host, which is */
	struct curl_slist
		*connect_to; /* where to connect to all the same; NULL: no TLS, or no pin */
	bool by_pin;         /* this attempt */
	bool second_attempt;
	bool is_stream;
	bool pin_wanted; /* the host is an address or a short name, for which wolfSSL checks no
	                    certificate */
	size_t body_max;
	struct tow_timer timer;
	uint64_t timeout_ns;
	int given_up; /* TOW_E*: by us, not by curl */
	CURLcode curl_code;
	char curl_text[CURL_ERROR_SIZE];
	void (*on_data)(void *user, int status, struct tow_slice bytes);
	void (*done)(void *user, const struct tow_http_result *result);
	void *user;
	void (*release)(void *user); /* may be NULL */
	void *release_user;
};

struct tow_http_client {
	struct tow_loop *loop;
	struct tow_log *log;
	CURLM *multi;
	char *user_agent;
	struct tow__peer_checks checks;
	struct tow_proxies proxies;
	struct tow_timer timer;
	struct tow_task task;
	struct tow_http_call *calls;
	int busy; /* callbacks of callers may be running: nothing may be pulled from under them */
	bool closing; /* freed by its owner, and by us when no longer busy */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* curl would write the secrets of TLS connections to the file that this variable names, and looks
 * for it here only. */
static void init_curl(void)
{
	const char *value = getenv("SSLKEYLOGFILE");
	char *wish = value ? strdup(value) : NULL;

	unsetenv("SSLKEYLOGFILE");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (wish)
		setenv("SSLKEYLOGFILE", wish, 1);
	free(wish);
}

static void destroy(struct tow_http_client *client);

static void leave(struct tow_http_client *client)
{
	if (!--client->busy && client->closing)
		destroy(client);
}

/* --- between curl and the loop --- */

static void collect(struct tow_http_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct tow_http_call *call;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call->curl_code = message->data.result;
		if (call->state == RUNNING)
			call->state = ENDING;
		tow_task_schedule(&client->task);
	}
}

struct watcher {
	struct tow_http_client *client;
	struct tow_io *io;
	curl_socket_t fd;
};

static void on_ready(void *user, int events)
{
	struct watcher *watcher = user;
	struct tow_http_client *client = watcher->client;
	int bits = 0, running;

	if (events & TOW_IO_READ)
		bits |= CURL_CSELECT_IN;
	if (events & TOW_IO_WRITE)
		bits |= CURL_CSELECT_OUT;
	if (events & TOW_IO_ERROR)
		bits |= CURL_CSELECT_ERR;
	client->busy++;
	/* may free the watcher */
	curl_multi_socket_action(client->multi, watcher->fd, bits, &running);
	collect(client);
	leave(client);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
	struct tow_http_client *client = user;
	struct watcher *watcher = socket_user;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watcher)
			tow_io_free(watcher->io);
		free(watcher);
		curl_multi_assign(client->multi, fd, NULL);
		return 0;
	}
	if (!watcher) {
		watcher = calloc(1, sizeof *watcher);
		if (!watcher)
			return -1;
		watcher->client = client;
		watcher->fd = fd;
		watcher->io = tow_io_new(client->loop, fd, on_ready, watcher);
		if (!watcher->io) {
			free(watcher);
			return -1;
		}
		curl_multi_assign(client->multi, fd, watcher);
	}
	tow_io_watch(watcher->io, (what & CURL_POLL_IN ? TOW_IO_READ : 0) |
	                                  (what & CURL_POLL_OUT ? TOW_IO_WRITE : 0));
	return 0;
}

static void on_timer(void *user)
{
	struct tow_http_client *client = user;
	int running;

	client->busy++;
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(client);
	leave(client);
}

static int on_timeout_change(CURLM *multi, long timeout_ms, void *user)
{
	struct tow_http_client *client = user;

	(void)multi;
	if (timeout_ms < 0) {
		tow_timer_stop(&client->timer);
		return 0;
	}
	return tow_timer_start_in(&client->timer, (uint64_t)timeout_ms * TOW_NSEC_PER_MSEC) ? -1
	                                                                                    : 0;
}

/* --- a call's life --- */

static void give_up(struct tow_http_call *call, int code)
{
	if (call->state != RUNNING && call->state != STARTING)
		return;
	call->given_up = code;
	call->state = ENDING;
	tow_task_schedule(&call->client->task);
}

static void on_deadline(void *user)
{
	give_up(user, TOW_ETIMEDOUT);
}

/* An event stream lives as long as something comes. */
static void heard_from(struct tow_http_call *call)
{
	if (call->is_stream && tow_timer_start_in(&call->timer, call->timeout_ns))
		give_up(call, TOW_ENOMEM);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
	(void)bytes;
	heard_from(user);
	return size * count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
	struct tow_http_call *call = user;
	size_t len = size * count;
	long status = 0;

	if (call->state != RUNNING)
		return 0;
	heard_from(call);
	if (call->on_data) {
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
		call->on_data(call->user, (int)status, tow_slice_make(bytes, len));
		return call->state == RUNNING ? len : 0;
	}
	if (len > call->body_max - tow_buf_len(&call->body))
		call->given_up = TOW_ETOOBIG;
	else if (tow_buf_append(&call->body, bytes, len))
		call->given_up = TOW_ENOMEM;
	return call->given_up ? 0 : len;
}

static void unlink_call(struct tow_http_call *call)
{
	if (!call->link)
		return;
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	call->link = NULL;
}

static void free_call(struct tow_http_call *call)
{
	unlink_call(call);
	tow_timer_stop(&call->timer);
	if (call->release)
		call->release(call->release_user);
	if (call->easy)
		curl_easy_cleanup(call->easy);
	/* header fields hold keys, bodies hold secrets */
	for (struct curl_slist *line = call->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	curl_free(call->key_url);
	free(call->url);
	tow_buf_wipe(&call->request);
	tow_buf_wipe(&call->body);
	free(call);
}

/* Who is asked for by his key says so by the name of the key: a server that has a certificate for
 * its host name too knows which of them to show. */
static CURLcode aim(struct tow_http_call *call)
{
	int by_key = call->by_pin && call->key_url;
	CURLcode rc = curl_easy_setopt(call->easy, CURLOPT_URL, by_key ? call->key_url : call->url);

	rc |= curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, by_key ? call->connect_to : NULL);
	return rc;
}

static void begin(struct tow_http_call *call)
{
	struct tow_http_client *client = call->client;

	call->state = RUNNING;
	if (call->pin_wanted && !call->by_pin) {
		call->curl_code = CURLE_PEER_FAILED_VERIFICATION;
		call->state = ENDING;
		return;
	}
	if (tow__peer_checks_apply(&client->checks, call->easy, call->by_pin ? call->pin : NULL) ||
	    aim(call) || curl_multi_add_handle(client->multi, call->easy) != CURLM_OK)
		give_up(call, TOW_ENOMEM);
}

static bool is_about_certificates(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_PINNEDPUBKEYNOTMATCH ||
	       code == CURLE_SSL_ISSUER_ERROR;
}

/* The other way of checking the peer, when this one has failed because of who it is. */
static bool try_again(struct tow_http_call *call)
{
	if (!call->pin || call->second_attempt || call->given_up || call->pin_wanted ||
	    !is_about_certificates(call->curl_code) || (call->by_pin && !call->pin->refused))
		return false;
	call->second_attempt = true;
	call->by_pin = !call->by_pin;
	call->state = STARTING;
	tow_buf_clear(&call->body);
	return true;
}

static void describe_stranger(struct tow_http_call *call, struct tow_error *err)
{
	char expected[TOW_ID_TEXT_SIZE], shown[TOW_ID_TEXT_SIZE];

	tow_id_format(&call->pin->id, expected);
	if (tow_id_is_zero(&call->pin->shown))
		tow_error_set(err, TOW_EAUTH,
		              "it has not shown the key %s, and its certificate is not valid for "
		              "its name",
		              expected);
	else
		tow_error_set(err, TOW_EAUTH, "its key is %s, and not %s",
		              tow_id_format(&call->pin->shown, shown), expected);
}

/* curl tells wolfSSL's reason in words only. */
static void describe_tls(struct tow_http_call *call, struct tow_error *err)
{
	const char *text = call->curl_text + strspn(call->curl_text, " ");
	const char *number = strstr(text, "failed with error ");
	const char *reason = NULL;

	if (number)
		reason = tow__tls_certificate_reason((int)strtol(number + 18, NULL, 10));
	if (call->pin && call->pin->refused)
		describe_stranger(call, err);
	else if (call->pin_wanted && !call->by_pin)
		tow_error_set(
			err, TOW_EAUTH,
			"a certificate can be checked for full host names only; for this one the "
			"server's key has to be given");
	else if (reason || call->curl_code == CURLE_SSL_CACERT_BADFILE)
		tow_error_set(err, TOW_EAUTH, "%s",
		              reason ? reason
		                     : "nobody that is trusted here has signed its certificate");
	else
		tow_error_set(err,
		              call->curl_code == CURLE_SSL_CONNECT_ERROR ? TOW_EHTTP : TOW_EAUTH,
		              "%s", *text ? text : curl_easy_strerror(call->curl_code));
}

static void describe_connect(struct tow_http_call *call, struct tow_error *err)
{
	long error_number = 0;

	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &error_number);
	if (error_number == ETIMEDOUT)
		tow_error_set(err, TOW_ETIMEDOUT, "connection timed out");
	else if (error_number && error_number != ECONNREFUSED)
		tow_error_set(err, TOW_EREFUSED, "%s", strerror((int)error_number));
	else
		tow_error_set(err, TOW_EREFUSED, "connection refused");
}

static void describe(struct tow_http_call *call, struct tow_error *err)
{
	if (call->given_up == TOW_ETIMEDOUT) {
		tow_error_set(err, TOW_ETIMEDOUT, "no answer within %u seconds",
		              (unsigned)(call->timeout_ns / TOW_NSEC_PER_SEC));
		return;
	}
	if (call->given_up == TOW_ETOOBIG) {
		tow_error_set(err, TOW_ETOOBIG, "the answer is larger than %zu bytes",
		              call->body_max);
		return;
	}
	if (call->given_up) {
		tow_error_set(err, call->given_up, "%s", tow_strerror(call->given_up));
		return;
	}
	if (tow__client_proxy_failed(call->easy, call->curl_code, err))
		return;
	switch (call->curl_code) {
	case CURLE_OK: break;
	case CURLE_COULDNT_RESOLVE_HOST:
		tow_error_set(err, TOW_ENOTFOUND, "its name cannot be resolved");
		break;
	case CURLE_COULDNT_CONNECT: describe_connect(call, err); break;
	case CURLE_OPERATION_TIMEDOUT:
		tow_error_set(err, TOW_ETIMEDOUT, "connection timed out");
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		tow_error_set(err, TOW_EHTTP,
		              "the connection was closed before the answer was complete");
		break;
	default:
		if (is_about_certificates(call->curl_code))
			describe_tls(call, err);
		else
			tow_error_set(err, TOW_EHTTP, "%s",
			              call->curl_text[0] ? call->curl_text
			                                 : curl_easy_strerror(call->curl_code));
	}
}

static const char *find_header(const struct tow_http_result *result, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(result->headers, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* Tells the caller. The call is in no list any more. */
static void finish(struct tow_http_call *call)
{
	struct tow_http_result result = { .header = find_header, .headers = call->easy };
	curl_off_t retry_after = 0;
	char *content_type = NULL;
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
	curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after);
	describe(call, &result.error);
	result.status = (int)status;
	result.content_type = content_type ? content_type : "";
	result.body = tow_buf_peek(&call->body);
	if (retry_after > 0)
		result.retry_after_ms =
			(uint64_t)(retry_after < RETRY_AFTER_MAX ? retry_after : RETRY_AFTER_MAX) *
			1000;
	if (call->pin && !result.error.code)
		call->pin->chain_first = !call->by_pin;
	call->done(call->user, &result);
}

/* Takes one call a step further. Returns false when there is none that wants it. */
static bool advance_one(struct tow_http_client *client)
{
	struct tow_http_call *call = client->calls;

	while (call && call->state == RUNNING)
		call = call->next;
	if (!call)
		return false;
	if (call->state == STARTING) {
		begin(call);
		return true;
	}
	curl_multi_remove_handle(client->multi, call->easy);
	if (call->state == ENDING && try_again(call))
		return true;
	unlink_call(call);
	tow_timer_stop(&call->timer);
	if (call->state == ENDING)
		finish(call);
	free_call(call);
	return true;
}

static void on_task(void *user)
{
	struct tow_http_client *client = user;

	client->busy++;
	while (advance_one(client))
		;
	leave(client);
}

/* --- public --- */

struct tow_http_client *tow_http_client_new(const struct tow_http_client_config *config)
{
	struct tow_http_client *client = calloc(1, sizeof *client);
	struct tow_error err;

	pthread_once(&once, init_curl);
	if (!client)
		return NULL;
	client->loop = config->loop;
	client->log = config->log;
	tow_timer_init(&client->timer, client->loop, on_timer, client);
	tow_task_init(&client->task, client->loop, on_task, client);
	client->multi = curl_multi_init();
	client->user_agent = strdup(config->user_agent ? config->user_agent : "towonel");
	if (config->ca_file)
		client->checks.ca_file = strdup(config->ca_file);
	if (!client->multi || !client->user_agent || (config->ca_file && !client->checks.ca_file)) {
		tow_http_client_free(client);
		return NULL;
	}
	if (tow_proxies_from_environment(&client->proxies, &err) != 0)
		tow_log_warn(client->log, "the proxy is not used", tow_f_err(&err));
	if (config->key) {
		client->checks.key = *config->key;
		client->checks.has_key = true;
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	return client;
}

static void destroy(struct tow_http_client *client)
{
	while (client->calls) {
		curl_multi_remove_handle(client->multi, client->calls->easy);
		free_call(client->calls);
	}
	if (client->multi)
		curl_multi_cleanup(client->multi);
	tow_timer_stop(&client->timer);
	tow_task_cancel(&client->task);
	tow__peer_checks_deinit(&client->checks);
	tow_proxies_deinit(&client->proxies);
	free(client->user_agent);
	free(client);
}

void tow_http_client_free(struct tow_http_client *client)
{
	if (!client)
		return;
	for (struct tow_http_call *call = client->calls; call; call = call->next)
		call->state = CANCELLED;
	client->closing = true;
	if (!client->busy)
		destroy(client);
}

static int add_header(struct tow_http_call *call, const char *line)
{
	struct curl_slist *longer;

	if (strpbrk(line, "\r\n"))
		return TOW_EINVAL;
	longer = curl_slist_append(call->headers, line);
	if (!longer)
		return TOW_ENOMEM;
	call->headers = longer;
	return 0;
}

static int add_headers(struct tow_http_call *call, const struct tow_http_call_config *config)
{
	/* bodies are small: no asking for leave */
	int rc = add_header(call, "Expect:");

	for (const char *const *line = config->headers; !rc && line && *line; line++)
		rc = add_header(call, *line);
	if (!rc && config->body.len && config->content_type) {
		struct tow_buf text = { 0 };
		rc = tow_buf_printf(&text, "Content-Type: %s", config->content_type);
		if (!rc)
			rc = tow_buf_append(&text, "", 1);
		if (!rc)
			rc = add_header(call, (const char *)text.base);
		tow_buf_deinit(&text);
	} else if (!rc) {
		rc = add_header(call, "Content-Type:");
	}
	return rc;
}

static CURLcode set_method(struct tow_http_call *call, const char *method)
{
	struct tow_slice body = tow_buf_peek(&call->request);
	CURLcode rc = CURLE_OK;

	if (body.len || !strcmp(method, "POST")) {
		rc |= curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
		rc |= curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS,
		                       body.len ? (const char *)body.base : "");
		rc |= curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		                       (curl_off_t)body.len);
	} else if (!strcmp(method, "HEAD")) {
		rc |= curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(method, "HEAD"))
		rc |= curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
	return rc;
}

static int set_up(struct tow_http_call *call, const struct tow_http_call_config *config)
{
	CURL *easy = call->easy;
	CURLcode rc = CURLE_OK;

	rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	rc |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
	rc |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* a name that is looked up for ever is waited for by its thread, not by ours */
	rc |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	rc |= tow__client_proxy_apply(&call->client->proxies, call->url, easy);
	rc |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_USERAGENT, call->client->user_agent);
	rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT);
	rc |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_AGE);
	rc |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	rc |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	rc |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	rc |= set_method(call, config->method);
	return rc ? TOW_ENOMEM : 0;
}

static bool is_full_name(const char *host)
{
	struct in_addr address;

	return !strcasecmp(host, "localhost") ||
	       (host[0] != '[' && strchr(host, '.') && inet_pton(AF_INET, host, &address) != 1);
}

/* Returns 0, TOW_ENOMEM, TOW_EINVAL. */
static int check_url(const char *url, bool *pin_wanted)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL, *host = NULL;
	int rc = TOW_EINVAL;

	if (!parsed)
		return TOW_ENOMEM;
	if (!curl_url_set(parsed, CURLUPART_URL, url, 0) &&
	    !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
	    !curl_url_get(parsed, CURLUPART_HOST, &host, 0) &&
	    (!strcmp(scheme, "https") || !strcmp(scheme, "http"))) {
		*pin_wanted = !strcmp(scheme, "https") && !is_full_name(host);
		rc = 0;
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return rc;
}

static int add_host_header(struct tow_http_call *call, const char *host, const char *port)
{
	char line[TOW_URL_MAX + 16];

	snprintf(line, sizeof line, strcmp(port, "443") ? "Host: %s:%s" : "Host: %s", host, port);
	return add_header(call, line);
}

/* Fills in key_url and connect_to. */
static int set_key_url(struct tow_http_call *call, const struct tow_id *pin)
{
	char name[TOW_KEY_NAME_SIZE], line[TOW_URL_MAX + 16];
	char *scheme = NULL, *host = NULL, *port = NULL;
	CURLU *url = curl_url();
	int rc = TOW_ENOMEM;

	if (!url || curl_url_set(url, CURLUPART_URL, call->url, 0) ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
		goto out;
	rc = 0;
	if (strcmp(scheme, "https"))
		goto out;
	snprintf(line, sizeof line, "::%s:%s", host, port);
	call->connect_to = curl_slist_append(NULL, line);
	if (!call->connect_to || add_host_header(call, host, port) ||
	    curl_url_set(url, CURLUPART_HOST, tow_id_key_name(pin, name), 0) ||
	    curl_url_get(url, CURLUPART_URL, &call->key_url, 0))
		rc = TOW_ENOMEM;
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return rc;
}

int tow_http_call_start(struct tow_http_client *client, const struct tow_http_call_config *config,
                        struct tow_http_call **out)
{
	struct tow_http_call *call;
	bool pin_wanted;
	int rc = check_url(config->url, &pin_wanted);

	if (rc)
		return rc;
	call = calloc(1, sizeof *call);
	if (!call)
		return TOW_ENOMEM;
	call->client = client;
	call->pin_wanted = pin_wanted;
	call->is_stream = config->timeout_ns == TOW_NEVER;
	call->timeout_ns = call->is_stream      ? STREAM_STALL_NS
	                   : config->timeout_ns ? config->timeout_ns
	                                        : USUAL_TIMEOUT_NS;
	call->body_max = config->body_max ? config->body_max : USUAL_BODY_MAX;
	call->on_data = config->on_data;
	call->done = config->done;
	call->user = config->user;
	tow_timer_init(&call->timer, client->loop, on_deadline, call);
	rc = TOW_ENOMEM;
	call->easy = curl_easy_init();
	call->url = strdup(config->url);
	if (!call->easy || !call->url ||
	    (config->body.len && !tow_buf_reserve(&call->request, config->body.len)))
		goto fail;
	if (config->pin) {
		call->pin = tow__peer_checks_pin(&client->checks, config->pin);
		if (!call->pin)
			goto fail;
		call->by_pin = !call->pin->chain_first;
	}
	rc = tow_buf_append(&call->request, config->body.base, config->body.len);
	if (!rc)
		rc = add_headers(call, config);
	if (!rc && config->pin)
		rc = set_key_url(call, config->pin);
	if (!rc)
		rc = set_up(call, config);
	if (!rc)
		rc = tow_timer_start_in(&call->timer, call->timeout_ns);
	if (rc)
		goto fail;
	call->next = client->calls;
	call->link = &client->calls;
	if (call->next)
		call->next->link = &call->next;
	client->calls = call;
	tow_task_schedule(&client->task);
	if (out)
		*out = call;
	return 0;
fail:
	free_call(call);
	return rc;
}

void tow__http_call_on_release(struct tow_http_call *call, void (*release)(void *user), void *user)
{
	call->release = release;
	call->release_user = user;
}

void tow_http_call_cancel(struct tow_http_call *call)
{
	call->state = CANCELLED;
	tow_timer_stop(&call->timer);
	tow_task_schedule(&call->client->task);
}
