/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/loop.h>

#include "common.h"

/* --- submit --- */

/* The options by letter: hostname, mode, agent-id, name, listen-port, ports, idle-timeout,
 * allow-from, deny-from. */
#define OPTION_LETTERS "hmanpcild"
static const struct {
	enum tow_entry_op op;
	const char *needs, *takes;
} ops[] = {
	{ TOW_ENTRY_UPSERT_HOSTNAME, "h", "mld" },      { TOW_ENTRY_DELETE_HOSTNAME, "h", "" },
	{ TOW_ENTRY_SET_HOSTNAME_TLS, "hm", "" },       { TOW_ENTRY_REVOKE_AGENT, "a", "" },
	{ TOW_ENTRY_UPSERT_TCP_SERVICE, "np", "cld" },  { TOW_ENTRY_DELETE_TCP_SERVICE, "n", "" },
	{ TOW_ENTRY_UPSERT_UDP_SERVICE, "np", "cild" }, { TOW_ENTRY_DELETE_UDP_SERVICE, "n", "" },
};
#define OP_COUNT (sizeof ops / sizeof *ops)

const char *const cli_entry_ops[] = {
	"upsert_hostname",    "delete_hostname",    "set_hostname_tls",
	"revoke_agent",       "upsert_tcp_service", "delete_tcp_service",
	"upsert_udp_service", "delete_udp_service", NULL,
};

static const struct option submit_options[] = {
	{ "op", required_argument, NULL, 'o' },
	{ "hostname", required_argument, NULL, 'h' },
	{ "mode", required_argument, NULL, 'm' },
	{ "agent-id", required_argument, NULL, 'a' },
	{ "name", required_argument, NULL, 'n' },
	{ "listen-port", required_argument, NULL, 'p' },
	{ "ports", required_argument, NULL, 'c' },
	{ "idle-timeout", required_argument, NULL, 'i' },
	{ "allow-from", required_argument, NULL, 'l' },
	{ "deny-from", required_argument, NULL, 'd' },
	{ NULL, 0, NULL, 0 },
};

static const char *option_name(char letter)
{
	const struct option *option = submit_options;
	while (option->val != letter)
		option++;
	return option->name;
}

/* Which operation, with just the options that it has. Returns an exit status. */
static int read_op(struct cli *cli, struct tow_entry *entry)
{
	const char *name = cli->given['o'];
	size_t row = 0;
	if (!name)
		return cli_usage_error(cli, "--op is missing");
	if (tow_entry_op_parse(name, &entry->op) != 0)
		return cli_usage_error(cli,
		                       "--op \"%s\" is no operation; see towonel entry submit "
		                       "--help",
		                       name);
	while (row < OP_COUNT && ops[row].op != entry->op)
		row++;
	if (row == OP_COUNT)
		return cli_usage_error(cli, "--op %s: %s", name,
		                       entry->op == TOW_ENTRY_LEAVE
		                               ? "that is towonel tenant leave"
		                               : "agents say this of themselves when they start");
	for (const char *letter = OPTION_LETTERS; *letter; letter++) {
		int needed = strchr(ops[row].needs, *letter) != NULL;
		int taken = needed || strchr(ops[row].takes, *letter);
		if (needed && !cli->given[(int)*letter])
			return cli_usage_error(cli, "--op %s needs --%s", name,
			                       option_name(*letter));
		if (!taken && cli->given[(int)*letter])
			return cli_usage_error(cli, "--op %s has no use for --%s", name,
			                       option_name(*letter));
	}
	return 0;
}

static int read_ports(struct cli *cli, struct tow_entry *entry)
{
	const char *port = cli->given['p'], *ports = cli->given['c'], *idle = cli->given['i'];
	uint64_t first = 0, count = 1, seconds = 0;
	if (port && cli_parse_number(port, 1, 65535, &first) != 0)
		return cli_usage_error(cli, "--listen-port \"%s\" is no port", port);
	if (ports && cli_parse_number(ports, 1, TOW_PORT_RANGE_MAX, &count) != 0)
		return cli_usage_error(cli, "--ports \"%s\" is no number from 1 to %d", ports,
		                       TOW_PORT_RANGE_MAX);
	if (first + count - 1 > UINT16_MAX)
		return cli_usage_error(cli, "--ports %s from port %s on go beyond 65535", ports,
		                       port);
	if (idle && (cli_parse_duration(idle, &seconds) != 0 || seconds < 1 ||
	             seconds > TOW_IDLE_TIMEOUT_MAX_S))
		return cli_usage_error(cli, "--idle-timeout \"%s\" is nothing from 1s to 1h", idle);
	entry->listen_port = (uint16_t)first;
	entry->port_count = (uint16_t)count;
	entry->idle_timeout_secs = (uint16_t)seconds;
	return 0;
}

static int read_access(struct cli *cli, struct tow_entry *entry)
{
	const char *allow = cli->given['l'], *deny = cli->given['d'];
	struct tow_error err;
	if (allow && !*allow)
		return cli_usage_error(cli, "--allow-from has nobody: leave it out to allow "
		                            "everybody");
	if (allow &&
	    tow_access_parse(&entry->access, TOW_ACCESS_ALLOW, tow_slice_of(allow), &err) != 0)
		return cli_usage_error(cli, "--allow-from: %s", err.text);
	if (deny &&
	    tow_access_parse(&entry->access, TOW_ACCESS_DENY, tow_slice_of(deny), &err) != 0)
		return cli_usage_error(cli, "--deny-from: %s", err.text);
	return 0;
}

static int read_values(struct cli *cli, struct tow_entry *entry)
{
	const char *hostname = cli->given['h'], *mode = cli->given['m'], *agent = cli->given['a'],
		   *name = cli->given['n'];
	struct tow_error err;
	if (hostname && tow_hostname_parse(tow_slice_of(hostname), TOW_HOSTNAME_PATTERN,
	                                   entry->name, &err) != 0)
		return cli_usage_error(cli, "--hostname: %s", err.text);
	if (mode && tow_tls_mode_parse(mode, &entry->tls_mode) != 0)
		return cli_usage_error(cli, "--mode \"%s\" is neither passthrough nor terminate",
		                       mode);
	if (agent && tow_id_parse(tow_slice_of(agent), &entry->agent_id) != 0)
		return cli_usage_error(cli, "--agent-id \"%s\" is not 64 lowercase hex digits",
		                       agent);
	if (name && tow_service_name_check(tow_slice_of(name), &err) != 0)
		return cli_usage_error(cli, "--name: %s", err.text);
	if (name)
		snprintf(entry->name, sizeof entry->name, "%s", name);
	int status = read_ports(cli, entry);
	return status ? status : read_access(cli, entry);
}

static int run_submit(struct cli *cli)
{
	struct tow_entry entry = { .op = TOW_ENTRY_LEAVE };
	json_t *body;
	int status = read_op(cli, &entry);
	if (status == 0)
		status = read_values(cli, &entry);
	if (status == 0)
		status = cli_find_tenant(cli);
	if (status == 0)
		status = cli_submit(cli, &entry, "/v1/entries", &body);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(body);
	else
		printf("Accepted as entry %" PRIu64 ".\n", cli_number(body, "sequence"));
	json_decref(body);
	return status;
}

const struct command entry_submit = {
	.noun = "entry",
	.verb = "submit",
	.arguments = "--op OP [--hostname H] [--mode passthrough|terminate] [--agent-id HEX] "
		     "[--name S]\n                            [--listen-port P] [--ports N] "
		     "[--idle-timeout TIME]\n                            [--allow-from LIST] "
		     "[--deny-from LIST]",
	.summary = "sign a change of the tenant's configuration and submit it",
	.details =
		"  --op OP            with the options that it takes:\n"
		"                       upsert_hostname     --hostname [--mode] [--allow-from] "
		"[--deny-from]\n"
		"                       delete_hostname     --hostname\n"
		"                       set_hostname_tls    --hostname --mode\n"
		"                       revoke_agent        --agent-id\n"
		"                       upsert_tcp_service  --name --listen-port [--ports] "
		"[--allow-from] [--deny-from]\n"
		"                       delete_tcp_service  --name\n"
		"                       upsert_udp_service  --name --listen-port [--ports] "
		"[--idle-timeout]\n"
		"                                           [--allow-from] [--deny-from]\n"
		"                       delete_udp_service  --name\n"
		"  --allow-from LIST  only visitors of these networks and addresses, with commas "
		"between them\n"
		"  --deny-from LIST   none of these, whatever is allowed\n"
		"\n"
		"An agent that starts or reloads sets hostnames and services as its own settings "
		"say.\n",
	.options = submit_options,
	.who = CLI_TENANT,
	.run = run_submit,
};

/* --- list --- */

struct log {
	const char *tenant; /* its id */
	enum tow_hub_auth auth;
	json_t *payloads;
	uint64_t latest;
	size_t wrong; /* that the tenant has not signed */
};

/* What an entry says; NULL when it is none. */
static json_t *payload_of(const json_t *jws)
{
	const char *text = cli_text(jws, "payload");
	size_t len = strlen(text);
	uint8_t *bytes = malloc(len + 1);
	int n = bytes ? tow_base64url_decode(tow_slice_of(text), bytes, len + 1) : -1;
	json_t *payload = n > 0 ? json_loadb((const char *)bytes, (size_t)n, 0, NULL) : NULL;
	free(bytes);
	return payload;
}

static int is_genuine(const struct cli *cli, const json_t *jws)
{
	struct tow_entry entry;
	char *text = json_dumps(jws, JSON_COMPACT);
	int rc = text ? tow_entry_verify(tow_slice_of(text), tow_tenant_key_public(cli->tenant.key),
	                                 &entry, NULL)
	              : TOW_ENOMEM;
	free(text);
	/* of an operation that is newer than this program the signature was checked before */
	return rc == 0 || rc == TOW_EVERSION || rc == TOW_EINVAL;
}

/* The entries after a sequence. *next is where to go on; 0: there are no more. */
static int read_page(struct cli *cli, struct log *log, uint64_t after, uint64_t *next)
{
	char path[TOW_ID_TEXT_SIZE + 64];
	json_t *body, *jws;
	size_t index;
	snprintf(path, sizeof path, "/v1/tenants/%s/entries?after=%" PRIu64, log->tenant, after);
	int status = cli_call(cli, "GET", path, NULL, log->auth, &body, NULL);
	if (status != 0)
		return status;
	json_array_foreach(json_object_get(body, "entries"), index, jws)
	{
		json_t *payload = payload_of(jws);
		if (payload)
			json_array_append_new(log->payloads, payload);
		if (!payload || (cli->tenant.key && !is_genuine(cli, jws)))
			log->wrong++;
	}
	log->latest = cli_number(body, "latest_sequence");
	*next = cli_number(body, "next_after");
	json_decref(body);
	return 0;
}

static void add_row(struct table *table, const json_t *payload)
{
	char sequence[24], when[32], port[48];
	uint64_t first = cli_number(payload, "listen_port"), count = cli_number(payload, "ports");
	const char *hostname = cli_text(payload, "hostname"), *name = cli_text(payload, "name"),
		   *detail = cli_text(payload, "tls_mode");
	snprintf(sequence, sizeof sequence, "%" PRIu64, cli_number(payload, "sequence"));
	if (first) {
		if (count > 1)
			snprintf(port, sizeof port, "ports %" PRIu64 "-%" PRIu64, first,
			         first + count - 1);
		else
			snprintf(port, sizeof port, "port %" PRIu64, first);
		detail = port;
	}
	const char *cells[] = {
		sequence,
		cli_format_time(cli_number(payload, "timestamp_ms"), when),
		cli_text(payload, "op"),
		hostname[0] ? hostname
		: name[0]   ? name
			    : cli_text(payload, "agent_id"),
		detail,
	};
	table_add(table, cells);
}

static int print_log(const struct cli *cli, const struct log *log)
{
	static const char *const headings[] = { "SEQUENCE", "SIGNED", "OP", "OF", "" };
	json_t *payload;
	size_t index;
	if (cli->json) {
		json_t *document =
			json_pack("{s:s, s:I, s:O}", "tenant_id", log->tenant, "latest_sequence",
		                  (json_int_t)log->latest, "entries", log->payloads);
		int status = cli_print_json(document);
		json_decref(document);
		return status;
	}
	if (json_array_size(log->payloads) == 0) {
		printf("No entries. An agent makes them when it starts, or: towonel entry "
		       "submit\n");
		return 0;
	}
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	json_array_foreach(log->payloads, index, payload) add_row(table, payload);
	table_print(table);
	table_free(table);
	return 0;
}

static int run_list(struct cli *cli)
{
	struct log log = { .auth = TOW_HUB_OPERATOR };
	char text[TOW_ID_TEXT_SIZE];
	uint64_t after = 0, next = 0;
	int status = cli_tenant_id(cli, &log.tenant);
	if (status != 0)
		return status;
	if (log.tenant && (cli->key_path || cli->token))
		return cli_usage_error(cli, "--tenant-id is for the operator, --key-path and "
		                            "--token for the tenant: give one of them");
	if (!log.tenant) {
		status = cli_find_tenant(cli);
		if (status != 0)
			return status;
		log.tenant = tow_id_format(tow_tenant_key_id(cli->tenant.key), text);
		log.auth = TOW_HUB_TENANT;
	}
	log.payloads = json_array();
	do {
		status = read_page(cli, &log, after, &next);
		if (status != 0 || next <= after)
			break;
		after = next;
	} while (after != 0);
	if (status == 0)
		status = print_log(cli, &log);
	if (status == 0 && log.wrong > 0) {
		complain("towonel",
		         "%zu of the entries that the hub has are not signed by the tenant",
		         log.wrong);
		status = EXIT_FAILED;
	}
	json_decref(log.payloads);
	return status;
}

static const struct option list_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

const struct command entry_list = {
	.noun = "entry",
	.verb = "list",
	.arguments = "[--key-path FILE | --token TOKEN | --tenant-id HEX]",
	.summary = "list what a tenant has said, and check that it has",
	.details = "  --tenant-id HEX    as the operator: the entries of this tenant, unchecked\n",
	.options = list_options,
	.who = CLI_TENANT | CLI_OPERATOR,
	.run = run_list,
};
