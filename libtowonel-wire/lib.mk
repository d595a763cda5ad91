# SPDX-License-Identifier: MIT
LIB := wire
BELOW :=
SYSTEM := libsodium jansson
BUILT := wolfssl
TEXT := Bytes and meanings of towonel: identities, tokens, entries, parsers
SOURCES := \
	src/buf.c \
	src/error.c

include mk/library.mk
