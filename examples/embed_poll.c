/* SPDX-License-Identifier: MIT */
/*
 * Agents in a loop of one's own: here poll(2), which also waits for signals. Each agent is a
 * descriptor to poll for reading and a time-out; there may be as many as one likes.
 *
 *     cc embed_poll.c $(pkg-config --cflags --libs libtowonel-agent) -o embed_poll
 *     ./embed_poll TOKEN-FILE SERVICES [TOKEN-FILE SERVICES]...
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <towonel/agent.h>

#define AGENTS_MAX 8

static struct tow_agent *start(const char *token_file, const char *services)
{
	struct tow_agent_config config = { .services = services, .drain_ms = 5000 };
	struct tow_agent *agent = NULL;
	char token[4096] = "", error[256];
	FILE *file = fopen(token_file, "r");

	if (!file || !fgets(token, sizeof token, file)) {
		fprintf(stderr, "embed_poll: cannot read %s\n", token_file);
	} else {
		config.invite_token = token;
		if (tow_agent_new(&config, &agent, error, sizeof error) != 0)
			fprintf(stderr, "embed_poll: %s\n", error);
	}
	if (file)
		fclose(file);
	return agent;
}

/* Returns 1 once the agent has stopped. */
static int take_events(int number, struct tow_agent *agent)
{
	struct tow_agent_event event;
	int stopped = 0;
	while (tow_agent_next_event(agent, &event) == 1) {
		if (event.kind == TOW_AGENT_SERVING)
			printf("agent %d is serving\n", number);
		if (event.kind == TOW_AGENT_REFUSED)
			printf("agent %d is refused: %s\n", number, event.text);
		if (event.kind == TOW_AGENT_STOPPED) {
			printf("agent %d has stopped: %s\n", number,
			       tow_agent_strerror(event.code));
			stopped = 1;
		}
	}
	fflush(stdout);
	return stopped;
}

int main(int argc, char **argv)
{
	struct tow_agent *agents[AGENTS_MAX] = { NULL };
	struct pollfd fds[AGENTS_MAX + 1];
	int count = (argc - 1) / 2, running, status = 0;
	sigset_t set;

	if (count < 1 || count > AGENTS_MAX || argc % 2 == 0) {
		fprintf(stderr, "usage: embed_poll TOKEN-FILE SERVICES [TOKEN-FILE SERVICES]...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Before the first agent, whose helper threads inherit the mask. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	fds[count] = (struct pollfd){ .fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN };

	for (int i = 0; i < count && status == 0; i++) {
		agents[i] = start(argv[1 + 2 * i], argv[2 + 2 * i]);
		if (!agents[i])
			status = 2;
	}
	running = status == 0 ? count : 0;
	while (running > 0) {
		int timeout = -1;
		for (int i = 0; i < count; i++) {
			fds[i] = (struct pollfd){ .fd = -1 };
			if (!agents[i])
				continue;
			int own = tow_agent_timeout_ms(agents[i]);
			if (own >= 0 && (timeout < 0 || own < timeout))
				timeout = own;
			fds[i].fd = tow_agent_fd(agents[i]);
			fds[i].events = POLLIN;
		}
		poll(fds, (nfds_t)count + 1, timeout);
		if (fds[count].revents) {
			struct signalfd_siginfo info;
			if (read(fds[count].fd, &info, sizeof info) < 0)
				perror("embed_poll");
			for (int i = 0; i < count; i++)
				if (agents[i])
					tow_agent_drain(agents[i]);
		}
		for (int i = 0; i < count; i++) {
			if (!agents[i])
				continue;
			tow_agent_dispatch(agents[i]); /* cheap when there is nothing to do */
			if (take_events(i, agents[i])) {
				tow_agent_free(agents[i]);
				agents[i] = NULL;
				running--;
			}
		}
	}
	for (int i = 0; i < count; i++)
		tow_agent_free(agents[i]);
	close(fds[count].fd);
	return status;
}
