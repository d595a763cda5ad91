# SPDX-License-Identifier: MIT
"""Fixtures: each test gets programs of its own, and everything that it starts ends with it."""

import contextlib
import os

import pytest

from support import own_network
from support.greeter import Greeter
from support.origins import Authority, Haproxy, Nginx
from support.process import end, free_port, free_ports, metric, wait_until
from support.raw_origin import RawOrigin
from support.towonel import Agent, Edge, Node
from support.udp import UdpOrigin, service


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        own_network.enter()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def stack():
    """What is pushed here is ended, last first, whatever happens."""
    with contextlib.ExitStack() as exits:
        yield exits


@pytest.fixture
def make_node(tmp_path, stack):
    def make(start=True, name="node", **options):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        node = Node(directory, **options)
        stack.callback(end, node)
        return node.start() if start else node
    return make


@pytest.fixture
def make_edge(tmp_path, stack):
    def make(token=None, start=True, name="edge", **options):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        edge = Edge(directory, token, **options)
        stack.callback(end, edge)
        return edge.start() if start else edge
    return make


@pytest.fixture
def make_agent(tmp_path, stack):
    def make(token, services=None, start=True, wait=True, **options):
        agent = Agent(tmp_path, token, services, **options)
        stack.callback(end, agent)
        return agent.start(wait) if start else agent
    return make


@pytest.fixture
def make_nginx(tmp_path, authority, stack):
    def make(*names, **options):
        nginx = Nginx(tmp_path, authority, names, **options)
        stack.callback(lambda: nginx.process.running() and nginx.stop())
        return nginx
    return make


@pytest.fixture
def make_tunnel(make_node, make_agent):
    """A node and an agent that serves {hostname: origin address, or the fields of a service}."""
    def make(services, **node_options):
        node = make_node(**node_options)
        declared = [{"hostname": name, **({"origin": what} if isinstance(what, str) else what)}
                    for name, what in services.items()]
        agent = make_agent(node.invite(*services), declared)
        # The hub answers the agent a moment before the edge has the names.
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_hostnames") == len(services),
                   "the edge has the hostnames")
        return node, agent
    return make


@pytest.fixture
def make_udp_origin(stack):
    def make(*arguments, **options):
        origin = UdpOrigin(*arguments, **options)
        stack.callback(origin.close)
        return origin
    return make


@pytest.fixture
def make_udp_tunnel(make_node, make_agent):
    """A node, an agent and the first public port of one UDP service."""
    def make(origin, node_options=None, **fields):
        count = fields.get("ports", 1)
        node, port = make_node(**(node_options or {})), free_port() if count == 1 else free_ports(count)
        agent = make_agent(node.invite("a.eu"), udp=[service(origin, port, **fields)])
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == count, "the ports are bound")
        return node, agent, port
    return make


@pytest.fixture
def make_haproxy(tmp_path, authority, stack):
    def make(*names):
        haproxy = Haproxy(tmp_path, authority, names)
        stack.callback(haproxy.stop)
        return haproxy
    return make


@pytest.fixture
def make_raw_origin(stack):
    def make(serve, **options):
        origin = RawOrigin(serve, **options)
        stack.callback(origin.close)
        return origin
    return make


@pytest.fixture
def make_greeter(stack):
    def make(greeting, **options):
        greeter = Greeter(greeting, **options)
        stack.callback(greeter.close)
        return greeter
    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the ends of the logs of what the test ran."""
    outcome = yield
    report = outcome.get_result()
    directory = item.funcargs.get("tmp_path") if hasattr(item, "funcargs") else None
    if report.when != "call" or not report.failed or not directory:
        return
    for folder, _, files in os.walk(directory):
        for name in sorted(files):
            if name.endswith(".log"):
                with open(os.path.join(folder, name), errors="replace") as file:
                    text = file.read()[-6000:]
                if text:
                    report.sections.append((os.path.join(folder, name), text))
