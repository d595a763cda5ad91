# SPDX-License-Identifier: MIT
"""A real PostgreSQL of the test's own, from the system's package, with a password."""

import glob
import os
import pwd
import shutil
import signal
import tempfile

from .process import Process, free_port, run, wait_until

# Each piece of it, wherever a parser may cut, says that it is one.
PASSWORD = "sesame:1 sesame@2/sesame%3?sesame"
ENCODED = "sesame%3A1%20sesame%402%2Fsesame%253%3Fsesame"


def programs():
    """The folder of the newest version's programs; None when there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4]))) if found else None


class Postgres:
    """start() may be called again after stop() or kill(). It refuses to run as root, so then it does not. tls has a
    certificate and its key for who asks for TLS."""

    def __init__(self, log, port=None, tls=None):
        self.log_path = str(log)
        # not below pytest's, which nobody but its owner may enter
        self.directory = tempfile.mkdtemp(prefix="towonel-pg-")
        self.port = port or free_port()
        self.process = None
        self._programs = programs()
        self._user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        password = os.path.join(self.directory, "password")
        with open(password, "w") as file:
            file.write(PASSWORD + "\n")
        os.chmod(password, 0o644)
        self._run("initdb", "-D", self._data, "-U", "towonel", "-A", "scram-sha-256", "--pwfile", password,
                  "-E", "UTF8", "--no-sync")
        self._tls = self._take(tls) if tls else []

    def _take(self, paths):
        """It wants a key that is its own."""
        options = ["-c", "ssl=on"]
        for path, name in zip(paths, ("cert", "key")):
            own = os.path.join(self.directory, name)
            shutil.copy(path, own)
            os.chmod(own, 0o600)
            if self._user:
                os.chown(own, self._user.pw_uid, self._user.pw_gid)
            options += ["-c", f"ssl_{name}_file={own}"]
        return options

    @property
    def _data(self):
        return os.path.join(self.directory, "data")

    @property
    def dsn(self):
        return self.dsn_at(self.port)

    @staticmethod
    def dsn_at(port):
        """By way of another port that leads to it."""
        return f"postgres://towonel:{ENCODED}@127.0.0.1:{port}/postgres"

    def _become(self):
        if self._user:
            os.setgroups([])
            os.setgid(self._user.pw_gid)
            os.setuid(self._user.pw_uid)

    def _run(self, program, *arguments):
        run([os.path.join(self._programs, program), *arguments], check=True, cwd="/", preexec_fn=self._become,
            timeout=60)

    def ask(self, sql):
        """What psql prints."""
        done = run([os.path.join(self._programs, "psql"), "-XAtq", self.dsn, "-c", sql])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self):
        self._start()
        wait_until(self._answers, f"PostgreSQL answers:\n{self.process.log()[-4000:]}", 60)
        return self

    def _start(self):
        self.process = Process(
            [os.path.join(self._programs, "postgres"), "-D", self._data, "-k", self.directory, "-p", self.port,
             "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", *self._tls],
            self.log_path, cwd="/", preexec=self._become)

    def _answers(self):
        # after a kill it ends until the last trace of the old one has gone
        if not self.process.running():
            self._start()
        return run([os.path.join(self._programs, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", self.port]
                   ).returncode == 0

    def stop(self):
        """Clients are cut off."""
        if self.process.running():
            self.process.signal(signal.SIGINT)
            self.process.wait(60)

    def kill(self):
        """Every process of it at once, as a power cut would."""
        self.process.signal(signal.SIGSTOP)
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            for child in file.read().split():
                os.kill(int(child), signal.SIGKILL)
        self.process.kill()

    def close(self):
        if self.process:
            self.stop()
        shutil.rmtree(self.directory)


def tells_password(text):
    return "sesame" in text
