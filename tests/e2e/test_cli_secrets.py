# SPDX-License-Identifier: MIT
"""Secrets are in no log, no error message, no process list, and not left in the environment."""

import os
import socket

import pytest

from support.api import Api
from support.lines import Origin, visit
from support.process import BUILD, Process

NAME = "app.alice.example.eu"


def test_no_secret_shows_anywhere(make_node, make_agent, stack):
    origin = Origin("origin")
    stack.callback(origin.close)
    hash_key = "5ec2e7" + "ab" * 29
    node = make_node(TOWONEL_LOG="trace", TOWONEL_INVITE_HASH_KEY=hash_key)
    token = node.invite(NAME, "*.alice.example.eu")
    _, _, secret, seed = token.split(".")
    operator = Api(node).key
    secrets = [operator, secret, seed, hash_key, token]

    agent = make_agent(token, [origin.service(NAME), origin.service("x.other.example.eu")], TOWONEL_LOG="trace")
    assert visit(node.edge_port, NAME) == "origin"
    said = []
    for arguments in (["invite", "list"], ["invite", "list", "--json"], ["invite", "create", "--hostnames", NAME],
                      ["invite", "revoke", "--id", "A" * 22], ["invite", "list", "--hub-url", "https://127.0.0.1:1"]):
        done = node.towonel(*arguments, env={"TOWONEL_OPERATOR_KEY": operator})
        said.append(done.stdout + done.stderr)
    api = Api(node)
    for path in ("/v1/invites", "/v1/tenants", "/v1/health", "/v1/edges", "/v1/audit", f"/v1/invites/{secret}",
                 f"/v1/audit?tenant_id={seed}", f"/v1/audit?limit={secret}"):
        said.append(api.get(path).body)
    # what is wrong with a request is told without what it holds
    for body in (f'{{"invite_id":"x","invite_secret":"{secret}"', f'{{"invite_secret":"{secret}"}} {token}', f'"{token}"',
                 {"invite_id": "A" * 22, "invite_secret": secret}, {"invite_id": token, "invite_secret": secret},
                 {"invite_id": "A" * 22, "invite_secret": token}):
        for path in ("/v1/bootstrap", "/v1/invites", "/v1/entries"):
            answer = api.post(path, body)
            assert answer.status in (400, 401)
            said.append(answer.body)
    stranger = Api(node, key="")
    for header in (f"Authorization: Basic {operator}", f"Authorization: Bearer {operator}x", f"X-Key: {operator}"):
        said.append(stranger.get("/v1/invites", headers=[header]).body)
    node.kill()
    node.start()
    agent.process.wait_log("tunnel is up", count=2)

    for process in (node.process, agent.process):
        for name in ("environ", "cmdline"):
            with open(f"/proc/{process.pid}/{name}", "rb") as file:
                said.append(file.read().decode(errors="replace"))
        assert "TOWONEL_LOG" in said[-2]  # it is the program's environment that was read
    said += [node.hub_metrics(), node.edge_metrics(), agent.metrics()]
    assert agent.stop() == 0 and node.stop() == 0
    said += [node.process.log(), agent.process.log()]
    for text in said:
        for value in secrets:
            assert value not in text
    for folder, _, files in os.walk(node.data_dir):
        files = [name for name in files if os.path.isfile(os.path.join(folder, name))]  # and no socket
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                stored = file.read()
            assert secret.encode() not in stored and seed.encode() not in stored, name


@pytest.mark.parametrize("command, option", [(["invite", "list"], "--api-key"), (["tenant", "leave"], "--token"),
                                             (["entry", "list"], "--token=")])
def test_no_secret_stays_in_the_process_list(tmp_path, stack, command, option):
    secret = "S" * 42 + "A"
    value = secret
    if "token" in option:
        hub = "aHR0cHM6Ly9odWIuZXhhbXBsZS5ldTo4NDQzI2Q3NWE5ODAxODJiMTBhYjdkNTRiZmVkM2M5NjQwNzNhMGVlMTcyZjNkYWE2MjMyNWFmMDIxYTY4ZjcwNzUxMWE"
        secret = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
        value = f"tt_inv_2_{hub}.AAECAwQFBgcICQoLDA0ODw.{secret}.{secret}"
    with socket.socket() as silent:  # a hub that takes the connection and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        given = [option + value] if option.endswith("=") else [option, value]
        url = f"https://127.0.0.1:{silent.getsockname()[1]}#{'ab' * 32}"
        process = Process([f"{BUILD}/towonel", *command, "--hub-url", url, *given], tmp_path / "cli.log", cwd=tmp_path)
        stack.callback(process.kill)
        silent.settimeout(30)
        connection, _ = silent.accept()
        with open(f"/proc/{process.pid}/cmdline") as file:
            line = file.read()
        assert secret not in line and option.rstrip("=") in line
        connection.close()
