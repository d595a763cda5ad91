# SPDX-License-Identifier: MIT
"""TCP services: the agent declares a public port, the edge binds, moves and releases it."""

import json
import socket
import threading

from support.greeter import greeted
from support.process import PATIENCE, free_port, wait_until


def service(name, origin, port, **more):
    return {"name": name, "origin": origin.address, "listen_port": port, **more}


def test_a_port_leads_to_its_origin(make_node, make_agent, make_greeter):
    node, port, proxied = make_node(), free_port(), free_port()
    make_agent(node.invite("a.eu"), tcp=[
        service("greeter", make_greeter("hello"), port),
        service("proxied", make_greeter("hello", proxy=True), proxied, proxy_protocol="v2")])
    wait_until(lambda: greeted(port) == "hello", "the port is bound")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        stream = sock.makefile("rwb")
        assert stream.readline() == b"hello\n"
        sent = bytes(range(256)) * 4000
        threading.Thread(target=lambda: (sock.sendall(sent), sock.shutdown(socket.SHUT_WR)), daemon=True).start()
        assert stream.read() == sent
    with socket.create_connection(("127.0.0.1", proxied), timeout=PATIENCE) as sock:
        own = "%s %d" % sock.getsockname()
        assert sock.makefile().readline().strip() == f"hello {own}"


def test_a_port_moves_and_goes_with_the_environment(make_node, make_agent, make_greeter):
    node, before, after = make_node(), free_port(), free_port()
    origin = make_greeter("hello")
    agent = make_agent(node.invite("a.eu"), tcp=[service("greeter", origin, before),
                                                 service("other", origin, free_port())])
    wait_until(lambda: greeted(before) == "hello", "the first port is bound")
    agent.stop()
    agent.env["TOWONEL_AGENT_TCP_SERVICES"] = json.dumps([service("greeter", origin, after)])
    agent.start()
    wait_until(lambda: greeted(after) == "hello", "the second port is bound")
    wait_until(lambda: greeted(before) is None, "the first port is released")


def test_a_port_of_another_tenant_is_refused_by_name(make_node, make_agent, make_greeter):
    node, port, own = make_node(), free_port(), free_port()
    make_agent(node.invite("a.eu", name="alice"), tcp=[service("ssh", make_greeter("alice"), port)])
    wait_until(lambda: greeted(port) == "alice", "alice has the port")
    origin = make_greeter("bob")
    bob = make_agent(node.invite("b.eu", name="bob"), wait=False,
                     tcp=[service("ssh", origin, port), service("mail", origin, own),
                          service("hub", origin, node.hub_port)])
    bob.process.wait_log(f"port {port}/tcp is taken by service \\\"ssh\\\" of tenant \\\"alice\\\"")
    bob.process.wait_log(f"port {node.hub_port}/tcp is taken by the host of the tunnel itself")
    wait_until(lambda: greeted(own) == "bob", "the port that is free is bob's")
    assert greeted(port) == "alice"
