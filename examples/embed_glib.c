/* SPDX-License-Identifier: MIT */
/*
 * An agent in GLib's main loop, as a GSource: prepare tells how long to wait, check whether there
 * is something to do, dispatch does it. The token is in TOWONEL_INVITE_TOKEN.
 *
 *     cc embed_glib.c $(pkg-config --cflags --libs libtowonel-agent glib-2.0) -o embed_glib
 *     ./embed_glib '[{"hostname":"app.example.eu","origin":"127.0.0.1:8443"}]'
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <glib-unix.h>
#include <glib.h>
#include <towonel/agent.h>

struct agent_source {
	GSource base;
	struct tow_agent *agent;
	gpointer tag; /* of the descriptor */
	GMainLoop *loop;
};

static gboolean source_prepare(GSource *source, gint *timeout)
{
	*timeout = tow_agent_timeout_ms(((struct agent_source *)source)->agent);
	return *timeout == 0;
}

static gboolean source_check(GSource *source)
{
	struct agent_source *self = (struct agent_source *)source;
	return g_source_query_unix_fd(source, self->tag) != 0 ||
	       tow_agent_timeout_ms(self->agent) == 0;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
	struct agent_source *self = (struct agent_source *)source;
	struct tow_agent_event event;
	(void)callback;
	(void)user;
	tow_agent_dispatch(self->agent);
	while (tow_agent_next_event(self->agent, &event) == 1) {
		if (event.kind == TOW_AGENT_SERVING)
			puts("serving");
		if (event.kind == TOW_AGENT_REFUSED)
			printf("refused: %s\n", event.text);
		if (event.kind == TOW_AGENT_STOPPED) {
			printf("stopped: %s\n", tow_agent_strerror(event.code));
			g_main_loop_quit(self->loop);
		}
	}
	fflush(stdout);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs functions = {
	.prepare = source_prepare,
	.check = source_check,
	.dispatch = source_dispatch,
};

static gboolean on_signal(gpointer user)
{
	tow_agent_drain(user); /* a second one stops at once */
	return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
	struct tow_agent_config config = {
		.invite_token = getenv("TOWONEL_INVITE_TOKEN"),
		.services = argc > 1 ? argv[1] : NULL,
	};
	struct agent_source *source;
	struct tow_agent *agent;
	GMainLoop *loop;
	char error[256];

	signal(SIGPIPE, SIG_IGN);
	if (tow_agent_new(&config, &agent, error, sizeof error) != 0) {
		fprintf(stderr, "embed_glib: %s\n", error);
		return 2;
	}
	loop = g_main_loop_new(NULL, FALSE);
	source = (struct agent_source *)g_source_new(&functions, sizeof *source);
	source->agent = agent;
	source->loop = loop;
	source->tag = g_source_add_unix_fd(&source->base, tow_agent_fd(agent), G_IO_IN);
	g_source_attach(&source->base, NULL);
	g_unix_signal_add(SIGINT, on_signal, agent);
	g_unix_signal_add(SIGTERM, on_signal, agent);
	g_main_loop_run(loop);
	g_source_destroy(&source->base);
	g_source_unref(&source->base);
	g_main_loop_unref(loop);
	tow_agent_free(agent);
	return 0;
}
