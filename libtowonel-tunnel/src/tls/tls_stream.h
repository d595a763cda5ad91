/* SPDX-License-Identifier: MIT */
#ifndef TOW__TLS_STREAM_H
#define TOW__TLS_STREAM_H

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* Makes the context's sessions read and write as tls_stream.c wants it. */
void tow__tls_set_io(WOLFSSL_CTX *ctx);
/* The verify callback of sessions that pin their peer's key. */
int tow__tls_check_pin(int preverify, WOLFSSL_X509_STORE_CTX *store);

#endif
