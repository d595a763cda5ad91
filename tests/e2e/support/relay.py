#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A path between a UDP client and a server, in user space: it delays, loses, narrows and limits datagrams' sizes, and
reorders, repeats, cuts short and damages some.

    relay.py PORT TARGET_PORT [--delay MS] [--loss PERCENT] [--rate BYTES_PER_SECOND] [--mtu BYTES] [--queue BYTES]
             [--reorder PERCENT] [--repeat PERCENT] [--cut PERCENT] [--flip PERCENT] [--host HOST] [--target-host HOST]

All on 127.0.0.1 unless told otherwise, for each direction alike. What does not fit the queue of a narrow path is lost.
"""

import argparse
import collections
import random
import selectors
import socket
import sys
import time

HEADERS = 28  # of IPv4 and UDP


class Direction:
    """Datagrams on their way; each leaves when it is due."""

    def __init__(self, options, seed):
        self.options, self.random = options, random.Random(seed)
        self.on_the_way = collections.deque()  # delays are all the same, so they are in order
        self.free_at = 0.0

    def take(self, data, send):
        options, now = self.options, time.monotonic()
        if len(data) + HEADERS > options.mtu or self.random.random() * 100 < options.loss:
            return
        self.free_at = max(self.free_at, now)
        if options.rate:
            if (self.free_at - now) * options.rate + len(data) > options.queue:
                return
            self.free_at += len(data) / options.rate
        at = self.free_at + options.delay / 1000
        if self._chance(options.cut):
            data = data[:self.random.randrange(1, len(data) + 1)]
        if self._chance(options.flip):
            byte = self.random.randrange(len(data))
            data = data[:byte] + bytes([data[byte] ^ 1 << self.random.randrange(8)]) + data[byte + 1:]
        for _ in range(2 if self._chance(options.repeat) else 1):
            if self._chance(options.reorder) and self.on_the_way:
                self.on_the_way.insert(self.random.randrange(len(self.on_the_way)), (at, data, send))
            else:
                self.on_the_way.append((at, data, send))

    def _chance(self, percent):
        return percent and self.random.random() * 100 < percent

    def release(self):
        """Sends what is due. When the next one is, or None."""
        while self.on_the_way:
            at, data, send = self.on_the_way[0]
            if at > time.monotonic():
                return at
            self.on_the_way.popleft()
            try:
                send(data)
            except OSError:
                pass  # nobody there: as good as lost
        return None


def relay(options):
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind((options.host, options.port))
    there, back = Direction(options, 1), Direction(options, 2)
    selector, upstreams = selectors.DefaultSelector(), {}
    selector.register(front, selectors.EVENT_READ, None)

    def upstream_for(client):
        if client not in upstreams:
            sock = upstreams[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((options.target_host, options.target))
            large(sock)
            selector.register(sock, selectors.EVENT_READ, client)
        return upstreams[client]

    def large(sock):
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)

    large(front)
    print("ready", flush=True)
    while True:
        due = [at for at in (there.release(), back.release()) if at is not None]
        wait = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in selector.select(wait):
            for _ in range(64):
                try:
                    data, source = key.fileobj.recvfrom(65536)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                if key.data is None:
                    there.take(data, upstream_for(source).send)
                else:
                    back.take(data, lambda data, client=key.data: front.sendto(data, client))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    parser.add_argument("--delay", type=float, default=0, help="ms")
    parser.add_argument("--loss", type=float, default=0, help="percent")
    parser.add_argument("--rate", type=float, default=0, help="bytes a second; 0: no limit")
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--queue", type=int, default=1 << 20, help="bytes")
    for harm in ("reorder", "repeat", "cut", "flip"):
        parser.add_argument("--" + harm, type=float, default=0, help="percent")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--target-host", default="127.0.0.1")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        relay(arguments())
    except KeyboardInterrupt:
        sys.exit(0)
