/* SPDX-License-Identifier: MIT */
/* What is wrong, and what to do about it: of a node, of an agent, or of both where both are. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

#define INVITE_TOKEN "/etc/towonel/invite_token" /* where the agent's unit has it */

static const char *const verdicts[] = { "ok", "warning", "problem" };

void doctor_find(struct doctor *doctor, enum verdict verdict, const char *check, const char *fix,
                 const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	doctor->count[verdict]++;
	json_array_append_new(doctor->findings,
	                      json_pack("{s:s, s:s, s:s, s:s, s:s?}", "side", doctor->side, "check",
	                                check, "verdict", verdicts[verdict], "text", text, "fix",
	                                fix));
}

/* --- which sides are here --- */

static int node_is_here(const struct doctor *doctor)
{
	const char *data_dir = env_get(doctor->env, "TOWONEL_DATA_DIR");
	char path[4096];
	snprintf(path, sizeof path, "%s/node.key", data_dir ? data_dir : ".");
	return env_get(doctor->env, "TOWONEL_EDGE_INVITE_TOKEN") || access(path, F_OK) == 0 ||
	       (!data_dir && access(DATA_DIR_SYSTEM "/node.key", F_OK) == 0);
}

static int agent_is_here(const struct doctor *doctor)
{
	return doctor->cli->token || env_get(doctor->env, "TOWONEL_INVITE_TOKEN");
}

static const struct side {
	const char *name;
	int option;
	const char *env_file; /* where the unit has its settings */
	int (*is_here)(const struct doctor *doctor);
	void (*look)(struct doctor *doctor);
} sides[] = {
	{ "node", 'n', "/etc/towonel/node.env", node_is_here, doctor_node },
	{ "agent", 'a', "/etc/towonel/agent.env", agent_is_here, doctor_agent },
};
#define SIDES (sizeof sides / sizeof *sides)

/* What is asked goes the way that the service's own requests go. */
static void use_proxies(const struct env *env)
{
	static const char *const names[] = { "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = env_get(env, names[i]);
		if (value)
			setenv(names[i], value, 0);
	}
}

static int look_at(struct doctor *doctor, const struct side *side, int wanted)
{
	const char *given = doctor->cli->given['f'];
	const char *path = given ? given : side->env_file;
	struct env env;
	struct tow_error err = { 0 };
	int rc = 0;
	env_init(&env);
	if (given || access(path, F_OK) == 0)
		rc = env_add_file(&env, path, &err);
	if (access(INVITE_TOKEN, R_OK) == 0)
		env_add(&env, "TOWONEL_INVITE_TOKEN", "@" INVITE_TOKEN);
	doctor->side = side->name;
	doctor->env = &env;
	int looked = wanted || side->is_here(doctor);
	if (looked && rc != 0)
		doctor_find(doctor, ILL, "settings",
		            "run this as root, or name the file with --env-file", "%s", err.text);
	if (looked) {
		use_proxies(&env);
		side->look(doctor);
	}
	env_deinit(&env);
	return looked;
}

/* --- what is said --- */

static void print_findings(const struct doctor *doctor)
{
	const char *side = "";
	size_t index;
	json_t *finding;
	json_array_foreach(doctor->findings, index, finding)
	{
		const char *fix = cli_text(finding, "fix");
		if (strcmp(cli_text(finding, "side"), side) != 0) {
			side = cli_text(finding, "side");
			printf("%sThe %s\n", index ? "\n" : "", side);
		}
		printf("  %-8s %-12s %s\n", cli_text(finding, "verdict"),
		       cli_text(finding, "check"), cli_text(finding, "text"));
		if (*fix)
			printf("  %-8s %-12s -> %s\n", "", "", fix);
	}
	printf("\nProblems: %zu. Warnings: %zu. Well: %zu.\n", doctor->count[ILL],
	       doctor->count[DOUBTFUL], doctor->count[WELL]);
}

static int print_document(const struct doctor *doctor)
{
	json_t *document =
		json_pack("{s:b, s:I, s:I, s:O}", "well", doctor->count[ILL] == 0, "problems",
	                  (json_int_t)doctor->count[ILL], "warnings",
	                  (json_int_t)doctor->count[DOUBTFUL], "findings", doctor->findings);
	int status = cli_print_json(document);
	json_decref(document);
	return status;
}

static int run_doctor(struct cli *cli)
{
	struct doctor doctor = { .cli = cli, .findings = json_array() };
	int chosen = cli->given['n'] || cli->given['a'], looked = 0, status = 0;
	for (size_t i = 0; i < SIDES; i++)
		if (!chosen || cli->given[sides[i].option])
			looked += look_at(&doctor, &sides[i], chosen);
	if (!looked) {
		json_decref(doctor.findings);
		return cli_usage_error(cli, "no node is here (TOWONEL_DATA_DIR, " DATA_DIR_SYSTEM
		                            "), and no agent's token (TOWONEL_INVITE_TOKEN, "
		                            "--token, " INVITE_TOKEN ")");
	}
	if (cli->json)
		status = print_document(&doctor);
	else
		print_findings(&doctor);
	json_decref(doctor.findings);
	return status == 0 && doctor.count[ILL] > 0 ? EXIT_FAILED : status;
}

static const struct option doctor_options[] = {
	{ "node", no_argument, NULL, 'n' },
	{ "agent", no_argument, NULL, 'a' },
	{ "env-file", required_argument, NULL, 'f' },
	{ NULL, 0, NULL, 0 },
};

const struct command doctor_all = {
	.noun = "doctor",
	.arguments = "[--node] [--agent] [--env-file FILE]",
	.summary = "find out what is wrong, on a node's or an agent's machine, and what to do",
	.details =
		"  --node             look at the node, --agent: at the agent; default: at what is "
		"here\n"
		"  --env-file FILE    settings beside those in the environment; default:\n"
		"                     /etc/towonel/node.env and agent.env, where they are\n"
		"\n"
		"Looks at settings, data directory, database, hub, ports, the way of UDP to each "
		"edge and how\n"
		"large its packets may be, DNS of every hostname, origins, certificates, clock, "
		"descriptors,\n"
		"and when edges and agents were heard of last. It changes nothing.\n"
		"\n"
		"Exit status 0: no problem (there may be warnings); 1: problems.\n",
	.options = doctor_options,
	.who = CLI_OPERATOR | CLI_TOKEN,
	.run = run_doctor,
};
