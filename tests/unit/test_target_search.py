"""The search for references in YAML that is not decoded."""

from __future__ import annotations

import pytest

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.target_search import TargetSearch

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
