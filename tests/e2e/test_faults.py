# SPDX-License-Identifier: MIT
"""What breaks mends itself: programs that are killed or stopped, wires that are cut, while visitors come all the time.

Each scenario says within which time all visitors get through again, counted from when the fault is over. A fault that
nobody should notice has no failed visit at all.
"""

import glob
import os
import signal
import time

from support.lines import Visitor
from support.netns import needs_namespaces
from support.process import SANITIZED, metric, wait_until
from support.world import NAME, World, at_once

pytestmark = needs_namespaces

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
LONG = os.environ.get("TOWONEL_TEST_LONG") == "1"


def stopped_for(program, seconds):
    program.process.signal(signal.SIGSTOP)
    time.sleep(seconds)
    program.process.signal(signal.SIGCONT)


def cut_for(world, host, seconds):
    world.router.cut(host)
    time.sleep(seconds)
    world.router.mend(host)


# --- faults that last, all at the same time ---


def hub_is_away(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors()
    begin = time.monotonic()
    world.hub.kill()
    time.sleep(60)
    # What comes meanwhile needs no hub either, but is not known to it until it is back.
    world.edge.again()
    visitors.flow_within(15, time.monotonic())
    assert not [at for at, _ in visitors.failures(begin) if at < 60]
    world.hub.start()
    world.hub.edges()


def hub_is_stopped(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors()
    begin = time.monotonic()
    stopped_for(world.hub, 60)
    visitors.flow_within(5, time.monotonic())
    assert not visitors.failures(begin)


def edge_is_stopped(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors(patience=5)
    stopped_for(world.edge, 60)
    visitors.flow_within(15, time.monotonic())


def agent_is_stopped(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors(patience=5)
    stopped_for(world.agent, 60)
    visitors.flow_within(15, time.monotonic())


def cable_is_pulled(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors(patience=5)
    cut_for(world, world.agent.host, 300 if LONG else 40)
    visitors.flow_within(20, time.monotonic())


def test_faults_that_last(tmp_path):
    at_once(tmp_path, hub_is_away, hub_is_stopped, edge_is_stopped, agent_is_stopped, cable_is_pulled)


# --- short ones ---


def edge_is_killed(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors()
    world.edge.again()
    visitors.flow_within(10, time.monotonic())


def agent_is_killed(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors()
    world.agent.again()
    visitors.flow_within(5, time.monotonic())


def cable_is_pulled_briefly(directory, stack):
    world = World(directory, stack)
    visitors = world.visitors()
    cut_for(world, world.agent.host, 5)
    visitors.flow_within(8, time.monotonic())


def names_are_gone(directory, stack):
    """No name can be resolved, the hub's and the edge's among them, and the edge starts again: it is where it was."""
    world = World(directory, stack, names=True)
    visitors = world.visitors()
    begin = time.monotonic()
    world.router.cut(world.dns)
    time.sleep(5)
    assert not visitors.failures(begin)
    world.edge.again()
    visitors.flow_within(20, time.monotonic())
    world.agent.process.wait_log("cannot be resolved")
    world.router.mend(world.dns)
    beats = metric(world.agent.metrics(), "towonel_agent_heartbeats_total", outcome="ok")
    wait_until(lambda: metric(world.agent.metrics(), "towonel_agent_heartbeats_total", outcome="ok") > beats,
               "the agent talks to the hub again", 60)


def clocks_are_set(directory, stack):
    """Each program's clock in turn an hour ahead, and back."""
    clocks = {name: os.path.join(str(directory), f"{name}.clock") for name in ("hub", "edge0", "agent0")}
    os.makedirs(directory)

    def set_clock(name, offset):
        with open(clocks[name] + ".new", "w") as file:
            file.write(offset + "\n")
        os.rename(clocks[name] + ".new", clocks[name])

    for name in clocks:
        set_clock(name, "+0")
    world = World(directory, stack, env_of=lambda name: {
        "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clocks[name], "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    visitors = world.visitors()
    begin = time.monotonic()
    for name in clocks:
        for offset in ("+3600", "+0"):
            set_clock(name, offset)
            time.sleep(4)
    assert not visitors.failures(begin)
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1
    beats = metric(world.agent.metrics(), "towonel_agent_heartbeats_total", outcome="ok")
    wait_until(lambda: metric(world.agent.metrics(), "towonel_agent_heartbeats_total", outcome="ok") > beats,
               "the agent talks to the hub", 60)


def test_short_faults(tmp_path):
    scenarios = [edge_is_killed, agent_is_killed, cable_is_pulled_briefly, names_are_gone]
    at_once(tmp_path, *scenarios, *([] if SANITIZED else [clocks_are_set]))


# --- two of everything ---


def any_one_is_killed(directory, stack):
    """Visitors who try the other edge when one fails see nothing of it."""
    world = World(directory, stack, edges=2, agents=2)
    visitors = world.visitors(tries=2)
    begin = time.monotonic()
    for program in (*world.edges, *world.agents):
        program.again()
        time.sleep(7)
        wait_until(lambda: all(metric(agent.metrics(), "towonel_agent_tunnels") == 2 for agent in world.agents),
                   "all tunnels are up")
    assert visitors.count(begin) > 100 and not visitors.failures(begin)


def bad_weather(directory, stack):
    """Of the packets between agent and edge some come late, twice, cut short, damaged, or not at all."""
    world = World(directory, stack, weather=["--delay", 5, "--reorder", 5, "--repeat", 5, "--cut", 2,
                                             "--flip", 2])
    world.router.lose(world.agent.host, 2)
    visitors = world.visitors()
    begin = time.monotonic()
    time.sleep(20)
    assert visitors.count(begin) > 50 and not visitors.failures(begin)
    assert metric(world.agent.metrics(), "towonel_agent_edge_connections_accepted_total") == 1


def a_narrow_wire(directory, stack):
    """1280 bytes from the start; and a path that comes to take no more than that when larger ones have been sent."""
    for mtu in (1280, 1500):
        world = World(os.path.join(directory, str(mtu)), stack, mtu=mtu)
        visitors = world.visitors()
        with visitors.host:
            visitor = Visitor(world.edge.edge_port, NAME, host=world.edge.host.address)
        stack.callback(visitor.close)
        line = "x" * 100000
        assert visitor.ask(f"echo {line}") == line
        time.sleep(2)  # larger sizes are looked for meanwhile
        world.router.narrow(world.agent.host, 1280)
        since = time.monotonic()
        assert visitor.ask(f"echo {line}") == line
        assert time.monotonic() - since < 10
        assert not visitors.failures()


def test_paths_and_pairs(tmp_path):
    at_once(tmp_path, any_one_is_killed, bad_weather, a_narrow_wire)
