/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/key_file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A key is written to a file of its own name aside, synced, and linked to its path: link(2) fails
 * when the path is there already, so of two processes that race one wins and the other reads the
 * winner's key, and a crash leaves a stray temporary file at worst, never half a key.
 */

#define CHUNK        4096
#define KEY_TEXT_MAX 256 /* more than any of the formats, and than anyone's stray blanks */

static int file_error(struct tow_error *err, const char *verb, const char *path, int error_number)
{
	int code = error_number == EACCES || error_number == EPERM || error_number == EROFS
	                   ? TOW_EDENIED
	           : error_number == ENOSPC || error_number == EDQUOT ? TOW_EUNAVAILABLE
	           : error_number == ENOENT                           ? TOW_ENOTFOUND
	                                                              : TOW_EIO;

	return tow_error_set(err, code, "cannot %s %s: %s", verb, path, strerror(error_number));
}

/* As file_error, where a missing directory is no outcome that callers look for. */
static int write_error(struct tow_error *err, const char *verb, const char *path, int error_number)
{
	int code = file_error(err, verb, path, error_number);

	if (code != TOW_ENOTFOUND)
		return code;
	if (err)
		err->code = TOW_EIO;
	return TOW_EIO;
}

static int write_all(int fd, struct tow_slice bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.base, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes.base += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

/* path's directory, with the slash; "./" when it names none. 0, TOW_EIO. */
static int directory_of(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;

	if (len >= PATH_MAX - 8)
		return TOW_EIO;
	memcpy(dir, path, len);
	memcpy(dir + len, len ? "" : "./", len ? 1 : 3);
	return 0;
}

/* Makes what has happened in the directory last. */
static int sync_directory(const char *path, struct tow_error *err)
{
	char dir[PATH_MAX];
	int fd, status = 0;

	if (directory_of(path, dir))
		return file_error(err, "sync", path, ENAMETOOLONG);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* EINVAL: a file system that syncs no directories. */
	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		status = write_error(err, "sync", dir, errno);
	if (fd >= 0)
		close(fd);
	return status;
}

/* Writes and syncs a temporary file beside path; temp gets its name. 0, TOW_EDENIED, TOW_EIO,
 * TOW_EUNAVAILABLE. */
static int write_aside(const char *path, struct tow_slice bytes, unsigned mode, char temp[PATH_MAX],
                       struct tow_error *err)
{
	int len = snprintf(temp, PATH_MAX, "%s.XXXXXX", path), fd, status = 0;

	if (len < 0 || len >= PATH_MAX)
		return file_error(err, "write", path, ENAMETOOLONG);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return write_error(err, "write", path, errno);
	if (write_all(fd, bytes) || fchmod(fd, (mode_t)mode) || fsync(fd))
		status = write_error(err, "write", path, errno);
	if (close(fd) && !status)
		status = write_error(err, "write", path, errno);
	if (status)
		unlink(temp);
	return status;
}

int tow_file_replace(const char *path, struct tow_slice bytes, unsigned mode, struct tow_error *err)
{
	char temp[PATH_MAX];
	int status = write_aside(path, bytes, mode, temp, err);

	if (status)
		return status;
	if (rename(temp, path)) {
		status = write_error(err, "write", path, errno);
		unlink(temp);
		return status;
	}
	return sync_directory(path, err);
}

int tow_file_create(const char *path, struct tow_slice bytes, unsigned mode, struct tow_error *err)
{
	char temp[PATH_MAX];
	int status = write_aside(path, bytes, mode, temp, err);

	if (status)
		return status;
	if (link(temp, path))
		status = errno == EEXIST
		                 ? tow_error_set(err, TOW_ECONFLICT, "%s is there already", path)
		                 : write_error(err, "write", path, errno);
	unlink(temp);
	return status ? status : sync_directory(path, err);
}

static int read_descriptor(int fd, const char *path, size_t max, struct tow_buf *out,
                           struct tow_error *err)
{
	struct stat st;
	size_t room;

	if (fstat(fd, &st))
		return file_error(err, "read", path, errno);
	if (S_ISDIR(st.st_mode))
		return file_error(err, "read", path, EISDIR);
	/* Reserved at once, as a buffer that grows would leave pieces of a secret behind. A file of
	 * no size may be one that the kernel makes up. */
	room = st.st_size > 0 ? (size_t)st.st_size + 1 : CHUNK;
	if (room > max + 1)
		room = max + 1;
	for (;;) {
		uint8_t *to = tow_buf_reserve(out, room);
		ssize_t n;
		if (!to)
			return tow_error_set(err, TOW_ENOMEM, "cannot read %s: out of memory",
			                     path);
		n = read(fd, to, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(err, "read", path, errno);
		if (!n)
			return 0;
		if ((size_t)n > max)
			return tow_error_set(err, TOW_ETOOBIG,
			                     "cannot read %s: it is larger than expected", path);
		tow_buf_commit(out, (size_t)n);
		max -= (size_t)n;
		room = room > (size_t)n ? room - (size_t)n : max < CHUNK ? max + 1 : CHUNK;
	}
}

int tow_file_read(const char *path, size_t max, struct tow_buf *out, struct tow_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), status;

	if (fd < 0)
		return file_error(err, "read", path, errno);
	status = read_descriptor(fd, path, max, out, err);
	close(fd);
	return status;
}

static int check_mode(int fd, const char *path, struct tow_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return file_error(err, "read", path, errno);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return tow_error_set(err, TOW_EDENIED,
		                     "%s holds a secret and others can read it; run: chmod 600 %s",
		                     path, path);
	return 0;
}

/* The one line without the newline that editors and echo leave. */
static struct tow_slice trim(struct tow_slice text)
{
	while (text.len && (text.base[text.len - 1] == '\n' || text.base[text.len - 1] == '\r'))
		text.len--;
	return text;
}

static int parse_key(const char *path, enum tow_key_format format, struct tow_slice bytes,
                     uint8_t key[TOW_SECRET_SIZE], struct tow_error *err)
{
	static const char *const wanted[] = { [TOW_KEY_RAW] = "32 bytes",
		                              [TOW_KEY_HEX] = "64 hex digits",
		                              [TOW_KEY_BASE64URL] = "43 characters of base64url",
		                              [TOW_KEY_SEED] = "32 bytes, or 64 hex digits" };
	uint8_t parsed[TOW_SECRET_SIZE];
	int n = -1;

	if (format == TOW_KEY_HEX) {
		n = tow_hex_decode(trim(bytes), parsed, sizeof parsed);
	} else if (format == TOW_KEY_BASE64URL) {
		n = tow_base64url_decode(trim(bytes), parsed, sizeof parsed);
	} else if (format == TOW_KEY_SEED) {
		n = tow_seed_parse(bytes, parsed, NULL) ? -1 : (int)sizeof parsed;
	} else if (bytes.len == sizeof parsed) {
		memcpy(parsed, bytes.base, sizeof parsed);
		n = (int)sizeof parsed;
	}
	if (n == (int)sizeof parsed)
		memcpy(key, parsed, sizeof parsed);
	tow_wipe(parsed, sizeof parsed);
	if (n != (int)sizeof parsed)
		return tow_error_set(err, TOW_EPARSE, "%s is no key: expected %s", path,
		                     wanted[format]);
	return 0;
}

int tow_key_file_read(const char *path, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                      struct tow_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), status;
	struct tow_buf bytes = { 0 };

	if (fd < 0)
		return file_error(err, "read", path, errno);
	status = check_mode(fd, path, err);
	if (!status)
		status = read_descriptor(fd, path, KEY_TEXT_MAX, &bytes, err);
	if (status == TOW_ETOOBIG)
		status = tow_error_set(err, TOW_EPARSE, "%s is no key: it is too large", path);
	if (!status)
		status = parse_key(path, format, tow_buf_peek(&bytes), key, err);
	tow_buf_wipe(&bytes);
	close(fd);
	return status;
}

/* The file's content for a key. */
static struct tow_slice encode_key(enum tow_key_format format, const uint8_t key[TOW_SECRET_SIZE],
                                   char text[TOW_HEX_SIZE(TOW_SECRET_SIZE) + 1])
{
	size_t len;

	if (format == TOW_KEY_RAW || format == TOW_KEY_SEED)
		return tow_slice_make(key, TOW_SECRET_SIZE);
	if (format == TOW_KEY_HEX)
		tow_hex_encode(key, TOW_SECRET_SIZE, text);
	else
		tow_base64url_encode(key, TOW_SECRET_SIZE, text);
	len = strlen(text);
	text[len] = '\n';
	return tow_slice_make(text, len + 1);
}

/* Makes the file. TOW_ECONFLICT when another process has made it meanwhile. */
static int make_key(const char *path, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                    struct tow_error *err)
{
	char text[TOW_HEX_SIZE(TOW_SECRET_SIZE) + 1];
	uint8_t fresh[TOW_SECRET_SIZE];
	int status;

	tow_random(fresh, sizeof fresh);
	status = tow_file_create(path, encode_key(format, fresh, text), 0600, err);
	if (!status)
		memcpy(key, fresh, sizeof fresh);
	tow_wipe(fresh, sizeof fresh);
	tow_wipe(text, sizeof text);
	return status;
}

int tow_key_file_open(const char *path, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                      int *created, struct tow_error *err)
{
	int made = 0, status = tow_key_file_read(path, format, key, err);

	if (status == TOW_ENOTFOUND) {
		status = make_key(path, format, key, err);
		made = !status;
	}
	if (status == TOW_ECONFLICT)
		status = tow_key_file_read(path, format, key, err);
	if (!status && created)
		*created = made;
	return status;
}

int tow_directory_make(const char *path, struct tow_error *err)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	if (!len || len >= sizeof prefix)
		return file_error(err, "make directory", path, ENAMETOOLONG);
	memcpy(prefix, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		char c = prefix[i];
		if (c != '/' && c)
			continue;
		prefix[i] = '\0';
		if (mkdir(prefix, 0700) && errno != EEXIST) {
			int error_number = errno;
			/* A parent that is there may be out of our reach to make: only the last
			 * counts. */
			if (!c || stat(prefix, &st))
				return write_error(err, "make directory", path, error_number);
		}
		prefix[i] = c;
	}
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return write_error(err, "make directory", path, ENOTDIR);
	return 0;
}
