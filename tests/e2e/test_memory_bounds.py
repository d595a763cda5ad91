# SPDX-License-Identifier: MIT
"""What many peers together can make edge and agent keep in memory, who send and never read, or stand still: it stays
below what the manual states, and others are served by the same programs and through the same tunnel all the while."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from support.memory import MemoryWatch
from support.process import SANITIZED, free_port, metric, wait_until
from support.towonel import UNLIMITED
from support.visitors import TlsVisitor

NAME, OTHER = "app.alice.example.eu", "app.bob.example.eu"
DEAF = os.path.join(os.path.dirname(__file__), "support", "deaf.py")
MANY = not SANITIZED and resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 4096
COUNT = 1500 if MANY else 300 if not SANITIZED else 100  # of a quarter MiB each, if they could
EDGE_MIB = 16 if SANITIZED else 64
AGENT_MIB = 256  # and in all that it has to send, 64
GIVEN_UP = "streams_given_up_total"


class Regular:
    """Visits a website again and again."""

    def __init__(self, stack, node, authority, name):
        self._visit = lambda: TlsVisitor(node.edge_port, name, authority.cert)
        self._over = threading.Event()
        self.count, self.failed = 0, []
        self._thread = threading.Thread(target=self._come)
        self._thread.start()
        stack.callback(self._go)

    def _come(self):
        while not self._over.wait(0.05):
            try:
                with self._visit() as visitor:
                    assert visitor.get() == "127.0.0.1\n"
                self.count += 1
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))

    def _go(self):
        self._over.set()
        self._thread.join()

    def is_served(self, more=3):
        wanted = self.count + more
        wait_until(lambda: self.count >= wanted, f"visitors are served; failures: {self.failed[-3:]}")


class Crowd:
    """An edge that may keep little; an agent with a website and a service whose origin is deaf; and another tenant's."""

    def __init__(self, make_node, make_agent, nginx, stack):
        self._stack, self._port, self._origin_port = stack, free_port(), free_port()
        self.node = make_node(TOWONEL_EDGE_MEMORY_MIB=EDGE_MIB, TOWONEL_LOG="info", **UNLIMITED)
        self.agent = make_agent(
            self.node.invite(NAME), [{"hostname": NAME, "origin": nginx.address}], TOWONEL_LOG="info",
            tcp=[{"name": "deaf", "origin": f"127.0.0.1:{self._origin_port}", "listen_port": self._port}])
        make_agent(self.node.invite(OTHER, name="bob"), [{"hostname": OTHER, "origin": nginx.address}])
        wait_until(lambda: metric(self.node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the port is bound")

    def _start(self, how, port, count, what):
        process = subprocess.Popen([sys.executable, DEAF, how, str(port), str(count), what],
                                   stdout=subprocess.PIPE, text=True)
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        assert process.stdout.readline()

    def listen(self, what):
        self._start("listen", self._origin_port, 0, what)

    def come(self, count, what):
        self._start("connect", self._port, count, what)

    def watch(self):
        return MemoryWatch({"edge": self.node.process, "agent": self.agent.process})

    def assert_bounded(self, memory):
        for (name, samples), mib in zip(memory.samples.items(), (EDGE_MIB, AGENT_MIB + 64)):
            print(f"{name}: {samples[0] // 1024} MiB before, {max(samples) // 1024} at most")
            assert SANITIZED or max(samples) < samples[0] + 3 * mib * 1024 // 2, samples[::10]


@pytest.fixture
def crowd(make_node, make_agent, make_nginx, stack):
    return Crowd(make_node, make_agent, make_nginx(NAME, OTHER), stack)


@pytest.mark.parametrize("origin, visitors", [("pour", "still"), ("still", "pour")])
def test_a_crowd_that_never_reads(crowd, stack, authority, origin, visitors):
    """An origin that sends without an end to visitors who read nothing, and the other way round."""
    regulars = [Regular(stack, crowd.node, authority, name) for name in (NAME, OTHER)]
    with crowd.watch() as memory:
        crowd.listen(origin)
        crowd.come(COUNT, visitors)
        if visitors == "still":
            wait_until(lambda: metric(crowd.node.edge_metrics(), f"towonel_edge_quic_{GIVEN_UP}") > 10,
                       "the edge lets go", 100)
        elif MANY:
            wait_until(lambda: metric(crowd.agent.metrics(), f"towonel_agent_quic_{GIVEN_UP}") > 10,
                       "the agent lets go", 100)
        time.sleep(1)
        for regular in regulars:
            regular.is_served()
    crowd.assert_bounded(memory)
    assert not any(regular.failed for regular in regulars)


def test_an_agent_that_stands_still(crowd, stack, authority):
    """Its visitors say what they want and more; another tenant's notice nothing, and its own are served when it goes on."""
    other = Regular(stack, crowd.node, authority, OTHER)
    with crowd.watch() as memory:
        crowd.listen("still")
        crowd.come(COUNT // 2, "pour")
        crowd.agent.process.signal(signal.SIGSTOP)
        try:
            crowd.come(COUNT // 2, "pour")
            # those who find nobody come again, with as much to say
            wait_until(lambda: metric(crowd.node.edge_metrics(), "towonel_edge_connections_refused_total",
                                      reason="agent_timeout") > COUNT / 5, "visitors wait in vain")
            other.is_served(10)
        finally:
            crowd.agent.process.signal(signal.SIGCONT)
        Regular(stack, crowd.node, authority, NAME).is_served()
    crowd.assert_bounded(memory)
    assert not other.failed
