/* SPDX-License-Identifier: MIT */
/*
 * The input is a sequence of events, one to a line. After each, a table made from the dump must dump
 * the same number of names and ports, and an event that was refused must have changed nothing.
 */
#include <assert.h>
#include <string.h>

#include <towonel/wire/route_table.h>

static void count(void *user, const struct tow_route_port *port)
{
	assert(port->port != 0);
	++*(size_t *)user;
}

static void dump(const struct tow_route_table *table, struct tow_buf *out)
{
	tow_buf_clear(out);
	assert(tow_route_table_dump(table, out) == 0);
}

static void check_copy(const struct tow_route_table *table, struct tow_slice snapshot)
{
	struct tow_route_table *copy = tow_route_table_new();
	struct tow_error err;
	size_t ports = 0, ports_of_copy = 0;

	assert(copy != NULL);
	assert(tow_route_table_apply(copy, snapshot, NULL, NULL, &err) == 0);
	assert(tow_route_table_version(copy) == tow_route_table_version(table));
	assert(tow_route_table_hostname_count(copy) == tow_route_table_hostname_count(table));
	tow_route_table_each_port(table, count, &ports);
	tow_route_table_each_port(copy, count, &ports_of_copy);
	assert(ports == ports_of_copy);
	tow_route_table_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_route_table *table = tow_route_table_new();
	struct tow_buf before = { .base = NULL }, after = { .base = NULL };

	assert(table != NULL);
	dump(table, &before);
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;
		struct tow_error err;
		int rc = tow_route_table_apply(table, tow_slice_make(data, len), NULL, NULL, &err);

		dump(table, &after);
		if (rc != 0)
			assert(tow_slice_equal(tow_buf_peek(&before), tow_buf_peek(&after)));
		else
			check_copy(table, tow_buf_peek(&after));
		tow_route_table_expire(table, 5);
		dump(table, &before);
		len += end != NULL;
		data += len;
		size -= len;
	}
	tow_route_table_free(table);
	tow_buf_deinit(&before);
	tow_buf_deinit(&after);
	return 0;
}
