# SPDX-License-Identifier: MIT
"""Datagrams whose senders are made up, none of them twice: made_up.py HOST PORT COUNT RATE. Needs root, and a router
that lets them pass."""

import random
import socket
import struct
import sys
import time


def datagram(source, source_port, host, port, payload):
    udp = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload  # without a checksum
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,  # the kernel's
                       struct.pack(">I", source), socket.inet_aton(host)) + udp


def main():
    host, port, count, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    chance, begin = random.Random(1), time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for number, at in enumerate(chance.sample(range(1 << 22), count)):
            source = 0x64400000 + at  # of 100.64.0.0/10
            sock.sendto(datagram(source, chance.randrange(1024, 65536), host, port, b"made up"), (host, 0))
            if number % 4 == 0:
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))


if __name__ == "__main__":
    main()
