/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <stdlib.h>
#include <string.h>

int tow__names_add(struct tow__names *names, struct tow_slice name)
{
	if (name.len >= TOW_HOSTNAME_SIZE)
		return TOW_ETOOBIG;
	if (names->count == names->cap) {
		size_t cap = names->cap ? names->cap * 2 : 4;
		char(*items)[TOW_HOSTNAME_SIZE] = reallocarray(names->items, cap, sizeof *items);
		if (!items)
			return TOW_ENOMEM;
		names->items = items;
		names->cap = cap;
	}
	if (name.len)
		memcpy(names->items[names->count], name.base, name.len);
	names->items[names->count++][name.len] = '\0';
	return 0;
}

int tow__names_have(const struct tow__names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (!strcmp(names->items[i], name))
			return 1;
	return 0;
}

void tow__names_deinit(struct tow__names *names)
{
	free(names->items);
	memset(names, 0, sizeof *names);
}
