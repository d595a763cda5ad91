/* SPDX-License-Identifier: MIT */
/* Where the hub is, whose key it has, who we are, and one request. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/tunnel/settings.h>
#include <towonel/wire/request_signature.h>
#include <towonel/wire/token.h>

#include "common.h"

#define PAGE               500
#define RETRIES            10
#define RETRY_AFTER_MAX_MS 5000
#define RESIGN_MAX         3

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] ? value : NULL;
}

/* The directories in which a node's keys are looked for, in this order. */
static const char *key_directory(size_t index)
{
	const char *data_dir = environment("TOWONEL_DATA_DIR");
	const char *const directories[] = { data_dir ? data_dir : ".", ".", DATA_DIR_SYSTEM };
	return index < 3 ? directories[index] : NULL;
}

/* Finds NAME in those directories. Returns 0 and the key, or the error of the last place that had
 * the file. */
static int find_key(const char *name, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                    struct tow_error *err)
{
	char path[4096];
	for (size_t i = 0; key_directory(i); i++) {
		snprintf(path, sizeof path, "%s/%s", key_directory(i), name);
		if (access(path, F_OK) == 0)
			return tow_key_file_read(path, format, key, err);
	}
	return TOW_ENOTFOUND;
}

struct tow_addr cli_reach(const struct tow_addr *listen)
{
	const struct tow_addr any = { .family = listen->family };
	if (!tow_addr_same_host(listen, &any))
		return *listen;
	return (struct tow_addr){ .family = 4,
		                  .port = listen->port,
		                  .bytes = { 127, 0, 0, 1 } };
}

/* The URL of the hub, from --hub-url, the environment, the tenant's token, or the address that a
 * local node listens on. */
static int find_hub(struct cli *cli, struct tow_hub_client_config *config, struct tow_error *err)
{
	const char *url = cli->hub_url ? cli->hub_url : environment("TOWONEL_HUB_URL");
	char local[TOW_URL_MAX];
	if (!url && cli->tenant.hub_url[0])
		url = cli->tenant.hub_url;
	if (!url) {
		const char *listen = environment("TOWONEL_HUB_LISTEN_ADDR");
		struct tow_addr addr;
		char text[TOW_ADDR_TEXT_SIZE];
		if (tow_addr_parse(tow_slice_of(listen ? listen : "0.0.0.0:8443"), &addr) != 0)
			return tow_error_set(err, TOW_ECONFIG,
			                     "TOWONEL_HUB_LISTEN_ADDR: \"%s\" is not ADDRESS:PORT",
			                     listen);
		addr = cli_reach(&addr);
		snprintf(local, sizeof local, "https://%s", tow_addr_format(&addr, text));
		url = local;
	}
	int rc = tow_hub_url_parse(tow_slice_of(url), config->url, &config->hub_id, err);
	if (rc != 0)
		return tow_error_prefix(err, "%s", cli->hub_url ? "--hub-url" : "TOWONEL_HUB_URL");
	if (tow_id_is_zero(&config->hub_id))
		config->hub_id = cli->tenant.hub_id;
	if (tow_id_is_zero(&config->hub_id)) {
		/* On the hub's own machine its key is at hand; elsewhere a certificate must do. */
		uint8_t seed[TOW_SECRET_SIZE];
		struct tow_node_key key;
		if (find_key("node.key", TOW_KEY_RAW, seed, NULL) == 0) {
			tow_node_key_from_seed(seed, &key);
			config->hub_id = key.id;
			tow_node_key_wipe(&key);
			tow_wipe(seed, sizeof seed);
		}
	}
	return 0;
}

static int read_operator_key(const char *text, const char *whence, char *out, size_t cap,
                             struct tow_error *err)
{
	uint8_t key[TOW_SECRET_SIZE];
	char *secret = NULL;
	int rc = tow_setting_secret(text, &secret, err);
	if (rc != 0)
		return tow_error_prefix(err, "%s", whence);
	if (tow_base64url_decode(tow_slice_of(secret), key, sizeof key) == sizeof key)
		snprintf(out, cap, "%s", secret);
	else
		rc = tow_error_set(err, TOW_ECONFIG,
		                   "%s is no operator key: it has 43 letters, digits, "
		                   "\"-\" and \"_\"",
		                   whence);
	tow_wipe(key, sizeof key);
	tow_wipe(secret, strlen(secret));
	free(secret);
	return rc;
}

static int find_operator_key(struct cli *cli, char *out, size_t cap, struct tow_error *err)
{
	uint8_t key[TOW_SECRET_SIZE];
	const char *text = cli->api_key ? cli->api_key : environment("TOWONEL_OPERATOR_KEY");
	if (text)
		return read_operator_key(
			text, cli->api_key ? "--api-key" : "TOWONEL_OPERATOR_KEY", out, cap, err);
	int rc = find_key("operator.key", TOW_KEY_BASE64URL, key, err);
	if (rc == TOW_ENOTFOUND)
		return tow_error_set(err, rc,
		                     "no operator key: set TOWONEL_OPERATOR_KEY, or run this where "
		                     "operator.key is (TOWONEL_DATA_DIR, here, " DATA_DIR_SYSTEM
		                     ")");
	if (rc == 0) {
		tow_base64url_encode(key, sizeof key, out);
		tow_wipe(key, sizeof key);
	}
	return rc;
}

/* --- one request --- */

struct exchange {
	struct tow_loop *loop;
	struct cli_answer *answer;
	uint64_t retry_after_ms;
};

static void answered(void *user, const struct tow_hub_answer *answer)
{
	struct exchange *exchange = user;
	struct cli_answer *out = exchange->answer;
	out->status = answer->status;
	out->error = answer->error;
	snprintf(out->code, sizeof out->code, "%s", answer->code);
	out->body = json_incref(answer->body);
	out->total = answer->total_count;
	exchange->retry_after_ms = answer->retry_after_ms;
	tow_loop_stop(exchange->loop);
}

static void exchange_run(const struct tow_hub_client_config *settings, const char *method,
                         const char *path, json_t *request, enum tow_hub_auth auth,
                         struct exchange *exchange)
{
	struct tow_hub_client_config config = *settings;
	struct tow_hub_client *hub = NULL;
	struct tow_http_call *call;
	exchange->loop = tow_loop_new();
	struct tow_http_client_config http = { .loop = exchange->loop,
		                               .user_agent = "towonel/" TOW_VERSION };
	config.http = exchange->loop ? tow_http_client_new(&http) : NULL;
	if (config.http)
		hub = tow_hub_client_new(&config);
	int rc = hub ? tow_hub_call(hub, method, path, json_incref(request), auth,
	                            TOW_DOMAIN_TENANT_ENTRIES, answered, exchange, &call)
	             : TOW_ENOMEM;
	if (rc == 0)
		tow_loop_run(exchange->loop);
	else
		tow_error_set(&exchange->answer->error, rc, "%s", tow_strerror(rc));
	tow_hub_client_free(hub);
	tow_http_client_free(config.http);
	if (exchange->loop)
		tow_loop_free(exchange->loop);
}

int cli_ask(struct cli *cli, const char *method, const char *path, json_t *request,
            enum tow_hub_auth auth, struct cli_answer *answer)
{
	struct tow_hub_client_config config = { .tenant_key = cli->tenant.key };
	struct exchange exchange = { .answer = answer };
	struct tow_error err = { 0 };
	char key[256] = "";

	*answer = (struct cli_answer){ 0 };
	int rc = find_hub(cli, &config, &err);
	if (rc == 0 && auth == TOW_HUB_OPERATOR)
		rc = find_operator_key(cli, key, sizeof key, &err);
	if (rc != 0) {
		json_decref(request);
		complain("towonel", "%s", err.text);
		return EXIT_USAGE;
	}
	snprintf(cli->asked, sizeof cli->asked, "%s", config.url);
	config.operator_key = key;
	exchange_run(&config, method, path, request, auth, &exchange);
	for (int i = 0, signed_anew = 0; i < RETRIES; i++) {
		uint8_t wait_ms; /* random: several that were refused together would meet again */
		tow_random(&wait_ms, sizeof wait_ms);
		if (answer->status == 429 && exchange.retry_after_ms <= RETRY_AFTER_MAX_MS)
			/* refused before it was looked at, so that it can be sent again as it is */
			usleep((useconds_t)(exchange.retry_after_ms + wait_ms) * 1000);
		else if (answer->status == 401 && auth == TOW_HUB_TENANT &&
		         signed_anew++ < RESIGN_MAX)
			/* another process may have signed in the same millisecond */
			usleep((useconds_t)(1 + wait_ms) * 1000);
		else
			break;
		json_decref(answer->body);
		*answer = (struct cli_answer){ 0 };
		exchange_run(&config, method, path, request, auth, &exchange);
	}
	json_decref(request);
	tow_wipe(key, sizeof key);
	return EXIT_OK;
}

int cli_refused(struct cli *cli, enum tow_hub_auth auth, const struct cli_answer *answer)
{
	char id[TOW_ID_TEXT_SIZE];
	complain("towonel", "%s", answer->error.text);
	if (answer->status == 401 && auth == TOW_HUB_OPERATOR)
		complain("towonel", "the hub does not know this operator key; its own is in "
		                    "operator.key in its data directory");
	if (answer->status == 403 && auth == TOW_HUB_TENANT)
		complain("towonel",
		         "the hub at %s was asked for tenant %s; --hub-url names another",
		         cli->asked, tow_id_format(tow_tenant_key_id(cli->tenant.key), id));
	return EXIT_FAILED;
}

int cli_call(struct cli *cli, const char *method, const char *path, json_t *request,
             enum tow_hub_auth auth, json_t **body, uint64_t *total)
{
	struct cli_answer answer;
	int status = cli_ask(cli, method, path, request, auth, &answer);
	if (status != 0)
		return status;
	if (answer.error.code != 0) {
		json_decref(answer.body);
		return cli_refused(cli, auth, &answer);
	}
	if (total)
		*total = answer.total;
	if (body)
		*body = answer.body;
	else
		json_decref(answer.body);
	return EXIT_OK;
}

int cli_list(struct cli *cli, const char *path, const char *name, json_t **items)
{
	json_t *all = json_array();
	uint64_t total = 0;
	do {
		char page[256];
		json_t *body;
		size_t before = json_array_size(all);
		snprintf(page, sizeof page, "%s?limit=%d&offset=%zu", path, PAGE, before);
		int status = cli_call(cli, "GET", page, NULL, TOW_HUB_OPERATOR, &body, &total);
		if (status != 0) {
			json_decref(all);
			return status;
		}
		json_array_extend(all, json_object_get(body, name));
		json_decref(body);
		if (json_array_size(all) == before)
			break;
	} while (json_array_size(all) < total);
	*items = all;
	return 0;
}
