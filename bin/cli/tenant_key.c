/* SPDX-License-Identifier: MIT */
/* Whose command it is: the tenant of a key file, or of an invite token. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/tunnel/settings.h>
#include <towonel/wire/token.h>

#include "common.h"

static int from_file(struct cli *cli, struct tow_error *err)
{
	return tow_key_file_read(cli->key_path, TOW_KEY_SEED, cli->tenant.seed, err);
}

static int from_token(struct cli *cli, const char *text, const char *whence, struct tow_error *err)
{
	struct tow_token token;
	char *secret = NULL;
	int rc = tow_setting_secret(text, &secret, err);
	if (rc == 0)
		rc = tow_token_parse(tow_slice_of(secret), TOW_TOKEN_INVITE, &token, err);
	if (secret)
		tow_wipe(secret, strlen(secret));
	free(secret);
	if (rc != 0)
		return tow_error_prefix(err, "%s", whence);
	memcpy(cli->tenant.seed, token.seed, sizeof cli->tenant.seed);
	memcpy(cli->tenant.hub_url, token.hub_url, sizeof cli->tenant.hub_url);
	cli->tenant.hub_id = token.hub_id;
	tow_token_wipe(&token);
	return 0;
}

int cli_find_tenant(struct cli *cli)
{
	const char *variable = getenv("TOWONEL_INVITE_TOKEN");
	struct tow_error err;
	int rc;
	if (cli->key_path && cli->token)
		return cli_usage_error(cli, "--key-path and --token exclude one another");
	if (cli->key_path)
		rc = from_file(cli, &err);
	else if (cli->token)
		rc = from_token(cli, cli->token, "--token", &err);
	else if (variable && variable[0])
		rc = from_token(cli, variable, "TOWONEL_INVITE_TOKEN", &err);
	else
		return cli_usage_error(cli, "which tenant? Give its --key-path or --token, or set "
		                            "TOWONEL_INVITE_TOKEN");
	if (rc == 0) {
		rc = tow_tenant_key_new(cli->tenant.seed, &cli->tenant.key);
		if (rc != 0)
			tow_error_set(&err, rc, "cannot make the tenant's key: %s",
			              tow_strerror(rc));
	}
	if (rc != 0) {
		complain("towonel", "%s", err.text);
		return EXIT_USAGE;
	}
	return 0;
}

void cli_tenant_wipe(struct cli *cli)
{
	tow_tenant_key_free(cli->tenant.key);
	tow_wipe(&cli->tenant, sizeof cli->tenant);
}
