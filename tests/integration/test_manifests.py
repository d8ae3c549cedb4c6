"""The manifests: every overlay renders, the API server accepts them, and the roles match the requests of the code."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap.sveltos.kinds import BY_KIND, NAMESPACE, PROFILE_KINDS
from gitsnap.sveltos.restore import RESTORE_RULES
from tests.support.commands import gitsnap
from tests.support.controllers import MANIFESTS, PROFILES, Installation, kubectl, wait_for
from tests.testbed.apiserver import ApiServer

_OVERLAYS = sorted(path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
_ADDED = {"alerts", "dashboard", "stamp"}
"""The overlays that are applied in addition to another one."""
_KEPT = {"namespace", "customresourcedefinition"}
"""The kinds that the commands of docs/UPGRADE.md leave, because archives and Snapshots depend on them."""
_CONFIG_MAP = "/api/v1/namespaces/default/configmaps/database"


@pytest.fixture
def installation(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """The base of the manifests, applied."""
    made = Installation(api, tmp_path)
    made.apply()
    yield made
    made.remove()


@pytest.mark.parametrize("overlay", [overlay for overlay in _OVERLAYS if overlay not in _ADDED])
def test_the_server_accepts_an_overlay(installation: Installation, overlay: str) -> None:
    """The API server knows every field, and the overlay has the namespace of every object."""
    installation.apply(f"overlays/{overlay}")

    text = kubectl("kustomize", str(MANIFESTS / "overlays" / overlay), kubeconfig=installation.api.kubeconfig())
    kinds = {document["kind"] for document in yaml.safe_load_all(text)}
    guards = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "NetworkPolicy"}
    assert {"StatefulSet", "ClusterRole", "CustomResourceDefinition", *guards} <= kinds
    assert "Snapshot" not in kinds, "a server takes no Snapshot in the same request as the definition of the kind"


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_the_commands_that_uninstall_find_every_object(api: ApiServer, overlay: str) -> None:
    """docs/UPGRADE.md deletes by kind and label. A right of an overlay must not stay behind."""
    (commands,) = re.findall(
        r"```sh\n(kubectl delete .*?)```", (MANIFESTS.parent / "docs/UPGRADE.md").read_text(), re.DOTALL
    )
    text = kubectl("kustomize", str(MANIFESTS / "overlays" / overlay), kubeconfig=api.kubeconfig())
    documents = list(yaml.safe_load_all(text))

    for document in documents:
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "gitsnap", document["metadata"]["name"]
    deleted = set(re.findall(r"\w+", commands)) | _KEPT
    if overlay not in _ADDED:  # the others are deleted with their folder
        assert {document["kind"].lower() for document in documents} <= deleted


def test_the_alerts_render(installation: Installation) -> None:
    """The test server lacks the kinds of the Prometheus Operator. test_metrics.py checks the rules."""
    text = kubectl("kustomize", str(MANIFESTS / "overlays" / "alerts"), kubeconfig=installation.api.kubeconfig())
    assert {document["kind"] for document in yaml.safe_load_all(text)} == {"PodMonitor", "PrometheusRule"}


def test_the_server_accepts_the_dashboard(installation: Installation) -> None:
    """A ConfigMap with the label that the sidecar of Grafana looks for."""
    installation.apply("overlays/dashboard")

    text = kubectl("kustomize", str(MANIFESTS / "overlays" / "dashboard"), kubeconfig=installation.api.kubeconfig())
    (document,) = yaml.safe_load_all(text)
    assert (document["kind"], document["metadata"]["labels"]["grafana_dashboard"]) == ("ConfigMap", "1")


def test_the_overlay_without_secrets_grants_no_access_to_secrets(installation: Installation) -> None:
    """The overlay removes the only role that reads Secrets."""
    folder = str(MANIFESTS / "overlays" / "without-secrets")
    text = kubectl("kustomize", folder, kubeconfig=installation.api.kubeconfig())
    roles = [document for document in yaml.safe_load_all(text) if document["kind"] in ("ClusterRole", "Role")]

    assert roles
    assert [rule for role in roles for rule in role["rules"] if "secrets" in rule["resources"]] == []


def _documents(folder: str) -> list[Any]:
    files = sorted((MANIFESTS / folder).glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def test_the_role_for_a_rollback_is_what_a_rollback_writes() -> None:
    """Each restored kind has the verbs that its requests need. The role has no other kind or verb."""
    expected: dict[tuple[str, str], set[str]] = {("", "namespaces"): {"get", "create"}}
    for kind, rule in RESTORE_RULES.items():
        if kind == NAMESPACE:
            continue
        verbs = {"get", "create", "update", "delete"} if rule.creates else {"get", "patch"}
        expected[kind.group, BY_KIND[kind].plural] = verbs | ({"patch"} if kind in PROFILE_KINDS else set())

    (role,) = [document for document in _documents("overlays/rollback") if document["kind"] == "ClusterRole"]

    assert {
        (group, plural): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
    } == expected


def test_the_controller_lists_and_watches_what_it_captures_and_changes_none_of_it() -> None:
    """Follow mode added the verb `watch`, and no other. The rights on its own resources are as before."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for document in _documents("base"):
        if document["kind"] == "ClusterRole":
            for rule in document["rules"]:
                for group in rule["apiGroups"]:
                    for plural in rule["resources"]:
                        verbs.setdefault((group, plural), set()).update(rule["verbs"])
    own = {
        ("utils.projectsveltos.io", "snapshots"): {"get", "list", "watch", "patch"},
        ("utils.projectsveltos.io", "snapshots/status"): {"patch"},
        ("", "namespaces"): {"get"},
        ("", "secrets"): {"get", "list", "watch"},
    }

    assert {resource: verbs.pop(resource) for resource in own} == own
    captured = {(kind.group, row.plural) for kind, row in BY_KIND.items()} & verbs.keys()
    assert ("config.projectsveltos.io", "clusterprofiles") in captured
    assert all(verbs[resource] == {"list", "watch"} for resource in verbs), verbs


def test_the_network_of_the_pod_is_closed_but_for_what_it_needs() -> None:
    """Ingress: probes and metrics. Egress: DNS, the API server, and git servers by https and ssh.

    Link-local addresses, where clouds serve their metadata, are excluded.
    """
    documents = _documents("base")
    (policy,) = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    (pods,) = [document["spec"]["template"] for document in documents if document["kind"] == "StatefulSet"]

    assert policy["podSelector"]["matchLabels"].items() <= pods["metadata"]["labels"].items()
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ["http"]
    open_to = {
        (str(peer.get("ipBlock", {}).get("cidr", "pods")), port["port"])
        for rule in policy["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }
    everywhere = {(block, port) for block in ("0.0.0.0/0", "::/0") for port in (22, 443, 6443)}
    assert open_to == everywhere | {("pods", 53)}
    excluded = [peer["ipBlock"]["except"] for peer in policy["egress"][1]["to"]]
    assert excluded == [["169.254.0.0/16"], ["fe80::/10"]]


def test_lists_of_the_controller_have_a_queue_of_their_own(installation: Installation) -> None:
    """The API server says which FlowSchema classified a request. Writes stay with those of other controllers."""
    api = installation.api
    schema = str(api.ask("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/gitsnap-lists")["metadata"]["uid"])
    token = kubectl("-n", "gitsnap", "create", "token", "gitsnap", kubeconfig=api.kubeconfig()).strip()
    lease = "/apis/coordination.k8s.io/v1/namespaces/gitsnap/leases/gitsnap"

    def is_matched(method: str, path: str) -> bool:
        return _flow_schema(api, method, path, token) == schema

    wait_for(lambda: is_matched("GET", "/api/v1/configmaps?limit=1"), "the API server to use the FlowSchema")
    assert is_matched("GET", f"{PROFILES}?limit=1")
    assert not is_matched("GET", lease)
    assert not is_matched("PUT", lease)
    assert _flow_schema(api, "GET", "/api/v1/configmaps?limit=1", api.admin.token) != schema


def _flow_schema(api: ApiServer, method: str, path: str, token: str) -> str | None:
    host, _, port = api.url.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(api.ca))
    with contextlib.closing(http.client.HTTPSConnection(host, int(port), context=context, timeout=30)) as connection:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().getheader("X-Kubernetes-PF-FlowSchema-UID")


def _gitsnap(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    storage = str(installation.storage)
    kubeconfig = str(installation.token_kubeconfig())
    return gitsnap(installation.storage, *arguments, KUBECONFIG=kubeconfig, GITSNAP_STORAGE=storage)


def test_a_rollback_needs_the_role_of_its_overlay(installation: Installation) -> None:
    """As `kubectl exec` runs in the pod: without the overlay a rollback fails and names the overlay."""
    api = installation.api
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "guestbook"},
        "spec": {
            "clusterSelector": {"matchLabels": {"env": "demo"}},
            "policyRefs": [{"kind": "ConfigMap", "namespace": "default", "name": "database"}],
        },
    }
    api.ask("POST", "/apis/config.projectsveltos.io/v1beta1/clusterprofiles", profile)
    api.ask("POST", _CONFIG_MAP.rpartition("/")[0], {"metadata": {"name": "database"}, "data": {"a": "right"}})
    captured = _gitsnap(installation, "capture", "--snapshot", "hourly", "--secrets-mode", "redact")
    assert captured.returncode == 0, captured.stderr
    change = {"data": {"a": "wrong"}}
    api.ask("PATCH", _CONFIG_MAP, change, content_type="application/merge-patch+json")
    rollback = ("rollback", "--snapshot=hourly", "--sample=latest", "--yes")

    refused = _gitsnap(installation, *rollback)

    assert refused.returncode != 0
    assert "manifests/overlays/rollback" in refused.stderr
    assert api.ask("GET", _CONFIG_MAP)["data"] == change["data"]

    installation.apply("overlays/rollback")
    done = _gitsnap(installation, *rollback)

    assert done.returncode == 0, done.stderr
    assert api.ask("GET", _CONFIG_MAP)["data"] == {"a": "right"}
