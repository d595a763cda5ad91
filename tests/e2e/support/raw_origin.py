# SPDX-License-Identifier: MIT
"""An origin that reads a ClientHello and then does as a test pleases: past the hello a passthrough stream is bytes."""

import queue
import socket
import ssl
import struct
import time

from .listener import Listener
from .process import PATIENCE
from .visitors import read_exactly, set_reset

PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class ProxyHeader:
    """PROXY protocol v2, as far as an origin reads it."""

    def __init__(self, sock, transport=1):
        start = read_exactly(sock, 16)
        assert start[:12] == PROXY_SIGNATURE and start[12] == 0x21, start.hex()
        body = read_exactly(sock, struct.unpack(">H", start[14:])[0])
        family, size = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}[start[13] >> 4]
        assert start[13] & 0xf == transport, start.hex()
        self.source = socket.inet_ntop(family, body[:size])
        self.destination = socket.inet_ntop(family, body[size:2 * size])
        self.source_port, self.destination_port = struct.unpack(">HH", body[2 * size:2 * size + 4])
        self.values, rest = {}, body[2 * size + 4:]
        while rest:
            kind, length = struct.unpack(">BH", rest[:3])
            self.values[kind] = rest[3:3 + length]
            rest = rest[3 + length:]

    @property
    def alpn(self):
        return self.values.get(0x01)

    @property
    def authority(self):
        return self.values.get(0x02, b"").decode()


class RawOrigin:
    """Runs serve(sock, visit) for each visitor in a thread of its own; visit has the PROXY header and the hello's
    bytes. What serve returns or raises is what result() gives next. The socket is closed after serve."""

    def __init__(self, serve, proxy=True, tls=None, send_buffer=None, patience=PATIENCE,
                 hello=True):
        self._serve, self._proxy, self._tls, self._patience = serve, proxy, tls, patience
        self._hello = hello
        self._results = queue.Queue()
        self._listener = Listener(self._visit)
        self.port, self.address = self._listener.port, self._listener.address
        if send_buffer:
            self._listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)

    @property
    def accepted(self):
        return self._listener.accepted

    def _visit(self, sock):
        try:
            with sock:
                sock.settimeout(self._patience)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                visit = Visit()
                if self._proxy:
                    visit.header = ProxyHeader(sock)
                if self._tls:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                with sock:
                    if self._hello:
                        visit.hello = read_hello(sock)
                    self._results.put((self._serve(sock, visit), None))
        except Exception as error:  # pylint: disable=broad-except
            self._results.put((None, error))

    def result(self, timeout=PATIENCE):
        """What serve has returned, or its exception, raised here."""
        try:
            value, error = self._results.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"the origin has not finished with a visitor in {timeout} s") from None
        if error:
            raise error
        return value

    def close(self):
        self._listener.close()


class Visit:
    header = None
    hello = b""


def read_hello(sock):
    """All records of a ClientHello, as they came."""
    raw, message = b"", b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        head = read_exactly(sock, 5)
        assert head[0] == 22, head.hex()
        body = read_exactly(sock, struct.unpack(">H", head[3:])[0])
        raw += head + body
        message += body
    return raw


def echo(sock, _):
    """Sends back what comes, until its end."""
    count = 0
    while data := sock.recv(65536):
        sock.sendall(data)
        count += len(data)
    return count


def reset(sock, _=None):
    set_reset(sock)


def wait_for_reset(sock):
    """How the visitor ends: "reset" or "end"."""
    deadline = time.monotonic() + PATIENCE
    try:
        while sock.recv(65536):
            assert time.monotonic() < deadline
    except ConnectionResetError:
        return "reset"
    return "end"


def server_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
