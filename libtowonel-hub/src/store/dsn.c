/* SPDX-License-Identifier: MIT */
#include "store/dsn.h"

#include <stdio.h>
#include <string.h>

#include "store/libpq.h"

static const char *after_scheme(const char *dsn)
{
	static const char *const schemes[] = { "postgres://", "postgresql://" };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (!strncmp(dsn, schemes[i], strlen(schemes[i])))
			return dsn + strlen(schemes[i]);
	return NULL;
}

/* An "@" or "/" in a password that is not percent-encoded moves the border between password and
 * host. */
static int borders_are_clear(const char *rest)
{
	const char *at = strchr(rest, '@'), *slash = strchr(rest, '/'), *query = strchr(rest, '?');

	if (!at || (query && query < at && (!slash || query < slash)))
		return 1;
	if (slash && slash < at)
		return query && query < at; /* the "@" is an option's */
	at = strchr(at + 1, '@');
	return !at || (query && query < at);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (!strcmp(options->keyword, keyword))
			return options->val && *options->val ? options->val : NULL;
	return NULL;
}

static void describe(const PQconninfoOption *options, char *place, size_t cap)
{
	const char *host = value_of(options, "host"), *addr = value_of(options, "hostaddr"),
		   *port = value_of(options, "port"), *name = value_of(options, "dbname");

	if (!host)
		host = addr ? addr : "";
	snprintf(place, cap, "postgres://%.120s%s%.16s/%.80s", host, port ? ":" : "",
	         port ? port : "", name ? name : "");
}

int tow__dsn_check(const char *dsn, char *place, size_t cap, struct tow_error *err)
{
	const struct tow__pq *pq = tow__pq_load(err);
	const char *rest = after_scheme(dsn);
	PQconninfoOption *options;
	char *reason = NULL;

	if (!pq)
		return TOW_ECONFIG;
	if (!rest)
		return tow_error_set(err, TOW_ECONFIG,
		                     "this is no postgres://USER:PASSWORD@HOST:PORT/DATABASE");
	options = borders_are_clear(rest) ? pq->PQconninfoParse(dsn, &reason) : NULL;
	if (reason)
		pq->PQfreemem(reason); /* it would repeat what it does not understand */
	if (!options)
		return tow_error_set(err, TOW_ECONFIG,
		                     "this is no postgres://USER:PASSWORD@HOST:PORT/DATABASE, or "
		                     "its password has characters that want percent-encoding "
		                     "(%%40 for @, %%2F for /, %%3A for :, %%25 for %%)");
	describe(options, place, cap);
	for (PQconninfoOption *o = options; o->keyword; o++)
		if (o->val)
			explicit_bzero(o->val, strlen(o->val));
	pq->PQconninfoFree(options);
	return 0;
}
