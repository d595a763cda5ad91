# SPDX-License-Identifier: MIT
"""libtowonel-wire's formats against HAProxy and OpenSSL, which speak them too."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("TOWONEL_BUILD", ROOT / "build"))
CC = os.environ.get("CC", "gcc")
SANITIZE = os.environ.get("TOWONEL_SANITIZE", "").split()

LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    """Runs wire_tool; its lines as a dictionary, or its bytes when it writes."""
    program = tmp_path_factory.mktemp("wire") / "wire_tool"
    subprocess.run([CC, "-std=c11", "-Wall", "-Wextra", "-Werror", *SANITIZE,
                    f"-I{ROOT}/libtowonel-wire/include", "-o", program,
                    ROOT / "tests/e2e/wire_tool.c", f"-L{BUILD}", "-ltowonel-wire",
                    f"-Wl,-rpath,{BUILD}"], check=True)

    def run(*words, data=b""):
        out = subprocess.run([program, *words], input=data, capture_output=True, timeout=20).stdout
        if words[0] == "write-proxy":
            return out
        return dict(line.split("=", 1) for line in out.decode().splitlines())
    return run


def listen(family=4):
    sock = socket.create_server((LOOPBACK[family], 0),
                                family=socket.AF_INET if family == 4 else socket.AF_INET6)
    sock.settimeout(10)
    return sock, sock.getsockname()[1]


def free_port(family):
    sock, port = listen(family)
    sock.close()
    return port


def receive(sock, enough):
    """Reads until enough(bytes) or nothing more comes."""
    sock.settimeout(5)
    data = b""
    while not enough(data):
        try:
            piece = sock.recv(65536)
        except TimeoutError:
            break
        if not piece:
            break
        data += piece
    return data


@contextmanager
def haproxy(directory, family, port, config):
    """HAProxy with this configuration, once it answers on port."""
    path = directory / "haproxy.cfg"
    path.write_text("defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n" + config)
    process = subprocess.Popen(["haproxy", "-db", "-f", path], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((LOOPBACK[family], port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    pytest.fail(process.communicate()[1].decode())
                time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=app.example.eu",
                    "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
                   check=True, capture_output=True)
    path = directory / "both.pem"
    path.write_text((directory / "cert.pem").read_text() + (directory / "key.pem").read_text())
    return path


def whole_header(data):
    return len(data) >= 16 and len(data) >= 16 + int.from_bytes(data[14:16], "big")


def relayed_headers(directory, family, bind, visit):
    """What HAProxy puts before the bytes of a visitor of ours, and the visitor's port."""
    backend, backend_port = listen()
    port = free_port(family)
    host = LOOPBACK[family] if family == 4 else f"[{LOOPBACK[family]}]"
    config = (f"frontend f\n  mode tcp\n  bind {host}:{port} {bind}\n"
              "  unique-id-format id-%cp\n  default_backend b\n"
              f"backend b\n  mode tcp\n  server s 127.0.0.1:{backend_port} "
              "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority\n")
    with backend, haproxy(directory, family, port, config):
        with visit(port) as visitor_port:
            while True:
                connection, _ = backend.accept()
                with connection:
                    data = receive(connection, whole_header)
                # the connection that saw whether HAProxy was up has been relayed too
                if f"id-{visitor_port}".encode() in data:
                    return data, visitor_port, port


@pytest.mark.parametrize("family", [4, 6])
def test_header_of_haproxy_is_read(tool, tmp_path, family):
    @contextmanager
    def visit(port):
        with socket.create_connection((LOOPBACK[family], port)) as sock:
            yield sock.getsockname()[1]

    data, visitor_port, port = relayed_headers(tmp_path, family, "", visit)
    host = "127.0.0.1" if family == 4 else "[::1]"
    seen = tool("read-proxy", data=data)
    assert seen == {"result": "success", "command": "proxy", "length": str(len(data)),
                    "source": f"{host}:{visitor_port}", "destination": f"{host}:{port}",
                    "authority": "", "alpn": "", "unique_id": f"id-{visitor_port}"}
    broken = bytearray(data)
    broken[17] ^= 1
    assert tool("read-proxy", data=bytes(broken))["result"] == "malformed input"


def test_header_of_haproxy_has_name_and_alpn(tool, tmp_path):
    import ssl

    @contextmanager
    def visit(port):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            with context.wrap_socket(sock, server_hostname="app.example.eu") as tls:
                yield tls.getsockname()[1]

    bind = f"ssl crt {certificate(tmp_path)} alpn h2,http/1.1"
    data, visitor_port, _ = relayed_headers(tmp_path, 4, bind, visit)
    seen = tool("read-proxy", data=data)
    assert seen["authority"] == "app.example.eu"
    assert seen["alpn"] == "h2"
    assert seen["unique_id"] == f"id-{visitor_port}"


@pytest.mark.parametrize("source, destination", [
    ("192.0.2.1:1234", "198.51.100.7:443"),
    ("[2001:db8::1]:65535", "[2001:db8::2]:1"),
])
def test_haproxy_reads_our_header(tool, tmp_path, source, destination):
    port = free_port(4)
    config = (f"frontend f\n  mode http\n  bind 127.0.0.1:{port} accept-proxy\n"
              "  http-request return status 200 content-type text/plain lf-string "
              '"%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]"\n')
    header = tool("write-proxy", source, destination, "app.example.eu", "0123456789abcdef")
    broken = bytearray(header)
    broken[17] ^= 1
    request = b"GET / HTTP/1.0\r\n\r\n"
    with haproxy(tmp_path, 4, port, config):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(header + request)
            answer = receive(sock, lambda data: False).decode()
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(bytes(broken) + request)
            # HAProxy checks the checksum as well
            try:
                assert receive(sock, lambda data: False) == b""
            except ConnectionResetError:
                pass

    def split(address):
        host, number = address.rsplit(":", 1)
        return [host.strip("[]"), number]
    assert answer.split("\r\n\r\n", 1)[1].split() == [
        *split(source), *split(destination), "app.example.eu", "0123456789abcdef"]


def whole_hello(data):
    message, at = b"", 0
    while at + 5 <= len(data):
        length = int.from_bytes(data[at + 3:at + 5], "big")
        message += data[at + 5:at + 5 + length]
        at += 5 + length
    return len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big")


@pytest.mark.parametrize("options, server_name, alpn, tls13", [
    (["-servername", "App.Example.eu", "-alpn", "h2,http/1.1"], "app.example.eu", "h2,http/1.1", "1"),
    (["-servername", "app.example.eu", "-tls1_2"], "app.example.eu", "", "0"),
    (["-noservername"], "", "", "1"),
])
def test_hello_of_openssl_is_read(tool, options, server_name, alpn, tls13):
    listener, port = listen()
    client = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        with listener:
            connection, _ = listener.accept()
            with connection:
                data = receive(connection, whole_hello)
    finally:
        client.kill()
        client.wait()
    assert tool("hello", data=data) == {"result": "success", "server_name": server_name, "alpn": alpn,
                                        "tls13": tls13, "bytes": str(len(data))}
