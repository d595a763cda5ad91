# SPDX-License-Identifier: MIT
#
# A tarball of the sources, and Debian packages of what is built here, in $(BUILD)/packages.

packages_dir ?= $(BUILD)/packages
dist_file := $(packages_dir)/towonel-$(VERSION).tar.xz

.PHONY: dist deb
dist:
	@mkdir -p $(packages_dir)
	@git archive --format=tar --prefix=towonel-$(VERSION)/ HEAD | xz -9e >$(dist_file)
	@echo $(dist_file)

deb: all
	@rm -rf $(packages_dir)/stage $(packages_dir)/*.deb
	@$(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=$(abspath $(packages_dir))/stage >/dev/null
	@scripts/deb $(VERSION) $(packages_dir)/stage $(packages_dir)
	@rm -rf $(packages_dir)/stage
