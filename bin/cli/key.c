/* SPDX-License-Identifier: MIT */
/* A tenant's key: in a file of its own, and in a backup under a passphrase. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/wire/key_backup.h>

#include "common.h"

#define DEFAULT_PATH "tenant.key"

static const char *path_of(const struct cli *cli)
{
	return cli->given['k'] ? cli->given['k'] : DEFAULT_PATH;
}

/* Says what was done to which tenant's key: a member of the document, and a sentence. */
static int done(const struct cli *cli, const struct tow_id *tenant, const char *path,
                const char *sentence)
{
	char id[TOW_ID_TEXT_SIZE];
	tow_id_format(tenant, id);
	if (!cli->json) {
		fprintf(stderr, "%s %s\n", path, sentence);
		printf("%s\n", id);
		return 0;
	}
	json_t *document =
		json_pack("{s:s, s:s, s:s}", "status", "ok", "tenant_id", id, "path", path);
	int status = cli_print_json(document);
	json_decref(document);
	return status;
}

static int failed(const struct tow_error *err)
{
	complain("towonel", "%s", err->text);
	return EXIT_FAILED;
}

/* --- init --- */

static int run_init(struct cli *cli)
{
	const char *variable = getenv("TOWONEL_INVITE_TOKEN");
	int is_fresh = !cli->token && (!variable || !variable[0]);
	struct tow_error err;
	if (is_fresh) {
		tow_random(cli->tenant.seed, sizeof cli->tenant.seed);
		int rc = tow_tenant_key_new(cli->tenant.seed, &cli->tenant.key);
		if (rc != 0) {
			complain("towonel", "cannot make a key: %s", tow_strerror(rc));
			return EXIT_FAILED;
		}
	} else {
		int status = cli_find_tenant(cli);
		if (status != 0)
			return status;
	}
	if (tow_file_create(path_of(cli), tow_slice_make(cli->tenant.seed, sizeof cli->tenant.seed),
	                    0600, &err) != 0)
		return failed(&err);
	return done(cli, tow_tenant_key_id(cli->tenant.key), path_of(cli),
	            is_fresh ? "has a fresh key, which no hub knows. Its tenant id:"
	                     : "has the key of the invite token. Its tenant id:");
}

static const struct option init_options[] = {
	{ "key-path", required_argument, NULL, 'k' },
	{ NULL, 0, NULL, 0 },
};

const struct command tenant_init = {
	.noun = "tenant",
	.verb = "init",
	.arguments = "[--key-path FILE] [--token TOKEN]",
	.summary = "make a key file and print the tenant id",
	.details =
		"  --key-path FILE    the file to make; default " DEFAULT_PATH "\n"
		"\n"
		"With a token the file gets the key of its tenant, else a fresh one. It holds 32 "
		"bytes, and nobody\n"
		"else can read it. A file that is there is left as it is.\n",
	.options = init_options,
	.who = CLI_TOKEN,
	.run = run_init,
};

/* --- export-key --- */

static int write_backup(struct cli *cli, struct tow_slice passphrase, struct tow_error *err)
{
	struct tow_key_backup backup;
	struct tow_buf text = { 0 };
	int rc = tow_key_backup_seal(cli->tenant.seed, passphrase, NULL, &backup, err);
	if (rc == 0 && (rc = tow_key_backup_format(&backup, &text)) != 0)
		tow_error_set(err, rc, "%s", tow_strerror(rc));
	if (rc == 0)
		rc = tow_file_create(cli->given['b'], tow_buf_peek(&text), 0600, err);
	tow_buf_deinit(&text);
	return rc;
}

static int run_export(struct cli *cli)
{
	struct tow_buf passphrase = { 0 };
	struct tow_error err;
	if (!cli->given['b'])
		return cli_usage_error(cli, "--backup is missing: the file to write");
	int status = cli_find_tenant(cli);
	if (status == 0)
		status = cli_passphrase(cli, cli->given['p'], 1, &passphrase);
	if (status == 0 && write_backup(cli, tow_buf_peek(&passphrase), &err) != 0)
		status = failed(&err);
	tow_buf_wipe(&passphrase);
	if (status != 0)
		return status;
	return done(cli, tow_tenant_key_id(cli->tenant.key), cli->given['b'],
	            "has the key under the passphrase; without that it is worth nothing. Tenant:");
}

static const struct option export_options[] = {
	{ "backup", required_argument, NULL, 'b' },
	{ "passphrase-file", required_argument, NULL, 'p' },
	{ NULL, 0, NULL, 0 },
};

const struct command tenant_export_key = {
	.noun = "tenant",
	.verb = "export-key",
	.arguments = "--backup FILE [--key-path FILE | --token TOKEN] [--passphrase-file FILE]",
	.summary = "write a tenant's key to a backup under a passphrase",
	.details =
		"  --backup FILE           the file to make; one that is there is left as it is\n"
		"  --passphrase-file FILE  its first line is the passphrase; default: the "
		"terminal, twice\n",
	.options = export_options,
	.who = CLI_TENANT,
	.run = run_export,
};

/* --- import-key --- */

static int read_backup(const char *path, struct tow_key_backup *out, struct tow_error *err)
{
	struct tow_buf text = { 0 };
	int rc = tow_file_read(path, TOW_KEY_BACKUP_MAX, &text, err);
	if (rc == 0 && (rc = tow_key_backup_parse(tow_buf_peek(&text), out, err)) != 0)
		tow_error_prefix(err, "%s is no backup of a key", path);
	tow_buf_deinit(&text);
	return rc;
}

static int run_import(struct cli *cli)
{
	struct tow_buf passphrase = { 0 };
	struct tow_key_backup backup;
	struct tow_error err;
	if (!cli->given['b'])
		return cli_usage_error(cli, "--backup is missing: the file to read");
	if (read_backup(cli->given['b'], &backup, &err) != 0)
		return failed(&err);
	int status = cli_passphrase(cli, cli->given['p'], 0, &passphrase);
	if (status == 0 &&
	    tow_key_backup_open(&backup, tow_buf_peek(&passphrase), cli->tenant.seed, &err) != 0) {
		tow_error_prefix(&err, "%s cannot be opened", cli->given['b']);
		status = failed(&err);
	}
	if (status == 0 &&
	    tow_file_create(path_of(cli), tow_slice_make(cli->tenant.seed, sizeof cli->tenant.seed),
	                    0600, &err) != 0)
		status = failed(&err);
	tow_buf_wipe(&passphrase);
	if (status != 0)
		return status;
	return done(cli, &backup.tenant_id, path_of(cli),
	            "has the key of the backup. Its tenant id:");
}

static const struct option import_options[] = {
	{ "backup", required_argument, NULL, 'b' },
	{ "key-path", required_argument, NULL, 'k' },
	{ "passphrase-file", required_argument, NULL, 'p' },
	{ NULL, 0, NULL, 0 },
};

const struct command tenant_import_key = {
	.noun = "tenant",
	.verb = "import-key",
	.arguments = "--backup FILE [--key-path FILE] [--passphrase-file FILE]",
	.summary = "make a key file of a backup",
	.details =
		"  --backup FILE           as `towonel tenant export-key` wrote it\n"
		"  --key-path FILE         the file to make; default " DEFAULT_PATH "; one that is "
		"there is left as it is\n"
		"  --passphrase-file FILE  its first line is the passphrase; default: the "
		"terminal\n",
	.options = import_options,
	.run = run_import,
};
