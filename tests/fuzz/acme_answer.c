/* SPDX-License-Identifier: MIT */
/* What an ACME server answers: the same bytes as each kind of message, and as each header field. What
 * is taken is fit to be asked for, published, and put into a line of the log. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tls/acme_message.h"

static void check_url(const char *url)
{
	assert(strlen(url) < TOW_URL_MAX && strncmp(url, "https://", 8) == 0);
	assert(strpbrk(url, "\" \\\r\n") == NULL);
}

static void check_problem(const struct acme_problem *problem)
{
	assert(strlen(problem->type) < sizeof problem->type);
	assert(strpbrk(problem->detail, "\r\n") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice bytes = tow_slice_make(data, size);
	struct acme_directory directory;
	struct acme_order_object order;
	struct acme_authorization authorization;
	struct acme_window window;
	struct acme_problem problem;
	char *field = strndup((const char *)data, size);

	if (tow__acme_read_directory(bytes, &directory, NULL) == 0) {
		check_url(directory.new_nonce);
		check_url(directory.new_order);
	}
	if (tow__acme_read_order(bytes, &order, NULL) == 0) {
		check_url(order.authorization);
		check_url(order.finalize);
		check_problem(&order.problem);
	}
	if (tow__acme_read_authorization(bytes, &authorization, NULL) == 0) {
		for (size_t i = 0; i < ACME_CHALLENGE_TYPES; i++) {
			const struct acme_challenge *challenge = &authorization.challenges[i];
			if (challenge->url[0] == '\0')
				continue;
			check_url(challenge->url);
			assert(strlen(challenge->token) > 0 &&
			       !strpbrk(challenge->token, "./\r\n"));
		}
		check_problem(&authorization.problem);
	}
	if (tow__acme_read_window(bytes, &window, NULL) == 0)
		assert(window.start_ms <= window.end_ms);
	(void)tow__acme_has_contact(bytes, "mailto:admin@example.eu");
	tow__acme_read_problem(bytes, &problem);
	check_problem(&problem);
	assert(field && tow__acme_retry_after(field, 1) <= TOW_ACME_RETRY_AFTER_MAX_MS);
	free(field);
	return 0;
}
