# SPDX-License-Identifier: MIT
"""Origins and visitors that speak lines of text behind a ClientHello: past it, a passthrough stream is bytes."""

import contextlib
import socket
import ssl
import struct
import time

from .listener import Listener
from .process import PATIENCE

UNRECOGNIZED_NAME = 112


class Alert(Exception):
    """The edge refused the visitor."""

    def __init__(self, description):
        super().__init__(f"alert {description}")
        self.description = description


def client_hello(name):
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Origin:
    """Says its tag to each visitor, then answers lines: "echo X" with X, "drip N" with N lines, ten a second."""

    def __init__(self, tag, port=0):
        self.tag = tag
        self._listener = Listener(self._serve, port)
        self.port, self.address = self._listener.port, self._listener.address

    def service(self, hostname, **more):
        """As TOWONEL_AGENT_SERVICES has it."""
        return {"hostname": hostname, "origin": self.address, "proxy_protocol": "none", **more}

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError, struct.error), sock.makefile("rwb") as file:
            length = struct.unpack(">H", file.read(5)[3:])[0]
            file.read(length)
            file.write(self.tag.encode() + b"\n")
            file.flush()
            for line in file:
                command, _, argument = line.decode().strip().partition(" ")
                if command == "drip":
                    for number in range(int(argument)):
                        file.write(f"{number}\n".encode())
                        file.flush()
                        time.sleep(0.1)
                else:
                    file.write(argument.encode() + b"\n")
                    file.flush()

    def close(self):
        self._listener.close()


class Visitor:
    """A connection through the edge to the origin of a hostname; tag is what the origin said."""

    def __init__(self, port, name, host="127.0.0.1", timeout=PATIENCE):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        try:
            self.sock.sendall(client_hello(name))
            self._file = self.sock.makefile("rb")
            first = self._file.read(1)
            if first == b"\x15":
                raise Alert(self._file.read(6)[5])
            if not first:
                raise ConnectionResetError("the edge closed without a word")
            self.tag = (first + self._file.readline()).decode().strip()
        except BaseException:
            self.sock.close()
            raise

    def ask(self, command):
        self.send(command)
        return self.line()

    def send(self, command):
        self.sock.sendall(command.encode() + b"\n")

    def line(self):
        line = self._file.readline()
        if not line:
            raise ConnectionResetError("the stream has ended")
        return line.decode().strip()

    def close(self):
        self._file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def visit(port, name, **more):
    """The tag of the origin that answers for a name, or the number of the alert."""
    try:
        with Visitor(port, name, **more) as visitor:
            return visitor.tag
    except Alert as alert:
        return alert.description
