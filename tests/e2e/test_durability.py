# SPDX-License-Identifier: MIT
"""What the hub acknowledged stays, and what it did not finish is not there: kill -9, and disks that fill up."""

import base64
import http.client
import json
import os
import random
import resource
import shutil
import ssl
import threading
import time

import pytest

from support.api import Api
from support.postgres import Postgres, programs
from support.process import QUICK, run, wait_until
from support.signing import Key, build_tool

BATCH = 3
ROUNDS = 4 if QUICK else 8


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return build_tool(tmp_path_factory.mktemp("sign"))


class Writer:
    """A tenant that claims three hostnames at a time, number by number, as fast as it is answered."""

    def __init__(self, node, tool, batches=400):
        self.node = node
        key = Api(node)
        self.bearer = {"Authorization": f"Bearer {key.key}"}  # so that nobody slows it down
        made = key.post("/v1/invites", {"name": "writer", "hostnames": ["*.w.example.eu"]}).json
        self.tenant = made["tenant_id"]
        self.key = Key.of_token(tool, made["token"])
        payloads = [self.key.payload("upsert_hostname", hostname=self.name(number), tls_mode="passthrough")
                    for number in range(batches * BATCH)]
        signed = []
        for start in range(0, len(payloads), 1000):
            signed += self.key.sign_all(payloads[start:start + 1000])
        self.bodies = [json.dumps({"entries": signed[i:i + BATCH]}) for i in range(0, len(signed), BATCH)]
        self.acknowledged, self.next = set(), 0
        self.refused = 0

    @staticmethod
    def name(number):
        return f"n{number}.w.example.eu"

    def write(self, until):
        """Batches in order; one whose answer did not come is not asked again: it may be there or not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", self.node.hub_port, timeout=30, context=context)
        try:
            while not until() and self.next < len(self.bodies):
                batch, self.next = self.next, self.next + 1
                client.request("POST", "/v1/entries", self.bodies[batch], self.bearer)
                answer = client.getresponse()
                answer.read()
                if answer.status == 200:
                    self.acknowledged.add(batch)
                else:
                    assert answer.status == 503, answer.status
                    self.refused += 1
        except (OSError, http.client.HTTPException):
            pass  # the hub was killed
        finally:
            client.close()

    def check(self):
        """The log, what follows from it, and what was recorded agree, in whole batches."""
        api = Api(self.node)
        log = api.get(f"/v1/tenants/{self.tenant}/entries").json["entries"]
        said = set()
        for jws in log:
            payload = jws["payload"] + "=" * (-len(jws["payload"]) % 4)
            said.add(json.loads(base64.urlsafe_b64decode(payload))["sequence"] - 1)
        numbers = {int(name.split(".")[0][1:]) for tenant in api.get("/v1/tenants").json["tenants"]
                   for name in tenant["hostnames"]}
        assert said == numbers
        there = {number // BATCH for number in numbers}
        assert numbers == {batch * BATCH + i for batch in there for i in range(BATCH)}, "half a batch is there"
        assert self.acknowledged <= there, f"acknowledged, and gone: {sorted(self.acknowledged - there)}"
        assert there <= set(range(self.next))
        events, before = set(), ""
        while before is not None:
            page = api.get(f"/v1/audit?limit=1000{before}").json
            events |= {event["subject"] for event in page["events"] if event["action"] == "entry.upsert_hostname"}
            before = page["next_before"] and f"&before={page['next_before']}"
        assert events == {f"{self.name(number)} passthrough" for number in numbers}


def write_on(writer, over, batches):
    """A thread that writes until it is over, and by now was told of so many successes. What has just been restarted may fail
    at first."""
    wanted, threads = len(writer.acknowledged) + batches, []

    def begun():
        if not threads or not threads[-1].is_alive():
            threads.append(threading.Thread(target=writer.write, args=[over.is_set]))
            threads[-1].start()
        return len(writer.acknowledged) >= wanted
    wait_until(begun, "batches are acknowledged", interval=0.001)
    return threads[-1]


def kill_at_random_moments(writer, rounds, kill, restart):
    chance = random.Random(11)
    for _ in range(rounds):
        over = threading.Event()
        thread = write_on(writer, over, chance.randrange(1, 30))
        time.sleep(chance.random() * 0.005)
        kill()
        over.set()
        thread.join()
        restart()
        writer.check()
    assert len(writer.acknowledged) >= rounds


def test_killed_at_any_moment_on_sqlite(make_node, tool):
    node = make_node()
    kill_at_random_moments(Writer(node, tool), ROUNDS, node.kill, node.start)


@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")
@pytest.mark.parametrize("victim", ["hub", "server"])
def test_killed_at_any_moment_on_postgres(make_node, tool, tmp_path, stack, victim):
    server = Postgres(tmp_path / "postgres.log")
    stack.callback(server.close)
    server.start()
    node = make_node(TOWONEL_HUB_DB_DRIVER="postgres", TOWONEL_HUB_DB_DSN=server.dsn)
    writer = Writer(node, tool)
    if victim == "hub":
        kill_at_random_moments(writer, ROUNDS, node.kill, node.start)
        return

    def restart():
        server.start()
        wait_until(lambda: node.hub_ready()[0] == 200, "the hub has its database again")
        wait_until(lambda: Api(node).post("/v1/invites", {"hostnames": [f"r{time.time_ns()}.eu"]}).status == 200,
                   "the hub writes again")
    kill_at_random_moments(writer, 2, server.kill, restart)


# --- disks that fill up -----------------------------------------------------------------------


def fill_up_and_go_on(node, writer, make_room, restart):
    """Until nothing is taken any more, then with room again; killed after both."""
    thread = threading.Thread(target=writer.write, args=[lambda: writer.refused >= 5])
    thread.start()
    thread.join(120)
    assert writer.refused == 5, "the disk did not fill up"
    taken = len(writer.acknowledged)
    assert taken > 0
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub says that it cannot write")
    writer.check()  # reading goes on
    restart()
    writer.check()
    make_room()
    wait_until(lambda: node.hub_ready()[0] == 200, "the hub is ready")
    writer.write(lambda: len(writer.acknowledged) >= taken + 5)
    assert len(writer.acknowledged) >= taken + 5
    restart()
    writer.check()


def test_a_limit_on_the_size_of_files(make_node, tool):
    """As a full disk, and needs no rights: the database may grow so far and no further."""
    node = make_node()
    writer = Writer(node, tool)
    size = os.path.getsize(f"{node.data_dir}/hub.db") + os.path.getsize(f"{node.data_dir}/hub.db-wal")
    node.stop()

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500_000, size + 500_000))
    node.start(preexec=limited)
    unlimited = [False]

    def restart():
        node.kill()
        node.start(preexec=None if unlimited[0] else limited)

    def make_room():
        unlimited[0] = True
        restart()
    fill_up_and_go_on(node, writer, make_room, restart)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounts need root")
def test_a_disk_that_is_full(make_node, tool, tmp_path, stack):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", disk])
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    stack.callback(run, ["umount", "-l", disk])
    node = make_node(start=False)
    node.env["TOWONEL_DATA_DIR"] = node.data_dir = str(disk)
    node.start()
    writer = Writer(node, tool)
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(1_000_000))

    def restart():
        node.kill()
        node.start(wait=False)
        wait_until(lambda: node.hub_ready()[0] != 0, "the hub listens")
    fill_up_and_go_on(node, writer, lambda: os.remove(disk / "filler"), restart)
