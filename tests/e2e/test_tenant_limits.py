# SPDX-License-Identifier: MIT
"""What an operator lets a tenant use of each edge, on all of its workers together: connections at once, and bytes a
second each way."""

import contextlib
import json
import socket
import threading
import time

import pytest

from support.listener import Listener
from support.process import free_port, metric, wait_until
from support.udp import ask, service, udp_socket
from support.visitors import dial, pattern, read_exactly

RATE = 1_000_000


@pytest.fixture
def tenants(make_node, make_agent, make_udp_origin, stack):
    """A node; and for alice and bob a TCP port that echoes, and a UDP port of alice's that does."""
    node, udp_port = make_node(TOWONEL_EDGE_WORKERS="3"), free_port()
    ports = {"alice": free_port(), "bob": free_port()}
    origins = [Echo(stack) for _ in ports]
    for (name, port), origin in zip(ports.items(), origins):
        make_agent(node.invite(f"{name}.eu", name=name),
                   tcp=[{"name": "echo", "origin": origin.address, "listen_port": port}],
                   udp=[service(make_udp_origin(), udp_port)] if name == "alice" else None)
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 3, "the ports are bound")
    listed = json.loads(node.towonel("tenant", "list", "--json").stdout)["tenants"]
    ids = {tenant["name"]: tenant["tenant_id"] for tenant in listed}

    def limit(name, *arguments):
        before = metric(node.edge_metrics(), "towonel_edge_routes_version")
        done = node.towonel("tenant", "limit", "--tenant-id", ids[name], *arguments)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_routes_version") > before, "the edge knows")
        return done.stdout
    return node, ports, udp_port, limit


class Echo:
    """Repeats what it hears."""

    def __init__(self, stack):
        listener = Listener(self._serve)
        stack.callback(listener.close)
        self.address = listener.address

    @staticmethod
    def _serve(sock):
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(65536):
                sock.sendall(data)


def refused(node, series="connections"):
    return metric(node.edge_metrics(), f"towonel_edge_{series}_refused_total", reason="tenant_limit")


def echoes(port):
    with contextlib.suppress(ConnectionError), dial(port) as visitor:
        visitor.sendall(b"hello")
        return visitor.recv(5) == b"hello"
    return False


def test_connections_at_once(tenants):
    node, ports, udp_port, limit = tenants
    assert "Connections  3\nBytes in/s   no limit\n" in limit("alice", "--connections", "3")
    with dial(ports["alice"]) as one, dial(ports["alice"]) as two, udp_socket() as three:
        for visitor in (one, two):
            visitor.sendall(b"x")
            assert visitor.recv(1) == b"x"
        assert ask(udp_port, sock=three) == b"hello"
        assert not echoes(ports["alice"]) and refused(node) == 1
        assert ask(udp_port, timeout=0.3) is None and refused(node, "udp_sessions") == 1
        assert echoes(ports["bob"])
        # who is in stays, whatever the limit becomes
        limit("alice", "--connections", "1")
        one.sendall(b"x")
        assert one.recv(1) == b"x" and not echoes(ports["alice"])
        limit("alice", "--connections", "0")
        assert echoes(ports["alice"])
    done = node.towonel("audit", "--json")
    assert any(event["action"] == "tenant.limit" for event in json.loads(done.stdout)["events"])


def transfer(port, size):
    """Sends so many bytes and reads them back; how long it took."""
    began = time.monotonic()
    with dial(port) as visitor:
        def send():
            for piece in pattern(size):
                visitor.sendall(piece)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        read_exactly(visitor, size)
        sender.join()
    return time.monotonic() - began


@pytest.mark.parametrize("way", ["--bytes-in", "--bytes-out"])
def test_bytes_a_second(tenants, way):
    """All connections of a tenant together; no byte is lost, and nobody else waits."""
    node, ports, udp_port, limit = tenants
    limit("alice", way, str(RATE))
    size, took = RATE, []
    threads = [threading.Thread(target=lambda: took.append(transfer(ports["alice"], size))) for _ in range(3)]
    for thread in threads:
        thread.start()
    # a tenant without a limit moves more at the same time than alice's rate would let it
    transfer(ports["bob"], 4 * size)
    for thread in threads:
        thread.join()
    assert len(took) == 3 and max(took) > 2.5
    # a limit that goes lets go of what waits for it
    limit("alice", way, "1000")
    with dial(ports["alice"]) as visitor:
        visitor.sendall(bytes(200_000))
        time.sleep(0.3)
        limit("alice", way, "0")
        assert len(read_exactly(visitor, 200_000)) == 200_000


def test_datagrams_beyond_are_dropped(tenants):
    node, _, udp_port, limit = tenants
    limit("alice", "--bytes-in", "10000")
    with udp_socket() as visitor:
        for _ in range(60):
            visitor.sendto(bytes(1000), ("127.0.0.1", udp_port))
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_udp_dropped_total", reason="tenant_limit") > 0,
                   "some are dropped")
        assert visitor.recv(2000) == bytes(1000)


def test_what_is_no_limit_is_refused(make_node):
    node = make_node()
    node.invite("a.eu")
    tenant = json.loads(node.towonel("tenant", "list", "--json").stdout)["tenants"][0]
    assert tenant["limits"] == {"connections": 0, "bytes_in_per_sec": 0, "bytes_out_per_sec": 0}
    for arguments in (["--tenant-id", tenant["tenant_id"]], ["--connections", "1"],
                      ["--tenant-id", tenant["tenant_id"], "--connections", "-1"],
                      ["--tenant-id", tenant["tenant_id"], "--bytes-in", "10M"]):
        assert node.towonel("tenant", "limit", *arguments).returncode == 2
    assert node.towonel("tenant", "limit", "--tenant-id", "0" * 64, "--connections", "1").returncode == 1
