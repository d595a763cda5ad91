/* SPDX-License-Identifier: MIT */
/*
 * The shortest agent: one call blocks until it has stopped. The token is in TOWONEL_INVITE_TOKEN.
 *
 *     cc embed_run.c $(pkg-config --cflags --libs libtowonel-agent) -o embed_run
 *     ./embed_run '[{"hostname":"app.example.eu","origin":"127.0.0.1:8443"}]'
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <towonel/agent.h>

static struct tow_agent *agent;

static void on_signal(int number)
{
	(void)number;
	tow_agent_stop(agent); /* may be called from here */
}

static void on_event(void *user, const struct tow_agent_event *event)
{
	(void)user;
	switch (event->kind) {
	case TOW_AGENT_SERVING: puts("serving"); break;
	case TOW_AGENT_NOT_SERVING: puts("not serving"); break;
	case TOW_AGENT_CONNECTED: printf("connected to %s\n", event->edge_address); break;
	case TOW_AGENT_LOST: printf("lost %s: %s\n", event->edge_address, event->text); break;
	case TOW_AGENT_REFUSED:
		printf("refused %s: %s\n", event->service ? event->service : "the agent",
		       event->text);
		break;
	case TOW_AGENT_STOPPED: printf("stopped: %s\n", tow_agent_strerror(event->code)); break;
	case TOW_AGENT_REGISTERED:
	case TOW_AGENT_SUPERSEDED:
	case TOW_AGENT_WOKEN: break;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct tow_agent_config config = {
		.invite_token = getenv("TOWONEL_INVITE_TOKEN"),
		.services = argc > 1 ? argv[1] : NULL,
		.tcp_services = argc > 2 ? argv[2] : NULL,
	};
	char error[256];
	int code;

	if (tow_agent_new(&config, &agent, error, sizeof error) != 0) {
		fprintf(stderr, "embed_run: %s\n", error);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	code = tow_agent_run(agent, on_event, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	tow_agent_free(agent);
	return code == 0 ? 0 : 1;
}
