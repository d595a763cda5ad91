# SPDX-License-Identifier: MIT
"""The images, made without an engine, each step of the Dockerfile done in a Debian of its own, and by podman; and what
compose.yaml tells people to do, done with them."""

import contextlib
import json
import os
import re
import shlex
import shutil

import pytest
import yaml

from support.debian import LONG, PATH, Debian, running_release
from support.lines import Origin, visit
from support.containers import Podman
from support.netns import Namespace, needs_namespaces
from support.process import BUILD, SANITIZED, Process, run, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKER = os.path.join(ROOT, "deploy/docker")
NAME = "app.demo.example"


with open(f"{DOCKER}/Dockerfile") as file:
    # [(word, rest)]
    INSTRUCTIONS = re.findall(r"^([A-Z]+) (.*)$", file.read().replace("\\\n", " "), re.M)
BASE = re.match(r"debian:(\w+)-slim ", INSTRUCTIONS[0][1]).group(1)
pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(SANITIZED, reason="images are of what people run"),
    pytest.mark.skipif(running_release() != BASE and not LONG,
                       reason=f"the images are of {BASE}; TOWONEL_TEST_LONG=1 makes them here, too"),
]


class Stage:
    """An image in the making: a tree, and what is said of it."""

    def __init__(self, debian):
        self.debian, self.tree = debian, debian.tree
        self.cwd, self.env, self.user, self.volumes, self.said = "/", {}, "root", [], {}

    def do(self, word, rest, stages):
        if word == "RUN":
            done = self.debian.chroot("sh", "-ec", f"cd {self.cwd}; {rest}", fetches=True, env=self.env, timeout=3000)
            assert done.returncode == 0, f"{rest}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        elif word == "WORKDIR":
            self.cwd = rest
            os.makedirs(f"{self.tree}{rest}", exist_ok=True)
        elif word == "COPY":
            self._copy(shlex.split(rest), stages)
        elif word == "ENV":
            self.env.update([rest.split("=", 1)])
        elif word == "USER":
            self.user = rest
        elif word == "VOLUME":
            self.volumes.append(rest)
        else:
            self.said[word] = rest

    def _copy(self, words, stages):
        source = ROOT
        if words[0].startswith("--from="):
            source = stages[words.pop(0).removeprefix("--from=")].tree
        *names, target = words
        target = f"{self.tree}{os.path.join(self.cwd, target)}"
        if names == ["."]:  # all of the sources
            run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", f"{target}/.clone"], check=True)
            run(["cp", "-a", f"{target}/.clone/.", target], check=True)
            return
        for name in names:
            path = f"{source}/{name.lstrip('/')}"
            if os.path.isdir(path):
                shutil.copytree(path, target, dirs_exist_ok=True)
            else:
                os.makedirs(target if target.endswith("/") else os.path.dirname(target), exist_ok=True)
                shutil.copy(path, target)

    def begin(self, stack, namespace, log, env, names):
        """As an engine does with `read_only`: nothing can be written to but volumes, and nobody is root."""
        with open(f"{self.tree}/etc/hosts", "a") as file:
            file.write(f"127.0.0.1 {' '.join(names)}\n")
        commands = [f"mount --bind {self.tree} {self.tree}", f"mount -o remount,bind,ro {self.tree}"]
        for volume in self.volumes:
            data = self.tree.with_name(self.tree.name + volume.replace("/", "-"))
            run(["cp", "-a", f"{self.tree}{volume}", data], check=True)
            commands.append(f"mount --bind {data} {self.tree}{volume}")
        commands.append("exec " + shlex.join(["chroot", f"--userspec={self.user}:{self.user}", str(self.tree),
                                              *json.loads(self.said["ENTRYPOINT"])]))
        with namespace:
            self.process = Process(["unshare", "--mount", "sh", "-c", " && ".join(commands)], log,
                                   env={"PATH": PATH, **self.env, **env})
        stack.callback(self.process.kill)

    def run(self, *command):
        """Beside the program that runs in it."""
        with open(f"{self.tree}/etc/passwd") as file:
            user, group = re.search(rf"^{self.user}:.*?:(\d+):(\d+):", file.read(), re.M).groups()
        return run(["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--root", f"--setuid={user}",
                    f"--setgid={group}", *command], env={"PATH": PATH, **self.env})

    def log(self):
        return self.process.log()

    def is_healthy(self):
        return self.run(*json.loads(re.search(r"CMD (\[.*\])", self.said["HEALTHCHECK"]).group(1))).returncode == 0


def install(directory):
    run(["make", "-C", ROOT, "--no-print-directory", "install", f"BUILD={os.path.relpath(BUILD, ROOT)}",
         "NO_PACKAGES=1", "PREFIX=/usr", f"DESTDIR={directory}"], timeout=200, check=True,
        env={"HOME": os.environ["HOME"]})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """{stage: what has become of it}. What is built in the first one is what is built here, where that is of the same
    release; otherwise all of it is built there."""
    where, stages, stage = tmp_path_factory.mktemp("images"), {}, None
    pristine = Debian(where / "pristine", BASE)
    build_here = running_release() == BASE
    for word, rest in INSTRUCTIONS:
        if word == "FROM":
            source, name = rest.split(" AS ")
            debian = (stages[source].debian if source in stages else pristine).copy(where / name)
            stages[name], skip = Stage(debian), name == "build" and build_here
            if source in stages:
                stages[name].env = dict(stages[source].env)
            stage = stages[name]
            if skip:
                install(f"{stage.tree}/stage")
        elif not skip:
            stage.do(word, rest, stages)
    return stages


@pytest.fixture(scope="module")
def podmans(request, tmp_path_factory):
    """Those that podman makes, of the sources as committed."""
    if not LONG or not shutil.which("podman"):
        pytest.skip("podman takes minutes: TOWONEL_TEST_LONG=1, where it is installed")
    where = tmp_path_factory.mktemp("podman")
    stack = contextlib.ExitStack()
    request.addfinalizer(stack.close)
    podman = Podman(where, stack)
    base = Debian(where / "base", BASE)
    podman.take(base.tree, re.match(r"\S+", INSTRUCTIONS[0][1])[0])
    run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", where / "sources"], check=True)
    return {target: podman.build(where / "sources", "deploy/docker/Dockerfile", target) for target in ("node", "agent")}


@pytest.fixture(params=["images", "podmans"], ids=["by steps", "by podman"])
def made(request):
    return request.getfixturevalue(request.param)


@pytest.mark.timeout(3600)
def test_the_quick_start_with_the_images(made, stack, tmp_path):
    with open(f"{DOCKER}/compose.yaml") as file:
        services = yaml.safe_load(file)["services"]
    namespace = Namespace(stack)
    with namespace, open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as file:
        file.write(str(services["node"]["sysctls"]["net.ipv4.ip_unprivileged_port_start"]))
    with namespace:
        origin = Origin("origin")
    stack.callback(origin.close)
    node, agent = made["node"], made["agent"]
    names = ["node", "web"]
    node.begin(stack, namespace, tmp_path / "node.log", services["node"]["environment"], names)
    wait_until(node.is_healthy, f"the node is healthy: {node.log()}")
    done = node.run("towonel", "invite", "create", "--name", "demo", "--hostnames", NAME)
    assert done.returncode == 0, done.stderr
    env = {**services["agent"]["environment"], "TOWONEL_INVITE_TOKEN": done.stdout.strip()}
    env["TOWONEL_AGENT_SERVICES"] = env["TOWONEL_AGENT_SERVICES"].replace("8443", str(origin.port))
    agent.begin(stack, namespace, tmp_path / "agent.log", env, names)
    wait_until(agent.is_healthy, f"the agent is healthy: {agent.log()}")
    with namespace:
        assert wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")
    assert node.run("touch", "/usr/bin/x").returncode != 0 and agent.run("touch", "/tmp/x").returncode != 0
    assert node.run("id", "-u").stdout.strip() != "0"
    assert node.run("test", "-e", "/usr/bin/make").returncode != 0, "no build tools in an image"
