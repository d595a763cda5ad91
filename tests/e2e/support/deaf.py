# SPDX-License-Identifier: MIT
"""Many ends of connections that never read, and write without an end or nothing:
deaf.py listen|connect PORT COUNT pour|still. Prints a line when it listens, or all have come; one that is cut off comes
again."""

import resource
import select
import socket
import sys

PIECE = bytes(65536)


class Ends:
    def __init__(self, port, pours):
        self.port, self.pours = port, pours
        self.ends, self.epoll, self.listener = {}, select.epoll(), None

    def make(self):
        sock = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # what waits is to wait between the ends, not here
            sock.setsockopt(socket.SOL_SOCKET, option, 16384)
        return sock

    def listen(self):
        self.listener = self.make()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1024)
        self.epoll.register(self.listener, select.EPOLLIN)
        print("listens", flush=True)

    def connect(self):
        sock = self.make()
        sock.connect(("127.0.0.1", self.port))
        self.add(sock)

    def add(self, sock):
        sock.setblocking(False)
        self.ends[sock.fileno()] = sock
        self.epoll.register(sock, select.EPOLLOUT if self.pours else 0)  # that it was cut off is told anyhow

    def remove(self, sock):
        self.epoll.unregister(sock)
        del self.ends[sock.fileno()]
        sock.close()
        if self.listener is None:
            self.connect()

    def run(self):
        while True:
            for descriptor, events in self.epoll.poll():
                if self.listener is not None and descriptor == self.listener.fileno():
                    self.add(self.listener.accept()[0])
                elif events & (select.EPOLLERR | select.EPOLLHUP):
                    self.remove(self.ends[descriptor])
                else:
                    self.pour(self.ends[descriptor])

    def pour(self, sock):
        try:
            sock.send(PIECE)
        except BlockingIOError:
            pass
        except OSError:
            self.remove(sock)


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ends = Ends(int(sys.argv[2]), sys.argv[4] == "pour")
    if sys.argv[1] == "listen":
        ends.listen()
    else:
        for _ in range(int(sys.argv[3])):
            ends.connect()
        print("all have come", flush=True)
    ends.run()


if __name__ == "__main__":
    main()
