# SPDX-License-Identifier: MIT
"""A tenant's key in a backup: with the passphrase from a file and from the terminal, and all that may be wrong."""

import json
import os
import pty
import re
import select
import signal
import stat
import termios
import time

import pytest

from support.process import BUILD, PATIENCE, run

CLI = f"{BUILD}/towonel"
PASSPHRASE = "correct horse battery"


class Keys:
    """A directory with a key and a passphrase."""

    def __init__(self, directory):
        self.directory = directory
        self.id = self.towonel("tenant", "init").stdout.strip()
        self.write("passphrase", PASSPHRASE + "\n")

    def towonel(self, *arguments):
        return run([CLI, *arguments], cwd=self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def export(self, backup="backup", passphrase="passphrase"):
        return self.towonel("tenant", "export-key", "--key-path", "tenant.key", "--backup", backup,
                            "--passphrase-file", passphrase)

    def restore(self, backup="backup", passphrase="passphrase", to="restored.key"):
        return self.towonel("tenant", "import-key", "--key-path", to, "--backup", backup,
                            "--passphrase-file", passphrase)


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def refused(done, wanted, code=1):
    assert done.returncode == code, done.stderr
    assert wanted in done.stderr.splitlines()[0] and done.stdout == "" and PASSPHRASE not in done.stderr


def test_there_and_back(keys):
    done = keys.export()
    assert done.returncode == 0 and done.stdout == keys.id + "\n", done.stderr
    assert stat.S_IMODE(os.stat(keys.path("backup")).st_mode) == 0o600
    backup = json.loads(keys.read("backup"))
    assert backup["format"] == "towonel-tenant-key" and backup["version"] == 1 and backup["tenant_id"] == keys.id
    assert keys.read("tenant.key").hex() not in keys.read("backup").decode()
    done = keys.restore()
    assert done.returncode == 0 and done.stdout == keys.id + "\n", done.stderr
    assert keys.read("restored.key") == keys.read("tenant.key")
    assert stat.S_IMODE(os.stat(keys.path("restored.key")).st_mode) == 0o600
    # Neither a key nor a backup is ever written over.
    refused(keys.restore(), "restored.key is there already")
    refused(keys.export(), "backup is there already")


def test_what_opens_nothing(keys):
    assert keys.export().returncode == 0
    whole = keys.read("backup")
    keys.write("other", PASSPHRASE + "!")
    refused(keys.restore(passphrase="other"), "passphrase is another one")
    keys.write("cut", whole[:-20])
    refused(keys.restore(backup="cut"), "cut is no backup")
    sealed = whole.index(b'"sealed"') + 20
    keys.write("flipped", whole[:sealed] + bytes([whole[sealed] ^ 1]) + whole[sealed + 1:])
    done = keys.restore(backup="flipped")
    assert done.returncode == 1 and "flipped" in done.stderr
    keys.write("newer", whole.replace(b'"version": 1', b'"version": 2'))
    refused(keys.restore(backup="newer"), "newer towonel")
    refused(keys.restore(backup="nothing"), "nothing")
    assert not os.path.exists(keys.path("restored.key"))


@pytest.mark.parametrize("text, mode, wanted", [
    ("", 0o600, "empty"), ("\n" + PASSPHRASE, 0o600, "empty"), ("short", 0o600, "too short"),
    (PASSPHRASE, 0o644, "chmod 600"), ("x" * 5000, 0o600, "larger"), (None, 0, "passphrase-file")])
def test_passphrases_that_are_refused(keys, text, mode, wanted):
    if text is None:
        os.unlink(keys.path("passphrase"))
    else:
        keys.write("passphrase", text, mode)
    refused(keys.export(), wanted, 2)
    assert not os.path.exists(keys.path("backup"))


def test_without_a_terminal_a_file_is_asked_for(keys):
    done = run(["setsid", "-w", CLI, "tenant", "export-key", "--key-path", "tenant.key", "--backup", "backup"],
               cwd=keys.directory)
    refused(done, "--passphrase-file", 2)


# --- at the terminal --------------------------------------------------------------------------


class Terminal:
    """A program at a terminal of its own, and what it shows there."""

    def __init__(self, directory, *arguments, program=CLI):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background have it ignored
            os.chdir(directory)
            os.execve(program, [program, *arguments], {
                name: value for name, value in os.environ.items() if name == "PATH" or name.endswith("SAN_OPTIONS")})
        self.shown = ""

    def wait(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} does not come: {self.shown!r}"
            try:
                self.shown += os.read(self.fd, 4096).decode()
            except OSError as error:  # the other side is closed
                raise AssertionError(f"{text!r} does not come: {self.shown!r}") from error

    def type(self, text):
        os.write(self.fd, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def end(self):
        """The exit status; negative: the signal."""
        while True:
            try:
                got = os.read(self.fd, 4096)
            except OSError:
                break
            if not got:
                break
            self.shown += got.decode()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def export_at_terminal(keys):
    terminal = Terminal(keys.directory, "tenant", "export-key", "--key-path", "tenant.key", "--backup", "backup")
    terminal.wait("Passphrase: ")
    assert not terminal.echoes()
    return terminal


def test_a_passphrase_is_typed_twice_and_not_shown(keys):
    terminal = export_at_terminal(keys)
    terminal.type(PASSPHRASE + "\n")
    terminal.wait("The same again: ")
    terminal.type(PASSPHRASE + "\n")
    assert terminal.end() == 0
    assert keys.id in terminal.shown and PASSPHRASE not in terminal.shown
    assert keys.restore().returncode == 0

    terminal = Terminal(keys.directory, "tenant", "import-key", "--backup", "backup", "--key-path", "typed.key")
    terminal.wait("Passphrase: ")
    terminal.type(PASSPHRASE + "\n")
    assert terminal.end() == 0
    assert "again" not in terminal.shown and keys.read("typed.key") == keys.read("tenant.key")


def test_two_that_differ_write_nothing(keys):
    terminal = export_at_terminal(keys)
    terminal.type(PASSPHRASE + "\n")
    terminal.wait("The same again: ")
    terminal.type(PASSPHRASE + "!\n")
    assert terminal.end() == 1
    assert "differ" in terminal.shown and not os.path.exists(keys.path("backup"))


@pytest.mark.parametrize("end", ["\x03", signal.SIGTERM])
def test_the_terminal_is_as_before_when_it_is_interrupted(keys, end):
    command = f"{CLI} tenant export-key --key-path tenant.key --backup backup"
    if end == "\x03":
        script = f"trap : INT; {command}; "
    else:
        script = f"{command} & wait $!; "
    script += "echo ended $?; stty -a; read -r _"
    # A shell holds the terminal, so that it can be looked at when the program is gone.
    terminal = Terminal(keys.directory, "-c", script, program="/bin/bash")
    terminal.wait("Passphrase: ")
    if end == "\x03":
        terminal.type("half" + end)
        terminal.wait("ended 130")
    else:
        os.kill(int(run(["pgrep", "-P", str(terminal.pid)]).stdout), end)
        terminal.wait("ended 143")
    terminal.wait(" echoke")
    assert re.search(r"(?<!-)\becho\b", terminal.shown) and "half" not in terminal.shown
    terminal.type("\n")
    terminal.end()
    assert not os.path.exists(keys.path("backup"))
