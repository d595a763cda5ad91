# SPDX-License-Identifier: MIT
"""A listening socket of 127.0.0.1 whose connections are served in threads."""

import contextlib
import socket
import threading


class Listener:
    """Calls serve(sock) for each connection, in a thread of its own; serve closes it."""

    def __init__(self, serve, port=0):
        self._serve, self.accepted = serve, 0
        self.sock = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.sock.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self):
        """accept() has to be over before: when something interrupts it, the kernel takes it up again with the number of the
        descriptor, which may be another listener's by then, whose connection it would take."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.sock.close()
