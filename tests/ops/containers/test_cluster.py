"""The Kubernetes manifests: rendered by the real kustomize where there is one, held against Kubernetes' own schemas.

Without ``kubectl`` or ``kustomize`` the base's files are looked at one by one, and the overlays are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ops.containers import secrets
from ops.install.config import DRAIN_S
from ops.install.units import USUAL_DRAIN_S
from ops.setup.layout import Layout
from ops.setup.programs import programs, redis_options
from ops.setup.venv import Venv
from tests.ops.containers.dockerfiles import ALL
from tests.processes import ROOT
from web.production import check
from web.settings import WebSettings
from worker.contract.catalog import load_catalog
from worker.contract.jobs import QUEUE_BATTLES

FOLDER = ROOT / "ops" / "k8s"
OVERLAYS = ("cpu", "single-gpu", "several-gpus")
VERSION = "1.32"
Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """By the real tool; skips where there is none."""
    if tool := shutil.which("kustomize"):
        command = [tool, "build", folder]
    elif tool := shutil.which("kubectl"):
        command = [tool, "kustomize", folder]
    else:
        pytest.skip("neither kustomize nor kubectl is installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return [m for m in yaml.safe_load_all(done.stdout) if m]


@pytest.fixture(scope="module", params=OVERLAYS)
def cluster(request: pytest.FixtureRequest) -> tuple[str, list[Manifest]]:
    return request.param, rendered(FOLDER / "overlays" / request.param)


@pytest.fixture(scope="module")
def files() -> list[Manifest]:
    """The base as it is written."""
    found = [p for p in sorted((FOLDER / "base").glob("*.yaml")) if p.name != "kustomization.yaml"]
    return [m for p in found for m in yaml.safe_load_all(p.read_text())]


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].startswith(name)]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for m in manifests:
        if m["kind"] in ("Deployment", "StatefulSet"):
            yield m["metadata"]["name"], m["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def hold(manifests: list[Manifest]) -> None:
    """Against the schema of each, KEDA's included; what a schema does not know is an error too."""
    for manifest in manifests:
        if manifest["apiVersion"].startswith("keda.sh/"):
            hold_keda(manifest)
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)


def hold_keda(manifest: Manifest) -> None:
    """KEDA's own definitions as classes: they ignore words that they do not know, so what comes back is compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cloudcoil.models.keda import v1alpha1

    known = getattr(v1alpha1, manifest["kind"]).model_validate(manifest)
    back = known.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert back["spec"] == manifest["spec"]


def test_every_file_of_the_base_holds(files: list[Manifest]) -> None:
    hold(files)
    kinds = {m["kind"] for m in files}
    assert {"PodDisruptionBudget", "NetworkPolicy", "ScaledObject", "Ingress", "StatefulSet", "Deployment"} <= kinds


def test_a_word_no_schema_knows_is_found(files: list[Manifest]) -> None:
    web = json.loads(json.dumps(one(files, "Deployment", "arena-web")))
    web["spec"]["replicass"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        hold([web])
    scaled = json.loads(json.dumps(one(files, "ScaledObject", "arena-worker")))
    scaled["spec"]["pollInterval"] = 15
    with pytest.raises(AssertionError):
        hold([scaled])


def test_every_overlay_holds(cluster: tuple[str, list[Manifest]]) -> None:
    _, manifests = cluster
    hold(manifests)
    assert {m["metadata"].get("namespace", "llm-arena") for m in manifests} == {"llm-arena"}


def test_an_overlay_has_its_models_and_its_machines(cluster: tuple[str, list[Manifest]]) -> None:
    name, manifests = cluster
    catalog, gpus, workers = {
        "cpu": ("cpu.toml", None, (1, 4)),
        "single-gpu": ("t4.toml", 1, (1, 1)),
        "several-gpus": ("l4x2.toml", 1, (2, 8)),
    }[name]
    worker = one(manifests, "StatefulSet", "arena-worker")["spec"]["template"]
    told = {e["value"] for c in containers(worker) for e in c["env"] if e["name"] == "ARENA_CATALOG"}
    web = one(manifests, "ConfigMap", "arena-settings")["data"]["ARENA_CATALOG"]
    assert told == {web} == {f"ops/catalogs/{catalog}"}
    assert load_catalog(ROOT / web).entries
    [running] = worker["spec"]["containers"]
    assert running["resources"]["limits"].get("nvidia.com/gpu") == gpus
    images = {c["image"].rpartition(":")[0] for _, pod in pods(manifests) for c in containers(pod)}
    kind = "gpu" if gpus else "cpu"
    assert {i for i in images if "arena" in i} == {"llm-arena/web", f"llm-arena/worker-{kind}"}
    assert {i.removeprefix("llm-arena/") for i in images if "arena" in i} <= {image.name for image in ALL}
    scaled = one(manifests, "ScaledObject", "arena-worker")["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == workers


def test_nobody_runs_as_root_or_may_become_it(files: list[Manifest]) -> None:
    for name, pod in pods(files):
        whole = pod["spec"]["securityContext"]
        assert whole["runAsNonRoot"], name
        assert whole["runAsUser"] in (999, 10001), name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        for container in containers(pod):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"], name
            assert not own["allowPrivilegeEscalation"], name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_every_program_is_probed_where_it_answers(files: list[Manifest]) -> None:
    for name, pod in pods(files):
        for container in pod["spec"]["containers"]:
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            for probe in ("startupProbe", "livenessProbe"):
                asked = container[probe]
                port = asked.get("httpGet", asked.get("tcpSocket", {"port": next(iter(ports))}))["port"]
                assert port in ports, name
    worker = one(files, "StatefulSet", "arena-worker")["spec"]["template"]["spec"]["containers"][0]
    assert worker["readinessProbe"]["exec"]["command"][-2:] == ["--accepting", "arena"]
    [image] = [image for image in ALL if image.name == "worker-cpu"]
    assert "arena@%h" in image.commands("CMD")[0]


def test_who_is_stopped_has_the_time_of_a_host(files: list[Manifest]) -> None:
    here = {p.name: p for p in programs(Layout(Path("/data")), Venv(Path("/v")), None, {})}
    grace = {name: pod["spec"]["terminationGracePeriodSeconds"] for name, pod in pods(files)}
    assert grace["arena-worker"] == here["worker"].stop_wait_s - USUAL_DRAIN_S + DRAIN_S
    assert grace["arena-records"] == here["records"].stop_wait_s
    web = one(files, "Deployment", "arena-web")["spec"]["template"]["spec"]["containers"][0]
    pause = int(web["lifecycle"]["preStop"]["exec"]["command"][1])
    assert grace["arena-web"] == here["web"].stop_wait_s + pause
    records = one(files, "Deployment", "arena-records")["spec"]["template"]["spec"]["containers"][0]
    assert records["args"] == ["python", *here["records"].command[1:]]


def test_the_store_is_the_one_of_a_host(files: list[Manifest]) -> None:
    where = {"port": "6379", "dir": "/data", "aclfile": "/etc/valkey/users.acl", "maxmemory": "1gb"}
    [store] = one(files, "StatefulSet", "arena-valkey")["spec"]["template"]["spec"]["containers"]
    assert store["command"] == ["valkey-server", *redis_options(where)]


def test_selectors_find_pods_and_policies_cover_all(files: list[Manifest]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(files)}
    policies = [m for m in files if m["kind"] == "NetworkPolicy"]
    assert any(m["spec"]["podSelector"] == {} and "Egress" in m["spec"]["policyTypes"] for m in policies)
    for m in files:
        selector = m["spec"].get("selector") if m["kind"] == "Service" else None
        if m["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            selector = m["spec"]["selector"]["matchLabels"]
        if m["kind"] == "NetworkPolicy":
            selector = m["spec"]["podSelector"].get("matchLabels")
        if selector:
            assert selector in labels.values(), m["metadata"]["name"]
    allowed = {m["metadata"]["name"] for m in policies if "Ingress" in m["spec"]["policyTypes"]}
    assert set(labels) <= allowed
    worker = one(files, "NetworkPolicy", "arena-worker")
    assert "arena-postgres" not in str(worker)
    private = [p["port"] for rule in one(files, "NetworkPolicy", "arena-web")["spec"]["ingress"] for p in rule["ports"]]
    assert private == ["http", "private"]


def test_workers_are_scaled_by_the_line_and_by_the_queue(files: list[Manifest]) -> None:
    """The metrics of its query are looked for in tests/ops/monitoring."""
    scaled = one(files, "ScaledObject", "arena-worker")["spec"]
    triggers = {t["type"]: t["metadata"] for t in scaled["triggers"]}
    assert triggers["redis"]["listName"] == QUEUE_BATTLES
    assert "arena_workers_battles" in triggers["prometheus"]["query"]
    target = scaled["scaleTargetRef"]
    found = one(files, target["kind"], target["name"])
    assert found["apiVersion"] == target["apiVersion"]
    assert "replicas" not in found["spec"], "every kubectl apply would undo what KEDA has done"


def test_one_worker_is_always_there(cluster: tuple[str, list[Manifest]]) -> None:
    """Web refuses while there is none, so nothing would ever call for the first."""
    _, manifests = cluster
    assert one(manifests, "ScaledObject", "arena-worker")["spec"]["minReplicaCount"] >= 1
    assert "replicas" not in one(manifests, "StatefulSet", "arena-worker")["spec"]


def test_the_secrets_that_are_made_are_those_that_are_asked_for(
    cluster: tuple[str, list[Manifest]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifests = cluster
    made = secrets.kubernetes(secrets.keep(tmp_path))
    items: Any = made["items"]
    hold(items)
    named = {item["metadata"]["name"]: set(item["stringData"]) for item in items}
    for _, pod in pods(manifests):
        for container in containers(pod):
            for source in container.get("envFrom", []):
                assert source.get("secretRef", {"name": "arena-web"})["name"] in named
        for volume in pod["spec"].get("volumes", []):
            assert volume.get("secret", {"secretName": "arena-web"})["secretName"] in named
    for reference in one(manifests, "TriggerAuthentication", "arena-broker")["spec"]["secretTargetRef"]:
        assert reference["key"] in named[reference["name"]]
    settings = one(manifests, "ConfigMap", "arena-settings")["data"]
    [web] = [item["stringData"] for item in items if item["metadata"]["name"] == "arena-web"]
    for name, value in {**settings, **web}.items():
        monkeypatch.setenv(name, value)
    check(WebSettings.from_env())
