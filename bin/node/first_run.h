/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_FIRST_RUN_H
#define TOWONEL_BIN_NODE_FIRST_RUN_H

#include "node/outside.h"
#include "node/settings.h"

/* What comes next, for who has just started a node for the first time: lines on stderr, each whole
 * by itself, since a journal shows them one by one; with a log of JSON, one more of its lines. */
void first_run_tell(const struct settings *settings, const struct outside *outside,
                    struct tow_log *log);

#endif
