/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_ENTRY_OPS_H
#define TOWONEL_HUB_STORE_ENTRY_OPS_H

/* What each operation of an entry asks for, and what follows from it. */

#include "store/private.h"

/* Entries being taken, within a transaction. */
struct tow__taking {
	struct tow__store *store;
	uint64_t now_ms;
	struct tow__fault *fault;
};

struct tow__entry_op {
	/* May it be? Sets the fault if not. NULL: always. */
	void (*check)(struct tow__taking *s, const struct tow_entry *e);
	/* Makes it so, and notes what changed of the routes. */
	void (*apply)(struct tow__taking *s, const struct tow_entry *e);
};
extern const struct tow__entry_op tow__entry_ops[]; /* by enum tow_entry_op */

/* What an entry is about, for people: "app.example.eu terminate", "ssh 2222". */
void tow__entry_subject(const struct tow_entry *e, char *out, size_t cap);

#endif
