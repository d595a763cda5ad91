/* SPDX-License-Identifier: MIT */
/*
 * towonel: the command line. Finds the command in the table, reads the options, runs it. `towonel
 * serve`, and `towonel` alone, become towonel-node.
 */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common.h"

#define PROGRAM "towonel"

const struct command *const cli_commands[] = {
	&invite_create,  &invite_list,        &invite_hostnames,  &invite_revoke,
	&tenant_list,    &tenant_limit,       &tenant_remove,     &tenant_leave,
	&tenant_init,    &tenant_export_key,  &tenant_import_key, &entry_submit,
	&entry_list,     &edge_invite_create, &edge_invite_list,  &edge_invite_revoke,
	&port_available, &port_list,          &port_reserve,      &port_release,
	&status_all,     &doctor_all,         &audit_list,        &cert_list,
	&cert_revoke,    &completion_bash,    &completion_zsh,    &completion_fish,
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

enum {
	OPTION_HUB_URL = 1000,
	OPTION_API_KEY,
	OPTION_KEY_PATH,
	OPTION_TOKEN,
	OPTION_JSON,
	OPTION_HELP,
};

/* Those that several commands take: whose they are, and what --help says. */
static const struct {
	int who; /* 0: every command's */
	struct option option;
	const char *help;
} common[] = {
	{ CLI_OPERATOR,
	  { "api-key", required_argument, NULL, OPTION_API_KEY },
	  "  --api-key KEY      the operator's key, or @FILE; default TOWONEL_OPERATOR_KEY, else "
	  "operator.key in\n"
	  "                     TOWONEL_DATA_DIR, here, or in " DATA_DIR_SYSTEM "\n" },
	{ CLI_KEY,
	  { "key-path", required_argument, NULL, OPTION_KEY_PATH },
	  "  --key-path FILE    the tenant's key, see towonel tenant init\n" },
	{ CLI_TOKEN,
	  { "token", required_argument, NULL, OPTION_TOKEN },
	  "  --token TOKEN      the tenant's invite token, or @FILE; default "
	  "TOWONEL_INVITE_TOKEN, which no\n"
	  "                     list of processes shows\n" },
	{ 0,
	  { "hub-url", required_argument, NULL, OPTION_HUB_URL },
	  "  --hub-url URL      the hub, https://HOST:PORT[#NODE-ID]; default TOWONEL_HUB_URL, "
	  "else the token's,\n"
	  "                     else this host\n" },
	{ 0,
	  { "json", no_argument, NULL, OPTION_JSON },
	  "  --json             print one JSON document\n" },
	{ 0, { "help", no_argument, NULL, OPTION_HELP }, "" },
};
#define COMMON_COUNT (sizeof common / sizeof *common)

static int takes(const struct command *command, size_t index)
{
	return !common[index].who || command->who & common[index].who;
}

size_t cli_options(const struct command *command, struct option out[CLI_OPTIONS_MAX + 1])
{
	size_t count = 0;
	for (const struct option *o = command->options; o && o->name; o++)
		out[count++] = *o;
	for (size_t i = 0; i < COMMON_COUNT; i++)
		if (takes(command, i))
			out[count++] = common[i].option;
	assert(count <= CLI_OPTIONS_MAX);
	out[count] = (struct option){ NULL, 0, NULL, 0 };
	return count;
}

/* command NULL: of all commands. */
static void print_common(const struct command *command)
{
	putchar('\n');
	for (size_t i = 0; i < COMMON_COUNT; i++)
		if (!command || takes(command, i))
			fputs(common[i].help, stdout);
}

static char *name_of(const struct command *command, char out[64])
{
	snprintf(out, 64, "%s%s%s", command->noun, command->verb ? " " : "",
	         command->verb ? command->verb : "");
	return out;
}

/* The commands of a noun, or all of them. Returns how many there are. */
static size_t print_commands(const char *noun)
{
	size_t count = 0;
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct command *command = cli_commands[i];
		char name[64];
		if (noun && strcmp(command->noun, noun) != 0)
			continue;
		printf("  %-19s %s\n", name_of(command, name), command->summary);
		count++;
	}
	return count;
}

static void help(void)
{
	fputs("usage: towonel COMMAND [OPTIONS]\n"
	      "       towonel [serve]\n"
	      "\n"
	      "Manages a towonel hub. Without a command, or with `serve`, it runs the node.\n"
	      "\n",
	      stdout);
	print_commands(NULL);
	fputs("  serve               run towonel-node\n"
	      "\n"
	      "towonel COMMAND --help tells more. What many of them take:\n",
	      stdout);
	print_common(NULL);
}

static void help_command(const struct command *command)
{
	char name[64];
	printf("usage: towonel %s%s%s\n\n%c%s.\n%s%s", name_of(command, name),
	       command->arguments[0] ? " " : "", command->arguments,
	       toupper((unsigned char)command->summary[0]), command->summary + 1,
	       command->details ? "\n" : "", command->details ? command->details : "");
	print_common(command);
}

int cli_usage_error(struct cli *cli, const char *format, ...)
{
	char text[512], name[64];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	complain(PROGRAM, "%s: %s", name_of(cli->command, name), text);
	fprintf(stderr, "usage: towonel %s %s\n", name, cli->command->arguments);
	return EXIT_USAGE;
}

int cli_check_text(struct cli *cli, const char *option, const char *text)
{
	json_t *json = text ? json_string(text) : json_null();
	int good = json != NULL;
	json_decref(json);
	return good ? EXIT_OK : cli_usage_error(cli, "%s is not UTF-8", option);
}

/* Replaces this process by towonel-node, the one beside this program if there is one. It takes
 * nothing but a flag such as --help, which it is to judge itself. */
static int serve(char **arguments)
{
	char path[4096];
	char name[] = "towonel-node";
	char *argv[] = { name, arguments ? arguments[0] : NULL, NULL };
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof "towonel-node");
	if (len > 0) {
		path[len] = 0;
		char *slash = strrchr(path, '/');
		if (slash) {
			memcpy(slash + 1, name, sizeof name);
			execv(path, argv);
		}
	}
	execvp(name, argv);
	complain(PROGRAM, "towonel-node is neither beside this program nor in PATH");
	return EXIT_FAILED;
}

static const struct command *find(const char *noun, const char *verb)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct command *command = cli_commands[i];
		if (strcmp(command->noun, noun) == 0 &&
		    (!command->verb || (verb && strcmp(command->verb, verb) == 0)))
			return command;
	}
	return NULL;
}

/* A copy of a secret argument; the argument itself is blanked out of the process list. */
static char *take_secret(char *argument)
{
	char *copy = strdup(argument);
	memset(argument, 'x', strlen(argument));
	return copy;
}

static void free_secret(char *secret)
{
	if (secret)
		tow_wipe(secret, strlen(secret));
	free(secret);
}

/* Reads the options. Returns -1 to go on, else an exit status. */
static int read_options(struct cli *cli, int argc, char **argv)
{
	struct option all[CLI_OPTIONS_MAX + 1];
	cli_options(cli->command, all);

	opterr = 0;
	for (;;) {
		int value = getopt_long(argc, argv, ":", all, NULL);
		if (value == -1)
			break;
		switch (value) {
		case OPTION_HUB_URL:
			free(cli->hub_url);
			cli->hub_url = strdup(optarg);
			break;
		case OPTION_API_KEY:
			free(cli->api_key);
			cli->api_key = take_secret(optarg);
			break;
		case OPTION_KEY_PATH: cli->key_path = optarg; break;
		case OPTION_TOKEN:
			free(cli->token);
			cli->token = take_secret(optarg);
			break;
		case OPTION_JSON: cli->json = 1; break;
		case OPTION_HELP: help_command(cli->command); return EXIT_OK;
		case ':': return cli_usage_error(cli, "%s needs a value", argv[optind - 1]);
		case '?':
			if (optopt > 0 && optopt < 128)
				return cli_usage_error(cli, "unknown option -%c", optopt);
			return cli_usage_error(cli, "unknown option %.*s",
			                       (int)strcspn(argv[optind - 1], "="),
			                       argv[optind - 1]);
		default: cli->given[value] = optarg ? optarg : ""; break;
		}
	}
	if (optind < argc)
		return cli_usage_error(cli, "unexpected argument \"%s\"", argv[optind]);
	return -1;
}

/* What is in front of a command is no option of one. */
static int run_flag(const char *flag)
{
	if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
		help();
		return EXIT_OK;
	}
	if (strcmp(flag, "--version") == 0 || strcmp(flag, "-V") == 0) {
		printf("%s %s\n", PROGRAM, TOW_VERSION);
		return EXIT_OK;
	}
	complain(PROGRAM, "unexpected \"%s\": options stand behind the command; see towonel --help",
	         flag);
	return EXIT_USAGE;
}

static int no_command(const char *noun, const char *verb)
{
	char verbs[256] = "";
	size_t used = 0;
	for (size_t i = 0; i < cli_command_count; i++)
		if (strcmp(cli_commands[i]->noun, noun) == 0)
			used += (size_t)snprintf(verbs + used, sizeof verbs - used, "%s%s",
			                         used ? ", " : "", cli_commands[i]->verb);
	if (used && verb)
		complain(PROGRAM, "there is no command \"%s %s\"; %s can: %s", noun, verb, noun,
		         verbs);
	else if (used)
		complain(PROGRAM, "%s what? One of: %s", noun, verbs);
	else
		complain(PROGRAM, "there is no command \"%s\"; see towonel --help", noun);
	return EXIT_USAGE;
}

/* words: what stands behind the program's name and "admin". */
static int run(int count, char **words)
{
	struct cli cli = { 0 };
	const char *noun = words[0], *verb = count > 1 ? words[1] : NULL;
	if (noun[0] == '-')
		return run_flag(noun);
	cli.command = find(noun, verb);
	if (!cli.command && verb && (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) &&
	    print_commands(noun) > 0)
		return EXIT_OK;
	if (!cli.command)
		return no_command(noun, verb);
	int used = cli.command->verb ? 1 : 0;
	int status = read_options(&cli, count - used, words + used);
	if (status < 0)
		status = cli.command->run(&cli);
	free(cli.hub_url);
	free_secret(cli.api_key);
	free_secret(cli.token);
	cli_tenant_wipe(&cli);
	return status;
}

int main(int argc, char **argv)
{
	int admin = argc > 1 && strcmp(argv[1], "admin") == 0;
	char **words = argv + 1 + admin;
	int count = argc - 1 - admin, status;

	if (count == 0 && !admin)
		return serve(NULL);
	if (count == 0) {
		complain(PROGRAM, "\"admin\" is no whole command; see towonel --help");
		return EXIT_USAGE;
	}
	if (strcmp(words[0], "serve") == 0)
		return serve(words + 1);
	status = run(count, words);
	if (fflush(stdout) != 0 && status == 0) {
		complain(PROGRAM, "cannot write to standard output");
		status = EXIT_FAILED;
	}
	return status;
}
