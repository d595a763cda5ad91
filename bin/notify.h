/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NOTIFY_H
#define TOWONEL_BIN_NOTIFY_H

/*
 * What a service manager is told (sd_notify(3)): datagrams of NAME=VALUE lines to the socket in
 * NOTIFY_SOCKET. Without one all of it does nothing.
 */

/* "READY=1", "STOPPING=1", "STATUS=..." */
void notify(const char *state);
/* Before a reload; "READY=1" ends it. */
void notify_reloading(void);
/* How often "WATCHDOG=1" is due, in ms: half of what the manager waits for. 0: never. */
unsigned notify_watchdog_ms(void);

#endif
