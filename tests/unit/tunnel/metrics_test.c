/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/metrics.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static double read_number(void *user)
{
	return *(double *)user;
}

static char *rendered(struct tow_metrics *metrics)
{
	struct tow_buf out = { 0 };

	assert_int_equal(tow_metrics_render(metrics, &out), 0);
	assert_int_equal(tow_buf_append(&out, "", 1), 0);
	return (char *)out.base;
}

static void families_stay_together(void **state)
{
	struct tow_metrics *metrics = tow_metrics_new();
	struct tow_metric *a, *b, *c;
	double seconds = 1.5, odd = INFINITY;
	char *text;

	(void)state;
	a = tow_metrics_series(metrics, TOW_METRIC_COUNTER, "bytes_total", "way=\"in\"", "Bytes.");
	b = tow_metrics_series(metrics, TOW_METRIC_GAUGE, "open", NULL, "Back\\slash\nand line.");
	c = tow_metrics_series(metrics, TOW_METRIC_COUNTER, "bytes_total", "way=\"out\"", "Bytes.");
	assert_ptr_equal(tow_metrics_series(metrics, TOW_METRIC_COUNTER, "bytes_total",
	                                    "way=\"in\"", "Bytes."),
	                 a);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "age", NULL, "Age.", read_number, &odd);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "age", NULL, "Age.", read_number, &seconds);
	tow_metric_add(a, 1234567890123);
	tow_metric_inc(b);
	tow_metric_inc(b);
	tow_metric_dec(b);
	tow_metric_set(c, 7);
	assert_int_equal(tow_metric_get(c), 7);
	text = rendered(metrics);
	assert_string_equal(text, "# HELP bytes_total Bytes.\n"
	                          "# TYPE bytes_total counter\n"
	                          "bytes_total{way=\"in\"} 1234567890123\n"
	                          "bytes_total{way=\"out\"} 7\n"
	                          "# HELP open Back\\\\slash\\nand line.\n"
	                          "# TYPE open gauge\n"
	                          "open 1\n"
	                          "# HELP age Age.\n"
	                          "# TYPE age gauge\n"
	                          "age 1.5\n");
	free(text);
	seconds = NAN;
	text = rendered(metrics);
	assert_non_null(strstr(text, "\nage NaN\n"));
	free(text);
	tow_metrics_free(metrics);
	tow_metrics_free(NULL);
}

static void labels_are_escaped_and_cut(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(tow_metric_label(out, sizeof out, "a", "b"), "a=\"b\"");
	assert_string_equal(tow_metric_label(out, sizeof out, "a", "\"\\\n"), "a=\"\\\"\\\\\\n\"");
	assert_string_equal(tow_metric_label(out, sizeof out, "a", "0123456789abc"),
	                    "a=\"0123456789a\"");
	assert_string_equal(tow_metric_label(out, sizeof out, "a", "0123456789\xe2\x82\xac!"),
	                    "a=\"0123456789\"");
	assert_string_equal(tow_metric_label(out, sizeof out, "a", "0123456789\n"),
	                    "a=\"0123456789\"");
	assert_string_equal(tow_metric_label(out, 3, "a", "b"), "");
	for (size_t cap = 4; cap <= sizeof out; cap++)
		assert_true(strlen(tow_metric_label(out, cap, "a",
		                                    "\"\xc3\xa9\"\xc3\xa9\xc3\xa9")) < cap);
}

static double sample(const char *text, const char *name)
{
	char line[128];
	const char *at;

	snprintf(line, sizeof line, "\n%s ", name);
	at = strstr(text, line);
	assert_non_null(at);
	return strtod(at + strlen(line), NULL);
}

static void the_process_is_measured(void **state)
{
	struct tow_metrics *metrics = tow_metrics_new();
	char *text;
	double now;

	(void)state;
	tow_metrics_add_process(metrics);
	text = rendered(metrics);
	now = (double)time(NULL);
	assert_true(sample(text, "process_resident_memory_bytes") > 100000);
	assert_true(sample(text, "process_resident_memory_bytes") < 1e12);
	assert_true(sample(text, "process_open_fds") >= 3);
	assert_true(sample(text, "process_max_fds") >= sample(text, "process_open_fds"));
	assert_true(sample(text, "process_cpu_seconds_total") >= 0);
	assert_true(sample(text, "process_start_time_seconds") > now - 3600);
	assert_true(sample(text, "process_start_time_seconds") < now + 2);
	free(text);
	tow_metrics_free(metrics);
}

enum { THREADS = 4, ROUNDS = 20000, SERIES = 50 };

static void *count(void *arg)
{
	char name[32];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof name, "series_%d", i % SERIES);
		tow_metric_inc(tow_metrics_series(arg, TOW_METRIC_COUNTER, name, NULL, "One."));
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct tow_metrics *metrics = tow_metrics_new();
	pthread_t threads[THREADS];
	int64_t sum = 0;
	char name[32];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, metrics), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SERIES; i++) {
		snprintf(name, sizeof name, "series_%d", i);
		sum += tow_metric_get(
			tow_metrics_series(metrics, TOW_METRIC_COUNTER, name, NULL, "One."));
	}
	assert_int_equal(sum, THREADS * ROUNDS);
	tow_metrics_free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_stay_together),
		cmocka_unit_test(labels_are_escaped_and_cut),
		cmocka_unit_test(the_process_is_measured),
		cmocka_unit_test(threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
