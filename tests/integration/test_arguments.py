"""Samples and objects as arguments of the commands, and kinds by the names that kubectl accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Kind, ResourceSelector
from gitsnap.kube.api_resources import API_RESOURCES
from tests.support.commands import gitsnap
from tests.support.trees import W, cluster, config_map, profile
from tests.testbed.apiserver import ApiServer

_WIDGET = Kind("example.com", "Widget")
_SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "shortNames": ["wd"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _SCHEMA}}],
    },
}
_ROLLBACK = ("--from-dir", "cluster", "--dry-run")


def _widget(name: str, namespace: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": {"a": "b"}}


def _service(api_version: str, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": api_version, "kind": "Service", "metadata": metadata, "spec": {"selector": {"a": "b"}}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with three samples: the ConfigMap default/database has the values 1, 2 and 2."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    for value in ("1", "2", "2"):
        objects = [
            cluster(W),
            profile("base", {}, W),
            config_map("database", {"value": value}),
            config_map("twice", {"a": "b"}),
            config_map("twice", {"a": "b"}, "team"),
            _widget("gear", "shop"),
            _service("v1", "web"),
            _service("serving.knative.dev/v1", "web"),
            _service("serving.knative.dev/v1", "only"),
            _DEFINITION,
        ]
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        (folder / "cluster" / "all.json").write_text(json.dumps(listed))
        kinds = ("cm", "widgets", "Service", "Service.serving.knative.dev", "crd")
        resources = [word for kind in kinds for word in ("--resources", kind)]
        gitsnap(folder, "capture", "--from-dir", "cluster", "--secrets-mode", "omit", *resources, code=0)
    return folder


def _samples(place: Path) -> list[str]:
    listed = json.loads(gitsnap(place, "list", "-o", "json", code=0).stdout)["samples"]
    return [sample["tag"] for sample in listed]


def test_kinds_of_a_capture(place: Path) -> None:
    """The archive has the kinds that `--resources` names, including a kind that only a definition declares."""
    archive = open_archive(place, "manual")
    resources = archive.tree(archive.samples()[-1]).info.resources

    assert {selector.kind for selector in resources} == {
        Kind("", "ConfigMap"),
        Kind("", "Service"),
        Kind("serving.knative.dev", "Service"),
        Kind("apiextensions.k8s.io", "CustomResourceDefinition"),
        _WIDGET,
    }
    assert ResourceSelector(_WIDGET) in resources


def test_diff_takes_samples(place: Path) -> None:
    """Two words, a range, and the options of the Sveltos CLI give the same answer."""
    first, second, third = _samples(place)
    answers = [
        gitsnap(place, "diff", *words, "-o", "json", code=0).stdout
        for words in (
            ("latest~2", "latest"),
            ("latest~2",),
            ("latest~2..",),
            ("latest~2..latest",),
            (first, third),
            ("--from-sample", "latest~2", "--to-sample", "latest"),
            ("latest~2", "--to-sample", "latest"),
        )
    ]

    assert len(set(answers)) == 1
    assert [row["name"] for row in json.loads(answers[0])["management"]] == ["database"]
    assert json.loads(answers[0])["from"]["tag"] == first
    assert json.loads(gitsnap(place, "diff", "..latest~1", "-o", "json", code=0).stdout)["to"]["tag"] == second
    alias = gitsnap(place, "snapshot", "diff", "--from-sample", first, "--to-sample", third, "-o", "json", code=0)
    assert alias.stdout == answers[0]
    live = gitsnap(place, "diff", "latest~2", "live", "--from-dir", "cluster", "-o", "json", code=0)
    assert json.loads(live.stdout)["to"] == "live"


@pytest.mark.parametrize(
    "words",
    [
        ("ConfigMap/default/database",),
        ("cm/database",),
        ("configmaps/database", "-n", "default"),
        ("latest", "CM/default/database"),
        ("cm/default/database", "--sample", "latest"),
    ],
)
def test_show_takes_objects(place: Path, words: tuple[str, ...]) -> None:
    """An object has any name of its kind, and needs no namespace if it is unambiguous."""
    shown = gitsnap(place, "show", *words, "-o", "json", code=0).stdout
    before = gitsnap(place, "show", "latest~2", "cm/database", "-o", "json", code=0).stdout

    assert json.loads(shown)["items"][0]["data"] == {"value": "2"}
    assert json.loads(before)["items"][0]["data"] == {"value": "1"}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("wd/gear",), "gear"),
        (("widgets.example.com/shop/gear",), "gear"),
        (("cm/twice", "-n", "team"), "twice"),
        (("clusterprofiles/base", "-n", "team"), "base"),
        (("Service/only",), "only"),
        (("services.serving.knative.dev/web",), "web"),
    ],
)
def test_show_resolves_kinds_and_namespaces(place: Path, words: tuple[str, ...], name: str) -> None:
    """Definitions in the sample declare short names. --namespace does not hide objects without a namespace."""
    if words == ("Service/only",):
        failed = gitsnap(place, "show", *words, code=4)
        assert "the sample has no Service/only" in failed.stderr
        words = ("services/only",)
    shown = json.loads(gitsnap(place, "show", *words, "-o", "json", code=0).stdout)

    assert [item["metadata"]["name"] for item in shown["items"]] == [name]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("show cm database", 2, "cm/NAMESPACE/database"),
        ("show cm/twice", 4, "cm/twice is ambiguous: ConfigMap/default/twice, ConfigMap/team/twice"),
        ("show services/web", 4, "Service/shop/web, Service.serving.knative.dev/shop/web"),
        ("show cm/team/twice -n default", 2, "outside --namespace default"),
        ("show cm/twice -n taem", 4, "no cm/twice in the namespace taem\nThe nearest names: team/twice"),
        ("show deploy/web", 4, "It has no object of the kind Deployment.apps"),
        ("show confgmap/database", 4, "The nearest kinds: ConfigMap"),
        ("show latest --sample latest", 2, "argument latest and --sample latest"),
        ("show references", 2, "name an object"),
        ("diff ConfigMap/default/database", 2, "gitsnap log ConfigMap/default/database"),
        ("diff latest~1 --from-sample latest", 2, "argument latest~1 and --from-sample latest"),
        ("diff latest~1...latest", 2, "FROM..TO"),
        ("drift latest --sample latest --from-dir cluster", 2, "argument latest and --sample latest"),
        ("addons latest --sample latest", 2, "argument latest and --sample latest"),
        ("undo latest --of latest --from-dir cluster", 2, "argument latest and --of latest"),
        ("keep cm/default/database", 2, "is an object, and this command takes samples only"),
        ("log latest", 2, "latest is a sample"),
        ("log services", 2, "services is ambiguous: Service or Service.serving.knative.dev"),
        ("log cm database", 2, "cm/NAMESPACE/database"),
        ("blame cm database", 2, "cm/NAMESPACE/database"),
        ("blame latest cm/database --sample latest", 2, "argument latest and --sample latest"),
        ("search 2 --kind cmap", 4, "the archive never had a kind cmap"),
        ("search 2 --kind cm/databas", 4, "Did you mean ConfigMap/default/database?"),
        ("search 2 --kind services", 2, "services is ambiguous"),
        ("log cm/default/database Secret/x", 4, "the archive never had Secret/x"),
        ("rollback latest latest~1 --from-dir cluster", 2, "2 samples are given"),
        ("rollback latest --sample latest --from-dir cluster", 2, "argument latest and --sample latest"),
        ("rollback live --from-dir cluster", 2, "`live` is the cluster as it is now"),
        ("rollback latest services/web --from-dir cluster", 2, "is ambiguous in this sample"),
        ("rollback latest cm/databas --from-dir cluster", 4, "The nearest names: database"),
        ("rollback latest cm database --from-dir cluster", 2, "cm/NAMESPACE/database"),
        ("capture --from-dir cluster --resources services.example.org", 3, "is not a kind such as Deployment"),
        ("capture --from-dir cluster --resources events", 2, "the kind events is ambiguous: Event or Event.events.k8s"),
    ],
)
def test_errors(place: Path, words: str, code: int, message: str) -> None:
    """An error says how a word was understood and what to write."""
    failed = gitsnap(place, *words.split(), code=code)

    assert message in failed.stderr
    assert failed.stdout == ""


def _plan(place: Path, *words: str) -> list[tuple[str, str, str, str]]:
    """Return action, kind, namespace and name of every step."""
    plan = json.loads(gitsnap(place, "rollback", *words, *_ROLLBACK, "-o", "json", code=0).stdout)
    return [
        (step["action"], *(step["object"][field] for field in ("kind", "namespace", "name"))) for step in plan["steps"]
    ]


@pytest.mark.parametrize(
    ("words", "heading"),
    [
        ("show -n taem", ": 0 objects in the namespace taem, Secrets"),
        ("show --all -n taem", ""),
        ("show -n taem -o name", ""),
        ("addons latest -n taem", "add-ons in manual/"),
    ],
)
def test_a_namespace_without_objects_is_a_warning(place: Path, words: str, heading: str) -> None:
    """An empty list is not the only answer: the warning names the sample and proposes namespaces."""
    shown = gitsnap(place, *words.split(), code=0)
    assert shown.stderr.startswith("warning: there is nothing in the namespace taem in manual/20")
    assert "The nearest names: team." in shown.stderr
    assert heading in shown.stderr


def test_rollback_takes_a_sample_and_objects(place: Path) -> None:
    """The arguments select the same objects as --sample and --resource."""
    whole = _plan(place, "--sample", "latest~2")
    database = ("update", "ConfigMap", "default", "database")
    gear = ("unchanged", "Widget.example.com", "shop", "gear")

    assert {database, gear} < set(whole)
    assert _plan(place, "latest~2") == whole
    assert _plan(place, "latest~2", "cm/database") == [database]
    assert _plan(place, "latest~2", "cm/default/database", "wd/gear") == [database, gear]
    assert _plan(place, "latest~2", "--resource", "ConfigMap/database", "widgets/gear") == [database, gear]
    assert _plan(place, "latest~2", "cm/twice", "-n", "team") == [("unchanged", "ConfigMap", "team", "twice")]
    assert set(_plan(place, "latest~2", "--except", "configmaps/default/database")) == set(whole) - {database}


def test_log_takes_several_objects(place: Path) -> None:
    """The changes of all named kinds and objects, once each."""
    changes = json.loads(gitsnap(place, "log", "cm/default/database", "cm", "wd", "-o", "json", code=0).stdout)[
        "changes"
    ]

    assert sorted((change["kind"], change["name"], change["action"]) for change in changes) == [
        ("ConfigMap", "database", "added"),
        ("ConfigMap", "database", "modified"),
        ("ConfigMap", "twice", "added"),
        ("ConfigMap", "twice", "added"),
        ("Widget.example.com", "gear", "added"),
    ]


def test_blame_and_search_take_names_of_kinds(place: Path) -> None:
    """`blame` takes a sample before the object."""
    blame = json.loads(gitsnap(place, "blame", "latest~2", "cm/database", "data", "-o", "json", code=0).stdout)
    search = json.loads(gitsnap(place, "search", "2", "--kind", "cm", "-o", "json", code=0).stdout)

    assert [field["value"] for field in blame["fields"]] == ["1"]
    assert [match["object"]["name"] for match in search["matches"]] == ["database"]


def test_other_commands_take_a_sample(place: Path) -> None:
    """`drift`, `addons` and `keep` take the sample as an argument, `addons` also the live cluster."""
    first, _, third = _samples(place)
    drift = gitsnap(place, "drift", "latest~2", "--from-dir", "cluster", "-o", "json", code=0).stdout

    assert json.loads(drift)["from"]["tag"] == first
    assert gitsnap(place, "addons", "latest", "-o", "json", code=0).stdout.count("AddOnList") == 1
    live = gitsnap(place, "addons", "live", "--from-dir", "cluster", code=0)
    assert live.stderr == "add-ons in the folder cluster now\n"
    kept = gitsnap(place, "keep", "latest", "latest~2", first, code=0).stdout
    assert [line.partition(":")[0] for line in kept.splitlines()] == [third, first]
    assert gitsnap(place, "keep", "--remove", "latest", "latest~2", code=0).stdout.count("retention decides") == 2


def test_the_names_of_kubernetes(api: ApiServer) -> None:
    """Version, plural, scope, status and short names of every kind in the table are those of the server."""
    served = {}
    for kind, row in API_RESOURCES.items():
        base = f"/apis/{row.resource.api_version}" if kind.group else "/api/v1"
        entries = api.ask("GET", base)["resources"]
        names = {entry["name"] for entry in entries}
        (entry,) = [entry for entry in entries if entry["kind"] == kind.name and "/" not in entry["name"]]
        served[kind] = (
            entry["name"],
            entry["namespaced"],
            f"{entry['name']}/status" in names,
            tuple(entry.get("shortNames") or ()),
        )

    table = {
        kind: (row.resource.plural, row.resource.namespaced, row.status, row.short_names)
        for kind, row in API_RESOURCES.items()
    }
    assert table == served


def test_a_live_cluster_tells_names(api: ApiServer, new_namespace: Callable[[], str], tmp_path: Path) -> None:
    """`--resources` and `--resource` take a short name that only a definition on the server declares."""
    namespace = new_namespace()
    api.install([_DEFINITION])
    path = f"/apis/example.com/v1/namespaces/{namespace}/widgets"
    api.ask("POST", path, _widget("gear", namespace))
    words = ("--kubeconfig", str(api.kubeconfig()))
    try:
        gitsnap(tmp_path, "capture", *words, "--secrets-mode", "omit", "--resources", f"wd in {namespace}", code=0)
        api.ask("PATCH", f"{path}/gear", {"spec": {"a": "c"}}, content_type="application/merge-patch+json")
        plan = gitsnap(
            tmp_path, "rollback", "latest", f"wd/{namespace}/gear", *words, "--dry-run", "-o", "json", code=0
        )
        assert [step["object"]["kind"] for step in json.loads(plan.stdout)["steps"]] == ["Widget.example.com"]
    finally:
        api.ask("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com")
