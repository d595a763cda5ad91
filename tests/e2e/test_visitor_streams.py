# SPDX-License-Identifier: MIT
"""Connections end to end, to the byte: half-close, resets, answers before the request is over, descriptors."""

import hashlib
import os
import socket
import threading
import time

import pytest

from support.origins import curl
from support.process import free_port, metric, wait_until
from support.raw_origin import echo, reset, wait_for_reset
from support.visitors import (client_hello, dial, pattern, pattern_digest, read_exactly, read_to_end, set_reset)

NAME = "app.alice.example.eu"
HELLO = client_hello(NAME)
SIZE = 5 * 1000 * 1000  # more than sockets and flow control hold on the way


def send_pattern(sock, size=SIZE):
    for piece in pattern(size):
        sock.sendall(piece)


@pytest.fixture(params=["https", "tcp"])
def tunnel(request, make_tunnel, make_node, make_agent, make_raw_origin):
    """Node and agent in front of a raw origin that does what serve says; visitors come to origin.public_port."""
    def make(serve, **options):
        origin = make_raw_origin(serve, **options)
        if request.param == "https":
            node, agent = make_tunnel({NAME: origin.address})
            origin.public_port = node.edge_port
        else:
            node, origin.public_port = make_node(), free_port()
            agent = make_agent(node.invite(NAME), tcp=[{"name": "raw", "origin": origin.address, "proxy_protocol": "v2",
                                                        "listen_port": origin.public_port}])
            wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
        return node, agent, origin
    return make


def test_visitor_closes_its_half_first(tunnel):
    def serve(sock, _):
        seen = read_to_end(sock)
        send_pattern(sock)
        return seen

    node, _, origin = tunnel(serve)
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        send_pattern(visitor)
        visitor.shutdown(socket.SHUT_WR)
        assert read_to_end(visitor) == (SIZE, pattern_digest(SIZE))
    assert origin.result() == (SIZE, pattern_digest(SIZE))


def test_origin_closes_its_half_first(tunnel):
    def serve(sock, _):
        send_pattern(sock)
        sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)

    node, _, origin = tunnel(serve)
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        assert read_to_end(visitor) == (SIZE, pattern_digest(SIZE))
        time.sleep(0.5)
        send_pattern(visitor)
        visitor.shutdown(socket.SHUT_WR)
        assert origin.result() == (SIZE, pattern_digest(SIZE))


def test_visitor_ends_right_after_its_hello(tunnel):
    """The end comes with the first bytes, before the agent has answered."""
    node, _, origin = tunnel(lambda sock, visit: (sock.sendall(b"bye"), read_to_end(sock))[1])
    for _ in range(20):
        with dial(origin.public_port) as visitor:
            visitor.sendall(HELLO + b"more")
            visitor.shutdown(socket.SHUT_WR)
            assert read_to_end(visitor) == (3, hashlib.sha256(b"bye").hexdigest())
        assert origin.result() == (4, hashlib.sha256(b"more").hexdigest())


def test_both_ways_at_once(tunnel):
    def serve(sock, _):
        sender = threading.Thread(target=lambda: (send_pattern(sock), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        seen = read_to_end(sock)
        sender.join()
        return seen

    node, agent, origin = tunnel(serve)
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        sender = threading.Thread(target=lambda: (send_pattern(visitor), visitor.shutdown(socket.SHUT_WR)))
        sender.start()
        assert read_to_end(visitor) == (SIZE, pattern_digest(SIZE))
        sender.join()
    assert origin.result() == (SIZE, pattern_digest(SIZE))
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_streams_completed_total") == 1, "it ended in order")
    assert metric(agent.metrics(), "towonel_agent_streams_active") == 0


def test_reset_by_the_visitor_reaches_the_origin(tunnel):
    node, agent, origin = tunnel(lambda sock, visit: (sock.sendall(b"x"), wait_for_reset(sock))[1])
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        read_exactly(visitor, 1)
        set_reset(visitor)
    assert origin.result() == "reset"
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_stream_errors_total", reason="visitor_reset") == 1,
               "the agent counts it")
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0, "the edge lets go")


def test_reset_by_the_origin_reaches_the_visitor(tunnel):
    def serve(sock, _):
        sock.sendall(b"x")
        assert sock.recv(1) == b"y"
        reset(sock)

    node, agent, origin = tunnel(serve)
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        read_exactly(visitor, 1)
        visitor.sendall(b"y")
        origin.result()
        with pytest.raises(ConnectionResetError):
            read_to_end(visitor)
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_stream_errors_total", reason="origin_reset") == 1,
               "the agent counts it")


def test_reset_while_data_waits_both_ways(tunnel):
    """With every queue on the way full, a reset still gets through, and everything is let go of."""
    stuck = threading.Event()

    def serve(sock, _):
        sock.settimeout(2)
        try:
            while True:
                sock.sendall(bytes(1 << 16))
        except TimeoutError:
            stuck.set()
        sock.settimeout(30)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                sock.sendall(bytes(1 << 16))

    node, agent, origin = tunnel(serve)
    with dial(origin.public_port) as visitor:
        visitor.sendall(HELLO)
        assert stuck.wait(30)
        set_reset(visitor)
    origin.result()
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_streams_active") == 0, "the agent lets go")
    assert metric(node.edge_metrics(), "towonel_edge_active_connections") == 0


def test_answer_before_a_close_that_resets(tunnel):
    """An origin that answers, then closes with the request unread: its kernel sends the answer, then a reset. Both
    arrive in that order."""
    def serve(sock, _):
        wait_until(lambda: len(sock.recv(1 << 16, socket.MSG_PEEK)) >= 30000, "the request has come")
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n")

    node, _, origin = tunnel(serve)
    for _ in range(20):
        with dial(origin.public_port) as visitor:
            visitor.sendall(HELLO + bytes(30000))
            assert read_exactly(visitor, 45)[:12] == b"HTTP/1.1 413"
            with pytest.raises(ConnectionResetError):
                read_to_end(visitor)
        origin.result()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path, status", [("/small", "413"), ("/closed", "401")])
def test_origin_answers_before_the_request_ends(make_tunnel, make_nginx, authority, tmp_path, version, path, status):
    nginx = make_nginx(NAME, locations="""
        location /small { client_max_body_size 1k; dav_methods PUT; }
        location /closed { return 401; }""")
    node, _ = make_tunnel({NAME: nginx.address})
    upload = tmp_path / "upload"
    with open(upload, "wb") as file:
        file.truncate(50 * 1000 * 1000)
    done = curl(NAME, node.edge_port, version, "-H", "Expect:", "-T", str(upload), "-o", os.devnull,
                "-w", "%{http_code}", cacert=authority.cert, path=path)
    assert done.stdout == status, done.stderr
    # and the tunnel goes on
    assert curl(NAME, node.edge_port, cacert=authority.cert, path="/who").returncode == 0


def test_short_connections_leave_nothing_behind(tunnel):
    node, agent, origin = tunnel(echo)

    def visit(end):
        with dial(origin.public_port) as visitor:
            visitor.sendall(HELLO + b"ping")
            assert read_exactly(visitor, 4) == b"ping"
            if end == "reset":
                set_reset(visitor)
            elif end == "half":
                visitor.shutdown(socket.SHUT_WR)
                assert visitor.recv(1) == b""

    for end in ("close", "reset", "half"):
        visit(end)

    def at_rest():
        return (metric(node.edge_metrics(), "towonel_edge_active_connections") == 0 and
                metric(agent.metrics(), "towonel_agent_streams_active") == 0)

    wait_until(at_rest, "the first are gone")
    before = node.process.open_files(), agent.process.open_files()
    for number in range(300):
        visit(("close", "reset", "half")[number % 3])
    wait_until(at_rest, "all are gone")
    # a scrape of the metrics may still have its descriptor
    wait_until(lambda: node.process.open_files() <= before[0] and agent.process.open_files() <= before[1],
               f"descriptors are as before: {before}")
    assert origin.accepted == 303
