# SPDX-License-Identifier: MIT
"""A minimal Debian in a directory, from the archive that this machine knows."""

import hashlib
import os
import shutil
import time

import pytest

from . import cache
from .own_network import outside
from .process import run

# What it takes that other releases are tried too, which are fetched whole.
LONG = os.environ.get("TOWONEL_TEST_LONG") == "1"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Trees are kept for so long: an archive changes little.
_KEPT_SECONDS = 7 * 86400


def running_release():
    with open("/etc/os-release") as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line).get("VERSION_CODENAME")


def _archive():
    targets = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)",
                   "Created-By: Packages"], check=True).stdout
    found = [parts[3] for line in targets.splitlines() if len(parts := line.split("|")) == 4
             and parts[:3] == ["Debian", running_release(), "main"]]
    if not found:
        pytest.skip("no Debian archive is known here")
    return found[0]


# Packages that are built here run on this release and on newer ones.
RELEASES = ["bookworm", "trixie"]


def tried(release):
    """It as a parameter."""
    here = running_release()
    newer = here in RELEASES and RELEASES.index(release) > RELEASES.index(here)
    why = "TOWONEL_TEST_LONG=1 tries newer releases than this machine's" if newer else "this machine's release is newer"
    return pytest.param(release, marks=pytest.mark.skipif(release != here and not (newer and LONG), reason=why))


def needs(release):
    """Packages that ours need, and what runs them as services."""
    return ["adduser", "dbus", "libjansson4", "libsodium23", "libsqlite3-0", "systemd", "systemd-sysv",
            "libuv1" if release == "bookworm" else "libuv1t64"]


class Debian:
    """Programs in it use the network of the tests, but for those that are to fetch something."""

    def __init__(self, tree, release, packages=()):
        self.tree, self.release = tree, release
        run(["cp", "-a", self.kept(release, packages), tree], timeout=100, check=True)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", tree / "etc" / name)
        shutil.copytree("/etc/apt/apt.conf.d", tree / "etc/apt/apt.conf.d", dirs_exist_ok=True)

    @classmethod
    def kept(cls, release, packages=()):
        """Where there is one as debootstrap makes it, which nobody writes to."""
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            pytest.skip("needs root and debootstrap")
        key = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:16]
        with cache.alone(f"{release}-{key}") as path:
            if os.path.exists(path) and time.time() - os.stat(path).st_mtime < _KEPT_SECONDS:
                return path
            include = [f"--include={','.join(packages)}"] if packages else []
            run(["rm", "-rf", path, f"{path}.new"], timeout=100, check=True)
            done = run([*outside(), "debootstrap", "--variant=minbase", *include, release, f"{path}.new", _archive()],
                       env=cls._proxies(), timeout=280)
            if done.returncode != 0:
                pytest.skip(f"debootstrap could not: {done.stdout[-300:]}{done.stderr[-300:]}")
            os.utime(f"{path}.new")
            os.rename(f"{path}.new", path)
        return path

    @staticmethod
    def _proxies():
        return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}

    def copy(self, tree):
        """Another one that is as this one is."""
        run(["cp", "-a", self.tree, tree], timeout=100, check=True)
        other = object.__new__(Debian)
        other.tree, other.release = tree, self.release
        return other

    def chroot(self, *argv, fetches=False, env=None, **options):
        prefix = outside() if fetches else []
        env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", **(self._proxies() if fetches else {}), **(env or {})}
        # Some of what runs there looks into /proc, as bash does for `<(...)`.
        inside = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', self.tree]
        return run([*prefix, *inside, *argv], **{"timeout": 280 if fetches else 100, "env": env, **options})
