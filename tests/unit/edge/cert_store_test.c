/* SPDX-License-Identifier: MIT */
#include "tls/cert_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <towonel/tunnel/key_file.h>
#include "tls/cert_record.h"

/* --- certificates, made once: a.test, b.test, good and expired, by two authorities --- */

static char made[] = "/tmp/towonel-certs-XXXXXX";

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
	char command[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0) /* NOLINT: a test may */
		fail_msg("%s", command);
}

static int make_certificates(void **state)
{
	(void)state;
	if (mkdtemp(made) == NULL)
		return -1;
	shell("cd %s && exec 2>/dev/null; set -e; P='-pkeyopt ec_paramgen_curve:P-256'; "
	      "ca() { openssl req -x509 -newkey ec $P -nodes -keyout $1.key -out $1.crt -days 2 "
	      "-subj \"/O=$1/CN=root\"; "
	      "}; "
	      "printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\n"
	      "new_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' "
	      ">ca.conf; "
	      "touch index; echo 01 >serial; "
	      "leaf() { openssl req -newkey $4 -nodes -keyout $1.key -subj /CN=$1 -out $1.csr; "
	      "echo \"subjectAltName=DNS:$2\" > $1.ext; "
	      "openssl ca -batch -notext -config ca.conf -cert $5.crt -keyfile $5.key "
	      "-startdate ${3%%%%-*} -enddate ${3#*-} -extfile $1.ext -in $1.csr -out $1.crt; "
	      "}; "
	      "ca one; ca two; "
	      "day() { date -u -d \"$1 day\" +%%Y%%m%%d%%H%%M%%SZ; }; now=$(day 0)-$(day 2); "
	      "leaf a a.test $now \"ec $P\" one; leaf a2 a.test $now \"ec $P\" two; "
	      "leaf old a.test 20200101000000Z-20200102000000Z \"ec $P\" one; "
	      "leaf rsa a.test $now rsa:2048 one; leaf b b.test $now \"ec $P\" one",
	      made);
	return 0;
}

static int remove_certificates(void **state)
{
	(void)state;
	shell("rm -r %s", made);
	return 0;
}

static struct tow_buf read_made(const char *file)
{
	struct tow_buf bytes = { NULL, 0, 0, 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", made, file);
	assert_int_equal(tow_file_read(path, 100000, &bytes, NULL), 0);
	return bytes;
}

/* --- a store, and an issuer that does as it is told --- */

struct bench {
	struct tow_loop *loop;
	struct tow_metrics *metrics;
	struct cert_store *store;
	char directory[64];
	unsigned wanted;
	const char *brings; /* at once, when asked; NULL: answers later */
	int refuses;        /* at once */
	unsigned visits;
	struct cert_info seen; /* the last visited; texts are copies */
	char seen_issuer[128], seen_error[TOW_ERROR_TEXT_SIZE];
};

static void open_store(struct bench *t)
{
	struct cert_store_config config = {
		.loop = t->loop,
		.metrics = t->metrics,
		.directory = t->directory,
	};

	assert_int_equal(tow__cert_store_new(&config, &t->store), 0);
}

static int setup(void **state)
{
	struct bench *t = calloc(1, sizeof(*t));

	snprintf(t->directory, sizeof(t->directory), "/tmp/towonel-store-XXXXXX");
	assert_non_null(mkdtemp(t->directory));
	t->loop = tow_loop_new();
	t->metrics = tow_metrics_new();
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bench *t = *state;

	tow__cert_store_free(t->store);
	tow_loop_free(t->loop);
	tow_metrics_free(t->metrics);
	shell("chmod -R u+w %s; rm -rf %s", t->directory, t->directory);
	free(t);
	return 0;
}

/* Puts a pair into the directory, as an operator would. */
static void put(struct bench *t, const char *pair, const char *name)
{
	shell("cp %s/%s.crt %s/%s.crt && cp %s/%s.key %s/%s.key && chmod 600 %s/%s.key", made, pair,
	      t->directory, name, made, pair, t->directory, name, t->directory, name);
}

static int install(struct bench *t, const char *pair, const char *name, struct tow_error *err)
{
	char file[64];
	struct tow_buf chain, key;
	int rc;

	snprintf(file, sizeof(file), "%s.crt", pair);
	chain = read_made(file);
	snprintf(file, sizeof(file), "%s.key", pair);
	key = read_made(file);
	rc = tow__cert_store_installed(t->store, name, tow_buf_peek(&chain), tow_buf_peek(&key), 0,
	                               err);
	tow_buf_deinit(&chain);
	tow_buf_deinit(&key);
	return rc;
}

static void on_wanted(void *user, const char *name)
{
	struct bench *t = user;

	t->wanted++;
	if (t->brings != NULL)
		assert_int_equal(install(t, t->brings, name, NULL), 0);
	if (t->refuses)
		tow__cert_store_failed(t->store, name, "not today", tow_wall_ms() + 60000);
}

static void use_issuer(struct bench *t)
{
	const struct cert_issuer issuer = { on_wanted, t };

	tow__cert_store_set_issuer(t->store, &issuer);
}

/* Everything that was to be written is. */
static void settle(struct bench *t)
{
	for (int i = 0; i < 50; i++) {
		tow_loop_dispatch(t->loop);
		usleep(2000);
	}
}

static void note(void *user, const struct cert_info *info)
{
	struct bench *t = user;

	t->visits++;
	t->seen = *info;
	snprintf(t->seen_issuer, sizeof(t->seen_issuer), "%s", info->issuer);
	snprintf(t->seen_error, sizeof(t->seen_error), "%s", info->last_error);
}

static const struct cert_info *list(struct bench *t)
{
	t->visits = 0;
	t->seen = (struct cert_info){ .name = NULL };
	tow__cert_store_each(t->store, note, t);
	return &t->seen;
}

struct visitor {
	struct cert_wait wait;
	unsigned told;
	struct tow_tls_context *got;
};

static void on_done(void *user, struct tow_tls_context *context)
{
	struct visitor *v = user;

	v->told++;
	v->got = context;
}

static int get(struct bench *t, const char *name, struct visitor *v)
{
	*v = (struct visitor){ .wait = { .done = on_done, .user = v } };
	return tow__cert_store_get(t->store, name, &v->wait, &v->got);
}

/* --- cases --- */

static void pairs_are_served_as_they_are(void **state)
{
	static const char *const pairs[] = { "a", "rsa", "old" };
	struct bench *t = *state;
	struct visitor v;

	for (size_t i = 0; i < 3; i++) {
		put(t, pairs[i], "a.test");
		open_store(t);
		use_issuer(t);
		assert_int_equal(list(t)->state, i == 2 ? CERT_EXPIRED : CERT_SERVED);
		assert_int_equal(t->visits, 1);
		assert_string_equal(t->seen_issuer, "one, root");
		assert_false(t->seen.issued);
		assert_int_equal(get(t, "a.test", &v), 0);
		assert_non_null(v.got);
		assert_int_equal(t->wanted, 0);
		tow__cert_store_free(t->store);
	}
	open_store(t);
	assert_int_equal(get(t, "b.test", &v), TOW_ENOTFOUND);
	assert_int_equal(list(t)->state, CERT_EXPIRED);
	assert_int_equal(t->visits, 1);
}

static void a_pair_that_changes_is_read_again(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	assert_int_equal(get(t, "a.test", &v), TOW_ENOTFOUND);
	put(t, "a", "a.test");
	assert_int_equal(get(t, "a.test", &v), 0);
	list(t);
	assert_string_equal(t->seen_issuer, "one, root");
	/* half of a pair changes nothing */
	shell("cp %s/a2.crt %s/a.test.crt", made, t->directory);
	assert_int_equal(get(t, "a.test", &v), 0);
	list(t);
	assert_string_equal(t->seen_issuer, "one, root");
	put(t, "a2", "a.test");
	assert_int_equal(get(t, "a.test", &v), 0);
	list(t);
	assert_string_equal(t->seen_issuer, "two, root");
	shell("rm %s/a.test.key", t->directory);
	assert_int_equal(get(t, "a.test", &v), TOW_ENOTFOUND);
}

static void what_cannot_be_used_is_not(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	put(t, "a", "a.test");
	shell("echo nonsense > %s/a.test.crt; cp %s/b.key %s/b.test.key; cp %s/a.crt "
	      "%s/b.test.crt; "
	      "echo '{' > %s/c.test.json; touch %s/not_a_name.crt; mkdir %s/d.test.crt "
	      "%s/d.test.key",
	      t->directory, made, t->directory, made, t->directory, t->directory, t->directory,
	      t->directory, t->directory);
	open_store(t);
	assert_int_equal(get(t, "a.test", &v), TOW_ENOTFOUND);
	assert_int_equal(get(t, "b.test", &v), TOW_ENOTFOUND);
	assert_int_equal(get(t, "c.test", &v), TOW_ENOTFOUND);
	assert_int_equal(get(t, "d.test", &v), TOW_ENOTFOUND);
	list(t);
	assert_int_equal(t->visits, 0);
}

static void the_issuer_is_asked_once(void **state)
{
	struct bench *t = *state;
	struct visitor v[20], other;

	open_store(t);
	use_issuer(t);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(get(t, "a.test", &v[i]), TOW_BLOCKED);
	assert_int_equal(t->wanted, 1);
	assert_int_equal(list(t)->state, CERT_ISSUING);
	tow__cert_wait_cancel(&v[7].wait);
	tow__cert_wait_cancel(&v[7].wait);
	assert_int_equal(get(t, "b.test", &other), TOW_BLOCKED);
	assert_int_equal(t->wanted, 2);
	assert_int_equal(install(t, "a", "a.test", NULL), 0);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(v[i].told, i != 7);
		assert_int_equal(v[i].got != NULL, i != 7);
	}
	assert_int_equal(other.told, 0);
	tow__cert_store_failed(t->store, "b.test", "no\nDNS", 0);
	assert_int_equal(other.told, 1);
	assert_null(other.got);
	assert_int_equal(get(t, "a.test", &v[0]), 0);
	assert_int_equal(t->wanted, 2);
}

static void who_waits_for_one_name_leaves_room_for_others(void **state)
{
	struct bench *t = *state;
	struct visitor *v = calloc(TOW_CERT_WAITS_MAX, sizeof(*v)), other;

	assert_non_null(v);
	open_store(t);
	use_issuer(t);
	for (size_t i = 0; i < TOW_CERT_WAITS_MAX; i++)
		(void)get(t, "a.test", &v[i]);
	assert_int_equal(get(t, "b.test", &other), TOW_BLOCKED);
	assert_null(v[TOW_CERT_WAITS_MAX - 1].wait.cert);
	assert_int_equal(install(t, "a", "a.test", NULL), 0);
	assert_int_equal(v[0].told, 1);
	assert_int_equal(get(t, "a.test", &v[0]), 0);
	tow__cert_wait_cancel(&other.wait);
	free(v);
}

static void what_the_issuer_brings_survives_a_restart(void **state)
{
	struct bench *t = *state;
	struct visitor v;
	struct stat st;
	char path[128];

	rmdir(t->directory); /* it is made */
	open_store(t);
	use_issuer(t);
	t->brings = "a";
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(t->wanted, 1);
	settle(t);
	snprintf(path, sizeof(path), "%s/a.test.key", t->directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	tow__cert_store_free(t->store);
	open_store(t);
	use_issuer(t);
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(t->wanted, 1);
	assert_true(list(t)->issued);
	assert_false(t->seen.unsaved);
	assert_in_range(t->seen.next_try_ms, t->seen.not_before_ms + 86400000,
	                t->seen.not_after_ms);
	/* somebody's own in its place is not the issuer's to renew */
	put(t, "a2", "a.test");
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_false(list(t)->issued);
	assert_int_equal(tow__cert_store_renew_at(t->store, "a.test", 1), TOW_ENOTFOUND);
}

/* A process that ends, or a disk that is full, between the record and the pair. */
static void a_renewal_that_was_not_written_is_made_up_for(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	use_issuer(t);
	t->brings = "a";
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(install(t, "a2", "a.test", NULL), 0);
	settle(t);
	tow__cert_store_free(t->store);
	put(t, "a", "a.test"); /* as it would still be */
	open_store(t);
	use_issuer(t);
	list(t);
	assert_string_equal(t->seen_issuer, "one, root");
	assert_true(t->seen.issued);
	t->brings = "a2";
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(t->wanted, 2);
	list(t);
	assert_string_equal(t->seen_issuer, "two, root");
}

/* The clock was wrong, or somebody has edited the record: no authority asks for years of patience. */
static void a_cooldown_of_years_is_none(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	use_issuer(t);
	assert_int_equal(get(t, "a.test", &v), TOW_BLOCKED);
	tow__cert_store_failed(t->store, "a.test", "no", tow_wall_ms() + 365ULL * 86400000);
	assert_int_equal(get(t, "a.test", &v), TOW_BLOCKED);
	tow__cert_store_failed(t->store, "a.test", "no", tow_wall_ms() + 29ULL * 86400000);
	assert_int_equal(get(t, "a.test", &v), TOW_EUNAVAILABLE);
	assert_int_equal(t->wanted, 2);
}

static void a_failure_is_remembered(void **state)
{
	struct bench *t = *state;
	uint64_t retry_at = tow_wall_ms() + 300000;
	struct visitor v;

	for (int round = 0; round < 2; round++) {
		open_store(t);
		use_issuer(t);
		if (round == 0) {
			assert_int_equal(get(t, "a.test", &v), TOW_BLOCKED);
			tow__cert_store_failed(t->store, "a.test", "port 80 is closed", retry_at);
			assert_int_equal(v.told, 1);
		}
		assert_int_equal(get(t, "a.test", &v), TOW_EUNAVAILABLE);
		assert_int_equal(t->wanted, 1);
		assert_int_equal(tow__cert_store_failures(t->store, "a.test"), 1);
		assert_int_equal(list(t)->state, CERT_FAILED);
		assert_int_equal(t->seen.next_try_ms, retry_at);
		assert_string_equal(t->seen_error, "port 80 is closed");
		settle(t);
		tow__cert_store_free(t->store);
	}
	open_store(t);
	use_issuer(t);
	assert_int_equal(install(t, "a", "a.test", NULL), 0);
	assert_int_equal(tow__cert_store_failures(t->store, "a.test"), 0);
	assert_int_equal(get(t, "a.test", &v), 0);
}

static void an_issued_one_is_renewed_while_it_serves(void **state)
{
	struct bench *t = *state;
	struct visitor v;
	struct tow_error err;

	open_store(t);
	use_issuer(t);
	t->brings = "a";
	assert_int_equal(get(t, "a.test", &v), 0);
	t->brings = NULL;
	assert_int_equal(tow__cert_store_renew_at(t->store, "a.test", tow_wall_ms()), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(t->wanted, 2);
	assert_int_equal(list(t)->state, CERT_RENEWING);
	assert_int_equal(install(t, "b", "a.test", &err), TOW_ECRYPTO);
	tow__cert_store_failed(t->store, "a.test", err.text, tow_wall_ms() + 60000);
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(list(t)->state, CERT_SERVED);
	assert_string_equal(t->seen_error, "the certificate is not for a.test");
	assert_int_equal(install(t, "a2", "a.test", &err), 0);
	list(t);
	assert_string_equal(t->seen_issuer, "two, root");
}

static void an_expired_one_is_served_when_there_is_nothing_better(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	use_issuer(t);
	assert_int_equal(install(t, "old", "a.test", NULL), 0);
	assert_int_equal(get(t, "a.test", &v), TOW_BLOCKED);
	assert_int_equal(list(t)->state, CERT_ISSUING);
	tow__cert_store_failed(t->store, "a.test", "no", tow_wall_ms() + 60000);
	assert_non_null(v.got);
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(list(t)->state, CERT_EXPIRED);
	assert_int_equal(install(t, "a", "a.test", NULL), 0);
	assert_int_equal(list(t)->state, CERT_SERVED);
}

static void an_answer_may_come_at_once(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	use_issuer(t);
	t->refuses = 1;
	assert_int_equal(get(t, "a.test", &v), TOW_EUNAVAILABLE);
	assert_int_equal(v.told, 0);
	/* its end is an answer too */
	t->refuses = 0;
	assert_int_equal(get(t, "b.test", &v), TOW_BLOCKED);
	tow__cert_store_set_issuer(t->store, NULL);
	assert_int_equal(v.told, 1);
	assert_int_equal(get(t, "b.test", &v), TOW_ENOTFOUND);
}

static void a_directory_that_cannot_be_written_costs_nothing_now(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	/* A file in its way stops root, too. */
	rmdir(t->directory);
	shell("touch %s", t->directory);
	open_store(t);
	use_issuer(t);
	t->brings = "a";
	assert_int_equal(get(t, "a.test", &v), 0);
	settle(t);
	assert_true(list(t)->unsaved);
	assert_int_equal(t->seen.state, CERT_SERVED);
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(t->wanted, 1);
}

static void what_is_being_written_will_be(void **state)
{
	struct bench *t = *state;
	struct visitor v;

	open_store(t);
	assert_int_equal(install(t, "a", "a.test", NULL), 0);
	tow__cert_store_failed(t->store, "b.test", "no", tow_wall_ms() + 60000);
	tow__cert_store_free(t->store);
	t->store = NULL;
	settle(t);
	open_store(t);
	assert_int_equal(get(t, "a.test", &v), 0);
	assert_int_equal(tow__cert_store_failures(t->store, "b.test"), 1);
}

static void a_challenge_is_apart(void **state)
{
	struct bench *t = *state;
	struct tow_buf chain = read_made("a.crt"), key = read_made("a.key");
	struct tow_slice none = { NULL, 0 };
	struct tow_error err;
	struct visitor v;

	open_store(t);
	assert_null(tow__cert_store_challenge(t->store, "a.test"));
	assert_int_equal(tow__cert_store_set_challenge(t->store, "a.test", tow_buf_peek(&chain),
	                                               tow_buf_peek(&key), &err),
	                 0);
	assert_non_null(tow__cert_store_challenge(t->store, "a.test"));
	assert_int_equal(get(t, "a.test", &v), TOW_ENOTFOUND);
	assert_int_equal(tow__cert_store_set_challenge(t->store, "a.test", none, none, &err), 0);
	assert_null(tow__cert_store_challenge(t->store, "a.test"));
	tow_buf_deinit(&chain);
	tow_buf_deinit(&key);
}

static void any_record_is_read_or_refused(void **state)
{
	struct cert_record record = {
		.renew_at_ms = 1, .failures = 2, .retry_at_ms = 3, .last_error = "\"no\""
	};
	struct cert_record got;
	struct tow_buf json = { NULL, 0, 0, 0 };

	(void)state;
	memset(record.issued, 7, sizeof(record.issued));
	memset(record.replaced, 8, sizeof(record.replaced));
	assert_int_equal(tow__cert_record_write(&record, &json), 0);
	for (size_t i = 0; i + 1 < tow_buf_len(&json); i++)
		assert_int_equal(tow__cert_record_read(tow_slice_make(json.base, i), &got),
		                 TOW_EPARSE);
	assert_int_equal(tow__cert_record_read(tow_buf_peek(&json), &got), 0);
	assert_memory_equal(got.issued, record.issued, sizeof(record.issued));
	assert_memory_equal(got.replaced, record.replaced, sizeof(record.replaced));
	assert_int_equal(got.renew_at_ms, 1);
	assert_int_equal(got.failures, 2);
	assert_int_equal(got.retry_at_ms, 3);
	assert_string_equal(got.last_error, "\"no\"");
	tow_buf_deinit(&json);
	assert_int_equal(tow__cert_record_read(tow_slice_of("{\"retry_at_ms\":-1}"), &got),
	                 TOW_EPARSE);
	assert_int_equal(tow__cert_record_read(tow_slice_of("{\"issued_sha256\":\"07\"}"), &got),
	                 TOW_EPARSE);
	assert_int_equal(tow__cert_record_read(tow_slice_of("[]"), &got), TOW_EPARSE);
	assert_int_equal(tow__cert_record_read(tow_slice_of("{}"), &got), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(pairs_are_served_as_they_are),
		CASE(a_pair_that_changes_is_read_again),
		CASE(what_cannot_be_used_is_not),
		CASE(the_issuer_is_asked_once),
		CASE(who_waits_for_one_name_leaves_room_for_others),
		CASE(what_the_issuer_brings_survives_a_restart),
		CASE(a_renewal_that_was_not_written_is_made_up_for),
		CASE(a_cooldown_of_years_is_none),
		CASE(a_failure_is_remembered),
		CASE(an_issued_one_is_renewed_while_it_serves),
		CASE(an_expired_one_is_served_when_there_is_nothing_better),
		CASE(an_answer_may_come_at_once),
		CASE(a_directory_that_cannot_be_written_costs_nothing_now),
		CASE(what_is_being_written_will_be),
		CASE(a_challenge_is_apart),
		cmocka_unit_test(any_record_is_read_or_refused),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
