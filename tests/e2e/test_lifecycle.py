# SPDX-License-Identifier: MIT
"""Start, crash, restart: in any order, and nothing that was acknowledged is forgotten."""

import json
import signal
import threading
import time

import pytest

from support.lines import UNRECOGNIZED_NAME, Alert, Origin, Visitor, visit
from support.process import metric, wait_until

NAME = "app.alice.example.eu"


@pytest.fixture
def origin(stack):
    made = Origin("origin")
    stack.callback(made.close)
    return made


def test_an_agent_started_before_its_node_comes_up_by_itself(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME)
    assert node.stop() == 0
    agent = make_agent(token, [origin.service(NAME)], wait=False)
    agent.process.wait_log("the hub cannot be used now; trying again", count=2)
    assert agent.ready()[0] == 503
    node.start()
    agent.wait_ready()
    assert visit(node.edge_port, NAME) == "origin"


def test_a_killed_node_comes_back_with_everything(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME, "*.alice.example.eu")
    node.invite("bob.example.eu", name="bob")
    agent = make_agent(token, [origin.service(NAME), origin.service("*.alice.example.eu")])
    before = node.invites()
    for _ in range(2):
        seen = agent.process.log().count("tunnel is up")
        node.kill()
        node.start()
        started = time.monotonic()
        agent.process.wait_log("tunnel is up", timeout=15, count=seen + 1)
        assert visit(node.edge_port, NAME) == "origin"
        assert time.monotonic() - started < 15
        assert visit(node.edge_port, "x.alice.example.eu") == "origin"
        assert visit(node.edge_port, "bob.example.eu") != "origin"
        assert node.invites() == before


def test_no_acknowledged_invite_is_lost_by_kill_9(make_node):
    node = make_node()
    key = open(f"{node.data_dir}/operator.key").read().strip()
    acknowledged, stop = [], threading.Event()

    def write(writer):
        number = 0
        while not stop.is_set():
            number += 1
            name = f"n{number}.w{writer}.example.eu"
            done = node.towonel("invite", "create", "--json", "--hostnames", name, "--name", name,
                                env={"TOWONEL_OPERATOR_KEY": key})
            if done.returncode == 0:
                acknowledged.append(json.loads(done.stdout)["invite_id"])
            else:
                time.sleep(0.05)

    writers = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(4):
            count = len(acknowledged)
            wait_until(lambda: len(acknowledged) > count + 10, "invites are acknowledged")
            node.kill()
            node.start()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    there = {invite["invite_id"] for invite in node.invites()}
    assert set(acknowledged) <= there
    assert len(acknowledged) >= 40


def test_a_killed_agent_is_noticed_and_replaced(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME)
    services = [origin.service(NAME)]
    first = make_agent(token, services)
    assert visit(node.edge_port, NAME) == "origin"
    first.kill()
    # The dead agent cannot say that it is gone: a visitor is told in the end, and not left hanging.
    assert visit(node.edge_port, NAME) not in ("origin", UNRECOGNIZED_NAME)
    make_agent(token, services)
    for _ in range(4):
        assert visit(node.edge_port, NAME) == "origin"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda how: how.name)
def test_a_dead_agent_is_not_waited_for_as_an_origin_is(make_node, make_agent, origin, how):
    """Its host says that nobody is there, or nothing at all."""
    node = make_node()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)])
    assert visit(node.edge_port, NAME) == "origin"
    agent.process.popen.send_signal(how)
    for _ in range(2):
        started = time.monotonic()
        assert visit(node.edge_port, NAME) not in ("origin", UNRECOGNIZED_NAME)
        assert time.monotonic() - started < 10  # an origin has 12 seconds
    assert ("agent cannot be reached" in node.process.log()) == (how == signal.SIGKILL)
    if how == signal.SIGSTOP:
        agent.process.popen.send_signal(signal.SIGCONT)
        wait_until(lambda: visit(node.edge_port, NAME) == "origin", "the agent that came back is used")


def test_a_visitor_is_served_by_the_agent_that_takes_a_dead_ones_place(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME)
    services = [origin.service(NAME)]
    agent = make_agent(token, services)
    assert visit(node.edge_port, NAME) == "origin"
    agent.process.popen.send_signal(signal.SIGSTOP)
    make_agent(token, services, wait=False)
    assert visit(node.edge_port, NAME) == "origin"
    agent.process.popen.send_signal(signal.SIGCONT)


def test_replicas_share_the_visitors_and_one_may_die(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME)
    services = [origin.service(NAME)]
    replicas = [make_agent(token, services) for _ in range(2)]
    with_streams = [Visitor(node.edge_port, NAME) for _ in range(10)]
    shares = [metric(replica.metrics(), "towonel_agent_streams_active") for replica in replicas]
    assert sum(shares) == 10 and min(shares) >= 2  # each worker of the edge shares its visitors out evenly
    for visitor in with_streams:
        assert visitor.ask("echo hello") == "hello"
        visitor.close()

    # In order: nobody notices.
    assert replicas[0].stop() == 0
    for _ in range(10):
        assert visit(node.edge_port, NAME) == "origin"
    # By accident: nobody is turned away, or waits for long.
    replicas[0].start()
    replicas[1].kill()
    for _ in range(6):
        started = time.monotonic()
        assert visit(node.edge_port, NAME) == "origin"
        assert time.monotonic() - started < 8


def test_an_open_stream_is_told_when_its_agent_dies(make_node, make_agent, origin):
    node = make_node()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)])
    with Visitor(node.edge_port, NAME) as visitor:
        assert visitor.ask("echo hello") == "hello"
        agent.process.signal(15)
        assert visitor.ask("echo still here") == "still here"
        agent.process.signal(15)
        with pytest.raises((ConnectionResetError, Alert)):
            visitor.line()
    assert agent.process.wait() == 0
