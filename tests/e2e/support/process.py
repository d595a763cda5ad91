# SPDX-License-Identifier: MIT
"""Programs under test: started with a log file of their own, ended by process id."""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

BUILD = os.path.abspath(os.environ.get("TOWONEL_BUILD", "build"))

# The programs are built with sanitizers, and slow and large for it.
SANITIZED = bool(os.environ.get("TOWONEL_SANITIZE", "").strip()) or "-san" in os.path.basename(BUILD)
# With these, make leaves them as they are.
VARIANT = [f"{name}=1" for name, kind in (("SAN", "address"), ("TSAN", "thread"))
           if kind in os.environ.get("TOWONEL_SANITIZE", "")]
# A shorter run: less data, the same paths.
QUICK = SANITIZED or os.environ.get("TOWONEL_E2E_QUICK") == "1"

# The sanitizers and a busy machine make everything slow; nothing below asserts a speed.
PATIENCE = 30.0

_ports_lock = threading.Lock()
_ports_given = set()


def free_port(host="127.0.0.1"):
    """A port that is free for TCP and UDP now, and was not given before in this run; outgoing connections take none of them."""
    with _ports_lock:
        first = random.randrange(10000, 20000)
        for port in [*range(first, 20000), *range(10000, first)]:
            if port not in _ports_given and _is_free(port, host):
                _ports_given.add(port)
                return port
    raise AssertionError("there is no free port")


def free_ports(count, host="127.0.0.1"):
    """The first of so many ports in a row, as free as those of free_port. Outgoing connections take none of them."""
    with _ports_lock:
        start = random.randrange(20000, 30000)
        for first in range(start, 32768 - count):
            ports = range(first, first + count)
            if _ports_given.isdisjoint(ports) and all(_is_free(port, host) for port in ports):
                _ports_given.update(ports)
                return first
    raise AssertionError(f"there are no {count} free ports in a row")


def _is_free(port, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as sock:
            try:
                sock.bind((host, port))
            except OSError:
                return False
    return True


def wait_until(condition, what, timeout=PATIENCE, interval=0.05):
    """Calls condition until it gives something true, which is returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(interval)


class Process:
    """A program that runs until the test ends."""

    def __init__(self, argv, log, env=None, cwd=None, preexec=None, clean_env=True, pass_fds=()):
        self.argv = [str(a) for a in argv]
        self.log_path = str(log)
        full = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} if clean_env else dict(os.environ)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                full[name] = os.environ[name]
        full.update({k: str(v) for k, v in (env or {}).items() if v is not None})
        self._log = open(self.log_path, "ab")
        self.popen = subprocess.Popen(
            self.argv, env=full, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log, preexec_fn=preexec, pass_fds=pass_fds)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def running(self):
        return self.popen.poll() is None

    def wait_log(self, text, timeout=PATIENCE, count=1):
        """Waits until the log has the text (count times)."""
        def seen():
            if self.log().count(text) >= count:
                return True
            if not self.running():
                raise AssertionError(
                    f"{self.argv[0]} ended with {self.popen.returncode} before saying "
                    f"{text!r}:\n{self.log()[-4000:]}")
            return False
        wait_until(seen, f"{text!r} in {self.log_path}:\n{self.log()[-4000:]}", timeout)

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit status."""
        return self.popen.wait(timeout)

    def stop(self, timeout=PATIENCE):
        """SIGTERM, and the exit status; a program that does not end then is killed and fails the test."""
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.argv[0]} did not stop:\n{self.log()[-4000:]}")
        self._log.close()
        return self.popen.returncode

    def kill(self):
        if self.running():
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()
        self._log.close()

    def rss_kb(self):
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def end(thing):
    """Ends a program at once; under the sanitizers in order, so that they look for leaks, and asks what they found."""
    process = thing.process
    if process is None:
        return
    if process.running():
        process.signal(signal.SIGTERM if SANITIZED else signal.SIGKILL)
        try:
            process.wait(60)
        finally:
            process.kill()
    report = re.search(r"^.*(ERROR: \w+Sanitizer|runtime error:)[^$]*", process.log(), re.M)
    assert not report, f"{process.argv[0]}: {report.group()[:4000]}"


class Orphan:
    """A program that another one started and left behind; used like a Process."""

    def __init__(self, argv, pid, log_path):
        self.argv, self.pid, self.log_path = argv, pid, log_path

    log = Process.log
    wait_log = Process.wait_log
    rss_kb = Process.rss_kb
    open_files = Process.open_files

    def running(self):
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=PATIENCE):
        """Nobody is told the exit status."""
        wait_until(lambda: not self.running(), f"{self.argv[0]} ends:\n{self.log()[-4000:]}", timeout)

    def stop(self, timeout=PATIENCE):
        self.signal(signal.SIGTERM)
        self.wait(timeout)

    def kill(self):
        if self.running():
            self.signal(signal.SIGKILL)
            self.wait()


def run(argv, timeout=PATIENCE, env=None, check=False, **more):
    """Runs a program to its end; stdout and stderr as text."""
    full = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    full.update({k: str(v) for k, v in (env or {}).items() if v is not None})
    done = subprocess.run([str(a) for a in argv], env=full, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace",
                          stdin=more.pop("stdin", subprocess.DEVNULL), **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} gave {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def metric(text, name, **labels):
    """The value of one series in Prometheus' text; 0 when it is not there yet."""
    for line in text.splitlines():
        if line.startswith("#") or not line.startswith(name):
            continue
        series, _, value = line.rpartition(" ")
        if series == name or (series.startswith(name + "{") and
                              all(f'{k}="{v}"' in series for k, v in labels.items())):
            return float(value)
    return 0.0
