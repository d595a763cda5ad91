# SPDX-License-Identifier: MIT
#
# `make help` lists what can be made. The rules are in mk/, one file a subject:
#   config.mk   compiler, flags, the build directory of this variant
#   deps.mk     the libraries we build on
#   library.mk  one library: .a, .so, .pc, install; included by each lib.mk
#   programs.mk the programs in bin/
#   tests.mk    unit tests, fuzz seeds, end-to-end tests, benchmarks
#   install.mk  install and uninstall
#   packages.mk source tarball and Debian packages

VERSION := 0.1.0

all:

all_libs :=

include mk/config.mk
include mk/deps.mk
include libtowonel-wire/lib.mk
include libtowonel-tunnel/lib.mk
include libtowonel-hub/lib.mk
include libtowonel-edge/lib.mk
include libtowonel-agent/lib.mk
include mk/programs.mk
include mk/tests.mk
include mk/lint.mk
include mk/install.mk
include mk/packages.mk

.PHONY: all libraries programs clean help
all: libraries programs

clean:
	rm -rf build build-*

help:
	@echo 'make             build everything into $(BUILD)/'
	@echo 'make demo        build, run a tunnel on this machine, show a request through it'
	@echo 'make check       all tests: house rules, unit tests, fuzz seeds, end to end'
	@echo 'make unit        unit tests and fuzz seeds'
	@echo 'make e2e         end-to-end tests (PYTEST="-k name" picks some)'
	@echo 'make tsan        what has several threads, under ThreadSanitizer'
	@echo 'make lint        clang-tidy, shellcheck'
	@echo 'make fuzz        every fuzz target for FUZZ_SECONDS (300) each; FUZZ_TARGETS picks some'
	@echo 'make bench       speed and memory, next to other tunnels; what routes and a crowd cost'
	@echo 'make install     into PREFIX (/usr/local), below DESTDIR'
	@echo 'make uninstall   what install put there'
	@echo 'make static      agent and command line for any Linux, in build-static/stripped/'
	@echo 'make deb         Debian packages, in $(BUILD)/packages/'
	@echo 'make dist        a tarball of the sources as committed, likewise'
	@echo 'make clean       remove every build directory'
	@echo
	@echo 'SAN=1            with AddressSanitizer and UBSan, in build-san/'
	@echo 'TSAN=1           with ThreadSanitizer, in build-tsan/'
	@echo 'CC=clang         with clang, in build-clang/'
	@echo 'DEPS=system      on the libraries that pkg-config finds'
	@echo 'NO_PACKAGES=1    installs no system package'
	@echo 'V=1              show the commands'
