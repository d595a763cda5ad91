/* SPDX-License-Identifier: MIT */
#include <towonel/wire/token.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ID "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static struct tow_token example(enum tow_token_kind kind)
{
	struct tow_token token = { .kind = kind };

	snprintf(token.hub_url, sizeof token.hub_url, "https://hub.example.eu:8443");
	assert_int_equal(tow_id_parse(tow_slice_of(ID), &token.hub_id), 0);
	for (size_t i = 0; i < TOW_SEED_SIZE; i++) {
		token.secret[i] = (uint8_t)(0x20 + i);
		token.seed[i] = (uint8_t)(0x40 + i);
	}
	for (size_t i = 0; i < TOW_INVITE_ID_SIZE; i++)
		token.invite_id[i] = (uint8_t)i;
	return token;
}

/* Put together with Python's base64.urlsafe_b64encode. */
static const char invite_text[] = "tt_inv_2_"
				  "aHR0cHM6Ly9odWIuZXhhbXBsZS5ldTo4NDQzI2Q3NWE5ODAxODJiMTBhYjdkNTRi"
				  "ZmVkM2M5NjQwNzNhMGVlMTcyZjNk"
				  "YWE2MjMyNWFmMDIxYTY4ZjcwNzUxMWE"
				  ".AAECAwQFBgcICQoLDA0ODw"
				  ".ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
				  ".QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";

static void assert_token_equal(const struct tow_token *a, const struct tow_token *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->hub_url, b->hub_url);
	assert_true(tow_id_equal(&a->hub_id, &b->hub_id));
	assert_memory_equal(a->invite_id, b->invite_id, sizeof a->invite_id);
	assert_memory_equal(a->secret, b->secret, sizeof a->secret);
	assert_memory_equal(a->seed, b->seed, sizeof a->seed);
}

static void the_text_is_as_documented(void **state)
{
	struct tow_token token = example(TOW_TOKEN_INVITE), parsed;
	char text[TOW_TOKEN_MAX];
	struct tow_error err;

	(void)state;
	assert_int_equal(tow_token_format(&token, text, sizeof text), 0);
	assert_string_equal(text, invite_text);
	if (tow_token_parse(tow_slice_of(invite_text), TOW_TOKEN_INVITE, &parsed, &err))
		fail_msg("%s", err.text);
	assert_token_equal(&parsed, &token);
}

static void tokens_survive_the_round_trip(void **state)
{
	static const char *const urls[] = { "https://a", "https://192.0.2.1:1",
		                            "https://[2001:db8::1]", "https://[2001:db8::1]:65535",
		                            "https://my_hub.lan.:8443" };
	char text[TOW_TOKEN_MAX], padded[TOW_TOKEN_MAX + 16];

	(void)state;
	for (int kind = TOW_TOKEN_INVITE; kind <= TOW_TOKEN_EDGE; kind++) {
		for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
			struct tow_token token = { .kind = (enum tow_token_kind)kind }, parsed;
			struct tow_error err;

			snprintf(token.hub_url, sizeof token.hub_url, "%s", urls[i]);
			tow_random(&token.hub_id, sizeof token.hub_id);
			tow_random(token.invite_id, sizeof token.invite_id);
			tow_random(token.secret, sizeof token.secret);
			tow_random(token.seed, sizeof token.seed);
			assert_int_equal(tow_token_format(&token, text, sizeof text), 0);
			/* the least room is just enough */
			assert_int_equal(tow_token_format(&token, padded, strlen(text) + 1), 0);
			assert_int_equal(tow_token_format(&token, padded, strlen(text)),
			                 TOW_ETOOBIG);
			assert_int_equal(tow_token_format(&token, padded, 0), TOW_ETOOBIG);
			snprintf(padded, sizeof padded, " \t%s\r\n", text);
			if (tow_token_parse(tow_slice_of(padded), token.kind, &parsed, &err))
				fail_msg("%s", err.text);
			assert_token_equal(&parsed, &token);
			assert_int_equal(tow_token_parse(tow_slice_of(text),
			                                 kind ? TOW_TOKEN_INVITE : TOW_TOKEN_EDGE,
			                                 &parsed, &err),
			                 TOW_EINVAL);
			assert_non_null(
				strstr(err.text, kind ? "an edge token" : "an invite token"));
			tow_token_wipe(&parsed);
			assert_true(tow_id_is_zero(&parsed.hub_id));
		}
	}
}

/* A token with one part replaced: url, id, secret, seed. */
static void with_part(char out[TOW_TOKEN_MAX], int at, const char *part)
{
	const char *p = invite_text;

	memcpy(out, "tt_inv_2_", 10);
	p += 9;
	for (int i = 0; i < 4; i++) {
		size_t len = strcspn(p, "."), used = strlen(out);
		snprintf(out + used, TOW_TOKEN_MAX - used, "%s%.*s", i ? "." : "",
		         i == at ? (int)strlen(part) : (int)len, i == at ? part : p);
		p += len + 1;
	}
}

static void faults_are_named_and_nothing_is_echoed(void **state)
{
	static const struct {
		int part;
		const char *text;
		int code;
		const char *why;
	} cases[] = {
		{ -1, "", TOW_EPARSE, "empty" },
		{ -1, " \n", TOW_EPARSE, "empty" },
		{ -1, "SEKRET", TOW_EPARSE, "no token" },
		{ -1, "tt_SEKRET_2_a.b.c.d", TOW_EPARSE, "no token" },
		{ -1, "tt_inv_1_SEKRET.b.c.d", TOW_EVERSION, "another version" },
		{ -1, "tt_inv_3_SEKRET", TOW_EVERSION, "another version" },
		{ -1, "tt_inv_22_SEKRET", TOW_EVERSION, "another version" },
		{ -1, "tt_inv_SEKRET", TOW_EVERSION, "another version" },
		{ -1, "tt_edge_2_SEKRET", TOW_EINVAL, "an edge token" },
		{ -1, "tt_inv_2_", TOW_EPARSE, "1 part between" },
		{ -1, "tt_inv_2_SEKRET", TOW_EPARSE, "1 part between" },
		{ -1, "tt_inv_2_SEKRET.b.c", TOW_EPARSE, "3 parts" },
		{ -1, "tt_inv_2_SEKRET.b.c.d.e", TOW_EPARSE, "more than 4" },
		{ 0, "", TOW_EPARSE, "hub URL" },
		{ 0, "SEKRET!", TOW_EPARSE, "hub URL is not base64url" },
		{ 0, "U0VLUkVUU0VLUkVU", TOW_EPARSE, "https://" },
		{ 0, "aHR0cHM6Ly9odWIuZXhhbXBsZS5ldQ", TOW_EPARSE, "lacks the hub's id" },
		{ 0, "aHR0cHM6Ly9odWIuZXhhbXBsZS5ldSMwMA", TOW_EPARSE, "64 hex" },
		{ 1, "", TOW_EPARSE, "invite id has not 16" },
		{ 1, "SEKRET", TOW_EPARSE, "invite id is not" },
		{ 1, "SEKRETSEKRETSEKRETSEKRET", TOW_EPARSE, "invite id has not 16" },
		{ 1, "AAECAwQFBgcICQoLDA0ODx", TOW_EPARSE, "invite id is not" }, /* stray bits */
		{ 2, "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pg", TOW_EPARSE,
		  "secret has not 32" },
		{ 2, "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", TOW_EPARSE, "secret" },
		{ 3, "", TOW_EPARSE, "seed has not 32" },
		{ 3, "SEKRET!!", TOW_EPARSE, "seed is not base64url" },
		{ 3, "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9g", TOW_EPARSE,
		  "seed has not 32" },
	};
	char text[TOW_TOKEN_MAX];
	struct tow_token token = { .kind = 77 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_error err = { 0 };
		if (cases[i].part < 0)
			snprintf(text, sizeof text, "%s", cases[i].text);
		else
			with_part(text, cases[i].part, cases[i].text);
		assert_int_equal(
			tow_token_parse(tow_slice_of(text), TOW_TOKEN_INVITE, &token, &err),
			cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		if (!strstr(err.text, cases[i].why) || strstr(err.text, "SEKRET") ||
		    strstr(err.text, "AAEC") || strstr(err.text, "ICEi") ||
		    strstr(err.text, "QEFC"))
			fail_msg("\"%s\": \"%s\"", text, err.text);
	}
	assert_int_equal(token.kind, 77);
	assert_int_equal(tow_token_parse(tow_slice_make(NULL, 0), TOW_TOKEN_EDGE, &token, NULL),
	                 TOW_EPARSE);
}

static void mangled_tokens_do_no_harm(void **state)
{
	char text[sizeof invite_text], again[TOW_TOKEN_MAX];
	size_t len = sizeof invite_text - 1;
	struct tow_token token;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		memcpy(text + sizeof text - cut, invite_text, cut);
		assert_int_not_equal(tow_token_parse(tow_slice_make(text + sizeof text - cut, cut),
		                                     TOW_TOKEN_INVITE, &token, NULL),
		                     0);
	}
	for (size_t at = 0; at < len; at++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(text, invite_text, sizeof text);
			text[at] = (char)c;
			if (tow_token_parse(tow_slice_make(text, len), TOW_TOKEN_INVITE, &token,
			                    NULL))
				continue;
			assert_int_equal(tow_token_format(&token, again, sizeof again), 0);
			/* the URL's letters lose their case */
			if (at > 9 + 36)
				assert_string_equal(again, text);
		}
	}
}

static void hub_urls_are_taken_apart(void **state)
{
	static const struct {
		const char *in, *url;
		int id;
	} good[] = {
		{ "https://hub.example.eu", "https://hub.example.eu", 0 },
		{ "https://hub.example.eu/", "https://hub.example.eu", 0 },
		{ " HTTPS://Hub.Example.EU:8443/\n", "https://hub.example.eu:8443", 0 },
		{ "https://localhost:8443#" ID, "https://localhost:8443", 1 },
		{ "https://localhost/#" ID, "https://localhost", 1 },
		{ "https://[2001:DB8::1]", "https://[2001:db8::1]", 0 },
		{ "https://[::1]:8443#" ID, "https://[::1]:8443", 1 },
		{ "https://192.0.2.1", "https://192.0.2.1", 0 },
	};
	static const struct {
		const char *in, *why;
	} bad[] = {
		{ "", "https://" },
		{ "hub.example.eu", "https://" },
		{ "http://hub.example.eu", "https://" },
		{ "https:/", "https://" },
		{ "https://", "missing" },
		{ "https:///", "missing" },
		{ "https://#" ID, "missing" },
		{ "https://a/path", "path" },
		{ "https://a//", "path" },
		{ "https://a?x", "query" },
		{ "https://u:p@a", "user" },
		{ "https://a:0", "65535" },
		{ "https://a:", "65535" },
		{ "https://a:99999", "65535" },
		{ "https://::1", "bracket" },
		{ "https://[::1", "\"]\"" },
		{ "https://[a]", "IPv6" },
		{ "https://[]", "IPv6" },
		{ "https://a b", "character" },
		{ "https://1.2.3", "IPv4" },
		{ "https://a#", "64 hex" },
		{ "https://a#12", "64 hex" },
		{ "https://a#D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A",
		  "64 hex" },
		{ "https://a#" ID "0", "64 hex" },
		{ "https://a#0000000000000000000000000000000000000000000000000000000000000000",
		  "64 hex" },
		{ "https://a#" ID "#", "64 hex" },
	};
	char url[TOW_URL_MAX], text[2 * TOW_URL_MAX];
	struct tow_id id;
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (tow_hub_url_parse(tow_slice_of(good[i].in), url, &id, &err))
			fail_msg("%s: %s", good[i].in, err.text);
		assert_string_equal(url, good[i].url);
		assert_int_equal(tow_id_is_zero(&id), !good[i].id);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(tow_hub_url_parse(tow_slice_of(bad[i].in), url, &id, &err),
		                 TOW_EPARSE);
		if (!strstr(err.text, bad[i].why))
			fail_msg("%s: %s", bad[i].in, err.text);
	}
	memset(text, 'a', sizeof text);
	memcpy(text, "https://", 8);
	assert_int_equal(tow_hub_url_parse(tow_slice_make(text, sizeof text), url, &id, &err),
	                 TOW_EPARSE);
	assert_string_equal(url, "https://192.0.2.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_as_documented),
		cmocka_unit_test(tokens_survive_the_round_trip),
		cmocka_unit_test(faults_are_named_and_nothing_is_echoed),
		cmocka_unit_test(mangled_tokens_do_no_harm),
		cmocka_unit_test(hub_urls_are_taken_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
