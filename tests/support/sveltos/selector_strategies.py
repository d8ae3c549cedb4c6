"""Random label selectors and cluster references over a small world of names, for configurations of any kind.

This module must not be imported by the package.
"""

from __future__ import annotations

from hypothesis import strategies as st

LABELS, VALUES = ("env", "tier"), ("a", "b")
NAMESPACES, CLUSTERS = ("one", "two"), ("east", "west")

LABEL_MAPS = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES), max_size=2)
_REQUIREMENTS = st.one_of(
    st.builds(
        lambda key, operator, value: {"key": key, "operator": operator, "values": [value]},
        st.sampled_from(LABELS),
        st.sampled_from(("In", "NotIn")),
        st.sampled_from(VALUES),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(LABELS),
        st.sampled_from(("Exists", "DoesNotExist")),
    ),
)
SELECTORS = st.one_of(
    st.builds(lambda labels: {"matchLabels": labels}, LABEL_MAPS),
    st.builds(lambda requirements: {"matchExpressions": requirements}, st.lists(_REQUIREMENTS, min_size=1, max_size=2)),
)
CLUSTER_REFS = st.lists(
    st.builds(
        lambda namespace, name: {
            "apiVersion": "lib.projectsveltos.io/v1beta1",
            "kind": "SveltosCluster",
            "namespace": namespace,
            "name": name,
        },
        st.sampled_from(NAMESPACES),
        st.sampled_from(CLUSTERS),
    ),
    max_size=1,
)
