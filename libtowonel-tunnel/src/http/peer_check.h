/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_PEER_CHECK_H
#define TOW__HTTP_PEER_CHECK_H

/*
 * Who a server has to be. A call that pins a key is tried by that key alone, without loading a
 * single CA certificate; only when the server shows another one, once more by certificate chain and
 * name. What worked last is tried first the next time.
 *
 * libcurl hands connections from call to call, and does not look at callbacks when it compares:
 * each pin gets a connection pool of its own by the pin that curl itself compares (and checks,
 * too).
 */

#include <curl/curl.h>
#include <towonel/tunnel/http_client.h>

#include <stdbool.h>

struct tow__peer_checks;

struct tow__pin {
	struct tow__peer_checks *checks;
	struct tow__pin *next;
	struct tow_id id;
	char curl_text[60];  /* sha256//BASE64 of its SubjectPublicKeyInfo */
	struct tow_id shown; /* by the server that was refused last; zero: not a key of ours */
	bool refused;
	bool chain_first;
};

struct tow__peer_checks {
	struct tow_node_key key; /* for the client certificate */
	bool has_key;
	char *ca_file;         /* NULL: the system's alone */
	struct tow__pin *pins; /* as long as the client: connections point here */
};

void tow__peer_checks_deinit(struct tow__peer_checks *checks);
/* NULL: out of memory. */
struct tow__pin *tow__peer_checks_pin(struct tow__peer_checks *checks, const struct tow_id *id);
/* Makes an easy handle check by pin, or by chain and name when pin is NULL. */
CURLcode tow__peer_checks_apply(struct tow__peer_checks *checks, CURL *easy, struct tow__pin *pin);

#endif
