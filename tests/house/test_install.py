# SPDX-License-Identifier: MIT
"""What `make install` puts down is enough to embed, and `make uninstall` takes it all away."""

import os
import shutil
import subprocess

import pytest

from house import BUILD, CC, LAYERS, ROOT, public_headers, run, shared_libraries

# `make house` has installed into it.
PREFIX = BUILD / "installed"
# What the libraries were built with, a program needs too.
SANITIZE = os.environ.get("TOWONEL_SANITIZE", "").split()

WIRE_PROGRAM = """
#include <towonel/wire.h>
#include <stdio.h>

int main(void)
{
	puts(tow_strerror(TOW_ENOMEM));
	return 0;
}
"""

AGENT_PROGRAM = """
#include <towonel/agent.h>
#include <stdio.h>

int main(void)
{
	struct tow_agent_config config = { .invite_token = "tt_inv_2_not-a-token" };
	struct tow_agent *agent;
	char why[200] = "";

	if (tow_agent_new(&config, &agent, why, sizeof(why)) == 0)
		return 1;
	puts(why);
	return 0;
}
"""


def pkg_config(*words):
    env = {**os.environ, "PKG_CONFIG_PATH": str(PREFIX / "lib/pkgconfig")}
    return run("pkg-config", *words, env=env).split()


def build(tmp_path, source, *packages):
    (tmp_path / "program.c").write_text(source)
    run(CC, "-std=c11", "-Wall", "-Werror", *SANITIZE, "-o", tmp_path / "program",
        tmp_path / "program.c", *pkg_config("--cflags", "--libs", *packages))
    return tmp_path / "program"


def needed(path):
    return [line for line in run("readelf", "-d", path).splitlines() if "(NEEDED)" in line]


@pytest.mark.parametrize("lib, program", [("wire", WIRE_PROGRAM), ("agent", AGENT_PROGRAM)])
def test_a_program_on_the_shared_libraries(tmp_path, lib, program):
    if lib not in shared_libraries():
        pytest.skip("has no sources")
    path = build(tmp_path, program, f"libtowonel-{lib}")
    assert any(f"libtowonel-{lib}.so.0" in line for line in needed(path))
    env = {**os.environ, "LD_LIBRARY_PATH": str(PREFIX / "lib")}
    assert run(path, env=env).strip()


@pytest.mark.parametrize("lib, program", [("wire", WIRE_PROGRAM), ("agent", AGENT_PROGRAM)])
def test_a_program_on_the_static_libraries(tmp_path, lib, program):
    if lib not in shared_libraries():
        pytest.skip("has no sources")
    path = build(tmp_path, program, f"libtowonel-{lib}-static")
    assert not [line for line in needed(path)
                if any(name in line for name in ("towonel", "wolfssl", "curl", "ngtcp2"))]
    assert run(path).strip()


@pytest.mark.parametrize("lib", LAYERS)
def test_public_headers_are_installed(lib):
    for path in public_headers(lib):
        name = path.relative_to(ROOT / f"libtowonel-{lib}/include")
        assert (PREFIX / "include" / name).read_bytes() == path.read_bytes()


def test_licences_are_installed():
    docs = PREFIX / "share/doc/towonel"
    assert "MIT License" in (docs / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in (docs / "notices/wolfssl.COPYING").read_text()
    for name in ("ngtcp2.COPYING", "curl.COPYING", "libnghttp3", "libllhttp"):
        assert (docs / "notices" / name).stat().st_size > 0


@pytest.mark.parametrize("shell, path", [
    ("bash", "bash-completion/completions/towonel"), ("zsh", "zsh/site-functions/_towonel"),
    ("fish", "fish/vendor_completions.d/towonel.fish")])
def test_completions_are_installed(shell, path):
    assert (PREFIX / "share" / path).read_text() == run(BUILD / "towonel", "completion", shell)


def test_uninstall_leaves_no_file(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(PREFIX, copy, symlinks=True)
    (copy / "lib/other.so").write_text("not ours\n")
    env = {name: value for name, value in os.environ.items()
           if name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "SAN", "TSAN")}
    subprocess.run(["make", "-s", "uninstall", f"PREFIX={copy}", f"BUILD={tmp_path}/build"],
                   cwd=ROOT, env=env, check=True)
    left = [path.relative_to(copy) for path in copy.rglob("*") if not path.is_dir()]
    assert [str(path) for path in left] == ["lib/other.so"]
