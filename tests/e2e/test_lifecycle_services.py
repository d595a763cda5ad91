# SPDX-License-Identifier: MIT
"""The environment is the source of truth: services that come, go and change, and agents that take over."""

import json
import os
import signal

import pytest

from support.api import Api
from support.lines import UNRECOGNIZED_NAME, Origin, Visitor, visit
from support.process import wait_until

A, B, C = (f"{label}.alice.example.eu" for label in "abc")


@pytest.fixture
def make_origin(stack):
    def make(tag):
        origin = Origin(tag)
        stack.callback(origin.close)
        return origin
    return make


@pytest.fixture
def node(make_node):
    return make_node()


@pytest.fixture
def token(node):
    return node.invite("*.alice.example.eu")


def hostnames_at_hub(node):
    return sorted(Api(node).get("/v1/tenants").json["tenants"][0]["hostnames"])


def gives(node, name, answer):
    """Waits until a visitor of name gets that tag or alert; a change has to arrive within a moment."""
    wait_until(lambda: visit(node.edge_port, name) == answer, f"{name} gives {answer}", timeout=5)


def test_hostnames_follow_the_environment_from_start_to_start(node, token, make_agent, make_origin):
    one, two = make_origin("one"), make_origin("two")
    agent = make_agent(token, [one.service(A), one.service(B)])
    assert hostnames_at_hub(node) == [A, B]
    assert [visit(node.edge_port, name) for name in (A, B, C)] == ["one", "one", UNRECOGNIZED_NAME]
    assert agent.stop() == 0

    agent.env["TOWONEL_AGENT_SERVICES"] = json.dumps([two.service(B), two.service(C)])
    agent.start()
    assert hostnames_at_hub(node) == [B, C]
    gives(node, A, UNRECOGNIZED_NAME)
    assert [visit(node.edge_port, name) for name in (B, C)] == ["two", "two"]


def test_sighup_takes_a_changed_file_and_drops_no_stream(node, token, make_agent, make_origin, tmp_path):
    one, two = make_origin("one"), make_origin("two")
    path = os.path.join(tmp_path, "services.json")

    def write(services):
        with open(path, "w") as file:
            json.dump(services, file)

    write([one.service(A), one.service(B)])
    agent = make_agent(token, f"@{path}")
    with Visitor(node.edge_port, A) as stays, Visitor(node.edge_port, B) as removed:
        write([two.service(A), two.service(C)])
        agent.process.signal(signal.SIGHUP)
        gives(node, C, "two")
        gives(node, B, UNRECOGNIZED_NAME)
        assert visit(node.edge_port, A) == "two"
        assert hostnames_at_hub(node) == [A, C]
        assert stays.ask("echo still here") == "still here"
        assert removed.ask("echo me too") == "me too"
        wait_until(lambda: agent.ready()[0] == 200, "ready again")

        # A file that cannot be used changes nothing, and says so.
        for text, complaint in (("[{", "TOWONEL_AGENT_SERVICES"), ("[]", "there is no service")):
            with open(path, "w") as file:
                file.write(text)
            agent.process.signal(signal.SIGHUP)
            agent.process.wait_log(complaint)
            agent.process.wait_log("the services stay as they are")
        assert visit(node.edge_port, C) == "two"
        assert stays.ask("echo still here") == "still here"
    assert agent.process.log().count("tunnel is up") == 1
    assert agent.stop() == 0


def test_another_service_list_supersedes_and_the_old_agent_finishes_its_streams(
        node, token, make_agent, make_origin):
    one, two = make_origin("one"), make_origin("two")
    old = make_agent(token, [one.service(A)])
    with Visitor(node.edge_port, A) as visitor:
        visitor.send("drip 20")
        new = make_agent(token, [two.service(A)])
        gives(node, A, "two")
        old.process.wait_log("superseded: an agent with another service list has taken over")
        assert [visitor.line() for _ in range(20)] == [str(number) for number in range(20)]
        assert old.process.running()
    assert old.process.wait() == 0
    for _ in range(4):
        assert visit(node.edge_port, A) == "two"
    # What the old one took back on its way out was its own.
    assert hostnames_at_hub(node) == [A]
    assert new.ready()[0] == 200


def test_an_agent_that_drains_finishes_a_download_and_takes_no_new_one(node, token, make_agent, make_origin):
    agent = make_agent(token, [make_origin("one").service(A)])
    with Visitor(node.edge_port, A) as visitor:
        visitor.send("drip 15")
        agent.process.signal(signal.SIGTERM)
        wait_until(lambda: visit(node.edge_port, A) not in ("one", UNRECOGNIZED_NAME), "no new visitor gets in",
                   timeout=5)
        assert [visitor.line() for _ in range(15)] == [str(number) for number in range(15)]
    assert agent.process.wait(5) == 0


def test_a_node_that_drains_finishes_a_download_and_takes_no_new_one(node, token, make_agent, make_origin):
    make_agent(token, [make_origin("one").service(A)])
    with Visitor(node.edge_port, A) as visitor:
        visitor.send("drip 15")
        node.process.signal(signal.SIGTERM)
        node.process.wait_log("draining")
        with pytest.raises(OSError):
            wait_until(lambda: visit(node.edge_port, A) is None, "the listener is closed", timeout=5)
        assert [visitor.line() for _ in range(15)] == [str(number) for number in range(15)]
    assert node.process.wait(8) == 0


@pytest.mark.parametrize("program", ["node", "agent"])
def test_the_drain_time_ends_what_does_not_end(program, make_node, make_agent, make_origin):
    node = make_node(TOWONEL_DRAIN_SECS="1")
    agent = make_agent(node.invite(A), [make_origin("one").service(A)], TOWONEL_DRAIN_SECS="1")
    process = {"node": node, "agent": agent}[program].process
    with Visitor(node.edge_port, A) as visitor:
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        with pytest.raises(ConnectionResetError):
            visitor.line()


@pytest.mark.parametrize("program", ["node", "agent"])
def test_a_second_signal_stops_at_once(program, node, token, make_agent, make_origin):
    agent = make_agent(token, [make_origin("one").service(A)])
    process = {"node": node, "agent": agent}[program].process
    with Visitor(node.edge_port, A) as visitor:
        process.signal(signal.SIGTERM)
        process.wait_log("draining")
        assert visitor.ask("echo still here") == "still here"
        process.signal(signal.SIGINT)
        assert process.wait(5) == 0
        with pytest.raises(ConnectionResetError):
            visitor.line()
    assert "stopping at once" in process.log()


def test_revoking_an_invite_cuts_the_tunnel_and_ends_the_agent(node, token, make_agent, make_origin):
    agent = make_agent(token, [make_origin("one").service(A)])
    with Visitor(node.edge_port, A) as visitor:
        assert node.towonel("invite", "revoke", "--id", node.invites()[0]["invite_id"]).returncode == 0
        visitor.sock.settimeout(2)
        with pytest.raises(ConnectionResetError):
            visitor.line()
    assert agent.process.wait(10) == 2
    assert "the hub does not accept the invite token: it was revoked" in agent.process.log()
    assert visit(node.edge_port, A) == UNRECOGNIZED_NAME


def test_a_hostname_outside_of_the_patterns_is_named_and_the_others_work(node, make_agent, make_origin):
    one = make_origin("one")
    token = node.invite("a.alice.example.eu", "c.alice.example.eu")
    agent = make_agent(token, [one.service(A), one.service("x.other.example.eu"), one.service(C)])
    assert [visit(node.edge_port, name) for name in (A, C)] == ["one", "one"]
    assert visit(node.edge_port, "x.other.example.eu") == UNRECOGNIZED_NAME
    lines = [line for line in agent.process.log().splitlines() if "the hub refuses a service" in line]
    assert len(lines) == 1 and "service=x.other.example.eu" in lines[0] and "ERROR" in lines[0]


def test_two_tenants_cannot_have_the_same_hostname(node, make_agent, make_origin):
    node.invite("*.alice.example.eu", name="alice")
    for names in ("a.alice.example.eu", "*.alice.example.eu", "other.example.eu,A.Alice.Example.EU"):
        done = node.towonel("invite", "create", "--name", "mallory", "--hostnames", names)
        assert done.returncode == 1
        assert done.stdout == "" and "alice.example.eu" in done.stderr
    assert [invite["name"] for invite in node.invites()] == ["alice"]
    # Freed by revocation, it may be somebody else's.
    node.towonel("invite", "revoke", "--id", node.invites()[0]["invite_id"])
    make_agent(node.invite("a.alice.example.eu", name="mallory"), [make_origin("one").service(A)])
    assert visit(node.edge_port, A) == "one"


def test_a_revoked_agent_goes_on_with_a_new_key(node, token, make_agent, make_origin):
    """Its tunnel is cut at once, and it comes back as another agent, which a restart of the hub does not change."""
    one = make_origin("one")
    agent = make_agent(token, [one.service(A)])

    def ids():
        return [a["agent_id"] for a in Api(node).get("/v1/tenants").json["tenants"][0]["agents"]]
    before, = ids()
    visitor = Visitor(node.edge_port, A)
    assert visitor.tag == "one"
    done = node.towonel("entry", "submit", "--op", "revoke_agent", "--agent-id", before,
                        env={"TOWONEL_INVITE_TOKEN": token})
    assert done.returncode == 0, done.stderr
    with pytest.raises(ConnectionResetError):
        visitor.line()
    agent.process.wait_log("this agent was revoked; it goes on with a new key")
    wait_until(lambda: visit(node.edge_port, A) == "one", "visitors are served again")
    after, = ids()
    assert after != before
    node.stop()
    node.start()
    wait_until(lambda: visit(node.edge_port, A) == "one", "visitors are served again", timeout=90)
    assert ids() == [after]
    assert agent.stop() == 0
    assert ids() == []
