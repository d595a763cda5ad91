/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_CONNECTION_H
#define TOW__HTTP_CONNECTION_H

#include "http/request.h"
#include "http/server.h"

struct tow__connection;

/* fd is taken, in any case. Returns 0, TOW_ENOMEM. */
int tow__connection_start(struct tow_http_server *server, int fd, const struct tow_addr *peer,
                          struct tow_slice early);
/* Closes at once; what is unsent is lost. */
void tow__connection_abort(struct tow__connection *connection);
/* Finishes what is under way, then closes. */
void tow__connection_wind_down(struct tow__connection *connection);
struct tow__connection *tow__connection_next(const struct tow__connection *connection);
/* Waiting for a request, having served one? Such a connection may be closed at any time (RFC 9112
 * section 9.5). */
bool tow__connection_is_idle(const struct tow__connection *connection);
/* Has it not said yet all that it wants? */
bool tow__connection_is_asking(const struct tow__connection *connection);
/* Was it aborted, or told to wind down? (Inside its own step it goes only afterwards.) */
bool tow__connection_is_ending(const struct tow__connection *connection);
bool tow__connection_is_failed(const struct tow__connection *connection);

/* For answers. The bytes to send; then the news that they are complete, or that events follow. */
struct tow_buf *tow__connection_out(struct tow__connection *connection);
bool tow__connection_keeps_alive(const struct tow__connection *connection,
                                 const struct tow_http_request *request);
void tow__connection_answered(struct tow__connection *connection, bool keep_alive);
void tow__connection_events(struct tow__connection *connection,
                            struct tow_http_event_stream *stream);
/* Bytes were added to _out while events are sent. */
void tow__connection_flush(struct tow__connection *connection);
void tow__connection_end_events(struct tow__connection *connection);

/* event_stream.c: the connection has ended, nothing more can be sent. */
void tow__event_stream_lost(struct tow_http_event_stream *stream);

#endif
