# SPDX-License-Identifier: MIT
"""The hub's API, endpoint by endpoint and code by code, held against the description that it serves."""

import concurrent.futures
import http.client
import json
import re
import socket
import sqlite3
import ssl
import time

import jsonschema
import pytest

from support.openapi import CheckedApi, Description
from support.process import wait_until
from support.signing import Key, build_tool, now_ms
from support.towonel import Node

NAME = "app.alice.example.eu"
HASH = "a" * 64


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return build_tool(tmp_path_factory.mktemp("sign"))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("api")).start()
    yield node
    node.kill()


@pytest.fixture(scope="module")
def api(node):
    return CheckedApi(node)


class Member:
    """A tenant that the test has the key of."""

    count = 0

    def __init__(self, api, tool, **request):
        Member.count += 1
        self.api = api
        self.zone = f"m{Member.count}.example.eu"
        made = api.post("/v1/invites", {"hostnames": [self.zone, f"*.{self.zone}"], **request})
        assert made.status == 200, made.body
        self.token, self.invite_id, self.id = (made.json[key] for key in ("token", "invite_id", "tenant_id"))
        self.secret = self.token.split(".")[-2]
        self.key = Key.of_token(tool, self.token)
        assert self.key.tenant_id == self.id
        self.agent = Key(tool)

    def submit(self, op, **members):
        return self.send(self.key.entry(op, **members))

    def send(self, *entries):
        return self.api.post("/v1/entries", entries[0] if len(entries) == 1 else {"entries": entries})

    def bootstrap(self, **changes):
        return self.api.post("/v1/bootstrap", {"invite_id": self.invite_id, "invite_secret": self.secret, **changes})

    def beat(self, **changes):
        body = json.dumps({"tenant_id": self.id, "agent_id": self.agent.node_id, "services_hash": HASH,
                           "generation": 1, **changes})
        return self.api.as_nobody().post("/v1/agent/heartbeat", body,
                                         headers=[self.agent.header("towonel/agent-heartbeat/v1", body)])


@pytest.fixture
def member(api, tool):
    return Member(api, tool)


# --- the description --------------------------------------------------------------------------


def test_the_description_is_openapi(api):
    document = api.description.document
    assert document["openapi"].startswith("3.1.") and document["info"]["title"] and document["info"]["version"]

    def schemas(value):
        if isinstance(value, dict):
            if "schema" in value and isinstance(value["schema"], dict):
                yield value["schema"]
            for item in value.values():
                yield from schemas(item)
        elif isinstance(value, list):
            for item in value:
                yield from schemas(item)
    found = [*schemas(document["paths"]), *document["components"]["schemas"].values()]
    assert len(found) > 50
    for schema in found:
        jsonschema.Draft202012Validator.check_schema(schema)
    # Nobody needs a key to read it, and it is the same for everybody.
    assert api.as_nobody().get("/v1/openapi.json").json == document


def test_what_is_not_described_is_noticed(api):
    """The check itself: an answer with a field more, one less, or of another kind does not pass."""
    description = Description(api.description.document)

    class Fake:
        status, headers = 200, {"content-type": "application/json", "x-request-id": "x"}
        json = {"status": "ok", "node_id": "0" * 64, "version": "1", "protocol_version": 1, "time_ms": 1}
    good = Fake.json
    description.check("GET", "/v1/health", None, Fake)
    for bad in ({**good, "more": 1}, {key: good[key] for key in ("status", "node_id", "version")},
                {**good, "node_id": "0" * 63}):
        Fake.json = bad
        with pytest.raises(jsonschema.ValidationError):
            description.check("GET", "/v1/health", None, Fake)
    Fake.json, Fake.status = good, 204
    with pytest.raises(AssertionError):
        description.check("GET", "/v1/health", None, Fake)


# --- each endpoint ----------------------------------------------------------------------------


def be_an_edge(api, tool):
    made = api.post("/v1/edge-invites", {"name": "fra"}).json
    key = Key.of_token(tool, made["token"])
    assert key.node_id == made["edge_node_id"]
    with_own_key = api.post("/v1/edge-invites", {"edge_node_id": Key(tool).node_id}).json
    assert "token" not in with_own_key and api.delete(f"/v1/edge-invites/{with_own_key['invite_id']}").status == 200
    body = json.dumps({"addresses": ["fra.example.eu:443"], "version": "1", "agents": [Key(tool).node_id],
                       "failed_ports": [{"protocol": "udp", "port": 53, "reason": "not allowed"}]})
    beat = api.as_nobody().post("/v1/edge/heartbeat", body, headers=[key.header("towonel/edge-heartbeat/v1", body)])
    assert beat.json["next_interval_secs"] == 10
    assert [edge["version"] for edge in api.get("/v1/edges").json["edges"] if edge["name"] == "fra"] == ["1"]
    assert [invite["status"] for invite in api.get("/v1/edge-invites").json["invites"]] == ["active", "revoked"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        stream = pool.submit(api.as_nobody().get, "/v1/routes/subscribe", headers=[key.header("towonel/edge-sub/v1")])
        wait_until(lambda: "towonel_hub_sse_subscribers_connected 1" in api.node.hub_metrics(), "the edge follows")
        time.sleep(0.3)
        assert api.delete(f"/v1/edge-invites/{made['invite_id']}").json["status"] == "revoked"
        assert "event: snapshot\ndata: {" in stream.result().body
    beat = api.as_nobody().post("/v1/edge/heartbeat", body, headers=[key.header("towonel/edge-heartbeat/v1", body)])
    assert beat.code == "unauthorized" and beat.json["error"]["revoked"] is True


def ask_every_endpoint(api, tool):
    be_an_edge(api, tool)
    for path in ("/", "/v1/health", "/v1/edges", "/v1/openapi.json"):
        assert api.as_nobody().get(path).status == 200
    a, b = Member(api, tool, name="alice", expires_in_secs=3600), Member(api, tool)
    assert a.bootstrap().json["tenant_id"] == a.id
    assert a.send(a.key.agent_entry(a.agent), a.key.entry("upsert_hostname", hostname=a.zone,
                                                           tls_mode="passthrough")).json["sequence"] == 2
    assert a.submit("upsert_tcp_service", name="ssh", listen_port=21022).status == 200
    assert a.beat(version="1", services=[a.zone, "tcp:ssh"], refused=[{"service": "udp:x", "reason": "taken"}],
                  tunnels=[{"edge_id": a.agent.node_id, "transport": "udp", "quiet_ms": 5, "rtt_us": 9}]
                  ).json["superseded"] is False
    assert api.get(f"/v1/tenants/{a.id}/entries").json["latest_sequence"] == 3
    by_agent = a.agent.header("towonel/entries/v1")
    assert api.as_nobody().get(f"/v1/tenants/{a.id}/entries?after=1&limit=1", headers=[by_agent]).json["next_after"] == 2
    by_tenant = a.key.header("towonel/entries/v1", tenant=True)
    assert len(api.as_nobody().get(f"/v1/tenants/{a.id}/entries", headers=[by_tenant]).json["entries"]) == 3
    assert [port["service"] for port in api.get("/v1/ports").json["ports"]] == ["ssh"]
    assert len(api.get("/v1/ports/available?protocol=udp&count=3").json["ports"]) == 3
    assert a.submit("upsert_udp_service", name="game", listen_port=21022, ports=3, idle_timeout_secs=90).status == 200
    held = api.post(f"/v1/tenants/{a.id}/ports", {"protocol": "tcp", "preferred": 21023, "label": "soon"})
    assert held.status == 201 and held.json["port"] == 21023 and held.json["edge"]["node_id"]
    assert [(port["port"], port["service"], port["label"]) for port in api.get(f"/v1/tenants/{a.id}/ports").json["ports"]
            ] == [(21022, "ssh", None), (21023, None, "soon"), *((21022 + i, "game", None) for i in range(3))]
    assert api.get("/v1/ports?limit=2&offset=4").headers["x-total-count"] == "5"
    assert any(tenant["ports"] for tenant in api.get("/v1/tenants").json["tenants"])
    assert api.delete(f"/v1/tenants/{a.id}/ports/tcp/21023").json["status"] == "released"
    assert api.get(f"/v1/invites/{a.invite_id}").json["status"] == "active"
    more = f"*.more.{a.zone}"
    assert more in api.post(f"/v1/invites/{a.invite_id}/hostnames", {"hostnames": [more]}).json["hostnames"]
    removed = api.delete(f"/v1/invites/{a.invite_id}/hostnames/%2A.more.{a.zone}").json
    assert removed["hostname"] == more and more not in removed["remaining_hostnames"]
    listed = api.get("/v1/tenants?limit=1000&offset=0")
    assert {a.id, b.id} <= {tenant["tenant_id"] for tenant in listed.json["tenants"]}
    assert int(listed.headers["x-total-count"]) == len(listed.json["tenants"])
    status = api.get("/v1/status?limit=1000").json
    assert status["hub"]["store"] == "ok" and {a.id, b.id} <= {tenant["tenant_id"] for tenant in status["tenants"]}
    assert api.get("/v1/invites").status == 200
    limited = api.patch(f"/v1/tenants/{b.id}", {"limits": {"connections": 7, "bytes_out_per_sec": 10**12}})
    assert limited.json["limits"] == {"connections": 7, "bytes_in_per_sec": 0, "bytes_out_per_sec": 10**12}
    assert api.patch(f"/v1/tenants/{b.id}", {"limits": {"connections": 0}}).json["limits"]["connections"] == 0
    assert api.delete(f"/v1/tenants/{b.id}").json["tenant_id"] == b.id
    c = Member(api, tool)
    assert api.as_nobody().post(f"/v1/tenants/{c.id}/leave", c.key.entry("leave")).json["status"] == "removed"
    assert api.delete(f"/v1/invites/{a.invite_id}").json["status"] == "revoked"
    assert api.get("/v1/audit?limit=2").json["events"][0]["action"] == "invite.revoke"


def test_every_endpoint_answers_as_described(api, tool):
    ask_every_endpoint(api, tool)
    answered = {(method, path) for method, path, status in api.description.seen if status < 300}
    assert api.description.operations() <= answered


def test_every_endpoint_is_asked_by_our_own_programs(make_node, make_edge, make_agent, tmp_path):
    node = make_node()
    described = Description(CheckedApi(node).description.document)

    def says(schema, *arguments, **more):
        done = node.towonel(*arguments, "--json", **more)
        assert done.returncode == 0, done.stderr
        if schema:
            described.validate(described.strict["components"]["schemas"][schema], json.loads(done.stdout))
        return json.loads(done.stdout)
    edge = says("NewEdgeInvite", "edge-invite", "create", "--name", "fra")
    make_edge(edge["token"])
    for item in says(None, "edge-invite", "list")["invites"]:
        described.validate(described.strict["components"]["schemas"]["EdgeInvite"], item)
    made = says("NewInvite", "invite", "create", "--name", "alice", "--hostnames", NAME)
    agent = make_agent(made["token"], [{"hostname": NAME, "origin": "127.0.0.1:9"}])
    wait_until(lambda: re.search(r'heartbeats_total\{outcome="ok"\} [1-9]', agent.metrics()), "the agent's heart beats")
    for item in says(None, "invite", "list")["invites"]:
        described.validate(described.strict["components"]["schemas"]["Invite"], item)
    for item in says(None, "tenant", "list")["tenants"]:
        described.validate(described.strict["components"]["schemas"]["Tenant"], item)
    for item in says(None, "audit")["events"]:
        described.validate(described.strict["components"]["schemas"]["AuditEvent"], item)
    says(None, "invite", "hostnames", "--id", made["invite_id"], "--add", f"x.{NAME}")
    says(None, "invite", "hostnames", "--id", made["invite_id"], "--remove", f"x.{NAME}")
    says(None, "invite", "hostnames", "--id", made["invite_id"])
    says(None, "port", "list")
    says(None, "port", "available", "--protocol", "tcp")
    held = says(None, "port", "reserve", "--tenant-id", made["tenant_id"], "--protocol", "tcp")
    says(None, "port", "list", "--tenant-id", made["tenant_id"])
    says(None, "port", "release", "--tenant-id", made["tenant_id"], "--protocol", "tcp", "--port", str(held["port"]))
    # each edge tells of its agents when its turn comes
    wait_until(lambda: node.towonel("status").returncode == 0, "everything is up")
    says("Status", "status")
    for path in ("/", "/v1/health", "/v1/edges"):  # for browsers and monitors; ours learn it along with the rest
        assert CheckedApi(node, described).get(path).status == 200
    token = {"TOWONEL_INVITE_TOKEN": node.invite("b.example.eu", name="bob")}
    says(None, "entry", "submit", "--op", "upsert_hostname", "--hostname", "b.example.eu", env=token)
    says(None, "entry", "list", env=token)
    says(None, "tenant", "leave", env=token)
    other = says("NewInvite", "invite", "create", "--hostnames", "c.example.eu")
    limited = says(None, "tenant", "limit", "--tenant-id", other["tenant_id"], "--connections", "100")
    described.validate(described.strict["components"]["schemas"]["TenantLimits"], limited["limits"])
    says(None, "tenant", "remove", "--tenant-id", other["tenant_id"])
    says(None, "invite", "revoke", "--id", made["invite_id"])
    says(None, "edge-invite", "revoke", "--id", edge["invite_id"])

    def subscribed():  # counted when it has ended
        return 'endpoint="/v1/routes/subscribe",status="200"' in node.hub_metrics()
    wait_until(subscribed, "the edge's stream is counted")
    asked = set(re.findall(r'towonel_hub_requests_total\{endpoint="([^"]+)",status="20[01]"\}', node.hub_metrics()))
    assert set(described.document["paths"]) <= asked


# --- each code --------------------------------------------------------------------------------


def provoke_every_code(node, api, tool):
    """{code: the answer that it came in}"""
    a, b = Member(api, tool), Member(api, tool)
    got = {}

    def expect(code, answer, *parts):
        assert answer.status >= 400 and answer.code == code, (code, answer.status, answer.body)
        for part in parts:
            assert part in answer.json["error"]["message"], (part, answer.body)
        got[code] = answer
    expect("invalid_request", api.post("/v1/invites", {"hostnames": ["x.eu"], "colour": 1}), "colour")
    forged = a.key.entry("upsert_hostname", hostname=a.zone, tls_mode="passthrough")
    forged["signature"] = a.key.entry("leave")["signature"]
    expect("invalid_signature", a.send(forged))
    expect("unsupported_op", a.submit("fly"), "fly")
    expect("unsupported_version", a.send(a.key.sign({**a.key.payload("leave"), "version": 2})))
    expect("unauthorized", api.as_nobody().get("/v1/invites"))
    expect("unauthorized", a.bootstrap(invite_secret="A" * 43))
    expect("tenant_not_allowed", api.post("/v1/entries", Key(tool).entry("upsert_hostname", hostname="x.eu",
                                                                         tls_mode="passthrough")))
    expect("hostname_not_owned", a.submit("upsert_hostname", hostname=b.zone, tls_mode="passthrough"), b.zone)
    expect("not_found", api.get("/v1/invites/" + "A" * 22))
    expect("not_found", api.get("/v1/nothing"))
    expect("method_not_allowed", api.call("PUT", "/v1/invites", {}))
    entry = a.key.entry("upsert_tcp_service", name="ssh", listen_port=22022)
    assert a.send(entry).status == 200
    expect("sequence_conflict", a.send(entry), str(a.key.sequence))
    expect("hostname_conflict", api.post("/v1/invites", {"hostnames": [f"deep.{a.zone}"]}), f"*.{a.zone}")
    expect("port_in_use", b.submit("upsert_tcp_service", name="mine", listen_port=22022), "22022/tcp", "ssh")
    expect("port_in_use", a.submit("upsert_tcp_service", name="other", listen_port=22022), "22022/tcp", "ssh")
    brief = Member(api, tool, expires_in_secs=1)
    wait_until(lambda: brief.bootstrap().status != 200, "the invite has expired")
    expect("invite_expired", brief.bootstrap())
    expect("payload_too_large", api.post("/v1/invites", " " * 65537))
    expect("payload_too_large", api.post("/v1/entries", " " * 1048577))
    nobody = api.as_nobody()
    nobody.patient = False
    expect("rate_limited", nobody.storm("/v1/health", 200)[-1])
    assert int(got["rate_limited"].headers["retry-after"]) >= 1
    database = sqlite3.connect(f"{node.data_dir}/hub.db", isolation_level=None)
    with database:
        database.execute("BEGIN IMMEDIATE")  # and the hub waits for it, in vain
        expect("unavailable", api.delete(f"/v1/invites/{b.invite_id}"))
        database.execute("ROLLBACK")
    assert api.get(f"/v1/invites/{b.invite_id}").json["status"] == "active"
    database.execute("UPDATE invites SET tenant_id = x'00' WHERE name = ?",
                     [api.get(f"/v1/invites/{b.invite_id}").json["name"]])
    expect("internal", api.get(f"/v1/invites/{b.invite_id}"))
    database.close()
    return got


def test_every_code_comes_as_described(make_node, tool):
    node = make_node()
    api = CheckedApi(node)
    got = provoke_every_code(node, api, tool)
    codes = api.description.document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]
    assert set(codes["enum"]) == set(got)


# --- common rules -----------------------------------------------------------------------------


def test_unknown_fields_are_refused_by_name(api, member):
    bodies = {
        "/v1/invites": {"hostnames": ["x.example.eu"]},
        f"/v1/invites/{member.invite_id}/hostnames": {"hostnames": ["x.example.eu"]},
        f"/v1/tenants/{member.id}/ports": {"protocol": "tcp"},
        f"/v1/tenants/{member.id}/leave": member.key.entry("leave"),
        "/v1/entries": member.key.entry("upsert_hostname", hostname=member.zone, tls_mode="passthrough"),
        "/v1/bootstrap": {"invite_id": member.invite_id, "invite_secret": member.secret},
        "/v1/edge-invites": {"name": "fra"},
        "/v1/edge/heartbeat": {"version": "1"},
        "/v1/agent/heartbeat": {"tenant_id": member.id, "agent_id": member.agent.node_id, "services_hash": HASH,
                                "generation": 1},
    }
    posts = {path for method, path in api.description.operations() if method == "POST"}
    assert posts == {api.description.find("POST", path)[0] for path in bodies}
    for path, body in bodies.items():
        answer = api.post(path, {**body, "colour": "red"})
        assert answer.code == "invalid_request" and "colour" in answer.json["error"]["message"], (path, answer.body)
    answer = member.send(member.key.entry("upsert_hostname", hostname=member.zone, tls_mode="passthrough", colour=1))
    assert answer.code == "invalid_request" and "colour" in answer.json["error"]["message"]


@pytest.mark.parametrize("limits", [None, 7, {}, {"colour": 1}, {"connections": -1}, {"connections": 2**32},
                                    {"connections": "7"}, {"bytes_in_per_sec": 1.5}, {"bytes_out_per_sec": 10**12 + 1}])
def test_limits_that_are_none(api, member, limits):
    answer = api.patch(f"/v1/tenants/{member.id}", {"limits": limits})
    assert answer.code == "invalid_request" and "limits" in answer.body or str(limits)[2:8] in answer.body
    assert api.patch(f"/v1/tenants/{member.id}", {"limits": {"connections": 1}, "colour": 1}).code == "invalid_request"
    assert api.patch(f"/v1/tenants/{'0' * 64}", {"limits": {"connections": 1}}).code == "not_found"


@pytest.mark.parametrize("member_of, value", [
    ("version", 7), ("version", "x" * 65), ("services", "a.eu"), ("services", [7]), ("services", ["x" * 258]),
    ("services", ["x"] * 4097), ("refused", [{"service": "a.eu"}]), ("refused", [{"service": "a.eu", "reason": 7}]),
    ("refused", [{"service": "a", "reason": "b", "more": 1}]), ("tunnels", {}),
    ("tunnels", [{"edge_id": "x", "transport": "udp", "quiet_ms": 1, "rtt_us": 1}]),
    ("tunnels", [{"edge_id": "0" * 64, "transport": "udp", "quiet_ms": -1, "rtt_us": 1}]),
    ("tunnels", [{"edge_id": "0" * 64, "transport": "udp", "quiet_ms": 1, "rtt_us": -1}]),
    ("tunnels", [{"edge_id": "0" * 64, "transport": "tin", "quiet_ms": 1, "rtt_us": 1}]),
    ("tunnels", [{"edge_id": "0" * 64, "quiet_ms": 1, "rtt_us": 1}]),
    ("tunnels", [{"edge_id": "0" * 64, "transport": "udp", "quiet_ms": 1, "rtt_us": 1}] * 33)])
def test_reports_of_agents_that_are_none(member, member_of, value):
    answer = member.beat(**{member_of: value})
    assert answer.code == "invalid_request" and member_of in answer.json["error"]["message"]


@pytest.mark.parametrize("body", ["", "[]", "{", '{"hostnames":["a.eu"]}x', '{"hostnames":["a.eu"],"hostnames":[]}',
                                  '"text"', "null", '{"hostnames":7}', '{"hostnames":[]}', '{"hostnames":[7]}',
                                  '{"name":"x"}', '{"hostnames":["a.eu"],"name":7}', '{"hostnames":["a_b..eu"]}',
                                  '{"hostnames":["a.eu"],"expires_in_secs":2592001}',
                                  '{"hostnames":["a.eu"],"expires_in_secs":-1}',
                                  '{"hostnames":["a.eu"],"expires_in_secs":1.5}'])
def test_bodies_that_are_none(api, body):
    assert api.post("/v1/invites", body).code == "invalid_request"


def test_other_methods_are_told_which_there_are(api):
    document = api.description.document
    for path, methods in document["paths"].items():
        concrete = re.sub(r"\{\w+\}", "x", path)
        there = {method.upper() for method in methods}
        for method in {"GET", "POST", "DELETE", "PUT", "PATCH"} - there:
            answer = api.call(method, concrete)
            assert answer.status == 405, (method, path)
            allowed = {word.strip() for word in answer.headers["allow"].split(",")}
            assert allowed == there | ({"HEAD"} if "GET" in there else set()), (path, allowed)


@pytest.mark.parametrize("query, part", [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"),
                                         ("limit=ten", "limit"), ("offset=-1", "offset"), ("offset=", "offset"),
                                         ("offset=2147483648", "offset"), ("limit=1%200", "limit")])
def test_pages_have_bounds(api, query, part):
    for path in ("/v1/invites", "/v1/tenants"):
        answer = api.get(f"{path}?{query}")
        assert answer.code == "invalid_request" and f'"{part}"' in answer.json["error"]["message"]
    assert api.get("/v1/invites?limit=1000&offset=2147483647").json["invites"] == []


def test_what_an_agent_says_steers_no_terminal(api, member):
    assert member.send(member.key.agent_entry(member.agent)).status == 200
    assert member.beat(version="1\x1b[2J\x9b31m\x7f").status == 200
    printed = api.node.towonel("status").stdout
    assert "1?[2J??31m?" in printed


def test_request_ids_are_taken_over_or_made(api):
    assert api.get("/v1/health", headers=["X-Request-Id: from-me-7"]).headers["x-request-id"] == "from-me-7"
    made = {api.get("/v1/health").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for bad in ("x" * 65, "two words", "<script>", ""):
        assert api.get("/v1/health", headers=[f"X-Request-Id: {bad}"]).headers["x-request-id"] != bad
    # Errors, those of the HTTP server's own too.
    for path in ("/v1/nothing", "/v1/invites/x"):
        assert api.get(path, headers=["X-Request-Id: seven"]).headers["x-request-id"] == "seven"


def test_parts_of_a_path_are_percent_decoded(api, member):
    encoded = "".join(f"%{ord(c):02x}" for c in member.invite_id)
    assert api.get(f"/v1/invites/{encoded}").json["invite_id"] == member.invite_id
    removed = api.delete(f"/v1/invites/{member.invite_id}/hostnames/%2a.{member.zone.upper()}")
    assert removed.json["hostname"] == f"*.{member.zone}"
    for broken in ("%zz", "%4", "%00", "%ff"):
        assert api.get(f"/v1/invites/{broken}").code == "invalid_request"


def raw(node):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", node.hub_port), timeout=20))


@pytest.mark.parametrize("path, bound", [("/v1/invites", 65536), ("/v1/entries", 1048576)])
def test_bodies_that_are_too_large_are_refused_unread(node, path, bound):
    for size, status in ((bound + 1, b"413"), (10**15, b"413")):
        with raw(node) as client:
            client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            assert client.recv(4096).split(b" ")[1] == status  # not a byte of it was sent
    with raw(node) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {bound}\r\n"
                       "Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 100")
    with raw(node) as client:  # in pieces, nobody says how many
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        for _ in range(bound // 0x4000 + 1):
            client.sendall(piece)
        assert client.recv(4096).split(b" ")[1] == b"413"


def test_the_rate_is_limited_for_those_without_a_key_alone(make_node):
    node = make_node()
    api = CheckedApi(node)
    nobody = api.as_nobody()
    nobody.patient = False
    answers = nobody.storm("/v1/health", 200)
    assert [answer.status for answer in answers[:30]] == [200] * 30
    late = [answer for answer in answers if answer.status == 429]
    assert late and all(1 <= int(answer.headers["retry-after"]) <= 7 for answer in late)
    assert api.get("/v1/health").status == 200
    # It waits as long as it is told, and is let in.
    time.sleep(int(late[-1].headers["retry-after"]))
    assert nobody.get("/v1/health").status == 200


def test_a_thousand_invites_come_in_pages(make_node):
    node = make_node()
    api = CheckedApi(node)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = http.client.HTTPSConnection("127.0.0.1", node.hub_port, timeout=60, context=context)
    key = {"Authorization": f"Bearer {api.key}"}
    made = []
    for number in range(1000):
        client.request("POST", "/v1/invites", json.dumps({"name": f"n{number}", "hostnames": [f"n{number}.eu"]}), key)
        made.append(json.loads(client.getresponse().read())["invite_id"])
    client.close()
    everything = [invite["invite_id"] for invite in node.invites()]
    assert sorted(everything) == sorted(made)
    for size in (7, 100, 1000):
        seen = []
        while len(seen) < 1000:
            page = api.get(f"/v1/invites?limit={size}&offset={len(seen)}")
            assert page.headers["x-total-count"] == "1000"
            assert len(page.json["invites"]) == min(size, 1000 - len(seen))
            seen += [invite["invite_id"] for invite in page.json["invites"]]
        assert seen == everything
    assert len(api.get("/v1/invites").json["invites"]) == 100
