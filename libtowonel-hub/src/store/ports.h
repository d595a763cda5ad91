/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_PORTS_H
#define TOWONEL_HUB_STORE_PORTS_H

/*
 * Public ports. One row per number that is somebody's: a service has it, or it is reserved for a
 * tenant, or both; so two claims to one number meet at the table's key, and a range is so many
 * rows that are changed by one statement. The number stays with its tenant until both have ended.
 */

#include "store/entry_ops.h"

/* A service claims its range, or changes it; it lets go of what it no longer wants. */
void tow__port_claim_check(struct tow__taking *s, const struct tow_entry *e);
void tow__port_claim_apply(struct tow__taking *s, const struct tow_entry *e);
void tow__port_claim_drop(struct tow__taking *s, const struct tow_entry *e);

/* A row. */
#define TOW__PORT_COLUMNS "protocol, port, tenant_id, service, access, reserved, label, claimed_ms"
void tow__port_read(const struct tow__db_rows *rows, struct tow__port *out);

/* Sets the fault that says whose it is. */
void tow__port_refuse(struct tow__store *store, const struct tow__port *taken,
                      const struct tow_id *asking, struct tow__fault *fault);

/* May anybody have these ports? Sets the fault and returns its kind if not. */
int tow__ports_allowed(const struct tow__store *store, enum tow_protocol protocol, uint16_t first,
                       uint16_t count, struct tow__fault *fault);

#endif
