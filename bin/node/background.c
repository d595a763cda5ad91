/* SPDX-License-Identifier: MIT */
#include "node/background.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

/* Whoever reads what the parent prints is not to wait for the child; the log stays where it is. */
static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close(null);
}

/* What the one in the background says of itself. */
struct report {
	int pid, before; /* before: 0 when it has failed */
	int status;
};

/* Goes on in a child of whoever takes in orphans, since a service manager waits for the end of its
 * own children only. Returns in that child alone; -1: there is none. */
static int become_orphan(void)
{
	pid_t between = getpid(), pid = fork();
	if (pid < 0)
		return -1;
	if (pid > 0)
		_exit(EXIT_OK);
	while (getppid() == between)
		usleep(1000);
	return 0;
}

static void tell(int fd, const struct report *report)
{
	if (fd < 0)
		return;
	/* whoever waited may have gone */
	ssize_t n = write(fd, report, sizeof *report);
	(void)n;
	close(fd);
}

int background_start(const char *program)
{
	struct report report;
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(fds[0]);
		setsid();
		leave_terminal();
		return become_orphan() == 0 ? fds[1] : -1;
	}
	close(fds[1]);
	waitpid(pid, NULL, 0);
	if (read(fds[0], &report, sizeof report) != sizeof report)
		exit(EXIT_FAILED);
	if (!report.before)
		exit(report.status);
	printf("%s: process %d has taken over from process %d\n", program, report.pid,
	       report.before);
	exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
}

void background_ready(int fd, int before)
{
	tell(fd, &(struct report){ .pid = getpid(), .before = before });
}

void background_failed(int fd, int status)
{
	tell(fd, &(struct report){ .pid = getpid(), .status = status });
}
