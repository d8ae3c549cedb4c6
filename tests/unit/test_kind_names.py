"""The kinds that a word names: kubectl's names of well-known kinds, of kinds of a sample, and of definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitsnap.core.errors import InputError, UsageError
from gitsnap.core.model import JsonObject, Kind
from gitsnap.format import load_documents
from gitsnap.kube.api_resources import API_RESOURCES
from gitsnap.policy.resources import parse_kind
from gitsnap.sveltos.kind_names import KindNames, is_name_of, possible_singulars
from gitsnap.sveltos.kinds import BY_KIND, CLUSTER_PROFILE, CONFIG_MAP

_SHORT = {
    "cm": "ConfigMap",
    "svc": "Service",
    "ns": "Namespace",
    "sa": "ServiceAccount",
    "po": "Pod",
    "pvc": "PersistentVolumeClaim",
    "quota": "ResourceQuota",
    "deploy": "Deployment.apps",
    "ds": "DaemonSet.apps",
    "sts": "StatefulSet.apps",
    "rs": "ReplicaSet.apps",
    "cj": "CronJob.batch",
    "hpa": "HorizontalPodAutoscaler.autoscaling",
    "pdb": "PodDisruptionBudget.policy",
    "ing": "Ingress.networking.k8s.io",
    "netpol": "NetworkPolicy.networking.k8s.io",
    "sc": "StorageClass.storage.k8s.io",
    "pc": "PriorityClass.scheduling.k8s.io",
    "crd": "CustomResourceDefinition.apiextensions.k8s.io",
    "cl": "Cluster.cluster.x-k8s.io",
    "gitrepo": "GitRepository.source.toolkit.fluxcd.io",
    "ocirepo": "OCIRepository.source.toolkit.fluxcd.io",
}
_SERVING = Kind("serving.knative.dev", "Service")
_WIDGET = Kind("example.com", "Widget")


def _definition(kind: Kind, plural: str, *short_names: str) -> JsonObject:
    names = {"kind": kind.name, "plural": plural, "shortNames": list(short_names)}
    return {"kind": "CustomResourceDefinition", "spec": {"group": kind.group, "names": names}}


@pytest.mark.parametrize(("word", "kind"), _SHORT.items())
def test_short_names(word: str, kind: str) -> None:
    """A short name stands for its kind, in any case, also with the group."""
    expected = Kind.parse(kind)
    group = f".{expected.group}" if expected.group else ""
    for written in (word, word.upper(), f"{word}{group}"):
        assert KindNames().kind_named(written) == expected


@pytest.mark.parametrize("kind", sorted(BY_KIND), ids=str)
def test_every_kind_of_sveltos(kind: Kind) -> None:
    """Singular and plural name the kind, in any case, with and without the group."""
    plural = BY_KIND[kind].plural
    for name in (kind.name, kind.name.lower(), plural, plural.upper()):
        assert KindNames().kind_named(name) == kind
        if kind.group:
            assert KindNames().kind_named(f"{name}.{kind.group}") == kind
            assert KindNames().kind_named(f"{name}.v1beta1.{kind.group}") == kind


def test_well_known_names_are_unambiguous() -> None:
    """No name stands for two well-known kinds, except the name of events, which two groups serve."""
    words = {kind.name.lower() for kind in (*BY_KIND, *API_RESOURCES)}
    words |= {name for row in API_RESOURCES.values() for name in (row.resource.plural, *row.short_names)}
    words |= {name for row in BY_KIND.values() for name in (row.plural, *row.short_names)}

    assert {word for word in words if len(KindNames().kinds_named(word)) > 1} == {"event", "events", "ev"}
    assert KindNames().kind_named("Event") == Kind("", "Event")  # exactly the kind and the group


def test_a_kind_of_the_sample_comes_first() -> None:
    """If the sample has only Knative Services, `service` means Knative's kind."""
    assert KindNames(frozenset({_SERVING})).kind_named("services") == _SERVING
    assert KindNames(frozenset({_WIDGET})).kind_named("widgets") == _WIDGET
    assert KindNames(frozenset({Kind("example.com", "Proxy")})).kind_named("proxies") == Kind("example.com", "Proxy")


def test_two_kinds_of_one_name() -> None:
    """The error names both kinds. The kind with its group is exact."""
    names = KindNames(frozenset({_SERVING, Kind("", "Service")}))

    with pytest.raises(UsageError, match=r"service is ambiguous: Service or Service\.serving\.knative\.dev"):
        names.kind_named("service")
    assert names.kind_named("Service") == Kind("", "Service")
    assert names.kind_named("services.serving.knative.dev") == _SERVING


def test_definitions_tell_names() -> None:
    """Definitions are read only for a word that has no other meaning."""
    read: list[str] = []

    def definitions() -> list[JsonObject]:
        read.append("read")
        return [_definition(_WIDGET, "widgetry", "wd", "cm"), {"kind": "CustomResourceDefinition"}]

    names = KindNames(read_definitions=definitions)

    assert names.kind_named("cm") == CONFIG_MAP
    assert read == []
    for word in ("wd", "WD", "widgetry", "widget", "Widget.example.com", "wd.example.com"):
        assert names.kind_named(word) == _WIDGET
    assert names.kind_named("wx") is None


def test_unknown_kinds() -> None:
    """A kind that is written with its group may be installed later. Other unknown words are refused."""
    assert parse_kind("Widget.example.com", KindNames(), "--resources") == _WIDGET
    for word in ("Widget", "widget.example.com", "", "a b"):
        with pytest.raises(InputError, match="is not a kind such as Deployment"):
            parse_kind(word, KindNames(), "--resources")
    with pytest.raises(InputError) as refused:
        parse_kind("deploymnts", KindNames(), "--resources")
    assert "Deployment" in refused.value.hint


@pytest.mark.parametrize(
    ("word", "stem"), [("policies", "policy"), ("ingresses", "ingress"), ("widgets", "widget"), ("proxy", "proxy")]
)
def test_the_singulars_of_a_plural(word: str, stem: str) -> None:
    """The singulars of a word include its stem, and each has the word as a name."""
    assert stem in possible_singulars(word)
    assert all(is_name_of(word, Kind("", singular)) for singular in possible_singulars(word))


def test_the_definitions_of_sveltos_declare_the_names_in_the_table(shared: Path) -> None:
    """Every kind has the plural and the short names of its CustomResourceDefinition."""
    folder = shared / "crds"
    if not folder.is_dir():
        pytest.skip("no definitions here")
    declared = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in load_documents(file.read_bytes(), str(file)):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                spec = document["spec"]
                kind = Kind(spec["group"], spec["names"]["kind"])
                declared[kind] = (spec["names"]["plural"], tuple(spec["names"].get("shortNames") or ()))
    known = {kind: (row.plural, row.short_names) for kind, row in BY_KIND.items() if kind in declared}

    assert CLUSTER_PROFILE in known
    assert known == {kind: declared[kind] for kind in known}
