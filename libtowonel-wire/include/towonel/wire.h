/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_H
#define TOWONEL_WIRE_H

/*
 * libtowonel-wire: bytes and their meanings. No input or output, no clock, no globals; the other
 * libraries and a second implementation's tests stand on it.
 */

#include "wire/addr.h"
#include "wire/buf.h"
#include "wire/client_hello.h"
#include "wire/control_message.h"
#include "wire/cursor.h"
#include "wire/entry.h"
#include "wire/error.h"
#include "wire/event_parser.h"
#include "wire/hostname.h"
#include "wire/identity.h"
#include "wire/key_backup.h"
#include "wire/limits.h"
#include "wire/nearest.h"
#include "wire/proxy_header.h"
#include "wire/request_signature.h"
#include "wire/route_feed.h"
#include "wire/route_table.h"
#include "wire/service.h"
#include "wire/token.h"
#include "wire/udp_frame.h"

#endif
