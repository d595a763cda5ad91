/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_NAMES_H
#define TOWONEL_HUB_NAMES_H

/* A list of hostname patterns. All-zero is valid and empty. */

#include <towonel/wire/hostname.h>

struct tow__names {
	char (*items)[TOW_HOSTNAME_SIZE];
	size_t count, cap;
};

int tow__names_add(struct tow__names *names,
                   struct tow_slice name); /* 0, TOW_ENOMEM, TOW_ETOOBIG */
int tow__names_have(const struct tow__names *names, const char *name);
void tow__names_deinit(struct tow__names *names);

#endif
