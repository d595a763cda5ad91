# SPDX-License-Identifier: MIT
"""What people put behind TCP services: OpenSSH, git, PostgreSQL, Redis, iperf3; with their own clients."""

import hashlib
import http.server
import itertools
import json
import os
import re
import select
import shlex
import subprocess
import threading
import time

import pytest

from support.postgres import Postgres, programs
from support.process import PATIENCE, QUICK, Process, free_port, metric, run, wait_until
from support.ssh import Ssh

SIZE = (10 if QUICK else 1024) * 1024 * 1024


@pytest.fixture
def expose(make_node, make_agent):
    """The public port that leads to a port of this machine."""
    def make(port, **more):
        node, public = make_node(), free_port()
        make_agent(node.invite("a.eu"), tcp=[{"name": "service", "origin": f"127.0.0.1:{port}", "listen_port": public,
                                              **more}])
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
        return public
    return make


@pytest.fixture
def ssh(tmp_path, stack):
    directory = tmp_path / "ssh"
    directory.mkdir()
    server = Ssh(directory)
    stack.callback(server.close)
    return server


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_ssh_copies_files_both_ways(ssh, expose, tmp_path):
    port = expose(ssh.port)
    large, there, back = (tmp_path / name for name in ("large", "there", "back"))
    with open(large, "wb") as file:
        block = os.urandom(1 << 20)
        for number in range(SIZE >> 20):
            file.write(block[number:] + block[:number])
    sent = digest(large)
    done = run(["ssh", *ssh.options, "-p", port, ssh.there, "cat; echo over >&2; exit 7"], stdin=open("/etc/passwd"))
    assert done.returncode == 7 and done.stderr == "over\n"
    with open("/etc/passwd", errors="replace") as file:
        assert done.stdout == file.read()
    for source, target, file in ((large, f"{ssh.there}:{there}", there), (f"{ssh.there}:{there}", back, back)):
        run(["scp", "-q", *ssh.options, "-P", port, source, target], check=True, timeout=240)
        assert digest(file) == sent
        large.unlink(missing_ok=True)  # two of them at a time are enough


def test_ssh_at_a_terminal(ssh, expose, stack):
    """A shell that is typed to: each key is echoed at once, and a command that waits is interrupted."""
    ours, theirs = os.openpty()
    shell = subprocess.Popen(["ssh", "-tt", *ssh.options, "-p", str(expose(ssh.port)), ssh.there, "exec sh"], stdin=theirs,
                             stdout=theirs, stderr=theirs)
    os.close(theirs)
    stack.callback(os.close, ours)
    stack.callback(shell.kill)
    seen = b""

    def await_text(text):
        nonlocal seen
        deadline = time.monotonic() + PATIENCE
        while text not in seen:
            ready = select.select([ours], [], [], max(deadline - time.monotonic(), 0))[0]
            assert ready, seen
            seen += os.read(ours, 4096)
        seen = seen[seen.index(text) + len(text):]
    for key in b"echo $((6*7))":
        os.write(ours, bytes([key]))
        await_text(bytes([key]))
    os.write(ours, b"\r")
    await_text(b"42\r\n")
    os.write(ours, b"sleep 1000\r")
    await_text(b"sleep 1000\r\n")
    time.sleep(0.5)  # for the shell to have started it
    os.write(ours, b"\x03")
    await_text(b"^C")
    os.write(ours, b"exit 7\r")
    assert shell.wait(PATIENCE) == 7


def test_ssh_carries_other_connections(ssh, expose, stack, tmp_path):
    """-D: a SOCKS proxy, whose connections are streams of one SSH connection through the tunnel."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode() * 1000)

        def log_message(self, format, *args):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    stack.callback(web.shutdown)
    socks = free_port()
    client = Process(["ssh", "-N", "-v", *ssh.options, "-D", f"127.0.0.1:{socks}", "-p", expose(ssh.port), ssh.there],
                     tmp_path / "client.log")
    stack.callback(client.kill)
    client.wait_log("Entering interactive session")
    urls = [f"http://127.0.0.1:{web.server_port}/{number}" for number in range(20)]
    done = run(["curl", "-sS", "--parallel", "--socks5-hostname", f"127.0.0.1:{socks}",
                *(word for url in urls for word in ("-o", tmp_path / url.rpartition("/")[2], url))])
    assert done.returncode == 0, done.stderr
    for number in range(20):
        assert (tmp_path / str(number)).read_text() == f"/{number}" * 1000


def test_git_over_ssh(ssh, expose, tmp_path):
    port, there = expose(ssh.port), tmp_path / "there.git"
    env = {"GIT_SSH_COMMAND": shlex.join(["ssh", *ssh.options]), "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1",
           **{f"GIT_{who}_{what}": "towonel@example.eu" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}

    def git(*arguments):
        return run(["git", *arguments], env=env, check=True, timeout=60).stdout.strip()

    url = f"ssh://{ssh.there}:{port}{there}"
    git("init", "-q", "--bare", "-b", "main", there)
    git("init", "-q", "-b", "main", tmp_path / "mine")
    for number in range(20):
        (tmp_path / "mine" / f"file{number}").write_bytes(os.urandom(100000))
        git("-C", tmp_path / "mine", "add", ".")
        git("-C", tmp_path / "mine", "commit", "-q", "-m", f"commit {number}")
    git("-C", tmp_path / "mine", "push", "-q", url, "main")
    git("clone", "-q", url, tmp_path / "copy")
    assert git("-C", tmp_path / "copy", "rev-parse", "HEAD") == git("-C", tmp_path / "mine", "rev-parse", "HEAD")
    git("-C", tmp_path / "copy", "fsck", "--strict")


@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")
def test_postgresql(expose, stack, tmp_path):
    server = Postgres(tmp_path / "postgres.log")
    stack.callback(server.close)
    dsn, pgbench = server.start().dsn_at(expose(server.port)), os.path.join(programs(), "pgbench")
    run([pgbench, "-q", "-i", "-s", "1", dsn], check=True, timeout=60)
    clients, each = 8, 20 if QUICK else 100
    done = run([pgbench, "-n", "-c", clients, "-j", 2, "-t", each, dsn], check=True, timeout=120)
    assert re.search(rf"processed: {clients * each}/{clients * each}\b", done.stdout), done.stdout
    assert server.ask("SELECT count(*) FROM pgbench_history") == str(clients * each)
    # Each transaction adds the same to all of them.
    assert len({server.ask(f"SELECT sum({table[0]}balance) FROM pgbench_{table}")
                for table in ("accounts", "tellers", "branches")}) == 1
    # A connection of its own for each, too.
    run([pgbench, "-n", "-C", "-S", "-c", 4, "-t", 20, dsn], check=True, timeout=120)


def test_iperf3_both_directions(expose, stack, tmp_path):
    port = free_port()
    server = Process(["iperf3", "-s", "--forceflush", "-B", "127.0.0.1", "-p", port], tmp_path / "iperf3.log")
    stack.callback(server.kill)
    public = expose(port)
    runs = itertools.count()

    def received(*direction):
        """In bytes, each way."""
        number = next(runs)
        wait_until(lambda: server.log().count("Server listening") > number, "the server is ready")
        done = run(["iperf3", "-c", "127.0.0.1", "-p", public, "-t", 1, "-P", 2, "-J", *direction], timeout=60)
        end = json.loads(done.stdout)["end"]
        return [end[total]["bytes"] for total in ("sum_received", "sum_received_bidir_reverse") if total in end]

    for direction in ([], ["-R"]):
        assert min(received(*direction)) > 1 << 20
    # Both of its ends write before they read, and wait for each other now and then until the second is over.
    wait_until(lambda: min(ways := received("--bidir")) > 1 << 20 and len(ways) == 2, "bytes go both ways at once", 60)


def test_redis(expose, stack, tmp_path):
    port = free_port()
    server = Process(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
                     tmp_path / "redis.log")
    stack.callback(server.kill)
    server.wait_log("Ready to accept connections")
    public = expose(port)

    def cli(*arguments, at=public, **more):
        return run(["redis-cli", "-p", at, *arguments], check=True, **more).stdout.strip()

    value = tmp_path / "value"
    value.write_text(os.urandom(4 << 20).hex())
    assert cli("-x", "SET", "large", stdin=value.open()) == "OK"
    assert cli("GET", "large") == value.read_text() == cli("GET", "large", at=port)
    # Many requests on the way at once, on many connections.
    requests = 2000 if QUICK else 20000
    done = run(["redis-benchmark", "-p", public, "-q", "-n", requests, "-c", 20, "-P", 16, "INCR", "counter"],
               check=True, timeout=120)
    assert "requests per second" in done.stdout
    assert cli("GET", "counter", at=port) == str(requests)
    # One that waits for the other side to speak.
    waiting = Process(["redis-cli", "-p", public, "SUBSCRIBE", "news"], tmp_path / "subscriber.log")
    stack.callback(waiting.kill)
    wait_until(lambda: cli("PUBLISH", "news", "hello", at=port) == "1", "there is a subscriber")
    waiting.wait_log("hello")
