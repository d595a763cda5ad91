# SPDX-License-Identifier: MIT
"""A UDP service under a flood of datagrams whose senders are made up, from within a network that lets them out."""

import os
import random
import subprocess
import sys
import time

from support.netns import needs_namespaces
from support.process import QUICK, metric, wait_until
from support.udp import UdpOrigin, ask, udp_socket
from support.world import World

pytestmark = needs_namespaces

ORIGIN_PORT, PUBLIC_PORT = 5300, 5353
COUNT, RATE = (20_000, 5_000) if QUICK else (100_000, 10_000)
TRIES, PATIENCE = 8, 1.0


def filtered_by_nobody(host):
    for name in os.listdir("/proc/sys/net/ipv4/conf"):
        with host, open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as file:
            file.write("0")


def ask_again(world, sock):
    """How often one had to ask, and the answer; of which there may be none."""
    for tries in range(1, TRIES + 1):
        answer = ask(PUBLIC_PORT, host=world.edge.host.address, timeout=PATIENCE, sock=sock)
        if answer is not None:
            return tries, answer
    return None, None


def come_once(world, host):
    """How often one had to ask who has not been here before."""
    time.sleep(random.uniform(0.05, 0.1))  # so as not to come just when the edge has time again
    with host, udp_socket(host.address) as sock:
        return ask_again(world, sock)[0]


def test_a_hundred_thousand_made_up_sources(tmp_path, stack):
    """Five times as many a second as may begin a session, each of them answered by the origin. Who asks as people's
    programs do, again after a second, is served all the same; who was there already notices nothing, nor do visitors
    of the agent's other services."""
    service = {"name": "echo", "origin": f"127.0.0.1:{ORIGIN_PORT}", "listen_port": PUBLIC_PORT}
    world = World(tmp_path, stack, udp=[service])
    with world.agent.host:
        origin = UdpOrigin(lambda data, address: b"%d" % address[1], port=ORIGIN_PORT)
    stack.callback(origin.close)
    wait_until(lambda: metric(world.edge.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
    visitors, somebody, flooder = world.visitors(), world.router.host("somebody"), world.router.host("flooder")
    for host in (world.router, world.edge.host):
        filtered_by_nobody(host)
    world.router.ip("route", "add", "blackhole", "100.64.0.0/10")
    with somebody:
        regular = udp_socket(somebody.address)
    stack.callback(regular.close)
    ports = {ask_again(world, regular)[1] for _ in range(2)}
    begin, tries = time.monotonic(), []
    with flooder:
        flood = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "support", "made_up.py"),
                                  world.edge.host.address, str(PUBLIC_PORT), str(COUNT), str(RATE)])
    try:
        while flood.poll() is None:
            tries.append(come_once(world, somebody))
            ports.add(ask_again(world, regular)[1])
    finally:
        flood.kill()
        flood.wait()
    print(f"in {time.monotonic() - begin:.1f} s new visitors: " + ", ".join(
        f"{tries.count(count)} after {count} tries" for count in (*range(1, TRIES + 1), None)))
    metrics = world.edge.edge_metrics()
    assert metric(metrics, "towonel_edge_udp_sessions_refused_total", reason="rate") > COUNT / 10
    if not QUICK:
        assert metric(metrics, "towonel_edge_udp_sessions_refused_total", reason="one_sided") > 1000
    assert len(tries) > 3 and None not in tries
    assert len(ports) == 1 and None not in ports
    assert visitors.count(begin) > 10 and not visitors.failures(begin)
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1
