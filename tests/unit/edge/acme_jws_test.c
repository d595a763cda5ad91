/* SPDX-License-Identifier: MIT */
/* Signatures are checked by another implementation: Python's cryptography (OpenSSL). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls/acme_jws.h"

static const char checker[] =
	"import base64, hashlib, hmac, json, sys\n"
	"from cryptography.hazmat.primitives.asymmetric import ec, utils\n"
	"from cryptography.hazmat.primitives import hashes\n"
	"def b64(t): assert '=' not in t; return base64.urlsafe_b64decode(t + '=' * (-len(t) % "
        "4))\n"
	"def verify(jws, jwk):\n"
	"    number = lambda b: int.from_bytes(b, 'big')\n"
	"    key = ec.EllipticCurvePublicNumbers(number(b64(jwk['x'])), number(b64(jwk['y'])),\n"
	"                                        ec.SECP256R1()).public_key()\n"
	"    signature = b64(jws['signature'])\n"
	"    assert len(signature) == 64\n"
	"    key.verify(utils.encode_dss_signature(number(signature[:32]), "
        "number(signature[32:])),\n"
	"               (jws['protected'] + '.' + jws['payload']).encode(), "
        "ec.ECDSA(hashes.SHA256()))\n"
	"jwk_jws, kid_jws, binding, thumbprint = sys.stdin.read().splitlines()\n"
	"first, second, third = map(json.loads, (jwk_jws, kid_jws, binding))\n"
	"head = json.loads(b64(first['protected']))\n"
	"jwk = head.pop('jwk')\n"
	"assert head == {'alg': 'ES256', 'nonce': 'nonce-1', 'url': 'https://ca/new'}, head\n"
	"assert jwk['kty'] == 'EC' and jwk['crv'] == 'P-256'\n"
	"assert b64(first['payload']) == b'{\"a\":1}'\n"
	"verify(first, jwk)\n"
	"head = json.loads(b64(second['protected']))\n"
	"assert head == {'alg': 'ES256', 'kid': 'https://ca/7', 'nonce': 'nonce-2',\n"
	"                'url': 'https://ca/order'}, head\n"
	"assert second['payload'] == ''\n"
	"verify(second, jwk)\n"
	"head = json.loads(b64(third['protected']))\n"
	"assert head == {'alg': 'HS256', 'kid': 'kid-1', 'url': 'https://ca/new'}, head\n"
	"assert json.loads(b64(third['payload'])) == jwk\n"
	"mac = hmac.new(b'secret', (third['protected'] + '.' + third['payload']).encode(),\n"
	"               hashlib.sha256)\n"
	"assert mac.digest() == b64(third['signature'])\n"
	"canonical = json.dumps(jwk, sort_keys=True, separators=(',', ':')).encode()\n"
	"assert hashlib.sha256(canonical).digest() == b64(thumbprint)\n";

static void another_implementation_agrees(void **state)
{
	struct tow_ec_key *key;
	char script[] = "/tmp/towonel-jws-XXXXXX", command[128], thumbprint[ACME_THUMBPRINT_SIZE];
	int fd = mkstemp(script);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, checker, sizeof checker - 1), sizeof checker - 1);
	close(fd);
	snprintf(command, sizeof command, "/usr/bin/python3 %s", script);
	for (int round = 0; round < 3; round++) {
		struct tow_buf text = { 0 };
		FILE *pipe;

		assert_int_equal(tow_ec_key_generate(&key), 0);
		struct acme_jws jws = { .key = key,
			                .nonce = "nonce-1",
			                .url = "https://ca/new",
			                .payload = tow_slice_of("{\"a\":1}") };
		assert_int_equal(tow__acme_jws_write(&jws, &text), 0);
		tow_buf_append_text(&text, "\n");
		jws = (struct acme_jws){ .key = key,
			                 .kid = "https://ca/7",
			                 .nonce = "nonce-2",
			                 .url = "https://ca/order" };
		assert_int_equal(tow__acme_jws_write(&jws, &text), 0);
		tow_buf_append_text(&text, "\n");
		assert_int_equal(tow__acme_binding_write(key, "kid-1", tow_slice_of("secret"),
		                                         "https://ca/new", &text),
		                 0);
		tow_buf_printf(&text, "\n%s\n", tow__acme_thumbprint(key, thumbprint));

		pipe = popen(command, "w");
		assert_non_null(pipe);
		assert_int_equal(fwrite(tow_buf_peek(&text).base, 1, tow_buf_len(&text), pipe),
		                 tow_buf_len(&text));
		assert_int_equal(pclose(pipe), 0);
		tow_buf_deinit(&text);
		tow_ec_key_free(key);
	}
	unlink(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_implementation_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
