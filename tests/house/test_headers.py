# SPDX-License-Identifier: MIT
"""Public headers stand alone, in C and in C++, and hide what we are built on."""

import pytest

from house import CC, LAYERS, ROOT, built_prefix, public_headers, run

CXX = {"gcc": "g++", "clang": "clang++"}.get(CC, "g++")
HEADERS = [(lib, path) for lib in LAYERS for path in public_headers(lib)]
NAMES = [str(path.relative_to(ROOT)) for _, path in HEADERS]


def include_flags(lib):
    return [f"-Ilibtowonel-{name}/include" for name in [lib, *LAYERS[lib]]]


def name_of(lib, path):
    return path.relative_to(ROOT / f"libtowonel-{lib}/include")


@pytest.mark.parametrize("lib, path", HEADERS, ids=NAMES)
def test_stands_alone_in_c_and_cxx(lib, path):
    source = f"#include <{name_of(lib, path)}>\n#include <{name_of(lib, path)}>\n"
    flags = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", *include_flags(lib),
             "-isystem", built_prefix() + "/include", "-"]
    run(CC, "-std=c11", "-Wstrict-prototypes", "-xc", *flags, input=source)
    run(CXX, "-std=c++17", "-xc++", *flags, input=source)


@pytest.mark.parametrize("lib", ["wire", "agent"])
def test_includes_no_header_of_a_dependency(lib):
    """Not even installed: only the C library's and our own may be read."""
    out = run(CC, "-std=c11", "-M", *include_flags(lib), "-xc", "-",
              input=f"#include <towonel/{lib}.h>\n")
    read = out.replace("\\\n", " ").split()[1:]
    for dependency in ("uv", "sodium", "jansson", "wolfssl", "ngtcp2", "nghttp3", "curl", "llhttp",
                       "sqlite3", "libpq", "uthash"):
        assert not [name for name in read if f"/{dependency}.h" in name or f"/{dependency}/" in name]
