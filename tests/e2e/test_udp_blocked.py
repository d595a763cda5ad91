# SPDX-License-Identifier: MIT
"""Networks that let no UDP through, or nothing but an HTTP proxy: tunnels go by TCP there, and back when UDP works."""

import json
import os
import pwd
import time

import pytest

from support.netns import needs_namespaces
from support.process import Process, metric, wait_until
from support.world import NAME, World, at_once

pytestmark = needs_namespaces

BLOCKED = """
table inet blocked {
    chain forward {
        type filter hook forward priority 2
        meta l4proto udp drop
    }
}
"""


def block_udp(world):
    world.router.nft(BLOCKED)


def free_udp(world):
    world.router.nft("delete table inet blocked")


def transports(world):
    """{name of an edge: by what the agent's tunnel goes there}, as the operator sees it."""
    status = json.loads(world.hub.towonel("status", "--json").stdout)
    names = {edge["node_id"]: edge["name"] for edge in status["edges"]}
    return {names[tunnel["edge_id"]]: tunnel["transport"] for tenant in status["tenants"]
            for agent in tenant["agents"] for tunnel in agent["transports"]}


def carried(agent):
    return metric(agent.metrics(), "towonel_agent_tunnels_over_tcp")


def up_within(world, agent, seconds, count):
    begin = time.monotonic()
    agent.start(wait=False)
    wait_until(lambda: carried(agent) == count, "tunnels by TCP", 3 * seconds)
    took = time.monotonic() - begin
    print(f"up by TCP after {took:.1f} s ({seconds} allowed)")
    assert took <= seconds
    wait_until(lambda: set(transports(world).values()) == {"tcp"}, "the hub knows")


def from_the_start(directory, stack):
    world = World(directory, stack, edges=2, agents=0)
    block_udp(world)
    agent = world.place_agent("agent")
    up_within(world, agent, 12, 2)
    assert transports(world) == {"edge0": "tcp", "edge1": "tcp"}
    ready = agent.ready()
    assert ready[0] == 200 and ready[1].count("by TCP as UDP does not get through") == 2, ready
    for edge in world.edges:
        assert metric(edge.edge_metrics(), "towonel_edge_agents_over_tcp") == 1
        assert metric(edge.edge_metrics(), "towonel_edge_quic_carriers") == 1
    visitors = world.visitors()
    begin = time.monotonic()
    # An edge that comes back is found by TCP at once: UDP is not waited for again.
    world.edges[1].again()
    wait_until(lambda: carried(agent) == 2, "both tunnels are back", 15)
    time.sleep(2)
    assert visitors.count(begin) > 10
    assert "tcp" in world.hub.towonel("status").stdout
    agent.stop()


def in_mid_session(directory, stack):
    world = World(directory, stack)
    assert carried(world.agent) == 0
    visitors = world.visitors(patience=5)
    begin = time.monotonic()
    block_udp(world)
    visitors.flow_within(20, begin)
    assert carried(world.agent) == 1 and transports(world) == {"edge0": "tcp"}
    time.sleep(15)  # the tunnel by UDP ends meanwhile
    assert carried(world.agent) == 1
    begin = time.monotonic()
    free_udp(world)
    wait_until(lambda: carried(world.agent) == 0, "the tunnel goes by UDP again", 45)
    print(f"by UDP again after {time.monotonic() - begin:.1f} s (45 allowed)")
    time.sleep(3)
    assert metric(world.edge.edge_metrics(), "towonel_edge_quic_carriers") == 0
    assert not visitors.failures(begin) and visitors.count(begin) > 30
    assert transports(world) == {"edge0": "udp"}
    log = world.agent.process.log()
    assert "UDP does not get through; the tunnel goes by TCP now" in log
    assert "UDP gets through again; the tunnel goes by it now" in log


def another_address_meanwhile(directory, stack):
    """TCP does not move with the agent's address: another tunnel comes at once, and only who was in the old one has to
    come again."""
    # the other tunnel is mostly another worker's
    world = World(directory, stack, agents=0,
                  env_of=lambda name: {"TOWONEL_EDGE_WORKERS": "4"} if name.startswith("edge") else {})
    block_udp(world)
    agent = world.place_agent("agent")
    up_within(world, agent, 12, 1)
    visitors = world.visitors(patience=5)
    begin = time.monotonic()
    address = agent.host.move(7)
    wait_until(lambda: f"to={address}\n" in agent.process.log(), "the agent notices", 1, interval=0.01)
    visitors.flow_within(3, begin)
    assert carried(agent) == 1 and metric(world.edge.edge_metrics(), "towonel_edge_agents_over_tcp") == 1
    assert f"from={address}:" in world.edge.process.log()
    # the way ends, and comes back with another address
    agent.host.unplug("eth0")
    time.sleep(4)
    begin = time.monotonic()
    agent.host.plug("eth0")
    agent.host.move(9)
    visitors.flow_within(5, begin)
    assert carried(agent) == 1
    begin = time.monotonic()
    time.sleep(3)
    assert visitors.count(begin) > 10 and not visitors.failures(begin)


def tinyproxy(world, stack, directory):
    """Asks for a user and a password. Where it listens."""
    host = world.router.host("proxy")
    with open(os.path.join(directory, "tinyproxy.conf"), "w") as file:
        file.write(f"User {pwd.getpwuid(os.getuid()).pw_name}\nPort 8888\nListen {host.address}\nTimeout 600\n"
                   f"BasicAuth alice s3cret\nLogLevel Info\n")
    with host:
        proxy = Process(["tinyproxy", "-d", "-c", file.name], os.path.join(directory, "proxy.log"))
    stack.callback(proxy.kill)
    wait_until(lambda: "Accepting connections" in proxy.log(), "the proxy listens")
    return host, proxy


def behind_a_proxy(directory, stack):
    world = World(directory, stack, agents=0)
    host, proxy = tinyproxy(world, stack, world.directory)
    agent = world.place_agent("agent", HTTPS_PROXY=f"http://alice:s%33cret@{host.address}:8888")
    world.router.nft(f"""
table inet behind {{
    chain forward {{
        type filter hook forward priority 2
        iifname "{agent.host.wire}" oifname != "{host.wire}" drop
    }}
}}
""")
    up_within(world, agent, 12, 1)
    visitors = world.visitors()
    assert not visitors.failures()
    wanted = [f"CONNECT {edge.host.address}:{edge.edge_port} " for edge in world.edges]
    wanted.append(f"CONNECT {world.hub.host.address}:{world.hub.hub_port} ")
    assert all(line in proxy.log() for line in wanted), proxy.log()
    # One with another password gets nowhere, says why, and does not say the password.
    stranger = world.place_agent("stranger", HTTPS_PROXY=f"http://alice:wr0ng@{host.address}:8888")
    world.router.nft(f'add rule inet behind forward iifname "{stranger.host.wire}" oifname != "{host.wire}" drop')
    stranger.start(wait=False)
    wait_until(lambda: "the proxy wants another user or password" in stranger.process.log(), "the proxy refuses")
    assert "wr0ng" not in stranger.process.log() and stranger.ready()[0] == 503


@pytest.mark.timeout(600)
def test_ways_around(tmp_path):
    at_once(tmp_path, from_the_start, in_mid_session, another_address_meanwhile, behind_a_proxy)
