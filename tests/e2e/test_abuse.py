# SPDX-License-Identifier: MIT
"""Floods and shortages: what one visitor costs stays its own, and what was short comes back by itself."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time

import pytest

from support.memory import MemoryWatch
from support.process import QUICK, free_port, metric, run, wait_until
from support.towonel import http_get
from support.udp import ask, udp_socket
from support.visitors import TlsVisitor, dial

NAME = "app.alice.example.eu"
SUPPORT = os.path.join(os.path.dirname(__file__), "support")
FLOOD = os.path.join(SUPPORT, "flood.py")


def refused(node, reason):
    return metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason=reason)


def with_descriptors(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def page(node, authority, source=None):
    with TlsVisitor(node.edge_port, NAME, authority.cert, source=source) as visitor:
        return visitor.get()


def test_a_flood_from_one_address(make_tunnel, make_nginx, authority):
    """As fast as 100,000 connections a minute and faster; who comes from elsewhere is served all the time."""
    node, _ = make_tunnel({NAME: make_nginx(NAME).address}, TOWONEL_EDGE_CONNECTION_BURST="500")
    flood = subprocess.Popen([sys.executable, FLOOD, str(node.edge_port), "127.0.0.66", NAME, "10000"],
                             stdout=subprocess.PIPE, text=True)
    served = 0
    try:
        while flood.poll() is None:
            address = f"127.0.0.{served % 50 + 2}"
            assert page(node, authority, address) == address + "\n"
            served += 1
    finally:
        flood.kill()
    made = int(flood.communicate()[0])
    assert made > 5000 and served > 0
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0, "all are gone")
    assert refused(node, "rate") > made / 10
    assert sum(refused(node, reason) for reason in ("limit", "address_limit", "descriptors", "internal")) == 0
    assert "visitor turned away" in node.process.log()


def test_a_node_with_few_descriptors(make_node, make_agent, make_nginx, authority):
    """Visitors take what is left of 64 and no more: the hub and its health go on, and so do visitors when some go."""
    node = make_node(start=False, TOWONEL_EDGE_WORKERS="1")  # others would need some, too
    node.start(preexec=with_descriptors(64))
    make_agent(node.invite(NAME), [{"hostname": NAME, "origin": make_nginx(NAME).address}])
    assert page(node, authority) == "127.0.0.1\n"
    with contextlib.ExitStack() as visitors:
        for _ in range(64):
            visitors.enter_context(dial(node.edge_port)).sendall(b"\x16")
        wait_until(lambda: refused(node, "descriptors") > 0, "visitors are turned away")
        assert node.hub_ready()[0] == 200 and node.edge_ready()[0] == 200
        assert node.towonel("invite", "list").returncode == 0
        assert "reason=descriptors" in node.process.log()
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0, "they are gone")
    assert page(node, authority) == "127.0.0.1\n"


def test_an_agent_with_few_descriptors(make_node, make_agent, make_greeter):
    """It says so, refuses who is too many, and serves again when there is room."""
    node, greeter, port = make_node(), make_greeter("hello"), free_port()
    agent = make_agent(node.invite("a.eu"), start=False,
                       tcp=[{"name": "greeter", "origin": greeter.address, "listen_port": port}])
    agent.start(preexec=with_descriptors(64))
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")

    def greeted(stack):
        with contextlib.suppress(ConnectionResetError):
            return stack.enter_context(dial(port)).recv(6) == b"hello\n"
        return False

    def one_is_greeted():
        with contextlib.ExitStack() as visitor:
            return greeted(visitor)

    with contextlib.ExitStack() as visitors:
        greetings = [greeted(visitors) for _ in range(64)]
        assert greetings[0] and not greetings[-1]
        assert sum(greetings) > 16
        wait_until(lambda: "Too many open files" in agent.process.log(), "the agent says what is short")
        assert http_get(f"http://127.0.0.1:{agent.health_port}/healthz")[0] in (0, 200)
    wait_until(one_is_greeted, "there is room again")


def test_a_crowd_of_udp_visitors_and_few_descriptors(make_node, make_agent, make_greeter, make_udp_origin, stack):
    """Each session takes one of the agent's: they leave some to connections, and to each other, the newest first."""
    node, port, udp_port, greeter = make_node(), free_port(), free_port(), make_greeter("hello")
    origin = make_udp_origin(lambda data, _: data if data == b"hello" else None)
    agent = make_agent(node.invite("a.eu"), start=False,
                       tcp=[{"name": "greeter", "origin": greeter.address, "listen_port": port}],
                       udp=[{"name": "echo", "origin": origin.address, "listen_port": udp_port}])
    agent.start(preexec=with_descriptors(64))
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 2, "the ports are bound")
    for _ in range(100):
        stack.enter_context(udp_socket()).sendto(b"no answer", ("127.0.0.1", udp_port))
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_udp_sessions_refused_total", reason="one_sided") > 20,
               "sessions make room")
    for _ in range(3):
        assert ask(udp_port) == b"hello"
        with dial(port) as visitor:
            assert visitor.recv(6) == b"hello\n"
    assert metric(agent.metrics(), "towonel_agent_udp_sessions") <= 24
    assert "Too many open files" not in agent.process.log()


class Recorder:
    """Between an agent and its edge: passes datagrams on, and keeps the first that the agent sent."""

    def __init__(self, stack, port):
        self.first, self._edge, self._agent = [], ("127.0.0.1", port), None
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self._sock, self._out):
            stack.callback(sock.close)
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.2)
        self.port = self._sock.getsockname()[1]
        self._closing = threading.Event()
        threads = [threading.Thread(target=run) for run in (self._to_edge, self._to_agent)]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(self._closing.set)

    def _to_edge(self):
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                data, self._agent = self._sock.recvfrom(65536)
                if len(self.first) < 4:
                    self.first.append(data)
                self._out.sendto(data, self._edge)

    def _to_agent(self):
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                data = self._out.recv(65536)
                self._sock.sendto(data, self._agent)


@pytest.fixture
def recorded(make_node, make_agent, make_nginx, authority, stack):
    """A node and an agent whose tunnel is up, and the Initials that it began with."""
    node = make_node(start=False)
    recorder = Recorder(stack, node.tunnel_port)
    node.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"] = f"127.0.0.1:{recorder.port}"
    node.start()
    agent = make_agent(node.invite(NAME), [{"hostname": NAME, "origin": make_nginx(NAME).address}])
    wait_until(lambda: page(node, authority) == "127.0.0.1\n", "visitors are served")
    initials = [data for data in recorder.first if data[0] & 0xF0 == 0xC0]
    assert initials
    return node, agent, initials


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    program = tmp_path_factory.mktemp("noise") / "noise"
    run([os.environ.get("CC", "gcc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", program,
         os.path.join(os.path.dirname(__file__), "noise.c")], check=True)
    return program


def test_a_million_random_packets_at_the_tunnels_port(recorded, authority, noise, tmp_path):
    """Of every kind that has to be told from what is meant, as fast as they are read. The tunnel that is up stays up,
    visitors are served all the time, and it costs no memory."""
    node, agent, initials = recorded
    count = 50_000 if QUICK else 1_000_000
    (tmp_path / "initials").write_bytes(b"".join(len(data).to_bytes(2, "big") + data for data in initials))
    before, served = metric(node.edge_metrics(), "towonel_edge_quic_datagrams_received_total"), 0
    with MemoryWatch({"node": node.process}) as memory:
        begin = time.monotonic()
        sender = subprocess.Popen([noise, str(node.tunnel_port), str(count), tmp_path / "initials"],
                                  stdout=subprocess.PIPE, text=True)
        try:
            while sender.poll() is None:
                assert page(node, authority) == "127.0.0.1\n"
                served += 1
        finally:
            sender.kill()
        print(f"{served} visitors were served in {time.monotonic() - begin:.1f} s")
    assert int(sender.communicate()[0]) == count and served > 0
    metrics = node.edge_metrics()
    assert metric(metrics, "towonel_edge_quic_datagrams_received_total") - before > 0.95 * count
    assert metric(metrics, "towonel_edge_quic_datagrams_dropped_total") > 0.3 * count
    assert metric(metrics, "towonel_edge_quic_unknown_connection_total") > 0.1 * count
    assert metric(metrics, "towonel_edge_agents_connected") == 1
    assert metric(metrics, "towonel_edge_agent_hellos_total", outcome="welcome") == node.tunnels
    assert "tunnel is lost" not in agent.process.log()
    memory.assert_flat()
    assert page(node, authority) == "127.0.0.1\n"


def test_replayed_initials(recorded, authority):
    """What an agent said to begin with is said again and again from other addresses: no agent comes of it, and the
    handshakes that do are bounded and end."""
    node, _, initials = recorded
    most = 0
    for turn in range(40):
        for number in range(25):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((f"127.0.1.{number + 1}", 0))
                for data in initials:
                    sock.sendto(data, ("127.0.0.1", node.tunnel_port))
        if turn % 10 == 0:
            assert page(node, authority) == "127.0.0.1\n"
        most = max(most, metric(node.edge_metrics(), "towonel_edge_quic_connections"))
    assert most <= 201
    assert page(node, authority) == "127.0.0.1\n"
    metrics = node.edge_metrics()
    assert metric(metrics, "towonel_edge_agents_connected") == 1
    assert metric(metrics, "towonel_edge_agent_hellos_total", outcome="welcome") == node.tunnels
    # those that it began are given up in time
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_quic_connections") == node.tunnels,
               "they are forgotten")
