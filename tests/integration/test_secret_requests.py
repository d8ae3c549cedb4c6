"""Requests for Secrets during captures, recorded by a proxy in front of a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support import api_proxy
from tests.support.commands import gitsnap
from tests.support.trees import policy_ref, profile
from tests.testbed.apiserver import ApiServer

TYPED = "addons.projectsveltos.io/cluster-profile"


class _Recorder(api_proxy.Handler):
    """Forwards requests, and records the lists of Secrets."""

    seen: list[str]

    def answer(self, body: bytes) -> None:
        """Record the path of a list of Secrets, and forward the request."""
        if urlsplit(self.path).path.endswith("/secrets"):
            self.seen.append(self.path)
        self.send(self.passed_on(body))


def _secret(api: ApiServer, namespace: str, name: str, *, kind: str = "Opaque", **labels: str) -> None:
    document = {"metadata": {"name": name, "labels": labels}, "type": kind, "stringData": {"a": "b"}}
    api.ask("POST", f"/api/v1/namespaces/{namespace}/secrets", document)


SCOPES = {
    "without Secrets in the scope": ([], ["app/referred", "app/typed"]),
    "all Secrets": (["Secret"], ["app/other", "app/referred", "app/typed", "team-a/other", "team-b/other"]),
    "by label": (["Secret with tier=gold"], ["app/referred", "app/typed", "team-b/other"]),
    "by namespace": (["Secret in team-a"], ["app/referred", "app/typed", "team-a/other"]),
    "by glob": (["Secret in team-*,!team-b"], ["app/referred", "app/typed", "team-a/other"]),
    "by many namespaces": (
        [f"Secret in {','.join(['team-a', *(f'none-{n}' for n in range(12))])}"],
        ["app/referred", "app/typed", "team-a/other"],
    ),
    "by two scopes": (
        ["Secret in team-a", "Secret in team-*"],
        ["app/referred", "app/typed", "team-a/other", "team-b/other"],
    ),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_no_list_brings_all_secrets_of_the_cluster(
    api: ApiServer, tmp_path: Path, new_namespace: Callable[[], str], scope: str
) -> None:
    """A list of all namespaces selects the type of Sveltos. Every other list is limited to a namespace.

    Without Secrets in the scope, a list of a namespace selects that type too, or names the object.
    """
    new_namespace()
    for namespace in ("app", "team-a", "team-b"):
        api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        _secret(api, namespace, "other", **({"tier": "gold"} if namespace == "team-b" else {}))
    _secret(api, "app", "typed", kind=TYPED)
    _secret(api, "app", "referred")
    charts = [
        {
            "repositoryURL": "https://charts.example.com", "repositoryName": "r", "chartName": "r/c",
            "chartVersion": "1.0.0", "releaseName": "r", "releaseNamespace": "r",
            "valuesFrom": [{"kind": "Secret", "name": "referred", "namespace": "app"}],
        }
    ]  # fmt: skip
    refs = [{**policy_ref("typed", "Secret"), "namespace": "app"}]
    document = profile("p", {"policyRefs": refs, "helmCharts": charts})
    api.ask("POST", "/apis/config.projectsveltos.io/v1beta1/clusterprofiles", document)
    words, expected = SCOPES[scope]
    flags = [word for selector in words for word in ("--resources", selector)]
    seen: list[str] = []

    with api_proxy.running(api, _Recorder, seen=seen) as url:
        kubeconfig = api_proxy.kubeconfig(api, url)
        gitsnap(tmp_path, "capture", "--snapshot", "p", *flags, code=0, KUBECONFIG=kubeconfig)
        gitsnap(tmp_path, "capture", "--snapshot", "p", code=0, KUBECONFIG=kubeconfig)  # with the recorded references

    shown = json.loads(gitsnap(tmp_path, "show", "--all", "-o", "json", code=0).stdout)
    kept = [item["metadata"] for item in shown["items"] if item["kind"] == "Secret"]
    assert sorted(f"{metadata['namespace']}/{metadata['name']}" for metadata in kept) == expected
    assert seen
    for path in seen:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if parts.path == "/api/v1/secrets":
            assert query["fieldSelector"] == [f"type={TYPED}"], path
        elif not words:
            (selector,) = query["fieldSelector"]
            assert selector == f"type={TYPED}" or selector.startswith("metadata.name="), path
        else:
            assert "/namespaces/" in parts.path
