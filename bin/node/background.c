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

int background_start(const char *program)
{
	int fds[2], status = 0, before;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(fds[0]);
		setsid();
		leave_terminal();
		return fds[1];
	}
	close(fds[1]);
	if (read(fds[0], &before, sizeof before) == sizeof before) {
		printf("%s: process %d has taken over from process %d\n", program, (int)pid,
		       before);
		exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
	}
	waitpid(pid, &status, 0);
	exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILED);
}

void background_ready(int fd, int before)
{
	/* whoever waited may have gone */
	ssize_t n = write(fd, &before, sizeof before);
	(void)n;
	close(fd);
}
