# SPDX-License-Identifier: MIT
"""TCP services: the agent declares a public port, the edge binds, moves and releases it."""

import json
import socket
import threading

import pytest

from support.process import PATIENCE, free_port, wait_until
from support.raw_origin import ProxyHeader


class Greeter:
    """Speaks first, as SSH and mail servers do, then repeats what it hears."""

    def __init__(self, greeting, proxy=False):
        self._greeting, self._proxy = greeting, proxy
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            sock.settimeout(PATIENCE)
            greeting = self._greeting
            if self._proxy:
                header = ProxyHeader(sock)
                greeting += f" {header.source} {header.source_port}"
            sock.sendall(greeting.encode() + b"\n")
            while data := sock.recv(65536):
                sock.sendall(data)

    def close(self):
        self._listener.close()


@pytest.fixture
def make_greeter(stack):
    def make(greeting, **options):
        greeter = Greeter(greeting, **options)
        stack.callback(greeter.close)
        return greeter
    return make


def service(name, origin, port, **more):
    return {"name": name, "origin": origin.address, "listen_port": port, **more}


def greeted(port):
    """The first line from that port; None when nobody listens there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            return sock.makefile().readline().strip()
    except ConnectionRefusedError:
        return None


def test_a_port_leads_to_its_origin(make_node, make_agent, make_greeter):
    node, port, proxied = make_node(), free_port(), free_port()
    make_agent(node.invite("a.eu"), tcp=[
        service("greeter", make_greeter("hello"), port),
        service("proxied", make_greeter("hello", proxy=True), proxied, proxy_protocol="v2")])
    wait_until(lambda: greeted(port) == "hello", "the port is bound")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        stream = sock.makefile("rwb")
        assert stream.readline() == b"hello\n"
        sent = bytes(range(256)) * 4000
        threading.Thread(target=lambda: (sock.sendall(sent), sock.shutdown(socket.SHUT_WR)), daemon=True).start()
        assert stream.read() == sent
    with socket.create_connection(("127.0.0.1", proxied), timeout=PATIENCE) as sock:
        own = "%s %d" % sock.getsockname()
        assert sock.makefile().readline().strip() == f"hello {own}"


def test_a_port_moves_and_goes_with_the_environment(make_node, make_agent, make_greeter):
    node, before, after = make_node(), free_port(), free_port()
    origin = make_greeter("hello")
    agent = make_agent(node.invite("a.eu"), tcp=[service("greeter", origin, before),
                                                 service("other", origin, free_port())])
    wait_until(lambda: greeted(before) == "hello", "the first port is bound")
    agent.stop()
    agent.env["TOWONEL_AGENT_TCP_SERVICES"] = json.dumps([service("greeter", origin, after)])
    agent.start()
    wait_until(lambda: greeted(after) == "hello", "the second port is bound")
    wait_until(lambda: greeted(before) is None, "the first port is released")


def test_a_port_of_another_tenant_is_refused_by_name(make_node, make_agent, make_greeter):
    node, port, own = make_node(), free_port(), free_port()
    make_agent(node.invite("a.eu", name="alice"), tcp=[service("ssh", make_greeter("alice"), port)])
    wait_until(lambda: greeted(port) == "alice", "alice has the port")
    origin = make_greeter("bob")
    bob = make_agent(node.invite("b.eu", name="bob"), wait=False,
                     tcp=[service("ssh", origin, port), service("mail", origin, own),
                          service("hub", origin, node.hub_port)])
    bob.process.wait_log(f"port {port}/tcp is taken by service \\\"ssh\\\" of tenant \\\"alice\\\"")
    bob.process.wait_log(f"port {node.hub_port}/tcp is taken by the host of the tunnel itself")
    wait_until(lambda: greeted(own) == "bob", "the port that is free is bob's")
    assert greeted(port) == "alice"
