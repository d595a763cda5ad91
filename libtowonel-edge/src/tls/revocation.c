/* SPDX-License-Identifier: MIT */

/*
 * A certificate's own key shows that whoever has it may revoke it (RFC 8555 section 7.6): no
 * account, and no edge that runs, are needed. The files go afterwards, chain first, which the edge
 * notices.
 */

#include <towonel/edge.h>

#include <stdio.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/hostname.h>
#include "tls/acme_run.h"
#include "tls/cert_files.h"

struct revocation {
	struct tow_loop *loop;
	struct acme_run run;
	struct tow_error *err;
	int rc;
};

static void on_done(void *user, enum acme_step how)
{
	struct revocation *r = user;

	r->rc = 0;
	if (how == ACME_FAILED)
		r->rc = tow_error_set(r->err, TOW_EHTTP, "%s",
		                      tow__acme_errand_failure(r->run.errand)->reason);
	tow_loop_stop(r->loop);
}

static int run(const struct tow_edge_revocation *revocation, struct acme_errand *errand,
               struct tow_error *err)
{
	struct revocation r = { .loop = tow_loop_new(), .err = err, .rc = TOW_ENOMEM };
	char agent[64];
	struct tow_http_client_config http = {
		.loop = r.loop,
		.ca_file = revocation->acme.ca_file,
		.user_agent = agent,
	};

	snprintf(agent, sizeof(agent), "towonel/%s", revocation->version);
	r.run.http = r.loop != NULL ? tow_http_client_new(&http) : NULL;
	if (r.run.http != NULL) {
		r.run.done = on_done;
		r.run.user = &r;
		tow__acme_run_init(&r.run, r.loop);
		tow__acme_run_start(&r.run, errand);
		tow_loop_run(r.loop);
		tow__acme_run_stop(&r.run);
		tow_http_client_free(r.run.http);
	} else {
		tow__acme_errand_free(errand);
		tow_error_set(err, TOW_ENOMEM, "out of memory");
	}
	if (r.loop != NULL)
		tow_loop_free(r.loop);
	return r.rc;
}

/* The certificate as the authority wants it, and its key. */
static int read_pair(const struct tow_edge_revocation *revocation, const char *name,
                     struct tow_buf *der, struct tow_ec_key **key, struct tow_error *err)
{
	struct tow_buf chain = { NULL, 0, 0, 0 }, pem = { NULL, 0, 0, 0 };
	int open_to_others;
	int rc = tow__cert_files_read(revocation->cert_dir, name, &chain, &pem, &open_to_others,
	                              err);

	if (rc == 0) {
		rc = tow_tls_certificate_der(tow_buf_peek(&chain), der);
		if (rc != 0)
			tow_error_set(err, rc, "%s.crt in %s is no certificate", name,
			              revocation->cert_dir);
	}
	if (rc == 0) {
		rc = tow_ec_key_parse(tow_buf_peek(&pem), key);
		if (rc != 0)
			tow_error_set(err, rc, "%s.key in %s is no P-256 key: not one of ours",
			              name, revocation->cert_dir);
	}
	tow_buf_deinit(&chain);
	tow_buf_wipe(&pem);
	return rc;
}

int tow_edge_revoke_certificate(const struct tow_edge_revocation *revocation, struct tow_error *err)
{
	struct acme_account account = { .directory_url = revocation->acme.directory_url };
	struct tow_buf der = { NULL, 0, 0, 0 };
	struct tow_ec_key *key = NULL;
	struct acme_errand *errand;
	char name[TOW_HOSTNAME_SIZE];
	int rc = tow_hostname_parse(tow_slice_of(revocation->hostname), TOW_HOSTNAME_EXACT, name,
	                            err);

	if (rc == 0)
		rc = read_pair(revocation, name, &der, &key, err);
	if (rc == 0) {
		rc = tow__acme_revoke(&account, tow_buf_peek(&der), key, &errand);
		if (rc != 0)
			tow_error_set(err, rc, "%s", tow_strerror(rc));
		else
			rc = run(revocation, errand, err);
	}
	if (rc == 0)
		rc = tow__cert_files_remove(revocation->cert_dir, name, err);
	tow_ec_key_free(key);
	tow_buf_deinit(&der);
	return rc;
}
