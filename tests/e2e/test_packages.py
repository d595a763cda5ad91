# SPDX-License-Identifier: MIT
"""The Debian packages and the tarball of the sources, and a life with the former in a Debian of their own."""

import json
import os
import shutil
import tarfile

import pytest

from support.debian import PATH, RELEASES, Debian, needs, tried
from support.lines import Origin, Visitor, visit
from support.load import Load
from support.netns import needs_namespaces
from support.process import BUILD, SANITIZED, Process, end, free_port, run, wait_until
from support.systemd import Machine
from support.towonel import Agent, http_get

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT, HOSTNAME = "towonel-node.service", "app.alice.example.eu"
NAMES = ["libtowonel-dev", "libtowonel0", "towonel", "towonel-agent", "towonel-node"]
pytestmark = [pytest.mark.skipif(SANITIZED, reason="packages are of what people run"), pytest.mark.timeout(900)]


# What is to be thrown away need not be small.
QUICKLY = {"HOME": os.environ["HOME"], "DPKG_DEB_COMPRESSOR_LEVEL": "1"}


def make(target, where, *variables):
    run(["make", "-C", ROOT, "--no-print-directory", target, f"BUILD={os.path.relpath(BUILD, ROOT)}", "NO_PACKAGES=1",
         f"CC={os.environ.get('CC', 'gcc')}", f"packages_dir={where}", *variables], env=QUICKLY, timeout=600,
        check=True)


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """{name: path}"""
    where = tmp_path_factory.mktemp("packages")
    make("deb", where)
    return {path.name.split("_")[0]: path for path in where.glob("*.deb")}


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """The same, of the next version."""
    where = tmp_path_factory.mktemp("newer")
    make("install", where, "PREFIX=/usr", f"DESTDIR={where}/stage")
    run([f"{ROOT}/scripts/deb", "99.0.0", where / "stage", where], env=QUICKLY, timeout=300, check=True)
    return {path.name.split("_")[0]: path for path in where.glob("*.deb")}


def test_what_there_is(debs):
    assert sorted(debs) == NAMES
    owned = {}
    for name, path in debs.items():
        for line in run(["dpkg-deb", "-c", path], check=True).stdout.splitlines():
            mode, owner, _, _, _, file = line.split(maxsplit=5)
            assert owner == "root/root"
            if not mode.startswith("d"):
                assert owned.setdefault(file, name) == name, f"{file} is in two packages"
    for file, name in [("usr/bin/towonel", "towonel"), ("usr/lib/libtowonel-agent.so.0", "libtowonel0"),
                       ("usr/include/towonel/agent.h", "libtowonel-dev"),
                       ("usr/lib/systemd/system/towonel-node.service", "towonel-node"),
                       ("usr/share/man/man8/towonel-agent.8.gz", "towonel-agent")]:
        assert owned["./" + file] == name


def test_what_they_need(debs):
    """No library of the built ones, and none that is not used: a node without PostgreSQL has none of it."""
    for name, path in debs.items():
        needs = run(["dpkg-deb", "-f", path, "Depends"], check=True).stdout
        assert "libc6" in needs or name == "libtowonel-dev"
        assert not [word for word in ("wolfssl", "curl", "ngtcp2", "libpq5", f"{name} (") if word in needs], needs


def test_the_tarball_has_the_sources(tmp_path):
    if not os.path.exists(os.path.join(ROOT, ".git")):
        pytest.skip("no repository")
    make("dist", tmp_path)
    path, = tmp_path.glob("*.tar.xz")
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path)
    tree = tmp_path / path.name.removesuffix(".tar.xz")
    listed = run(["git", "-C", ROOT, "ls-tree", "-r", "--name-only", "HEAD"], check=True).stdout.splitlines()
    there = [os.path.relpath(os.path.join(folder, name), tree) for folder, _, names in os.walk(tree) for name in names]
    assert sorted(there) == sorted(listed)
    run(["make", "-C", tree, "NO_PACKAGES=1", "build/libtowonel-wire.so"], env={"HOME": os.environ["HOME"]},
        timeout=200, check=True)


@pytest.fixture(scope="module", params=map(tried, RELEASES))
def debian(request, tmp_path_factory):
    return Debian(tmp_path_factory.mktemp("debian") / "tree", request.param, needs(request.param))


def dpkg(debian, *argv):
    done = debian.chroot("dpkg", *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr


def files(tree):
    """What is there, without what dpkg and adduser write about anything."""
    return {os.path.relpath(os.path.join(folder, name), tree)
            for folder, folders, names in os.walk(tree) for name in [*folders, *names]
            if not os.path.relpath(folder, tree).startswith(("var/lib/dpkg", "var/cache", "var/log", "proc", "sys"))}


def test_a_life_with_the_packages(debian, debs, newer, tmp_path):
    tree = debian.tree
    before = files(tree)
    for path in debs.values():
        shutil.copy(path, tree)
    local = [f"/{debs[name].name}" for name in NAMES if name != "libtowonel-dev"]  # whose needs are large
    dpkg(debian, "-i", *local)
    assert "libtowonel-agent.so.0" in debian.chroot("/sbin/ldconfig", "-p", check=True).stdout

    # As the unit has it: the package's user, its directory.
    debian.chroot("install", "-d", "-o", "towonel", "-g", "towonel", "/var/lib/towonel", check=True)
    hub, health, edge, tunnel, edge_health = (free_port() for _ in range(5))
    env = {"PATH": PATH, "TOWONEL_DATA_DIR": "/var/lib/towonel",
           "TOWONEL_HUB_LISTEN_ADDR": f"127.0.0.1:{hub}", "TOWONEL_HUB_HEALTH_LISTEN_ADDR": f"127.0.0.1:{health}",
           "TOWONEL_HUB_PUBLIC_URL": f"https://127.0.0.1:{hub}", "TOWONEL_EDGE_LISTEN_ADDR": f"127.0.0.1:{edge}",
           "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR": f"127.0.0.1:{tunnel}",
           "TOWONEL_EDGE_HEALTH_LISTEN_ADDR": f"127.0.0.1:{edge_health}"}

    def start(log):
        node = Process(["chroot", "--userspec=towonel:towonel", tree, "towonel-node"], tmp_path / log, env=env)
        wait_until(lambda: http_get(f"http://127.0.0.1:{health}/readyz")[0] == 200, f"the node is up: {node.log()}")
        return node

    def invites():
        done = debian.chroot("towonel", "invite", "list", "--json",
                             env={"TOWONEL_HUB_URL": f"https://127.0.0.1:{hub}"})
        assert done.returncode == 0, done.stderr
        return [invite["name"] for invite in json.loads(done.stdout)["invites"]]

    node = start("node1.log")
    done = debian.chroot("towonel", "invite", "create", "--name", "alice", "--hostnames", "a.example.eu",
                         env={"TOWONEL_HUB_URL": f"https://127.0.0.1:{hub}"})
    assert done.stdout.startswith("tt_inv_2_"), done.stderr
    assert node.stop() == 0

    for path in newer.values():
        shutil.copy(path, tree)
    dpkg(debian, "-i", *(f"/{newer[name].name}" for name in NAMES if name != "libtowonel-dev"))
    assert "99.0.0" in debian.chroot("dpkg-query", "-W", "towonel-node", check=True).stdout
    node = start("node2.log")
    assert invites() == ["alice"]
    assert node.stop() == 0

    dpkg(debian, "-r", "towonel-node")
    assert (tree / "var/lib/towonel/node.key").exists()
    dpkg(debian, "-P", "towonel-node", "towonel-agent", "towonel", "libtowonel0")
    for path in tree.glob("*.deb"):
        path.unlink()
    left = files(tree) - before
    assert left <= {"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/ld.so.cache", "run/adduser"}, left
    assert "towonel" not in (tree / "etc/passwd").read_text()


@needs_namespaces
def test_an_upgrade_drops_nobody(debian, debs, newer, tmp_path, stack):
    """With the service that the package brings, under systemd."""
    machine = Machine([Debian.kept(debian.release, needs(debian.release))], tmp_path, stack)

    def dpkg(*argv):
        done = machine.run("dpkg", *argv, check=True)
        assert "warning" not in done.stderr.lower(), done.stderr

    def install(where):
        for name in ("towonel", "towonel-node"):
            shutil.copy(where[name], machine.path(f"/root/{name}.deb"))
        dpkg("-i", "/root/towonel.deb", "/root/towonel-node.deb")

    install(debs)
    assert machine.show(UNIT, "ActiveState") == "inactive", "it is started by who wants it"
    machine.write("/etc/towonel/node.env", "TOWONEL_HUB_PUBLIC_URL=https://127.0.0.1:8443\n"
                  "TOWONEL_EDGE_PUBLIC_ADDRESSES=127.0.0.1:443\n")
    machine.systemctl("enable", "--now", UNIT)
    token = machine.run("towonel", "invite", "create", "--name", "alice", "--hostnames", HOSTNAME,
                        env={"TOWONEL_DATA_DIR": "/var/lib/towonel"}, check=True).stdout.strip()
    with machine.network:
        origin = Origin("origin")
        stack.callback(origin.close)
        agent = Agent(tmp_path, token, [origin.service(HOSTNAME)])
        stack.callback(end, agent)
        agent.start()
        wait_until(lambda: visit(443, HOSTNAME) == "origin", "visitors get through")
        before = machine.show(UNIT, "MainPID")
        with Load(lambda: visit(443, HOSTNAME)) as load, Visitor(443, HOSTNAME) as download:
            download.send("drip 100")
            install(newer)
            after = machine.show(UNIT, "MainPID")
            assert after != before
            assert [download.line() for _ in range(100)] == [str(line) for line in range(100)]
        assert load.failures == [] and set(load.answers) == {"origin"}
    assert os.readlink(machine.path(f"/proc/{after}/exe")) == "/usr/bin/towonel-node", "it is the newer one"
    dpkg("-P", "towonel-node", "towonel")
    assert machine.run("systemctl", "cat", UNIT).returncode != 0
    assert not os.path.exists(machine.path(f"/proc/{after}"))
