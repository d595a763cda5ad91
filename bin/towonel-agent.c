/* SPDX-License-Identifier: MIT */
/*
 * towonel-agent: libtowonel-agent with its settings from the environment.
 *
 * A service list is JSON text, or "@" and the path of a file that holds it. A running process
 * cannot be given new environment variables, so the file is what makes SIGHUP useful: it is read
 * again then.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <towonel/agent.h>
#include <towonel/tunnel/settings.h>

#include "agent/settings.h"
#include "common.h"
#include "notify.h"

#define PROGRAM "towonel-agent"

static const struct member members[] = {
	{ "invite_token", "TOWONEL_INVITE_TOKEN" },
	{ "services", "TOWONEL_AGENT_SERVICES" },
	{ "tcp_services", "TOWONEL_AGENT_TCP_SERVICES" },
	{ "udp_services", "TOWONEL_AGENT_UDP_SERVICES" },
	{ "trusted_edges", "TOWONEL_AGENT_TRUSTED_EDGES" },
	{ "health_listen", "TOWONEL_AGENT_HEALTH_LISTEN_ADDR" },
};
#define MEMBER_COUNT (sizeof members / sizeof *members)

extern char **environ;
static struct tow_agent *agent; /* for the signal handlers, which have no other way to it */

static void help(void)
{
	struct tow_buf text = { 0 };
	fputs("usage: towonel-agent [--help | --version]\n"
	      "\n"
	      "Exposes services of this machine through a towonel hub and its edges.\n"
	      "\n"
	      "Settings, from the environment:\n",
	      stdout);
	if (tow_settings_help(agent_settings_table, agent_settings_count, &text) == 0)
		fwrite(tow_buf_peek(&text).base, 1, tow_buf_len(&text), stdout);
	tow_buf_deinit(&text);
	fputs("\n"
	      "SIGTERM and SIGINT finish the open streams and stop; a second one stops at once.\n"
	      "SIGHUP reads the service files again.\n"
	      "\n"
	      "Exit status: 0 stopped in order, 1 failure, 2 bad settings or a token that the hub "
	      "refuses.\n",
	      stdout);
}

static void log_line(void *user, enum tow_agent_log_level level, const char *line)
{
	(void)user;
	(void)level;
	fprintf(stderr, "%s\n", line);
}

static volatile sig_atomic_t reload_wanted;

static void on_signal(int number)
{
	if (number == SIGHUP)
		reload_wanted = 1;
	if (number == SIGHUP || number == SIGALRM)
		tow_agent_wake(agent);
	else
		tow_agent_stop(agent);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* The watchdog is to hear from the agent's thread, so it is woken as often as that is due. */
static void start_watchdog(void)
{
	unsigned ms = notify_watchdog_ms();
	struct timeval every = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
	struct itimerval timer = { .it_interval = every, .it_value = every };
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Before the agent that the handlers speak to goes. */
static void ignore_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

/* A malloc'd copy of everything that the agent is configured with. */
struct services {
	char *https, *tcp, *udp;
};

static int load_services(const struct agent_settings *settings, struct services *out,
                         struct tow_error *err)
{
	int rc =
		agent_settings_load("TOWONEL_AGENT_SERVICES", settings->services, &out->https, err);
	if (rc == 0)
		rc = agent_settings_load("TOWONEL_AGENT_TCP_SERVICES", settings->tcp_services,
		                         &out->tcp, err);
	if (rc == 0)
		rc = agent_settings_load("TOWONEL_AGENT_UDP_SERVICES", settings->udp_services,
		                         &out->udp, err);
	return rc;
}

static void services_deinit(struct services *services)
{
	free(services->https);
	free(services->tcp);
	free(services->udp);
}

static void reload(const struct agent_settings *settings)
{
	struct services services = { 0 };
	struct tow_error err = { 0 };
	char text[TOW_ERROR_TEXT_SIZE];
	int rc = load_services(settings, &services, &err);
	if (rc == 0) {
		struct tow_agent_config config = {
			.services = services.https,
			.tcp_services = services.tcp,
			.udp_services = services.udp,
		};
		rc = tow_agent_reload(agent, &config, text, sizeof text);
		if (rc != 0)
			name_variable(text, sizeof text, members, MEMBER_COUNT);
	} else {
		snprintf(text, sizeof text, "%s", err.text);
	}
	if (rc != 0)
		complain(PROGRAM, "the services stay as they are: %s", text);
	services_deinit(&services);
}

static void on_event(void *user, const struct tow_agent_event *event)
{
	switch (event->kind) {
	case TOW_AGENT_WOKEN:
		notify("WATCHDOG=1");
		if (!reload_wanted)
			break;
		reload_wanted = 0;
		notify_reloading();
		reload(user);
		notify("READY=1");
		break;
	case TOW_AGENT_SERVING: notify("STATUS=Serving."); break;
	case TOW_AGENT_NOT_SERVING: notify("STATUS=No tunnel is up."); break;
	case TOW_AGENT_SUPERSEDED: notify("STOPPING=1\nSTATUS=Superseded."); break;
	default: break;
	}
}

static int run(struct agent_settings *settings)
{
	struct services services = { 0 };
	struct tow_error err = { 0 };
	char text[TOW_ERROR_TEXT_SIZE];
	int rc = load_services(settings, &services, &err);
	if (rc != 0) {
		complain(PROGRAM, "%s", err.text);
		services_deinit(&services);
		return EXIT_USAGE;
	}
	int no_health = strcmp(settings->health_listen, "none") == 0;
	struct tow_agent_config config = {
		.invite_token = settings->invite_token,
		.services = services.https,
		.tcp_services = services.tcp,
		.udp_services = services.udp,
		.trusted_edges = (const char *const *)settings->trusted_edges.items,
		.trusted_edge_count = settings->trusted_edges.count,
		.health_listen = no_health ? NULL : settings->health_listen,
		.drain_ms = settings->drain_secs * 1000,
		.log = log_line,
		.log_level = (enum tow_agent_log_level)settings->log_level,
		.log_json = settings->log_format == TOW_LOG_JSON,
	};
	rc = tow_agent_new(&config, &agent, text, sizeof text);
	services_deinit(&services);
	if (rc != 0) {
		name_variable(text, sizeof text, members, MEMBER_COUNT);
		complain(PROGRAM, "%s", text);
		return EXIT_USAGE;
	}
	catch_signals();
	start_watchdog();
	notify("READY=1\nSTATUS=No tunnel is up.");
	rc = tow_agent_run(agent, on_event, settings);
	notify("STOPPING=1");
	ignore_signals();
	tow_agent_free(agent);
	return rc == 0 ? EXIT_OK : rc == TOW_EAUTH ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static const struct tow_setting *const tables[] = { agent_settings_table };
	const size_t counts[] = { agent_settings_count };
	struct agent_settings settings = { 0 };
	struct tow_error err = { 0 };

	program_flags(argc, argv, PROGRAM, help);
	raise_descriptor_limit();
	if (tow_settings_read(agent_settings_table, agent_settings_count, environ, &settings,
	                      &err) != 0) {
		complain(PROGRAM, "%s", err.text);
		return EXIT_USAGE;
	}
	struct tow_log *log = tow_log_new(settings.log_level, settings.log_format, NULL, NULL);
	tow_settings_warn_unknown(tables, counts, 1, environ, log);
	tow_log_free(log);
	int status = EXIT_USAGE;
	if (!settings.invite_token)
		complain(PROGRAM, "TOWONEL_INVITE_TOKEN is not set; `towonel invite create` on the "
		                  "hub makes one");
	else
		status = run(&settings);
	tow_settings_deinit(agent_settings_table, agent_settings_count, &settings);
	return status;
}
