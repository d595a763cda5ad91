/* SPDX-License-Identifier: MIT */
/*
 * A program that is its own origin, and listens nowhere: the agent runs in a thread of its own, and
 * each visitor gets another one, which greets it by its address and sends back what it says. The
 * token is in TOWONEL_INVITE_TOKEN.
 *
 *     cc embed_inproc.c $(pkg-config --cflags --libs libtowonel-agent) -lpthread -o embed_inproc
 *     ./embed_inproc 7777
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/agent.h>

struct visit {
	int fd;
	char address[64];
};

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static void *serve(void *user)
{
	struct visit *visit = user;
	char bytes[4096];
	int len = snprintf(bytes, sizeof bytes, "hello %s\n", visit->address);
	ssize_t n = len;
	while (n > 0 && write_all(visit->fd, bytes, (size_t)n) == 0)
		n = read(visit->fd, bytes, sizeof bytes);
	close(visit->fd);
	free(visit);
	return NULL;
}

/* On the agent's thread: it must not block here. */
static int take(void *user, const struct tow_agent_visitor *visitor, int fd)
{
	struct visit *visit;
	pthread_t thread;
	(void)user;
	if (strcmp(visitor->origin, "greeter") != 0)
		return -1;
	visit = malloc(sizeof *visit);
	if (!visit)
		return -1;
	visit->fd = fd;
	snprintf(visit->address, sizeof visit->address, "%s", visitor->address);
	if (pthread_create(&thread, NULL, serve, visit) != 0) {
		free(visit);
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

static void on_event(void *user, const struct tow_agent_event *event)
{
	(void)user;
	if (event->kind == TOW_AGENT_SERVING)
		puts("serving");
	if (event->kind == TOW_AGENT_REFUSED)
		printf("refused: %s\n", event->text);
	fflush(stdout);
}

static void *run(void *user)
{
	tow_agent_run(user, on_event, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	char services[256], error[256];
	struct tow_agent_config config = {
		.invite_token = getenv("TOWONEL_INVITE_TOKEN"),
		.tcp_services = services,
		.accept = take,
	};
	struct tow_agent *agent;
	pthread_t thread;
	sigset_t set;
	int number;

	if (argc != 2) {
		fprintf(stderr, "usage: embed_inproc PUBLIC-PORT\n");
		return 2;
	}
	snprintf(services, sizeof services,
	         "[{\"name\":\"greeter\",\"origin\":\"inproc:greeter\",\"listen_port\":%d}]",
	         (int)strtol(argv[1], NULL, 10));
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* for all threads: sigwait takes them */

	if (tow_agent_new(&config, &agent, error, sizeof error) != 0) {
		fprintf(stderr, "embed_inproc: %s\n", error);
		return 2;
	}
	if (pthread_create(&thread, NULL, run, agent) != 0) {
		tow_agent_free(agent);
		return 1;
	}
	sigwait(&set, &number);
	tow_agent_stop(agent); /* may be called from any thread */
	pthread_join(thread, NULL);
	tow_agent_free(agent);
	return 0;
}
