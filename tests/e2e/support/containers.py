# SPDX-License-Identifier: MIT
"""Images and containers of podman's, in a storage of the test's own."""

import subprocess
import tempfile

from .own_network import outside
from .process import PATIENCE, run

# It wants the second version of control groups alone, and may not be allowed to raise limits or to guard devices.
_LIMITS = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096", "--cgroups=disabled"]


class Podman:
    def __init__(self, directory, stack):
        self.directory = directory
        self._state = stack.enter_context(tempfile.TemporaryDirectory(prefix="towonel-"))  # its path is to be short

    def command(self, *argv):
        return ["podman", f"--root={self.directory}/storage", f"--runroot={self._state}", "--log-level=error",
                "--cgroup-manager=cgroupfs", "--storage-driver=overlay", *argv]

    def _fetching(self, *argv, **more):
        """With the machine's network, and mounts that are gone afterwards."""
        done = subprocess.run([*outside(), "unshare", "--mount", *self.command(*argv)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors="replace", timeout=3000, **more)
        assert done.returncode == 0, done.stdout[-4000:]

    def take(self, tree, name):
        """Makes a tree the image that others call so."""
        with subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE) as tar:
            self._fetching("import", "-", f"docker.io/library/{name}", stdin=tar.stdout)

    def build(self, sources, file, target):
        self._fetching("build", "--pull=never", "--network=host", "--isolation=chroot", "--format=docker",
                       f"--file={sources}/{file}", f"--target={target}", f"--tag=towonel-{target}", sources)
        return Container(self, f"towonel-{target}")


class Container:
    """Of an image; begin() may be called once. Nothing in it can be written to but volumes, and it may do nothing
    that needs a capability."""

    def __init__(self, podman, image):
        self._podman, self._image = podman, image

    def _call(self, *argv, timeout=PATIENCE):
        return run([*self._inside, *self._podman.command(*argv)], timeout=timeout)

    def begin(self, stack, namespace, log, env, names):
        self._inside = ["nsenter", f"--mount=/proc/{namespace.pid}/ns/mnt", f"--net=/proc/{namespace.pid}/ns/net"]
        run([*self._inside, "sh", "-c", '[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || '
             "mount -t cgroup2 cgroup2 /sys/fs/cgroup"], check=True)
        options = [f"--env={name}={value}" for name, value in env.items()]
        hosts = [f"--add-host={name}:127.0.0.1" for name in names]
        done = self._call("run", "--detach", f"--name={self._image}", "--network=host", "--read-only",
                          "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges", *_LIMITS,
                          *hosts, *options, self._image)
        assert done.returncode == 0, done.stderr
        stack.callback(self._call, "rm", "--force", "--volumes", "--time=0", self._image)

    def run(self, *command):
        return self._call("exec", self._image, *command)

    def log(self):
        done = self._call("logs", self._image)
        return done.stdout + done.stderr

    def is_healthy(self):
        return self._call("healthcheck", "run", self._image).returncode == 0
