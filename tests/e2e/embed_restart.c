/* SPDX-License-Identifier: MIT */
/*
 * Starts and stops an agent many times in one process, in order and by tow_agent_free in the middle
 * of everything; says how many descriptors there are after each. The token is in
 * TOWONEL_INVITE_TOKEN.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/agent.h>

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;
	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

struct stop {
	struct tow_agent *agent;
	int served;
};

static void on_event(void *user, const struct tow_agent_event *event)
{
	struct stop *stop = user;
	if (event->kind == TOW_AGENT_SERVING) {
		stop->served = 1;
		tow_agent_stop(stop->agent);
	}
}

static struct tow_agent *make(const char *services)
{
	struct tow_agent_config config = {
		.invite_token = getenv("TOWONEL_INVITE_TOKEN"),
		.services = services,
		.health_listen = "127.0.0.1:0",
	};
	struct tow_agent *agent;
	char error[256];
	if (tow_agent_new(&config, &agent, error, sizeof error) != 0) {
		fprintf(stderr, "embed_restart: %s\n", error);
		exit(2);
	}
	return agent;
}

int main(int argc, char **argv)
{
	int times = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < times; i++) {
		struct stop stop = { .agent = make(argv[1]) };
		int code = tow_agent_run(stop.agent, on_event, &stop);
		tow_agent_free(stop.agent);
		if (code != 0 || !stop.served)
			return 1;
		/* And one that is freed at some point on its way up. */
		stop.agent = make(argv[1]);
		for (int turn = 0; turn < i; turn++)
			tow_agent_dispatch(stop.agent);
		tow_agent_free(stop.agent);
		printf("%d\n", descriptors());
	}
	return 0;
}
