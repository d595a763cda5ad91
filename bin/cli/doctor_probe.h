/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_DOCTOR_PROBE_H
#define TOWONEL_BIN_CLI_DOCTOR_PROBE_H

#include <jansson.h>
#include <towonel/tunnel/quic.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/hostname.h>
#include <towonel/wire/identity.h>
#include <towonel/wire/limits.h>

/*
 * What a doctor can ask of the world, many things at a time: a name's addresses, whether somebody
 * listens, whether QUIC gets through and in how large packets, what an HTTP server answers.
 */

enum probe_kind {
	PROBE_NONE, /* asks nothing */
	PROBE_NAME,
	PROBE_TCP,
	PROBE_QUIC,
	PROBE_HTTP,
};

struct probe {
	enum probe_kind kind;
	char host[TOW_HOSTNAME_SIZE]; /* NAME, TCP: a name or a literal */
	uint16_t port;
	struct tow_addr addr;  /* QUIC */
	struct tow_id id;      /* QUIC: the peer's; HTTP: of the hub, zero for plain HTTP */
	char url[TOW_URL_MAX]; /* HTTP */
	const char *bearer;    /* HTTP: the operator's key; NULL: none */
	json_t *request;       /* HTTP: what is posted, owned; NULL: a GET */

	struct tow_error error;                 /* code 0: an answer came */
	uint64_t took_ns, ended_ms;             /* ended_ms: Unix time */
	struct tow_addr addrs[TOW_RESOLVE_MAX]; /* NAME */
	size_t addr_count;
	size_t payload; /* QUIC: the largest datagram that got through */
	int status;     /* HTTP */
	struct tow_buf text; /* HTTP: the answer, with a NUL behind it; empty when there was none */
	json_t *answer; /* HTTP: the text, when it is JSON; otherwise NULL */

	/* of the run */
	struct probes *all;
	uint64_t began_ns;
	struct tow_quic_conn *conn;
	struct tow_timer timer; /* QUIC: the next look at the size of packets */
	size_t looks;           /* in a row that saw no larger one */
};

/* Each of them; ends when all of them have. */
void probes_run(struct probe *probes, size_t count);
void probe_deinit(struct probe *probe);

void probe_name(struct probe *probe, const char *host, uint16_t port);
void probe_tcp(struct probe *probe, const char *host, uint16_t port);
void probe_quic(struct probe *probe, const struct tow_addr *addr, const struct tow_id *id);
/* base: the URL up to the path. id: of a hub; NULL for plain HTTP. */
void probe_http(struct probe *probe, const char *base, const char *path, const struct tow_id *id);
/* Of an address that somebody on this host listens on; scheme is "https" or "http". */
void probe_tcp_local(struct probe *probe, const struct tow_addr *listen);
void probe_http_local(struct probe *probe, const char *scheme, const struct tow_addr *listen,
                      const char *path, const struct tow_id *id);

/* The error of a probe, or that the answer was none that is 200; "" when it is well. */
const char *probe_why(const struct probe *probe, char out[TOW_ERROR_TEXT_SIZE]);

#endif
