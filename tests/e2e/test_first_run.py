# SPDX-License-Identifier: MIT
"""What a node says when it is new: once, and what it says can be done as it stands there."""

import json
import re

from support.process import BUILD, run


def told(node):
    return node.process.log().partition("What comes next:\n")[2]


def test_a_new_node_says_what_comes_next_and_then_never_again(make_node):
    node = make_node(TOWONEL_EDGE_PUBLIC_ADDRESSES="edge.example.eu:443",
                     TOWONEL_HUB_PUBLIC_URL="https://hub.example.eu")
    node.process.wait_log("does not work yet and why")
    text = told(node)
    for port, protocol in ((node.edge_port, "tcp"), (node.tunnel_port, "udp"), (node.hub_port, "tcp")):
        assert re.search(rf"^ +{port}/{protocol}  ", text, re.M), text
    here = "A  THE-PUBLIC-ADDRESS-OF-THIS-HOST"  # it knows none but loopback's
    assert f"     hub.example.eu  {here}\n     edge.example.eu  {here}\n" in text
    assert "     app.example.eu  CNAME  edge.example.eu\n" in text
    command = re.search(r"^ +(TOWONEL_DATA_DIR=.* towonel invite create .*)$", text, re.M).group(1)
    done = run(["sh", "-euc", command], env={"PATH": f"{BUILD}:/usr/bin:/bin", "TOWONEL_HUB_URL": node.hub_url})
    assert done.stdout.startswith("tt_inv_2_"), done.stderr
    node.stop()
    node.start()
    node.stop()
    assert node.process.log().count("What comes next:") == 1


def test_a_public_address_is_in_the_records(make_node):
    node = make_node(TOWONEL_EDGE_PUBLIC_ADDRESSES="8.8.4.4:443", TOWONEL_EDGE_TLS_ACME_EMAIL="me@example.eu",
                     TOWONEL_EDGE_TLS_ACME_DIRECTORY="https://127.0.0.1:1/",
                     TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR="127.0.0.1:0")
    node.process.wait_log("does not work yet and why")
    assert "     app.example.eu  A  8.8.4.4\n" in told(node)
    assert "/tcp  certificates on demand\n" in told(node)


def test_in_a_log_of_json_it_is_one_line(make_node):
    node = make_node(TOWONEL_LOG_FORMAT="json")
    node.process.wait_log("first run")
    lines = [json.loads(line) for line in node.process.log().splitlines()]
    assert ["1. Open these ports" in line["next"] for line in lines if "next" in line] == [True]


def test_one_that_cannot_start_says_so_too(make_node):
    """The keys are made by then: it would never be said."""
    other = make_node()
    node = make_node(name="second", start=False, TOWONEL_EDGE_LISTEN_ADDR=f"127.0.0.1:{other.edge_port}")
    node.start(wait=False)
    assert node.process.wait() == 2
    assert "What comes next:" in node.process.log()
    assert "TOWONEL_EDGE_LISTEN_ADDR" in node.process.log().splitlines()[-1]
