/* SPDX-License-Identifier: MIT */
#ifndef TOW__TLS_CONTEXT_H
#define TOW__TLS_CONTEXT_H

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <towonel/tunnel/tls.h>

struct tow_tls_context {
	WOLFSSL_CTX *ctx;
	char *alpn; /* NULL: none */
	int is_server;
	int verifies; /* the name that a session gives */
};

#endif
