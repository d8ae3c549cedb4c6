"""The search for references in YAML that is not decoded."""

from __future__ import annotations

import pytest

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.target_search import TargetSearch, WrittenNames

_TARGETS = (ObjectKey(kinds.CONFIG_MAP, "a", "settings"), ObjectKey(kinds.CLUSTER_SET, "", "group"))
_PAIR = "spec:\n  policyRefs:\n  - kind: ConfigMap\n    name: {name}\n    namespace: {namespace}\n"


@pytest.mark.parametrize(
    ("content", "namespace", "expected"),
    [
        (_PAIR.format(name="settings", namespace="a"), "", True),
        (_PAIR.format(name="settings", namespace="b"), "", False),
        (_PAIR.format(name="settings", namespace="b"), "a", True),  # rule P
        (_PAIR.format(name="settings", namespace='"b"'), "", True),
        (_PAIR.format(name="settings-1", namespace="a"), "", False),
        (_PAIR.format(name="group", namespace="b"), "own", True),  # a cluster-scoped kind has no namespace
        ("spec:\n  policyRefs:\n  - kind: ConfigMap\n    name: settings\n", "", True),  # rule R
        ("spec:\n  policyRefs:\n  - name: settings\n    namespace: b\n", "", False),
        ("spec:\n  jobRef:\n    name: settings\n  namespace: b\n", "", True),
        ("spec:\n  setRefs:\n  - settings\n", "", True),
        ("spec:\n  repositoryURL: gitrepository://a/settings/path\n", "", True),
        (_PAIR.format(name="'{{ .Cluster.metadata.name }}'", namespace="b"), "", True),
        (_PAIR.format(name="settings", namespace="b") + "  - <<: *other\n", "", True),
        ('spec:\n  helmCharts:\n  - values: "{{ .Cluster }}"\n', "", True),  # not as the emitter writes a chart
        ('spec:\n  helmCharts:\n  - name: x\n    values: "a: {{ .Cluster }}"\n', "", False),
        ('spec:\n  helmCharts:\n  - name: x\n    values: "settings {{ .Cluster }}"\n', "", True),
        ('spec:\n  x: {\n    values: "a", name: "{{ .Cluster }}" }\n', "", True),
        ("spec:\n  helmCharts:\n  - values: x\n    name: {{ .Cluster }}\n", "", True),
        ("spec:\n  helmCharts:\n  - name: x\n    values: |\n      a:\n\n        {{ b }}\n  x: y\n", "", False),
        ("spec:\n  helmCharts:\n  - name: x\n    values: |\n      a: {{ b }}\n    x: {{ c }}\n", "", True),
        ("spec:\n  helmCharts:\n  - name: x\n    values: |2-\n       a: {{ b }}\n  x:\n    y: {{ c }}\n", "", True),
        (_PAIR.format(name="settings", namespace="b") + _PAIR.format(name="settings", namespace="a"), "", True),
        ("", "a", False),
    ],
)
def test_an_object_may_refer_to_a_target(content: str, namespace: str, expected: bool) -> None:  # noqa: FBT001
    """A name counts unless another namespace is written beside it and no rule replaces that namespace."""
    assert TargetSearch(_TARGETS).may_refer(content.encode(), namespace) is expected


def test_the_namespace_of_sveltos() -> None:
    """Some fields name objects in the namespace of Sveltos, whatever namespace is written."""
    target = ObjectKey(kinds.CONFIG_MAP, kinds.SVELTOS_NAMESPACE, "settings")

    assert TargetSearch([target]).may_refer(_PAIR.format(name="settings", namespace="b").encode(), "")


@pytest.mark.parametrize(
    ("content", "namespace", "path", "expected"),
    [
        (_PAIR.format(name="settings", namespace="a"), "", "a/ConfigMap/settings.yaml", True),
        (_PAIR.format(name="settings", namespace="a"), "", "b/ConfigMap/settings.yaml", False),
        (_PAIR.format(name="settings", namespace="a"), "b", "b/ConfigMap/settings.yaml", True),  # rule P
        (_PAIR.format(name="settings", namespace="a"), "", "a/ConfigMap/settings-1.yaml", False),
        (_PAIR.format(name="group", namespace="a"), "", "_cluster/ClusterSet/group.yaml", True),
        (_PAIR.format(name="settings", namespace="a"), "", f"{kinds.SVELTOS_NAMESPACE}/ConfigMap/settings.yaml", True),
        ("spec:\n  policyRefs:\n  - name: settings\n", "", "of-the-cluster/ConfigMap/settings.yaml", True),  # rule R
        ("spec:\n  policyRefs:\n  - name: settings\n", "", "b/ConfigMap/settings.yaml", False),
        ("metadata:\n  annotations:\n    overrides: b/settings\n", "", "b/ConfigMap/settings.yaml", True),
        ("spec: {}\n", "", "a/ConfigMap/settings.yaml", False),
        ("spec: {}\n", "", "a/ConfigMap/%41.yaml", True),  # the name is not in the path
    ],
)
def test_an_object_may_be_named(content: str, namespace: str, path: str, expected: bool) -> None:  # noqa: FBT001
    """An object may be named if its name is written, and its namespace is written or can apply."""
    names = WrittenNames([ClusterRef(kinds.SVELTOS_CLUSTER, "of-the-cluster", "east")])
    names.add(content.encode(), namespace)
    folder = path.partition("/")[0]
    is_listed = "%" in path or ("" if folder == "_cluster" else folder) in names.namespaces

    assert (is_listed and names.may_name(path)) is expected
