/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <stdlib.h>
#include <string.h>

struct agent_event_record {
	struct tow_agent_event event;
	char *edge_address;
	char *service;
	char *text;
};

static void record_clear(struct agent_event_record *record)
{
	free(record->edge_address);
	free(record->service);
	free(record->text);
	memset(record, 0, sizeof *record);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

void tow__events_push(struct agent_events *events, const struct tow_agent_event *event)
{
	if (!events->slots) {
		events->slots = calloc(AGENT_EVENTS_MAX, sizeof *events->slots);
		if (!events->slots)
			return;
	}
	if (events->count == AGENT_EVENTS_MAX) {
		record_clear(&events->slots[events->first]);
		events->first = (events->first + 1) % AGENT_EVENTS_MAX;
		events->count--;
	}
	struct agent_event_record *record =
		&events->slots[(events->first + events->count) % AGENT_EVENTS_MAX];
	record_clear(record);
	record->edge_address = copy(event->edge_address);
	record->service = copy(event->service);
	record->text = copy(event->text);
	record->event = *event;
	record->event.edge_address = record->edge_address;
	record->event.service = record->service;
	record->event.text = record->text;
	events->count++;
}

int tow__events_take(struct agent_events *events, struct tow_agent_event *out)
{
	if (events->given) {
		record_clear(events->given);
		free(events->given);
		events->given = NULL;
	}
	if (events->count == 0)
		return 0;
	struct agent_event_record *slot = &events->slots[events->first];
	events->first = (events->first + 1) % AGENT_EVENTS_MAX;
	events->count--;
	*out = slot->event;
	events->given = malloc(sizeof *events->given);
	if (events->given) {
		*events->given = *slot;
		memset(slot, 0, sizeof *slot);
	} else {
		out->edge_address = out->service = out->text = NULL;
		record_clear(slot);
	}
	return 1;
}

void tow__events_deinit(struct agent_events *events)
{
	struct tow_agent_event ignored;
	while (tow__events_take(events, &ignored) == 1)
		;
	free(events->slots);
	memset(events, 0, sizeof *events);
}
