/* SPDX-License-Identifier: MIT */
#include "reconcile.h"

#include <stdlib.h>
#include <string.h>

/* Doubles an array when it is full. Returns the array, or NULL with the old one untouched. */
static void *grow(void *items, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return items;
	size_t wider = *cap ? *cap * 2 : 16;
	void *moved = reallocarray(items, wider, size);
	if (moved)
		*cap = wider;
	return moved;
}

static struct hub_item *find(const struct hub_state *state, enum tow_service_kind kind,
                             const char *name)
{
	for (size_t i = 0; i < state->count; i++)
		if (state->items[i].kind == kind && strcmp(state->items[i].name, name) == 0)
			return &state->items[i];
	return NULL;
}

static int put(struct hub_state *state, const struct hub_item *item)
{
	struct hub_item *known = find(state, item->kind, item->name);
	if (known) {
		*known = *item;
		return 0;
	}
	struct hub_item *items = grow(state->items, state->count, &state->cap, sizeof *items);
	if (!items)
		return TOW_ENOMEM;
	state->items = items;
	items[state->count++] = *item;
	return 0;
}

static void drop(struct hub_state *state, enum tow_service_kind kind, const char *name)
{
	struct hub_item *known = find(state, kind, name);
	if (known)
		*known = state->items[--state->count];
}

int tow__hub_state_fold(struct hub_state *state, const struct tow_entry *entry)
{
	struct hub_item item = {
		.tls_mode = entry->tls_mode,
		.http_mode = entry->http_mode,
		.listen_port = entry->listen_port,
		.port_count = entry->port_count,
		.idle_timeout_secs = entry->idle_timeout_secs,
		.access = entry->access,
	};
	const struct hub_item *known;
	memcpy(item.name, entry->name, sizeof item.name);
	if (entry->sequence > state->latest_sequence)
		state->latest_sequence = entry->sequence;

	switch (entry->op) {
	case TOW_ENTRY_SET_HOSTNAME_TLS: /* says nothing of who may come */
		known = find(state, TOW_SERVICE_HTTPS, entry->name);
		if (known)
			item.access = known->access;
		/* fall through */
	case TOW_ENTRY_UPSERT_HOSTNAME: item.kind = TOW_SERVICE_HTTPS; return put(state, &item);
	case TOW_ENTRY_UPSERT_TCP_SERVICE: item.kind = TOW_SERVICE_TCP; return put(state, &item);
	case TOW_ENTRY_UPSERT_UDP_SERVICE: item.kind = TOW_SERVICE_UDP; return put(state, &item);
	case TOW_ENTRY_DELETE_HOSTNAME: drop(state, TOW_SERVICE_HTTPS, entry->name); return 0;
	case TOW_ENTRY_DELETE_TCP_SERVICE: drop(state, TOW_SERVICE_TCP, entry->name); return 0;
	case TOW_ENTRY_DELETE_UDP_SERVICE: drop(state, TOW_SERVICE_UDP, entry->name); return 0;
	case TOW_ENTRY_LEAVE: state->count = 0; return 0;
	case TOW_ENTRY_UPSERT_AGENT:
	case TOW_ENTRY_REVOKE_AGENT: return 0;
	}
	return 0;
}

void tow__hub_state_deinit(struct hub_state *state)
{
	free(state->items);
	memset(state, 0, sizeof *state);
}

static const struct tow_service *find_wanted(const struct tow_service_list *wanted,
                                             const struct hub_item *item)
{
	for (size_t i = 0; i < wanted->count; i++)
		if (wanted->items[i].kind == item->kind &&
		    strcmp(wanted->items[i].name, item->name) == 0)
			return &wanted->items[i];
	return NULL;
}

static int same(const struct tow_service *service, const struct hub_item *item)
{
	if (tow_access_compare(&service->access, &item->access))
		return 0;
	if (service->kind == TOW_SERVICE_HTTPS)
		return service->tls_mode == item->tls_mode && service->http_mode == item->http_mode;
	return service->listen_port == item->listen_port &&
	       service->port_count == item->port_count &&
	       service->idle_timeout_secs == item->idle_timeout_secs;
}

static int share_a_port(const struct tow_service *service, const struct hub_item *item)
{
	return service->kind == item->kind &&
	       service->listen_port < (unsigned)item->listen_port + item->port_count &&
	       item->listen_port < (unsigned)service->listen_port + service->port_count;
}

/* Does the service have to let go of its ports before it claims others? When another one is to
 * have one of them: two services may swap. And when it goes elsewhere altogether: what it has is
 * then of no use, even if the hub refuses the new ones. One that grows keeps what it has. */
static int leaves_first(const struct tow_service_list *wanted, const struct tow_service *service,
                        const struct hub_item *item)
{
	if (item->kind == TOW_SERVICE_HTTPS)
		return 0;
	for (size_t i = 0; i < wanted->count; i++)
		if (&wanted->items[i] != service && share_a_port(&wanted->items[i], item))
			return 1;
	return !share_a_port(service, item);
}

static const enum tow_entry_op upsert_op[] = {
	[TOW_SERVICE_HTTPS] = TOW_ENTRY_UPSERT_HOSTNAME,
	[TOW_SERVICE_TCP] = TOW_ENTRY_UPSERT_TCP_SERVICE,
	[TOW_SERVICE_UDP] = TOW_ENTRY_UPSERT_UDP_SERVICE,
};
static const enum tow_entry_op delete_op[] = {
	[TOW_SERVICE_HTTPS] = TOW_ENTRY_DELETE_HOSTNAME,
	[TOW_SERVICE_TCP] = TOW_ENTRY_DELETE_TCP_SERVICE,
	[TOW_SERVICE_UDP] = TOW_ENTRY_DELETE_UDP_SERVICE,
};

static int append_delete(struct operations *operations, const struct hub_item *item)
{
	struct tow_entry entry = { .op = delete_op[item->kind] };
	memcpy(entry.name, item->name, TOW_HOSTNAME_SIZE);
	return tow__operations_append(operations, &entry);
}

static int append_upsert(struct operations *operations, const struct tow_service *service)
{
	struct tow_entry entry = {
		.op = upsert_op[service->kind],
		.tls_mode = service->tls_mode,
		.http_mode = service->http_mode,
		.listen_port = service->listen_port,
		.port_count = service->port_count,
		.idle_timeout_secs = service->idle_timeout_secs,
		.access = service->access,
	};
	memcpy(entry.name, service->name, TOW_HOSTNAME_SIZE);
	return tow__operations_append(operations, &entry);
}

int tow__operations_append(struct operations *operations, const struct tow_entry *entry)
{
	struct tow_entry *items =
		grow(operations->items, operations->count, &operations->cap, sizeof *items);
	if (!items)
		return TOW_ENOMEM;
	operations->items = items;
	items[operations->count++] = *entry;
	return 0;
}

int tow__reconcile(const struct tow_service_list *wanted, const struct hub_state *has,
                   struct operations *out)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < has->count; i++) {
		const struct hub_item *item = &has->items[i];
		const struct tow_service *service = find_wanted(wanted, item);
		if (!service || (!same(service, item) && leaves_first(wanted, service, item)))
			rc = append_delete(out, item);
	}
	for (size_t i = 0; rc == 0 && i < wanted->count; i++) {
		const struct tow_service *service = &wanted->items[i];
		const struct hub_item *item = find(has, service->kind, service->name);
		if (!item || !same(service, item))
			rc = append_upsert(out, service);
	}
	return rc;
}

void tow__operations_deinit(struct operations *operations)
{
	free(operations->items);
	memset(operations, 0, sizeof *operations);
}
