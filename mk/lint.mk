# SPDX-License-Identifier: MIT
#
# What only reads the sources. Layout is not a gate, since clang-format differs by
# version and knows no tables; `make format FILES=...` applies it where it helps.

c_files := $(sort $(shell git ls-files '*.c' '*.h' 2>/dev/null))
shell_files := $(sort $(shell git ls-files scripts tests/bench .ci 2>/dev/null | \
	xargs -r grep -lE '^\#!/(usr/)?bin/(env )?(ba)?sh' 2>/dev/null))

.PHONY: lint format
lint: $(status_page).h | lint-packages test-packages $(deps_ready)
	shellcheck -x $(shell_files)
	@TOWONEL_BUILD=$(BUILD) scripts/tidy $(or $(deps_prefix),/usr) $(c_files)

format: | lint-packages
	clang-format -i $(FILES)

# Each library's map, from its public headers.
.PHONY: maps
maps: | packages $(deps_ready)
	scripts/exports --write
