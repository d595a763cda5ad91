# SPDX-License-Identifier: MIT
"""UDP services: each visitor has a session, boundaries stay, answers leave from where the visitor wrote to."""

import hashlib
import io
import json
import os
import random
import selectors
import signal
import sys
import threading
import time

from support.process import PATIENCE, Process, free_port, free_ports, metric, wait_until
from support.raw_origin import ProxyHeader
from support.udp import ask, service, udp_socket

RELAY = os.path.join(os.path.dirname(__file__), "support", "relay.py")
SIZES = (0, 1, 1200, 1500, 9000, 65507)


def sessions(node):
    return metric(node.edge_metrics(), "towonel_edge_udp_sessions")


def test_datagrams_of_all_sizes_cross_whole(make_udp_tunnel, make_udp_origin):
    node, agent, port = make_udp_tunnel(make_udp_origin(lambda data, _: hashlib.sha256(data).digest() + data[32:]))
    with udp_socket() as sock:
        for size in SIZES * 2:
            sent = random.Random(size).randbytes(size)
            sock.sendto(sent, ("127.0.0.1", port))
            got, source = sock.recvfrom(65536)
            assert got == hashlib.sha256(sent).digest() + sent[32:]
            assert source == ("127.0.0.1", port)
    assert sessions(node) == 1
    text = node.edge_metrics()
    assert metric(text, "towonel_edge_udp_datagrams_total", direction="in") == 2 * len(SIZES)
    assert metric(text, "towonel_edge_udp_bytes_total", direction="in") == 2 * sum(SIZES)
    text = agent.metrics()
    assert metric(text, "towonel_agent_udp_datagrams_total", direction="out") == 2 * len(SIZES)
    assert metric(text, "towonel_agent_udp_sessions") == 1


def test_a_thousand_visitors_at_once(make_udp_tunnel, make_udp_origin):
    origin = make_udp_origin(lambda data, address: data + b" %d" % address[1])
    node, _, port = make_udp_tunnel(origin)
    visitors = [udp_socket() for _ in range(1000)]
    waiting, answers = selectors.DefaultSelector(), {}
    for number, sock in enumerate(visitors):
        waiting.register(sock, selectors.EVENT_READ, number)
    deadline = time.monotonic() + PATIENCE
    for number, sock in enumerate(visitors):
        sock.sendto(b"%d" % number, ("127.0.0.1", port))
    while len(answers) < len(visitors) and time.monotonic() < deadline:
        for key, _ in waiting.select(1):
            answers[key.data] = key.fileobj.recv(100)
    assert len(answers) == len(visitors)
    assert all(answer.split()[0] == b"%d" % number for number, answer in answers.items())
    assert len({answer.split()[1] for answer in answers.values()}) == len(visitors)  # each has its own way
    assert sessions(node) == len(visitors)
    for sock in visitors:
        sock.close()


def flood(port, stop):
    """Datagrams as fast as they leave, in bursts that leave room for others on the machine."""
    with udp_socket() as sock:
        while not stop.is_set():
            for _ in range(100):
                sock.sendto(bytes(1000), ("127.0.0.1", port))
            stop.wait(0.005)


def test_a_flood_takes_nothing_from_a_quiet_visitor(make_udp_tunnel, make_udp_origin, stack, tmp_path):
    """The way to the agent is narrow: 2 MB/s. One visitor sends ten times that, another one a little."""
    relay_port, tunnel_port, stop = free_port(), free_port(), threading.Event()
    relay = Process([sys.executable, RELAY, relay_port, tunnel_port, "--rate", "2e6", "--delay", "5"],
                    tmp_path / "relay.log")
    stack.callback(relay.kill)
    relay.wait_log("ready")
    origin = make_udp_origin(lambda data, _: data if data.startswith(b"quiet") else None)
    node, _, port = make_udp_tunnel(origin, {"TOWONEL_EDGE_TUNNEL_LISTEN_ADDR": f"127.0.0.1:{tunnel_port}",
                                             "TOWONEL_EDGE_PUBLIC_ADDRESSES": f"127.0.0.1:{relay_port}"})
    flooding = threading.Thread(target=flood, args=(port, stop))
    with udp_socket() as sock:
        assert ask(port, b"quiet", sock=sock)
        flooding.start()
        try:
            wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_udp_dropped_total", reason="tunnel_full") > 0,
                       "the flood is more than the path carries")
            for number in range(100):
                asked = b"quiet %d" % number
                assert ask(port, asked, sock=sock) == asked
                time.sleep(0.01)
        finally:
            stop.set()
            flooding.join()
    assert metric(node.edge_metrics(), "towonel_edge_udp_dropped_total", reason="tunnel_full") > 100


def test_answers_leave_from_the_address_that_was_written_to(make_udp_tunnel, make_udp_origin):
    edge_port = free_port()
    _, _, port = make_udp_tunnel(make_udp_origin(), {"TOWONEL_EDGE_LISTEN_ADDR": f"[::]:{edge_port}"})
    with udp_socket() as v4, udp_socket("::1") as v6:
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"):
            v4.sendto(host.encode(), (host, port))
            assert v4.recvfrom(100) == (host.encode(), (host, port))
        v6.sendto(b"6", ("::1", port))
        assert v6.recvfrom(100)[1][:2] == ("::1", port)


def test_the_first_datagram_tells_the_visitors_address(make_udp_tunnel, make_udp_origin):
    seen = []
    _, _, port = make_udp_tunnel(make_udp_origin(lambda data, _: seen.append(data) or b"ok"), proxy_protocol="v2")
    with udp_socket() as sock:
        for _ in range(3):
            assert ask(port, b"payload", sock=sock) == b"ok"
        first = io.BytesIO(seen[0])
        first.recv = first.read
        header = ProxyHeader(first, transport=2)
        assert (header.source, header.source_port) == sock.getsockname()
        assert (header.destination, header.destination_port) == ("127.0.0.1", port)
        assert [first.read(), *seen[1:]] == [b"payload"] * 3


def test_a_range_of_ports_leads_to_the_origins(make_udp_tunnel, make_udp_origin):
    first = free_ports(3)
    origins = [make_udp_origin(lambda data, _, n=n: b"%d" % n, port=first + n) for n in range(3)]
    _, _, port = make_udp_tunnel(origins[0], ports=3)
    assert [ask(port + n) for n in range(3)] == [b"0", b"1", b"2"]


def test_a_silent_session_ends_and_one_with_traffic_does_not(make_udp_tunnel, make_udp_origin):
    origin = make_udp_origin()
    node, agent, port = make_udp_tunnel(origin, idle_timeout_secs=2)
    with udp_socket() as busy, udp_socket() as silent:
        assert ask(port, sock=busy) and ask(port, sock=silent)
        assert sessions(node) == 2
        end = time.monotonic() + 2 * 2.5
        while time.monotonic() < end:
            assert ask(port, sock=busy)
            time.sleep(0.2)
        assert sessions(node) == 1
        assert metric(agent.metrics(), "towonel_agent_udp_sessions") == 1
        assert ask(port, sock=silent)  # begins anew
    assert len(origin.peers) == 3
    wait_until(lambda: sessions(node) == 0, "all sessions have ended")
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_udp_sessions") == 0, "at the agent too")


def test_an_origin_that_is_not_there_yet_ends_nothing(make_udp_tunnel, make_udp_origin):
    early = make_udp_origin()
    early.close()
    node, agent, port = make_udp_tunnel(early)
    with udp_socket() as sock:
        assert ask(port, sock=sock, timeout=0.3) is None
        wait_until(lambda: metric(agent.metrics(), "towonel_agent_udp_dropped_total", reason="origin_refused") > 0,
                   "the refusal is counted")
        origin = make_udp_origin(port=early.port)
        assert ask(port, sock=sock) == b"hello"
    assert len(origin.peers) == 1 and sessions(node) == 1


def test_a_port_moves_and_goes_with_the_environment(make_udp_tunnel, make_udp_origin):
    origin = make_udp_origin()
    node, agent, before = make_udp_tunnel(origin)
    after = free_port()
    assert ask(before) == b"hello"
    agent.stop()
    agent.env["TOWONEL_AGENT_UDP_SERVICES"] = json.dumps([service(origin, after)])
    agent.start()
    wait_until(lambda: ask(after, timeout=0.5), "the second port leads to the origin")
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the first port is released")
    assert ask(before, timeout=0.3) is None


def test_another_origin_after_a_reload(make_node, make_agent, make_udp_origin, tmp_path):
    node, port, file = make_node(), free_port(), tmp_path / "services.json"
    origins = [make_udp_origin(lambda data, _, n=n: b"%d" % n) for n in range(2)]
    file.write_text(json.dumps([service(origins[0], port)]))
    agent = make_agent(node.invite("a.eu"), udp=f"@{file}")
    with udp_socket() as sock:
        wait_until(lambda: ask(port, sock=sock, timeout=0.5) == b"0", "the port leads to the first origin")
        file.write_text(json.dumps([service(origins[1], port)]))
        agent.process.signal(signal.SIGHUP)
        wait_until(lambda: ask(port, sock=sock, timeout=0.5) == b"1", "the same visitor is led to the second one")


def test_the_agent_restarts_in_the_middle(make_udp_tunnel, make_udp_origin):
    _, agent, port = make_udp_tunnel(make_udp_origin())
    with udp_socket() as sock:
        assert ask(port, sock=sock) == b"hello"
        agent.stop()
        assert ask(port, sock=sock, timeout=0.3) is None
        agent.start()
        wait_until(lambda: ask(port, sock=sock, timeout=0.5), "the visitor is answered again")


def test_an_agent_that_falls_silent_is_left(make_udp_tunnel, make_udp_origin, make_agent):
    node, first, port = make_udp_tunnel(make_udp_origin())
    with udp_socket() as sock:
        assert ask(port, sock=sock)
        make_agent(first.env["TOWONEL_INVITE_TOKEN"], udp=first.env["TOWONEL_AGENT_UDP_SERVICES"])
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_agents_connected") == 2, "both are connected")
        first.process.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: ask(port, sock=sock, timeout=0.3), "the other one answers")
        finally:
            first.process.signal(signal.SIGCONT)


def test_replicas_share_visitors_and_take_over(make_udp_tunnel, make_udp_origin, make_agent):
    node, first, port = make_udp_tunnel(make_udp_origin())
    second = make_agent(first.env["TOWONEL_INVITE_TOKEN"], udp=first.env["TOWONEL_AGENT_UDP_SERVICES"])
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_agents_connected") == 2, "both are connected")
    visitors = [udp_socket() for _ in range(10)]
    assert all(ask(port, sock=sock) for sock in visitors)
    for agent in (first, second):  # each worker of the edge shares its visitors out evenly
        assert metric(agent.metrics(), "towonel_agent_udp_sessions") >= 2
    first.stop()
    for sock in visitors:
        wait_until(lambda: ask(port, sock=sock, timeout=0.5), "the other one answers")
        sock.close()
    assert metric(second.metrics(), "towonel_agent_udp_sessions") == 10
