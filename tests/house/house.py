# SPDX-License-Identifier: MIT
"""What the checks of the house share: where things are."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("TOWONEL_BUILD", ROOT / "build"))
CC = os.environ.get("CC", "gcc")

# Each library with those below it: what it may include.
LAYERS = {
    "wire": [],
    "tunnel": ["wire"],
    "hub": ["wire", "tunnel"],
    "edge": ["wire", "tunnel"],
    "agent": ["wire", "tunnel"],
}


def run(*command, **options):
    """Runs a command; its output, and a readable failure when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          cwd=ROOT, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def files(*patterns):
    """The files of the project that match: those under git, and new ones it does not ignore."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
                 *patterns).splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def sources(lib):
    """What lib.mk lists."""
    text = (ROOT / f"libtowonel-{lib}/lib.mk").read_text().replace("\\\n", " ")
    return re.search(r"^SOURCES :=(.*)$", text, re.M).group(1).split()


def exports(lib):
    return set(run(ROOT / "scripts/exports", lib).split())


def public_headers(lib):
    return sorted((ROOT / f"libtowonel-{lib}/include").rglob("*.h"))


def built_prefix():
    return run(ROOT / "scripts/deps", "--where").strip()


def shared_libraries():
    """Those that exist so far; a library without sources has none."""
    return [lib for lib in LAYERS if sources(lib)]
