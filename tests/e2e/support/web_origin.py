# SPDX-License-Identifier: MIT
"""A web application of HTTP/1.1: a page that tries what browsers do, and reports what came of it."""

import base64
import hashlib
import http.server
import json
import queue
import struct
import threading

from .process import QUICK

UPLOAD = (5 if QUICK else 100) << 20

PAGE = """<!doctype html><title>towonel</title><script>
const told = {};
const done = async () => fetch('/result', {method: 'POST', body: JSON.stringify(told)});
(async () => {
  try {
    told.who = (await (await fetch('/who')).json());
    const bytes = new Uint8Array(%d);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7 + (i >> 9);
    told.upload = (await (await fetch('/upload', {method: 'POST', body: bytes})).json());
    told.many = (await Promise.all([...Array(20).keys()].map(n => fetch('/n/' + n).then(r => r.text())))).join(',');
    told.events = await new Promise((ok, no) => {
      const got = [], source = new EventSource('/events');
      source.onmessage = e => { got.push(e.data); if (got.length == 3) { source.close(); ok(got.join(',')); } };
      source.onerror = () => no('events');
    });
    told.socket = await new Promise((ok, no) => {
      const got = [], socket = new WebSocket('wss://' + location.host + '/socket');
      socket.onopen = () => { socket.send('hello'); socket.send('x'.repeat(100000)); };
      socket.onmessage = e => { got.push(e.data.length); if (got.length == 2) { socket.close(); ok(got.join(',')); } };
      socket.onerror = () => no('socket');
    });
  } catch (error) { told.error = String(error); }
  done();
})();
</script>""" % UPLOAD


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        if self.path == "/":
            self.answer(PAGE.encode(), "text/html")
        elif self.path == "/who":
            self.answer(json.dumps({name: self.headers.get_all(name) for name in (
                "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")}).encode())
        elif self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for number in range(3):
                self.wfile.write(f"data: {number}\n\n".encode())
                threading.Event().wait(0.1)
        elif self.path == "/socket":
            self.socket()
        else:
            self.answer(self.path.encode())

    def do_POST(self):
        body = self.body()
        if self.path == "/result":
            self.answer(b"")
            self.server.results.put(json.loads(body))
        else:
            self.answer(json.dumps({"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}).encode())

    def socket(self):
        """RFC 6455, as far as an echo goes."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            size = head[1] & 0x7f
            if size > 125:
                size = struct.unpack(">H" if size == 126 else ">Q", self.rfile.read(2 if size == 126 else 8))[0]
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size)))
            length = (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else
                      b"\x7f" + struct.pack(">Q", size))
            self.wfile.write(head[:1] + length + data)
            if head[0] & 0xf == 8:
                return

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class WebOrigin:
    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.results = queue.Queue()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def result(self, timeout):
        return self.server.results.get(timeout=timeout)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
