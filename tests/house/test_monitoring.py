# SPDX-License-Identifier: MIT
"""Alert rules and dashboards ask for what the programs tell, and for nothing else."""

import json
import re
import shutil

import pytest
import yaml

from house import ROOT, files, run
from support.towonel import Agent, Node

RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARDS = files("deploy/grafana/*.json")
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")

# What Prometheus itself knows of a target.
OURS = {"up": {}}
TARGET = {"job", "instance"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """{metric: {label: its values}} of a node and an agent that run; values are open when a label comes with traffic."""
    where = tmp_path_factory.mktemp("running")
    node = Node(where).start()
    agent = Agent(where, node.invite("app.example.eu"), [{"hostname": "app.example.eu", "origin": "127.0.0.1:9"}])
    try:
        agent.start()
        text = node.hub_metrics() + node.edge_metrics() + agent.metrics()
    finally:
        if agent.process:
            agent.kill()
        node.kill()
    known = {name: {} for name in re.findall(r"^# TYPE (\w+)", text, re.M)}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.M):
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            known[name].setdefault(label, set()).add(value)
    # Some are made when there is a first of the kind: then the manual page says which labels they have.
    for path in files("docs/man/towonel-*.8"):
        for name, labels in re.findall(r"^\.It Va (\w+)(?: Pq Va (.*))?$", path.read_text(), re.M):
            if name not in known or name == "towonel_hub_requests_total":
                known[name] = dict.fromkeys(re.findall(r"\w+", labels))
    return known | OURS


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries(path):
    dashboard = json.loads(path.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.fullmatch(r"label_values\((.*), instance\)", variable["query"]["query"]).group(1)


def check(expression, told):
    metrics = re.findall(r"\b((?:towonel|process)_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert metrics, expression
    labels = set(TARGET)
    for name, matchers in metrics:
        assert name in told, f"{name} in {expression}"
        labels |= set(told[name])
        for label, operator, value in re.findall(r'(\w+)\s*([=!]~?)\s*"([^"]*)"', matchers):
            assert label in TARGET | set(told[name]), f"{name} has no label {label}: {expression}"
            values = told[name].get(label)
            if label not in TARGET and values:
                for one in value.split("|"):
                    assert any(re.fullmatch(one, known) for known in values), f'{label}="{one}" never is: {expression}'
    for grouped in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression):
        for label in re.findall(r"\w+", grouped):
            assert label in labels, f"{label} in {expression}"
    return {name for name, _ in metrics}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_ask_for_what_there_is(rule, told):
    check(rule["expr"], told)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_ask_for_what_there_is(path, told):
    asked = set().union(*(check(query, told) for query in queries(path)))
    part = "agent" if "agent" in path.name else "edge"
    shown = {name for name in told if name.startswith(f"towonel_{part}_")}
    assert len(asked & shown) > len(shown) / 2, f"not shown: {shown - asked}"


def anchor(heading):
    """As the web sites that show Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule):
    path, _, section = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.M)
    assert section in {anchor(heading) for heading in headings}
    assert rule["annotations"]["summary"] and rule["annotations"]["description"]
    assert rule["labels"]["severity"] in ("page", "warning")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_are_whole(path):
    dashboard = json.loads(path.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and dashboard["uid"] == path.stem
    places = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in panels]
    assert places == sorted(set(places)) and all(x + panel["gridPos"]["w"] <= 24 for panel, (_, x) in zip(panels, places))
    known = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", path.read_text())) <= known | {"__all"}


@promtool
def test_promtool_takes_the_rules_and_the_configuration():
    assert "SUCCESS" in run("promtool", "check", "config", ROOT / "deploy/prometheus/prometheus.yml")
    run("promtool", "test", "rules", ROOT / "tests/house/alerts.yml")


@promtool
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_promtool_takes_the_dashboards_queries(path, tmp_path):
    asked = [query.replace("$__rate_interval", "1m") for query in queries(path)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [
        {"record": f"query:{number}", "expr": query} for number, query in enumerate(asked)]}]}))
    assert f"{len(asked)} rules found" in run("promtool", "check", "rules", file)
