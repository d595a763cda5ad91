/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_PRIVATE_H
#define TOW_EDGE_PRIVATE_H

#include <towonel/edge.h>
#include "timing.h"

/* As tow_edge_new, with other times than the usual ones: tests are in a hurry. */
int tow__edge_new_timed(const struct tow_edge_config *config, const struct timing *timing,
                        struct tow_edge **out, struct tow_error *err);

#endif
