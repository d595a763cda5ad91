# SPDX-License-Identifier: MIT
"""The agent inside of other programs, built as a stranger builds them: against an installed copy, by pkg-config."""

import json
import os
import shlex
import shutil
import socket
import time

import pytest

from support.greeter import greeted
from support.lines import Origin, visit
from support.process import BUILD, VARIANT, Process, free_port, metric, run, wait_until
from support.visitors import dial

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SANITIZE = shlex.split(os.environ.get("TOWONEL_SANITIZE", ""))
EXAMPLES = sorted(name.removesuffix(".c") for name in os.listdir(os.path.join(ROOT, "examples"))
                  if name.endswith(".c"))
NAMES = ["a.alice.example.eu", "b.bob.example.eu"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    where = tmp_path_factory.mktemp("installed")
    # By the name that make itself has for it: dependency files tell of another one's objects otherwise.
    build_dir = os.path.relpath(BUILD, ROOT)
    run(["make", "-C", ROOT, "--no-print-directory", "install", f"PREFIX={where}", f"BUILD={build_dir}",
         "NO_PACKAGES=1", f"CC={os.environ.get('CC', 'gcc')}", *VARIANT], env={"HOME": os.environ["HOME"]},
        timeout=280, check=True)
    return where


# What an example needs besides the library: what pkg-config knows, and flags.
ALSO = {"embed_uv": (["libuv"], []), "embed_glib": (["glib-2.0"], []), "embed_inproc": ([], ["-lpthread"])}


def build(prefix, source, out, kind):
    """Compiles one file with what pkg-config says and nothing else."""
    modules, more = ALSO.get(os.path.basename(source).removesuffix(".c"), ([], []))
    env = {"PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig"}
    module = {"shared": ["libtowonel-agent"], "static": ["--static", "libtowonel-agent-static"]}[kind]
    flags = run(["pkg-config", "--cflags", "--libs", *module, *modules], env=env, check=True).stdout.split()
    run([os.environ.get("CC", "gcc"), "-Wall", "-Wextra", "-Werror", *SANITIZE, "-o", out, source, *flags, *more],
        check=True, timeout=120)
    return str(out)


@pytest.fixture
def installed(prefix):
    """What a library that is not in the system's places needs."""
    return {"LD_LIBRARY_PATH": f"{prefix}/lib"}


@pytest.fixture(scope="module")
def programs(prefix, tmp_path_factory):
    where = tmp_path_factory.mktemp("programs")
    return {(name, kind): build(prefix, os.path.join(ROOT, folder, name + ".c"), where / f"{name}-{kind}", kind)
            for folder, name in (*(("examples", name) for name in EXAMPLES), ("tests/e2e", "embed_restart"))
            for kind in ("shared", "static")}


def ticks(process):
    with open(f"/proc/{process.pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


@pytest.fixture
def origin(stack):
    made = Origin("origin")
    stack.callback(made.close)
    return made


@pytest.mark.parametrize("kind", ["shared", "static"])
@pytest.mark.parametrize("example", ["embed_run", "embed_uv", "embed_glib"])
def test_an_agent_in_a_loop(programs, installed, example, kind, make_node, origin, tmp_path):
    node = make_node()
    process = Process([programs[example, kind], json.dumps([origin.service(NAMES[0])])], tmp_path / "embed.log",
                      env={**installed, "TOWONEL_INVITE_TOKEN": node.invite(NAMES[0])})
    process.wait_log("serving")
    wait_until(lambda: visit(node.edge_port, NAMES[0]) == "origin", "a visitor gets through", timeout=5)
    assert process.stop() == 0
    assert "stopped: success" in process.log()


def test_a_refused_service_is_an_event(programs, installed, make_node, make_agent, make_greeter, tmp_path):
    node, port, own = make_node(), free_port(), free_port()
    origin = make_greeter("hello").address
    taken = {"name": "taken", "origin": origin, "listen_port": port}
    make_agent(node.invite("alice.eu", name="alice"), tcp=[taken])
    wait_until(lambda: greeted(port) == "hello", "alice has the port")
    mine = {"name": "mine", "origin": origin, "listen_port": own}
    process = Process([programs["embed_run", "static"], "", json.dumps([taken, mine])], tmp_path / "embed.log",
                      env={**installed, "TOWONEL_INVITE_TOKEN": node.invite("bob.eu", name="bob")})
    process.wait_log(f'refused tcp:taken: port {port}/tcp is taken by service "taken" of tenant "alice"')
    process.wait_log("serving")
    wait_until(lambda: greeted(own) == "hello", "the other service works")
    assert process.stop() == 0


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_two_agents_in_a_poll_loop(programs, installed, kind, make_node, origin, tmp_path):
    node = make_node()
    arguments = []
    for number, name in enumerate(NAMES):
        path = tmp_path / f"token{number}"
        path.write_text(node.invite(name, name=f"tenant{number}") + "\n")
        arguments += [path, json.dumps([origin.service(name)])]
    process = Process([programs["embed_poll", kind], *arguments], tmp_path / "embed.log", env=installed)
    for number, name in enumerate(NAMES):
        process.wait_log(f"agent {number} is serving")
        wait_until(lambda: visit(node.edge_port, name) == "origin", "a visitor gets through", timeout=5)
    # One is told to go by the hub, the other stays.
    first = next(invite for invite in node.invites() if invite["name"] == "tenant0")
    assert node.towonel("invite", "revoke", "--id", first["invite_id"]).returncode == 0
    process.wait_log("agent 0 has stopped: not authenticated")
    assert visit(node.edge_port, NAMES[1]) == "origin"
    # It sleeps when there is nothing to do: two seconds take less than half a second of the processor.
    before = ticks(process)
    time.sleep(2)
    assert ticks(process) - before < 0.5 * os.sysconf("SC_CLK_TCK")
    assert process.stop() == 0
    assert "agent 1 has stopped: success" in process.log()


def ask(port, text, source):
    """A visitor from source that says text and no more; all it gets."""
    with dial(port, source=source) as sock:
        sock.sendall(text)
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_program_is_its_own_origin(programs, installed, kind, make_node, tmp_path):
    node, port = make_node(), free_port()
    process = Process([programs["embed_inproc", kind], port], tmp_path / "embed.log",
                      env={**installed, "TOWONEL_INVITE_TOKEN": node.invite(NAMES[0])})
    process.wait_log("serving")
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
    files = process.open_files()
    text = os.urandom(1 << 20)
    for number in range(2, 12):
        source = f"127.0.0.{number}"
        greeting, _, echo = ask(port, text, source).partition(b"\n")
        assert greeting.decode().rpartition(":")[0] == f"hello {source}"
        assert echo == text
    listening = run(["ss", "-ltnpH"]).stdout
    assert f"pid={process.pid}," not in listening
    # One that is turned away in the middle of it leaves nothing behind either.
    with dial(port) as sock:
        assert sock.recv(6) == b"hello "
    wait_until(lambda: process.open_files() <= files, "all descriptors are closed")
    assert process.stop() == 0


def test_the_agent_program_is_no_origin(make_node, make_agent):
    agent = make_agent(make_node().invite(NAMES[0]), [{"hostname": NAMES[0], "origin": "inproc:x"}], wait=False)
    assert agent.process.wait() == 2
    assert "TOWONEL_AGENT_SERVICES: " in agent.process.log() and "inproc:x" in agent.process.log()


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_bad_config_is_told(programs, installed, kind):
    done = run([programs["embed_run", kind], "[]"], env={**installed, "TOWONEL_INVITE_TOKEN": "hello"})
    assert done.returncode == 2 and "invite_token: " in done.stderr


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_starting_and_stopping_leaks_no_descriptor(programs, installed, kind, make_node, origin):
    node = make_node()
    times = 50 if kind == "shared" and not SANITIZE else 20  # of two starts each
    done = run([programs["embed_restart", kind], json.dumps([origin.service(NAMES[0])]), times],
               env={**installed, "TOWONEL_INVITE_TOKEN": node.invite(NAMES[0])}, timeout=240)
    assert done.returncode == 0, done.stderr
    counts = [int(line) for line in done.stdout.split()]
    assert len(counts) == times
    assert counts[-1] <= counts[2], counts


@pytest.mark.skipif(bool(SANITIZE), reason="the sanitizer looks for leaks itself")
def test_starting_and_stopping_leaks_no_memory(programs, installed, make_node, origin):
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind")
    node = make_node()
    done = run(["valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite,possible", "--error-exitcode=9",
                programs["embed_restart", "static"], json.dumps([origin.service(NAMES[0])]), 5],
               env={**installed, "TOWONEL_INVITE_TOKEN": node.invite(NAMES[0])}, timeout=250)
    assert done.returncode == 0, done.stderr[-4000:]
