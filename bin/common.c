/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void complain(const char *name, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "%s: ", name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void name_variable(char *text, size_t cap, const struct member *members, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(members[i].member);
		if (strncmp(text, members[i].member, len) == 0 && text[len] == ':') {
			char *rest = strdup(text + len);
			if (rest)
				snprintf(text, cap, "%s%s", members[i].variable, rest);
			free(rest);
			return;
		}
	}
}

void program_flags(int argc, char **argv, const char *name, void (*help)(void))
{
	if (argc < 2)
		return;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help();
		exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("%s %s\n", name, TOW_VERSION);
		exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
	}
	complain(name, "unexpected argument \"%s\"; settings come from the environment, see --help",
	         argv[1]);
	exit(EXIT_USAGE);
}

void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
