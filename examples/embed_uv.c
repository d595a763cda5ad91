/* SPDX-License-Identifier: MIT */
/*
 * An agent in a libuv loop: a poll handle for its descriptor, a timer for its time-out, and a
 * prepare handle that asks for the latter before each wait. The token is in TOWONEL_INVITE_TOKEN.
 *
 *     cc embed_uv.c $(pkg-config --cflags --libs libtowonel-agent libuv) -o embed_uv
 *     ./embed_uv '[{"hostname":"app.example.eu","origin":"127.0.0.1:8443"}]'
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <towonel/agent.h>
#include <uv.h>

static struct tow_agent *agent;
static uv_poll_t poll_handle;
static uv_timer_t timer;
static uv_prepare_t prepare;
static uv_signal_t sigint, sigterm;

static void close_handle(uv_handle_t *handle, void *user)
{
	(void)user;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void dispatch(void)
{
	struct tow_agent_event event;
	tow_agent_dispatch(agent);
	while (tow_agent_next_event(agent, &event) == 1) {
		if (event.kind == TOW_AGENT_SERVING)
			puts("serving");
		if (event.kind == TOW_AGENT_REFUSED)
			printf("refused: %s\n", event.text);
		if (event.kind == TOW_AGENT_STOPPED) {
			printf("stopped: %s\n", tow_agent_strerror(event.code));
			uv_walk(uv_default_loop(), close_handle, NULL); /* and uv_run ends */
		}
	}
	fflush(stdout);
}

static void readable(uv_poll_t *handle, int status, int events)
{
	(void)handle;
	(void)status;
	(void)events;
	dispatch();
}

static void timed_out(uv_timer_t *handle)
{
	(void)handle;
	dispatch();
}

static void before_wait(uv_prepare_t *handle)
{
	int timeout = tow_agent_timeout_ms(agent);
	(void)handle;
	if (timeout < 0)
		uv_timer_stop(&timer);
	else
		uv_timer_start(&timer, timed_out, (uint64_t)timeout, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
	tow_agent_drain(agent); /* a second one stops at once */
}

int main(int argc, char **argv)
{
	struct tow_agent_config config = {
		.invite_token = getenv("TOWONEL_INVITE_TOKEN"),
		.services = argc > 1 ? argv[1] : NULL,
	};
	uv_loop_t *loop = uv_default_loop();
	char error[256];

	signal(SIGPIPE, SIG_IGN);
	if (tow_agent_new(&config, &agent, error, sizeof error) != 0) {
		fprintf(stderr, "embed_uv: %s\n", error);
		return 2;
	}
	uv_poll_init(loop, &poll_handle, tow_agent_fd(agent));
	uv_poll_start(&poll_handle, UV_READABLE, readable);
	uv_timer_init(loop, &timer);
	uv_prepare_init(loop, &prepare);
	uv_prepare_start(&prepare, before_wait);
	uv_signal_init(loop, &sigint);
	uv_signal_start(&sigint, on_signal, SIGINT);
	uv_signal_init(loop, &sigterm);
	uv_signal_start(&sigterm, on_signal, SIGTERM);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	tow_agent_free(agent);
	return 0;
}
