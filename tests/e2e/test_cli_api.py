# SPDX-License-Identifier: MIT
"""The hub's API as other clients use it: curl, and what it answers to what it does not want."""

import re

import pytest

from support.api import Api


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    from support.towonel import Node
    node = Node(tmp_path_factory.mktemp("api")).start()
    yield node
    node.kill()


@pytest.fixture
def api(node):
    return Api(node)


@pytest.fixture
def stranger(node):
    return Api(node, key="")


def test_health_needs_no_key(stranger):
    answer = stranger.get("/v1/health")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json["status"] == "ok" and re.fullmatch("[0-9a-f]{64}", answer.json["node_id"])
    assert answer.json["version"] and answer.json["protocol_version"] == 1


def test_invites_by_hand(api):
    made = api.post("/v1/invites", {"hostnames": ["a.example.eu", "*.a.example.eu"], "name": "a"})
    assert made.status in (200, 201) and made.json["status"] == "ok" and made.json["expires_at_ms"] is None
    path = f"/v1/invites/{made.json['invite_id']}"
    one = api.get(path)
    assert one.status == 200 and sorted(one.json["hostnames"]) == ["*.a.example.eu", "a.example.eu"]
    more = api.post(path + "/hostnames", {"hostnames": ["b.example.eu"]})
    assert more.status == 200 and "b.example.eu" in more.json["hostnames"]
    assert api.post(path + "/hostnames", {"hostnames": ["b.example.eu"]}).code == "hostname_conflict"
    less = api.delete(path + "/hostnames/b.example.eu")
    assert less.status == 200 and less.json["hostname"] == "b.example.eu"
    listed = api.get("/v1/invites?limit=1&offset=0")
    assert len(listed.json["invites"]) == 1 and int(listed.headers["x-total-count"]) >= 1
    assert api.delete(path).json["status"] == "revoked"
    assert api.delete(path).status == 404


@pytest.mark.parametrize("method, path", [
    ("GET", "/v1/invites"), ("POST", "/v1/invites"), ("GET", "/v1/tenants"), ("GET", "/v1/ports"),
    ("DELETE", "/v1/invites/" + "A" * 22), ("DELETE", "/v1/tenants/" + "0" * 64)])
@pytest.mark.parametrize("headers", [[], ["Authorization: Bearer wrong"], ["Authorization: Basic Og=="],
                                     ["Authorization:"]])
def test_operators_only(stranger, api, method, path, headers):
    answer = stranger.call(method, path, headers=[f"X-Forwarded-For: {path}", *headers])
    if answer.status == 429:  # that many strangers come from one address in these tests
        assert answer.code == "rate_limited"
    else:
        assert answer.status == 401 and answer.code == "unauthorized"


@pytest.mark.parametrize("method, path, status, code", [
    ("PUT", "/v1/invites", 405, "method_not_allowed"),
    ("DELETE", "/v1/health", 405, "method_not_allowed"),
    ("GET", "/v1/nothing", 404, "not_found"),
    ("GET", "/index.html", 404, "not_found"),
    ("POST", "/", 405, "method_not_allowed"),
    ("GET", "/v1/invites/" + "A" * 22, 404, "not_found"),
    ("GET", "/v1/invites/%00", 400, "invalid_request"),
    ("GET", "/v1/invites?limit=x", 400, "invalid_request"),
])
def test_what_is_not_there(api, method, path, status, code):
    answer = api.call(method, path)
    assert (answer.status, answer.code) == (status, code)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("body, wanted", [
    ("", "JSON"), ("{", "JSON"), ("[]", "JSON"), ('{"hostnames":["a.example.eu"],"colour":1}', "colour"), ("{}", "hostnames"),
    ('{"hostnames":[]}', "hostnames"), ('{"hostnames":"a.example.eu"}', "hostnames"),
    ('{"hostnames":["a.example.eu"],"hostnames":["b.example.eu"]}', ""),
    ('{"hostnames":["a.example.eu"],"expires_in_secs":-1}', "expires_in_secs"),
    ('{"hostnames":["a.example.eu"],"expires_in_secs":99999999}', "expires_in_secs"),
    ('{"hostnames":["a.example.eu"],"name":"a\\u0007b"}', "name"),
])
def test_bodies_that_are_refused(api, body, wanted):
    answer = api.post("/v1/invites", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert wanted in answer.json["error"]["message"]


def test_bodies_that_are_too_large(api):
    assert api.post("/v1/invites", "x" * 65537).code == "payload_too_large"
    answer = api.post("/v1/invites", "{}", headers=["Expect: 100-continue"])
    assert answer.status == 400
    assert api.get("/v1/health", headers=["X-Large: " + "x" * 20000]).status in (400, 431)


def test_request_ids_are_taken_over_or_made(api):
    assert api.get("/v1/health", headers=["X-Request-Id: my-id.7"]).headers["x-request-id"] == "my-id.7"
    made = [api.get("/v1/health").headers["x-request-id"] for _ in range(2)]
    assert made[0] and made[0] != made[1]
    assert api.get("/v1/invites/nothing", headers=["X-Request-Id: of-an-error"]).headers["x-request-id"] == "of-an-error"


def test_strangers_are_slowed_down_and_operators_are_not(node, stranger, api):
    refused = [answer for answer in Api(node, key="").storm("/v1/health", 200) if answer.status == 429]
    assert refused and refused[0].code == "rate_limited"
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert {answer.status for answer in api.storm("/v1/health", 200)} == {200}
