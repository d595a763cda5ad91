# SPDX-License-Identifier: MIT
"""UDP origins and visitors."""

import socket
import threading

from .process import PATIENCE

BUFFER = 4 << 20


def udp_socket(host="127.0.0.1", port=0, timeout=PATIENCE):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    sock.bind((host, port))
    sock.settimeout(timeout)
    return sock


class UdpOrigin:
    """Answers each datagram with what answer(data, address) gives; None: not at all."""

    def __init__(self, answer=lambda data, address: data, host="127.0.0.1", port=0):
        self._sock = udp_socket(host, port, timeout=0.1)
        self._answer = answer
        self._closing = threading.Event()
        self.port = self._sock.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.peers = {}  # how many datagrams came from each address
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._closing.is_set():
            try:
                data, address = self._sock.recvfrom(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            self.peers[address] = self.peers.get(address, 0) + 1
            answer = self._answer(data, address)
            if answer is not None:
                self._sock.sendto(answer, address)

    def close(self):
        self._closing.set()
        self._thread.join()
        self._sock.close()


def ask(port, data=b"hello", host="127.0.0.1", timeout=PATIENCE, sock=None):
    """The answer to a datagram, from a socket of its own unless one is given; None when none comes."""
    own = sock or udp_socket("::1" if ":" in host else "127.0.0.1")
    own.settimeout(timeout)
    try:
        own.sendto(data, (host, port))
        return own.recvfrom(65536)[0]
    except (TimeoutError, ConnectionRefusedError):
        return None
    finally:
        if sock is None:
            own.close()


def service(origin, port, **more):
    return {"name": "echo", "origin": origin.address, "listen_port": port, **more}
