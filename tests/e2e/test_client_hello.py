# SPDX-License-Identifier: MIT
"""What comes first on the edge's port: hellos in every shape, and what is none."""

import os
import pathlib
import random
import socket
import subprocess
import time

import pytest

from support.origins import curl
from support.process import free_port, metric, run, wait_until
from support.visitors import (ALERT_DECODE_ERROR, ALERT_INTERNAL_ERROR, ALERT_UNRECOGNIZED_NAME, TlsVisitor,
                              client_hello, dial, in_records, read_alert, record)

NAME = "app.alice.example.eu"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SEEDS = ROOT / "tests/fuzz/seeds/client_hello"
SEED_NAME = "mlkem.example.eu"


def byte_by_byte(sock, hello):
    for byte in hello:
        sock.sendall(bytes([byte]))
        time.sleep(0.0005)


def two_records_two_writes(sock, hello):
    pieces = in_records(hello, len(hello) // 2)
    sock.sendall(pieces[:100])
    time.sleep(0.05)
    sock.sendall(pieces[100:])


def tiny_records(sock, hello):
    sock.sendall(in_records(hello, 7))


def slow_pieces(sock, hello):
    for at in range(0, len(hello), 1000):
        sock.sendall(hello[at:at + 1000])
        time.sleep(0.1)


# A few hundred protocols make a hello as large as a post-quantum one, or larger.
MANY_PROTOCOLS = [f"towonel-protocol-{number}" for number in range(250)] + ["http/1.1"]


@pytest.mark.parametrize("send_hello, alpn", [
    (byte_by_byte, None),
    (two_records_two_writes, None),
    (tiny_records, None),
    (socket.socket.sendall, MANY_PROTOCOLS),
    (slow_pieces, MANY_PROTOCOLS),
], ids=["byte by byte", "two records", "tiny records", "large", "large in pieces"])
def test_a_handshake_whose_hello_comes_in_pieces(make_tunnel, make_nginx, authority, send_hello, alpn):
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address})
    with TlsVisitor(node.edge_port, NAME, authority.cert, send_hello, alpn) as visitor:
        assert alpn is None or len(visitor.hello) > 4096
        assert visitor.get() == "127.0.0.1\n"


@pytest.mark.parametrize("seed", ["wolfssl_mlkem", "wolfssl_mlkem_two_records"])
def test_hellos_arrive_as_they_were_sent(make_tunnel, make_raw_origin, seed):
    """X25519MLKEM768 makes hellos that fit no packet; the origin gets each record as the visitor made it."""
    hello = (SEEDS / seed).read_bytes()
    assert len(hello) > 1400
    origin = make_raw_origin(lambda sock, visit: visit.hello)
    node, _ = make_tunnel({SEED_NAME: origin.address})
    with dial(node.edge_port) as visitor:
        for at in range(0, len(hello), 300):
            visitor.sendall(hello[at:at + 300])
            time.sleep(0.01)
        assert origin.result() == hello


@pytest.fixture(scope="session")
def pq_client(tmp_path_factory):
    """A TLS client on the wolfSSL that the programs use, which OpenSSL of every Debian is too old for."""
    program = tmp_path_factory.mktemp("pq") / "pq_client"
    where = subprocess.run([ROOT / "scripts/deps", "--where"], stdout=subprocess.PIPE, text=True, check=True)
    prefix = pathlib.Path(where.stdout.strip())
    if (prefix / "complete").exists():
        flags = [f"-I{prefix}/include", f"{prefix}/lib/libwolfssl.a", "-lm", "-lpthread"]
    else:
        found = subprocess.run(["pkg-config", "--cflags", "--libs", "wolfssl"], stdout=subprocess.PIPE,
                               text=True, check=True)
        flags = found.stdout.split()
    run([os.environ.get("CC", "gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", program,
         ROOT / "tests/e2e/pq_client.c", *flags], check=True)
    return program


def test_post_quantum_handshake(make_tunnel, make_nginx, authority, pq_client):
    """X25519MLKEM768 in a whole handshake; an nginx that does not know it asks for another hello, on the same way."""
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address})
    done = run([pq_client, "127.0.0.1", node.edge_port, NAME, authority.cert, "/who"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n\n127.0.0.1\n"), done.stdout


@pytest.mark.parametrize("hello", [client_hello(), (SEEDS / "openssl_no_name").read_bytes()],
                         ids=["by hand", "openssl"])
def test_no_name_gets_an_alert(make_tunnel, make_raw_origin, hello):
    origin = make_raw_origin(lambda sock, visit: None)
    node, _ = make_tunnel({NAME: origin.address})
    with dial(node.edge_port) as visitor:
        visitor.sendall(hello)
        assert read_alert(visitor) == ALERT_UNRECOGNIZED_NAME
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="no_sni") == 1
    assert origin.accepted == 0


def test_unknown_name_is_told_to_real_clients(make_node):
    node = make_node()
    done = curl("nobody.example.eu", node.edge_port)
    assert done.returncode == 35 and "unrecognized name" in done.stderr, done.stderr
    done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{node.edge_port}",
                "-servername", "nobody.example.eu"])
    assert done.returncode == 1 and "SSL alert number 112" in done.stderr, done.stderr
    with dial(node.edge_port) as visitor:
        visitor.sendall(client_hello("nobody.example.eu"))
        assert read_alert(visitor) == ALERT_UNRECOGNIZED_NAME
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="unknown_name") == 3


def test_known_name_without_an_agent(make_tunnel, make_raw_origin):
    origin = make_raw_origin(lambda sock, visit: None)
    node, agent = make_tunnel({NAME: origin.address})
    agent.stop()
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_agents_connected") == 0, "the agent has gone")
    with dial(node.edge_port) as visitor:
        visitor.sendall(client_hello(NAME))
        assert read_alert(visitor) == ALERT_INTERNAL_ERROR
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="no_agent") == 1


def test_plain_http_is_told_so(make_node):
    node = make_node()
    done = curl("app.alice.example.eu", node.edge_port, "-w", "%{http_code}", scheme="http")
    assert done.returncode == 0, done.stderr
    assert "https://" in done.stdout and done.stdout.endswith("400")
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="plain_http") == 1


def test_random_bytes_are_closed(make_node):
    node = make_node()
    noise = random.Random(3)
    for _ in range(50):
        with dial(node.edge_port) as visitor:
            visitor.sendall(bytes([noise.choice([b for b in range(256) if b != 22])]) + noise.randbytes(500))
            assert read_alert(visitor) is None
    # what begins as TLS is answered in TLS
    with dial(node.edge_port) as visitor:
        visitor.sendall(record(22, b"\x02" + noise.randbytes(100)))
        assert read_alert(visitor) == ALERT_DECODE_ERROR
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="bad_hello") == 51


def test_origin_that_is_down(make_tunnel, authority):
    """An alert for the visitor; the reason in the log and the metrics of the agent; others are not affected."""
    port = free_port()
    node, agent = make_tunnel({NAME: f"127.0.0.1:{port}"})
    with dial(node.edge_port) as visitor:
        visitor.sendall(client_hello(NAME))
        assert read_alert(visitor) == ALERT_INTERNAL_ERROR
    done = curl(NAME, node.edge_port, cacert=authority.cert)
    assert done.returncode == 35 and "alert internal error" in done.stderr, done.stderr
    assert metric(agent.metrics(), "towonel_agent_stream_errors_total", reason="origin_refused") == 2
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="origin") == 2
    line = next(line for line in agent.process.log().splitlines() if "the origin cannot be reached" in line)
    assert NAME in line and str(port) in line and "refused" in line
    assert agent.ready()[0] == 200


def test_origin_that_comes_up_later(make_tunnel, make_nginx, authority):
    nginx = make_nginx(NAME)
    node, _ = make_tunnel({NAME: nginx.address})
    nginx.stop()
    assert curl(NAME, node.edge_port, cacert=authority.cert).returncode == 35
    nginx.start()
    done = curl(NAME, node.edge_port, cacert=authority.cert, path="/who")
    assert done.stdout == "127.0.0.1\n", done.stderr


@pytest.mark.parametrize("hello", [
    record(22, b"\x01\xff\xff\xff" + bytes(16000)) + record(22, bytes(16000)),
    in_records(client_hello(NAME, 16000), 1)[:17000],
], ids=["announced too large", "too many records"])
def test_a_hello_without_end_is_cut_off_by_size(make_node, hello):
    node = make_node()
    with dial(node.edge_port) as visitor:
        visitor.sendall(hello)
        assert read_alert(visitor) == ALERT_DECODE_ERROR
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="hello_too_big") == 1


def test_the_largest_hello_that_is_taken(make_tunnel, make_raw_origin):
    hello = client_hello(NAME, 16384)
    origin = make_raw_origin(lambda sock, visit: visit.hello)
    node, _ = make_tunnel({NAME: origin.address})
    with dial(node.edge_port) as visitor:
        visitor.sendall(hello)
        assert origin.result() == hello


def test_silent_and_dribbling_visitors_are_cut_off_by_time(make_node):
    """Ten seconds for the whole hello, however it comes."""
    node = make_node()
    hello = client_hello(NAME)
    began = time.monotonic()
    with dial(node.edge_port) as silent, dial(node.edge_port) as dribbling:
        for at in range(8):
            dribbling.sendall(hello[at:at + 1])
            time.sleep(1)
        assert read_alert(silent) is None
        took = time.monotonic() - began
        assert read_alert(dribbling) is None
        assert 9.5 < took
        assert time.monotonic() - took - began < 2
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="hello_timeout") == 2


def test_visitors_that_leave_before_their_hello_is_whole(make_node):
    node = make_node()
    before = node.process.open_files()
    for size in (0, 1, 5, 50):
        for _ in range(25):
            with dial(node.edge_port) as visitor:
                visitor.sendall(client_hello(NAME)[:size])
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0, "all are gone")
    assert metric(node.edge_metrics(), "towonel_edge_connections_total") == 100
    wait_until(lambda: node.process.open_files() <= before, "their descriptors are closed")
