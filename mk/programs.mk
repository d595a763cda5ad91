# SPDX-License-Identifier: MIT
#
# The programs. They link our libraries and the built ones statically, so they
# need nothing at run time but what the system packages.

towonel-node_sources := bin/towonel-node.c bin/common.c bin/notify.c bin/acme_settings.c \
	$(sort $(wildcard bin/node/*.c))
towonel-node_libs := hub edge tunnel wire
towonel-agent_sources := bin/towonel-agent.c bin/common.c bin/notify.c \
	$(sort $(wildcard bin/agent/*.c))
towonel-agent_libs := agent tunnel wire
towonel_sources := bin/towonel-cli.c bin/common.c bin/acme_settings.c $(sort $(wildcard bin/cli/*.c)) \
	bin/agent/settings.c bin/node/outside.c bin/node/remote_hub.c bin/node/settings.c
towonel_libs := edge tunnel wire
program_names := $(foreach name,towonel-node towonel-agent towonel,\
	$(if $(wildcard $(firstword $($(name)_sources))),$(name)))

# $(call link_libs,LIBS): the static libraries, then what they need
link_system = $(sort $(foreach lib,$(1),$($(lib)_system)))
link_libs = -Wl,--start-group $(foreach lib,$(1),$($(lib)_archive)) -Wl,--end-group \
	$(call built_libs,$(sort $(foreach lib,$(1),$($(lib)_built)))) \
	$(if $(call link_system,$(1)),$$(pkg-config --libs $(call link_system,$(1)))) -lpthread

define program
$(BUILD)/$(1): $$($(1)_sources:%.c=$(BUILD)/obj/%.o) \
		$$(foreach lib,$$($(1)_libs),$$($$(lib)_archive))
	$$(say) LINK $$@
	$$(run)$$(CC) -pie -o $$@ $$(filter %.o,$$^) $$(all_ldflags) $$(call link_libs,$$($(1)_libs))
$(patsubst %.c,$(BUILD)/obj/%.o,$($(1)_sources)): program_includes := \
	$(foreach lib,$($(1)_libs),-Ilibtowonel-$(lib)/include)
programs: $(BUILD)/$(1)
-include $(patsubst %.c,$(BUILD)/obj/%.d,$($(1)_sources))
endef
$(foreach name,$(program_names),$(eval $(call program,$(name))))

$(BUILD)/obj/bin/%.o: bin/%.c $(flags_file) | packages $(deps_ready)
	$(call compile,-Ibin $(program_includes))

# Agent and command line alone: the node loads libpq when it is used, which a static program cannot.
static_programs := $(addprefix $(BUILD)/stripped/,towonel-agent towonel)
$(static_programs): $(BUILD)/stripped/%: $(BUILD)/%
	@mkdir -p $(@D)
	@strip -o $@ $<

.PHONY: static static-programs
static-programs: $(static_programs)
static: | static-packages
	@$(MAKE) --no-print-directory STATIC=1 static-programs
	@ls -l build-static/stripped
