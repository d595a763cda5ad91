# SPDX-License-Identifier: MIT
"""A hub, edges and agents on hosts of their own, and visitors who come all the time, whatever happens."""

import contextlib
import os
import sys
import threading
import time

from .lines import Origin, visit
from .netns import Router
from .process import Process, end, metric, wait_until
from .towonel import Agent, Edge, Node

NAME = "app.alice.example.eu"


class Placed:
    """A program on a host: what is asked of it is asked there."""

    def __init__(self, host, make):
        self.host = host
        self.preexec = None
        with host:
            self._program = make()

    def __getattr__(self, name):
        value = getattr(self._program, name)
        if not callable(value):
            return value

        def there(*arguments, **more):
            if name == "start":
                more["preexec"] = self.preexec
            with self.host:
                return value(*arguments, **more)
        return there

    def again(self):
        """Killed without a word, and started again at once."""
        self.kill()
        self.start(wait=False)


class World:
    """One hub, and as many edges and agents as are wanted; agents are replicas, each with an origin beside it."""

    def __init__(self, directory, stack, edges=1, agents=1, behind_nat=False, mtu=1500, weather=(), names=False,
                 env_of=None, **agent_settings):
        self.directory, self.stack = str(directory), stack
        os.makedirs(self.directory, exist_ok=True)
        self.router = Router(stack)
        self._names, self._env_of = names, env_of or (lambda name: {})
        self.hub = self.place("hub", lambda host: Node(
            self.at("hub"), host=host.address, **self._env_of("hub"), TOWONEL_EDGE_ENABLED="false"))
        if names:
            self._name()
        self.hub.start()
        self.edges = [self.place(f"edge{number}", lambda host: Edge(
            self.at(host.name), self.hub.invite_edge(host.name), host=host.address, **self._env_of(host.name)))
            for number in range(edges)]
        if weather:
            self._expose(weather)
        for edge in self.edges:
            if names:
                edge.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"] = f"edge.test:{edge.tunnel_port}"
            edge.start(wait=False)
        self.home = self.router.home("home") if behind_nat else None
        self.token = self.hub.invite(NAME)
        wait_until(lambda: sum(edge["live"] for edge in self.hub.edges().values()) == edges, "the hub knows the edges")
        self.agents = [self.place_agent(f"agent{number}", mtu, **agent_settings) for number in range(agents)]
        for agent in self.agents:
            agent.start(wait=False)
        for agent in self.agents:
            wait_until(lambda at=agent: metric(at.metrics(), "towonel_agent_tunnels") == edges, "the tunnels are up")

    def at(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def place(self, name, make, **more):
        host = self.router.host(name, **more)
        return self._placed(host, lambda: make(host))

    def _placed(self, host, make):
        placed = Placed(host, make)
        if self._names and host.name != "hub":
            host.bind(os.path.join(self.directory, "resolv.conf"), "/etc/resolv.conf")
            placed.preexec = host.preexec
        self.stack.callback(end, placed)
        return placed

    def place_agent(self, name, mtu=1500, **more):
        host = (self.home or self.router).host(name, mtu=mtu)
        with host:
            origin = Origin("origin", 8080)
        self.stack.callback(origin.close)
        return self._placed(host, lambda: Agent(self.at(name), self.token, [origin.service(NAME)],
                                                **self._env_of(name), **more))

    def _name(self):
        """Who speaks of the hub speaks of hub.test, of which a name server tells; it can be cut off."""
        self.dns = self.router.host("dns")
        config = os.path.join(self.at("dns"), "unbound.conf")
        with open(config, "w") as file:
            file.write(f"""server:
    interface: {self.dns.address}
    access-control: 0.0.0.0/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    local-zone: "test." static
    local-data: "hub.test. 1 IN A {self.hub.host.address}"
    local-data: "edge.test. 1 IN A {self.router.prefix}.3.2"
""")
        with open(os.path.join(self.directory, "resolv.conf"), "w") as file:
            file.write(f"nameserver {self.dns.address}\noptions timeout:1 attempts:1\n")
        with self.dns:
            server = Process(["/usr/sbin/unbound", "-d", "-c", config], os.path.join(self.at("dns"), "unbound.log"))
        self.stack.callback(server.kill)
        self.hub.env["TOWONEL_HUB_PUBLIC_URL"] = f"https://hub.test:{self.hub.hub_port}"

    def _expose(self, weather):
        """Agents reach the edge by a relay that does to packets what it is told."""
        host = self.router.host("weather")
        at = f"{host.address}:{self.edge.tunnel_port}"
        with host:
            relay = Process([sys.executable, os.path.join(os.path.dirname(__file__), "relay.py"), self.edge.tunnel_port,
                             self.edge.tunnel_port, "--host", host.address, "--target-host", self.edge.host.address,
                             *weather], os.path.join(self.at("weather"), "relay.log"))
        self.stack.callback(relay.kill)
        self.edge.env["TOWONEL_EDGE_PUBLIC_ADDRESSES"] = at

    @property
    def edge(self):
        return self.edges[0]

    @property
    def agent(self):
        return self.agents[0]

    def visitors(self, **more):
        return Visitors(self.stack, self.router.host("visitors"),
                        [(edge.host.address, edge.edge_port) for edge in self.edges], **more)


class Visitors:
    """Each visits again and again, a new connection each time; where one edge fails, the next one is tried if asked
    to. Every visit that fails is noted, with its time."""

    def __init__(self, stack, host, edges, count=3, every=0.2, tries=1, patience=15):
        self.host, self.edges, self.every, self.tries, self.patience = host, edges, every, tries, patience
        self._visits = [[] for _ in range(count)]  # of each: (begin, error or None)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()
        stack.callback(self.go)
        self.flow_within(30, time.monotonic())

    def _come(self, number):
        with self.host:
            while not self._over.wait(self.every):
                begin, error = time.monotonic(), None
                for attempt in range(self.tries):
                    error = self._visit(*self.edges[(number + attempt) % len(self.edges)])
                    if error is None:
                        break
                self._visits[number].append((begin, error))

    def _visit(self, address, port):
        try:
            found = visit(port, NAME, host=address, timeout=self.patience)
            return None if found == "origin" else f"alert {found}"
        except OSError as error:
            return repr(error)

    def flow_within(self, seconds, since):
        """Waits until all of them get through, each three times in a row; fails if the first of those visits began
        later than so many seconds since then. How many it took."""
        def healed():
            begins = []
            for visits in self._visits:
                last = [begin for begin, error in visits[-3:] if error is None and begin >= since]
                if len(last) < 3:
                    return None
                at = len(visits) - 3
                while at > 0 and visits[at - 1][1] is None and visits[at - 1][0] >= since:
                    at -= 1
                begins.append(visits[at][0])
            return max(begins)
        took = wait_until(healed, f"visitors get through within {seconds} s; last:\n{self.failures()[-10:]}",
                          seconds + 3 * self.patience) - since
        print(f"flows again after {took:.1f} s ({seconds} allowed)")
        assert took <= seconds, f"it took {took:.1f} s, not {seconds}:\n{self.failures()[-10:]}"
        return took

    def failures(self, since=0.0):
        return [(round(begin - since, 2), error) for visits in list(self._visits) for begin, error in list(visits)
                if error is not None and begin >= since]

    def count(self, since=0.0):
        return sum(begin >= since for visits in list(self._visits) for begin, _ in list(visits))

    def go(self):
        self._over.set()
        for thread in self._threads:
            thread.join()


def at_once(directory, *scenarios):
    """Runs scenarios side by side, each with a directory and a stack of its own. All are run to their end, and what
    failed is told of together."""
    failed = {}

    def play(scenario):
        try:
            with contextlib.ExitStack() as stack:
                scenario(os.path.join(str(directory), scenario.__name__), stack)
        except BaseException as error:
            failed[scenario.__name__] = error

    threads = [threading.Thread(target=play, args=(scenario,)) for scenario in scenarios]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        told = ", ".join(f"{name}: {error}" for name, error in failed.items())
        raise AssertionError(told) from next(iter(failed.values()))
