# SPDX-License-Identifier: MIT
"""A flood of connections from one address: flood.py PORT SOURCE NAME COUNT. Prints how many could be made."""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.visitors import client_hello, set_reset


def main():
    port, source, name, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    hello, made = client_hello(name), 0
    for _ in range(count):
        with socket.socket() as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
            set_reset(sock)  # so that no port has to wait until it can be used again
            try:
                sock.connect(("127.0.0.1", port))
                sock.sendall(hello)
                made += 1
            except OSError:
                pass
    print(made)


if __name__ == "__main__":
    main()
