# SPDX-License-Identifier: MIT
"""Visitors that write their own bytes: a ClientHello made by hand, and a TLS client whose hello can be cut up."""

import contextlib
import hashlib
import random
import socket
import ssl
import struct

from .process import PATIENCE

RECORD_MAX = 16384
ALERT_UNRECOGNIZED_NAME = 112
ALERT_INTERNAL_ERROR = 80
ALERT_DECODE_ERROR = 50


def client_hello(name=None, size=0):
    """A record with a ClientHello that asks for name; padded (RFC 7685) to size bytes, if it is smaller."""
    def extension(kind, body):
        return struct.pack(">HH", kind, len(body)) + body

    def build(padding):
        extensions = extension(43, b"\x02\x03\x04")
        if name is not None:
            host = name.encode()
            extensions += extension(0, struct.pack(">HBH", len(host) + 3, 0, len(host)) + host)
        if padding is not None:
            extensions += extension(21, bytes(padding))
        body = (b"\x03\x03" + random.Random(7).randbytes(32) + b"\x00" + struct.pack(">HH", 2, 0x1301) +
                b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions)
        return record(22, b"\x01" + len(body).to_bytes(3, "big") + body)

    plain = build(None)
    return plain if len(plain) >= size else build(max(0, size - len(plain) - 4))


def record(kind, body):
    return struct.pack(">BHH", kind, 0x0301, len(body)) + body


def in_records(hello, piece):
    """The same handshake message in records of at most piece bytes."""
    body = hello[5:]
    return b"".join(record(22, body[at:at + piece]) for at in range(0, len(body), piece))


def dial(port, host="127.0.0.1", source=None, receive_buffer=None):
    """A connected socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
        sock.connect((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def set_reset(sock):
    """The next close is a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise AssertionError(f"the connection ended after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


def read_to_end(sock):
    """How many bytes came before the end, and their SHA-256."""
    count, digest, buffer = 0, hashlib.sha256(), bytearray(1 << 18)
    while True:
        size = sock.recv_into(buffer)
        if size == 0:
            return count, digest.hexdigest()
        count += size
        digest.update(memoryview(buffer)[:size])


def read_alert(sock):
    """The description of the fatal alert that comes, after which the connection ends; None when nothing comes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(4096):
            data += piece
    if not data:
        return None
    kind, _, size, level, description = struct.unpack(">BHHBB", data)
    assert (kind, size, level) == (21, 2, 2), data.hex()
    return description


_block = random.Random(1).randbytes(1048573)  # of prime length: a block out of its place would show


def pattern(size):
    """Bytes that are known, in pieces."""
    while size > 0:
        yield _block if size >= len(_block) else _block[:size]
        size -= len(_block)


def pattern_digest(size):
    digest = hashlib.sha256()
    for piece in pattern(size):
        digest.update(piece)
    return digest.hexdigest()


class TlsVisitor:
    """A TLS client over a socket; send_hello(sock, bytes) sends its ClientHello."""

    def __init__(self, port, name, cacert, send_hello=socket.socket.sendall, alpn=None, host="127.0.0.1",
                 source=None):
        context = ssl.create_default_context(cafile=cacert)
        if alpn:
            context.set_alpn_protocols(alpn)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self.sock = dial(port, host, source)
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            self.hello = self._out.read()
            send_hello(self.sock, self.hello)
            self._run(self._tls.do_handshake)
        except BaseException:
            self.sock.close()
            raise

    def _run(self, action, *arguments):
        while True:
            try:
                result = action(*arguments)
                self.sock.sendall(self._out.read())
                return result
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                data = self.sock.recv(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    def get(self, path="/who"):
        """The body of a GET that is answered with Content-Length."""
        name = self._tls.server_hostname
        self._run(self._tls.write, f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._run(self._tls.read, 65536)
            if not piece:
                raise AssertionError(f"no answer, only {data}")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:"))
        while len(body) < size:
            body += self._run(self._tls.read, 65536)
        return body.decode()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
