/* SPDX-License-Identifier: MIT */
#include "acme_settings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LETS_ENCRYPT         "https://acme-v02.api.letsencrypt.org/directory"
#define LETS_ENCRYPT_STAGING "https://acme-staging-v02.api.letsencrypt.org/directory"

const char *acme_directory(const struct acme_settings *s)
{
	return s->directory ? s->directory : s->staging ? LETS_ENCRYPT_STAGING : LETS_ENCRYPT;
}

/* The first that means nothing without TOWONEL_EDGE_TLS_ACME_EMAIL. */
static const char *needless(const struct acme_settings *s)
{
	return s->directory      ? "TOWONEL_EDGE_TLS_ACME_DIRECTORY"
	       : s->staging      ? "TOWONEL_EDGE_TLS_ACME_STAGING"
	       : s->ca_file      ? "TOWONEL_EDGE_TLS_ACME_CA_FILE"
	       : s->binding_kid  ? "TOWONEL_EDGE_TLS_ACME_EAB_KID"
	       : s->binding_hmac ? "TOWONEL_EDGE_TLS_ACME_EAB_HMAC"
	                         : NULL;
}

/* Returns 0; TOW_ENOTFOUND when certificates are not to be asked for, TOW_ECONFIG. */
static int acme_read(const struct acme_settings *s, struct tow_edge_acme *out,
                     struct tow_error *err)
{
	if (!s->email && needless(s))
		return tow_error_set(err, TOW_ECONFIG,
		                     "%s: no certificates are asked for without "
		                     "TOWONEL_EDGE_TLS_ACME_EMAIL",
		                     needless(s));
	if (!s->email)
		return TOW_ENOTFOUND;
	if (!strchr(s->email, '@') || strpbrk(s->email, " \t,?"))
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_EDGE_TLS_ACME_EMAIL: \"%s\" is no address", s->email);
	if (s->directory && s->staging)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_EDGE_TLS_ACME_STAGING: set it or "
		                     "TOWONEL_EDGE_TLS_ACME_DIRECTORY, not both");
	if (strncmp(acme_directory(s), "https://", 8) != 0)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_EDGE_TLS_ACME_DIRECTORY: \"%s\" is no https URL",
		                     s->directory);
	if (s->ca_file && access(s->ca_file, R_OK) != 0)
		return tow_error_set(err, TOW_ECONFIG, "TOWONEL_EDGE_TLS_ACME_CA_FILE: %s: %s",
		                     s->ca_file, strerror(errno));
	*out = (struct tow_edge_acme){
		.directory_url = acme_directory(s),
		.ca_file = s->ca_file,
		.email = s->email,
		.binding_kid = s->binding_kid,
		.binding_hmac = s->binding_hmac,
	};
	return 0;
}

int acme_apply(const struct acme_settings *s, const struct tow_addr *http_listen, int http_is_set,
               struct tow_edge_acme *acme, struct tow_edge_config *config, struct tow_error *err)
{
	int rc = acme_read(s, acme, err);
	if (rc != 0 && rc != TOW_ENOTFOUND)
		return rc;
	config->acme = rc == 0 ? acme : NULL;
	config->http_listen = rc == 0 || http_is_set ? http_listen : NULL;
	config->http_optional = !http_is_set;
	return 0;
}
