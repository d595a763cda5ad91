/* SPDX-License-Identifier: MIT */
/* Certificates of an edge: what it has, from its health listener; and the end of one. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/edge.h>
#include <towonel/tunnel/settings.h>

#include "acme_settings.h"
#include "common.h"

#define TIMEOUT_NS  (10 * TOW_NSEC_PER_SEC)
#define LISTING_MAX ((size_t)64 << 20)

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] ? value : NULL;
}

/* --- list --- */

struct question {
	struct tow_loop *loop;
	struct tow_error error;
	json_t *body;
};

static void answered(void *user, const struct tow_http_result *result)
{
	struct question *question = user;
	json_error_t why;
	question->error = result->error;
	if (result->error.code == 0 && result->status != 200)
		tow_error_set(&question->error, TOW_EHTTP, "it answers with status %d",
		              result->status);
	if (question->error.code == 0) {
		question->body = json_loadb((const char *)result->body.base, result->body.len,
		                            JSON_REJECT_DUPLICATES, &why);
		if (!json_is_array(json_object_get(question->body, "certificates")))
			tow_error_set(&question->error, TOW_EHTTP, "it answers with no list");
	}
	tow_loop_stop(question->loop);
}

/* Where a local edge has its health listener, unless another is named. */
static int find_edge(struct cli *cli, char *url, size_t cap)
{
	const char *given = cli->given['e'];
	const char *listen = environment("TOWONEL_EDGE_HEALTH_LISTEN_ADDR");
	struct tow_addr addr;
	char text[TOW_ADDR_TEXT_SIZE];
	if (given) {
		size_t len = strlen(given);
		while (len > 0 && given[len - 1] == '/')
			len--;
		snprintf(url, cap, "%.*s/certificates", (int)len, given);
		return 0;
	}
	if (tow_addr_parse(tow_slice_of(listen ? listen : "0.0.0.0:9090"), &addr) != 0) {
		complain("towonel", "TOWONEL_EDGE_HEALTH_LISTEN_ADDR: \"%s\" is not ADDRESS:PORT",
		         listen);
		return EXIT_USAGE;
	}
	addr = cli_reach(&addr);
	snprintf(url, cap, "http://%s/certificates", tow_addr_format(&addr, text));
	return 0;
}

static int ask(const char *url, json_t **body)
{
	struct question question = { .loop = tow_loop_new() };
	struct tow_http_client_config http = { .loop = question.loop,
		                               .user_agent = "towonel/" TOW_VERSION };
	struct tow_http_call_config call = {
		.method = "GET",
		.url = url,
		.timeout_ns = TIMEOUT_NS,
		.body_max = LISTING_MAX,
		.done = answered,
		.user = &question,
	};
	struct tow_http_client *client = question.loop ? tow_http_client_new(&http) : NULL;
	int rc = client ? tow_http_call_start(client, &call, NULL) : TOW_ENOMEM;
	if (rc == 0)
		tow_loop_run(question.loop);
	else
		tow_error_set(&question.error, rc, "%s", tow_strerror(rc));
	tow_http_client_free(client);
	if (question.loop)
		tow_loop_free(question.loop);
	if (question.error.code != 0) {
		complain("towonel", "cert list: %s: %s", url, question.error.text);
		json_decref(question.body);
		return EXIT_FAILED;
	}
	*body = question.body;
	return 0;
}

static const char *format_time(uint64_t unix_ms, char out[32])
{
	return unix_ms ? cli_format_time(unix_ms, out) : "-";
}

static void add_row(struct table *table, const json_t *certificate)
{
	char expires[32], next[32];
	const char *issuer = cli_text(certificate, "issuer");
	const char *cells[] = {
		cli_text(certificate, "name"),
		cli_text(certificate, "state"),
		issuer[0] ? issuer : "-",
		format_time(cli_number(certificate, "not_after_ms"), expires),
		format_time(cli_number(certificate, "next_try_ms"), next),
		cli_text(certificate, "last_error"),
	};
	table_add(table, cells);
}

static int run_list(struct cli *cli)
{
	static const char *const headings[] = { "NAME",    "STATE",    "ISSUER",
		                                "EXPIRES", "NEXT TRY", "LAST ERROR" };
	char url[TOW_URL_MAX];
	json_t *body = NULL, *list, *certificate;
	size_t index;
	int status = find_edge(cli, url, sizeof url);
	if (status == 0)
		status = ask(url, &body);
	if (status != 0)
		return status;
	list = json_object_get(body, "certificates");
	if (cli->json) {
		status = cli_print_json(body);
	} else if (json_array_size(list) == 0) {
		printf("No name has a certificate or has asked for one. Services do: "
		       "\"tls_mode\":{\"mode\":\"terminate\"}\n");
	} else {
		struct table *table = table_new(headings, sizeof headings / sizeof *headings);
		json_array_foreach(list, index, certificate) add_row(table, certificate);
		table_print(table);
		table_free(table);
	}
	json_decref(body);
	return status;
}

static const struct option list_options[] = {
	{ "edge-url", required_argument, NULL, 'e' },
	{ NULL, 0, NULL, 0 },
};

const struct command cert_list = {
	.noun = "cert",
	.verb = "list",
	.arguments = "[--edge-url URL]",
	.summary = "show an edge's certificates, and what keeps names from having one",
	.details =
		"  --edge-url URL     the edge's health listener, http://HOST:PORT; default: this "
		"host's\n"
		"                     (TOWONEL_EDGE_HEALTH_LISTEN_ADDR)\n",
	.options = list_options,
	.run = run_list,
};

/* --- revoke --- */

struct settings {
	char *data_dir, *cert_dir;
	struct acme_settings acme;
};
#define AT(member) .offset = offsetof(struct settings, member)

/* Those of the node's that say where its certificates are, and whose. */
static const struct tow_setting settings_table[] = {
	{ .name = "TOWONEL_DATA_DIR",
	  .type = TOW_SETTING_STRING,
	  AT(data_dir),
	  .default_text = "." },
	{ .name = "TOWONEL_EDGE_TLS_CERT_DIR", .type = TOW_SETTING_PATH, AT(cert_dir) },
	{ .name = "TOWONEL_EDGE_TLS_ACME_DIRECTORY",
	  .type = TOW_SETTING_STRING,
	  AT(acme.directory) },
	{ .name = "TOWONEL_EDGE_TLS_ACME_CA_FILE", .type = TOW_SETTING_STRING, AT(acme.ca_file) },
	{ .name = "TOWONEL_EDGE_TLS_ACME_STAGING",
	  .type = TOW_SETTING_BOOL,
	  AT(acme.staging),
	  .default_text = "false" },
};
#define SETTINGS_COUNT (sizeof settings_table / sizeof *settings_table)

extern char **environ;

static int revoke(struct cli *cli, const char *hostname, const struct settings *settings)
{
	char certs[4096];
	const struct tow_edge_revocation revocation = {
		.cert_dir = cli->given['d']      ? cli->given['d']
		            : settings->cert_dir ? settings->cert_dir
		                                 : certs,
		.hostname = hostname,
		.version = TOW_VERSION,
		.acme = { .directory_url = acme_directory(&settings->acme),
		          .ca_file = settings->acme.ca_file },
	};
	struct tow_error err;
	snprintf(certs, sizeof certs, "%s/certs",
	         environment("TOWONEL_DATA_DIR") ? settings->data_dir : "/data");
	if (tow_edge_revoke_certificate(&revocation, &err) == 0)
		return 0;
	complain("towonel", "cert revoke: %s", err.text);
	return EXIT_FAILED;
}

static int run_revoke(struct cli *cli)
{
	const char *hostname = cli->given['n'];
	struct settings settings = { 0 };
	struct tow_error err;
	if (!hostname)
		return cli_usage_error(cli, "--hostname is missing");
	if (tow_settings_read(settings_table, SETTINGS_COUNT, environ, &settings, &err) != 0) {
		complain("towonel", "%s", err.text);
		return EXIT_USAGE;
	}
	int status = revoke(cli, hostname, &settings);
	tow_settings_deinit(settings_table, SETTINGS_COUNT, &settings);
	if (status != 0)
		return status;
	if (cli->json) {
		json_t *body = json_pack("{s:s,s:s}", "status", "revoked", "hostname", hostname);
		status = cli_print_json(body);
		json_decref(body);
		return status;
	}
	printf("The certificate of %s is revoked. The edge asks for another one when a visitor "
	       "comes.\n",
	       hostname);
	return 0;
}

static const struct option revoke_options[] = {
	{ "hostname", required_argument, NULL, 'n' },
	{ "cert-dir", required_argument, NULL, 'd' },
	{ NULL, 0, NULL, 0 },
};

const struct command cert_revoke = {
	.noun = "cert",
	.verb = "revoke",
	.arguments = "--hostname NAME [--cert-dir DIRECTORY]",
	.summary = "have a certificate revoked, on the edge's own machine, and remove it",
	.details = "  --hostname NAME    whose certificate\n"
		   "  --cert-dir DIR     where it is; default: as for towonel-node, whose\n"
		   "                     TOWONEL_EDGE_TLS_* settings count here too\n",
	.options = revoke_options,
	.run = run_revoke,
};
