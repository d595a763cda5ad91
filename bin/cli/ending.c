/* SPDX-License-Identifier: MIT */
/* How commands that are alike begin and end. */
#include "cli/cli.h"

#include <stdio.h>

int cli_tenant_id(struct cli *cli, const char **out)
{
	const char *given = cli->given['t'];
	struct tow_id id;
	if (given && tow_id_parse(tow_slice_of(given), &id) != 0)
		return cli_usage_error(cli,
		                       "--tenant-id \"%s\" is not 64 lowercase hex digits; "
		                       "see towonel tenant list",
		                       given);
	*out = given;
	return 0;
}

int cli_print_list(struct cli *cli, const char *name, json_t *items, const char *none,
                   void (*print)(const json_t *items))
{
	int status = 0;
	if (cli->json) {
		json_t *document = json_pack("{s:O}", name, items);
		status = cli_print_json(document);
		json_decref(document);
	} else if (json_array_size(items) == 0) {
		printf("%s\n", none);
	} else {
		print(items);
	}
	json_decref(items);
	return status;
}

int cli_remove(struct cli *cli, const char *path, const char *sentence)
{
	json_t *body;
	int status = cli_call(cli, "DELETE", path, NULL, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(body);
	else
		printf("%s\n", sentence);
	json_decref(body);
	return status;
}
