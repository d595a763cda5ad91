/* SPDX-License-Identifier: MIT */

/*
 * Many agents in one process: agents < LINES
 *
 * Each line is an invite token and a hostname. A visitor gets one byte and is kept until it goes.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <towonel/agent.h>

#define AGENTS_MAX 1024
#define EVENTS     64

struct crowd {
	struct tow_agent *agents[AGENTS_MAX];
	uint64_t count;
	int epoll_fd;
};

static int accept_visitor(void *user, const struct tow_agent_visitor *visitor, int fd)
{
	struct crowd *crowd = user;
	struct epoll_event event = { .events = EPOLLRDHUP, .data.u64 = AGENTS_MAX + (uint64_t)fd };

	(void)visitor;
	if (write(fd, "!", 1) != 1)
		return -1;
	return epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int add(struct crowd *crowd, char *line)
{
	char services[512], error[256];
	char *hostname = strchr(line, ' ');
	struct tow_agent_config config = {
		.invite_token = line,
		.services = services,
		.accept = accept_visitor,
		.accept_user = crowd,
	};
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = crowd->count };
	struct tow_agent **agent = &crowd->agents[crowd->count];

	if (!hostname || crowd->count == AGENTS_MAX)
		return -1;
	*hostname++ = '\0';
	hostname[strcspn(hostname, "\n")] = '\0';
	snprintf(services, sizeof services,
	         "[{\"hostname\":\"%s\",\"origin\":\"inproc:x\",\"proxy_protocol\":\"none\"}]",
	         hostname);
	if (tow_agent_new(&config, agent, error, sizeof error) != 0) {
		fprintf(stderr, "agents: %s\n", error);
		return -1;
	}
	crowd->count++;
	return epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, tow_agent_fd(*agent), &event);
}

static void turn(struct tow_agent *agent)
{
	struct tow_agent_event event;

	tow_agent_dispatch(agent);
	while (tow_agent_next_event(agent, &event))
		if (event.kind == TOW_AGENT_STOPPED || event.kind == TOW_AGENT_REFUSED)
			fprintf(stderr, "agents: %s\n", event.text ? event.text : "stopped");
}

static int wait_ms(const struct crowd *crowd)
{
	int least = -1;

	for (uint64_t i = 0; i < crowd->count; i++) {
		int ms = tow_agent_timeout_ms(crowd->agents[i]);
		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	return least;
}

static void run(struct crowd *crowd)
{
	struct epoll_event events[EVENTS];

	for (uint64_t i = 0; i < crowd->count; i++)
		turn(crowd->agents[i]);
	for (;;) {
		int n = epoll_wait(crowd->epoll_fd, events, EVENTS, wait_ms(crowd));
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 < AGENTS_MAX)
				turn(crowd->agents[events[i].data.u64]);
			else
				close((int)(events[i].data.u64 - AGENTS_MAX));
		}
		for (uint64_t i = 0; i < crowd->count; i++)
			if (tow_agent_timeout_ms(crowd->agents[i]) == 0)
				turn(crowd->agents[i]);
	}
}

int main(void)
{
	struct crowd *crowd = calloc(1, sizeof *crowd);
	struct rlimit files;
	char line[4096];

	if (!crowd || getrlimit(RLIMIT_NOFILE, &files) != 0)
		return 1;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	while (fgets(line, sizeof line, stdin))
		if (add(crowd, line) != 0)
			return 1;
	run(crowd);
	return 0;
}
