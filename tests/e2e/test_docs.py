# SPDX-License-Identifier: MIT
"""What the guides tell people to do, done."""

import os
import re

import pytest
import yaml

from support.origins import curl
from support.process import BUILD, Process, free_port, metric, run, wait_until

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")
NAME = "app.alice.example.eu"


def sections(guide):
    """{heading: text}"""
    with open(os.path.join(DOCS, guide)) as file:
        parts = re.split(r"^## (.*)$", file.read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def block(text, language):
    return re.search(rf"^```{language}\n(.*?)^```$", text, re.M | re.S).group(1)


RECIPES = sections("recipes.md")
OPERATIONS = sections("operations.md")


def settings(recipe):
    """The agent's settings, with ports of the test's own."""
    found = re.findall(r"^(TOWONEL_\w+)='(.*)'$", block(RECIPES[recipe], "sh"), re.M)
    return {name: re.sub(r'(?<="listen_port":)\d+', lambda match: str(free_port()), value) for name, value in found}


@pytest.mark.parametrize("recipe", RECIPES)
def test_services_of_a_recipe(make_node, make_agent, recipe):
    env = settings(recipe)
    assert env
    node = make_node()
    make_agent(node.invite("*.alice.example.eu"), **env)
    ports = sum(value.count('"listen_port"') for value in env.values())
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == ports, "the ports are bound")


@pytest.mark.parametrize("recipe", [name for name, text in RECIPES.items() if "```yaml" in text])
def test_yaml_of_a_recipe(recipe):
    assert yaml.safe_load(block(RECIPES[recipe], "yaml"))


def serve(make_node, make_agent, recipe, port):
    node = make_node()
    (name, value), = settings(recipe).items()
    make_agent(node.invite("*.alice.example.eu"), **{name: value.replace("8443", str(port))})
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_hostnames") == 1, "the edge has the hostname")
    return node


def test_nginx(make_node, make_agent, stack, authority, tmp_path):
    port, (cert, key) = free_port(), authority.issue(NAME)
    server = block(RECIPES["nginx"], "nginx").replace("8443", str(port))
    server = server.replace("/etc/ssl/app.crt", cert).replace("/etc/ssl/app.key", key)
    paths = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n"
                    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{server}}}\n")
    nginx = Process(["/usr/sbin/nginx", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"], tmp_path / "log")
    stack.callback(nginx.kill)
    node = serve(make_node, make_agent, "nginx", port)
    done = wait_until(lambda: (answer := curl(NAME, node.edge_port, "--interface", "127.0.0.7",
                                              cacert=authority.cert)).returncode == 0 and answer, "nginx answers")
    assert done.stdout == "127.0.0.7\n"


def test_haproxy(make_node, make_agent, stack, authority, tmp_path):
    port, bundle = free_port(), tmp_path / "app.pem"
    bundle.write_text("".join(open(path).read() for path in authority.issue(NAME)))
    config = tmp_path / "haproxy.cfg"
    config.write_text(block(RECIPES["HAProxy"], "haproxy").replace("8443", str(port)).replace("/etc/ssl/app.pem",
                                                                                             str(bundle)))
    haproxy = Process(["/usr/sbin/haproxy", "-db", "-f", config], tmp_path / "haproxy.log")
    stack.callback(haproxy.kill)
    node = serve(make_node, make_agent, "HAProxy", port)
    done = wait_until(lambda: (answer := curl(NAME, node.edge_port, "--interface", "127.0.0.7",
                                              cacert=authority.cert)).returncode == 0 and answer, "HAProxy answers")
    assert done.stdout == "127.0.0.7\n"


def test_backup_and_restore(make_node, make_agent, tmp_path):
    node = make_node()
    token = node.invite(NAME)
    backup = tmp_path / "backup"
    backup.mkdir()
    env = {"TOWONEL_DATA_DIR": node.data_dir, "BACKUP": backup}
    run(["bash", "-euc", block(OPERATIONS["Backup"], "sh")], env=env, check=True)
    node.stop()
    os.rename(node.data_dir, node.data_dir + ".lost")
    run(["bash", "-euc", block(OPERATIONS["Restore"], "sh")], env=env, check=True)
    node.start()
    assert [invite["hostnames"] for invite in node.invites()] == [[NAME]]
    make_agent(token, [{"hostname": NAME, "origin": "127.0.0.1:9"}])  # ready: hub and edge know it


def test_is_it_well(make_node):
    node = make_node()
    env = {"TOWONEL_DATA_DIR": node.data_dir, "TOWONEL_HUB_URL": node.hub_url,
           "PATH": f"{BUILD}:{os.environ['PATH']}"}
    command = block(OPERATIONS["Is it well?"], "sh")
    assert run(["bash", "-euc", command], env=env).returncode == 0
    node.stop()
    assert run(["bash", "-euc", command], env=env).returncode == 1


def test_the_doctor(make_node):
    node = make_node()
    with open(os.path.join(DOCS, "troubleshooting.md")) as file:
        command = block(file.read(), "sh")
    env = {**node.env, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    assert run(["bash", "-euc", command], env=env).returncode == 0
    node.stop()
    assert run(["bash", "-euc", command], env=env).returncode == 1
