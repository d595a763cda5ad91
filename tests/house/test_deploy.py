# SPDX-License-Identifier: MIT
"""What service managers read is right, and confines the programs."""

import json
import os
import re
import shutil

import pytest
import yaml

from house import BUILD, ROOT, files, run

# `make house` has installed into it.
SYSTEMD = BUILD / "installed/lib"
UNITS = ["towonel-node.service", "towonel-agent.service"]
systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd's programs")
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@systemd
@pytest.mark.parametrize("unit", [*UNITS, "towonel-node.socket"])
def test_units_are_right(unit):
    assert run("systemd-analyze", "verify", "--man=no", SYSTEMD / "systemd/system" / unit) == ""


@systemd
@pytest.mark.parametrize("unit", UNITS)
def test_units_confine(unit):
    """Up to 2.5 of 10 that systemd finds exposed; from 4 on it is not OK any more."""
    run("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=25",
        SYSTEMD / "systemd/system" / unit)


@systemd
@root
def test_user_and_directories(tmp_path):
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "sysusers.d/towonel.conf")
    run("systemd-tmpfiles", "--create", f"--root={tmp_path}", SYSTEMD / "tmpfiles.d/towonel.conf")
    assert (tmp_path / "etc/passwd").read_text().startswith("towonel:")
    assert (tmp_path / "etc/towonel").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path", files("deploy/openrc/*", "deploy/openwrt/*"), ids=lambda path: path.name)
def test_scripts_are_shell(path):
    run("sh", "-n", path)
    assert os.access(path, os.X_OK)


def test_images_copy_what_is_there():
    """And each stage that is copied from has been made before."""
    stages = []
    for line in (ROOT / "deploy/docker/Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if made := re.match(r"FROM \S+ AS (\w+)$", line):
            stages.append(made.group(1))
        if not (copied := re.match(r"COPY (?:--from=(\w+) )?(.*) \S+$", line)):
            continue
        for source in copied.group(2).split():
            if copied.group(1):
                assert copied.group(1) in stages
                assert (BUILD / "installed" / source.removeprefix("/stage/usr/")).exists(), source
            else:
                assert (ROOT / source).exists(), source
    assert stages[-2:] == ["node", "agent"]


def test_compose_file():
    services = yaml.safe_load((ROOT / "deploy/docker/compose.yaml").read_text())["services"]
    targets = re.findall(r" AS (\w+)$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.M)
    for name in ("node", "agent"):
        service = services[name]
        assert service["build"]["target"] in targets
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert json.loads(services["agent"]["environment"]["TOWONEL_AGENT_SERVICES"])
