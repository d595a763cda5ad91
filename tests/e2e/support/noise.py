# SPDX-License-Identifier: MIT
"""Noise at a UDP port: noise.py PORT COUNT SECONDS. Random packets, some of which begin as QUIC does. Prints how many were
sent, which is COUNT unless SECONDS were over first."""

import os
import random
import socket
import sys
import time


def packet(chance):
    """Of any kind that a listener may take a closer look at: none, other versions, Initials, short headers."""
    size = chance.choice((1, 20, 60, 1200, 1350))
    body = bytearray(os.urandom(size))
    kind = chance.randrange(4)
    if kind == 1 and size >= 20:  # an Initial of version 1, with ids of 8 bytes
        body[0] = 0xC0 | body[0] & 0x0F
        body[1:6] = b"\x00\x00\x00\x01\x08"
        body[14] = 8
    elif kind == 2 and size >= 20:  # another version
        body[0] |= 0xC0
    elif kind == 3:  # of a connection that nobody has
        body[0] = body[0] & 0x3F | 0x40
    return bytes(body)


def main():
    port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    chance, sent, deadline = random.Random(1), 0, time.monotonic() + seconds
    packets = [packet(chance) for _ in range(5000)]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    for number, sock in enumerate(sockets):
        sock.bind((f"127.0.0.{100 + number}", 0))
        sock.connect(("127.0.0.1", port))
    while sent < count and time.monotonic() < deadline:
        for number in range(1000):
            try:
                sockets[number % 8].send(packets[(sent + number) % len(packets)])
            except OSError:
                pass
        sent += 1000
    print(sent)


if __name__ == "__main__":
    main()
