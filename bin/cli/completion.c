/* SPDX-License-Identifier: MIT */
/*
 * Completion for three shells, made of the table of commands, so that it cannot know others than
 * the program. Each script looks at the words before the cursor: the value of an option comes
 * first, then the noun, the verb, and the options of the command.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "common.h"

/* What an option's value may be. */
enum kind { NO_VALUE, FREE, FILE_NAME, WORDS };

static const struct {
	const char *option;
	enum kind kind;
	const char *const *words;
} values[] = {
	{ "protocol", WORDS, (const char *const[]){ "tcp", "udp", NULL } },
	{ "mode", WORDS, (const char *const[]){ "passthrough", "terminate", NULL } },
	{ "op", WORDS, cli_entry_ops },
	{ "expires", WORDS, (const char *const[]){ "48h", "7d", "never", NULL } },
	{ "key-path", FILE_NAME, NULL },
	{ "backup", FILE_NAME, NULL },
	{ "passphrase-file", FILE_NAME, NULL },
	{ "env-file", FILE_NAME, NULL },
};
#define VALUE_COUNT (sizeof values / sizeof *values)

static enum kind kind_of(const struct option *option, const char *const **words)
{
	if (option->has_arg == no_argument)
		return NO_VALUE;
	for (size_t i = 0; i < VALUE_COUNT; i++) {
		if (strcmp(values[i].option, option->name) != 0)
			continue;
		*words = values[i].words;
		return values[i].kind;
	}
	return FREE;
}

static void print_words(const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		printf("%s%s", i ? " " : "", words[i]);
}

/* In single quotes, for any of the shells. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++)
		printf(*text == '\'' ? "'\\''" : "%c", *text);
	putchar('\'');
}

/* Is the command the first one of its noun? */
static int is_first(size_t index)
{
	return index == 0 || strcmp(cli_commands[index]->noun, cli_commands[index - 1]->noun) != 0;
}

/* Is this the first command that has the option? */
static int is_first_use(size_t index, const char *name)
{
	struct option all[CLI_OPTIONS_MAX + 1];
	for (size_t i = 0; i < index; i++) {
		size_t count = cli_options(cli_commands[i], all);
		for (size_t k = 0; k < count; k++)
			if (strcmp(all[k].name, name) == 0)
				return 0;
	}
	return 1;
}

/* Calls print for each option that takes a value, once. */
static void each_value(void (*print)(const struct option *option, enum kind kind,
                                     const char *const *words))
{
	struct option all[CLI_OPTIONS_MAX + 1];
	for (size_t i = 0; i < cli_command_count; i++) {
		size_t count = cli_options(cli_commands[i], all);
		for (size_t k = 0; k < count; k++) {
			const char *const *words = NULL;
			enum kind kind = kind_of(&all[k], &words);
			if (kind != NO_VALUE && is_first_use(i, all[k].name))
				print(&all[k], kind, words);
		}
	}
}

static void print_options(const struct command *command)
{
	struct option all[CLI_OPTIONS_MAX + 1];
	size_t count = cli_options(command, all);
	for (size_t i = 0; i < count; i++)
		printf("%s--%s", i ? " " : "", all[i].name);
}

static void print_nouns(const char *separator)
{
	for (size_t i = 0; i < cli_command_count; i++)
		if (is_first(i))
			printf("%s%s", cli_commands[i]->noun, separator);
}

/* --- bash --- */

static void bash_value(const struct option *option, enum kind kind, const char *const *words)
{
	printf("\t--%s) ", option->name);
	if (kind == WORDS) {
		printf("words='");
		print_words(words);
		printf("' ;;\n");
	} else if (kind == FILE_NAME) {
		printf("compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "
		       "\"$cur\"); return ;;\n");
	} else {
		printf("return ;;\n");
	}
}

static int run_bash(struct cli *cli)
{
	(void)cli;
	printf("# bash completion for towonel, made by: towonel completion bash\n"
	       "_towonel() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i=1 at "
	       "words=\n"
	       "\tCOMPREPLY=()\n"
	       "\t# --option=value comes in three words\n"
	       "\tif [ \"$cur\" = = ]; then cur=\n"
	       "\telif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
	       "\tcase $prev in\n");
	each_value(bash_value);
	printf("\tesac\n"
	       "\tif [ -z \"$words\" ]; then\n"
	       "\t\t[ \"${COMP_WORDS[1]}\" = admin ] && [ \"$COMP_CWORD\" -gt 1 ] && i=2\n"
	       "\t\tat=\"${COMP_WORDS[*]:i:COMP_CWORD - i}\"\n"
	       "\t\tcase \"$at \" in\n"
	       "\t\t' ') words='");
	print_nouns(" ");
	printf("serve admin --help --version' ;;\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct command *command = cli_commands[i];
		if (is_first(i) && command->verb) {
			printf("\t\t'%s ') words='", command->noun);
			for (size_t k = i; k == i || (k < cli_command_count && !is_first(k)); k++)
				printf("%s ", cli_commands[k]->verb);
			printf("--help' ;;\n");
		}
		printf("\t\t'%s%s%s '*) words='", command->noun, command->verb ? " " : "",
		       command->verb ? command->verb : "");
		print_options(command);
		printf("' ;;\n");
	}
	printf("\t\tesac\n"
	       "\tfi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	       "}\n"
	       "complete -F _towonel towonel\n");
	return 0;
}

/* --- zsh --- */

static void zsh_value(const struct option *option, enum kind kind, const char *const *words)
{
	printf("\t--%s) ", option->name);
	if (kind == WORDS) {
		printf("compadd -- ");
		print_words(words);
		printf("; return ;;\n");
	} else {
		printf("%sreturn ;;\n", kind == FILE_NAME ? "_files; " : "");
	}
}

static int run_zsh(struct cli *cli)
{
	(void)cli;
	printf("#compdef towonel\n"
	       "# zsh completion for towonel, made by: towonel completion zsh\n"
	       "_towonel() {\n"
	       "\tlocal i=2 at\n"
	       "\tlocal -a items\n"
	       "\tcase $words[CURRENT-1] in\n");
	each_value(zsh_value);
	printf("\tesac\n"
	       "\t(( CURRENT > 2 )) && [[ $words[2] == admin ]] && i=3\n"
	       "\tat=\"${words[i,CURRENT-1]}\"\n"
	       "\tcase \"$at \" in\n"
	       "\t' ') compadd -- ");
	print_nouns(" ");
	printf("serve admin --help --version ;;\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct command *command = cli_commands[i];
		if (is_first(i) && command->verb) {
			printf("\t'%s ')\n\t\titems=(", command->noun);
			for (size_t k = i; k == i || (k < cli_command_count && !is_first(k)); k++) {
				printf("\n\t\t\t%s:", cli_commands[k]->verb);
				print_quoted(cli_commands[k]->summary);
			}
			printf("\n\t\t)\n\t\t_describe command items ;;\n");
		}
		printf("\t'%s%s%s '*) compadd -- ", command->noun, command->verb ? " " : "",
		       command->verb ? command->verb : "");
		print_options(command);
		printf(" ;;\n");
	}
	printf("\tesac\n"
	       "}\n"
	       "# loaded as a function, or read by source or eval\n"
	       "if [[ $funcstack[1] == _towonel ]]; then _towonel \"$@\"; else compdef _towonel "
	       "towonel; fi\n");
	return 0;
}

/* --- fish --- */

static void fish_options(const struct command *command)
{
	struct option all[CLI_OPTIONS_MAX + 1];
	size_t count = cli_options(command, all);
	for (size_t i = 0; i < count; i++) {
		const char *const *words = NULL;
		enum kind kind = kind_of(&all[i], &words);
		printf("complete -c towonel -n '__towonel_in %s%s%s' -l %s", command->noun,
		       command->verb ? " " : "", command->verb ? command->verb : "", all[i].name);
		if (kind == WORDS) {
			printf(" -xa '");
			print_words(words);
			printf("'");
		} else {
			printf("%s", kind == FILE_NAME ? " -rF" : kind == FREE ? " -x" : "");
		}
		putchar('\n');
	}
}

static int run_fish(struct cli *cli)
{
	(void)cli;
	printf("# fish completion for towonel, made by: towonel completion fish\n"
	       "function __towonel_words\n"
	       "\tset -l words (commandline -opc)\n"
	       "\tset -e words[1]\n"
	       "\ttest \"$words[1]\" = admin; and set -e words[1]\n"
	       "\tstring join -- \\n $words\n"
	       "end\n"
	       "function __towonel_is\n"
	       "\tset -l words (__towonel_words)\n"
	       "\ttest \"$words\" = \"$argv\"\n"
	       "end\n"
	       "function __towonel_in\n"
	       "\tset -l words (__towonel_words)\n"
	       "\tset -l n (count $argv)\n"
	       "\ttest (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\n"
	       "end\n"
	       "complete -c towonel -f\n"
	       "complete -c towonel -n __towonel_is -l help\n"
	       "complete -c towonel -n __towonel_is -l version\n"
	       "complete -c towonel -n __towonel_is -a 'serve admin'\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct command *command = cli_commands[i];
		if (is_first(i))
			printf("complete -c towonel -n __towonel_is -a %s\n", command->noun);
		if (command->verb) {
			printf("complete -c towonel -n '__towonel_is %s' -a %s -d ", command->noun,
			       command->verb);
			print_quoted(command->summary);
			putchar('\n');
		}
		fish_options(command);
	}
	return 0;
}

/* --- the commands --- */

const struct command completion_bash = {
	.noun = "completion",
	.verb = "bash",
	.arguments = "",
	.summary = "print the completion for bash",
	.details = "For this shell alone: eval \"$(towonel completion bash)\"\n",
	.run = run_bash,
};

const struct command completion_zsh = {
	.noun = "completion",
	.verb = "zsh",
	.arguments = "",
	.summary = "print the completion for zsh",
	.details = "For this shell alone: eval \"$(towonel completion zsh)\"\n",
	.run = run_zsh,
};

const struct command completion_fish = {
	.noun = "completion",
	.verb = "fish",
	.arguments = "",
	.summary = "print the completion for fish",
	.details = "For this shell alone: towonel completion fish | source\n",
	.run = run_fish,
};
