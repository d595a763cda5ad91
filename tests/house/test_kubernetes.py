# SPDX-License-Identifier: MIT
"""The Kubernetes manifests fit the programs, their images and each other."""

import json
import re
import shutil
import zipfile

import jsonschema
import pytest
import yaml

from house import BUILD, ROOT, files, run
from support.process import free_port, wait_until
from support.towonel import Agent, Node, http_get
from support.wheels import wheel

MANIFESTS = ROOT / "deploy/kubernetes"
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
WORKLOADS = {"node": ("statefulset.yaml", "StatefulSet"), "agent": ("deployment.yaml", "Deployment")}


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def workload(part):
    name, kind = WORKLOADS[part]
    (one,) = documents(MANIFESTS / part / name)
    assert one["kind"] == kind
    return one


def pod(part):
    return workload(part)["spec"]["template"]["spec"]


def container(part):
    (one,) = pod(part)["containers"]
    return one


def environment(part):
    env = {one["name"]: one["value"] for one in container(part).get("env", [])}
    for path in (MANIFESTS / part).glob("*.env"):
        env |= dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.M))
    return env


def generators(part):
    kustomization = yaml.safe_load((MANIFESTS / part / "kustomization.yaml").read_text())
    return kustomization, [one for key in ("configMapGenerator", "secretGenerator") for one in kustomization.get(key, [])]


@pytest.mark.parametrize("part", WORKLOADS)
def test_settings_are_known(part):
    known = set(re.findall(r"^  (TOWONEL_\w+)", run(BUILD / f"towonel-{part}", "--help"), re.M))
    assert environment(part) and set(environment(part)) <= known


@pytest.mark.parametrize("part", WORKLOADS)
def test_nothing_more_than_needed_is_allowed(part):
    """As the pod security standard `restricted` has it."""
    whole, own = pod(part)["securityContext"], container(part)["securityContext"]
    uid = int(re.search(r"useradd .*--uid (\d+)", DOCKERFILE).group(1))
    assert whole["runAsNonRoot"] and whole["runAsUser"] == whole["fsGroup"] == uid
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert pod(part)["automountServiceAccountToken"] is False
    assert pod(part)["enableServiceLinks"] is False, "these would be TOWONEL_ variables that no program knows"
    assert "hostNetwork" not in pod(part) and not any("hostPath" in volume for volume in pod(part).get("volumes", []))
    (namespace,) = documents(MANIFESTS / part / "namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    resources = container(part)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"} and "memory" in resources["limits"]


@pytest.mark.parametrize("part", WORKLOADS)
def test_images_are_those_of_the_dockerfile(part):
    assert re.search(rf"--target {part} +-t {container(part)['image']} ", DOCKERFILE)
    kustomization, _ = generators(part)
    assert [image["name"] for image in kustomization["images"]] == [container(part)["image"]]


def test_ports_of_the_node():
    exposed = set(re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.M).group(1).split())
    ports = {one["name"]: f"{one['containerPort']}/{one['protocol'].lower()}" for one in container("node")["ports"]}
    assert set(ports.values()) == exposed
    for service in documents(MANIFESTS / "node/service.yaml"):
        assert service["spec"]["selector"] == workload("node")["spec"]["template"]["metadata"]["labels"]
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == f"{port['port']}/{port['protocol'].lower()}"
    assert workload("node")["spec"]["serviceName"] in {
        service["metadata"]["name"] for service in documents(MANIFESTS / "node/service.yaml")}


@pytest.mark.parametrize("part", WORKLOADS)
def test_names_lead_somewhere(part):
    whole = workload(part)
    assert whole["spec"]["selector"]["matchLabels"] == whole["spec"]["template"]["metadata"]["labels"]
    kustomization, made = generators(part)
    there = {path.name for path in (MANIFESTS / part).iterdir()}
    assert set(kustomization["resources"]) <= there
    named = [one["configMapRef"]["name"] for one in container(part).get("envFrom", [])]
    volumes = pod(part).get("volumes", [])
    named += [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    named += [volume["secret"]["secretName"] for volume in volumes if "secret" in volume]
    assert named and set(named) <= {generator["name"] for generator in made}
    given = {volume["name"] for volume in volumes} | {
        claim["metadata"]["name"] for claim in whole["spec"].get("volumeClaimTemplates", [])}
    mounts = {mount["name"]: mount["mountPath"] for mount in container(part)["volumeMounts"]}
    assert set(mounts) == given
    for value in environment(part).values():
        if value.startswith("@"):
            directory, _, name = value[1:].rpartition("/")
            assert directory in mounts.values()
            assert any(name in generator.get("files", []) for generator in made)
    if part == "node":
        assert f"TOWONEL_DATA_DIR={mounts['data']}\n" in DOCKERFILE


def test_the_manifests_settings_start_and_their_probes_are_answered(tmp_path):
    """With ports of this host's, and the files where they are here."""
    def port_of(part, probe):
        port = next(one for one in container(part)["ports"] if one["name"] == probe["httpGet"]["port"])
        return port["containerPort"]
    host_only = ("PUBLIC", "LISTEN")
    env = {name: value for name, value in environment("node").items() if not any(word in name for word in host_only)}
    node = Node(tmp_path, **env)
    agent = None
    try:
        node.start()
        here = {9091: node.hub_health_port, 9090: node.edge_health_port}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container("node")[probe]
            url = f"http://127.0.0.1:{here[port_of('node', asked)]}{asked['httpGet']['path']}"
            assert http_get(url)[0] == 200, probe
        services = MANIFESTS / "agent/services.json"
        names = [service["hostname"] for service in json.loads(services.read_text())]
        (tmp_path / "invite_token").write_text(node.invite(*names) + "\n")
        env = environment("agent") | {"TOWONEL_AGENT_SERVICES": f"@{services}"}
        health = free_port()
        assert env["TOWONEL_AGENT_HEALTH_LISTEN_ADDR"] == f"0.0.0.0:{port_of('agent', container('agent')['livenessProbe'])}"
        env["TOWONEL_AGENT_HEALTH_LISTEN_ADDR"] = f"0.0.0.0:{health}"
        token = f"@{tmp_path}/invite_token"
        agent = Agent(tmp_path, token, **{name: value for name, value in env.items() if name != "TOWONEL_INVITE_TOKEN"})
        agent.health_port = health
        agent.start()
        for probe in ("livenessProbe", "readinessProbe"):
            path = container("agent")[probe]["httpGet"]["path"]
            assert wait_until(lambda: http_get(f"http://127.0.0.1:{health}{path}")[0] == 200, probe)
        for program in (node, agent):
            assert "unknown" not in program.process.log().lower()
    finally:
        if agent and agent.process:
            agent.kill()
        node.kill()


@pytest.fixture(scope="module")
def schemas():
    """What Kubernetes takes, and nothing that it does not know: {what a schema is called: it}."""
    with zipfile.ZipFile(wheel("kubernetes-validate")) as archive:
        newest = max((name.split("/")[2] for name in archive.namelist() if "-local-strict/" in name),
                     key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        folder = f"kubernetes_validate/kubernetes-json-schema/{newest}/"
        found = {name.removeprefix(folder): json.loads(re.sub(rb'"[^"]*_definitions.json#', b'"#', archive.read(name)))
                 for name in archive.namelist() if name.startswith(folder)}
    for schema in found.values():
        schema.pop("$id", None)  # all that is referred to is here
    return found


@pytest.mark.parametrize("path", [path for path in files("deploy/kubernetes/*.yaml") if path.name != "kustomization.yaml"],
                         ids=lambda path: f"{path.parent.name}/{path.name}")
def test_kubernetes_knows_all_of_it(path, schemas):
    for one in documents(path):
        schema = schemas["-".join([one["kind"].lower(), *one["apiVersion"].split("/")]) + ".json"]
        validator = jsonschema.Draft7Validator({**schema, **schemas["_definitions.json"]})
        assert not list(validator.iter_errors(one))
        assert list(validator.iter_errors(one | {"specs": {}})), "it would find a slip of the pen"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
@pytest.mark.parametrize("part", WORKLOADS)
def test_kustomize_takes_them(part, tmp_path):
    shutil.copytree(MANIFESTS / part, tmp_path / part)
    if part == "agent":
        (tmp_path / part / "invite_token").write_text("tt_inv_2_secret\n")
    made = list(yaml.safe_load_all(run("kubectl", "kustomize", tmp_path / part)))
    whole = next(one for one in made if one["kind"] == WORKLOADS[part][1])
    text = json.dumps(whole)
    generated = [one["metadata"]["name"] for one in made if one["kind"] in ("ConfigMap", "Secret")]
    assert generated and all(f'"{name}"' in text for name in generated)
    assert "secret" not in text.replace("secretName", "").replace("/run/secrets", "").replace('"secret":', "")


def test_what_is_secret_is_not_kept():
    ignored = (MANIFESTS / "agent/.gitignore").read_text().split()
    _, made = generators("agent")
    for generator in made:
        if generator["files"] != ["services.json"]:
            assert [f"/{name}" for name in generator["files"]] == ignored
    assert not files("deploy/kubernetes/agent/invite_token")
