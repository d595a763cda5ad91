# SPDX-License-Identifier: MIT
LIB := wire
BELOW :=
SYSTEM := libsodium jansson
BUILT := wolfssl
TEXT := Bytes and meanings of towonel: identities, tokens, entries, parsers
SOURCES := \
	src/addr.c \
	src/buf.c \
	src/error.c \
	src/hostname.c \
	src/identity.c \
	src/tenant_key.c \
	src/text_coding.c \
	src/utf8.c

include mk/library.mk
