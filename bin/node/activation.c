/* SPDX-License-Identifier: MIT */
#include "node/activation.h"

struct tow_inherited *activation_take(struct tow_loop *loop)
{
	struct tow_inherited *set = tow_inherited_new();
	if (set && tow_inherited_add_activated(set) == 0) {
		tow_inherited_free(set);
		set = NULL;
	}
	tow_loop_set_inherited(loop, set);
	return set;
}

void activation_check(struct tow_inherited *set, struct tow_log *log)
{
	struct tow_addr addr;
	for (size_t i = 0; set && i < tow_inherited_left(set); i++) {
		tow_inherited_addr(set, i, &addr);
		tow_log_warn(log, "the service manager listens on an address that no setting has",
		             tow_f_addr("address", &addr));
	}
}
