/* SPDX-License-Identifier: MIT */
/* A value has one spelling, but for the case of its scheme. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <towonel/wire/request_signature.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[TOW_ID_TEXT_SIZE], text[TOW_BASE64URL_SIZE(TOW_ED25519_SIGNATURE_SIZE)];
	char written[TOW_REQUEST_SIGNATURE_SIZE];
	struct tow_request_signature s;

	if (tow_request_signature_parse(tow_slice_make(data, size), &s))
		return 0;
	snprintf(written, sizeof written, "Signature %s.%" PRIu64 ".%s",
	         tow_id_format(&s.node_id, id), s.timestamp_ms,
	         tow_base64url_encode(s.signature, sizeof s.signature, text));
	assert(strlen(written) == size && !memcmp(written + 10, data + 10, size - 10));
	tow_request_signature_verify(&s, TOW_DOMAIN_EDGE_HEARTBEAT, tow_slice_of("body"));
	return 0;
}
