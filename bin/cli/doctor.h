/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_DOCTOR_H
#define TOWONEL_BIN_CLI_DOCTOR_H

#include "cli/cli.h"
#include "cli/doctor_probe.h"
#include "cli/env_file.h"

/*
 * towonel doctor: a check asks the world (doctor_probe.h) and says what it found, one finding a
 * thing, and what to do about one that is not well.
 */

enum verdict {
	WELL,
	DOUBTFUL, /* it may be meant so */
	ILL,
};

struct doctor {
	struct cli *cli;
	struct env *env;
	const char *side; /* "node" or "agent" */
	json_t *findings; /* [{side, check, verdict, text, fix}] */
	size_t count[ILL + 1];
};

/* fix: what to do, in one line; NULL for what is well. */
void doctor_find(struct doctor *doctor, enum verdict verdict, const char *check, const char *fix,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The two sides. Each reads its settings from doctor->env. */
void doctor_node(struct doctor *doctor);
void doctor_agent(struct doctor *doctor);

/* --- what both sides look at: doctor_common.c --- */

/* A hub's answer to /v1/health: is it there, is it the one that it should be, of what version? */
int doctor_judge_hub(struct doctor *doctor, const struct probe *health, const char *fix);
/* ... and by its time: is this machine's clock right? */
void doctor_judge_clock(struct doctor *doctor, const struct probe *health);
/* Descriptors that a program has open, by its metrics. */
void doctor_judge_descriptors(struct doctor *doctor, const struct probe *metrics,
                              const char *program);
/* A number of Prometheus' text. Returns 0, or -1 when it is not there. */
int doctor_metric(const struct probe *metrics, const char *name, double *value);

/* Edges, as the hub lists them: [{node_id, name?, addresses, live?}]. Asks where they are, and a
 * QUIC handshake of each address. */
struct doctor_edges {
	struct tow_addr *addrs; /* all that names of theirs lead to */
	size_t count;
};
void doctor_judge_edges(struct doctor *doctor, const json_t *edges, struct doctor_edges *out);
void doctor_edges_deinit(struct doctor_edges *edges);
/* Do the hostnames (an array of them, wildcards too) lead to an edge? */
void doctor_judge_names(struct doctor *doctor, const json_t *hostnames,
                        const struct doctor_edges *edges);

#endif
