/* SPDX-License-Identifier: MIT */
#include "heard.h"

#include <stdlib.h>
#include <string.h>

/* running out of memory leaves the entry out */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
	struct tow_id id;
	struct tow__heard_agent agent;
	UT_hash_handle hh;
};

struct tow__heard {
	struct entry *entries;
};

struct tow__heard *tow__heard_new(void)
{
	return calloc(1, sizeof(struct tow__heard));
}

static void drop(struct tow__heard *heard, struct entry *entry)
{
	HASH_DEL(heard->entries, entry);
	free(entry->agent.tunnels);
	free(entry);
}

void tow__heard_free(struct tow__heard *heard)
{
	if (!heard)
		return;
	while (heard->entries)
		drop(heard, heard->entries);
	free(heard);
}

static struct entry *find(const struct tow__heard *heard, const struct tow_id *id)
{
	struct entry *entry;

	HASH_FIND(hh, heard->entries, id->bytes, sizeof id->bytes, entry);
	return entry;
}

const struct tow__heard_agent *tow__heard_find(const struct tow__heard *heard,
                                               const struct tow_id *id)
{
	const struct entry *entry = find(heard, id);

	return entry ? &entry->agent : NULL;
}

static uint64_t last_ms(const struct entry *entry)
{
	const struct tow__heard_agent *agent = &entry->agent;

	return agent->heard_ms > agent->tunnel_ms ? agent->heard_ms : agent->tunnel_ms;
}

int tow__heard_maybe(const struct tow__heard *heard, const struct tow_id *id, uint64_t since_ms)
{
	const struct entry *entry = find(heard, id);

	return entry ? last_ms(entry) >= since_ms : HASH_COUNT(heard->entries) >= TOW__HEARD_MAX;
}

/* Those that went long ago make room. The head is the one that came first, which need not be the
 * one that was heard of least recently, so all are looked at; seldom, since many go at a time. */
static void make_room(struct tow__heard *heard, uint64_t now_ms)
{
	struct entry *entry, *next;

	if (HASH_COUNT(heard->entries) < TOW__HEARD_MAX)
		return;
	HASH_ITER(hh, heard->entries, entry, next)
	{
		if (last_ms(entry) + TOW__HEARD_KEPT_MS < now_ms)
			drop(heard, entry);
	}
}

static struct entry *add(struct tow__heard *heard, const struct tow_id *id, uint64_t now_ms)
{
	struct entry *entry;

	make_room(heard, now_ms);
	if (HASH_COUNT(heard->entries) >= TOW__HEARD_MAX)
		return NULL;
	entry = calloc(1, sizeof *entry);
	if (!entry)
		return NULL;
	entry->id = *id;
	HASH_ADD(hh, heard->entries, id.bytes, sizeof id->bytes, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return NULL;
	}
	return entry;
}

void tow__heard_put(struct tow__heard *heard, const struct tow_id *id,
                    const struct tow__heard_agent *agent)
{
	struct entry *entry = find(heard, id);
	uint64_t tunnel_ms;

	if (!entry)
		entry = add(heard, id, agent->heard_ms);
	if (!entry) {
		free(agent->tunnels);
		return;
	}
	free(entry->agent.tunnels);
	tunnel_ms = entry->agent.tunnel_ms;
	entry->agent = *agent;
	entry->agent.tunnel_ms = tunnel_ms;
}

void tow__heard_lost(struct tow__heard *heard, const struct tow_id *id, uint64_t now_ms)
{
	struct entry *entry = find(heard, id);

	if (!entry)
		entry = add(heard, id, now_ms);
	if (entry)
		entry->agent.tunnel_ms = now_ms;
}
