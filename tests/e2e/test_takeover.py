# SPDX-License-Identifier: MIT
"""towonel-node --takeover: another process takes the place of one that runs, and nobody's connection is dropped."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from support.api import Api
from support.lines import Origin, Visitor, visit
from support.load import Load
from support.process import BUILD, PATIENCE, QUICK, free_port, metric, run, wait_until
from support.raw_origin import RawOrigin
from support.udp import ask, service, udp_socket

NAME = "app.alice.example.eu"
DOWNLOADS = 20 if QUICK else 200


@pytest.fixture
def origin(stack):
    made = Origin("one")
    stack.callback(made.close)
    return made


def echoes(sock, _):
    while data := sock.recv(4096):
        sock.sendall(data)


def one_echo(port):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(b"hello")
        assert sock.recv(16) == b"hello"


def agents(node):
    return metric(node.edge_metrics(), "towonel_edge_agents_connected")


def test_visitors_finish_with_the_one_before_and_come_to_the_next(make_node, make_agent, origin):
    node = make_node()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)])
    with Visitor(node.edge_port, NAME) as visitor:
        visitor.send("drip 20")
        first = node.process
        assert node.take_over() == 0
        assert visit(node.edge_port, NAME) == "one"
        assert first.running()
        assert [visitor.line() for _ in range(20)] == [str(line) for line in range(20)]
    assert first.wait(10) == 0
    assert agents(node) == 1 and agent.ready()[0] == 200
    assert visit(node.edge_port, NAME) == "one"
    node.process.stop()


def count(visitor, lines):
    """Reads what a visitor was to get, "0" and on."""
    assert [visitor.line() for _ in range(lines)] == [str(line) for line in range(lines)]


def test_everything_at_once(make_node, make_agent, make_udp_origin, make_raw_origin, origin, stack):
    """Two replacements under load: downloads, new visitors, a TCP and a UDP service, the hub's API, and no failure."""
    node = make_node()
    tcp_port, udp_port = free_port(), free_port()
    udp_origin = make_udp_origin()
    echo = make_raw_origin(echoes, proxy=False, hello=False)
    token = node.invite(NAME)
    for _ in range(2):
        make_agent(token, [origin.service(NAME)], udp=[service(udp_origin, udp_port)],
                   tcp=[{"name": "ssh", "origin": echo.address, "listen_port": tcp_port}])
    wait_until(lambda: agents(node) == 2 and metric(node.edge_metrics(), "towonel_edge_ports_bound") == 2, "all is up")
    downloads = [stack.enter_context(Visitor(node.edge_port, NAME)) for _ in range(DOWNLOADS)]
    for visitor in downloads:
        visitor.send("drip 60")
    tcp = stack.enter_context(socket.create_connection(("127.0.0.1", tcp_port), timeout=PATIENCE))
    player = stack.enter_context(udp_socket())
    assert ask(udp_port, b"join", sock=player) == b"join"
    players = len(udp_origin.peers)

    api = Api(node)
    by_key = f"{api.get('/v1/health').json['node_id'][:32]}.towonel.invalid"  # by way of the edge's port

    def call_the_hub():
        assert api.get("/v1/health").status == 200
        assert api.get("/v1/health", url=f"https://{by_key}",
                       arguments=["--connect-to", f"{by_key}:443:127.0.0.1:{node.edge_port}"]).status == 200

    with Load(lambda: visit(node.edge_port, NAME)) as web, Load(call_the_hub, threads=2) as hub, \
            Load(lambda: one_echo(tcp_port), threads=1) as ports:
        for _ in range(2):
            before = len(web.answers), len(hub.answers), len(ports.answers)
            assert node.take_over() == 0
            for number in range(5):
                tcp.sendall(b"%d" % number)
                assert tcp.recv(16) == b"%d" % number
                assert ask(udp_port, b"still here", sock=player) == b"still here"
            wait_until(lambda: len(web.answers) > before[0] + 20 and len(hub.answers) > before[1] + 3 and
                       len(ports.answers) > before[2] + 5, "visitors go on")
        assert ask(udp_port, b"a new one") == b"a new one"
    for load in (web, hub, ports):
        assert load.failures == []
    assert len(udp_origin.peers) == players + 1  # the player's session is the same, though it was replaced twice
    for visitor in downloads:
        count(visitor, 60)
        visitor.close()
    tcp.close()
    first, second = node.befores
    first.signal(signal.SIGTERM)  # a UDP session goes on for as long as it may
    assert first.wait(10) == 0
    second.wait(10)
    assert agents(node) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: wrk takes its server name from the system's hosts")
@pytest.mark.parametrize("header", ["Connection: close", "Connection: keep-alive"])
def test_under_wrk(header, make_tunnel, make_nginx, tmp_path):
    node, _ = make_tunnel({NAME: make_nginx(NAME).address})
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 {NAME}\n")
    load = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec wrk "$@"',
         hosts, "-t", "1", "-c", "20", "-d", "4s", "--timeout", "20s", "-H", header,
         f"https://{NAME}:{node.edge_port}/who"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for _ in range(2):
        time.sleep(1)
        assert node.take_over() == 0
    said = load.communicate(timeout=PATIENCE)[0]
    assert int(re.search(r"(\d+) requests in", said)[1]) > 100, said
    assert "Socket errors" not in said and "Non-2xx" not in said, said


@contextlib.contextmanager
def in_the_middle(node):
    """The id of a process that takes over and waits for the last agent; it is not to live to do it."""
    text, ups = "another process wants to take over", node.process.log().count("edge is up")
    with open(node.process.log_path, "ab") as log:
        command = subprocess.Popen([f"{BUILD}/towonel-node", "--takeover"], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env={"PATH": os.environ["PATH"], **node.env})
    wait_until(lambda: node.process.log().count("edge is up") > ups, "it has the sockets", interval=0.001)
    time.sleep(0.3)
    yield int(re.findall(text + r" pid=(\d+)", node.process.log())[-1])
    assert command.wait(PATIENCE) == 1


def test_ten_in_a_row(make_node, make_agent, origin):
    """Each has a visitor; all of which last."""
    node = make_node()
    make_agent(node.invite(NAME), [origin.service(NAME)])
    with contextlib.ExitStack() as visitors, Load(lambda: visit(node.edge_port, NAME), threads=1) as load:
        lasting = []
        for number in range(10):
            lasting.append(visitors.enter_context(Visitor(node.edge_port, NAME)))
            assert node.take_over() == 0
            assert all(visitor.ask("echo here") == "here" for visitor in lasting), number
    assert load.failures == []
    for before in node.befores:
        before.wait(10)


def test_one_that_fails_changes_nothing(make_node, make_agent, origin):
    node = make_node()
    make_agent(node.invite(NAME), [origin.service(NAME)])
    other = make_agent(node.invite("other.bob.example.eu", name="bob"), [origin.service("other.bob.example.eu")])
    process = node.process
    with Load(lambda: visit(node.edge_port, NAME)) as load, Visitor(node.edge_port, NAME) as visitor:
        visitor.send("drip 30")
        assert node.take_over(TOWONEL_HUB_LISTEN_ADDR="nonsense") == 2  # before it has asked
        assert node.take_over(TOWONEL_EDGE_TLS_ACME_EMAIL="nonsense") == 2  # when the hub was closed for it
        process.wait_log("the process that was to take over has failed; this one goes on")
        assert node.hub_ready()[0] == 200
        other.process.signal(signal.SIGSTOP)  # its tunnel is waited for
        for _ in range(2):
            with in_the_middle(node) as pid:
                os.kill(pid, signal.SIGKILL)
            assert visit(node.edge_port, NAME) == "one"
        other.process.signal(signal.SIGCONT)
        count(visitor, 30)
    assert load.failures == []
    assert visit(node.edge_port, "other.bob.example.eu") == "one"
    node.invite("app.carol.example.eu", name="carol")  # the hub works
    assert process.running() and node.process is process
    assert node.take_over() == 0
    assert visit(node.edge_port, NAME) == visit(node.edge_port, "other.bob.example.eu") == "one"


def test_one_that_is_stopped_before_it_has_taken_over(make_node, make_agent, origin):
    node = make_node()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)])
    agent.process.signal(signal.SIGSTOP)
    with in_the_middle(node) as pid:
        os.kill(pid, signal.SIGTERM)
    node.process.wait_log("the process that was to take over has failed")
    agent.process.signal(signal.SIGCONT)
    assert node.hub_ready()[0] == 200 and "draining" not in node.edge_ready()[1]


def test_the_one_before_is_found_again_when_the_next_has_died(make_node, make_agent, origin, make_udp_origin):
    node, udp_port = make_node(), free_port()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)], udp=[service(make_udp_origin(), udp_port)])
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
    with Visitor(node.edge_port, NAME) as visitor, udp_socket() as player:
        assert ask(udp_port, b"join", sock=player) == b"join"
        first = node.process
        assert node.take_over() == 0
        node.process.kill()
        assert visitor.ask("echo still here") == "still here"
        assert ask(udp_port, b"still here", sock=player) == b"still here"
        node.process = first  # it has the UDP sockets, which a new process needs
        assert node.take_over() == 0
        wait_until(lambda: agents(node) == 1, "the agent is back")
        assert visit(node.edge_port, NAME) == "one"
        assert visitor.ask("echo still here") == "still here"
        assert ask(udp_port, b"still here", sock=player) == b"still here"
        assert ask(udp_port, b"a new one") == b"a new one"
    assert agent.process.running()


def test_an_edge_alone(make_node, make_edge, make_agent, origin):
    node = make_node(TOWONEL_EDGE_ENABLED="false")
    edge = make_edge(node.invite_edge("fra"))
    make_agent(node.invite(NAME), [origin.service(NAME)], wait=False)
    wait_until(lambda: agents(edge) == 1 and metric(edge.edge_metrics(), "towonel_edge_hostnames") == 1, "all is there")
    with Load(lambda: visit(edge.edge_port, NAME)) as load, Visitor(edge.edge_port, NAME) as visitor:
        visitor.send("drip 10")
        assert edge.take_over() == 0
        assert node.take_over() == 0  # a hub alone has nobody to wait for
        count(visitor, 10)
        wait_until(lambda: len(load.answers) > 20, "visitors come")
    assert load.failures == []
    assert edge.befores[0].wait(10) == node.befores[0].wait(10) == 0
    wait_until(lambda: metric(edge.edge_metrics(), "towonel_edge_hub_connected") == 1, "the edge follows the hub")
    node.invite("app.carol.example.eu", name="carol")


def test_the_number_of_workers_stays(make_node, make_agent, origin):
    node = make_node(TOWONEL_EDGE_WORKERS="3")
    make_agent(node.invite(NAME), [origin.service(NAME)])
    with Load(lambda: visit(node.edge_port, NAME)) as load, Visitor(node.edge_port, NAME) as visitor:
        visitor.send("drip 15")
        for number in ("1", "4"):
            seen = len(load.answers)
            assert node.take_over(TOWONEL_EDGE_WORKERS=number) == 0
            wait_until(lambda: len(load.answers) > seen + 30, "visitors come")
        count(visitor, 15)
    assert load.failures == []
    assert "as many workers as the process before" in node.process.log()


def test_only_the_owner_may_take_over(make_node, origin):
    node = make_node()
    path = os.path.join(node.data_dir, "node.sock")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    os.chmod(path, 0o666)  # as if the mode did not help
    for directory in (node.data_dir, node.directory, os.path.dirname(node.directory)):
        os.chmod(directory, 0o755)
    code = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
            "s.connect('node.sock'); s.send(b'{\"do\":\"lend\",\"version\":1}'); print(len(s.recv(4096)))")
    said = run([sys.executable, "-c", code], cwd=node.data_dir)
    assert said.stdout == "0\n" or "reset" in said.stderr.lower() or "pipe" in said.stderr.lower(), said
    node.process.wait_log("somebody else's process wanted to take over")
    # nor does nonsense from the owner do anything
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)
        sock.send(b'{"do":"commit"}')
        assert sock.recv(4096) == b""
    assert node.edge_ready()[0] in (200, 503) and node.hub_ready()[0] == 200


def test_one_that_is_started_beside_another_is_told(make_node):
    node = make_node()
    done = run([f"{BUILD}/towonel-node"], env=node.env)
    assert done.returncode == 2 and "in use" in done.stderr
    assert f"another process runs the node in {node.data_dir}: --takeover takes its place" in done.stderr


def test_without_a_node_there_is_nothing_to_take_over(make_node):
    node = make_node(start=False)
    done = run([f"{BUILD}/towonel-node", "--takeover"], env=node.env)
    assert done.returncode == 2
    assert f"no node runs in {node.data_dir} to take over from" in done.stderr
