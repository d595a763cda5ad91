# SPDX-License-Identifier: MIT
"""An edge of several workers: visitors, tunnels and UDP sessions find one another, whichever worker they come to."""

import contextlib
import json
import selectors
import signal
import socket
import threading

import pytest

from support.lines import UNRECOGNIZED_NAME, Origin, Visitor, visit
from support.process import free_port, metric, wait_until
from support.udp import ask, service, udp_socket

NAME = "app.alice.example.eu"
VISITORS = 32  # enough that every worker gets some
TUNNELS_MAX = 4


@pytest.fixture
def origin(stack):
    made = Origin("one")
    stack.callback(made.close)
    return made


def edge(node, name, **labels):
    return metric(node.edge_metrics(), f"towonel_edge_{name}", **labels)


def tunnels_are(node, count):
    wait_until(lambda: edge(node, "quic_connections") == count, f"there are {count} tunnels")


def on_every_worker(protocol, port, workers):
    """Waits until each has a socket on the port."""
    def count():
        with open(f"/proc/net/{protocol}", encoding="ascii") as table:
            return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[2].endswith(":0000") for line in table)
    wait_until(lambda: count() == workers, "each worker has the port")


@pytest.fixture
def start(make_node, make_agent, origin):
    """A node with so many workers, and an agent with all of its tunnels."""
    def make(workers, **options):
        node = make_node(TOWONEL_EDGE_WORKERS=str(workers))
        agent = make_agent(node.invite(NAME), [origin.service(NAME)], **options)
        tunnels_are(node, min(workers, TUNNELS_MAX))
        assert edge(node, "agents_connected") == 1
        return node, agent
    return make


@contextlib.contextmanager
def many(port):
    with contextlib.ExitStack() as exits:
        yield [exits.enter_context(Visitor(port, NAME)) for _ in range(VISITORS)]


def all_go_on(visitors):
    assert all(visitor.ask(f"echo {number}") == str(number) for number, visitor in enumerate(visitors))


@pytest.mark.parametrize("workers", (1, 4, 8))
def test_visitors_reach_the_agent_from_every_worker(start, workers):
    node, _ = start(workers)
    with many(node.edge_port) as visitors:
        all_go_on(visitors)
        assert edge(node, "active_connections") == VISITORS
        # with a tunnel to each worker nobody has to move
        assert (edge(node, "visitors_handed_over_total") > 0) == (workers > TUNNELS_MAX)
    wait_until(lambda: edge(node, "active_connections") == 0, "all are gone")
    assert node.stop() == 0


class Nat:
    """A path whose public address changes when it is told to."""

    def __init__(self, target):
        self._front = udp_socket()
        self.port = self._front.getsockname()[1]
        self._target = ("127.0.0.1", target)
        self._client = None
        self._back = udp_socket()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def rebind(self):
        self._changed.set()
        wait_until(lambda: not self._changed.is_set(), "the address has changed")

    def _run(self):
        selector = selectors.DefaultSelector()
        selector.register(self._front, selectors.EVENT_READ)
        selector.register(self._back, selectors.EVENT_READ)
        while not self._closing.is_set():
            if self._changed.is_set():
                selector.unregister(self._back)
                self._back.close()
                self._back = udp_socket()
                selector.register(self._back, selectors.EVENT_READ)
                self._changed.clear()
            for key, _ in selector.select(0.05):
                with contextlib.suppress(ConnectionRefusedError):
                    data, source = key.fileobj.recvfrom(65536)
                    if key.fileobj is self._front:
                        self._client = source
                        self._back.sendto(data, self._target)
                    else:
                        self._front.sendto(data, self._client)
        for sock in (self._front, self._back):
            sock.close()

    def close(self):
        self._closing.set()
        self._thread.join()


def test_a_nat_changes_its_mind(make_node, make_agent, origin, stack):
    node = make_node(start=False, TOWONEL_EDGE_WORKERS="4")
    nat = Nat(node.tunnel_port)
    stack.callback(nat.close)
    node.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"] = f"127.0.0.1:{nat.port}"
    node.start()
    make_agent(node.invite(NAME), [origin.service(NAME)])
    tunnels_are(node, 4)
    with many(node.edge_port) as visitors:
        for _ in range(3):
            all_go_on(visitors)
            nat.rebind()
        all_go_on(visitors)
    assert edge(node, "quic_connections") == 4
    assert edge(node, "quic_handshakes_total", result="accepted") == 4


def test_udp_visitors_reach_the_agent_from_every_worker(make_node, make_agent, make_udp_origin):
    node, port = make_node(TOWONEL_EDGE_WORKERS="8"), free_port()
    make_agent(node.invite(NAME), udp=[service(make_udp_origin(), port)])
    tunnels_are(node, TUNNELS_MAX)
    on_every_worker("udp", port, 8)
    with contextlib.ExitStack() as exits:
        socks = [exits.enter_context(udp_socket()) for _ in range(VISITORS)]
        for number, sock in enumerate(socks * 3):
            data = b"%d" % number
            wait_until(lambda: ask(port, data, timeout=1, sock=sock) == data, "each visitor is answered")
        assert edge(node, "udp_sessions") == VISITORS


def test_tcp_services_are_on_every_worker(make_node, make_agent, make_raw_origin):
    node, port = make_node(TOWONEL_EDGE_WORKERS="4"), free_port()
    echo = make_raw_origin(lambda sock, _: sock.sendall(sock.recv(16)), proxy=False, hello=False)
    make_agent(node.invite(NAME), tcp=[{"name": "ssh", "origin": echo.address, "listen_port": port}])
    tunnels_are(node, TUNNELS_MAX)
    on_every_worker("tcp", port, 4)
    for _ in range(VISITORS):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(b"hello")
            assert sock.recv(16) == b"hello"


def test_replicas_edge_and_agents_come_and_go(start, make_agent, origin):
    node, first = start(4)
    second = make_agent(first.env["TOWONEL_INVITE_TOKEN"], [origin.service(NAME)])
    tunnels_are(node, 8)
    with many(node.edge_port) as visitors:
        all_go_on(visitors)
        first.kill()
        assert {visit(node.edge_port, NAME) for _ in range(VISITORS)} == {"one"}  # nobody is refused
    node.kill()
    node.start()
    wait_until(lambda: edge(node, "agents_connected") == 1, "the agent is back")
    tunnels_are(node, 4)
    assert {visit(node.edge_port, NAME) for _ in range(VISITORS)} == {"one"}
    second.stop()
    tunnels_are(node, 0)


def test_who_is_revoked_is_cut_off_everywhere(start):
    node, _ = start(4)
    with many(node.edge_port) as visitors:
        all_go_on(visitors)
        revoked = node.towonel("invite", "revoke", "--id", node.invites()[0]["invite_id"])
        assert revoked.returncode == 0, revoked.stderr
        for visitor in visitors:
            with pytest.raises(ConnectionResetError):
                visitor.line()
    tunnels_are(node, 0)
    assert visit(node.edge_port, NAME) == UNRECOGNIZED_NAME


def test_a_new_list_of_services_is_told_on_every_tunnel(make_node, make_agent, origin, tmp_path):
    node, file = make_node(TOWONEL_EDGE_WORKERS="4"), tmp_path / "services.json"
    names = [NAME, "more.alice.example.eu"]
    file.write_text(json.dumps([origin.service(NAME)]))
    agent = make_agent(node.invite(*names), f"@{file}")
    tunnels_are(node, 4)
    file.write_text(json.dumps([origin.service(name) for name in names]))
    agent.process.signal(signal.SIGHUP)
    wait_until(lambda: visit(node.edge_port, names[1]) == "one", "the new name is served")
    for name in names * VISITORS:
        assert visit(node.edge_port, name) == "one"
    assert edge(node, "visitors_handed_over_total") <= VISITORS
    assert agent.process.running()


def test_visitors_finish_on_every_worker_when_the_edge_drains(start):
    node, _ = start(4)
    with many(node.edge_port) as visitors:
        for visitor in visitors:
            visitor.send("drip 10")
        node.process.signal(signal.SIGTERM)
        node.process.wait_log("draining")
        for visitor in visitors:
            assert [visitor.line() for _ in range(10)] == [str(line) for line in range(10)]
    assert node.process.wait(20) == 0
