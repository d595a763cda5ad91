/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/tls.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static WOLFSSL_X509 *load(struct tow_slice pem)
{
	return pem.len <= INT_MAX ? wolfSSL_X509_load_certificate_buffer(pem.base, (int)pem.len,
	                                                                 WOLFSSL_FILETYPE_PEM)
	                          : NULL;
}

static int read_time(const WOLFSSL_ASN1_TIME *asn, uint64_t *ms)
{
	struct tm tm;
	time_t t;

	if (!asn || wolfSSL_ASN1_TIME_to_tm(asn, &tm) != WOLFSSL_SUCCESS)
		return TOW_EPARSE;
	t = timegm(&tm);
	if (t < 0)
		return TOW_EPARSE;
	*ms = (uint64_t)t * 1000;
	return 0;
}

/* Whoever makes the certificate chooses the name: only printable ASCII of it is kept. */
static void read_issuer(WOLFSSL_X509 *x509, char *out, size_t cap)
{
	WOLFSSL_X509_NAME *name = wolfSSL_X509_get_issuer_name(x509);
	char organisation[64] = "", common[64] = "";

	wolfSSL_X509_NAME_get_text_by_NID(name, WC_NID_organizationName, organisation,
	                                  sizeof organisation);
	wolfSSL_X509_NAME_get_text_by_NID(name, WC_NID_commonName, common, sizeof common);
	snprintf(out, cap, "%s%s%s", organisation, *organisation && *common ? ", " : "", common);
	for (char *c = out; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

int tow_tls_certificate_read(struct tow_slice pem, const char *name,
                             struct tow_tls_certificate *out, struct tow_error *err)
{
	struct tow_tls_certificate facts = { .covers = 0 };
	const unsigned char *der;
	WOLFSSL_X509 *x509;
	int der_len = 0, rc = TOW_EPARSE;

	x509 = load(pem);
	if (!x509)
		return tow_error_set(err, TOW_EPARSE, "no certificate in PEM form");
	der = wolfSSL_X509_get_der(x509, &der_len);
	if (der && !read_time(wolfSSL_X509_get_notBefore(x509), &facts.not_before_ms) &&
	    !read_time(wolfSSL_X509_get_notAfter(x509), &facts.not_after_ms)) {
		crypto_hash_sha256(facts.fingerprint, der, (unsigned long long)der_len);
		read_issuer(x509, facts.issuer, sizeof facts.issuer);
		facts.covers = name && wolfSSL_X509_check_host(x509, name, strlen(name), 0, NULL) ==
		                               WOLFSSL_SUCCESS;
		*out = facts;
		rc = 0;
	} else {
		tow_error_set(err, rc, "a certificate without dates that can be read");
	}
	wolfSSL_X509_free(x509);
	return rc;
}

int tow_tls_certificate_der(struct tow_slice pem, struct tow_buf *out)
{
	const unsigned char *der;
	WOLFSSL_X509 *x509 = load(pem);
	int len = 0, rc = TOW_EPARSE;

	if (!x509)
		return TOW_EPARSE;
	der = wolfSSL_X509_get_der(x509, &len);
	if (der)
		rc = tow_buf_append(out, der, (size_t)len);
	wolfSSL_X509_free(x509);
	return rc;
}

#define KEY_ID_MAX 64
#define SERIAL_MAX 32

/* The key's id and the serial number as they stand in the certificate: a number that looks negative
 * has a zero in front there, which the library leaves out. */
int tow_tls_certificate_renewal_id(struct tow_slice pem, char *out, size_t cap)
{
	WOLFSSL_X509 *x509 = load(pem);
	unsigned char key_id[KEY_ID_MAX], serial[SERIAL_MAX + 1] = { 0 };
	int key_id_len = sizeof key_id, serial_len = SERIAL_MAX, rc = TOW_EPARSE;
	size_t first, dot;

	out[0] = '\0';
	if (!x509)
		return TOW_EPARSE;
	if (wolfSSL_X509_get_authorityKeyID(x509, key_id, &key_id_len) && key_id_len > 0 &&
	    wolfSSL_X509_get_serial_number(x509, serial + 1, &serial_len) == WOLFSSL_SUCCESS &&
	    serial_len > 0) {
		first = serial[1] & 0x80 ? 0 : 1;
		rc = TOW_ETOOBIG;
		if (TOW_BASE64URL_SIZE((size_t)key_id_len) +
		            TOW_BASE64URL_SIZE((size_t)serial_len + 1) <=
		    cap) {
			tow_base64url_encode(key_id, (size_t)key_id_len, out);
			dot = strlen(out);
			out[dot] = '.';
			tow_base64url_encode(serial + first, (size_t)serial_len + 1 - first,
			                     out + dot + 1);
			rc = 0;
		}
	}
	wolfSSL_X509_free(x509);
	return rc;
}
