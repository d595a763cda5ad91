# SPDX-License-Identifier: MIT
"""The hub's API as curl speaks it."""

import json
import os
import re
import tempfile

from .process import run


class Answer:
    def __init__(self, text):
        head, _, body = text.partition("\n\n")  # run() reads lines of any ending
        while head.startswith("HTTP/1.1 100"):
            head, _, body = body.partition("\n\n")
        lines = head.split("\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in
                        (line.partition(":") for line in lines[1:])}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


class Api:
    """Requests to a node's hub, as the operator unless key is given."""

    def __init__(self, node, key=None):
        self.node = node
        if key is None:
            with open(os.path.join(node.data_dir, "operator.key")) as file:
                key = file.read().strip()
        self.key = key

    def call(self, method, path, body=None, headers=(), arguments=(), url=None):
        argv = ["curl", "-sS", "-i", "-k", "--noproxy", "*", "--max-time", "20", "-X", method, *arguments]
        if self.key:
            argv += ["-H", f"Authorization: Bearer {self.key}"]
        for header in headers:
            argv += ["-H", header]
        with tempfile.TemporaryFile("w+") as file:
            if body is not None:
                argv += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
                file.write(body if isinstance(body, str) else json.dumps(body))
                file.seek(0)
            done = run([*argv, (url or self.node.hub_url) + path], stdin=file)
        assert done.returncode == 0, done.stderr
        return Answer(done.stdout)

    def storm(self, path, count):
        """The answers to so many requests through one connection, as fast as can be."""
        bearer = ["-H", f"Authorization: Bearer {self.key}"] if self.key else []
        done = run(["curl", "-sS", "-i", "-k", "--noproxy", "*", *bearer, "-w", "\n%{num_connects} made\n",
                    f"{self.node.hub_url}{path}?[1-{count}]"], check=True)
        return [Answer(text) for text in re.split(r"\n\d+ made\n", done.stdout)[:-1]]

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body, **more):
        return self.call("POST", path, body, **more)

    def patch(self, path, body, **more):
        return self.call("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)
