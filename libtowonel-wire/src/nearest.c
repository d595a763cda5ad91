/* SPDX-License-Identifier: MIT */
#include <towonel/wire/nearest.h>

#include <string.h>

#define LONGEST 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, row by row; only the last three rows are kept. */
static size_t edits(struct tow_slice a, struct tow_slice b)
{
	size_t rows[3][LONGEST + 1];

	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1,
			               above[j - 1] + (a.base[i - 1] != b.base[j - 1]));
			if (i > 1 && j > 1 && a.base[i - 1] == b.base[j - 2] &&
			    a.base[i - 2] == b.base[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

const char *tow_nearest(struct tow_slice word, const char *const *names, size_t count)
{
	const char *nearest = NULL;
	size_t fewest = word.len < 3 ? 1 : word.len / 3;

	if (!word.len || word.len > LONGEST)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		struct tow_slice name = tow_slice_of(names[i]);
		size_t n = name.len > LONGEST ? SIZE_MAX : edits(word, name);
		if (n < fewest || (n == fewest && !nearest)) {
			nearest = names[i];
			fewest = n;
		}
	}
	return nearest;
}
