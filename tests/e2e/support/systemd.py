# SPDX-License-Identifier: MIT
"""A machine that systemd runs, from its first process on: a Debian below a layer that is gone with it, in namespaces
and a control group of its own."""

import os
import signal
import subprocess

import pytest

from .debian import PATH as DEBIAN_PATH
from .debian import Debian, needs
from .docs import ROOT
from .netns import Namespace
from .process import BUILD, Process, run, wait_until

PATH = f"/usr/local/bin:{DEBIAN_PATH}"

# As systemd wants to find a container: https://systemd.io/CONTAINER_INTERFACE
_BOOT = """
trees=$0 group=$1 machine=$2
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup$group"
echo 0 >"/sys/fs/cgroup$group/cgroup.procs"
mount -t tmpfs tmpfs "$machine"
mkdir "$machine/changed" "$machine/work" "$machine/root"
mount -t overlay overlay -o "lowerdir=$trees,upperdir=$machine/changed,workdir=$machine/work" "$machine/root"
cd "$machine/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for name in full null random tty urandom zero; do
	: >"dev/$name"
	mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
exec unshare --cgroup sh -euc 'mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . mnt
umount -l mnt
mount --make-rshared /
exec env -i container=test PATH="$0" /lib/systemd/systemd --unit=multi-user.target' "$3"
"""


def _group():
    with open("/proc/self/cgroup") as file:
        own = [line[3:].strip() for line in file if line.startswith("0::")]
    trial = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]
    if os.geteuid() != 0 or not own or run(trial).returncode != 0:
        pytest.skip("systemd needs root, namespaces and the second version of control groups")
    return own[0].rstrip("/") + f"/towonel-test-{os.getpid()}"


def with_towonel(release, directory):
    """The trees of a machine on which people said `make install`."""
    run(["make", "-C", ROOT, "--no-print-directory", "install", f"BUILD={os.path.relpath(BUILD, ROOT)}",
         "NO_PACKAGES=1", f"DESTDIR={directory}", f"CC={os.environ.get('CC', 'gcc')}"], timeout=200, check=True,
        env={"HOME": os.environ["HOME"]})
    return Debian.kept(release, needs(release)), directory  # whose own mode lets nobody in


class Machine:
    """network is what its programs and those of the test use, `with machine.network:`: one of its own, or a host's. Of
    several trees the first ones lie on top."""

    count = 0

    def __init__(self, trees, directory, stack, network=None):
        Machine.count += 1
        self.network = network or Namespace(stack)
        self._group = f"{_group()}-{Machine.count}"
        where = directory / f"machine{Machine.count}"
        where.mkdir()
        stack.callback(self._end)
        with self.network, open(directory / f"machine{Machine.count}.log", "wb") as log:
            self._outer = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--propagation", "private",
                 "sh", "-euc", _BOOT, ":".join(map(str, trees)), self._group, where, PATH], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_until(self._is_up, "systemd has started all that it was to start")
        self.journal = Process(self._inside("journalctl", "--follow", "--lines=all", "--output=short-precise"),
                               directory / f"journal{Machine.count}.log")
        stack.callback(self.journal.kill)

    def _is_up(self):
        assert self._outer.poll() is None, "systemd has ended"
        with open(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children") as file:
            self._init = file.read().strip()
        try:
            with open(f"/proc/{self._init or 0}/comm") as file:
                if file.read() != "systemd\n":
                    return False
        except FileNotFoundError:
            return False
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def _end(self):
        if hasattr(self, "_outer"):
            self._outer.send_signal(signal.SIGKILL)  # and so all of them, one after another
            self._outer.wait()
        wait_until(self._has_left_nothing, "its control groups are gone")

    def _has_left_nothing(self):
        script = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; cd "/sys/fs/cgroup$0" 2>&- || exit 0; find . -depth -type d ' \
                 '-exec rmdir {} + 2>&-; cd /; exec rmdir "/sys/fs/cgroup$0"'
        return run(["unshare", "--mount", "sh", "-c", script, self._group]).returncode == 0

    def _inside(self, *argv):
        root = f"/proc/{self._init}/root"
        return ["nsenter", f"--target={self._init}", "--all", f"--root={root}", f"--wd={root}", *argv]

    def run(self, *argv, check=False, env=None, **more):
        return run(self._inside(*argv), env={"PATH": PATH, **(env or {})}, check=check, **more)

    def start(self, command, log):
        """What a person types who waits for it."""
        return Process(self._inside("sh", "-euc", command), log, env={"PATH": PATH})

    def systemctl(self, *argv):
        return self.run("systemctl", *argv, check=True).stdout

    def show(self, unit, name):
        return self.systemctl("show", unit, f"--property={name}", "--value").strip()

    def path(self, path):
        """Of one of its files, from here."""
        return f"/proc/{self._init}/root{path}"

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w") as file:
            file.write(text)

    def processes(self, unit):
        """The ids of those that run in it, as they are there."""
        group = self.show(unit, "ControlGroup")
        with open(self.path(f"/sys/fs/cgroup{group}/cgroup.procs")) as file:
            text = file.read()
        # read from outside, they are numbers of outside
        return [int(self._there(pid)) for pid in text.split()]

    @staticmethod
    def _there(pid):
        with open(f"/proc/{pid}/status") as file:
            return next(line for line in file if line.startswith("NSpid:")).split()[-1]
