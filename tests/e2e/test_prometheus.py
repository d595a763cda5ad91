# SPDX-License-Identifier: MIT
"""Prometheus itself, with the configuration and the rules that are shipped, on a node and an agent that run."""

import json
import os
import re
import shutil
import urllib.parse

import pytest

from support.docs import ROOT
from support.lines import Origin, visit
from support.netns import Namespace, needs_namespaces
from support.process import Process, free_port, wait_until
from support.towonel import http_get

NAME = "app.alice.example.eu"
SHIPPED = os.path.join(ROOT, "deploy/prometheus")
pytestmark = [needs_namespaces, pytest.mark.skipif(not shutil.which("prometheus"), reason="needs prometheus")]


class Prometheus:
    def __init__(self, directory, stack):
        shutil.copy(f"{SHIPPED}/alerts.yml", directory)
        with open(f"{SHIPPED}/prometheus.yml") as file:
            (directory / "prometheus.yml").write_text(file.read().replace("15s", "1s"))
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        process = Process(["prometheus", f"--config.file={directory}/prometheus.yml", "--log.level=warn",
                           f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"],
                          directory / "prometheus.log")
        stack.callback(process.kill)
        wait_until(lambda: http_get(f"{self._url}/-/ready")[0] == 200, f"Prometheus is up: {process.log()}")

    def get(self, path, **query):
        status, text = http_get(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        assert status == 200, text
        return json.loads(text)["data"]

    def query(self, expression):
        """[({label: value}, value)]"""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=expression)["result"]]

    def up(self):
        return {labels["job"]: value for labels, value in self.query("up")}


def dashboard_queries(name):
    with open(f"{ROOT}/deploy/grafana/{name}.json") as file:
        panels = json.load(file)["panels"]
    for panel in panels:
        for target in panel.get("targets", []):
            yield re.sub(r"\$(edge|hub|agent)\b", ".*", target["expr"].replace("$__rate_interval", "5s"))


def test_a_node_and_an_agent(make_node, make_agent, stack, tmp_path):
    with Namespace(stack):
        node = make_node(start=False, TOWONEL_HUB_HEALTH_LISTEN_ADDR="127.0.0.1:9091",
                         TOWONEL_EDGE_HEALTH_LISTEN_ADDR="127.0.0.1:9090")
        node.hub_health_port, node.edge_health_port = 9091, 9090
        node.start()
        origin = Origin("origin")
        stack.callback(origin.close)
        agent = make_agent(node.invite(NAME), [origin.service(NAME)], start=False,
                           TOWONEL_AGENT_HEALTH_LISTEN_ADDR="127.0.0.1:9092")
        agent.health_port = 9092
        agent.start()
        prometheus = Prometheus(tmp_path, stack)
        wait_until(lambda: prometheus.up() == {"towonel-hub": 1, "towonel-edge": 1, "towonel-agent": 1}, "all are heard")

        def visited():
            assert visit(node.edge_port, NAME) == "origin"
            return prometheus.query("sum(increase(towonel_edge_connections_total[5s])) > 0")
        wait_until(visited, "it counts visitors")

        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert len(rules) > 10
        wait_until(lambda: {rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]}
                   == {"ok"}, "each rule can be told")
        assert prometheus.get("alerts")["alerts"] == []
        # Those that show only what is above 0 may have nothing to show.
        asked = [query for name in ("towonel-node", "towonel-agent") for query in dashboard_queries(name)
                 if "> 0" not in query]
        assert len(asked) > 40
        wait_until(lambda: visited() and all(map(prometheus.query, asked)), "the dashboards have what they show",
                   interval=0.5)

        agent.stop()
        wait_until(lambda: {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]} >=
                   {"TowonelDown", "TowonelEdgeWithoutAgents"}, "it is noticed")
