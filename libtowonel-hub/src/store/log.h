/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_LOG_H
#define TOWONEL_HUB_STORE_LOG_H

/*
 * The log of a tenant's entries. What an agent says to go on living replaces what it said before at
 * once; of everything else all is kept until the log is much longer than what it comes to, and then
 * what later entries have made void goes. What went leaves its mark (pruned_sequence), so that
 * nobody can send it a second time.
 */

#include "store/private.h"

/* All within a transaction. */
void tow__log_append(struct tow__store *store, const struct tow_entry *entry, struct tow_slice jws,
                     uint64_t now_ms, struct tow__fault *fault);
/* After a batch. */
void tow__log_compact(struct tow__store *store, const struct tow_id *tenant);
/* Forgets what was said about agents that have expired. */
void tow__log_sweep(struct tow__store *store, uint64_t now_ms);

#endif
