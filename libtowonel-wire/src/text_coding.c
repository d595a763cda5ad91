/* SPDX-License-Identifier: MIT */

/*
 * Hex and base64url, as identity.h declares them. libsodium's coders take the same time whatever
 * the bytes are, and its decoder refuses bits left over after the last byte, so that a value has
 * one spelling only.
 */

#include <towonel/wire/identity.h>

#include <limits.h>
#include <sodium.h>

#define BASE64URL sodium_base64_VARIANT_URLSAFE_NO_PADDING

char *tow_hex_encode(const void *bytes, size_t len, char *text)
{
	return sodium_bin2hex(text, TOW_HEX_SIZE(len), bytes, len);
}

int tow_hex_decode(struct tow_slice text, void *out, size_t cap)
{
	size_t len;

	if (text.len % 2)
		return TOW_EPARSE;
	if (text.len / 2 > cap || text.len / 2 > INT_MAX)
		return TOW_ETOOBIG;
	if (!text.len)
		return 0;
	if (sodium_hex2bin(out, cap, (const char *)text.base, text.len, NULL, &len, NULL))
		return TOW_EPARSE;
	return (int)len;
}

char *tow_base64url_encode(const void *bytes, size_t len, char *text)
{
	return sodium_bin2base64(text, TOW_BASE64URL_SIZE(len), bytes, len, BASE64URL);
}

int tow_base64url_decode(struct tow_slice text, void *out, size_t cap)
{
	size_t len = text.len / 4 * 3 + (text.len % 4 * 3) / 4;

	if (text.len % 4 == 1)
		return TOW_EPARSE;
	/* libsodium 1.0.18 takes bytes from 0x80 for digits where char is signed. */
	for (size_t i = 0; i < text.len; i++)
		if (text.base[i] >= 0x80)
			return TOW_EPARSE;
	if (len > cap || len > INT_MAX)
		return TOW_ETOOBIG;
	if (!text.len)
		return 0;
	if (sodium_base642bin(out, cap, (const char *)text.base, text.len, NULL, &len, NULL,
	                      BASE64URL))
		return TOW_EPARSE;
	return (int)len;
}
