# SPDX-License-Identifier: MIT
"""An origin that speaks first, as SSH and mail servers do, and its visitor."""

import socket

from .process import PATIENCE
from .listener import Listener
from .raw_origin import ProxyHeader


class Greeter:
    """Greets, with the visitor's address when a PROXY header told it, then repeats what it hears."""

    def __init__(self, greeting, proxy=False, port=0):
        self._greeting, self._proxy = greeting, proxy
        self._listener = Listener(self._serve, port)
        self.address = self._listener.address

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


def greeted(port):
    """The first line from that port; None when nobody listens there, or nobody is behind it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            return sock.makefile().readline().strip()
    except (ConnectionRefusedError, ConnectionResetError):
        return None
