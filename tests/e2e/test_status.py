# SPDX-License-Identifier: MIT
"""What is up, at a glance: the hub and its store, edges, agents, services, and why what is not up is not."""

import json
import re
import signal
import socket
import sqlite3

import pytest

from support.api import Api
from support.lines import Origin, visit
from support.process import free_port, metric, wait_until

NAME = "app.alice.example.eu"


@pytest.fixture
def origin(stack):
    origin = Origin("origin")
    stack.callback(origin.close)
    return origin


class Picture:
    def __init__(self, node):
        self.node = node
        self.done = node.towonel("status", "--json")
        assert self.done.returncode in (0, 1), self.done.stderr
        self.document = json.loads(self.done.stdout)

    @property
    def well(self):
        return self.done.returncode == 0

    @property
    def services(self):
        """{service: (state, why)}"""
        return {service["service"]: (service["state"], service["why"])
                for tenant in self.document["tenants"] for service in tenant["services"]}

    @property
    def agents(self):
        return [agent for tenant in self.document["tenants"] for agent in tenant["agents"]]


def wait_for(node, condition, what):
    def good():
        picture = Picture(node)
        return picture if condition(picture) else None
    return wait_until(good, what, timeout=90, interval=0.3)


def test_an_empty_hub_says_what_to_do(make_node):
    node = make_node()
    done = node.towonel("status")
    assert done.returncode == 0 and done.stderr == ""
    assert node.hub_url in done.stdout and "Store  answers" in done.stdout and "invite create" in done.stdout
    picture = Picture(node)
    assert picture.document["hub"]["url"] == node.hub_url and picture.document["hub"]["store"] == "ok"
    assert picture.document["edges"][0]["live"] is True and picture.document["tenants"] == []
    node.kill()
    for arguments in (["status"], ["status", "--json"]):
        done = node.towonel(*arguments)
        assert done.returncode == 1 and "does not answer" in done.stderr and done.stdout == ""


def test_without_an_edge_not_all_is_well(make_node):
    done = make_node(TOWONEL_EDGE_ENABLED="false").towonel("status")
    assert done.returncode == 1 and "No edge" in done.stdout


def test_services_and_why_they_are_not_up(make_node, make_agent, origin):
    node = make_node()
    token = node.invite(NAME, f"*.{NAME}")
    agent = make_agent(token, [origin.service(NAME)],
                       tcp=[{"name": "ssh", "origin": "127.0.0.1:9", "listen_port": free_port()}])
    # The first round trip is told with the next heartbeat.
    picture = wait_for(node, lambda p: p.well and len(p.services) == 2 and p.agents[0]["rtt_us"], "all is up")
    assert picture.services == {NAME: ("up", ""), "tcp:ssh": ("up", "")}
    (one,) = picture.agents
    assert one["live"] and one["tunnels"] == 1 and one["version"]
    assert [tunnel["transport"] for tunnel in one["transports"]] == ["udp"]
    assert one["heard_age_ms"] < 60000 and one["last_byte_age_ms"] < 60000 and 0 < one["rtt_us"] < 60000000
    assert re.search(r"tunnel to \S+: answered \d s ago, in [\d.]+ ms", agent.ready()[1])
    assert metric(agent.metrics(), "towonel_agent_tunnel_rtt_seconds") > 0
    assert re.search(r"agents answered their last pings in [\d.]+ to [\d.]+ ms", node.edge_ready()[1])
    text = node.towonel("status").stdout
    agents, services = text.split("\n\n")[2:]
    assert agents.splitlines()[0].split() == ["AGENT", "TENANT", "VERSION", "LIVE", "HEARD", "TUNNELS", "BY",
                                              "LAST", "BYTE", "ROUND", "TRIP"]
    assert agents.splitlines()[1].split()[0] == one["agent_id"][:16] and " yes " in agents
    assert services.splitlines()[1].split()[:4] == [NAME, "alice", "up", "1"]

    # A hostname that its tenant claimed by hand, and no agent has.
    done = node.towonel("entry", "submit", "--op", "upsert_hostname", "--hostname", f"hand.{NAME}",
                        env={"TOWONEL_INVITE_TOKEN": token})
    assert done.returncode == 0
    picture = Picture(node)
    assert not picture.well and picture.services[f"hand.{NAME}"] == ("no agent", "no agent that is there serves it")
    assert picture.services[NAME] == ("up", "")
    assert node.towonel("status").returncode == 1

    # The agent goes, in order: what it claimed stays the tenant's.
    assert agent.stop() == 0
    picture = Picture(node)
    assert not picture.well and {state for state, _ in picture.services.values()} == {"no agent"}


def test_an_agent_that_is_killed_is_noticed(make_node, make_agent, origin):
    node = make_node()
    agent = make_agent(node.invite(NAME), [origin.service(NAME)])
    wait_for(node, lambda p: p.well and p.services, "all is up")
    agent.kill()
    picture = wait_for(node, lambda p: not p.well, "the agent is missed")
    assert picture.services[NAME][0] in ("no agent", "no tunnel")
    picture = wait_for(node, lambda p: p.services[NAME][0] == "no agent", "the agent is given up")
    assert [one["live"] for one in picture.agents] == [False]


def test_what_an_agent_cannot_have_is_told_everywhere_and_the_rest_works(make_node, make_agent, origin, tmp_path):
    node = make_node()
    other = make_agent(node.invite("app.bob.example.eu", name="bob"), [origin.service("app.bob.example.eu")],
                       tcp=[{"name": "taken", "origin": "127.0.0.1:9", "listen_port": 24122}])
    services = tmp_path / "services.json"
    wanted = [origin.service(NAME), origin.service("not.ours.example.eu")]
    services.write_text(json.dumps(wanted))
    agent = make_agent(node.invite(NAME), f"@{services}",
                       tcp=[{"name": "ssh", "origin": "127.0.0.1:9", "listen_port": 24122},
                            {"name": "low", "origin": "127.0.0.1:9", "listen_port": 80},
                            {"name": "fine", "origin": "127.0.0.1:9", "listen_port": 24123}])
    assert visit(node.edge_port, NAME) == "origin"
    picture = wait_for(node, lambda p: len(p.services) == 7, "the hub was told")
    assert not picture.well
    refused = {service: why for service, (state, why) in picture.services.items() if state == "refused"}
    assert set(refused) == {"not.ours.example.eu", "tcp:ssh", "tcp:low"}
    assert "outside the hostnames" in refused["not.ours.example.eu"]
    assert '24122/tcp is taken by service "taken" of tenant "bob"' in refused["tcp:ssh"] and "80" in refused["tcp:low"]
    assert {service for service, (state, _) in picture.services.items() if state == "up"} == {
        NAME, "tcp:fine", "app.bob.example.eu", "tcp:taken"}
    assert metric(agent.metrics(), "towonel_agent_services_refused") == 3
    assert agent.ready()[0] == 200
    for service in refused:
        assert agent.process.log().count(f"the hub refuses a service service={service} ") == 1

    # What is no longer wanted is no longer refused: the file is read again, the streams go on.
    services.write_text(json.dumps(wanted[:1]))
    agent.process.signal(signal.SIGHUP)
    picture = wait_for(node, lambda p: "not.ours.example.eu" not in p.services, "the refusal is gone")
    assert metric(agent.metrics(), "towonel_agent_services_refused") == 2
    assert other.stop() == 0


def test_a_port_that_an_edge_cannot_bind_is_told(make_node, make_agent, stack):
    node = make_node()
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        make_agent(node.invite(NAME), tcp=[{"name": "ssh", "origin": "127.0.0.1:9", "listen_port": port}])
        picture = wait_for(node, lambda p: p.services.get("tcp:ssh", ("",))[0] == "port failed", "the port has failed")
        assert picture.services["tcp:ssh"][1] == f"port {port}/tcp cannot be bound on edge local: address in use"
        assert not picture.well
        assert f" {port}/tcp " in node.towonel("status").stdout
    wait_for(node, lambda p: p.well, "the port is free, and the edge has it")


def test_a_store_that_fails_is_told(make_node):
    node = make_node()
    database = sqlite3.connect(f"{node.data_dir}/hub.db", isolation_level=None)
    database.execute("ALTER TABLE tenants RENAME TO elsewhere")
    done = node.towonel("status")
    assert done.returncode == 1 and "Store  the hub's database failed" in done.stdout
    assert json.loads(node.towonel("status", "--json").stdout)["hub"]["store"].startswith("the hub's database failed")
    database.execute("ALTER TABLE elsewhere RENAME TO tenants")
    database.close()
    assert Picture(node).well


def test_many_services_are_summed_up(make_node, make_agent):
    node = make_node()
    names = [f"n{number}.example.eu" for number in range(60)]
    make_agent(node.invite(*names), [{"hostname": name, "origin": "127.0.0.1:9"} for name in names])
    wait_for(node, lambda p: p.well and len(p.services) == 60, "all is up")
    assert "60 services are up; --all lists them." in node.towonel("status").stdout
    assert node.towonel("status", "--all").stdout.count(".example.eu ") == 60


def test_agents_are_heard_again_after_the_hub_was_away(make_node, make_agent, origin):
    node = make_node()
    make_agent(node.invite(NAME), [origin.service(NAME)])
    wait_for(node, lambda p: p.well and p.services, "all is up")
    node.kill()
    node.start()
    picture = wait_for(node, lambda p: p.well, "all is up again")
    assert picture.services == {NAME: ("up", "")}
    heard = Api(node).get("/v1/tenants").json["tenants"][0]["agents"][0]
    assert heard["services"] == [NAME] and heard["refused"] == []
