# SPDX-License-Identifier: MIT
"""The main job: a node, an agent, nginx behind it, and curl in front."""

import pytest

from support.origins import curl

NAME = "app.alice.example.eu"


@pytest.fixture
def tunnel(make_node, make_agent, make_nginx):
    """Node, agent and nginx, joined."""
    nginx = make_nginx(NAME)
    node = make_node()
    token = node.invite(NAME, "*.alice.example.eu")
    agent = make_agent(token, [{"hostname": NAME, "origin": nginx.address}])
    return node, agent, nginx


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_reaches_nginx_with_its_own_certificate(tunnel, authority, version):
    node, _, nginx = tunnel
    done = curl(NAME, node.edge_port, version, cacert=authority.cert, path="/who")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "127.0.0.1\n"
    protocol = {"--http1.1": "HTTP/1.1", "--http2": "HTTP/2.0"}[version]
    nginx.wait_log(f'127.0.0.1 {NAME} {protocol} 200 "GET /who {protocol}"')
