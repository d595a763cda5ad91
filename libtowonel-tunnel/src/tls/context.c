/* SPDX-License-Identifier: MIT */
#include "tls/context.h"

#include <stdlib.h>
#include <string.h>

#include "tls/identity_cert.h"
#include "tls/preferences.h"
#include "tls/tls_stream.h"

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

static int new_context(WOLFSSL_METHOD *method, enum tow__tls_role role, const char *alpn,
                       struct tow_tls_context **out, struct tow_error *err)
{
	struct tow_tls_context *context = calloc(1, sizeof *context);
	int rc = TOW_ENOMEM;

	if (!context || !method) {
		free(method);
		goto fail;
	}
	context->ctx = wolfSSL_CTX_new(method); /* takes the method, also when it fails */
	if (!context->ctx)
		goto fail;
	if (alpn) {
		context->alpn = strdup(alpn);
		if (!context->alpn)
			goto fail;
	}
	rc = tow__tls_prefer(context->ctx, role);
	if (rc)
		goto fail;
	context->is_server = role == TOW__TLS_SERVER || role == TOW__TLS_PUBLIC_SERVER;
	tow__tls_set_io(context->ctx);
	*out = context;
	return 0;
fail:
	tow_tls_context_free(context);
	return tow_error_set(err, rc, "cannot set TLS up: %s", tow_strerror(rc));
}

int tow_tls_context_new_identity(const struct tow_node_key *key, const char *alpn,
                                 struct tow_tls_context **out, struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	int rc = new_context(wolfSSLv23_server_method(), TOW__TLS_SERVER, alpn, &context, err);

	if (rc)
		return rc;
	/* Requests are signed where it matters who asks; a certificate is not asked for. */
	wolfSSL_CTX_set_verify(context->ctx, WOLFSSL_VERIFY_NONE, NULL);
	rc = tow__identity_cert_install(context->ctx, key, err);
	if (rc)
		tow_tls_context_free(context);
	else
		*out = context;
	return rc;
}

int tow_tls_context_new_server(struct tow_slice chain, struct tow_slice key, const char *alpn,
                               struct tow_tls_context **out, struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	int rc = new_context(wolfSSLv23_server_method(), TOW__TLS_PUBLIC_SERVER, alpn, &context,
	                     err);

	if (rc)
		return rc;
	wolfSSL_CTX_set_verify(context->ctx, WOLFSSL_VERIFY_NONE, NULL);
	if (wolfSSL_CTX_use_certificate_chain_buffer(context->ctx, chain.base, (long)chain.len) !=
	    WOLFSSL_SUCCESS)
		rc = tow_error_set(err, TOW_ECRYPTO, "no certificate chain in PEM form");
	else if (wolfSSL_CTX_use_PrivateKey_buffer(context->ctx, key.base, (long)key.len,
	                                           WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
		rc = tow_error_set(err, TOW_ECRYPTO, "no private key in PEM form, RSA or ECDSA");
	else if (wolfSSL_CTX_check_private_key(context->ctx) != WOLFSSL_SUCCESS)
		rc = tow_error_set(err, TOW_ECRYPTO, "the key is not the certificate's");
	if (rc)
		tow_tls_context_free(context);
	else
		*out = context;
	return rc;
}

int tow_tls_context_new_client(const char *ca_file, int insecure, const char *alpn,
                               struct tow_tls_context **out, struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	int rc = new_context(wolfSSLv23_client_method(), TOW__TLS_ORIGIN_CLIENT, alpn, &context,
	                     err);
	int have_system;

	if (rc)
		return rc;
	if (insecure) {
		wolfSSL_CTX_set_verify(context->ctx, WOLFSSL_VERIFY_NONE, NULL);
		*out = context;
		return 0;
	}
	context->verifies = 1;
	wolfSSL_CTX_set_verify(context->ctx, WOLFSSL_VERIFY_PEER, NULL);
	have_system = wolfSSL_CTX_load_verify_locations(context->ctx, SYSTEM_CA_FILE, NULL) ==
	              WOLFSSL_SUCCESS;
	if (ca_file &&
	    wolfSSL_CTX_load_verify_locations(context->ctx, ca_file, NULL) != WOLFSSL_SUCCESS)
		rc = tow_error_set(err, TOW_ECRYPTO, "%s: no CA certificates could be read",
		                   ca_file);
	else if (!ca_file && !have_system)
		rc = tow_error_set(err, TOW_ECRYPTO,
		                   SYSTEM_CA_FILE ": no CA certificates could be read "
		                                  "(is the package ca-certificates installed?)");
	if (rc)
		tow_tls_context_free(context);
	else
		*out = context;
	return rc;
}

int tow_tls_context_new_pinning(const char *alpn, struct tow_tls_context **out,
                                struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	int rc = new_context(wolfSSLv23_client_method(), TOW__TLS_CLIENT, alpn, &context, err);

	if (rc)
		return rc;
	wolfSSL_CTX_set_verify(context->ctx, WOLFSSL_VERIFY_PEER, tow__tls_check_pin);
	*out = context;
	return 0;
}

void tow_tls_context_free(struct tow_tls_context *context)
{
	if (!context)
		return;
	wolfSSL_CTX_free(context->ctx);
	free(context->alpn);
	free(context);
}
