# SPDX-License-Identifier: MIT
"""HTTP/1.1 through the edge, where it tells the origin who visits: heads, bodies, upgrades, refusals."""

import asyncio
import hashlib
import json
import random
import socket
import ssl
import threading

import pytest
import websockets

from support.origins import curl
from support.process import PATIENCE, metric
from support.terminated import put_certificate, terminated

NAME = "app.alice.example.eu"
WHO = ("location = /headers { default_type text/plain; return 200 "
       '"$http_x_forwarded_for|$http_x_forwarded_proto|$http_x_forwarded_host|$http_forwarded|$http_x_real_ip\\n"; }')


@pytest.fixture
def forward(make_tunnel, authority):
    """A tunnel to an origin of HTTP/1.1."""
    def make(origin, **fields):
        node, agent = make_tunnel({NAME: terminated(origin, **fields)})
        put_certificate(node, authority, NAME)
        return node, agent
    return make


@pytest.fixture
def nginx(make_nginx):
    return make_nginx(NAME, tls=False, http2=False, proxy_protocol=False, locations=WHO + """
        location /n/ { default_type text/plain; return 200 "$uri\\n"; }""")


def visitor(node, authority):
    context = ssl.create_default_context(cafile=authority.cert)
    sock = socket.create_connection(("127.0.0.1", node.edge_port), PATIENCE)
    return context.wrap_socket(sock, server_hostname=NAME)


def ask(node, authority, request):
    """All that is answered to the bytes of a request, until the end."""
    with visitor(node, authority) as sock:
        sock.sendall(request)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


def test_the_origin_is_told_who_visits(forward, nginx, authority):
    node, _ = forward(nginx.address)
    lies = [option for name in ("X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP")
            for option in ("-H", f"{name}: 6.6.6.6")]
    done = curl(NAME, node.edge_port, "--interface", "127.0.0.9", *lies, cacert=authority.cert, path="/headers")
    host = f"{NAME}:{node.edge_port}"
    assert done.stdout == f'127.0.0.9|https|{host}|for=127.0.0.9;host="{host}";proto=https|\n', done.stderr


def test_many_requests_share_a_stream(forward, nginx, authority):
    node, agent = forward(nginx.address)
    done = curl(NAME, node.edge_port, cacert=authority.cert, path="/n/[1-300]")
    assert done.stdout == "".join(f"/n/{n}\n" for n in range(1, 301)), done.stderr
    assert metric(node.edge_metrics(), "towonel_edge_connections_total") == 1
    assert metric(agent.metrics(), "towonel_agent_streams_accepted_total") == 1


def test_pipelined_requests_are_answered_in_order(forward, nginx, authority):
    node, _ = forward(nginx.address)
    requests = [f"GET /n/{n} HTTP/1.1\r\nHost: {NAME}\r\n\r\n" for n in range(200)]
    requests.append(f"HEAD /n/x HTTP/1.1\r\nHost: {NAME}\r\n\r\nGET /n/last HTTP/1.1\r\nHost: {NAME}\r\n"
                    "Connection: close\r\n\r\n")
    answer = ask(node, authority, "".join(requests).encode()).decode()
    bodies = [line for line in answer.split("\n") if line.startswith("/n/")]
    assert bodies == [f"/n/{n}" for n in range(200)] + ["/n/last"]


def test_http_1_0(forward, nginx, authority):
    node, _ = forward(nginx.address)
    assert ask(node, authority, b"GET /n/old HTTP/1.0\r\n\r\n").endswith(b"/n/old\n")
    done = curl(NAME, node.edge_port, "--http1.0", cacert=authority.cert, path="/n/1")
    assert done.stdout == "/n/1\n", done.stderr


@pytest.mark.parametrize("request_text, status", [
    ("GET / HTTP/1.1\r\nHost: other.alice.example.eu\r\n\r\n", 421),
    (f"POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (f"GET /n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\nGET / HTTP/7.0\r\n\r\n", 505),
    ("GET / HTTP/1.1\r\nA: " + "a" * 40000 + "\r\n\r\n", 431),
])
def test_what_is_refused_is_answered_and_closed(forward, nginx, authority, request_text, status):
    node, _ = forward(nginx.address)
    answer = ask(node, authority, request_text.encode()).decode()
    assert f"HTTP/1.1 {status} " in answer
    if "/n/1 " in request_text and "GET" in request_text:
        assert answer.index("/n/1\n") < answer.index("HTTP/1.1 505")


def reading_origin(connection, _):
    """Reads chunked or counted bodies, and tells their SHA-256."""
    reader = connection.makefile("rb")
    while line := reader.readline():
        fields = {}
        while (field := reader.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            fields[name.lower()] = value.strip()
        if fields.get("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailer = hashlib.sha256(), b""
        if fields.get("transfer-encoding"):
            while size := int(reader.readline(), 16):
                body.update(reader.read(size))
                assert reader.readline() == b"\r\n"
            while (field := reader.readline()) != b"\r\n":
                trailer += field
        else:
            left = int(fields.get("content-length", 0))
            while left > 0:
                piece = reader.read(min(left, 65536))
                left -= len(piece)
                body.update(piece)
        told = json.dumps({"line": line.decode().strip(), "fields": fields, "sha256": body.hexdigest(),
                           "trailer": trailer.decode()}).encode() + b"\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]])
def test_bodies_arrive_whole(forward, make_raw_origin, authority, tmp_path, options):
    origin = make_raw_origin(reading_origin, proxy=False, hello=False)
    node, _ = forward(origin.address)
    body = random.Random(5).randbytes(3_000_000)
    (tmp_path / "body").write_bytes(body)
    done = curl(NAME, node.edge_port, "-T", str(tmp_path / "body"), *options, cacert=authority.cert, path="/up")
    told = json.loads(done.stdout)
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    assert told["line"] == "PUT /up HTTP/1.1"


def test_trailers_arrive(forward, make_raw_origin, authority):
    origin = make_raw_origin(reading_origin, proxy=False, hello=False)
    node, _ = forward(origin.address)
    with visitor(node, authority) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\nTrailer: Check\r\n\r\n"
                     "5;ext=1\r\nhello\r\n0\r\nCheck: sum\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode())
        reader = sock.makefile("rb")
        while reader.readline() != b"\r\n":
            pass
        told = json.loads(reader.readline())
    assert told["trailer"] == "Check: sum\r\n"
    assert told["sha256"] == hashlib.sha256(b"hello").hexdigest()


def test_an_early_answer_arrives(forward, make_raw_origin, authority):
    """An origin that refuses a body without reading it."""
    def serve(connection, _):
        reader = connection.makefile("rb")
        while reader.readline() not in (b"\r\n", b""):
            pass
        connection.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
    origin = make_raw_origin(serve, proxy=False, hello=False)
    node, _ = forward(origin.address)
    with visitor(node, authority) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100000000\r\n\r\n".encode() + bytes(200_000))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"\r\n\r\nno\n")


def test_websockets(forward, authority):
    async def echo(connection, *_):
        async for message in connection:
            await connection.send(message)

    async def check(node):
        context = ssl.create_default_context(cafile=authority.cert)
        async with websockets.connect(f"wss://{NAME}:{node.edge_port}/chat", host="127.0.0.1", ssl=context,
                                      server_hostname=NAME) as socket_:
            for message in ("hello", "x" * 100_000, b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"):
                await socket_.send(message)
                assert await socket_.recv() == message

    async def both():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            node, _ = await asyncio.get_running_loop().run_in_executor(None, forward, f"127.0.0.1:{port}")
            await asyncio.wait_for(check(node), PATIENCE)

    asyncio.run(both())


def test_events_come_as_they_are_sent(forward, make_raw_origin, authority):
    go_on = threading.Event()

    def serve(connection, _):
        reader = connection.makefile("rb")
        while reader.readline() not in (b"\r\n", b""):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        go_on.wait(PATIENCE)
        connection.sendall(b"data: 2\n\n")
    origin = make_raw_origin(serve, proxy=False, hello=False)
    node, _ = forward(origin.address)
    with visitor(node, authority) as sock:
        sock.sendall(f"GET /events HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        answer = b""
        while b"data: 1\n\n" not in answer:
            answer += sock.recv(65536)
        go_on.set()
        while piece := sock.recv(65536):
            answer += piece
    assert answer.endswith(b"data: 1\n\ndata: 2\n\n")
