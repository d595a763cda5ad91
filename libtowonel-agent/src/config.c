/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdlib.h>
#include <string.h>

int tow__config_services(const struct tow_agent_config *config, struct tow_service_list *out,
                         struct tow_error *err)
{
	const struct {
		enum tow_service_kind kind;
		const char *text, *member;
	} lists[] = {
		{ TOW_SERVICE_HTTPS, config->services, "services" },
		{ TOW_SERVICE_TCP, config->tcp_services, "tcp_services" },
		{ TOW_SERVICE_UDP, config->udp_services, "udp_services" },
	};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		if (!lists[i].text)
			continue;
		int rc = tow_service_list_parse(out, lists[i].kind, tow_slice_of(lists[i].text),
		                                err);
		if (rc != 0) {
			tow_error_prefix(err, "%s", lists[i].member);
			return rc;
		}
	}
	int rc = tow_service_list_check(out, err);
	if (rc != 0)
		return tow_error_prefix(err, "services");
	if (out->count == 0)
		return tow_error_set(err, TOW_EINVAL, "services: there is no service to expose");
	return 0;
}

int tow__config_trusted(const struct tow_agent_config *config, struct tow_id **out,
                        struct tow_error *err)
{
	struct tow_id *ids;
	if (config->trusted_edge_count == 0) {
		*out = NULL;
		return 0;
	}
	ids = calloc(config->trusted_edge_count, sizeof *ids);
	if (!ids)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	for (size_t i = 0; i < config->trusted_edge_count; i++) {
		if (tow_id_parse(tow_slice_of(config->trusted_edges[i]), &ids[i]) != 0) {
			free(ids);
			return tow_error_set(
				err, TOW_EINVAL,
				"trusted_edges: item %zu is not 64 lowercase hex digits", i + 1);
		}
	}
	*out = ids;
	return 0;
}

void tow__config_warn(const struct tow_service_list *list, struct tow_log *log)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct tow_service *service = &list->items[i];
		if (service->kind == TOW_SERVICE_HTTPS && service->origin_server_name[0] &&
		    service->tls_mode == TOW_TLS_PASSTHROUGH)
			tow_log_warn(log,
			             "a service passes the visitor's TLS on, and has an "
			             "origin_server_name: its origin gets TLS inside of TLS",
			             tow_f_str("service", service->name));
	}
}

char **tow__config_authorities(const struct tow_service_list *list, size_t *count)
{
	char **names = calloc(list->count + 1, sizeof *names);
	for (size_t i = 0; names && i < list->count; i++) {
		char authority[TOW_AUTHORITY_SIZE];
		names[i] = strdup(tow_service_authority(&list->items[i], authority));
		if (!names[i]) {
			while (i > 0)
				free(names[--i]);
			free(names);
			return NULL;
		}
	}
	*count = list->count;
	return names;
}
