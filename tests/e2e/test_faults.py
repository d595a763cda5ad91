# SPDX-License-Identifier: MIT
"""What breaks mends itself: programs that are killed or stopped, wires that are cut, while visitors come all the time.

Each scenario says within which time all visitors get through again, counted from when the fault is over. A fault that
nobody should notice has no failed visit at all.
"""

import os
import signal
import time

from support.netns import needs_namespaces
from support.world import World, at_once

pytestmark = needs_namespaces

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
    visitors.flow_within(5, time.monotonic())


def test_short_faults(tmp_path):
    at_once(tmp_path, edge_is_killed, agent_is_killed, cable_is_pulled_briefly)
