"""Sensitive fields are masked like the values of Secrets, and restored only if they match their fingerprints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitsnap.core.errors import ArchiveError, InputError, SecretsError
from gitsnap.core.model import JsonObject, Kind, SecretsInfo, SecretsMode, SensitiveField, TreeInfo
from gitsnap.format import masking, tree_info_from_bytes, tree_info_to_bytes
from gitsnap.format.fingerprint import is_fingerprint, key_id
from gitsnap.policy import sensitive_fields
from gitsnap.policy.snapshot import from_resource
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, SECRET
from tests.support.trees import KEY, profile, secret

_CANARY = "canary-6f1d"
_NOTE = 'metadata.annotations["example.com/note"]'


def _info(*fields: tuple[Kind, str]) -> SecretsInfo:
    named = tuple(sorted(SensitiveField(kind, path) for kind, path in fields))
    return SecretsInfo(SecretsMode.ENCRYPT, key_id(KEY), ("age1x",), named)


def _charts(*values: str) -> JsonObject:
    return profile("p", {"helmCharts": [{"releaseName": str(n), "values": text} for n, text in enumerate(values)]})


VALUES = _info((CLUSTER_PROFILE, "spec.helmCharts[].values"))


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("spec.helmCharts[].values", ("spec", "helmCharts", "[]", "values")),
        ("data.*", ("data", "*")),
        (_NOTE, ("metadata", "annotations", "example.com/note")),
        ('data["a.b"][].c-d', ("data", "a.b", "[]", "c-d")),
    ],
)
def test_paths(path: str, steps: tuple[str, ...]) -> None:
    """Names, elements of lists, values of mappings, and keys with dots."""
    assert masking.steps_of(path) == steps


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[0]", 'a["', 'a[""]', "*", "[]", "a b", "a\n", "a.b\n"])
def test_texts_that_are_not_paths(path: str) -> None:
    """The error quotes the text."""
    with pytest.raises(InputError, match="is not the path of a field"):
        masking.steps_of(path)


@pytest.mark.parametrize(
    "value",
    ["text", "", 7, 1.5, True, ["a", {"b": 1}], {"b": 2, "a": None}, "\ud800", "gitsnap:hmac-sha256:" + "0" * 64],
)
def test_any_value_is_restored(value: Any) -> None:
    """Any JSON value of a field is masked and restored unchanged."""
    document = profile("p", {"x": {"y": value}, "z": 1})
    info = _info((CLUSTER_PROFILE, "spec.x.y"))

    masked = masking.mask(document, info, KEY)
    values = masking.values_document(document, info)

    assert is_fingerprint(masked["spec"]["x"]["y"])
    assert masked["spec"]["x"]["y"] != value
    assert document["spec"]["x"]["y"] == value
    assert masking.restore(masked, values, info, KEY) == document


def test_absent_and_null_fields_are_not_masked() -> None:
    """The object has no values to encrypt then."""
    for spec in ({}, {"helmCharts": None}, {"helmCharts": [{"values": None}]}, {"helmCharts": "text"}):
        document = profile("p", spec)
        assert masking.mask(document, VALUES, KEY) == document
        assert masking.values_document(document, VALUES) is None
        assert not masking.hides(document, VALUES)


def test_a_chart_that_moves_keeps_its_fingerprint() -> None:
    """The position in a list does not count: a new first element changes no other fingerprint."""
    before = masking.mask(_charts("a", "b"), VALUES, KEY)["spec"]["helmCharts"]
    after = masking.mask(_charts("new", "a", "b"), VALUES, KEY)["spec"]["helmCharts"]

    assert [chart["values"] for chart in after[1:]] == [chart["values"] for chart in before]
    assert after[0]["values"] not in {chart["values"] for chart in before}


def test_a_text_differs_from_a_number() -> None:
    """The number 7 has another fingerprint than the text 7."""
    info = _info((CLUSTER_PROFILE, "spec.x"))
    values = [masking.mask(profile("p", {"x": value}), info, KEY)["spec"]["x"] for value in (7, "7")]

    assert values[0] != values[1]


def test_an_annotation_of_a_secret_is_masked_with_its_values() -> None:
    """Both are restored from one file."""
    document = secret("s", {"password": "x"})
    document["metadata"]["annotations"] = {"example.com/note": _CANARY}
    info = _info((SECRET, _NOTE))

    masked = masking.mask(document, info, KEY)

    assert _CANARY not in json.dumps(masked)
    restored = masking.restore(masked, masking.values_document(document, info), info, KEY)
    assert restored["metadata"]["annotations"] == {"example.com/note": _CANARY}
    assert restored["data"] == document["data"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: [],
        lambda fields: [{**fields[0], "value": "forged"}],
        lambda fields: [{**fields[0], "path": ["spec", "helmCharts", 1, "values"]}],
        lambda fields: [*fields, {"path": ["spec", "syncMode"], "value": "forged"}],
        lambda _: "text",
        lambda fields: [{"path": fields[0]["path"]}],
    ],
)
def test_values_that_do_not_match_are_refused(forge: Any) -> None:
    """A writer of the archive can neither replace a value nor move it to another field."""
    masked, values = masking.mask(_charts(_CANARY), VALUES, KEY), masking.values_document(_charts(_CANARY), VALUES)
    assert values is not None

    with pytest.raises(SecretsError, match="ClusterProfile") as caught:
        masking.restore(masked, {**values, "fields": forge(values["fields"])}, VALUES, KEY)

    assert _CANARY not in str(caught.value)


def test_a_plain_value_in_place_of_a_fingerprint_is_refused() -> None:
    """Text in place of a fingerprint is not restored as a value."""
    with pytest.raises(SecretsError, match=r"spec\.helmCharts\[0\]\.values"):
        masking.restore(_charts("forged"), masking.values_document(_charts("forged"), VALUES), VALUES, KEY)


def test_a_tree_with_masked_fields_requires_a_feature() -> None:
    """They would restore fingerprints as values, so ``requires`` names the feature. Other trees do not require it."""
    tree = TreeInfo("hourly", "hourly", (CLUSTER_PROFILE,), VALUES)
    content = tree_info_to_bytes(tree)

    assert b"requires:\n- sensitive-fields\n" in content
    assert tree_info_from_bytes(content) == tree
    assert b"requires: []" in tree_info_to_bytes(TreeInfo("hourly", "hourly", (), SecretsInfo(SecretsMode.OMIT)))
    with pytest.raises(ArchiveError, match=r"gitsnap\.yaml"):
        tree_info_from_bytes(content.replace(b"spec.helmCharts[].values", b"spec..values"))


@pytest.mark.parametrize(
    ("kind", "path", "part"),
    [
        (Kind("", ""), "spec.x", "kind"),
        (CLUSTER_PROFILE, "spec", "path"),
        (CLUSTER_PROFILE, "spec.helmCharts[]", "path"),
        (CLUSTER_PROFILE, "spec.clusterSelector.matchLabels", "path"),
        (CLUSTER_PROFILE, "spec.policyRefs[].name", "path"),
        (CLUSTER_PROFILE, "spec.helmCharts[].releaseName", "path"),
        (CLUSTER_PROFILE, "spec.*", "path"),
        (CLUSTER_PROFILE, "metadata.labels.env", "path"),
        (CLUSTER_PROFILE, "metadata.annotations", "path"),
        (CLUSTER_PROFILE, "status.x", "path"),
        (CLUSTER_PROFILE, "spec..x", "path"),
        (SECRET, "data.password", "path"),
        (Kind("config.projectsveltos.io", "ClusterSummary"), "spec.x", "kind"),
        (Kind("", "ClusterProfile"), "spec.helmCharts[].values", "kind"),
        (Kind("", "Deployment"), "spec.template.spec.containers[].env[].value", "kind"),
    ],
)
def test_fields_that_cannot_be_masked(kind: Kind, path: str, part: str) -> None:
    """Fields that gitsnap reads, identities, fields that are masked anyway, and fields that no object has."""
    assert [problem for problem, _ in sensitive_fields.problems(SensitiveField(kind, path))][:1] == [part]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (CLUSTER_PROFILE, "spec.helmCharts[].values"),
        (CLUSTER_PROFILE, "spec.patches[].patch"),
        (CLUSTER_PROFILE, _NOTE),
        (CONFIG_MAP, "data.*"),
        (Kind("", "Service"), "spec.externalName"),
        (SECRET, _NOTE),
        (Kind("apps", "Deployment"), "spec.template.spec.containers[].env[].value"),
    ],
)
def test_fields_that_can_be_masked(kind: Kind, path: str) -> None:
    """Fields with values and without references."""
    assert list(sensitive_fields.problems(SensitiveField(kind, path))) == []


def test_a_policy_with_sensitive_fields() -> None:
    """Fields are sorted, without duplicates. All wrong fields are reported with their paths."""
    entry = {"group": "config.projectsveltos.io", "kind": "ClusterProfile", "path": "spec.helmCharts[].values"}
    document = {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": {"name": "hourly"},
        "spec": {"secrets": {"sensitiveFields": [entry, {"kind": "ConfigMap", "path": "data.*"}, entry]}},
    }

    policy = from_resource(document)

    assert policy.sensitive_fields_set
    assert list(map(str, policy.sensitive_fields)) == [
        "ConfigMap data.*",
        "ClusterProfile.config.projectsveltos.io spec.helmCharts[].values",
    ]
    bad = [
        {**entry, "path": "spec"},
        "text",
        {"kind": "ConfigMap", "path": "data.a"},
        {"kind": "ConfigMap", "path": "data.*"},
    ]
    document["spec"] = {"secrets": {"mode": "omit", "sensitiveFields": bad}}
    with pytest.raises(InputError) as caught:
        from_resource(document)
    for part in ("[0].path", "[1]: must be an object", "overlap", "have no effect in the mode omit"):
        assert part in caught.value.message
