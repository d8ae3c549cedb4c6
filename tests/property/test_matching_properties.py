"""Label selectors compared with a simple evaluation by the Kubernetes API conventions, with and without an index."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.sveltos.kinds import CAPI_CLUSTER
from gitsnap.sveltos.matching import ClusterRef, LabelIndex, matching_clusters, selector_matches

_KEYS = st.sampled_from(["env", "zone", "tier"])
_WORDS = st.sampled_from(["a", "b", "", "c"])
_LABELS = st.dictionaries(_KEYS, _WORDS, max_size=3)
_EXPRESSION = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        **({"values": values} if operator in ("In", "NotIn") else {}),
    },
    _KEYS,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(_WORDS, min_size=1, max_size=3),
)
_SELECTOR = st.fixed_dictionaries(
    {}, optional={"matchLabels": _LABELS, "matchExpressions": st.lists(_EXPRESSION, max_size=3)}
)


def _expected_match(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return False  # Sveltos takes an empty selector for none, not for all
    for key, value in selector.get("matchLabels", {}).items():
        if key not in labels or labels[key] != value:
            return False
    for expression in selector.get("matchExpressions", []):
        there = expression["key"] in labels
        value = labels.get(expression["key"])
        fits = {
            "Exists": there,
            "DoesNotExist": not there,
            "In": there and value in expression.get("values", []),
            "NotIn": not there or value not in expression.get("values", []),
        }[expression["operator"]]
        if not fits:
            return False
    return True


@given(_SELECTOR, _LABELS)
def test_selectors(selector: dict[str, Any], labels: dict[str, str]) -> None:
    """Every operator, alone and in combination."""
    assert selector_matches(selector, labels) == _expected_match(selector, labels)


@given(_SELECTOR, st.lists(_LABELS, max_size=8))
def test_an_index_selects_the_same_clusters(selector: dict[str, Any], clusters: list[dict[str, str]]) -> None:
    """A LabelIndex and a plain mapping give the same result."""
    plain = {ClusterRef(CAPI_CLUSTER, "default", f"c{number}"): labels for number, labels in enumerate(clusters)}
    index = LabelIndex()
    for ref, labels in plain.items():
        index.add(ref, labels)
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "p"},
        "spec": {"clusterSelector": selector},
    }

    assert set(matching_clusters(profile, index)) == set(matching_clusters(profile, plain))
    assert set(matching_clusters(profile, plain)) == {
        ref for ref, own in plain.items() if _expected_match(selector, own)
    }
