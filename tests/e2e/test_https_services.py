# SPDX-License-Identifier: MIT
"""HTTPS services as visitors and origins see them: names, certificates, addresses, and what rides in TLS."""

import asyncio
import os
import re
import ssl
import subprocess
import sys
import time

import pytest
import websockets

from support.origins import curl
from support.process import PATIENCE, metric, wait_until
from support.raw_origin import echo, server_context
from support.visitors import TlsVisitor, client_hello, dial, read_exactly

NAME = "app.alice.example.eu"
WILDCARD = "*.alice.example.eu"
GRPC_CHAT = os.path.join(os.path.dirname(__file__), "support", "grpc_chat.py")


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2", "::1"])
def test_nginx_logs_the_visitors_address(make_tunnel, make_nginx, authority, source):
    host = "::1" if ":" in source else "127.0.0.1"
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address}, host=host)
    done = curl(NAME, node.edge_port, "--interface", source, host=host, cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, source + "\n"), done.stderr
    nginx.wait_log(f'{source} {NAME} HTTP/2.0 200 "GET /who HTTP/2.0"')


def test_an_origin_on_ipv6(make_tunnel, make_nginx, authority):
    nginx = make_nginx(NAME, host="::1")
    node, _ = make_tunnel({NAME: nginx.address})
    done = curl(NAME, node.edge_port, "--interface", "127.0.0.3", cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.3\n"), done.stderr


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_many_requests_on_one_connection(make_tunnel, make_nginx, authority, version):
    nginx = make_nginx(NAME, locations='location /n/ { default_type text/plain; return 200 "$uri\\n"; }')
    node, agent = make_tunnel({NAME: nginx.address})
    done = curl(NAME, node.edge_port, version, cacert=authority.cert, path="/n/[1-300]")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"/n/{n}\n" for n in range(1, 301))
    assert metric(node.edge_metrics(), "towonel_edge_connections_total") == 1
    assert metric(agent.metrics(), "towonel_agent_streams_accepted_total") == 1


def test_nobody_but_the_origin_answers_tls(make_tunnel, make_nginx):
    """Without the origin's authority curl does not trust what it gets."""
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address})
    assert curl(NAME, node.edge_port, path="/who").returncode == 60
    assert nginx.log() == ""


def test_exact_name_wins_over_wildcard(make_tunnel, make_nginx, authority):
    exact = make_nginx(NAME, locations='location = /which { return 200 "exact"; }')
    wildcard = make_nginx(WILDCARD, locations='location = /which { return 200 "wildcard"; }')
    node, _ = make_tunnel({NAME: exact.address, WILDCARD: wildcard.address})

    def which(name):
        return curl(name, node.edge_port, cacert=authority.cert, path="/which")

    assert which(NAME).stdout == "exact"
    assert which("other.alice.example.eu").stdout == "wildcard"
    assert which("third.alice.example.eu").stdout == "wildcard"
    for stranger in ("a.b.alice.example.eu", "alice.example.eu"):
        done = which(stranger)
        assert done.returncode == 35 and "unrecognized name" in done.stderr, done.stderr
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="unknown_name") == 2
    with TlsVisitor(node.edge_port, NAME.upper(), authority.cert) as visitor:
        assert visitor.get("/which") == "exact"


def test_proxy_protocol_none(make_tunnel, make_nginx, authority):
    """The origin gets TLS from the first byte on, and sees the agent's address."""
    nginx = make_nginx(NAME, proxy_protocol=False)
    node, _ = make_tunnel({NAME: {"origin": nginx.address, "proxy_protocol": "none"}})
    done = curl(NAME, node.edge_port, "--interface", "127.0.0.2", cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1\n"), done.stderr


def test_haproxy_accepts_the_proxy_header(make_tunnel, make_haproxy, authority):
    haproxy = make_haproxy(NAME)
    node, _ = make_tunnel({NAME: haproxy.address})
    for version in ("--http1.1", "--http2"):
        done = curl(NAME, node.edge_port, version, "--interface", "127.0.0.2", cacert=authority.cert)
        assert (done.returncode, done.stdout) == (0, f"127.0.0.2 {NAME} {NAME}\n"), done.stderr


def test_what_the_proxy_header_says(make_tunnel, make_raw_origin):
    origin = make_raw_origin(lambda sock, visit: visit)
    node, _ = make_tunnel({WILDCARD: origin.address})
    hello = client_hello("some.alice.example.eu")
    with dial(node.edge_port, source="127.0.0.9") as visitor:
        visitor.sendall(hello)
        visit = origin.result()
        assert (visit.header.source, visit.header.source_port) == visitor.getsockname()
        assert (visit.header.destination, visit.header.destination_port) == ("127.0.0.1", node.edge_port)
    assert visit.header.authority == "some.alice.example.eu"
    assert visit.hello == hello
    # the id by which edge and agent name this connection in their logs
    unique_id = visit.header.values[0x05]
    assert len(unique_id) == 16
    wait_until(lambda: unique_id.hex() in node.process.log(), "the edge's log has the connection's id")


def test_origin_server_name_wraps_the_visitors_tls(make_tunnel, make_raw_origin, authority):
    """In passthrough the visitor's TLS rides in the agent's own: PROXY header, TLS for origin_server_name, bytes."""
    seen = []
    context = server_context(*authority.issue("inner.example.eu"))
    context.sni_callback = lambda tls, name, _: seen.append(name)
    origin = make_raw_origin(echo, tls=context)
    node, _ = make_tunnel({NAME: {"origin": origin.address, "origin_server_name": "inner.example.eu"}})
    with dial(node.edge_port) as visitor:
        visitor.sendall(client_hello(NAME) + b"hello")
        assert read_exactly(visitor, 5) == b"hello"
        big = os.urandom(1 << 20)
        visitor.sendall(big)
        assert read_exactly(visitor, len(big)) == big
    assert set(seen) == {"inner.example.eu"}  # asked twice where the server wants another key share
    assert origin.result() == len(big) + 5


def test_websocket(make_tunnel, authority, stack):
    """Text, binary of a megabyte, pings and the closing handshake, on several connections at once."""
    async def talk():
        async def answer(socket, *_):
            async for message in socket:
                await socket.send(message)

        server = await websockets.serve(answer, "127.0.0.1", 0, max_size=None,
                                        ssl=server_context(*authority.issue(NAME)))
        port = next(iter(server.sockets)).getsockname()[1]
        node, _ = await asyncio.to_thread(
            make_tunnel, {NAME: {"origin": f"127.0.0.1:{port}", "proxy_protocol": "none"}})
        trust = ssl.create_default_context(cafile=authority.cert)

        async def visit(number):
            sock = dial(node.edge_port)
            sock.setblocking(False)
            async with websockets.connect(f"wss://{NAME}/{number}", sock=sock, ssl=trust, max_size=None,
                                          server_hostname=NAME) as socket:
                for turn in range(20):
                    await socket.send(f"{number}: {turn}")
                    assert await socket.recv() == f"{number}: {turn}"
                big = os.urandom(1 << 20)
                await socket.send(big)
                assert await socket.recv() == big
                await asyncio.wait_for(await socket.ping(), PATIENCE)
            return socket.close_code

        assert await asyncio.gather(*(visit(number) for number in range(5))) == [1000] * 5
        server.close()
        await server.wait_closed()
    asyncio.run(talk())


def test_grpc_streams(make_tunnel, authority, tmp_path, stack):
    """Long bidirectional gRPC streams, whose messages cross one by one, and beside them calls of their own."""
    cert, key = authority.issue(NAME)
    server = subprocess.Popen([sys.executable, GRPC_CHAT, "serve", cert, key], stdout=subprocess.PIPE,
                              stderr=open(tmp_path / "grpc-server.log", "wb"), text=True)
    stack.callback(server.wait)
    stack.callback(server.kill)
    port = int(server.stdout.readline())
    node, _ = make_tunnel({NAME: {"origin": f"127.0.0.1:{port}", "proxy_protocol": "none"}})
    done = subprocess.run([sys.executable, GRPC_CHAT, "talk", authority.cert, NAME, str(node.edge_port)],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"3 streams of 1000 messages, 50 calls\n", done.stdout)


def test_idle_connections_stay_usable(make_tunnel, make_nginx, authority):
    """Longer than the agent's pings are apart, with others coming and going."""
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address})
    visitors = [TlsVisitor(node.edge_port, NAME, authority.cert) for _ in range(20)]
    try:
        for visitor in visitors:
            assert visitor.get() == "127.0.0.1\n"
        time.sleep(7)
        assert curl(NAME, node.edge_port, cacert=authority.cert, path="/who").returncode == 0
        for visitor in visitors:
            assert visitor.get() == "127.0.0.1\n"
        assert metric(node.edge_metrics(), "towonel_edge_connections_total") == 21
    finally:
        for visitor in visitors:
            visitor.close()
