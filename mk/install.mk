# SPDX-License-Identifier: MIT
#
# Programs, libraries, headers, pkg-config files, manual pages, licences, what shells
# complete, and units of systemd. The shared libraries carry the built ones inside. Who links ours
# statically asks pkg-config for libtowonel-NAME-static, which also names the built
# archives in lib/towonel/.

PREFIX ?= /usr/local
DESTDIR ?=
root := $(DESTDIR)$(PREFIX)
doc_dir := $(root)/share/doc/towonel
# Where each shell looks for the completion of a command.
completions := bash:share/bash-completion/completions/towonel \
	zsh:share/zsh/site-functions/_towonel fish:share/fish/vendor_completions.d/towonel.fish
completion_files := $(foreach entry,$(completions),$(lastword $(subst :, ,$(entry))))
# What systemd reads; the names that it knows them by.
units := towonel-node.service towonel-agent.service
man_pages := $(sort $(wildcard docs/man/*.[1-8]))

pc_built = $(foreach lib,$(filter $($(1)_built),$(built_order)),-l:lib$(lib:lib%=%).a)

# $(call pc_file,LIB,SUFFIX): SUFFIX is nothing or -static
define pc_file
	@mkdir -p $(root)/lib/pkgconfig
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@NAME@|libtowonel-$(1)|' -e 's|@LIB@|$(1)|' \
		-e 's|@TEXT@|$($(1)_text)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@REQUIRES@|$(addprefix libtowonel-,$($(1)_below))|' -e 's|@SYSTEM@|$($(1)_system) $(if $(deps_prefix),,$($(1)_built))|' \
		-e 's|@STATIC_REQUIRES@|$(patsubst %,libtowonel-%-static,$($(1)_below))|' \
		-e 's|@BUILT@|$(if $(and $(deps_prefix),$($(1)_built)),-L$${libdir}/towonel $(call pc_built,$(1)))|' \
		-e 's/ *$$//' pkgconfig/libtowonel$(2).pc.in >$(root)/lib/pkgconfig/libtowonel-$(1)$(2).pc

endef
define install_lib
	@install -Dm644 $($(1)_archive) $(root)/lib/libtowonel-$(1).a
	@$(if $($(1)_so),install -Dm755 $($(1)_shared) $(root)/lib/$($(1)_soname) && \
		ln -sf $($(1)_soname) $(root)/lib/libtowonel-$(1).so)
	@cd libtowonel-$(1)/include && find . -name '*.h' -exec install -Dm644 {} $(root)/include/{} \;
$(call pc_file,$(1),)$(call pc_file,$(1),-static)
endef
define uninstall_lib
	@rm -f $(root)/lib/libtowonel-$(1).* $(root)/lib/pkgconfig/libtowonel-$(1).pc \
		$(root)/lib/pkgconfig/libtowonel-$(1)-static.pc \
		$(patsubst libtowonel-$(1)/include/%,$(root)/include/%,$($(1)_headers))

endef

.PHONY: install uninstall
install: all
	$(foreach name,$(program_names),@install -Dm755 $(BUILD)/$(name) $(root)/bin/$(name)$(newline))
	$(foreach lib,$(all_libs),$(call install_lib,$(lib)))
	$(foreach file,$(call built_archives,$(built_all)),\
		@install -Dm644 $(file) $(root)/lib/towonel/$(notdir $(file))$(newline))
	$(foreach page,$(man_pages),@install -Dm644 $(page) \
		$(root)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))$(newline))
	$(foreach entry,$(completions),@$(BUILD)/towonel completion $(firstword $(subst :, ,$(entry))) | \
		install -Dm644 /dev/stdin $(root)/$(lastword $(subst :, ,$(entry)))$(newline))
	@install -Dm644 deploy/systemd/towonel-node.socket $(root)/lib/systemd/system/towonel-node.socket
	$(foreach unit,$(units),@sed 's|@PREFIX@|$(PREFIX)|' deploy/systemd/$(unit).in | \
		install -Dm644 /dev/stdin $(root)/lib/systemd/system/$(unit)$(newline))
	@install -Dm644 deploy/systemd/sysusers.conf $(root)/lib/sysusers.d/towonel.conf
	@install -Dm644 deploy/systemd/tmpfiles.conf $(root)/lib/tmpfiles.d/towonel.conf
	@install -Dm644 -t $(doc_dir) LICENSE $(wildcard README.md)
	$(if $(deps_prefix),@install -Dm644 -t $(doc_dir)/notices $(deps_prefix)/notices/* \
		$(deps_prefix)/versions)
	@echo 'installed below $(root)'

uninstall:
	@rm -f $(addprefix $(root)/bin/,towonel-node towonel-agent towonel)
	$(foreach lib,$(all_libs),$(call uninstall_lib,$(lib)))
	@rm -f $(foreach page,$(man_pages),\
		$(root)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	@rm -f $(addprefix $(root)/,$(completion_files))
	@rm -f $(addprefix $(root)/lib/systemd/system/,$(units) towonel-node.socket) $(root)/lib/sysusers.d/towonel.conf \
		$(root)/lib/tmpfiles.d/towonel.conf
	@rm -rf $(root)/lib/towonel $(doc_dir)
	@find $(root)/include/towonel -type d -empty -delete 2>/dev/null || true

define newline


endef
