/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_BACKGROUND_H
#define TOWONEL_BIN_NODE_BACKGROUND_H

/* Goes on in another process, in a session of its own. There it returns a descriptor for one of
 * those below; the caller waits for that, says who has taken over and exits with 0, or exits as the
 * other one does, which has said why. -1: there is no other one, and errno says why. */
int background_start(const char *program);
void background_ready(int fd, int before);  /* the process that was relieved */
void background_failed(int fd, int status); /* fd may be -1 */

#endif
