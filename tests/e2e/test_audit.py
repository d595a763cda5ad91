# SPDX-License-Identifier: MIT
"""Who did what to which tenant, when, and from where."""

import json
import time

import pytest

from support.api import Api
from support.postgres import Postgres, programs

NAME = "app.alice.example.eu"


def audit(node, *arguments):
    done = node.towonel("audit", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["events"]


def acts(events):
    return [(event["actor"], event["action"], event["subject"]) for event in events]


def tell_the_story(node, make_agent):
    api = Api(node)
    before = time.time() * 1000
    made = api.post("/v1/invites", {"name": "alice", "hostnames": [NAME]}, headers=["X-Request-Id: made-here"]).json
    agent = make_agent(made["token"], [{"hostname": NAME, "origin": "127.0.0.1:9"}],
                       tcp=[{"name": "ssh", "origin": "127.0.0.1:9", "listen_port": 20022}])
    node.invite("app.bob.example.eu", name="bob")
    refused = api.post("/v1/invites", {"hostnames": [NAME]})
    assert refused.code == "hostname_conflict"
    assert agent.stop() == 0
    assert node.towonel("invite", "revoke", "--id", made["invite_id"]).returncode == 0

    events = audit(node)
    assert acts(events)[0] == ("operator", "invite.revoke", "alice")
    assert acts(events)[1][:2] == ("tenant", "entry.revoke_agent")
    assert acts(events)[2] == ("operator", "invite.create", "bob")
    assert {(actor, action, subject) for actor, action, subject in acts(events)[3:-1]
            if action != "entry.upsert_agent"} == {
                ("tenant", "entry.upsert_hostname", f"{NAME} passthrough"),
                ("tenant", "entry.upsert_tcp_service", "ssh 20022")}
    assert acts(events)[-1] == ("operator", "invite.create", "alice")
    assert events[-1]["request_id"] == "made-here"
    for event in events:
        assert event["source"] == "127.0.0.1" and event["request_id"]
        assert before <= event["at_ms"] <= time.time() * 1000
    # What a tenant did outlives it, with its name.
    of_alice = audit(node, "--tenant-id", made["tenant_id"])
    assert len(of_alice) == len(events) - 1 and {event["tenant_name"] for event in of_alice} == {"alice"}
    return events


def test_acts_are_recorded_and_outlive_a_kill(make_node, make_agent):
    node = make_node()
    events = tell_the_story(node, make_agent)
    node.kill()
    node.start()
    assert audit(node) == events


@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")
def test_acts_are_recorded_on_postgres(make_node, make_agent, tmp_path, stack):
    postgres = Postgres(tmp_path / "postgres.log")
    stack.callback(postgres.close)
    postgres.start()
    node = make_node(TOWONEL_HUB_DB_DRIVER="postgres", TOWONEL_HUB_DB_DSN=postgres.dsn)
    tell_the_story(node, make_agent)


def test_pages_and_tables(make_node):
    node = make_node()
    api = Api(node)
    assert node.towonel("audit").stdout == "Nothing has been recorded.\n"
    for number in range(25):
        assert api.post("/v1/invites", {"name": f"n{number}", "hostnames": [f"n{number}.example.eu"]}).status < 300
    path, names = "/v1/audit?limit=10", []
    while path:
        page = api.get(path).json
        names += [event["subject"] for event in page["events"]]
        path = page["next_before"] and f"/v1/audit?limit=10&before={page['next_before']}"
    assert names == [f"n{number}" for number in reversed(range(25))]
    assert [event["subject"] for event in audit(node, "--limit", "3")] == ["n24", "n23", "n22"]
    head, *rows = node.towonel("audit").stdout.splitlines()
    assert head.split() == ["WHEN", "WHO", "WHAT", "SUBJECT", "TENANT", "SOURCE", "REQUEST"]
    assert len(rows) == 25 and "operator  invite.create  n24" in rows[0] and "127.0.0.1" in rows[0]


def test_it_is_the_operators_alone(make_node):
    node = make_node()
    assert Api(node, key="").get("/v1/audit").code == "unauthorized"
    for query in ("limit=0", "limit=1001", "before=0", "before=x", "tenant_id=abc"):
        answer = Api(node).get(f"/v1/audit?{query}")
        assert answer.code == "invalid_request" and query.partition("=")[0] in answer.json["error"]["message"]
    done = node.towonel("audit", "--tenant-id", "abc")
    assert done.returncode == 2 and "towonel tenant list" in done.stderr
    assert node.towonel("audit", "--limit", "0").returncode == 2
