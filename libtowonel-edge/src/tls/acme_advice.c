/* SPDX-License-Identifier: MIT */

#include "tls/acme_advice.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned port;
} challenges[] = {
	[ACME_HTTP_01] = { "http-01", 80 },
	[ACME_TLS_ALPN_01] = { "tls-alpn-01", 443 },
};

enum advice {
	NO_ADVICE,
	POINT_DNS,
	OPEN_PORT,
	FIND_OTHER_SERVER,
	CHANGE_CAA,
	USE_ANOTHER,
	BIND_ACCOUNT,
	CHANGE_EMAIL,
};

static const struct {
	const char *problem;
	enum advice advice;
} all[] = {
	{ "dns", POINT_DNS },
	{ "connection", OPEN_PORT },
	{ "tls", FIND_OTHER_SERVER },
	{ "unauthorized", FIND_OTHER_SERVER },
	{ "incorrectResponse", FIND_OTHER_SERVER },
	{ "caa", CHANGE_CAA },
	{ "rejectedIdentifier", USE_ANOTHER },
	{ "externalAccountRequired", BIND_ACCOUNT },
	{ "invalidContact", CHANGE_EMAIL },
	{ "unsupportedContact", CHANGE_EMAIL },
};

const char *tow__acme_challenge_name(enum acme_challenge_type type)
{
	return challenges[type].name;
}

void tow__acme_advise(const char *problem, const char *name, enum acme_challenge_type challenge,
                      char *out, size_t cap)
{
	unsigned port = challenges[challenge].port;
	enum advice advice = NO_ADVICE;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(problem, all[i].problem) == 0)
			advice = all[i].advice;
	}
	switch (advice) {
	case NO_ADVICE: out[0] = '\0'; break;
	case POINT_DNS:
		snprintf(out, cap,
		         "the name has no address: make DNS records (A, AAAA) of %s that point to "
		         "this edge",
		         name);
		break;
	case OPEN_PORT:
		snprintf(out, cap,
		         "port %u of %s does not answer: let it through to this edge, and see that "
		         "all of the name's DNS records (A, AAAA) point here",
		         port, name);
		break;
	case FIND_OTHER_SERVER:
		snprintf(out, cap,
		         "what answers on port %u of %s is not this edge: see where the name's DNS "
		         "records (A, AAAA) point, and what is in between",
		         port, name);
		break;
	case CHANGE_CAA:
		snprintf(out, cap,
		         "a CAA record of %s or above it forbids this certificate authority: "
		         "change it, or use another authority",
		         name);
		break;
	case USE_ANOTHER:
		snprintf(out, cap,
		         "this certificate authority gives no certificates for %s: use another "
		         "name, or another authority",
		         name);
		break;
	case BIND_ACCOUNT:
		snprintf(out, cap,
		         "the certificate authority wants to know whose account this is: set "
		         "TOWONEL_EDGE_TLS_ACME_EAB_KID and TOWONEL_EDGE_TLS_ACME_EAB_HMAC");
		break;
	case CHANGE_EMAIL:
		snprintf(out, cap,
		         "the certificate authority does not take the address in "
		         "TOWONEL_EDGE_TLS_ACME_EMAIL");
		break;
	}
}
