# SPDX-License-Identifier: MIT
"""wire < tunnel < {hub, edge, agent} < bin: nobody looks up or sideways."""

import re

import pytest

from house import LAYERS, ROOT, files

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
PUBLIC = re.compile(r"^towonel/(\w+)(?:\.h|/)")


def violations(lib, path, text):
    """The includes of a file of lib that reach where it may not look."""
    found = []
    folder = ROOT / f"libtowonel-{lib}"
    for _, name in INCLUDE.findall(text):
        public = PUBLIC.match(name)
        if public:
            if public.group(1) != lib and public.group(1) not in LAYERS[lib]:
                found.append(name)
        elif ".." in name:
            target = (path.parent / name).resolve()
            if not target.is_relative_to(folder):
                found.append(name)
    return found


@pytest.mark.parametrize("lib", LAYERS)
def test_includes_stay_below(lib):
    bad = {str(path.relative_to(ROOT)): found
           for path in files(f"libtowonel-{lib}/*.c", f"libtowonel-{lib}/*.h")
           if (found := violations(lib, path, path.read_text()))}
    assert not bad


@pytest.mark.parametrize("lib", LAYERS)
def test_public_headers_include_public_headers_only(lib):
    for path in files(f"libtowonel-{lib}/include/*.h"):
        for quote, name in INCLUDE.findall(path.read_text()):
            if quote == '"':
                target = (path.parent / name).resolve()
                assert target.is_relative_to(ROOT / f"libtowonel-{lib}/include"), f"{path}: {name}"


def test_programs_use_public_headers_only():
    for path in files("bin/*.c", "bin/*.h", "examples/*.c"):
        for _, name in INCLUDE.findall(path.read_text()):
            assert "/src/" not in name and "libtowonel-" not in name, f"{path}: {name}"


@pytest.mark.parametrize("lib, include, allowed", [
    ("wire", "towonel/tunnel/loop.h", False),
    ("tunnel", "towonel/wire/token.h", True),
    ("tunnel", "towonel/hub.h", False),
    ("edge", "towonel/hub/store.h", False),
    ("edge", "towonel/edge.h", True),
    ("edge", "../../libtowonel-hub/src/hub.h", False),
    ("agent", "towonel/edge.h", False),
])
def test_the_check_itself(lib, include, allowed):
    path = ROOT / f"libtowonel-{lib}/src/x.c"
    assert violations(lib, path, f'#include "{include}"\n') == ([] if allowed else [include])
