# SPDX-License-Identifier: MIT
"""SIGTERM: what is open finishes, what is new goes elsewhere, and nobody who asks is left in doubt."""

import json
import signal
import time

import pytest

from support.lines import Origin, Visitor, visit
from support.load import Load
from support.process import metric, wait_until
from support.udp import ask, udp_socket

NAME = "app.alice.example.eu"


@pytest.fixture
def origin(stack):
    made = Origin("one")
    stack.callback(made.close)
    return made


def test_a_node_says_that_it_drains_and_lets_udp_sessions_go_on(make_udp_tunnel, make_udp_origin, stack):
    node, _, port = make_udp_tunnel(make_udp_origin())
    visitor, stranger = (stack.enter_context(udp_socket()) for _ in range(2))
    assert ask(port, b"before", sock=visitor) == b"before"
    node.process.signal(signal.SIGTERM)
    node.process.wait_log("edge is closing")
    status, body = node.edge_ready()
    assert (status, json.loads(body)["status"]) == (503, "not_ready")
    assert "the edge is draining" in json.loads(body)["reasons"]
    assert node.hub_ready()[0] == 503
    for _ in range(8):
        assert ask(port, b"meanwhile", sock=visitor) == b"meanwhile"
        time.sleep(0.25)
    assert node.process.running()
    assert ask(port, b"too late", sock=stranger, timeout=0.5) is None
    assert node.process.wait(10) == 0


def test_replicas_are_drained_under_load_and_nobody_notices(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME)
    agents = [make_agent(token, [origin.service(NAME)]) for _ in range(2)]
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_agents_connected") == 2, "both replicas are there")
    with Load(lambda: visit(node.edge_port, NAME)) as load:
        for number in range(3):
            seen = len(load.answers)
            wait_until(lambda: len(load.answers) > seen + 20, "visitors come")
            with Visitor(node.edge_port, NAME) as slow, Visitor(node.edge_port, NAME) as slower:
                for visitor in (slow, slower):  # one is with the agent that goes
                    visitor.send("drip 8")
                agent = agents[number % 2]
                agent.process.signal(signal.SIGTERM)
                for visitor in (slow, slower):
                    assert [visitor.line() for _ in range(8)] == [str(line) for line in range(8)]
            assert agent.process.wait(10) == 0
            agent.start()
            wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_agents_connected") == 2, "it is back")
    assert load.failures == []
    assert set(load.answers) == {"one"}


def test_an_edge_drains_and_the_other_goes_on(make_node, make_edge, make_agent, origin):
    node = make_node(TOWONEL_EDGE_ENABLED="false")
    edges = [make_edge(node.invite_edge(name), name=name) for name in ("first", "second")]
    agent = make_agent(node.invite(NAME), [origin.service(NAME)], wait=False)
    wait_until(lambda: all(metric(edge.edge_metrics(), "towonel_edge_agents_connected") == 1 for edge in edges),
               "the agent has a tunnel to each edge")
    wait_until(lambda: all(metric(edge.edge_metrics(), "towonel_edge_hostnames") == 1 for edge in edges), "routes")
    first, second = edges
    with Load(lambda: visit(second.edge_port, NAME)) as load, Visitor(first.edge_port, NAME) as visitor:
        visitor.send("drip 10")
        first.process.signal(signal.SIGTERM)
        first.process.wait_log("draining")
        assert first.edge_ready()[0] == 503
        assert [visitor.line() for _ in range(10)] == [str(line) for line in range(10)]
    assert first.process.wait(10) == 0
    assert len(load.answers) > 10 and load.failures == []
    assert agent.ready()[0] == 200  # by way of the second
