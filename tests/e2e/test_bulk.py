# SPDX-License-Identifier: MIT
"""Much at once: large transfers, many connections, slow readers next to fast ones; and what it takes in memory."""

import asyncio
import contextlib
import hashlib
import os
import ssl
import subprocess
import threading

import pytest

from support.memory import BOUND_KB, MemoryWatch
from support.process import PATIENCE, QUICK, metric, wait_until
from support.visitors import client_hello, dial, pattern, pattern_digest, read_exactly, read_to_end

NAME = "app.alice.example.eu"
HELLO = client_hello(NAME)
LARGE = (64 << 20) if QUICK else (1 << 30)
# Each stalled stream may hold its flow-control window and a send queue, a megabyte or so in each program; what it
# may not do is pile up what the origin offers.
SLOW_BOUND_KB = BOUND_KB + 100 * 1024


def watch(node, agent):
    return MemoryWatch({"node": node.process, "agent": agent.process})


def curl_argv(node, authority, path, *arguments):
    return ["curl", "-sS", "--noproxy", "*", "--max-time", "150", "--cacert", authority.cert, "--resolve",
            f"{NAME}:{node.edge_port}:127.0.0.1", *arguments, f"https://{NAME}:{node.edge_port}{path}"]


def digest_of(file):
    digest, count = hashlib.sha256(), 0
    while piece := file.read(1 << 20):
        digest.update(piece)
        count += len(piece)
    return count, digest.hexdigest()


@pytest.fixture
def large_file():
    """What was made under these paths goes at once, passed or failed: pytest would keep the last few of them."""
    paths = []
    yield paths.append
    for path in paths:
        if os.path.exists(path):
            os.remove(path)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_large_download(make_tunnel, make_nginx, authority, large_file, version):
    nginx = make_nginx(NAME)
    path = os.path.join(nginx.root, "large")
    large_file(path)
    with open(path, "wb") as file:
        for piece in pattern(LARGE):
            file.write(piece)
    node, agent = make_tunnel({NAME: nginx.address}, TOWONEL_LOG="info")
    with watch(node, agent) as memory, subprocess.Popen(curl_argv(node, authority, "/large", version),
                                                        stdout=subprocess.PIPE) as client:
        assert digest_of(client.stdout) == (LARGE, pattern_digest(LARGE))
    assert client.returncode == 0
    memory.assert_flat()


def test_large_upload(make_tunnel, make_nginx, authority, large_file):
    nginx = make_nginx(NAME, locations="location /put/ { dav_methods PUT; create_full_put_path on; }")
    path = os.path.join(nginx.root, "put", "large")
    large_file(path)
    node, agent = make_tunnel({NAME: nginx.address}, TOWONEL_LOG="info")
    argv = curl_argv(node, authority, "/put/large", "-H", f"Content-Length: {LARGE}", "-H", "Transfer-Encoding:",
                     "-T", "-", "-w", "%{http_code}", "--http1.1")
    with watch(node, agent) as memory, subprocess.Popen(argv, stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE) as client:
        for piece in pattern(LARGE):
            client.stdin.write(piece)
        client.stdin.close()
        assert client.stdout.read() == b"201"
    assert client.returncode == 0
    memory.assert_flat()
    with open(path, "rb") as file:
        assert digest_of(file) == (LARGE, pattern_digest(LARGE))


@pytest.mark.parametrize("count", [500])
def test_many_connections_at_once(make_tunnel, make_nginx, authority, count):
    """All open together, each with its own answer, twice over on the same connection."""
    nginx = make_nginx(NAME, locations='location /n/ { default_type text/plain; return 200 "<$uri>"; }')
    node, agent = make_tunnel({NAME: nginx.address}, TOWONEL_LOG="info")
    trust = ssl.create_default_context(cafile=authority.cert)

    async def ask(reader, writer, path):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        answer = await reader.readuntil(b">")
        assert answer.endswith(f"<{path}>".encode()), answer

    async def visit(number, all_here, all_done):
        reader, writer = await asyncio.open_connection("127.0.0.1", node.edge_port, ssl=trust, server_hostname=NAME,
                                                       ssl_handshake_timeout=120)
        await ask(reader, writer, f"/n/{number}")
        all_here.release()
        await all_done.wait()
        await ask(reader, writer, f"/n/again/{number}")
        writer.close()
        with contextlib.suppress(OSError):  # of TLS: how the other side says goodbye is not at issue
            await writer.wait_closed()

    async def crowd():
        all_here, all_done = asyncio.Semaphore(0), asyncio.Event()
        visits = [asyncio.create_task(visit(number, all_here, all_done)) for number in range(count)]
        arrived = asyncio.gather(*(all_here.acquire() for _ in range(count)))
        await asyncio.wait([arrived, *visits], timeout=120, return_when=asyncio.FIRST_COMPLETED)
        assert arrived.done(), [visit.exception() for visit in visits if visit.done()][:3]
        active = await asyncio.to_thread(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections"))
        all_done.set()
        await asyncio.gather(*visits)
        return active

    with watch(node, agent) as memory:
        assert asyncio.run(asyncio.wait_for(crowd(), 200)) == count
    memory.assert_bounded()
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0 and
               metric(agent.metrics(), "towonel_agent_streams_active") == 0, "all have gone")
    assert not any(line.startswith("towonel_agent_stream_errors_total") and not line.endswith(" 0")
                   for line in agent.metrics().splitlines())


def test_slow_readers_next_to_a_fast_one(make_tunnel, make_raw_origin):
    """Forty visitors ask for much and stop reading after a megabyte, which opens their windows. One that reads is
    served whole beside them; what waits for the others is bounded, and theirs when they read on."""
    slow_count, size, fast_size = 40, 8 << 20, 64 << 20
    sent = {}

    def serve(sock, visit):
        amount = int(sock.recv(20))
        for piece in pattern(amount):
            view = memoryview(piece)
            while view:
                count = sock.send(view[:65536])
                sent[visit.header.source_port] = sent.get(visit.header.source_port, 0) + count
                view = view[count:]
        return amount

    # a stalled visitor's origin waits for as long as the test lasts
    origin = make_raw_origin(serve, patience=200, send_buffer=65536)
    node, agent = make_tunnel({NAME: origin.address}, TOWONEL_LOG="info")
    slow = []
    try:
        with watch(node, agent) as memory:
            for _ in range(slow_count):
                visitor = dial(node.edge_port, receive_buffer=65536)
                slow.append(visitor)
                visitor.sendall(HELLO + b"%20d" % size)
            firsts = [read_exactly(visitor, 1 << 20) for visitor in slow]
            with dial(node.edge_port) as fast:
                fast.sendall(HELLO + b"%20d" % fast_size)
                assert read_to_end(fast) == (fast_size, pattern_digest(fast_size))
            # the kernel's buffers on the way may take all that a slow one has asked for, but not for each of them
            while (finished := origin.result()) != fast_size:
                assert finished == size
            stalled = [sent[visitor.getsockname()[1]] for visitor in slow]
            assert sum(amount < size for amount in stalled) > slow_count // 2, stalled
            # the slow ones were not forgotten
            for visitor, first in zip(slow[:5], firsts):
                visitor.settimeout(60)
                digest = hashlib.sha256(first)
                left = size - len(first)
                while left:
                    piece = visitor.recv(1 << 16)
                    assert piece
                    digest.update(piece)
                    left -= len(piece)
                assert digest.hexdigest() == pattern_digest(size)
        memory.assert_bounded(SLOW_BOUND_KB)
    finally:
        for visitor in slow:
            visitor.close()


def test_slow_origin_next_to_a_fast_one(make_node, make_agent, make_raw_origin):
    """The same the other way: uploads to an origin that does not read hold up no upload to another."""
    go_on = threading.Event()

    def stall(sock, _):
        go_on.wait(150)
        return read_to_end(sock)

    slow, fast = make_raw_origin(stall, patience=200), make_raw_origin(lambda sock, _: read_to_end(sock))
    node = make_node(TOWONEL_LOG="info")
    names = "slow.alice.example.eu", "fast.alice.example.eu"
    agent = make_agent(node.invite(*names), [{"hostname": name, "origin": origin.address}
                                             for name, origin in zip(names, (slow, fast))])
    size, fast_size, visitors = 16 << 20, 64 << 20, []

    def upload(name, amount):
        visitor = dial(node.edge_port)
        visitors.append(visitor)
        visitor.settimeout(200)
        visitor.sendall(client_hello(name))
        for piece in pattern(amount):
            visitor.sendall(piece)
        visitor.shutdown(1)

    try:
        with watch(node, agent) as memory:
            threads = [threading.Thread(target=upload, args=(names[0], size)) for _ in range(20)]
            for thread in threads:
                thread.start()
            wait_until(lambda: slow.accepted == len(threads), "all slow ones are there")
            upload(names[1], fast_size)
            assert fast.result() == (fast_size, pattern_digest(fast_size))
            assert any(thread.is_alive() for thread in threads)
            go_on.set()
            for thread in threads:
                thread.join(PATIENCE)
                assert slow.result() == (size, pattern_digest(size))
        memory.assert_bounded(SLOW_BOUND_KB)
    finally:
        go_on.set()
        for visitor in visitors:
            visitor.close()
