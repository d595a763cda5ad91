# SPDX-License-Identifier: MIT
LIB := tunnel
BELOW := wire
SYSTEM := libuv
BUILT := wolfssl libngtcp2 libngtcp2_crypto_wolfssl libcurl libnghttp3 libllhttp
TEXT := Moving bytes for towonel: event loop, QUIC, TLS, HTTP, pipes
SOURCES :=

include mk/library.mk
