# SPDX-License-Identifier: MIT
"""Requests that two servers might read in two ways, to nginx itself and to nginx behind an edge that forwards headers:
both refuse the same ones. Where the edge is stricter than some nginx, the case says so."""

import re
import socket
import ssl

import pytest

from support.process import PATIENCE
from support.terminated import put_certificate, terminated

NAME = "app.alice.example.eu"
HEAD = f"POST /n/1 HTTP/1.1\r\nHost: {NAME}\r\n"
END = f"GET /n/end HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
SERVED, REFUSED, STRICTER = "served", "refused", "stricter"

CASES = [
    (SERVED, f"GET /n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (SERVED, HEAD + "Content-Length: 5\r\n\r\nhello"),
    (SERVED, HEAD + "Content-Length: 005\r\n\r\nhello"),
    (SERVED, CHUNKED + "5\r\nhello\r\n0\r\n\r\n"),
    (SERVED, CHUNKED + "5;a=b\r\nhello\r\n000\r\nTrailer: x\r\n\r\n"),
    (SERVED, f"GET http://{NAME}/n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (SERVED, HEAD + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
    (SERVED, "\r\n" + f"GET /n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    # lengths
    (REFUSED, HEAD + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"),
    (REFUSED, HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX"),
    (REFUSED, HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 5, 5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: +5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: -5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 5a\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 0x5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 5 5\r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: \r\n\r\nhello"),
    (REFUSED, HEAD + "Content-Length: 99999999999999999999\r\n\r\nhello"),
    # codings
    (REFUSED, HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: identity\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, f"POST /n/1 HTTP/1.0\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (REFUSED, HEAD + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    # lines
    (STRICTER, HEAD + "A: b\nContent-Length: 5\r\n\r\nhello"),
    (STRICTER, HEAD.replace("\r\n", "\n") + "\n"),
    (REFUSED, HEAD + "A: b\rContent-Length: 5\r\n\r\nhello"),
    (REFUSED, HEAD + "A: b\0c\r\n\r\n"),
    (REFUSED, HEAD + "A: b\r\n c\r\n\r\n"),
    (REFUSED, HEAD + " A: b\r\n\r\n"),
    (REFUSED, HEAD + "A b: c\r\n\r\n"),
    (STRICTER, HEAD + "A\r\n\r\n"),
    (REFUSED, HEAD + ": c\r\n\r\n"),
    (STRICTER, HEAD + "Content_Length: 5\r\n\r\n"),
    # where it goes
    (REFUSED, HEAD + f"Host: {NAME}\r\n\r\n"),
    (REFUSED, "GET /n/1 HTTP/1.1\r\n\r\n"),
    (REFUSED, "GET /n/1 HTTP/1.1\r\nHost: \r\n\r\n"),
    (REFUSED, f"GET /n/1 HTTP/1.1\r\nHost: {NAME}/x\r\n\r\n"),
    (STRICTER, f"GET http://other.alice.example.eu/n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (STRICTER, f"GET /n/1#f HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (STRICTER, f"GET  /n/1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (REFUSED, f"GET /n/1 x HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (REFUSED, f"GET /n/1 HTTP/2.0\r\nHost: {NAME}\r\n\r\n"),
    (REFUSED, f"GET /n/1 http/1.1\r\nHost: {NAME}\r\n\r\n"),
    (REFUSED, f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    (REFUSED, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    # chunks
    (REFUSED, CHUNKED + "g\r\nhello\r\n0\r\n\r\n"),
    (REFUSED, CHUNKED + "-5\r\nhello\r\n0\r\n\r\n"),
    (REFUSED, CHUNKED + "0x5\r\nhello\r\n0\r\n\r\n"),
    (REFUSED, CHUNKED + "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    (REFUSED, CHUNKED + "\r\n5\r\nhello\r\n0\r\n\r\n"),
    (REFUSED, CHUNKED + "5\r\nhelloX\r\n0\r\n\r\n"),
    (STRICTER, CHUNKED + "5\nhello\n0\n\n"),
    (STRICTER, CHUNKED + "5 \r\nhello\r\n0\r\n\r\n"),
]


def ask(sock, request):
    """The statuses of what is answered, until the end."""
    sock.sendall((request + END).encode("latin1"))
    answer = b""
    try:
        while piece := sock.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def verdict(statuses):
    """Served: the request and the one behind it. Refused: an error, and nothing behind it."""
    if statuses == [200, 200]:
        return SERVED
    return REFUSED if statuses and statuses[-1] >= 400 and statuses.count(200) == 0 else f"neither: {statuses}"


@pytest.fixture
def readers(make_tunnel, make_nginx, authority):
    """Ways to ask: nginx itself, and the edge before it. Bodies are read before they are answered."""
    nginx = make_nginx(NAME, tls=False, http2=False, proxy_protocol=False, locations="""
        location /n/ { client_max_body_size 1m; proxy_pass http://127.0.0.1:$server_port/inner/; }
        location /inner/ { default_type text/plain; return 200 "$uri\\n"; }""")
    node, _ = make_tunnel({NAME: terminated(nginx.address)})
    put_certificate(node, authority, NAME)
    context = ssl.create_default_context(cafile=authority.cert)

    def direct(request):
        with socket.create_connection(("127.0.0.1", nginx.port), PATIENCE) as sock:
            return ask(sock, request)

    def edge(request):
        with socket.create_connection(("127.0.0.1", node.edge_port), PATIENCE) as sock:
            with context.wrap_socket(sock, server_hostname=NAME) as tls:
                return ask(tls, request)
    return direct, edge


def test_nginx_and_the_edge_refuse_the_same(readers):
    direct, edge = readers
    wrong = []
    for expected, request in CASES:
        theirs, ours = verdict(direct(request)), verdict(edge(request))
        strict = expected == STRICTER
        if ours != (REFUSED if strict else expected) or theirs not in ((SERVED, REFUSED) if strict else (expected,)):
            wrong.append((expected, request, theirs, ours))
    assert not wrong, "\n".join(map(str, wrong))
