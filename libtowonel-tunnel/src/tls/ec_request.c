/* SPDX-License-Identifier: MIT */
/*
 * What is signed in ASN.1: the two things of an ACME client, and a certificate for browsers. The
 * library could make some of it, and not in every build that we run on; each is a dozen values, so
 * they are written here.
 *
 * DER is written from its end to its beginning: when the turn of a value's head comes, its length
 * is known. So the functions below read from bottom to top.
 */
#include "tls/ec_key.h"

#include <string.h>
#include <time.h>

#include <wolfssl/wolfcrypt/asn_public.h>

#include <towonel/wire/addr.h>
#include <towonel/wire/hostname.h>

#define DER_MAX  2048 /* a name of 253 bytes four times, and a signature */
#define PEM_MAX  (DER_MAX * 3 / 2)
#define SPKI_MAX 128
#define DAY      86400

enum {
	INTEGER = 0x02,
	BIT_STRING = 0x03,
	OCTET_STRING = 0x04,
	UTF8_STRING = 0x0c,
	GENERALIZED_TIME = 0x18,
	SEQUENCE = 0x30,
	SET = 0x31,
	DNS_NAME = 0x82,   /* GeneralName [2] */
	IP_ADDRESS = 0x87, /* GeneralName [7] */
	CONTEXT_0 = 0xa0,
	CONTEXT_3 = 0xa3,
};

struct der {
	uint8_t bytes[DER_MAX];
	size_t at; /* the first byte written so far */
	int full;
};

static void put(struct der *d, const void *bytes, size_t len)
{
	if (len > d->at) {
		d->full = 1;
		return;
	}
	d->at -= len;
	if (len)
		memcpy(d->bytes + d->at, bytes, len);
}

static void put_byte(struct der *d, unsigned byte)
{
	uint8_t b = (uint8_t)byte;

	put(d, &b, 1);
}

/* Makes what was written since `end` the contents of a value. */
static void wrap(struct der *d, unsigned tag, size_t end)
{
	size_t len = end - d->at;

	if (len < 128) {
		put_byte(d, (unsigned)len);
	} else {
		unsigned count = 0;
		for (size_t rest = len; rest != 0; rest >>= 8, count++)
			put_byte(d, rest & 0xff);
		put_byte(d, 0x80 | count);
	}
	put_byte(d, tag);
}

static void value(struct der *d, unsigned tag, const void *bytes, size_t len)
{
	size_t end = d->at;

	put(d, bytes, len);
	wrap(d, tag, end);
}

/* Object identifiers with their heads. */
static const uint8_t ecdsa_with_sha256[] = { 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2 };
static const uint8_t extension_request[] = {
	0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14
};
static const uint8_t subject_alt_name[] = { 0x06, 3, 0x55, 0x1d, 0x11 };
static const uint8_t acme_identifier[] = { 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x1f };
static const uint8_t common_name[] = { 0x06, 3, 0x55, 4, 3 };

static void algorithm(struct der *d)
{
	value(d, SEQUENCE, ecdsa_with_sha256, sizeof ecdsa_with_sha256);
}

static void alt_name_extension(struct der *d, const char *host)
{
	struct tow_addr addr;
	size_t end = d->at;

	if (tow_addr_parse_host(tow_slice_of(host), &addr) == 0)
		value(d, IP_ADDRESS, addr.bytes, addr.family == 6 ? 16 : 4);
	else
		value(d, DNS_NAME, host, strlen(host));
	wrap(d, SEQUENCE, end);
	wrap(d, OCTET_STRING, end);
	put(d, subject_alt_name, sizeof subject_alt_name);
	wrap(d, SEQUENCE, end);
}

static void acme_identifier_extension(struct der *d, const uint8_t digest[32])
{
	static const uint8_t critical[] = { 0x01, 1, 0xff };
	size_t end = d->at;

	value(d, OCTET_STRING, digest, 32);
	wrap(d, OCTET_STRING, end);
	put(d, critical, sizeof critical);
	put(d, acme_identifier, sizeof acme_identifier);
	wrap(d, SEQUENCE, end);
}

static int public_key(struct der *d, struct tow_ec_key *key)
{
	uint8_t spki[SPKI_MAX];
	int len = wc_EccPublicKeyToDer(&key->pair, spki, sizeof spki, 1);

	if (len <= 0)
		return TOW_ECRYPTO;
	put(d, spki, (size_t)len);
	return 0;
}

/* A host name may be too long for one. */
static void name(struct der *d, const char *text)
{
	size_t end = d->at;

	value(d, UTF8_STRING, text, strlen(text));
	put(d, common_name, sizeof common_name);
	wrap(d, SEQUENCE, end);
	wrap(d, SET, end);
	wrap(d, SEQUENCE, end);
}

static void put_time(struct der *d, time_t when)
{
	char text[sizeof "20260102030405Z"];
	struct tm utc;

	gmtime_r(&when, &utc);
	strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &utc);
	value(d, GENERALIZED_TIME, text, sizeof text - 1);
}

/* From before now: clocks differ. */
static void validity(struct der *d, unsigned days)
{
	time_t now = time(NULL);
	size_t end = d->at;

	put_time(d, now + (time_t)days * DAY);
	put_time(d, now - DAY);
	wrap(d, SEQUENCE, end);
}

static int append_pem(const struct der *certificate, struct tow_buf *out)
{
	uint8_t *room = tow_buf_reserve(out, PEM_MAX);
	int len;

	if (!room)
		return TOW_ENOMEM;
	len = wc_DerToPem(certificate->bytes + certificate->at, (word32)(DER_MAX - certificate->at),
	                  room, PEM_MAX, CERT_TYPE);
	if (len <= 0)
		return TOW_ECRYPTO;
	tow_buf_commit(out, (size_t)len);
	return 0;
}

/* Appends SEQUENCE { what d holds, algorithm, signature of what d holds }. */
static int sign(struct tow_ec_key *key, const struct der *d, int as_pem, struct tow_buf *out)
{
	struct tow_slice body = { d->bytes + d->at, DER_MAX - d->at };
	uint8_t signature[TOW__EC_DER_SIGNATURE_MAX];
	struct der whole = { .at = DER_MAX };
	size_t end;
	int len;

	if (d->full)
		return TOW_EINVAL;
	len = tow__ec_key_sign_der(key, body, signature);
	if (len < 0)
		return len;
	end = whole.at;
	put(&whole, signature, (size_t)len);
	put_byte(&whole, 0); /* no unused bits */
	wrap(&whole, BIT_STRING, end);
	algorithm(&whole);
	put(&whole, body.base, body.len);
	wrap(&whole, SEQUENCE, end);
	if (whole.full)
		return TOW_EINVAL;
	return as_pem ? append_pem(&whole, out)
	              : tow_buf_append(out, whole.bytes + whole.at, DER_MAX - whole.at);
}

static int is_name(const char *hostname)
{
	return hostname[0] != '\0' && strlen(hostname) <= TOW_HOSTNAME_MAX;
}

int tow_ec_key_request(struct tow_ec_key *key, const char *hostname, struct tow_buf *out)
{
	struct der d = { .at = DER_MAX };
	size_t end = d.at;
	int rc;

	if (!is_name(hostname))
		return TOW_EINVAL;
	alt_name_extension(&d, hostname);
	wrap(&d, SEQUENCE, end);
	wrap(&d, SET, end);
	put(&d, extension_request, sizeof extension_request);
	wrap(&d, SEQUENCE, end);
	wrap(&d, CONTEXT_0, end);
	rc = public_key(&d, key);
	if (rc)
		return rc;
	value(&d, SEQUENCE, NULL, 0); /* no subject: names are in the extension */
	value(&d, INTEGER, "\0", 1);  /* version 1 */
	wrap(&d, SEQUENCE, end);
	return sign(key, &d, 0, out);
}

/* The rest of a certificate whose extensions d has, since end. */
static int certificate(struct tow_ec_key *key, struct der *d, size_t end, const char *subject,
                       unsigned days, struct tow_buf *out)
{
	size_t version_end;
	int rc;

	wrap(d, SEQUENCE, end);
	wrap(d, CONTEXT_3, end);
	rc = public_key(d, key);
	if (rc)
		return rc;
	name(d, subject);
	validity(d, days);
	name(d, subject);
	algorithm(d);
	value(d, INTEGER, "\1", 1); /* serial number */
	version_end = d->at;
	value(d, INTEGER, "\2", 1); /* version 3 */
	wrap(d, CONTEXT_0, version_end);
	wrap(d, SEQUENCE, end);
	return sign(key, d, 1, out);
}

int tow_ec_key_challenge_certificate(struct tow_ec_key *key, const char *hostname,
                                     const uint8_t digest[32], struct tow_buf *out)
{
	struct der d = { .at = DER_MAX };
	size_t end = d.at;

	if (!is_name(hostname))
		return TOW_EINVAL;
	acme_identifier_extension(&d, digest);
	alt_name_extension(&d, hostname);
	return certificate(key, &d, end, "towonel acme-tls/1", 1, out);
}

int tow_ec_key_own_certificate(struct tow_ec_key *key, const char *host, unsigned days,
                               struct tow_buf *out)
{
	struct der d = { .at = DER_MAX };
	size_t end = d.at;

	if (!is_name(host))
		return TOW_EINVAL;
	alt_name_extension(&d, host);
	return certificate(key, &d, end, "towonel", days, out);
}
