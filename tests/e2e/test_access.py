# SPDX-License-Identifier: MIT
"""Who may come: allow_from and deny_from of services, from the agent's settings to what a visitor sees."""

import json
import signal

import pytest

from support.origins import curl
from support.process import free_port, metric, wait_until
from support.terminated import put_certificate, terminated
from support.udp import ask, service, udp_socket
from support.visitors import client_hello, dial, read_alert

NAME = "app.alice.example.eu"
ALERT_ACCESS_DENIED = 49


def refused(node, series="connections"):
    return metric(node.edge_metrics(), f"towonel_edge_{series}_refused_total", reason="denied")


def alert_of(port, name, source):
    with dial(port, source=source) as visitor:
        visitor.sendall(client_hello(name))
        return read_alert(visitor)


def test_https_in_passthrough(make_tunnel, make_nginx, authority):
    nginx = make_nginx(NAME)
    node, agent = make_tunnel({NAME: {"origin": nginx.address, "allow_from": ["127.0.0.0/29", "2001:db8::/32"],
                                      "deny_from": ["127.0.0.6"]}})

    def visit(source):
        return curl(NAME, node.edge_port, "--interface", source, cacert=authority.cert, path="/who")

    assert visit("127.0.0.5").stdout == "127.0.0.5\n"
    for count, outsider in enumerate(("127.0.0.6", "127.0.0.8", "127.1.0.1"), start=1):
        done = visit(outsider)
        assert done.returncode == 35 and "access denied" in done.stderr, done.stderr
        assert refused(node) == count
    assert alert_of(node.edge_port, NAME, "127.0.0.9") == ALERT_ACCESS_DENIED
    assert metric(agent.metrics(), "towonel_agent_streams_accepted_total") == 1
    assert "keep a visitor out" in node.process.log()
    service_of = json.loads(node.towonel("status", "--json").stdout)["tenants"][0]["services"][0]
    assert service_of["allow_from"] == ["127.0.0.0/29", "2001:db8::/32"] and service_of["deny_from"] == ["127.0.0.6"]
    assert "2 networks but 1" in node.towonel("status").stdout


def test_where_tls_ends_at_the_edge(make_tunnel, make_nginx, authority):
    """A page says so; without a certificate an alert does, and nobody is asked for one."""
    nginx = make_nginx(NAME, tls=False, http2=True, proxy_protocol=False)
    node, _ = make_tunnel({name: terminated(nginx.address, deny_from=["127.0.0.2"], **more)
                           for name, more in ((NAME, {"origin_protocol": "h2c"}), ("other.example.eu", {}))})
    for name in (NAME, "other.example.eu"):
        assert alert_of(node.edge_port, name, "127.0.0.2") == ALERT_ACCESS_DENIED
    put_certificate(node, authority, NAME)

    def visit(source):
        return curl(NAME, node.edge_port, "--interface", source, "--http2", "-w", "%{http_code}",
                    cacert=authority.cert, path="/who")

    wait_until(lambda: visit("127.0.0.1").stdout == "127.0.0.1\n200", "the certificate is seen")
    done = visit("127.0.0.2")
    assert done.returncode == 0 and done.stdout.endswith("403"), done.stderr
    assert refused(node) == 3


def test_tcp_and_udp(make_node, make_agent, make_greeter, make_udp_origin, tmp_path):
    node, tcp_port, udp_port = make_node(), free_port(), free_port()
    greeter, origin = make_greeter("hello"), make_udp_origin()
    services = tmp_path / "tcp.json"

    def declare(**lists):
        services.write_text(json.dumps([{"name": "greeter", "origin": greeter.address, "listen_port": tcp_port,
                                         **lists}]))

    declare(deny_from=["127.0.0.2"])
    agent = make_agent(node.invite("a.eu"), tcp=f"@{services}",
                       udp=[service(origin, udp_port, allow_from=["127.0.0.3"])])
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 2, "the ports are bound")

    def greeted(source):
        try:
            with dial(tcp_port, source=source) as visitor:
                return visitor.recv(6) == b"hello\n"
        except ConnectionResetError:
            return False

    assert greeted("127.0.0.1") and not greeted("127.0.0.2") and refused(node) == 1
    with udp_socket("127.0.0.3") as insider, udp_socket("127.0.0.4") as outsider:
        assert ask(udp_port, sock=insider) == b"hello"
        assert ask(udp_port, sock=outsider, timeout=0.3) is None
    assert refused(node, "udp_sessions") == 1 and len(origin.peers) == 1
    # a list that changes holds for those who come next
    with dial(tcp_port, source="127.0.0.1") as inside:
        assert inside.recv(6) == b"hello\n"
        declare(allow_from=["127.0.0.2"])
        agent.process.signal(signal.SIGHUP)
        wait_until(lambda: greeted("127.0.0.2") and not greeted("127.0.0.1"), "the new list is in force")
        inside.sendall(b"still")
        assert inside.recv(5) == b"still"


def test_an_edge_remembers_without_its_hub(make_node, make_edge, make_agent, make_nginx, authority):
    nginx = make_nginx(NAME)
    node = make_node(TOWONEL_EDGE_ENABLED="false")
    edge = make_edge(node.invite_edge("far"))
    make_agent(node.invite(NAME), [{"hostname": NAME, "origin": nginx.address, "deny_from": ["127.0.0.2"]}])

    def visit(source):
        return curl(NAME, edge.edge_port, "--interface", source, cacert=authority.cert, path="/who")

    wait_until(lambda: visit("127.0.0.1").stdout == "127.0.0.1\n", "the edge serves")
    assert visit("127.0.0.2").returncode == 35
    node.kill()
    edge.stop()
    edge.start()
    wait_until(lambda: visit("127.0.0.1").stdout == "127.0.0.1\n", "the edge serves from its copy")
    done = visit("127.0.0.2")
    assert done.returncode == 35 and "access denied" in done.stderr, done.stderr


@pytest.mark.parametrize("fields, why", [({"allow_from": []}, '"allow_from" has nobody'),
                                         ({"deny_from": ["10.0.0.1/8"]}, "the network is 10.0.0.0/8")])
def test_a_mistake_stops_the_start(make_agent, make_node, fields, why):
    agent = make_agent(make_node().invite(NAME), [{"hostname": NAME, "origin": "127.0.0.1:1", **fields}], start=False)
    agent.start(wait=False)
    assert agent.process.wait(20) == 2 and why in agent.process.log()


def test_entries_carry_lists(make_node, tmp_path):
    node = make_node()
    token = node.invite("*.a.eu")

    def submit(*arguments):
        return node.towonel("entry", "submit", "--token", token, *arguments)

    done = submit("--op", "upsert_tcp_service", "--name", "ssh", "--listen-port", "22022", "--allow-from",
                  "192.0.2.0/24,2001:db8::/32", "--deny-from", "192.0.2.7")
    assert done.returncode == 0, done.stderr
    port = json.loads(node.towonel("port", "list", "--json").stdout)["ports"][0]
    assert port["allow_from"] == ["192.0.2.0/24", "2001:db8::/32"] and port["deny_from"] == ["192.0.2.7"]
    assert submit("--op", "upsert_hostname", "--hostname", "x.a.eu", "--deny-from", "::/0").returncode == 0
    tenant = json.loads(node.towonel("tenant", "list", "--json").stdout)["tenants"][0]
    assert tenant["hostname_access"] == [{"hostname": "x.a.eu", "allow_from": [], "deny_from": ["::/0"]}]
    for arguments, why in ((["--allow-from", ""], "has nobody"), (["--deny-from", "x"], "neither an address")):
        done = submit("--op", "upsert_hostname", "--hostname", "x.a.eu", *arguments)
        assert done.returncode == 2 and why in done.stderr
    assert submit("--op", "delete_hostname", "--hostname", "x.a.eu", "--allow-from", "::1").returncode == 2
