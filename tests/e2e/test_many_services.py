# SPDX-License-Identifier: MIT
"""A tenant with more hostnames than fit a page of its log."""

import json

from support.process import wait_until

COUNT = 2300


def services(count):
    return [{"hostname": f"h{i}.many.example.eu", "origin": "127.0.0.1:1"} for i in range(count)]


def test_a_long_log_is_read_to_its_end(make_node, make_agent, tmp_path):
    node = make_node()
    token = node.invite("*.many.example.eu")
    # Too long for an environment variable: one string of it ends at 128 KiB.
    path = tmp_path / "services.json"

    def begin(count):
        path.write_text(json.dumps(services(count)))
        return make_agent(token, f"@{path}")

    first = begin(COUNT)
    first.process.wait_log(f"services are registered services={COUNT} changes={COUNT} refused=0")
    assert first.stop() == 0

    second = begin(COUNT - 1)
    second.process.wait_log(f"services are registered services={COUNT - 1} changes=1 refused=0")
    wait_until(lambda: second.ready()[0] == 200, "the second agent serves")
