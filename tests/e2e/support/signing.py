# SPDX-License-Identifier: MIT
"""Keys of a test's own, that sign what no program of ours would."""

import base64
import json
import os
import subprocess
import time

from .process import BUILD

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def build_tool(directory):
    """Compiles sign_tool against the library that was built."""
    program = os.path.join(str(directory), "sign_tool")
    subprocess.run([os.environ.get("CC", "gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror",
                    *os.environ.get("TOWONEL_SANITIZE", "").split(), f"-I{ROOT}/libtowonel-wire/include",
                    "-o", program, f"{ROOT}/tests/e2e/sign_tool.c", f"-L{BUILD}", "-ltowonel-wire",
                    f"-Wl,-rpath,{BUILD}"], check=True)
    return program


def now_ms():
    return int(time.time() * 1000)


class Key:
    """The keys of one seed: a node's (Ed25519) and a tenant's (ML-DSA-65)."""

    def __init__(self, tool, seed=None):
        self.tool = tool
        self.seed = seed or base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        self.node_id, self.tenant_id = self._run("ids").split()
        self.sequence = 0

    @classmethod
    def of_token(cls, tool, token):
        return cls(tool, token.split(".")[-1])

    def _run(self, *words, data=""):
        return subprocess.run([self.tool, self.seed, *words], input=data, text=True, capture_output=True,
                              check=True, timeout=30).stdout.strip()

    def payload(self, op, **members):
        """An entry before it is signed; members replace what is usual."""
        self.sequence += 1
        return {"version": 1, "tenant_id": self.tenant_id, "sequence": self.sequence, "timestamp_ms": now_ms(),
                "op": op, **members}

    def sign(self, payload):
        return self.sign_all([payload])[0]

    def sign_all(self, payloads):
        return [json.loads(line) for line in self._run("jws", data="\n".join(map(json.dumps, payloads))).splitlines()]

    def entry(self, op, **members):
        return self.sign(self.payload(op, **members))

    def agent_entry(self, agent, services_hash="a" * 64, generation=1, life_ms=600000):
        return self.entry("upsert_agent", agent_id=agent.node_id, generation=generation, services_hash=services_hash,
                          expires_at_ms=now_ms() + life_ms)

    def header(self, domain, body="", at_ms=None, tenant=False):
        """The Authorization header of a signed request."""
        kind = "tenant-request" if tenant else "node-request"
        return "Authorization: " + self._run(kind, domain, str(at_ms or now_ms()), data=body)
