# SPDX-License-Identifier: MIT
"""Edges apart from the hub: invited, followed, cut off, and never in need of the hub for what they know."""

import json
import os
import re
import socket
import time

import pytest

from support.lines import Origin, Visitor, visit
from support.process import BUILD, free_port, metric, run, wait_until

NAME = "app.alice.example.eu"


@pytest.fixture
def origin(stack):
    made = Origin("origin")
    stack.callback(made.close)
    return made


@pytest.fixture
def make_pair(make_node, make_edge, make_agent, origin):
    """A node, an edge of its hub elsewhere, and an agent with a tunnel to both."""
    def make():
        node = make_node()
        edge = make_edge(node.invite_edge("fra"))
        listed(node)
        agent = make_agent(node.invite(NAME), [origin.service(NAME)])
        tunnels(agent, 2)
        for each in (node, edge):
            wait_until(lambda at=each: visit(at.edge_port, NAME) == "origin", "a visitor gets through")
        return node, edge, agent
    return make


def tunnels(agent, count):
    wait_until(lambda: metric(agent.metrics(), "towonel_agent_tunnels") == count, f"{count} tunnels", 60)


def listed(node):
    """The hub, and so an agent that starts now, knows of the edge."""
    wait_until(lambda: "fra" in node.edges(), "the edge is listed")


def serves(edge, timeout=30):
    wait_until(lambda: visit(edge.edge_port, NAME) == "origin", "a visitor gets through", timeout)


def test_a_visitor_through_each_edge(make_pair):
    node, edge, agent = make_pair()
    wait_until(lambda: node.towonel("status").returncode == 0, "all is up")
    edges = node.edges()
    assert set(edges) == {"local", "fra"}
    for name, at in (("local", node), ("fra", edge)):
        assert edges[name]["live"] and edges[name]["addresses"] == [at.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"]]
        assert edges[name]["failed_ports"] == []
    wait_until(lambda: all(len(edge["agents"]) == 1 for edge in node.edges().values()), "the agent is told of")
    assert edge.edge_ready()[0] == 200
    assert metric(node.hub_metrics(), "towonel_hub_sse_subscribers_connected") == 1
    assert metric(edge.edge_metrics(), "towonel_edge_hub_connected") == 1
    assert re.search(r'towonel_edge_heartbeats_total\{outcome="ok"\} [1-9]', edge.edge_metrics())
    # Nothing but the token: no key file, no database.
    assert all(name.startswith(("routes.json", "node.sock")) for name in os.listdir(edge.data_dir))
    assert edge.env["TOWONEL_EDGE_INVITE_TOKEN"].split(".")[-1] not in edge.process.log()


def test_visitors_do_not_need_the_hub(make_pair):
    node, edge, agent = make_pair()
    with Visitor(edge.edge_port, NAME) as visitor:
        assert visitor.ask("echo before") == "before"
        wait_until(lambda: os.path.exists(f"{edge.data_dir}/routes.json"), "there is a copy on disk")
        node.kill()
        assert visitor.ask("echo after") == "after"
        serves(edge)
        edge.process.wait_log("cannot be followed now; trying again")
        status, body = edge.edge_ready()
        assert status == 200 and json.loads(body)["status"] == "ready" and "no hub for" in body
        assert metric(edge.edge_metrics(), "towonel_edge_hub_connected") == 0
    # Restarted while there is no hub, it serves what it served before.
    edge.kill()
    edge.start()
    assert "routes are as they were" in edge.process.log()
    serves(edge, 60)
    assert visit(edge.edge_port, "other.example.eu") != "origin"
    # The hub is back: it is followed again, and what is new comes.
    node.start()
    edge.process.wait_log("following the hub's routes", count=2, timeout=60)
    wait_until(lambda: "no hub" not in edge.edge_ready()[1], "the hub is there again")
    wait_until(lambda: node.edges()["fra"]["live"], "the hub hears of the edge")
    tunnels(agent, 2)


def test_one_edge_dies_and_the_other_serves(make_pair):
    node, edge, agent = make_pair()
    edge.kill()
    for _ in range(4):
        assert visit(node.edge_port, NAME) == "origin"
    wait_until(lambda: not node.edges()["fra"]["live"], "the hub says that the edge is gone", 60)
    assert node.towonel("status").returncode == 1
    edge.start()
    serves(edge, 60)
    assert node.edges()["fra"]["live"]
    assert visit(node.edge_port, NAME) == "origin"


def test_a_revoked_edge_is_cut_off(make_pair):
    node, edge, agent = make_pair()
    invites = json.loads(node.towonel("edge-invite", "list", "--json").stdout)["invites"]
    assert [(invite["name"], invite["status"]) for invite in invites] == [("fra", "active")]
    assert "fra" in node.towonel("edge-invite", "list").stdout
    with Visitor(edge.edge_port, NAME) as visitor:
        assert visitor.ask("echo hello") == "hello"
        started = time.monotonic()
        done = node.towonel("edge-invite", "revoke", "--id", invites[0]["invite_id"])
        assert done.returncode == 0 and done.stdout.startswith("Revoked.")
        assert edge.process.wait() == 2
        assert time.monotonic() - started < 10
        with pytest.raises(ConnectionResetError):
            visitor.line()
    assert "the hub refuses this edge" in edge.process.log() and "revoked" in edge.process.log()
    assert "fra" not in node.edges()
    assert not os.path.exists(f"{edge.data_dir}/routes.json")
    # The agent does not wait for three lists without it.
    agent.process.wait_log("the edge was revoked")
    assert metric(agent.metrics(), "towonel_agent_tunnels") == 1
    assert visit(node.edge_port, NAME) == "origin"
    # Its token stays dead, and so does its id.
    edge.start(wait=False)
    assert edge.process.wait() == 2
    edge_id = invites[0]["edge_node_id"]
    again = node.towonel("edge-invite", "create", "--node-id", edge_id)
    assert again.returncode == 1 and "revoked" in again.stderr
    again = node.towonel("edge-invite", "revoke", "--id", invites[0]["invite_id"])
    assert again.returncode == 1 and "revoked" in again.stderr


def test_a_port_that_one_edge_cannot_bind_is_told(make_node, make_edge, make_agent, origin, stack):
    node = make_node()
    edge = make_edge(node.invite_edge("fra"), TOWONEL_EDGE_LISTEN_ADDR="127.0.0.2:0")
    listed(node)
    port = free_port()
    taken = socket.create_server(("127.0.0.2", port))
    stack.callback(taken.close)
    make_agent(node.invite(NAME), None, tcp=[{"name": "one", "origin": origin.address, "listen_port": port}])
    told = [{"protocol": "tcp", "port": port, "reason": "address in use"}]
    wait_until(lambda: node.edges()["fra"]["failed_ports"] == told, "it is told")
    assert node.edges()["local"]["failed_ports"] == []
    taken.close()
    wait_until(lambda: not node.edges()["fra"]["failed_ports"], "and that it is bound now")


def test_the_order_of_the_start_does_not_matter(make_node, make_edge, make_agent, origin):
    node = make_node()
    edge_token, token = node.invite_edge("fra"), node.invite(NAME)
    assert node.stop() == 0
    agent = make_agent(token, [origin.service(NAME)], wait=False)
    edge = make_edge(edge_token, start=False)
    edge.start(wait=False)
    edge.process.wait_log("cannot be followed now; trying again", count=2)
    status, body = edge.edge_ready()
    assert status == 503 and "there are no routes yet" in body and "no hub for" in body
    node.start()
    tunnels(agent, 2)
    serves(edge)


def test_an_agent_may_trust_one_edge_alone(make_node, make_edge, make_agent, origin):
    node = make_node()
    edge = make_edge(node.invite_edge("fra"))
    listed(node)
    agent = make_agent(node.invite(NAME), [origin.service(NAME)],
                       TOWONEL_AGENT_TRUSTED_EDGES=node.edges()["fra"]["node_id"])
    serves(edge)
    assert metric(agent.metrics(), "towonel_agent_tunnels") == 1
    assert visit(node.edge_port, NAME) != "origin"


def test_an_edge_with_a_key_of_its_own(make_node, make_edge):
    node = make_node()
    hub_id = json.loads(node.towonel("status", "--json").stdout)["hub"]["node_id"]
    edge = make_edge(start=False, TOWONEL_HUB_ENABLED="false", TOWONEL_EDGE_HUB_URLS=f"{node.hub_url}#{hub_id}")
    edge.start(wait=False)
    assert edge.process.wait() == 2
    edge_id = re.search(r"the hub refuses this edge.*edge=(\w{64})", edge.process.log()).group(1)
    assert "TOWONEL_EDGE_HUB_URLS" in edge.process.log()  # which is an old name
    assert len(node.invite_edge("fra", "--node-id", edge_id)) == 22
    edge.start()
    listed(node)
    assert node.edges()["fra"]["node_id"] == edge_id


def test_a_token_of_another_hub_is_said_to_be(make_node, make_edge):
    one, two = make_node(name="one"), make_node(name="two")
    prefix, _, rest = one.invite_edge("fra").partition(".")
    edge = make_edge(two.invite_edge("ams").partition(".")[0] + "." + rest, start=False)
    edge.start(wait=False)
    # it is the right hub's key, and a wrong hub's edge
    assert edge.process.wait() == 2
    assert "the hub refuses this edge" in edge.process.log() and "another hub" in edge.process.log()
    # and here another hub answers than the token names
    edge = make_edge(f"{prefix}.{rest}", start=False, name="other", TOWONEL_EDGE_HUB_URL=two.hub_url)
    edge.start(wait=False)
    edge.process.wait_log("is not the one that was expected", count=2)
    assert edge.process.running() and edge.edge_ready()[0] == 503


@pytest.mark.parametrize("env, wanted", [
    ({"TOWONEL_EDGE_INVITE_TOKEN": "hello"}, ["TOWONEL_EDGE_INVITE_TOKEN", "no token"]),
    ({"TOWONEL_EDGE_INVITE_TOKEN": "tt_inv_2_a.b.c.d"}, ["TOWONEL_EDGE_INVITE_TOKEN", "edge"]),
    ({"TOWONEL_EDGE_INVITE_TOKEN": "tt_edge_3_a.b.c.d"}, ["TOWONEL_EDGE_INVITE_TOKEN", "version"]),
    ({"TOWONEL_EDGE_INVITE_TOKEN": "tt_edge_2_a.b.c"}, ["TOWONEL_EDGE_INVITE_TOKEN", "parts"]),
    ({"TOWONEL_EDGE_INVITE_TOKEN": "tt_edge_2_a.b.c.d", "TOWONEL_HUB_ENABLED": "true"},
     ["TOWONEL_EDGE_INVITE_TOKEN", "TOWONEL_HUB_ENABLED=false"]),
    ({"TOWONEL_HUB_ENABLED": "false"}, ["TOWONEL_HUB_ENABLED", "towonel edge-invite create"]),
    ({"TOWONEL_EDGE_HUB_URL": "https://h.eu:8443"}, ["TOWONEL_EDGE_HUB_URL", "TOWONEL_HUB_ENABLED=false"]),
    ({"TOWONEL_HUB_ENABLED": "false", "TOWONEL_EDGE_HUB_URL": "http://h.eu"}, ["TOWONEL_EDGE_HUB_URL", "https://"]),
    ({"TOWONEL_HUB_ENABLED": "false", "TOWONEL_EDGE_HUB_URL": "https://a.eu,https://b.eu"},
     ["TOWONEL_EDGE_HUB_URL", "one hub"]),
])
def test_settings_that_do_not_go_together(env, wanted, tmp_path):
    done = run([f"{BUILD}/towonel-node"], env={"TOWONEL_DATA_DIR": tmp_path, **env})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for text in wanted:
        assert text in done.stderr, done.stderr
