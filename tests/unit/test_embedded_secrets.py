"""Secret manifests inside other objects: their values are never shown, and everything else stays as it is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.diff.raw_diff import object_texts, raw_diffs
from gitsnap.diff.shown_objects import shown_versions
from gitsnap.history.fields import split_fields, text_of_value
from gitsnap.sveltos.embedded_secrets import contains_values, replace_values

_WORD = "hunter-canary"
_CODED = base64.b64encode(_WORD.encode()).decode()
_SECRET = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  password: {_WORD}\n"
_SERVICE = "# a comment\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
_QUOTED = json.dumps(_SECRET)

_MANIFESTS = {
    "block style": _SECRET,
    "flow style": f'{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, data: {{p: "{_CODED}"}}}}',
    "JSON": json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": _CODED}}),
    "JSON with escapes": f'{{"apiVersion":"v1","kind":"Sec\\u0072et","metadata":{{}},"data":{{"p":"{_CODED}"}}}}',
    "YAML with escapes": _SECRET.replace("kind: Secret", 'kind: "\\x53ecret"'),
    "without a name": _SECRET.replace("  name: s\n", "  labels: {}\n"),
    "quoted kind": _SECRET.replace("Secret", "'Secret'"),
    "among documents": f"{_SERVICE}---\n{_SECRET}---\n{_SERVICE}",
    "comment with the value": f"# was {_WORD}\n{_SECRET}",
    "misspelt field": _SECRET.replace("stringData", "stringdata"),
    "duplicate field": _SECRET + "stringData: {password: x}\n",
    "anchors": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{a: &a {_WORD}, b: *a}}\n",
    "merged values": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  <<: {{a: {_WORD}}}\n",
    "copy in an annotation": f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations: {{a: {_QUOTED}}}\n",
    "list": "apiVersion: v1\nkind: List\nitems:\n" + "".join(f"  {line}\n" for line in
                                                             ("- " + _SECRET.replace("\n", "\n  ")).splitlines()),
    "list of Secrets": f"apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {{name: s}}\n  data: {{p: {_CODED}}}\n",
    "list of manifests": f"- {_QUOTED}\n- {json.dumps(_SERVICE)}\n",
    "a ConfigMap with a Secret": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  a: {_QUOTED}\n",
    "template": "{{ if .x }}\n" + _SECRET + "{{ end }}\n",
    "template in a value": _SECRET + "  other: {{ .Cluster.name }}\n",
    "Lua": f'return {{ apiVersion = "v1", kind = "Secret", stringData = {{ password = "{_WORD}" }} }}\n',
    "broken YAML": _SECRET + "  - ]\n",
    "text after a separator": f"--- # first\n{_SERVICE}--- {_SECRET}",
    "after the end of a document": f"{_SERVICE}...\n{_SECRET}",
    "CRLF": _SECRET.replace("\n", "\r\n"),
    "bad separator": f"{_SERVICE}---x\n{_SECRET}",
    "values of a chart": "extraObjects:\n- " + _SECRET.replace("\n", "\n  ") + "\n",
    "deep in texts": f"a: {json.dumps('b: ' + json.dumps('c: ' + json.dumps('d: ' + json.dumps('e: ' + _QUOTED))))}\n",
}  # fmt: skip
_OTHER_TEXTS = (
    _SERVICE,
    "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s}\ndata: {a: b}\n",
    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: s}\nspec: {encryptedData: {a: b}}\n",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: s}\nspec: {volumes: [{secret: {secretName: a}}]}\n# a Secret\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\n",
    "spec: {policyRefs: [{apiVersion: v1, kind: Secret, namespace: a, name: b}]}\n",
    'valuesFrom:\n- {kind: Secret, name: a}  # a "\\x41"\n',
    "the Secret of a \\ in plain prose",
    "",
)


def _config_map(text: str, **fields: Any) -> JsonObject:
    metadata = {"name": "x", "namespace": "y"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": text}, **fields}


def _objects(text: str) -> list[JsonObject]:
    """Objects with the text: in a ConfigMap, in one whose texts are templates, and in the values of a chart."""
    template = _config_map(text)
    template["metadata"] = {**template["metadata"], "annotations": {"projectsveltos.io/template": "ok"}}
    spec = {"helmCharts": [{"releaseName": "r", "releaseNamespace": "n", "values": text}]}
    kind = {"apiVersion": "config.projectsveltos.io/v1beta1", "kind": "ClusterProfile"}
    return [_config_map(text), template, {**kind, "metadata": {"name": "p"}, "spec": spec}]


def _leaks(value: Any) -> bool:
    return any(word in repr(value) for word in (_WORD, _CODED))


@pytest.mark.parametrize("name", _MANIFESTS)
def test_no_value_of_a_manifest_is_shown(name: str) -> None:
    """Fields, the texts of a search and diffs have no value of the manifest."""
    text = _MANIFESTS[name]
    assert contains_values(text)
    assert not _leaks(replace_values(text, lambda _steps, _value: "hidden"))
    for document in _objects(text):
        split = split_fields(document)
        assert not _leaks([text_of_value(value) for value in split.fields.values()])
        assert not _leaks(split.texts)
        for sides in ((document, None), (None, document), (document, _objects("other: text\n")[0])):
            assert not _leaks(shown_versions(*sides))


@pytest.mark.parametrize("text", _OTHER_TEXTS)
def test_other_texts_stay_as_they_are(text: str) -> None:
    """A text without values of a Secret is the same text, and is shown."""
    assert not contains_values(text)
    document = _config_map(text)
    assert shown_versions(document, None)[0] == document


def test_a_manifest_as_a_structure() -> None:
    """For example, a kind may contain whole objects."""
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": _CODED}}
    document: JsonObject = {
        "apiVersion": "a/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"objects": [manifest], "n": 1},
    }  # fmt: skip
    assert not _leaks([text_of_value(value) for value in split_fields(document).fields.values()])
    assert not _leaks(shown_versions(document, None))
    assert split_fields(document).fields["spec.n"] == 1


def _diff(old: str, new: str) -> list[str]:
    pair = object_texts("x", *shown_versions(_config_map(old), _config_map(new)))
    return [line for raw in raw_diffs([pair], "a", "b") for line in raw.text.splitlines()[3:] if line[0] in "+-"]


def test_a_diff_says_which_value_changed() -> None:
    """The diff has the key of the value, also in a moved manifest, and the lines of other documents."""
    before = f"{_SERVICE}---\n{_SECRET}  other: same\n"
    after = f"{_SECRET.replace(_WORD, 'new')}  other: same\n---\n{_SERVICE}"
    changed = [line for line in _diff(before, after) if "not shown," in line]
    assert sorted(changed) == [
        '+      password: "(not shown, after)"',
        '-      password: "(not shown, before)"',
    ]
    assert _diff(_SERVICE + "---\n" + _SECRET, _SERVICE.replace("name: a", "name: b") + "---\n" + _SECRET) == [
        "-    metadata: {name: a}",
        "+    metadata: {name: b}",
    ]


def test_a_diff_shows_that_only_a_comment_changed() -> None:
    """Comments of a manifest may contain values, so a diff says only that they differ."""
    assert _diff(_SECRET, f"# was {_WORD}\n{_SECRET}") == [
        "-    # comments and format: (not shown, before)",
        "+    # comments and format: (not shown, after)",
    ]


def test_a_changed_value_is_a_changed_field() -> None:
    """`blame` sees two values as equal exactly if they are equal."""
    path = "data.a[Secret/s].stringData.password"
    old, new = (split_fields(_config_map(text)).fields[path] for text in (_SECRET, _SECRET.replace(_WORD, "new")))
    assert old != new
    assert old == split_fields(_config_map(f"# comment\n{_SECRET}")).fields[path]
