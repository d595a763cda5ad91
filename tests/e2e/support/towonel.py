# SPDX-License-Identifier: MIT
"""The three programs, with settings for a test: free ports on loopback, a directory of their own."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request

from .process import BUILD, PATIENCE, Orphan, Process, free_port, run, wait_until

# Of edges whose test does not say; None: as they come.
WORKERS = os.environ.get("EDGE_WORKERS")


# For visitors that are many and all come from one address.
UNLIMITED = {"TOWONEL_EDGE_CONNECTION_RATE": "0", "TOWONEL_EDGE_CONNECTIONS_PER_ADDRESS": "0"}


def http_get(url, timeout=5):
    """Status and body; 0 and the reason when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Node:
    """towonel-node: hub and edge. start() may be called again after kill() or stop()."""

    def __init__(self, directory, host="127.0.0.1", **env):
        self.directory = str(directory)
        self.data_dir = os.path.join(self.directory, "data")
        os.makedirs(self.data_dir, exist_ok=True)
        self.host = host
        self.url_host = f"[{host}]" if ":" in host else host
        self.hub_port, self.edge_port, self.tunnel_port, self.hub_health_port, self.edge_health_port = (
            free_port(host) for _ in range(5))
        at = self.url_host
        self.env = {
            "TOWONEL_DATA_DIR": self.data_dir,
            "TOWONEL_HUB_LISTEN_ADDR": f"{at}:{self.hub_port}",
            "TOWONEL_HUB_HEALTH_LISTEN_ADDR": f"{at}:{self.hub_health_port}",
            "TOWONEL_HUB_PUBLIC_URL": f"https://{at}:{self.hub_port}",
            "TOWONEL_EDGE_LISTEN_ADDR": f"{at}:{self.edge_port}",
            "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR": f"{at}:{self.tunnel_port}",
            "TOWONEL_EDGE_HEALTH_LISTEN_ADDR": f"{at}:{self.edge_health_port}",
            "TOWONEL_EDGE_PUBLIC_ADDRESSES": f"{at}:{self.tunnel_port}",
            "TOWONEL_LOG": "debug",
        }
        if WORKERS:
            self.env["TOWONEL_EDGE_WORKERS"] = WORKERS
        self.env.update(env)
        self.process, self.befores = None, []

    @property
    def tunnels(self):
        """How many each agent has to this edge."""
        return min(int(self.env.get("TOWONEL_EDGE_WORKERS", 1)), 4)

    @property
    def hub_url(self):
        return f"https://{self.url_host}:{self.hub_port}"

    def start(self, wait=True, preexec=None):
        self.process = Process([f"{BUILD}/towonel-node"], os.path.join(self.directory, "node.log"),
                               env=self.env, preexec=preexec)
        if wait:
            wait_until(self._ready, f"node is ready:\n{self.process.log()[-4000:]}")
        return self

    def take_over(self, **env):
        """Has another process take over from the one that runs. The exit status of the command; after a success
        process is the new one, and befores has those that it relieved."""
        env = {name: value for name, value in {**self.env, **env}.items() if value is not None}
        with open(self.process.log_path, "ab") as log:
            done = subprocess.run([f"{BUILD}/towonel-node", "--takeover"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=log, timeout=2 * PATIENCE,
                                  env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env})
        if done.returncode == 0:
            found = re.fullmatch(rb"towonel-node: process (\d+) has taken over from process (\d+)\n", done.stdout)
            assert int(found[2]) == self.process.pid
            self.befores.append(self.process)
            self.process = Orphan(self.process.argv, int(found[1]), self.process.log_path)
        return done.returncode

    def _ready(self):
        if not self.process.running():
            raise AssertionError(f"towonel-node ended with {self.process.popen.returncode}:\n"
                                 f"{self.process.log()[-4000:]}")
        return self.hub_ready()[0] == 200

    def hub_ready(self):
        return http_get(f"http://{self.url_host}:{self.hub_health_port}/readyz")

    def edge_ready(self):
        return http_get(f"http://{self.url_host}:{self.edge_health_port}/readyz")

    def hub_metrics(self):
        return http_get(f"http://{self.url_host}:{self.hub_health_port}/metrics")[1]

    def edge_metrics(self):
        return http_get(f"http://{self.url_host}:{self.edge_health_port}/metrics")[1]

    def towonel(self, *arguments, env=None, timeout=PATIENCE):
        """Runs the command line as the operator on this machine."""
        full = {"TOWONEL_DATA_DIR": self.data_dir, "TOWONEL_HUB_URL": self.hub_url}
        full.update(env or {})
        return run([f"{BUILD}/towonel", *arguments], env=full, timeout=timeout)

    def invite(self, *hostnames, name="alice", expires=None):
        """A token."""
        arguments = ["invite", "create", "--name", name, "--hostnames", ",".join(hostnames)]
        if expires:
            arguments += ["--expires", expires]
        done = self.towonel(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def invite_edge(self, name, *more):
        """A token."""
        done = self.towonel("edge-invite", "create", "--name", name, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def edges(self):
        """{name: what the operator is told}"""
        done = self.towonel("status", "--json")
        return {edge["name"]: edge for edge in json.loads(done.stdout)["edges"]}

    def invites(self):
        done = self.towonel("invite", "list", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["invites"]

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()


class Edge(Node):
    """towonel-node as an edge alone, by its token; without one, as env says."""

    def __init__(self, directory, token=None, host="127.0.0.1", **env):
        super().__init__(directory, host)
        self.env = {name: value for name, value in self.env.items() if "_HUB_" not in name}
        self.env.update(env)
        if token:
            self.env["TOWONEL_EDGE_INVITE_TOKEN"] = token

    def _ready(self):
        if not self.process.running():
            raise AssertionError(f"the edge ended with {self.process.popen.returncode}:\n"
                                 f"{self.process.log()[-4000:]}")
        return "no routes" not in self.edge_ready()[1] and self.edge_ready()[0] != 0


class Agent:
    """towonel-agent."""

    count = 0

    def __init__(self, directory, token, services=None, tcp=None, udp=None, host="127.0.0.1", **env):
        Agent.count += 1
        self.health_port = free_port()
        self.log_path = os.path.join(str(directory), f"agent{Agent.count}.log")
        self.env = {
            "TOWONEL_INVITE_TOKEN": token,
            "TOWONEL_AGENT_HEALTH_LISTEN_ADDR": f"127.0.0.1:{self.health_port}",
            "TOWONEL_LOG": "debug",
        }
        if services is not None:
            self.env["TOWONEL_AGENT_SERVICES"] = (
                services if isinstance(services, str) else json.dumps(services))
        if tcp is not None:
            self.env["TOWONEL_AGENT_TCP_SERVICES"] = tcp if isinstance(tcp, str) else json.dumps(tcp)
        if udp is not None:
            self.env["TOWONEL_AGENT_UDP_SERVICES"] = udp if isinstance(udp, str) else json.dumps(udp)
        self.env.update(env)
        self.process = None

    def start(self, wait=True, preexec=None):
        self.process = Process([f"{BUILD}/towonel-agent"], self.log_path, env=self.env, preexec=preexec)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=PATIENCE):
        def ready():
            if not self.process.running():
                raise AssertionError(f"towonel-agent ended with {self.process.popen.returncode}:\n"
                                     f"{self.process.log()[-4000:]}")
            return self.ready()[0] == 200
        wait_until(ready, f"agent is ready:\n{self.process.log()[-4000:]}", timeout)
        time.sleep(0.1)  # what the hub has taken is a moment on its way to the edge

    def ready(self):
        return http_get(f"http://127.0.0.1:{self.health_port}/readyz")

    def metrics(self):
        return http_get(f"http://127.0.0.1:{self.health_port}/metrics")[1]

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()
