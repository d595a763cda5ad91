# SPDX-License-Identifier: MIT
"""Ranges of ports: declared as one service, claimed whole, and each port leads to the origin's as far on."""

import json
import os
import signal
import socket

import pytest

from support.greeter import greeted
from support.process import PATIENCE, free_port, free_ports, metric, wait_until
from support.udp import ask, udp_socket

COUNT = 16


class Origins:
    """So many listeners in a row; each greets with its own port, then repeats what it hears."""

    def __init__(self, count, make_greeter):
        self.first = free_ports(count)
        for port in range(self.first, self.first + count):
            make_greeter(str(port), port=port)

    def service(self, name, listen_port, count, skip=0, **more):
        return {"name": name, "origin": f"127.0.0.1:{self.first + skip}", "listen_port": listen_port, "ports": count,
                **more}


def leads(first, count, origin):
    """Does each port lead to the origin as far on?"""
    return [greeted(first + i) for i in range(count)] == [str(origin + i) for i in range(count)]


@pytest.fixture
def origins(make_greeter):
    return Origins(COUNT, make_greeter)


def test_each_port_of_a_range_leads_to_its_own(make_node, make_agent, origins, tmp_path):
    node = make_node()
    token, first, elsewhere = node.invite("a.eu"), free_ports(COUNT + 4), free_ports(COUNT)
    path = os.path.join(tmp_path, "tcp.json")

    def write(*services):
        with open(path, "w") as file:
            json.dump(services, file)

    def bound(count):
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == count, f"{count} ports are bound")

    write(origins.service("game", first, COUNT))
    agent = make_agent(token, tcp=f"@{path}")
    bound(COUNT)
    assert leads(first, COUNT, origins.first)
    node.process.wait_log(f"ports are bound port={first} last={first + COUNT - 1} protocol=tcp service=game")
    assert "port is bound" not in node.process.log()
    with socket.create_connection(("127.0.0.1", first + 3), timeout=PATIENCE) as stays:
        lines = stays.makefile("rw")
        assert lines.readline().strip() == str(origins.first + 3)

        # Four on: those in common stay where they are, and lead to other origins now.
        write(origins.service("game", first + 4, COUNT))
        agent.process.signal(signal.SIGHUP)
        wait_until(lambda: greeted(first) is None and greeted(first + COUNT + 3), "the range has moved on")
        assert leads(first + 4, COUNT, origins.first)
        assert [greeted(first + i) for i in range(4)] == [None] * 4

        # Shrunk, with another service on what it gives up.
        write(origins.service("game", first + 4, 4), origins.service("other", first + 8, 4, skip=12))
        agent.process.signal(signal.SIGHUP)
        bound(8)
        wait_until(lambda: greeted(first + 8) == str(origins.first + 12), "the other service has its ports")
        assert leads(first + 4, 4, origins.first) and leads(first + 8, 4, origins.first + 12)

        # The two swap.
        write(origins.service("other", first + 4, 4, skip=12), origins.service("game", first + 8, 4))
        agent.process.signal(signal.SIGHUP)
        wait_until(lambda: greeted(first + 4) == str(origins.first + 12), "the services have swapped")
        assert leads(first + 8, 4, origins.first) and leads(first + 4, 4, origins.first + 12)

        # Elsewhere altogether.
        write(origins.service("game", elsewhere, COUNT))
        agent.process.signal(signal.SIGHUP)
        bound(COUNT)
        wait_until(lambda: greeted(elsewhere), "the range is elsewhere")
        assert leads(elsewhere, COUNT, origins.first)
        lines.write("still here\n")
        lines.flush()
        assert lines.readline() == "still here\n"
    assert "refuses" not in agent.process.log()


def test_a_range_that_meets_another_tenants_is_refused_whole(make_node, make_agent, origins):
    node, first, own = make_node(), free_ports(2 * COUNT), free_ports(2)
    make_agent(node.invite("a.eu", name="alice"), tcp=[origins.service("game", first, COUNT)])
    wait_until(lambda: greeted(first), "alice has the range")
    bob = make_agent(node.invite("b.eu", name="bob"), wait=False,
                     tcp=[origins.service("media", first + COUNT - 1, 8), origins.service("mail", own, 2, skip=4)])
    bob.process.wait_log(f"port {first + COUNT - 1}/tcp is taken by service \\\"game\\\" of tenant \\\"alice\\\"")
    wait_until(lambda: greeted(own + 1), "bob's other service works")
    assert leads(own, 2, origins.first + 4)
    assert greeted(first + COUNT) is None
    assert leads(first, COUNT, origins.first)


def test_a_reserved_port_waits_for_its_tenant(make_node, make_agent, origins):
    node, first = make_node(), free_ports(4)
    alice, bob = node.invite("a.eu", name="alice"), node.invite("b.eu", name="bob")
    tenant = next(invite["tenant_id"] for invite in node.invites() if invite["name"] == "alice")
    done = node.towonel("port", "reserve", "--tenant-id", tenant, "--protocol", "tcp", "--port", str(first + 2))
    assert done.returncode == 0, done.stderr
    second = make_agent(bob, wait=False, tcp=[origins.service("game", first, 4)])
    second.process.wait_log(f"port {first + 2}/tcp is reserved for tenant \\\"alice\\\"")
    second.stop()
    make_agent(alice, tcp=[origins.service("game", first, 4)])
    wait_until(lambda: greeted(first), "alice has the range")
    assert leads(first, 4, origins.first)


def told(node, protocol, port):
    """The operator learns which port it is, and why."""
    wait_until(lambda: node.edges()["local"]["failed_ports"] == [
        {"protocol": protocol, "port": port, "reason": "address in use"}], "the hub knows")
    why = f"port {port}/{protocol} cannot be bound on edge local: address in use"
    wait_until(lambda: why in node.towonel("status").stdout, "and says so")


def test_a_port_that_cannot_be_bound_is_told_and_does_no_harm(make_node, make_agent, origins):
    node, first = make_node(), free_ports(4)
    with socket.create_server(("127.0.0.1", first + 1)) as in_the_way:
        make_agent(node.invite("a.eu"), tcp=[origins.service("game", first, 4)])
        wait_until(lambda: greeted(first), "the first port is bound")
        node.process.wait_log("port cannot be bound")
        assert [greeted(first + i) for i in (0, 2, 3)] == [str(origins.first + i) for i in (0, 2, 3)]
        assert metric(node.edge_metrics(), "towonel_edge_ports_failed") == 1
        told(node, "tcp", first + 1)
        in_the_way.close()
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_failed") == 0, "the port is bound after all")
    assert leads(first, 4, origins.first)
    wait_until(lambda: node.edges()["local"]["failed_ports"] == [], "the hub knows")


def test_tcp_and_udp_of_one_number_are_two_ports(make_node, make_agent, make_greeter, make_udp_origin, tmp_path):
    node, port = make_node(), free_port()
    path = os.path.join(tmp_path, "tcp.json")
    tcp = [{"name": "dns", "origin": make_greeter("tcp").address, "listen_port": port}]
    udp = [{"name": "dns", "origin": make_udp_origin(lambda data, _: data + b" by udp").address, "listen_port": port}]
    with open(path, "w") as file:
        json.dump(tcp, file)
    agent = make_agent(node.invite("a.eu", name="alice"), tcp=f"@{path}", udp=udp)
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 2, "both ports are bound")
    assert greeted(port) == "tcp" and ask(port, b"asked") == b"asked by udp"
    ports = json.loads(node.towonel("port", "list", "--json").stdout)["ports"]
    assert [(one["port"], one["protocol"], one["service"]) for one in ports] == [(port, "tcp", "dns"), (port, "udp", "dns")]

    # Another tenant gets neither.
    bob = make_agent(node.invite("b.eu", name="bob"), wait=False, tcp=tcp, udp=udp)
    for protocol in ("tcp", "udp"):
        bob.process.wait_log(f"port {port}/{protocol} is taken by service \\\"dns\\\" of tenant \\\"alice\\\"")
    bob.stop()

    # One goes, the other stays.
    with open(path, "w") as file:
        file.write("[]")
    agent.process.signal(signal.SIGHUP)
    wait_until(lambda: greeted(port) is None, "the TCP port is released")
    assert ask(port, b"asked") == b"asked by udp"


def test_a_udp_port_that_cannot_be_bound_is_told_and_does_no_harm(make_node, make_agent, make_udp_origin):
    node, first = make_node(), free_ports(2)
    origin = make_udp_origin(lambda data, _: data)
    with udp_socket(port=first) as in_the_way:
        make_agent(node.invite("a.eu"), udp=[{"name": name, "origin": origin.address, "listen_port": first + number}
                                             for number, name in enumerate(("taken", "free"))])
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1, "the free port is bound")
        node.process.wait_log("port cannot be bound")
        assert metric(node.edge_metrics(), "towonel_edge_ports_failed") == 1
        assert ask(first + 1, b"hello") == b"hello"
        told(node, "udp", first)
        in_the_way.close()
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_failed") == 0, "the port is bound after all")
    assert ask(first, b"hello") == b"hello"
