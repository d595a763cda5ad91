/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_WATCH_H
#define TOWONEL_HUB_WATCH_H

/*
 * Looks after the store: does it answer, does it take writes again after it did not, and what has
 * expired. The hub's readiness is what it found last.
 */

#include "fault.h"
#include "store/db.h"

struct tow_hub;
struct tow__watch;

int tow__watch_new(struct tow_hub *hub); /* 0, TOW_ENOMEM */
void tow__watch_start(struct tow_hub *hub);
/* Looks at once: something has happened to the store. */
void tow__watch_look(struct tow_hub *hub);
void tow__watch_stop(struct tow_hub *hub);
void tow__watch_free(struct tow_hub *hub); /* no job is under way */
/* How a job of the API went. */
void tow__watch_result(struct tow_hub *hub, enum tow__db_access access, enum tow__fault_kind kind);

#endif
