/* SPDX-License-Identifier: MIT */
/*
 * A signed entry on its way to the hub. Its sequence is the hub's latest and one: when somebody
 * else of the tenant (an agent, most likely) takes that number in between, the hub says so, and the
 * entry is made anew with the next.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <towonel/tunnel/loop.h>

#include "common.h"

#define ATTEMPTS 8

static int latest_sequence(struct cli *cli, uint64_t *out)
{
	char path[TOW_ID_TEXT_SIZE + 64], id[TOW_ID_TEXT_SIZE];
	json_t *body;
	snprintf(path, sizeof path, "/v1/tenants/%s/entries?limit=1",
	         tow_id_format(tow_tenant_key_id(cli->tenant.key), id));
	int status = cli_call(cli, "GET", path, NULL, TOW_HUB_TENANT, &body, NULL);
	if (status != 0)
		return status;
	*out = cli_number(body, "latest_sequence");
	json_decref(body);
	return 0;
}

/* The JWS as JSON; NULL: said why not. */
static json_t *sign(struct cli *cli, struct tow_entry *entry)
{
	struct tow_buf text = { 0 };
	struct tow_error err;
	json_t *jws = NULL;
	entry->version = TOW_ENTRY_VERSION;
	entry->tenant_id = *tow_tenant_key_id(cli->tenant.key);
	entry->timestamp_ms = tow_wall_ms();
	if (tow_entry_sign(entry, cli->tenant.key, &text, &err) == 0) {
		struct tow_slice bytes = tow_buf_peek(&text);
		jws = json_loadb((const char *)bytes.base, bytes.len, 0, NULL);
		tow_error_set(&err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	}
	if (!jws)
		complain("towonel", "cannot sign: %s", err.text);
	tow_buf_deinit(&text);
	return jws;
}

int cli_submit(struct cli *cli, struct tow_entry *entry, const char *path, json_t **body)
{
	struct cli_answer answer = { 0 };
	for (int i = 0; i < ATTEMPTS; i++) {
		uint64_t latest;
		int status = latest_sequence(cli, &latest);
		if (status != 0)
			return status;
		entry->sequence = latest + 1;
		json_t *jws = sign(cli, entry);
		if (!jws)
			return EXIT_FAILED;
		status = cli_ask(cli, "POST", path, jws, TOW_HUB_NO_AUTH, &answer);
		if (status != 0)
			return status;
		if (answer.error.code == 0) {
			*body = answer.body;
			return 0;
		}
		json_decref(answer.body);
		if (strcmp(answer.code, "sequence_conflict") != 0)
			break;
	}
	return cli_refused(cli, TOW_HUB_NO_AUTH, &answer);
}
