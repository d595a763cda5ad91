# SPDX-License-Identifier: MIT
"""The agent's address changes, and what runs through its tunnel goes on: somebody types in an SSH session all the time,
visitors come, and the tunnel stays the one it was."""

import os
import re
import subprocess
import threading
import time

import pytest

from support.netns import needs_namespaces
from support.process import metric, wait_until
from support.ssh import Ssh
from support.world import World, at_once

pytestmark = needs_namespaces

SSH_PORT, PUBLIC_PORT = 2022, 2222


class Typist:
    """Types a line every tenth of a second in a session that answers each, and notes how long that took."""

    def __init__(self, stack, host, log, argv):
        with host, open(log, "w") as errors:
            self._client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            text=True, bufsize=1)
        stack.callback(self._hang_up)
        self._typed, self._answered = {}, {}
        threading.Thread(target=self._type, daemon=True).start()
        threading.Thread(target=self._read, daemon=True).start()
        self.goes_on()

    def _type(self):
        try:
            for number in range(1 << 20):
                self._typed[number] = time.monotonic()
                self._client.stdin.write(f"{number}\n")
                time.sleep(0.1)
        except (OSError, ValueError):  # it has hung up
            pass

    def _read(self):
        for line in self._client.stdout:
            self._answered[int(line)] = time.monotonic()

    def goes_on(self):
        """Waits until what is typed now has been answered, and all before it. How long the slowest answer took."""
        last = len(self._typed) + 5
        wait_until(lambda: last in self._answered or self._client.poll() is not None, "the session goes on")
        assert self._client.poll() is None, "the session has ended"
        assert list(self._answered)[:last] == list(range(last))
        return max(at - self._typed[number] for number, at in list(self._answered.items()))

    def _hang_up(self):
        self._client.kill()
        self._client.communicate()


def typing_in(directory, stack, **options):
    """A world with an agent that has an SSH service, visitors and a typist."""
    ssh = {"name": "ssh", "origin": f"127.0.0.1:{SSH_PORT}", "listen_port": PUBLIC_PORT}
    world = World(directory, stack, tcp=[ssh], **options)
    with world.agent.host:
        server = Ssh(world.at("ssh"), SSH_PORT)
    stack.callback(server.close)
    visitors = world.visitors()
    wait_until(lambda: metric(world.edge.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")
    typist = Typist(stack, visitors.host, os.path.join(world.at("ssh"), "typist.log"), [
        "ssh", *server.options, "-p", str(PUBLIC_PORT), f"{server.user}@{world.edge.host.address}", "cat"])
    return world, visitors, typist


def stays(world, visitors, typist, since, seconds):
    """Nobody has lost anything, and the tunnel is the first one."""
    visitors.flow_within(seconds, since)
    slowest = typist.goes_on()
    print(f"the slowest answer took {slowest:.1f} s")
    assert slowest < seconds + 5
    assert not visitors.failures()
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1


def new_lease(directory, stack):
    world, visitors, typist = typing_in(directory, stack)
    since = time.monotonic()
    address = world.agent.host.move(7)
    wait_until(lambda: metric(world.agent.metrics(), "towonel_agent_moves_total") == 1, "the agent notices")
    stays(world, visitors, typist, since, 3)
    assert f"to={address}\n" in world.agent.process.log()


def from_one_network_to_another(directory, stack):
    """The interface in use is gone, with its address and routes: the other one takes over, and back."""
    world, visitors, typist = typing_in(directory, stack)
    host = world.agent.host
    host.plug("eth1", metric=9)
    host.move(2, "eth1")
    since = time.monotonic()
    host.unplug("eth0")
    stays(world, visitors, typist, since, 3)
    since = time.monotonic()
    host.plug("eth0")
    host.move(9)
    wait_until(lambda: metric(world.agent.metrics(), "towonel_agent_moves_total") == 2, "the agent notices")
    stays(world, visitors, typist, since, 3)


def no_network_for_a_while(directory, stack):
    world, visitors, typist = typing_in(directory, stack)
    world.agent.host.unplug("eth0")
    time.sleep(8)
    since = time.monotonic()
    world.agent.host.plug("eth0")
    world.agent.host.move(9)
    visitors.flow_within(3, since)
    assert typist.goes_on() < 8 + 3 + 10
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1


def nat_rebinds(directory, stack):
    world, visitors, typist = typing_in(directory, stack, behind_nat=True)
    for _ in range(3):
        since = time.monotonic()
        world.home.rebind()
        stays(world, visitors, typist, since, 6)


def a_port_that_leads_nowhere(directory, stack):
    """As when a router goes on forwarding from an address that it no longer has, as long as packets come."""
    world, visitors, typist = typing_in(directory, stack)
    port = re.search(r"agent is up .* from=[\d.]+:(\d+)", world.edge.process.log()).group(1)
    since = time.monotonic()
    world.router.swallow(world.agent.host, port)
    visitors.flow_within(20, since)
    assert typist.goes_on() < 30  # its bytes are sent again at growing intervals
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1


@pytest.mark.parametrize("scenarios", [
    (new_lease, from_one_network_to_another), (no_network_for_a_while, nat_rebinds, a_port_that_leads_nowhere)])
def test_streams_live_on(tmp_path, scenarios):
    at_once(tmp_path, *scenarios)
