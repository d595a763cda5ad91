/* SPDX-License-Identifier: MIT */
#include "node/browser_cert.h"

#include <stdio.h>

#include <towonel/tunnel/ec_key.h>
#include <towonel/tunnel/key_file.h>
#include <towonel/wire/identity.h>

#define FILE_MAX   16384
#define VALID_DAYS 3650

static int make(const char *path, const char *host, struct tow_error *err)
{
	struct tow_ec_key *key = NULL;
	struct tow_buf pem = { 0 };
	int rc = tow_buf_reserve(&pem, FILE_MAX) ? tow_ec_key_generate(&key) : TOW_ENOMEM;
	if (rc == 0)
		rc = tow_ec_key_write(key, &pem);
	if (rc == 0)
		rc = tow_ec_key_own_certificate(key, host, VALID_DAYS, &pem);
	if (rc != 0)
		tow_error_set(err, rc, "cannot make a certificate: %s", tow_strerror(rc));
	else
		rc = tow_file_create(path, tow_buf_peek(&pem), 0600, err);
	tow_buf_wipe(&pem);
	tow_ec_key_free(key);
	return rc == TOW_ECONFLICT ? 0 : rc; /* another process was quicker */
}

int browser_cert_open(const char *data_dir, const char *host, struct tow_tls_context **out,
                      char fingerprint[2 * TOW_HASH_SIZE + 1], struct tow_error *err)
{
	struct tow_tls_certificate certificate;
	struct tow_buf pem = { 0 };
	char path[4096];
	snprintf(path, sizeof path, "%s/browser.pem", data_dir);
	int rc = tow_file_read(path, FILE_MAX, &pem, err);
	if (rc == TOW_ENOTFOUND) {
		rc = make(path, host, err);
		if (rc == 0)
			rc = tow_file_read(path, FILE_MAX, &pem, err);
	}
	if (rc == 0)
		rc = tow_tls_certificate_read(tow_buf_peek(&pem), NULL, &certificate, err);
	if (rc == 0)
		rc = tow_tls_context_new_server(tow_buf_peek(&pem), tow_buf_peek(&pem), "http/1.1",
		                                out, err);
	if (rc == 0)
		tow_hex_encode(certificate.fingerprint, sizeof certificate.fingerprint,
		               fingerprint);
	tow_buf_wipe(&pem);
	return rc;
}
