# SPDX-License-Identifier: MIT
#
# Compiler and flags. Each variant has a build directory of its own, and a change
# of flags in one of them rebuilds it.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PYTHON ?= /usr/bin/python3

ifdef SAN
  sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all
  variant := $(variant)-san
endif
ifdef TSAN
  sanitize := -fsanitize=thread
  variant := $(variant)-tsan
endif
ifdef FUZZ
  sanitize := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
  variant := $(variant)-fuzz
endif
ifneq ($(notdir $(CC)),gcc)
  ifndef FUZZ
    variant := $(variant)-$(notdir $(CC))
  endif
endif
ifdef STATIC
  CC := $(shell scripts/deps --static --where)/bin/cc
  variant := -static
  export PKG_CONFIG_LIBDIR := $(shell scripts/deps --static --where)/lib/pkgconfig
endif
BUILD ?= build$(variant)

CFLAGS ?= -O2 -g
warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2
# Tests may run under the sanitizers, which do not get along with _FORTIFY_SOURCE.
harden := -fstack-protector-strong $(if $(sanitize),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# Asserts stay on in releases: -DNDEBUG is never given.
all_cflags = -std=c11 -D_GNU_SOURCE -DTOW_VERSION='"$(VERSION)"' $(warnings) $(harden) -fPIC \
	-fno-omit-frame-pointer -ffunction-sections -fdata-sections $(sanitize) $(CFLAGS)
all_ldflags = -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed $(sanitize) $(LDFLAGS)

ifdef V
  say = @:
  run :=
else
  say = @printf '  %-7s %s\n'
  run := @
endif

deps := scripts/deps $(if $(STATIC),--static)
flags_now := $(CC) $(all_cflags) $(all_ldflags) \
	$(if $(filter system,$(DEPS)),$(DEPS),$(shell $(deps) --where))
flags_file := $(BUILD)/flags
ifneq ($(strip $(flags_now)),$(strip $(file <$(flags_file))))
  $(shell mkdir -p $(BUILD))
  $(file >$(flags_file),$(flags_now))
endif

# The recipe for one object: $(call compile,INCLUDE FLAGS,FLAGS THAT OVERRIDE)
define compile
$(say) CC $<
@mkdir -p $(@D)
$(run)$(CC) $(1) $(all_cflags) $(2) -MMD -MP -c -o $@ $<
endef
