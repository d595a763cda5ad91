# SPDX-License-Identifier: MIT
"""The command line: what it prints where, how it finds the hub and the key, and its exit codes."""

import json
import os
import re

import pytest

from support.api import Api
from support.process import BUILD, free_port, run

CLI = f"{BUILD}/towonel"
TOKEN = re.compile(r"tt_inv_2_[\w-]+\.[\w-]{22}\.[\w-]{43}\.[\w-]{43}")


@pytest.fixture(scope="module")
def module_node(tmp_path_factory):
    from support.towonel import Node
    node = Node(tmp_path_factory.mktemp("cli")).start()
    yield node
    node.kill()


@pytest.fixture
def node(module_node):
    yield module_node
    for invite in [invite for invite in module_node.invites() if invite["status"] != "revoked"]:
        module_node.towonel("invite", "revoke", "--id", invite["invite_id"])


def operator_key(node):
    with open(os.path.join(node.data_dir, "operator.key")) as file:
        return file.read().strip()


# --- help and usage ---------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, wanted", [
    (["--help"], ["invite create", "invite list", "invite revoke", "serve", "--hub-url", "TOWONEL_OPERATOR_KEY"]),
    (["-h"], ["invite create"]),
    (["invite", "--help"], ["invite create", "invite list", "invite revoke"]),
    (["admin", "invite", "--help"], ["invite create"]),
    (["invite", "create", "--help"], ["--hostnames", "--expires", "--json", "--api-key"]),
    (["invite", "list", "--help"], ["List invites", "--json"]),
    (["admin", "invite", "revoke", "--help"], ["--id"]),
    (["serve", "--help"], ["towonel-node", "TOWONEL_HUB_LISTEN_ADDR"]),
    (["--version"], ["towonel "]),
])
def test_help_is_on_standard_output(arguments, wanted):
    done = run([CLI, *arguments])
    assert done.returncode == 0 and done.stderr == ""
    for text in wanted:
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.parametrize("program", ["towonel-node", "towonel-agent"])
def test_programs_tell_about_themselves(program):
    done = run([f"{BUILD}/{program}", "--help"])
    assert done.returncode == 0 and "TOWONEL_LOG" in done.stdout and "Exit status" in done.stdout
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", run([f"{BUILD}/{program}", "--version"]).stdout)


@pytest.mark.parametrize("arguments, wanted", [
    (["admin"], "admin"),
    (["invite"], "invite"),
    (["frobnicate"], "frobnicate"),
    (["frobnicate", "--help"], "frobnicate"),
    (["invite", "frobnicate"], "invite frobnicate"),
    (["--json", "invite", "list"], "--json"),
    (["invite", "list", "--frobnicate"], "--frobnicate"),
    (["invite", "list", "-x"], "-x"),
    (["invite", "list", "more"], "more"),
    (["invite", "create"], "--hostnames"),
    (["invite", "create", "--hostnames"], "--hostnames"),
    (["invite", "create", "--hostnames", " , "], "--hostnames"),
    (["invite", "create", "--hostnames", "a.example.eu", "--expires", "soon"], "soon"),
    (["invite", "create", "--hostnames", "a.example.eu", "--expires", "-1h"], "-1h"),
    (["invite", "create", "--hostnames", "a.example.eu", "--expires", "31d"], "30d"),
    (["invite", "create", "--hostnames", "a.example.eu,caf\udce9.example.eu"], "--hostnames is not UTF-8"),
    (["invite", "create", "--hostnames", "a.example.eu", "--name", "\udcff"], "--name is not UTF-8"),
    (["invite", "hostnames", "--id", "A" * 22, "--add", "a.example.eu,\udcff"], "--add is not UTF-8"),
    (["edge-invite", "create", "--name", "\udcff"], "--name is not UTF-8"),
    (["port", "reserve", "--tenant-id", "0" * 64, "--protocol", "tcp", "--label", "\udcff"], "--label is not UTF-8"),
    (["invite", "revoke"], "--id"),
    (["invite", "revoke", "--id", "../../x"], "../../x"),
    (["invite", "list", "--hub-url", "http://127.0.0.1:1"], "--hub-url"),
    (["invite", "list", "--hub-url", "https://127.0.0.1:1#abc"], "--hub-url"),
    (["serve", "now"], "now"),
])
def test_wrong_usage_is_told_with_exit_code_2(arguments, wanted, tmp_path):
    done = run([CLI, *arguments], cwd=tmp_path, env={"TOWONEL_OPERATOR_KEY": "k" * 43})
    assert done.returncode == 2, done.stderr
    assert wanted in done.stderr.splitlines()[0] and done.stdout == ""


# --- invites ----------------------------------------------------------------------------------


def test_create_list_and_revoke(node):
    done = node.towonel("invite", "create", "--name", "alice", "--hostnames", "app.a.example.eu, *.A.example.eu")
    assert done.returncode == 0
    assert TOKEN.fullmatch(done.stdout.strip()) and done.stdout.endswith("\n")
    assert "alice" in done.stderr and "never" in done.stderr and done.stdout.strip() not in done.stderr
    timed = node.towonel("admin", "invite", "create", "--hostnames", "b.example.eu", "--expires", "48h", "--json")
    document = json.loads(timed.stdout)
    assert timed.stderr == "" and TOKEN.fullmatch(document["token"]) and document["expires_at_ms"] > 0
    assert document["name"]

    listed = node.towonel("invite", "list")
    assert listed.returncode == 0 and listed.stderr == ""
    head, *rows = listed.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "STATUS", "CREATED", "EXPIRES", "HOSTNAMES"]
    assert len(rows) == 2
    row = next(row for row in rows if "alice" in row)
    assert row.index("alice") == head.index("NAME")
    assert "*.a.example.eu,app.a.example.eu" in row and "never" in row
    everything = json.loads(node.towonel("invite", "list", "--json").stdout)["invites"]
    assert {invite["name"] for invite in everything} == {"alice", document["name"]}
    assert "token" not in everything[0]

    alice = next(invite for invite in everything if invite["name"] == "alice")
    revoked = node.towonel("invite", "revoke", "--id", alice["invite_id"])
    assert revoked.returncode == 0 and "Revoked" in revoked.stdout
    again = node.towonel("invite", "revoke", "--id", alice["invite_id"])
    assert again.returncode == 1 and again.stdout == "" and len(again.stderr.splitlines()) == 1
    done = node.towonel("invite", "revoke", "--json", "--id", document["invite_id"])
    assert json.loads(done.stdout)["status"] == "revoked"
    live = [invite for invite in node.invites() if invite["status"] != "revoked"]
    assert live == []


def test_a_long_list_comes_whole(node):
    api = Api(node)
    for number in range(120):
        assert api.post("/v1/invites", {"hostnames": [f"n{number}.many.example.eu"]}).status in (200, 201)
    assert len(node.invites()) >= 120
    assert len(node.towonel("invite", "list").stdout.splitlines()) >= 121


def test_an_empty_list_says_what_to_do(make_node):
    node = make_node()
    done = node.towonel("invite", "list")
    assert done.returncode == 0 and "towonel invite create" in done.stdout
    assert json.loads(node.towonel("invite", "list", "--json").stdout) == {"invites": []}


@pytest.mark.parametrize("hostnames", ["a", "*.eu", "*", "a.*.example.eu", "a_b..eu", "-a.example.eu", "x" * 300])
def test_hostnames_that_are_none_are_refused_by_the_hub(node, hostnames):
    done = node.towonel("invite", "create", "--hostnames", hostnames)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_output_that_cannot_be_written_is_a_failure(node):
    with open("/dev/full", "w") as full:
        import subprocess
        done = subprocess.run([CLI, "invite", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              env={"TOWONEL_DATA_DIR": node.data_dir, "TOWONEL_HUB_URL": node.hub_url})
    assert done.returncode == 1 and "standard output" in done.stderr


# --- where the hub is, and whose key it has ---------------------------------------------------


def test_the_hub_is_found_by_option_variable_and_local_address(node, tmp_path):
    key = {"TOWONEL_OPERATOR_KEY": operator_key(node)}
    node_id = Api(node).get("/v1/health").json["node_id"]
    pinned = f"{node.hub_url}#{node_id}"
    here = {"cwd": tmp_path}
    assert run([CLI, "invite", "list", "--hub-url", pinned], env=key, **here).returncode == 0
    assert run([CLI, "invite", "list"], env={**key, "TOWONEL_HUB_URL": pinned}, **here).returncode == 0
    # The option wins.
    assert run([CLI, "invite", "list", "--hub-url", pinned],
               env={**key, "TOWONEL_HUB_URL": "https://127.0.0.1:1"}, **here).returncode == 0
    # On the node's own machine nothing need be said.
    assert run([CLI, "invite", "list"], **here, env={
        "TOWONEL_DATA_DIR": node.data_dir, "TOWONEL_HUB_LISTEN_ADDR": f"0.0.0.0:{node.hub_port}"}).returncode == 0
    # Without the id, and without the node's key at hand, a certificate that nobody signed is not trusted.
    done = run([CLI, "invite", "list", "--hub-url", node.hub_url], env=key, **here)
    assert done.returncode == 1 and "certificate" in done.stderr and len(done.stderr.splitlines()) == 1
    # Another id than the hub's: both are named.
    other = "0" * 63 + "1"
    done = run([CLI, "invite", "list", "--hub-url", f"{node.hub_url}#{other}"], env=key, **here)
    assert done.returncode == 1 and other in done.stderr and node_id in done.stderr


def test_a_hub_that_is_down_is_told_in_a_sentence(node):
    url = f"https://127.0.0.1:{free_port()}"
    done = node.towonel("invite", "list", "--hub-url", url)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert url in done.stderr and "does not answer" in done.stderr


# --- the operator's key -----------------------------------------------------------------------


def test_the_key_is_found_by_option_variable_and_file(node, tmp_path):
    key = operator_key(node)
    url = f"{node.hub_url}#{Api(node).get('/v1/health').json['node_id']}"

    def code(*arguments, cwd=tmp_path, **env):
        return run([CLI, "invite", "list", "--hub-url", url, *arguments], cwd=cwd, env=env).returncode
    assert code("--api-key", key) == 0
    assert code(TOWONEL_OPERATOR_KEY=key) == 0
    assert code(TOWONEL_DATA_DIR=node.data_dir) == 0
    assert code(cwd=node.data_dir) == 0
    assert code("--api-key", key, TOWONEL_OPERATOR_KEY="wrong") == 0
    assert code(TOWONEL_OPERATOR_KEY=key, TOWONEL_DATA_DIR="/dev/null/data") == 0
    assert code() == 2


@pytest.mark.parametrize("key", ["wrong", "A" * 43, "x" * 5000, "two words", "line\nbreak: 1"])
def test_a_wrong_key_is_refused_and_not_repeated(node, key):
    done = node.towonel("invite", "list", env={"TOWONEL_OPERATOR_KEY": key})
    assert done.returncode in (1, 2) and done.stdout == ""
    assert "operator key" in done.stderr and key not in done.stderr


def test_no_key_says_where_it_was_looked_for(tmp_path):
    done = run([CLI, "invite", "list"], cwd=tmp_path)
    assert done.returncode == 2 and "TOWONEL_OPERATOR_KEY" in done.stderr and "operator.key" in done.stderr


# --- towonel as the node ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["serve"], ["admin", "serve"]])
def test_towonel_runs_the_node(make_node, arguments, tmp_path, stack):
    from support.process import Process, wait_until
    node = make_node(start=False)
    node.process = Process([CLI, *arguments], tmp_path / "node.log", env=node.env)
    wait_until(node._ready, "the node is ready")
    assert node.stop() == 0
