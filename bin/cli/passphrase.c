/* SPDX-License-Identifier: MIT */
/*
 * A passphrase, from a file or from the person at the terminal. While it is typed, the terminal
 * shows nothing; whatever ends the typing, a signal too, the terminal is as before when it is over.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <towonel/tunnel/key_file.h>

#include "common.h"

#define PASSPHRASE_MAX 1024
#define PASSPHRASE_MIN 8 /* of a new one */

/* --- file --- */

/* Its first line. */
static int read_file(const char *path, struct tow_buf *out)
{
	struct tow_error err = { 0 };
	struct stat st;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & (S_IRWXG | S_IRWXO)) {
		complain("towonel", "%s holds a secret and others can read it; run: chmod 600 %s",
		         path, path);
		return EXIT_USAGE;
	}
	if (!tow_buf_reserve(out, PASSPHRASE_MAX + 1) ||
	    tow_file_read(path, PASSPHRASE_MAX, out, &err) != 0) {
		complain("towonel", "--passphrase-file: %s",
		         err.code ? err.text : tow_strerror(TOW_ENOMEM));
		return EXIT_USAGE;
	}
	const uint8_t *end = memchr(out->base + out->head, '\n', tow_buf_len(out));
	if (end)
		out->tail = (size_t)(end - out->base);
	if (tow_buf_len(out) && out->base[out->tail - 1] == '\r')
		out->tail--;
	return 0;
}

/* --- terminal --- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define SIGNAL_COUNT (sizeof signals / sizeof *signals)

/* One line, without its newline. Signals come through while it waits, and only then: one that came
 * just before would not end the waiting. Returns 0, or -1 with errno. */
static int read_line(int terminal, const sigset_t *open_to, char line[PASSPHRASE_MAX], size_t *len)
{
	for (*len = 0;;) {
		struct pollfd ready = { .fd = terminal, .events = POLLIN };
		char c;
		if (ppoll(&ready, 1, NULL, open_to) < 0)
			return -1;
		ssize_t n = read(terminal, &c, 1);
		if (n < 0)
			return -1;
		if (n == 0 || c == '\n')
			return 0;
		if (*len == PASSPHRASE_MAX) {
			errno = E2BIG;
			return -1;
		}
		line[(*len)++] = c;
	}
}

/* Prompts on the terminal and reads what is typed. */
static int ask(int terminal, const char *prompt, char line[PASSPHRASE_MAX], size_t *len)
{
	struct sigaction act = { .sa_handler = on_signal }, before[SIGNAL_COUNT];
	struct termios shown, hidden;
	sigset_t blocked, open_to;
	if (tcgetattr(terminal, &shown) != 0)
		return -1;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	caught = 0;
	sigemptyset(&blocked);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &open_to);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		sigaction(signals[i], &act, &before[i]);
	int rc = tcsetattr(terminal, TCSAFLUSH, &hidden);
	if (rc == 0) {
		dprintf(terminal, "%s: ", prompt);
		rc = read_line(terminal, &open_to, line, len);
		int error_number = errno;
		tcsetattr(terminal, TCSAFLUSH, &shown);
		dprintf(terminal, "\n");
		errno = error_number;
	}
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		sigaction(signals[i], &before[i], NULL);
	sigprocmask(SIG_SETMASK, &open_to, NULL);
	if (caught) {
		tow_wipe(line, PASSPHRASE_MAX);
		raise(caught);
		errno = EINTR;
		return -1;
	}
	return rc;
}

static int read_terminal(struct cli *cli, int is_new, struct tow_buf *out)
{
	char first[PASSPHRASE_MAX], second[PASSPHRASE_MAX];
	size_t len = 0, again = 0;
	int status = 0;
	int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		return cli_usage_error(cli, "there is no terminal to ask for the passphrase: give "
		                            "--passphrase-file");
	if (ask(terminal, "Passphrase", first, &len) != 0 ||
	    (is_new && ask(terminal, "The same again", second, &again) != 0)) {
		complain("towonel", "cannot read the passphrase: %s", strerror(errno));
		status = EXIT_FAILED;
	} else if (is_new && (len != again || memcmp(first, second, len) != 0)) {
		complain("towonel", "the two passphrases differ; nothing was written");
		status = EXIT_FAILED;
	} else if (!tow_buf_reserve(out, PASSPHRASE_MAX)) {
		complain("towonel", "%s", tow_strerror(TOW_ENOMEM));
		status = EXIT_FAILED;
	} else {
		tow_buf_append(out, first, len);
	}
	tow_wipe(first, sizeof first);
	tow_wipe(second, sizeof second);
	close(terminal);
	return status;
}

int cli_passphrase(struct cli *cli, const char *file, int is_new, struct tow_buf *out)
{
	int status = file ? read_file(file, out) : read_terminal(cli, is_new, out);
	if (status == 0 && tow_buf_len(out) == 0) {
		complain("towonel", "the passphrase is empty");
		status = EXIT_USAGE;
	} else if (status == 0 && is_new && tow_buf_len(out) < PASSPHRASE_MIN) {
		complain("towonel",
		         "the passphrase is too short: it guards the key for as long as the backup "
		         "exists; take %d characters or more",
		         PASSPHRASE_MIN);
		status = EXIT_USAGE;
	}
	return status;
}
