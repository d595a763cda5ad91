/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HUB_MEMBER_H
#define TESTS_UNIT_HUB_MEMBER_H

/* A tenant of a live hub, which signs for itself. */

#include "live_hub.h"


struct member {
	struct tow_token token;
	struct tow_tenant_key *key;
	char id[TOW_ID_TEXT_SIZE], invite[TOW_INVITE_ID_TEXT_SIZE];
	uint64_t sequence;
};

/* As the operator's answer to the request has it. */
void member_invite(struct live_hub *h, struct member *m, const char *request);
void member_deinit(struct member *m);
struct tow_entry member_entry(struct member *m, enum tow_entry_op op, const char *name,
                              uint16_t port);
char *member_sign(struct member *m, struct tow_entry e); /* the JWS as text, to be freed */
struct reply member_submit(struct live_hub *h, struct member *m, struct tow_entry e);
/* An agent of generation 5, by an entry. */
void member_announce(struct live_hub *h, struct member *m, const struct tow_node_key *agent);
/* An agent's, of generation 5, signed by whom and for what one likes; auth gets the header. */
struct reply member_heartbeat(struct live_hub *h, const struct member *m,
                              const struct tow_node_key *agent, const struct tow_node_key *signer,
                              const char *domain, int64_t skew_ms, char *auth);

#endif
