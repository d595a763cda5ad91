# SPDX-License-Identifier: MIT
"""Health and metrics of hub, edge and agent, as probes and Prometheus read them."""

import http.client
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.process import wait_until
from support.towonel import http_get
from support.visitors import client_hello, dial, read_exactly, read_to_end

NAME = "app.alice.example.eu"
HELLO = client_hello(NAME)
DOWN, UP = 1234567, 765432


def samples(text):
    """{(name, labels): value} of all series; what Prometheus would not read is an error."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type in ("counter", "gauge", "histogram", "summary"), family
        assert family.documentation, family.name
        for sample in family.samples:
            series = sample.name, tuple(sorted(sample.labels.items()))
            assert series not in found, series
            found[series] = sample.value
    return found


@pytest.fixture
def tunnel(make_tunnel, make_raw_origin):
    def serve(sock, _):
        read_exactly(sock, UP)
        sock.sendall(bytes(DOWN))
        return read_to_end(sock)

    origin = make_raw_origin(serve)
    node, agent = make_tunnel({NAME: origin.address})
    return node, agent, origin


def test_health_of_all_three(tunnel):
    node, agent, _ = tunnel
    for port in (node.hub_health_port, node.edge_health_port, agent.health_port):
        for path in ("/healthz", "/readyz"):
            status, body = http_get(f"http://127.0.0.1:{port}{path}")
            assert status == 200, (port, path, body)
            json.loads(body)
        status, _ = http_get(f"http://127.0.0.1:{port}/nothing")
        assert status == 404
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        probe.request("GET", "/metrics")
        answer = probe.getresponse()
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith("text/plain; version=0.0.4")
        answer.read()
        # a probe keeps its connection, and asks in other ways too
        probe.request("HEAD", "/healthz")
        answer = probe.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        probe.request("POST", "/healthz", body=b"x")
        assert probe.getresponse().status == 405
        probe.close()


def test_an_agent_without_a_tunnel_is_alive_and_not_ready(tunnel):
    node, agent, _ = tunnel
    node.stop()

    def not_ready():
        return agent.ready()[0] == 503

    wait_until(not_ready, "the agent has noticed")
    assert json.loads(agent.ready()[1])
    assert http_get(f"http://127.0.0.1:{agent.health_port}/healthz")[0] == 200


def test_metrics_count_visitors_and_bytes(tunnel):
    node, agent, origin = tunnel
    with dial(node.edge_port) as visitor:
        visitor.sendall(HELLO + bytes(UP))
        read_exactly(visitor, DOWN)
        during_edge, during_agent = samples(node.edge_metrics()), samples(agent.metrics())
        assert during_edge["towonel_edge_active_connections", ()] == 1
        assert during_agent["towonel_agent_streams_active", ()] == 1
    assert origin.result()[0] == 0
    with dial(node.edge_port) as stranger:
        stranger.sendall(client_hello("stranger.example.eu"))
        stranger.recv(100)
    wait_until(lambda: samples(node.edge_metrics())["towonel_edge_active_connections", ()] == 0 and
               samples(agent.metrics())["towonel_agent_streams_active", ()] == 0, "the visitors are gone")

    edge = samples(node.edge_metrics())
    assert edge["towonel_edge_connections_total", ()] == 2
    assert edge["towonel_edge_bytes_in_total", ()] == len(HELLO) + UP
    assert edge["towonel_edge_bytes_out_total", ()] == DOWN
    refused = {dict(labels)["reason"]: value for (name, labels), value in edge.items()
               if name == "towonel_edge_connections_refused_total" and value}
    assert refused == {"unknown_name": 1}
    assert edge["towonel_edge_agents_connected", ()] == 1
    assert edge["towonel_edge_hostnames", ()] == 1

    counted = samples(agent.metrics())
    assert counted["towonel_agent_streams_accepted_total", ()] == 1
    assert counted["towonel_agent_streams_completed_total", ()] == 1
    assert counted["towonel_agent_bytes_total", (("direction", "in"),)] == len(HELLO) + UP
    assert counted["towonel_agent_bytes_total", (("direction", "out"),)] == DOWN
    assert not any(value for (name, _), value in counted.items() if name == "towonel_agent_stream_errors_total")
    assert counted["towonel_agent_edge_connections_accepted_total", ()] == 1
    assert [value for (name, _), value in counted.items() if name == "towonel_agent_info"] == [1]

    # counted every few seconds
    hub = wait_until(lambda: (found := samples(node.hub_metrics()))["towonel_hub_tenants_total", ()] == 1 and found,
                     "the hub counts its tenant")
    assert hub["towonel_hub_entries_accepted_total", ()] >= 2  # the hostname and the agent
    requests = {labels: value for (name, labels), value in hub.items() if name == "towonel_hub_requests_total"}
    assert sum(value for labels, value in requests.items() if dict(labels)["status"].startswith("2")) >= 3


def test_metrics_tell_memory_and_descriptors(tunnel):
    """What every part's process takes, under the names that dashboards know."""
    node, agent, _ = tunnel
    for program, text in ((node, node.edge_metrics()), (node, node.hub_metrics()), (agent, agent.metrics())):
        found = samples(text)
        resident = found["process_resident_memory_bytes", ()]
        assert 0.5 < resident / (program.process.rss_kb() * 1024) < 2
        assert abs(found["process_open_fds", ()] - program.process.open_files()) < 10
