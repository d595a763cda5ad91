/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_PARLEY_MESSAGE_H
#define TOWONEL_BIN_NODE_PARLEY_MESSAGE_H

/*
 * What two processes of a node say to one another: see parley.h. Both are ours, and yet each reads
 * what the other says as anybody's: it may be another version, or a program of the same user's.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

enum parley_word {
	/* after to before */
	PARLEY_LEND,
	PARLEY_HUB,
	PARLEY_YIELD,
	PARLEY_COMMIT,
	/* before to after */
	PARLEY_SOCKET,
	PARLEY_LENT,
	PARLEY_HUB_STOPPED,
	PARLEY_AGENTS,
	PARLEY_VISITOR,
	PARLEY_DONE,
};

/* All-zero is valid and empty. */
struct parley_message {
	enum parley_word word;
	uint64_t number;         /* LEND: the version; LENT: sockets; AGENTS: how many */
	char notify_socket[256]; /* LENT; "": none */
	char watchdog_usec[24];
	struct tow_addr visitor; /* VISITOR */
	struct tow_buf early;
};

/* Returns 0; TOW_EPARSE, TOW_ENOMEM. */
int parley_message_read(struct tow_slice text, struct parley_message *out);
void parley_message_deinit(struct parley_message *message);

#endif
