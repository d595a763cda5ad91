/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_EDGE_H
#define TOWONEL_EDGE_H

/*
 * libtowonel-edge: the data plane on a public address. It takes visitors on TCP, reads the server
 * name from their ClientHello, finds the tenant in its route table, and forwards their bytes over a
 * stream to one of the tenant's agents, each of which holds a QUIC connection to the edge. It does
 * not know where its routes come from: the owner hands it the events of a feed.
 *
 * Everything here is for the loop's thread.
 */

#include <jansson.h>
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/route_feed.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_edge;

/* Certificates on demand, from an ACME server (RFC 8555). */
struct tow_edge_acme {
	const char *directory_url;
	const char *ca_file;     /* extra trust for that server; NULL */
	const char *email;       /* for the account; NULL */
	const char *binding_kid; /* an account with the authority to bind ours to, and its key in */
	const char *binding_hmac; /* base64url; NULL: none */
};

struct tow_edge_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const struct tow_node_key *key; /* copied */
	struct tow_addr listen;         /* visitors, TCP */
	int listen_dual_stack;
	struct tow_addr tunnel_listen; /* agents, UDP */
	int tunnel_dual_stack;
	const char *const *public_addresses; /* "host:port" as agents dial it; copied; none: the
	                                        tunnel listener's */
	size_t public_address_count;
	const char *routes_cache_path; /* a copy of the route table on disk; NULL: none */
	const char *cert_dir;          /* certificates of names whose TLS ends here; NULL: none */
	const struct tow_edge_acme *acme;   /* needs cert_dir; copied; NULL: none */
	const struct tow_addr *http_listen; /* port 80: challenges and redirects; NULL: none */
	int http_dual_stack;
	int http_optional;              /* go on without it when it cannot be had */
	unsigned workers;               /* threads that serve; 0: one, the loop's */
	size_t connections_max;         /* visitors in all; 0: no limit but descriptors */
	size_t connections_per_address; /* 0: no limit */
	/* Visitors that may come in a second from one address, and after a quiet while so many at
	 * once; 0: no limit. */
	unsigned connection_rate, connection_burst;
	/* UDP sessions in all, on a port, from an address; 0: as in limits.h. */
	size_t udp_sessions_max, udp_sessions_per_port, udp_sessions_per_address;
	/* Bytes on their way to visitors and from them that the edge may hold, in all; 0: no limit.
	 * Half of it is for what goes to visitors: beyond, whoever holds most is reset. A quarter
	 * is for what goes to agents, and one for what visitors say before an agent has taken
	 * them: beyond, little more of each is read. */
	uint64_t memory_max;
	unsigned handshakes_per_second; /* of agents, that may begin; 0: as in limits.h */
	const char *version;
	/* Takes clients of the hub in this node who come to the visitors' port: they ask for
	 * api_name (NULL: it has no name), or by the key's name (tow_id_key_name). fd is given
	 * away, with what was read from it. NULL: none here. */
	const char *api_name;
	void (*api_visitor)(void *user, int fd, const struct tow_addr *peer,
	                    struct tow_slice early);
	/* The edge's state changed (agents came or went, ports failed), or some seconds have
	 * passed; called at most once a second. May be NULL. */
	void (*reported)(void *user, const struct tow_edge_report *report);
	void *user;
};

/* Listens on its addresses; err begins with the config's member that is to blame ("listen: ",
 * "tunnel_listen: ", "http_listen: ", "binding_kid: ", "binding_hmac: "), if it is one. Returns 0;
 * TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM; TOW_ECONFIG, TOW_EPARSE, TOW_ECRYPTO (acme). */
int tow_edge_new(const struct tow_edge_config *config, struct tow_edge **out,
                 struct tow_error *err);

/* Takes an event of the route feed: a tow_route_sink, user being the edge. */
int tow_edge_apply(void *edge, const struct tow_route_event *event);
/* The version of its route table; 0 when it has none. */
uint64_t tow_edge_route_version(const struct tow_edge *edge);

/* Stops listening, tells agents that no new streams come, and waits at most grace_ns for open
 * visitors and UDP sessions (which end when they pause for a second); then resets them. Calls done
 * when nothing is left, before which the edge has been freed. grace 0 closes at once. A second call
 * may shorten the grace. */
void tow_edge_close(struct tow_edge *edge, uint64_t grace_ns, void (*done)(void *user), void *user);

/* --- with a process that takes over (see tunnel/inherited.h) --- */

/* Of an edge whose sockets were lent: the other process has the tunnels' from now on, and agents
 * are told to dial it; visitors still come here, until tow_edge_close, which leaves them to the
 * other one then. */
void tow_edge_yield(struct tow_edge *edge);
/* The other process has failed. */
void tow_edge_resume(struct tow_edge *edge);
size_t tow_edge_agents(const struct tow_edge *edge); /* that take visitors */

const struct tow_addr *tow_edge_addr(const struct tow_edge *edge);
const struct tow_addr *tow_edge_tunnel_addr(const struct tow_edge *edge);
/* Appends one line per reason for not being ready. */
void tow_edge_not_ready(void *edge, struct tow_buf *reasons);
/* Appends what is worth knowing of one that is ready: how its agents answer. */
void tow_edge_notes(void *edge, struct tow_buf *notes);
/* The certificate of api_name, if there is one; borrowed until the next turn of the loop. It is
 * asked for when it is not there or due. NULL: none now, or another name. */
struct tow_tls_context *tow_edge_api_certificate(struct tow_edge *edge, const char *name);
/* {"certificates":[{"name", "state", "issuer", "not_before_ms", "not_after_ms", "on_demand",
 * "saved", "next_try_ms", "last_error"}]}: of names that have a certificate or have asked for one;
 * times are 0 where there is none. NULL when out of memory. */
json_t *tow_edge_certificates(void *edge);

/* --- without an edge --- */

struct tow_edge_revocation {
	struct tow_edge_acme acme; /* of the authority that has issued it; no account is needed */
	const char *cert_dir;
	const char *hostname;
	const char *version;
};

/* Has the certificate of a name revoked, and removes it from the directory, so that the edge that
 * serves it asks for another one. Blocks. Returns 0; TOW_ENOTFOUND, TOW_EPARSE, TOW_EHTTP, TOW_EIO,
 * TOW_ENOMEM. */
int tow_edge_revoke_certificate(const struct tow_edge_revocation *revocation,
                                struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
