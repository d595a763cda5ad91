# SPDX-License-Identifier: MIT
"""A shared library exports what its public headers declare: no more, no less."""

import re

import pytest

from house import BUILD, LAYERS, ROOT, exports, run, shared_libraries

# Who links it, and so needs all of it.
USERS = {
    "wire": ["libtowonel-wire.so"],
    "tunnel": ["towonel-node", "towonel-agent"],
    "hub": ["towonel-node"],
    "edge": ["towonel-node"],
    "agent": ["towonel-agent"],
}


def mapped(lib):
    text = (ROOT / f"libtowonel-{lib}/{lib}.map").read_text()
    listing = re.search(r"global:(.*?)local:", text, re.S)
    return set(re.findall(r"(\w+);", listing.group(1))) if listing else set()


def symbols(path, *flags):
    """Names of the defined global symbols, without versions."""
    return {line.split()[-1].split("@")[0]
            for line in run("nm", "--defined-only", "--extern-only", *flags, path).splitlines()
            if re.match(r"[0-9a-f]+ [A-Z] ", line) and " A " not in line}


@pytest.mark.parametrize("lib", LAYERS)
def test_map_lists_what_the_headers_declare(lib):
    assert mapped(lib) == exports(lib), "run make maps"


@pytest.mark.parametrize("lib", LAYERS)
def test_names_are_ours(lib):
    """Also what is shared inside a library only, since a static one cannot hide it."""
    strangers = {name for name in symbols(BUILD / f"libtowonel-{lib}.a")
                 if not name.startswith("tow_") and not re.match(r"__(asan|odr_asan|ubsan|tsan)", name)}
    assert not strangers


@pytest.mark.parametrize("lib", shared_libraries())
def test_shared_library_exports_what_is_declared(lib):
    if not any((BUILD / name).exists() for name in USERS[lib]):
        pytest.skip("no program is built on it")
    assert symbols(BUILD / f"libtowonel-{lib}.so", "-D") == exports(lib)


@pytest.mark.parametrize("lib", shared_libraries())
def test_shared_library_has_a_soname(lib):
    dynamic = run("readelf", "-d", BUILD / f"libtowonel-{lib}.so")
    assert f"Library soname: [libtowonel-{lib}.so.0]" in dynamic
    assert "TEXTREL" not in dynamic
