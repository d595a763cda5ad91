/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_DOCTOR_NODE_H
#define TOWONEL_BIN_CLI_DOCTOR_NODE_H

#include "cli/doctor.h"
#include "node/outside.h"
#include "node/remote_hub.h"
#include "node/settings.h"

/* A node as its doctor sees it, and what is judged by what it says. */

struct node {
	struct doctor *doctor;
	struct settings settings;
	int has_http; /* its plain port was asked for */
	struct remote_hub remote;
	struct outside outside;
	struct tow_id id;
	char operator_key[256];
};

/* --- doctor_store.c --- */

/* The data directory, and the database's: room, and may it be written to? */
void doctor_judge_disk(struct doctor *doctor, const struct settings *settings);
/* Asks for the database's server, where there is one. */
void doctor_probe_database(const struct settings *settings, struct probe *probe);
/* status: what the hub says of itself; NULL: nothing. */
void doctor_judge_database(struct doctor *doctor, const struct settings *settings,
                           const struct probe *server, const json_t *status);

/* --- doctor_status.c --- */

/* Edges, tenants and their services, by the hub's /v1/status. */
void doctor_judge_status(struct doctor *doctor, const json_t *status);
/* By the edge's list. */
void doctor_judge_certificates(struct doctor *doctor, const json_t *list);
/* Does anything keep it right? */
void doctor_judge_own_clock(struct doctor *doctor);

#endif
