/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <towonel/tunnel/tls.h>

/* The certificate of RFC 9773 appendix A: its key's id is known, its serial number looks negative. */
static const char example[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
	"cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
	"BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
	"7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
	"qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
	"yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
	"+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
	"-----END CERTIFICATE-----\n";

static void the_example_of_the_rfc_has_its_id(void **state)
{
	char id[128];

	(void)state;
	assert_int_equal(tow_tls_certificate_renewal_id(tow_slice_of(example), id, sizeof id), 0);
	assert_string_equal(id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	assert_int_equal(tow_tls_certificate_renewal_id(tow_slice_of(example), id, 20), TOW_ETOOBIG);
	assert_string_equal(id, "");
}

static void what_is_no_certificate_is_refused(void **state)
{
	struct tow_buf der = { 0 };
	char id[128] = "x";

	(void)state;
	for (size_t i = 0; i + 30 < sizeof example; i += 7) {
		assert_int_equal(tow_tls_certificate_renewal_id(tow_slice_make(example, i), id, sizeof id),
		                 TOW_EPARSE);
		assert_string_equal(id, "");
		assert_int_equal(tow_tls_certificate_der(tow_slice_make(example, i), &der), TOW_EPARSE);
	}
	assert_int_equal(tow_tls_certificate_der(tow_slice_of(example), &der), 0);
	assert_int_equal(tow_buf_peek(&der).base[0], 0x30);
	assert_int_equal(tow_buf_len(&der), 4 + 0x143);
	tow_buf_deinit(&der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_rfc_has_its_id),
		cmocka_unit_test(what_is_no_certificate_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
