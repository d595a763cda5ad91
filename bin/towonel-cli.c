/* SPDX-License-Identifier: MIT */
/*
 * towonel: the command line. Finds the command in the table, reads the options, runs it. `towonel
 * serve`, and `towonel` alone, become towonel-node.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common.h"

#define PROGRAM     "towonel"
#define OPTIONS_MAX 32

static const struct command *const commands[] = {
	&invite_create,
	&invite_list,
	&invite_revoke,
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

enum {
	OPTION_HUB_URL = 1000,
	OPTION_API_KEY,
	OPTION_JSON,
	OPTION_HELP,
};

static const struct option common_options[] = {
	{ "hub-url", required_argument, NULL, OPTION_HUB_URL },
	{ "api-key", required_argument, NULL, OPTION_API_KEY },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
};
#define COMMON_COUNT (sizeof common_options / sizeof *common_options)

static void print_common(void)
{
	fputs("\n"
	      "  --hub-url URL      the hub, https://HOST:PORT[#NODE-ID]; default TOWONEL_HUB_URL, "
	      "else this host\n"
	      "  --api-key KEY      the operator's key; default TOWONEL_OPERATOR_KEY, else "
	      "operator.key in\n"
	      "                     TOWONEL_DATA_DIR, here, or in " DATA_DIR_SYSTEM "\n"
	      "  --json             print one JSON document\n",
	      stdout);
}

/* The commands of a noun, or all of them. Returns how many there are. */
static size_t print_commands(const char *noun)
{
	size_t count = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (noun && strcmp(commands[i]->noun, noun) != 0)
			continue;
		char name[64];
		snprintf(name, sizeof name, "%s %s", commands[i]->noun, commands[i]->verb);
		printf("  %-18s %s\n", name, commands[i]->summary);
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
	fputs("  serve              run towonel-node\n"
	      "\n"
	      "towonel COMMAND --help tells more. Each command takes:\n",
	      stdout);
	print_common();
}

static void help_command(const struct command *command)
{
	printf("usage: towonel %s %s%s%s\n\n%s%s", command->noun, command->verb,
	       command->arguments[0] ? " " : "", command->arguments,
	       command->details ? command->details : "", command->details ? "" : command->summary);
	if (!command->details)
		putchar('\n');
	print_common();
}

int cli_usage_error(struct cli *cli, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	complain(PROGRAM, "%s %s: %s", cli->command->noun, cli->command->verb, text);
	fprintf(stderr, "usage: towonel %s %s %s\n", cli->command->noun, cli->command->verb,
	        cli->command->arguments);
	return EXIT_USAGE;
}

/* Replaces this process by towonel-node, the one beside this program if there is one. */
static int serve(char **argv)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof "towonel-node");
	if (len > 0) {
		path[len] = 0;
		char *slash = strrchr(path, '/');
		if (slash) {
			memcpy(slash + 1, "towonel-node", sizeof "towonel-node");
			execv(path, argv);
		}
	}
	execvp("towonel-node", argv);
	complain(PROGRAM, "towonel-node is neither beside this program nor in PATH");
	return EXIT_FAILED;
}

static const struct command *find(const char *noun, const char *verb)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i]->noun, noun) == 0 && strcmp(commands[i]->verb, verb) == 0)
			return commands[i];
	return NULL;
}

/* A copy of a secret argument; the argument itself is blanked out of the process list. */
static char *take_secret(char *argument)
{
	char *copy = strdup(argument);
	memset(argument, 'x', strlen(argument));
	return copy;
}

/* Reads the options. Returns -1 to go on, else an exit status. */
static int read_options(struct cli *cli, int argc, char **argv)
{
	struct option all[OPTIONS_MAX] = { 0 };
	size_t count = COMMON_COUNT;
	memcpy(all, common_options, sizeof common_options);
	for (const struct option *o = cli->command->options;
	     o && o->name && count < OPTIONS_MAX - 1; o++)
		all[count++] = *o;

	opterr = 0;
	for (;;) {
		int value = getopt_long(argc, argv, ":", all, NULL);
		int status = 0;
		if (value == -1)
			break;
		switch (value) {
		case OPTION_HUB_URL: cli->hub_url = strdup(optarg); break;
		case OPTION_API_KEY: cli->api_key = take_secret(optarg); break;
		case OPTION_JSON: cli->json = 1; break;
		case OPTION_HELP: help_command(cli->command); return EXIT_OK;
		case ':': return cli_usage_error(cli, "%s needs a value", argv[optind - 1]);
		case '?': return cli_usage_error(cli, "unknown option %s", argv[optind - 1]);
		default: status = cli->command->option(cli, value, optarg); break;
		}
		if (status != 0)
			return status;
	}
	if (optind < argc)
		return cli_usage_error(cli, "unexpected argument \"%s\"", argv[optind]);
	return -1;
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int first = 1;
	if (argc > 1 && strcmp(argv[1], "admin") == 0)
		first = 2;
	if (argc <= first) {
		char *alone[] = { argv[0], NULL };
		return serve(alone);
	}
	if (strcmp(argv[first], "serve") == 0)
		return serve(argv + first);
	if (argv[first][0] == '-') {
		program_flags(argc - first + 1, argv + first - 1, PROGRAM, help);
		return EXIT_USAGE;
	}
	const char *noun = argv[first], *verb = argc > first + 1 ? argv[first + 1] : "--help";
	cli.command = find(noun, verb);
	if (!cli.command) {
		if (strcmp(verb, "--help") == 0 && print_commands(noun) > 0)
			return EXIT_OK;
		complain(PROGRAM, "no command \"%s%s%s\"; see towonel --help", noun,
		         argc > first + 1 ? " " : "", argc > first + 1 ? verb : "");
		return EXIT_USAGE;
	}
	int status = read_options(&cli, argc - first - 1, argv + first + 1);
	if (status < 0)
		status = cli.command->run(&cli);
	free(cli.hub_url);
	if (cli.api_key)
		tow_wipe(cli.api_key, strlen(cli.api_key));
	free(cli.api_key);
	if (fflush(stdout) != 0 && status == 0) {
		complain(PROGRAM, "cannot write to standard output");
		status = EXIT_FAILED;
	}
	return status;
}
