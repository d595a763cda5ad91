# SPDX-License-Identifier: MIT
"""The main job with the hub's state in PostgreSQL, which goes away and comes back meanwhile."""

import json
import shutil

import pytest

from support.api import Api
from support.docs import block, sections, settings
from support.netns import Namespace, needs_namespaces
from support.origins import curl
from support.postgres import ENCODED, PASSWORD, Postgres, programs, tells_password
from support.process import wait_until

pytestmark = pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")

NAME = "app.alice.example.eu"


@pytest.fixture
def postgres(tmp_path, stack):
    server = Postgres(tmp_path / "postgres.log")
    stack.callback(server.close)
    return server.start()


def on(postgres):
    return {"TOWONEL_HUB_DB_DRIVER": "postgres", "TOWONEL_HUB_DB_DSN": postgres.dsn}


def works(node, authority, name=NAME):
    done = curl(name, node.edge_port, cacert=authority.cert, path="/who")
    return done.returncode == 0 and done.stdout == "127.0.0.1\n"


def test_the_main_job(postgres, make_node, make_agent, make_nginx, authority):
    nginx = make_nginx(NAME)
    node = make_node(**on(postgres))
    token = node.invite(NAME)
    make_agent(token, [{"hostname": NAME, "origin": nginx.address}])
    assert works(node, authority)
    assert postgres.ask("SELECT pattern FROM hostnames") == NAME

    # the server goes: the hub says so, and traffic goes on
    postgres.stop()
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub says that its store is gone")
    assert "store: " in node.hub_ready()[1]
    refused = node.towonel("invite", "create", "--name", "bob", "--hostnames", "b.eu")
    assert refused.returncode == 1
    assert "database" in refused.stderr
    assert node.towonel("invite", "list").returncode == 1
    assert works(node, authority)

    # it comes back: so does the hub
    postgres.start()
    wait_until(lambda: node.hub_ready()[0] == 200, "the hub has its store again")
    node.invite("b.eu", name="bob")
    assert works(node, authority)

    # nothing that was acknowledged needs an orderly end of either
    postgres.kill()
    node.kill()
    postgres.start()
    node.start()
    assert {invite["name"] for invite in node.invites()} == {"alice", "bob"}
    wait_until(lambda: works(node, authority), "the agent is back")
    assert not tells_password(node.process.log())
    assert "the database fails" in node.process.log()


def test_two_nodes_on_one_database(postgres, make_node, make_agent, make_nginx, authority):
    """What one hub accepts, the other has, and its edge too."""
    one, two = (make_node(name=name, **on(postgres)) for name in ("one", "two"))
    nginx = make_nginx(NAME, "b.eu")
    token = one.invite(NAME, "b.eu")
    make_agent(token, [{"hostname": NAME, "origin": nginx.address}])
    assert works(one, authority)
    wait_until(lambda: works(two, authority), "the agent has learnt of the other hub's edge")
    assert len(one.edges()) == len(two.edges()) == 2
    assert all(edge["live"] for edge in one.edges().values())
    assert [invite["name"] for invite in two.invites()] == ["alice"]
    assert two.towonel("invite", "revoke", "--id", one.invites()[0]["invite_id"]).returncode == 0
    # said to the other hub, heard by this one's edge
    wait_until(lambda: not works(one, authority), "the revoked tenant is cut off", 5)
    assert not works(two, authority)


def test_an_edge_follows_one_of_two_hubs(postgres, make_node, make_edge, make_agent, make_nginx, authority):
    one, two = (make_node(name=name, **on(postgres)) for name in ("one", "two"))
    edge = make_edge(one.invite_edge("fra"))
    wait_until(lambda: "fra" in two.edges(), "the other hub lists the edge")
    make_agent(two.invite(NAME), [{"hostname": NAME, "origin": make_nginx(NAME).address}])
    wait_until(lambda: works(edge, authority), "what the other hub accepted works at the edge")
    one.kill()
    assert works(edge, authority) and works(two, authority)
    two.towonel("edge-invite", "revoke", "--id", json.loads(
        two.towonel("edge-invite", "list", "--json").stdout)["invites"][0]["invite_id"])
    one.start()
    assert edge.process.wait(60) == 2


@pytest.mark.parametrize("dsn, says", [
    (None, "TOWONEL_HUB_DB_DSN"),
    (f"postgres://towonel:{PASSWORD}@127.0.0.1/towonel", "percent-encoding"),
    ("/var/lib/towonel/hub.db", "postgres://"),
])
def test_what_is_wrong_with_the_dsn_is_said_without_it(make_node, dsn, says):
    node = make_node(start=False, TOWONEL_HUB_DB_DRIVER="postgres", TOWONEL_HUB_DB_DSN=dsn)
    node.start(wait=False)
    assert node.process.wait() == 2
    assert "TOWONEL_HUB_DB_DSN" in node.process.log()
    assert says in node.process.log()
    assert not tells_password(node.process.log())


def test_a_dsn_for_the_wrong_driver_is_not_taken_for_a_file(make_node, tmp_path):
    dsn = f"postgres://towonel:{ENCODED}@127.0.0.1/towonel"
    node = make_node(start=False, TOWONEL_HUB_DB_DSN=dsn)
    node.start(wait=False)
    assert node.process.wait() == 2
    assert "postgres" in node.process.log()
    assert not tells_password(node.process.log())


def test_a_wrong_password_is_not_repeated(postgres, make_node):
    dsn = postgres.dsn.replace(ENCODED, "hunter2hunter2")
    node = make_node(start=False, TOWONEL_HUB_DB_DRIVER="postgres", TOWONEL_HUB_DB_DSN=dsn)
    node.start(wait=False)
    assert node.process.wait() == 2
    assert "password authentication failed" in node.process.log()
    assert "hunter2" not in node.process.log()


def test_a_database_that_is_not_there_is_told(postgres, make_node):
    node = make_node(start=False, TOWONEL_HUB_DB_DRIVER="postgres", TOWONEL_HUB_DB_DSN=postgres.dsn + "_of_another")
    node.start(wait=False)
    assert node.process.wait() == 2
    assert 'database "postgres_of_another" does not exist' in node.process.log()
    assert not tells_password(node.process.log())


def test_a_server_that_comes_later_is_waited_for(make_node, make_agent, tmp_path, stack):
    server = Postgres(tmp_path / "postgres.log")
    stack.callback(server.close)
    node = make_node(start=False, **on(server))
    node.start(wait=False)
    node.process.wait_log("the database does not answer: the hub waits for it")
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub listens")
    wait_until(lambda: "Connection refused" in node.hub_ready()[1], "the hub says why it is not ready")
    api = Api(node)
    assert api.get("/v1/health").status == 200
    for answer in (api.get("/v1/invites"), api.post("/v1/invites", {"hostnames": ["x.example.eu"]})):
        assert answer.status == 503 and answer.code == "unavailable"
    server.start()
    wait_until(lambda: node.hub_ready()[0] == 200, "the hub is ready")
    token = node.invite("app.example.eu")
    make_agent(token, [{"hostname": "app.example.eu", "origin": "127.0.0.1:9"}])
    assert not tells_password(node.process.log())


def test_a_node_that_waits_can_be_stopped(make_node, tmp_path, stack):
    server = Postgres(tmp_path / "postgres.log")
    stack.callback(server.close)
    node = make_node(start=False, **on(server))
    node.start(wait=False)
    node.process.wait_log("the hub waits for it")
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub listens")
    assert node.stop() == 0


def test_a_newer_database_is_refused(postgres, make_node):
    node = make_node(**on(postgres))
    node.stop()
    postgres.ask("UPDATE meta SET value = value + 1 WHERE key = 'schema'")
    node.start(wait=False)
    assert node.process.wait() == 2
    assert "newer version" in node.process.log()
    assert not tells_password(node.process.log())


def test_connections_are_made_when_needed(postgres, make_node):
    node = make_node(TOWONEL_HUB_DB_MAX_OPEN_CONNS="2", **on(postgres))
    for _ in range(8):
        node.invites()
    count = int(postgres.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towonel'"))
    assert 2 <= count <= 3


@needs_namespaces
def test_the_settings_of_the_readme(make_node, authority, stack, tmp_path):
    """To the letter: its host, its port, its password, and a certificate that is verified."""
    told = settings(block(sections("README.md")["The hub's database"]))
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost db.example.eu\n")
    home = tmp_path / "home"
    (home / ".postgresql").mkdir(parents=True)
    shutil.copy(authority.cert, home / ".postgresql/root.crt")  # where libpq looks
    with Namespace(stack) as host:
        host.bind(hosts, "/etc/hosts")
        postgres = Postgres(tmp_path / "postgres.log", port=5432, tls=authority.issue("db.example.eu"))
        stack.callback(postgres.close)
        postgres.start()
        postgres.ask("CREATE DATABASE towonel")
        postgres.ask("SET password_encryption = 'scram-sha-256'; ALTER ROLE towonel PASSWORD 'PASSWORD'")
        node = make_node(start=False, HOME=home, **told)
        node.start(wait=False, preexec=host.preexec)
        wait_until(node._ready, "the hub has its store")
        assert node.invite(NAME)
        assert "PASSWORD" not in node.process.log()
