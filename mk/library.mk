# SPDX-License-Identifier: MIT
#
# One library. lib.mk sets these and includes this file:
#   LIB      its name: libtowonel-LIB; ABI its number in the SONAME
#   BELOW    our libraries it may use, nearest first
#   SYSTEM   system libraries, BUILT built ones (see deps.mk), pkg-config names
#   HEADERS  system libraries that it loads itself when it needs them
#   TEXT     what it is, one line, for the .pc file
#   SOURCES  its sources, below its folder
#
# The objects are position independent, so .a and .so are made of the same. The
# .so carries its built libraries inside, invisible: the map says all it exports.

$(LIB)_dir := libtowonel-$(LIB)
$(LIB)_below := $(BELOW)
$(LIB)_system := $(SYSTEM)
$(LIB)_loaded := $(HEADERS)
HEADERS :=
$(LIB)_built := $(BUILT)
$(LIB)_text := $(TEXT)
$(LIB)_includes := $(foreach lib,$(LIB) $(BELOW),-Ilibtowonel-$(lib)/include)
$(LIB)_objects := $(SOURCES:%.c=$(BUILD)/obj/$($(LIB)_dir)/%.o)
$(LIB)_headers := $(sort $(shell find $($(LIB)_dir)/include -name '*.h' 2>/dev/null))
$(LIB)_archive := $(BUILD)/$($(LIB)_dir).a
$(LIB)_shared := $(BUILD)/$($(LIB)_dir).so
$(LIB)_soname := $($(LIB)_dir).so.$(ABI)
all_libs += $(LIB)

# Everything a program or test needs on its command line to use this library.
$(LIB)_closure := $(LIB) $(BELOW)
$(LIB)_system_all := $(sort $(SYSTEM) $(foreach lib,$(BELOW),$($(lib)_system)))
$(LIB)_built_all := $(sort $(BUILT) $(foreach lib,$(BELOW),$($(lib)_built)))

$($(LIB)_objects) $($(LIB)_archive) $($(LIB)_shared): name := $(LIB)

$($(LIB)_objects): $(BUILD)/obj/%.o: %.c $(flags_file) | packages $(deps_ready)
	$(call compile,-I$($(name)_dir)/src $($(name)_includes) \
		$(if $($(name)_built),$(call built_cflags,$($(name)_built))) \
		$(if $($(name)_loaded),$$(pkg-config --cflags $($(name)_loaded))))

$($(LIB)_archive): $($(LIB)_objects) $($(LIB)_dir)/lib.mk | packages
	$(say) AR $@
	@rm -f $@
	$(run)$(AR) rcs $@ $(filter %.o,$^)

$($(LIB)_shared): $($(LIB)_objects) $($(LIB)_dir)/$(LIB).map $($(LIB)_dir)/lib.mk \
		$(foreach lib,$(BELOW),$($(lib)_so))
	$(say) LINK $@
	$(run)$(CC) -shared -o $@ $(filter %.o,$^) -Wl,-soname,$($(name)_soname) \
		-Wl,--version-script,$($(name)_dir)/$(name).map -Wl,--exclude-libs,ALL \
		$(if $(sanitize),,-Wl,-z,defs) $(all_ldflags) \
		$(filter %.so,$^) $(if $($(name)_built),$(call built_libs,$($(name)_built))) \
		$(if $($(name)_system),$$(pkg-config --libs $($(name)_system))) -lpthread
	@ln -sf $(@F) $(BUILD)/$($(name)_soname)

# A library that has no sources yet has nothing to share.
$(LIB)_so := $(if $(SOURCES),$($(LIB)_shared))
libraries: $($(LIB)_archive) $($(LIB)_so)
-include $($(LIB)_objects:.o=.d)
