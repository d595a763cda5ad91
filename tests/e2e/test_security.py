# SPDX-License-Identifier: MIT
"""Nobody gets in who should not: signatures that are stale, used or meant for something else; tenants at each other's."""

import json

import pytest

from support.openapi import CheckedApi
from support.signing import Key, build_tool, now_ms
from support.towonel import Node

HASH = "a" * 64
HEARTBEAT, ENTRIES = "towonel/agent-heartbeat/v1", "towonel/entries/v1"


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return build_tool(tmp_path_factory.mktemp("sign"))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("security")).start()
    yield CheckedApi(node)
    node.kill()


class Tenant:
    count = 0

    def __init__(self, api, tool):
        Tenant.count += 1
        self.api, self.nobody = api, api.as_nobody()
        self.zone = f"s{Tenant.count}.example.eu"
        made = api.post("/v1/invites", {"hostnames": [self.zone]}).json
        self.id, self.invite_id, self.secret = made["tenant_id"], made["invite_id"], made["token"].split(".")[-2]
        self.key, self.agent = Key.of_token(tool, made["token"]), Key(tool)
        assert self.submit(self.key.agent_entry(self.agent)).status == 200
        assert self.submit(self.key.entry("upsert_hostname", hostname=self.zone, tls_mode="passthrough")).status == 200

    def submit(self, *entries):
        return self.api.post("/v1/entries", entries[0] if len(entries) == 1 else {"entries": entries})

    def body(self, **changes):
        return json.dumps({"tenant_id": self.id, "agent_id": self.agent.node_id, "services_hash": HASH,
                           "generation": 1, **changes})

    def beat(self, header, body):
        return self.nobody.post("/v1/agent/heartbeat", body, headers=[header])

    def read(self, header, tenant=None):
        return self.nobody.get(f"/v1/tenants/{tenant or self.id}/entries", headers=[header])


@pytest.fixture
def alice(api, tool):
    return Tenant(api, tool)


@pytest.fixture
def bob(api, tool):
    return Tenant(api, tool)


# --- signed requests --------------------------------------------------------------------------


def test_a_signature_is_good_once(alice):
    body = alice.body()
    header = alice.agent.header(HEARTBEAT, body)
    assert alice.beat(header, body).status == 200
    again = alice.beat(header, body)
    assert again.code == "unauthorized" and "used already" in again.json["error"]["message"]
    for tenant in (False, True):
        header = (alice.key if tenant else alice.agent).header(ENTRIES, tenant=tenant)
        assert alice.read(header).status == 200
        assert alice.read(header).code == "unauthorized"


@pytest.mark.parametrize("off_s, good", [(-55, True), (-65, False), (55, True), (65, False), (-10**6, False)])
def test_a_signature_is_good_for_a_minute(alice, off_s, good):
    at = now_ms() + off_s * 1000
    body = alice.body()
    answers = [alice.beat(alice.agent.header(HEARTBEAT, body, at_ms=at), body),
               alice.read(alice.agent.header(ENTRIES, at_ms=at + 1)),
               alice.read(alice.key.header(ENTRIES, at_ms=at, tenant=True))]
    for answer in answers:
        assert answer.status == 200 if good else answer.code == "unauthorized" and "clock" in answer.body


def test_a_signature_is_good_for_what_it_was_made_for(alice, bob):
    body = alice.body()
    # for another purpose
    assert alice.beat(alice.agent.header(ENTRIES, body), body).code == "unauthorized"
    assert alice.read(alice.agent.header(HEARTBEAT)).code == "unauthorized"
    assert alice.read(alice.key.header(HEARTBEAT, tenant=True)).code == "unauthorized"
    # with another body
    assert alice.beat(alice.agent.header(HEARTBEAT, body), alice.body(generation=2)).code == "unauthorized"
    # by another than the body says
    assert alice.beat(bob.agent.header(HEARTBEAT, body), body).code == "unauthorized"
    # of another tenant's agent
    moved = json.dumps({**json.loads(body), "tenant_id": bob.id})
    assert alice.beat(alice.agent.header(HEARTBEAT, moved), moved).code == "tenant_not_allowed"
    # with another's id before one's own signature
    mine = alice.agent.header(HEARTBEAT, body)
    assert alice.beat(mine.replace(alice.agent.node_id, bob.agent.node_id), body).code == "unauthorized"
    # the signature still works for what it is
    assert alice.beat(alice.agent.header(HEARTBEAT, body), body).status == 200


@pytest.mark.parametrize("header", ["Authorization: Signature", "Authorization: Signature a.b.c",
                                    "Authorization: Signature " + "0" * 64 + ".1." + "A" * 86,
                                    "Authorization: Basic b3BlcmF0b3I6", "Authorization: Bearer ", "X: y",
                                    "Authorization: Bearer " + "A" * 43])
def test_headers_that_are_none(alice, header):
    assert alice.beat(header, alice.body()).code == "unauthorized"
    assert alice.read(header).code == "unauthorized"
    assert alice.nobody.get("/v1/tenants", headers=[header]).code == "unauthorized"


def test_a_revoked_agent_gets_nothing(alice):
    body = alice.body()
    assert alice.submit(alice.key.entry("revoke_agent", agent_id=alice.agent.node_id)).status == 200
    assert alice.beat(alice.agent.header(HEARTBEAT, body), body).code == "tenant_not_allowed"
    assert alice.read(alice.agent.header(ENTRIES)).code == "tenant_not_allowed"
    back = alice.submit(alice.key.agent_entry(alice.agent, generation=2))
    assert back.code == "tenant_not_allowed" and "final" in back.json["error"]["message"]


# --- each other's things ----------------------------------------------------------------------


def test_tenants_do_not_read_each_other(alice, bob):
    assert alice.read(alice.key.header(ENTRIES, tenant=True), bob.id).code == "tenant_not_allowed"
    assert alice.read(alice.agent.header(ENTRIES), bob.id).code == "tenant_not_allowed"
    # with its own id in the header, and the other's key
    forged = alice.key.header(ENTRIES, tenant=True).replace(alice.id, bob.id)
    assert alice.read(forged, bob.id).code == "unauthorized"


def test_tenants_do_not_write_each_others(alice, bob, api):
    before = api.get(f"/v1/tenants/{bob.id}/entries").json
    claims = [("upsert_hostname", {"hostname": bob.zone, "tls_mode": "terminate"}),
              ("set_hostname_tls", {"hostname": bob.zone, "tls_mode": "terminate"}),
              ("delete_hostname", {"hostname": bob.zone})]
    for op, members in claims:
        assert alice.submit(alice.key.entry(op, **members)).code == "hostname_not_owned"
        # in bob's name, signed by alice; and bob's own entry with alice's signature
        forged = alice.submit(alice.key.sign({**bob.key.payload(op, **members), "sequence": 1000}))
        assert forged.code == "invalid_signature"
        mixed = {**bob.key.entry(op, **members), "signature": alice.key.entry(op, **members)["signature"]}
        assert alice.submit(mixed).code == "invalid_signature"
    # an agent of bob's is none of alice's, and revoking it in her name leaves his alone
    assert alice.submit(alice.key.entry("revoke_agent", agent_id=bob.agent.node_id)).status == 200
    body = bob.body()
    assert bob.beat(bob.agent.header(HEARTBEAT, body), body).status == 200
    # leaving is for oneself
    assert alice.nobody.post(f"/v1/tenants/{bob.id}/leave", alice.key.entry("leave")).code == "tenant_not_allowed"
    forged = alice.key.sign({**bob.key.payload("leave"), "sequence": 1001})
    assert alice.nobody.post(f"/v1/tenants/{bob.id}/leave", forged).code == "invalid_signature"
    # two tenants in one batch
    both = alice.submit(alice.key.entry("delete_hostname", hostname=alice.zone), bob.key.entry("leave"))
    assert both.status in (400, 403)
    assert api.get(f"/v1/tenants/{bob.id}/entries").json == before


def test_what_a_tenant_sent_is_not_taken_twice(alice):
    entry = alice.key.entry("delete_hostname", hostname=alice.zone)
    assert alice.submit(entry).status == 200
    assert alice.submit(entry).code == "sequence_conflict"
    assert alice.submit(alice.key.entry("upsert_hostname", hostname=alice.zone, tls_mode="passthrough")).status == 200
    assert alice.submit(entry).code == "sequence_conflict"  # it would take the name away again


def test_tenants_have_no_operators_rights(alice, bob):
    for header in (alice.key.header(ENTRIES, tenant=True), alice.agent.header(ENTRIES)):
        for method, path in (("GET", "/v1/tenants"), ("GET", "/v1/invites"), ("GET", "/v1/audit"), ("GET", "/v1/ports"),
                             ("GET", f"/v1/invites/{alice.invite_id}"), ("DELETE", f"/v1/invites/{bob.invite_id}"),
                             ("DELETE", f"/v1/tenants/{bob.id}"), ("POST", "/v1/invites"),
                             ("POST", f"/v1/invites/{alice.invite_id}/hostnames")):
            body = {"hostnames": ["x.example.eu"]} if method == "POST" else None
            assert alice.nobody.call(method, path, body, headers=[header]).code == "unauthorized", (method, path)


def test_an_invites_secret_is_good_for_nothing_but_bootstrap(alice, bob):
    def bootstrap(invite_id, secret):
        return alice.api.post("/v1/bootstrap", {"invite_id": invite_id, "invite_secret": secret})
    unknown, wrong = bootstrap("A" * 22, alice.secret), bootstrap(alice.invite_id, bob.secret)
    assert unknown.code == wrong.code == "unauthorized"
    assert unknown.json == wrong.json  # nobody learns which invites there are
    assert alice.nobody.get("/v1/tenants", headers=[f"Authorization: Bearer {alice.secret}"]).code == "unauthorized"


def test_a_removed_tenants_things_stay_dead(alice, api):
    assert api.delete(f"/v1/tenants/{alice.id}").status == 200
    assert alice.submit(alice.key.entry("upsert_hostname", hostname=alice.zone, tls_mode="passthrough")).code == (
        "tenant_not_allowed")
    body = alice.body()
    assert alice.beat(alice.agent.header(HEARTBEAT, body), body).code == "tenant_not_allowed"
    assert alice.read(alice.key.header(ENTRIES, tenant=True)).code in ("tenant_not_allowed", "not_found")
    assert alice.api.post("/v1/bootstrap", {"invite_id": alice.invite_id, "invite_secret": alice.secret}).code == (
        "unauthorized")
