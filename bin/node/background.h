/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_BACKGROUND_H
#define TOWONEL_BIN_NODE_BACKGROUND_H

/* Goes on in a child, in a session of its own. In the child it returns a descriptor for
 * background_ready; the parent waits for that, says that it came and exits with 0, or exits as the
 * child did, which has said why. -1: there is no child, and errno says why. */
int background_start(const char *program);
void background_ready(int fd, int before); /* the process that was relieved */

#endif
