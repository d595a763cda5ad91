/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_METRICS_H
#define TOWONEL_TUNNEL_METRICS_H

/*
 * Counters and gauges in Prometheus' text format (version 0.0.4). A registry belongs to
 * one program part (hub, edge, agent) and is rendered by its /metrics. Adding to a series is one
 * relaxed atomic, from any thread. Labels are fixed when a series is made; there is no way to make
 * one from what a peer sent except through a name that the caller has bounded.
 */

#include <stdint.h>
#include <towonel/wire/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_metrics;

enum tow_metric_kind {
	TOW_METRIC_COUNTER,
	TOW_METRIC_GAUGE,
};

/* One time series. Lives as long as its registry. */
struct tow_metric {
	int64_t value; /* only through the functions below: atomic */
};

struct tow_metrics *tow_metrics_new(void); /* NULL: out of memory */
void tow_metrics_free(struct tow_metrics *metrics);

/* Finds or makes a series. name, help and labels are copied; labels is NULL or `a="x",b="y"`
 * (values escaped by the caller with tow_metric_label). Never NULL: when out of memory it gives a
 * series that is not rendered. */
struct tow_metric *tow_metrics_series(struct tow_metrics *metrics, enum tow_metric_kind kind,
                                      const char *name, const char *labels, const char *help);
/* A series whose value is asked for at rendering time, on the rendering thread. Values that are
 * seconds or ratios are doubles. */
void tow_metrics_callback(struct tow_metrics *metrics, enum tow_metric_kind kind, const char *name,
                          const char *labels, const char *help, double (*read)(void *user),
                          void *user);
/* process_resident_memory_bytes, process_open_fds, process_cpu_seconds_total,
 * process_start_time_seconds, process_max_fds under their usual names. */
void tow_metrics_add_process(struct tow_metrics *metrics);

static inline void tow_metric_add(struct tow_metric *metric, int64_t delta)
{
	__atomic_fetch_add(&metric->value, delta, __ATOMIC_RELAXED);
}
static inline void tow_metric_inc(struct tow_metric *metric) { tow_metric_add(metric, 1); }
static inline void tow_metric_dec(struct tow_metric *metric) { tow_metric_add(metric, -1); }
static inline void tow_metric_set(struct tow_metric *metric, int64_t value)
{
	__atomic_store_n(&metric->value, value, __ATOMIC_RELAXED);
}
static inline int64_t tow_metric_get(const struct tow_metric *metric)
{
	return __atomic_load_n(&metric->value, __ATOMIC_RELAXED);
}

/* `name="value"` with the value escaped, cut to fit. Returns out. */
char *tow_metric_label(char *out, size_t cap, const char *name, const char *value);

/* Appends the exposition text. Returns 0, TOW_ENOMEM. */
int tow_metrics_render(struct tow_metrics *metrics, struct tow_buf *out);

#ifdef __cplusplus
}
#endif
#endif
