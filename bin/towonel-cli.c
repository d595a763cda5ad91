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
		case OPTION_HUB_URL:
			free(cli->hub_url);
			cli->hub_url = strdup(optarg);
			break;
		case OPTION_API_KEY:
			free(cli->api_key);
			cli->api_key = take_secret(optarg);
			break;
		case OPTION_JSON: cli->json = 1; break;
		case OPTION_HELP: help_command(cli->command); return EXIT_OK;
		case ':': return cli_usage_error(cli, "%s needs a value", argv[optind - 1]);
		case '?':
			if (optopt > 0 && optopt < 128)
				return cli_usage_error(cli, "unknown option -%c", optopt);
			return cli_usage_error(cli, "unknown option %s", argv[optind - 1]);
		default: status = cli->command->option(cli, value, optarg); break;
		}
		if (status != 0)
			return status;
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

/* words: what stands behind the program's name and "admin". */
static int run(int count, char **words)
{
	struct cli cli = { 0 };
	const char *noun = words[0], *verb = count > 1 ? words[1] : NULL;
	if (noun[0] == '-')
		return run_flag(noun);
	if (verb && (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) &&
	    print_commands(noun) > 0)
		return EXIT_OK;
	cli.command = verb ? find(noun, verb) : NULL;
	if (!cli.command) {
		complain(PROGRAM, "there is no command \"%s%s%s\"; see towonel --help", noun,
		         verb ? " " : "", verb ? verb : "");
		return EXIT_USAGE;
	}
	int status = read_options(&cli, count - 1, words + 1);
	if (status < 0)
		status = cli.command->run(&cli);
	free(cli.hub_url);
	if (cli.api_key)
		tow_wipe(cli.api_key, strlen(cli.api_key));
	free(cli.api_key);
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
