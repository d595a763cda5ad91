/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_BROWSER_CERT_H
#define TOWONEL_BIN_NODE_BROWSER_CERT_H

/*
 * What the hub shows to browsers, which know no Ed25519, while it has no certificate for its name:
 * a self-signed one on P-256. They warn of it, and can be told to go on. Its key says nothing of
 * the node's: nothing of ours takes it.
 */

#include <towonel/tunnel/tls.h>

/* It is kept in browser.pem of the data directory, so that who has accepted it is not asked again;
 * made when there is none. fingerprint: what browsers show, in hex. Returns 0; TOW_ECRYPTO,
 * TOW_EPARSE, TOW_ENOMEM, and as tow_file_read and tow_file_create. */
int browser_cert_open(const char *data_dir, const char *host, struct tow_tls_context **out,
                      char fingerprint[2 * TOW_HASH_SIZE + 1], struct tow_error *err);

#endif
