# SPDX-License-Identifier: MIT
#
# What only reads the sources. `make format` changes them.

c_files := $(sort $(shell git ls-files '*.c' '*.h' 2>/dev/null))
shell_files := $(sort $(shell git ls-files 'scripts/*' 'tests/bench/*' .ci/run 2>/dev/null | \
	xargs -r grep -lE '^\#!/(usr/)?bin/(env )?(ba)?sh' 2>/dev/null))

.PHONY: lint format
lint: | lint-packages test-packages $(deps_ready)
	shellcheck -x $(shell_files)
	clang-format --dry-run --Werror $(c_files)
	scripts/tidy $(deps_prefix) $(c_files)

format: | lint-packages
	clang-format -i $(c_files)

# Each library's map, from its public headers.
.PHONY: maps
maps: | packages $(deps_ready)
	scripts/exports --write
