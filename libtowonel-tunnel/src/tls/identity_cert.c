/* SPDX-License-Identifier: MIT */
#include "tls/identity_cert.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/random.h>

/* Never looked at by us; some people's tools refuse a certificate that has ended. */
#define VALID_DAYS  7300
#define SERIAL_SIZE 16

/* PKCS #8 with the public key is under 100 bytes. */
#define KEY_DER_MAX 160

static int key_import(const struct tow_node_key *key, ed25519_key *out)
{
	if (wc_ed25519_init(out) != 0)
		return TOW_ECRYPTO;
	if (wc_ed25519_import_private_key(key->seed, sizeof(key->seed), key->id.bytes,
	                                  sizeof(key->id.bytes), out) != 0) {
		wc_ed25519_free(out);
		return TOW_ECRYPTO;
	}
	return 0;
}

int tow__identity_cert_make(const struct tow_node_key *key, uint8_t *der, size_t cap)
{
	ed25519_key pair;
	WC_RNG rng;
	Cert *cert = NULL;
	char name[TOW_ID_TEXT_SIZE];
	int have_rng = 0, n;
	int ret = key_import(key, &pair);

	if (ret != 0)
		return ret;
	ret = TOW_ECRYPTO;
	if (wc_InitRng(&rng) != 0)
		goto out;
	have_rng = 1;
	cert = calloc(1, sizeof(*cert)); /* some 20 KB */
	if (!cert) {
		ret = TOW_ENOMEM;
		goto out;
	}
	if (wc_InitCert(cert) != 0)
		goto out;
	/* A common name has 64 characters at most; half of the id is enough to tell nodes apart by
	 * eye. */
	tow_id_format(&key->id, name);
	name[32] = '\0';
	memcpy(cert->subject.commonName, name, 33);
	/* Its own each time, since some clients remember serial numbers; never one with leading
	 * zeros, which is shorter and makes the handshake's size a matter of chance. */
	cert->serialSz = SERIAL_SIZE;
	tow_random(cert->serial, SERIAL_SIZE);
	cert->serial[0] = (uint8_t)(0x40 | (cert->serial[0] & 0x3f));
	cert->sigType = CTC_ED25519;
	cert->selfSigned = 1;
	cert->isCA = 0;
	cert->daysValid = VALID_DAYS;
	if (wc_MakeCert_ex(cert, der, (word32)cap, ED25519_TYPE, &pair, &rng) < 0)
		goto out;
	n = wc_SignCert_ex(cert->bodySz, cert->sigType, der, (word32)cap, ED25519_TYPE, &pair,
	                   &rng);
	if (n == BUFFER_E)
		ret = TOW_ETOOBIG;
	else if (n > 0)
		ret = n;
out:
	free(cert);
	if (have_rng)
		wc_FreeRng(&rng);
	wc_ed25519_free(&pair);
	return ret;
}

int tow__identity_cert_install(WOLFSSL_CTX *ctx, const struct tow_node_key *key,
                               struct tow_error *err)
{
	ed25519_key pair;
	uint8_t cert[TOW__IDENTITY_CERT_MAX];
	uint8_t der[KEY_DER_MAX];
	int cert_len, der_len;
	int ret;

	cert_len = tow__identity_cert_make(key, cert, sizeof(cert));
	if (cert_len < 0)
		return tow_error_set(err, cert_len, "cannot make the identity certificate");
	ret = key_import(key, &pair);
	if (ret != 0)
		return tow_error_set(err, ret, "cannot load the node key");
	der_len = wc_Ed25519KeyToDer(&pair, der, sizeof(der));
	wc_ed25519_free(&pair);
	if (der_len <= 0 ||
	    wolfSSL_CTX_use_certificate_buffer(ctx, cert, cert_len, WOLFSSL_FILETYPE_ASN1) !=
	            WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_use_PrivateKey_buffer(ctx, der, der_len, WOLFSSL_FILETYPE_ASN1) !=
	            WOLFSSL_SUCCESS)
		ret = tow_error_set(err, TOW_ECRYPTO, "cannot use the identity certificate");
	tow_wipe(der, sizeof(der));
	return ret;
}

int tow__identity_cert_parse(struct tow_slice der, struct tow_id *out)
{
	struct DecodedCert *cert;
	int ret = TOW_EPARSE;

	if (der.len == 0 || der.len > TOW__IDENTITY_CERT_MAX * 16)
		return TOW_EPARSE;
	cert = calloc(1, sizeof(*cert));
	if (!cert)
		return TOW_ENOMEM;
	wc_InitDecodedCert(cert, der.base, (word32)der.len, NULL);
	/* The signature is not checked: the handshake shows possession of the key, and nothing else
	 * counts. */
	if (wc_ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL) == 0 && cert->keyOID == ED25519k &&
	    cert->pubKeySize == TOW_ID_SIZE) {
		memcpy(out->bytes, cert->publicKey, TOW_ID_SIZE);
		ret = 0;
	}
	wc_FreeDecodedCert(cert);
	free(cert);
	return ret;
}

int tow__identity_cert_of_peer(const WOLFSSL_X509_STORE_CTX *store, struct tow_id *out)
{
	if (store->totalCerts != 1 || !store->certs || store->error_depth != 0)
		return TOW_EAUTH;
	return tow__identity_cert_parse(
		       tow_slice_make(store->certs[0].buffer, store->certs[0].length), out) == 0
	               ? 0
	               : TOW_EAUTH;
}
