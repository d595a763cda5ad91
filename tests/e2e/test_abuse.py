# SPDX-License-Identifier: MIT
"""Floods and shortages: what one visitor costs stays its own, and what was short comes back by itself."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading

from support.process import SANITIZED, free_port, metric, wait_until
from support.towonel import http_get
from support.visitors import TlsVisitor, dial

NAME = "app.alice.example.eu"
SUPPORT = os.path.join(os.path.dirname(__file__), "support")
FLOOD, NOISE = os.path.join(SUPPORT, "flood.py"), os.path.join(SUPPORT, "noise.py")


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
    node = make_node(start=False)
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

    def greeted(visitor):
        with contextlib.suppress(ConnectionResetError):
            return visitor.recv(6) == b"hello\n"
        return False

    def one_is_greeted():
        with dial(port) as visitor:
            return greeted(visitor)

    with contextlib.ExitStack() as visitors:
        greetings = [greeted(visitors.enter_context(dial(port))) for _ in range(64)]
        assert greetings[0] and not greetings[-1]
        assert sum(greetings) > 16
        wait_until(lambda: "Too many open files" in agent.process.log(), "the agent says what is short")
        assert http_get(f"http://127.0.0.1:{agent.health_port}/healthz")[0] in (0, 200)
    wait_until(one_is_greeted, "there is room again")


def rss(process):
    """In bytes."""
    with open(f"/proc/{process.popen.pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_million_random_packets_at_the_tunnels_port(make_tunnel, make_nginx, authority):
    """As many of them as some seconds allow. The tunnel that is up stays up, and visitors are served all the time."""
    node, agent = make_tunnel({NAME: make_nginx(NAME).address})
    assert page(node, authority) == "127.0.0.1\n"
    before = rss(node.process)
    noise = subprocess.Popen([sys.executable, NOISE, str(node.tunnel_port), "1000000", "5"],
                             stdout=subprocess.PIPE, text=True)
    served = 0
    try:
        while noise.poll() is None:
            assert page(node, authority) == "127.0.0.1\n"
            served += 1
    finally:
        noise.kill()
    assert int(noise.communicate()[0]) >= 10000 and served > 0
    assert page(node, authority) == "127.0.0.1\n"
    metrics = node.edge_metrics()
    assert metric(metrics, "towonel_edge_quic_datagrams_dropped_total") > 1000
    assert metric(metrics, "towonel_edge_agents_connected") == 1
    assert metric(metrics, "towonel_edge_agent_hellos_total", outcome="welcome") == 1
    assert "tunnel is lost" not in agent.process.log()
    if not SANITIZED:
        assert rss(node.process) < before + (64 << 20)


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


def test_replayed_initials(make_node, make_agent, make_nginx, authority, stack):
    """What an agent said to begin with is said again and again from other addresses: no agent comes of it, and the
    handshakes that do are bounded and end."""
    node = make_node(start=False)
    recorder = Recorder(stack, node.tunnel_port)
    node.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"] = f"127.0.0.1:{recorder.port}"
    node.start()
    make_agent(node.invite(NAME), [{"hostname": NAME, "origin": make_nginx(NAME).address}])
    wait_until(lambda: page(node, authority) == "127.0.0.1\n", "visitors are served")
    initials = [data for data in recorder.first if data[0] & 0xF0 == 0xC0]
    assert initials
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
    assert metric(metrics, "towonel_edge_agent_hellos_total", outcome="welcome") == 1
    # those that it began are given up in time
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_quic_connections") == 1, "they are forgotten")
