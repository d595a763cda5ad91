/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>

#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/*
 * Series are kept by family, in the order in which they were made, since the text format wants all
 * series of a family together below its HELP and TYPE. Making a series, and rendering, take a lock;
 * adding to one takes none.
 */

struct series {
	struct tow_metric metric;   /* first: what callers hold */
	double (*read)(void *user); /* NULL: the metric's own value */
	void *user;
	char *labels;
	struct series *next; /* of the family */
	UT_hash_handle hh;   /* in the family, by labels */
};

struct family {
	char *name;
	char *help;
	enum tow_metric_kind kind;
	struct series *first, **end;
	struct series *by_labels;
	struct family *next;
	UT_hash_handle hh;
};

struct tow_metrics {
	pthread_mutex_t lock;
	struct family *first, **end;
	struct family *by_name;
	struct tow_metric spare; /* counts for nobody, when memory is short */
};

struct tow_metrics *tow_metrics_new(void)
{
	struct tow_metrics *metrics = calloc(1, sizeof *metrics);

	if (!metrics)
		return NULL;
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->end = &metrics->first;
	return metrics;
}

static void free_series(struct series *series)
{
	free(series->labels);
	free(series);
}

static void free_family(struct family *family)
{
	struct series *next;

	HASH_CLEAR(hh, family->by_labels);
	for (struct series *series = family->first; series; series = next) {
		next = series->next;
		free_series(series);
	}
	free(family->name);
	free(family->help);
	free(family);
}

void tow_metrics_free(struct tow_metrics *metrics)
{
	struct family *next;

	if (!metrics)
		return;
	HASH_CLEAR(hh, metrics->by_name);
	for (struct family *family = metrics->first; family; family = next) {
		next = family->next;
		free_family(family);
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

static struct family *find_family(struct tow_metrics *metrics, enum tow_metric_kind kind,
                                  const char *name, const char *help)
{
	struct family *family, *added;

	HASH_FIND_STR(metrics->by_name, name, family);
	if (family) {
		assert(family->kind == kind);
		return family;
	}
	family = calloc(1, sizeof *family);
	if (!family)
		return NULL;
	family->kind = kind;
	family->end = &family->first;
	family->name = strdup(name);
	family->help = strdup(help);
	if (!family->name || !family->help)
		goto fail;
	HASH_ADD_KEYPTR(hh, metrics->by_name, family->name, strlen(family->name), family);
	HASH_FIND_STR(metrics->by_name, name, added);
	if (!added)
		goto fail;
	*metrics->end = family;
	metrics->end = &family->next;
	return family;
fail:
	free_family(family);
	return NULL;
}

static struct series *find_series(struct tow_metrics *metrics, enum tow_metric_kind kind,
                                  const char *name, const char *labels, const char *help)
{
	struct family *family = find_family(metrics, kind, name, help);
	struct series *series, *added;

	if (!family)
		return NULL;
	HASH_FIND_STR(family->by_labels, labels, series);
	if (series)
		return series;
	series = calloc(1, sizeof *series);
	if (!series)
		return NULL;
	series->labels = strdup(labels);
	if (!series->labels)
		goto fail;
	HASH_ADD_KEYPTR(hh, family->by_labels, series->labels, strlen(series->labels), series);
	HASH_FIND_STR(family->by_labels, labels, added);
	if (!added)
		goto fail;
	*family->end = series;
	family->end = &series->next;
	return series;
fail:
	free_series(series);
	return NULL;
}

struct tow_metric *tow_metrics_series(struct tow_metrics *metrics, enum tow_metric_kind kind,
                                      const char *name, const char *labels, const char *help)
{
	struct series *series;

	pthread_mutex_lock(&metrics->lock);
	series = find_series(metrics, kind, name, labels ? labels : "", help);
	pthread_mutex_unlock(&metrics->lock);
	return series ? &series->metric : &metrics->spare;
}

void tow_metrics_callback(struct tow_metrics *metrics, enum tow_metric_kind kind, const char *name,
                          const char *labels, const char *help, double (*read)(void *user),
                          void *user)
{
	struct series *series;

	pthread_mutex_lock(&metrics->lock);
	series = find_series(metrics, kind, name, labels ? labels : "", help);
	if (series) {
		series->read = read;
		series->user = user;
	}
	pthread_mutex_unlock(&metrics->lock);
}

char *tow_metric_label(char *out, size_t cap, const char *name, const char *value)
{
	int n = snprintf(out, cap, "%s=\"", name);
	size_t at = n < 0 ? 0 : (size_t)n;

	if (cap < 4 || at > cap - 2) {
		if (cap)
			out[0] = '\0';
		return out;
	}
	for (; *value; value++) {
		char escaped = *value == '\n' ? 'n' : *value;
		size_t need = *value == '\n' || *value == '"' || *value == '\\' ? 2 : 1;
		if (at + need > cap - 2)
			break;
		if (need == 2)
			out[at++] = '\\';
		out[at++] = escaped;
	}
	/* A cut must not leave the beginning of a character. */
	if (*value)
		while (at > (size_t)n && (*value & 0xc0) == 0x80)
			value--, at--;
	out[at++] = '"';
	out[at] = '\0';
	return out;
}

static int render_help(const struct family *family, struct tow_buf *out)
{
	int status = tow_buf_printf(out, "# HELP %s ", family->name);

	for (const char *p = family->help; *p && !status; p++) {
		if (*p == '\n' || *p == '\\')
			status = tow_buf_append(out, *p == '\n' ? "\\n" : "\\\\", 2);
		else
			status = tow_buf_append(out, p, 1);
	}
	if (status)
		return status;
	return tow_buf_printf(out, "\n# TYPE %s %s\n", family->name,
	                      family->kind == TOW_METRIC_COUNTER ? "counter" : "gauge");
}

static int render_value(const struct series *series, struct tow_buf *out)
{
	double value;

	if (!series->read)
		return tow_buf_printf(out, " %lld\n", (long long)tow_metric_get(&series->metric));
	value = series->read(series->user);
	if (isnan(value))
		return tow_buf_append_text(out, " NaN\n");
	if (isinf(value))
		return tow_buf_append_text(out, value > 0 ? " +Inf\n" : " -Inf\n");
	return tow_buf_printf(out, " %.17g\n", value);
}

static int render_series(const struct family *family, const struct series *series,
                         struct tow_buf *out)
{
	int status = tow_buf_append_text(out, family->name);

	if (!status && *series->labels)
		status = tow_buf_printf(out, "{%s}", series->labels);
	return status ? status : render_value(series, out);
}

int tow_metrics_render(struct tow_metrics *metrics, struct tow_buf *out)
{
	int status = 0;

	pthread_mutex_lock(&metrics->lock);
	for (struct family *family = metrics->first; family && !status; family = family->next) {
		status = render_help(family, out);
		for (struct series *series = family->first; series && !status;
		     series = series->next)
			status = render_series(family, series, out);
	}
	pthread_mutex_unlock(&metrics->lock);
	return status;
}

/* --- the process --- */

/* The nth field of /proc/self/stat after the command's name, which is the second; state is the
 * third. */
static double stat_field(int n)
{
	char text[1024], *p;
	FILE *file = fopen("/proc/self/stat", "re");
	size_t len;

	if (!file)
		return NAN;
	len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = '\0';
	p = strrchr(text, ')'); /* the name may hold anything */
	for (int i = 2; p && i < n; i++)
		p = strchr(p + 1, ' ');
	return p ? strtod(p, NULL) : NAN;
}

static double resident_bytes(void *user)
{
	(void)user;
	return stat_field(24) * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void *user)
{
	struct rusage usage;

	(void)user;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double open_fds(void *user)
{
	DIR *dir = opendir("/proc/self/fd");
	double count = -1; /* the directory's own */
	const struct dirent *entry;

	(void)user;
	if (!dir)
		return NAN;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			count++;
	closedir(dir);
	return count;
}

static double max_fds(void *user)
{
	struct rlimit limit;

	(void)user;
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur;
}

/* Since the epoch: the kernel has it since boot. */
static double start_seconds(void *user)
{
	struct timespec up;
	double started = stat_field(22) / (double)sysconf(_SC_CLK_TCK);

	(void)user;
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)tow_wall_ms() / 1e3 - ((double)up.tv_sec + (double)up.tv_nsec / 1e9) +
	       started;
}

void tow_metrics_add_process(struct tow_metrics *metrics)
{
	tow_metrics_callback(metrics, TOW_METRIC_COUNTER, "process_cpu_seconds_total", NULL,
	                     "Total user and system CPU time spent in seconds.", cpu_seconds, NULL);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "process_resident_memory_bytes", NULL,
	                     "Resident memory size in bytes.", resident_bytes, NULL);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "process_open_fds", NULL,
	                     "Number of open file descriptors.", open_fds, NULL);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "process_max_fds", NULL,
	                     "Maximum number of open file descriptors.", max_fds, NULL);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "process_start_time_seconds", NULL,
	                     "Start time of the process since unix epoch in seconds.",
	                     start_seconds, NULL);
}
