"""A canary in every source of secrets, searched in every output: only the mode plaintext has canaries.

The tests run the usual commands on a real API server that quotes values when it denies a write, with tracebacks
enabled and the umask 0.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.canaries import forms_of
from tests.support.commands import gitsnap
from tests.support.controllers import SNAPSHOTS, Installation, wait_for
from tests.support.remotes import bare_repository
from tests.support.trees import policy_ref, profile
from tests.support.web_servers import running_server
from tests.testbed.apiserver import ApiServer

_PLACES = (
    "data", "changed-data", "last-applied", "kapp-original", "rancher-applied", "values-from", "chart-values",
    "changed-chart-values", "annotation", "binary-data",
)  # fmt: skip
_RUN = """
import json, os, sys
os.umask(0)
from gitsnap.cli import main
codes = []
for words in json.loads(sys.stdin.read()):
    try:
        main(words)
    except SystemExit as end:
        codes.append(end.code)
    os.umask(0)
with open("codes.json", "w") as file:
    json.dump(codes, file)
"""
_RECIPIENT = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
_FIELDS = (
    "ClusterProfile.config.projectsveltos.io spec.helmCharts[].values",
    'ConfigMap metadata.annotations["example.com/token"]',
    "ConfigMap binaryData.*",
)


def _canary(place: str) -> str:
    """Return a text with characters that URLs, JSON and shells escape."""
    return f'cAnary@{place} "7é/+'


class _Day:
    """A cluster with canaries, with the output and the files of the usual commands."""

    def __init__(self, api: ApiServer, folder: Path, mode: str) -> None:
        self.api = api
        self.folder = folder
        self.mode = mode
        self.output = b""
        (folder / "tmp").mkdir()
        self.storage = folder / "storage"
        self.storage.mkdir()
        self.remote = bare_repository(folder / "remote.git")
        self._make("POST", changed="")
        self.kubeconfig = api.kubeconfig()

    def _make(self, method: str, *, changed: str) -> None:
        text = _canary(f"{changed}data")
        copies = {
            "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": _canary("last-applied")}),
            "kapp.k14s.io/original": json.dumps({"stringData": _canary("kapp-original")}),
            "objectset.rio.cattle.io/applied": json.dumps({"stringData": _canary("rancher-applied")}),
        }
        chart = {
            "repositoryURL": "https://charts.example.com",
            "repositoryName": "r",
            "chartName": "r/c",
            "chartVersion": "1.0.0",
            "releaseName": "r",
            "releaseNamespace": "r",
            "values": f"password: {_canary(f'{changed}chart-values')}\n",
            "valuesFrom": [{"kind": "Secret", "name": "values", "namespace": "default"}],
        }
        refs = [policy_ref("typed", "Secret"), policy_ref("open")]
        typed = "addons.projectsveltos.io/cluster-profile"
        self._put(method, "Secret", "typed", {"type": typed, "stringData": {"password": text}}, annotations=copies)
        values = _canary("values-from")
        self._put(method, "Secret", "values", {"type": "Opaque", "stringData": {"values.yaml": f"a: {values}\n"}})
        binary = base64.b64encode(_canary("binary-data").encode()).decode()
        token = {"example.com/token": _canary("annotation")}
        self._put(method, "ConfigMap", "open", {"data": {"a": "b"}, "binaryData": {"key": binary}}, annotations=token)
        spec = {"helmCharts": [chart], "policyRefs": refs}
        self._put(method, "ClusterProfile", "p", {"spec": spec})

    def _put(
        self, method: str, kind: str, name: str, content: dict[str, Any], *, annotations: dict[str, str] | None = None
    ) -> None:
        metadata: dict[str, Any] = {"name": name, "annotations": annotations or {}}
        if kind == "ClusterProfile":
            version, path = "config.projectsveltos.io/v1beta1", "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
        else:
            version, path = "v1", f"/api/v1/namespaces/default/{kind.lower()}s"
            metadata["namespace"] = "default"
        document = {"apiVersion": version, "kind": kind, "metadata": metadata, **content}
        if method == "POST":
            self.api.ask("POST", path, document)
        else:
            content_type = "application/merge-patch+json"
            self.api.ask("PATCH", f"{path}/{name}", document, content_type=content_type)

    def named(self) -> list[str]:
        """Return the names of the objects that the archive has."""
        secrets = () if self.mode == "omit" else ("Secret/default/typed", "Secret/default/values")
        return ["ClusterProfile/p", "ConfigMap/default/open", *secrets]

    def change(self) -> None:
        """Change values in a Secret and in a chart."""
        self._make("PATCH", changed="changed-")

    def run(self, *commands: tuple[int, str | list[str]]) -> None:
        """Run commands in one process, and check their exit codes. Errors print their tracebacks."""
        listed = [words.split() if isinstance(words, str) else words for _, words in commands]
        environment = {
            **os.environ,
            "GITSNAP_DEBUG": "1",
            "GITSNAP_STORAGE": "storage",
            "KUBECONFIG": str(self.kubeconfig),
            "TMPDIR": str(self.folder / "tmp"),
        }
        done = subprocess.run(
            [sys.executable, "-c", _RUN],
            input=json.dumps(listed).encode(),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            check=True,
        )
        self.output += done.stdout + done.stderr
        codes = json.loads((self.folder / "codes.json").read_text())
        assert codes == [code for code, _ in commands], done.stderr.decode()[-5000:]

    def browse(self) -> None:
        """Write every page about the objects into ``pages.txt``: each as HTML and as JSON, in both samples."""
        secrets = () if self.mode == "omit" else ("Secret/default/typed", "Secret/default/values")
        objects = (*secrets, "ConfigMap/default/open", "ClusterProfile.config.projectsveltos.io/p")
        paths = ["/", "/hourly", "/hourly/diff?from=latest~1&to=latest", "/hourly/clusters", "/hourly/search?q=a"]
        paths += [f"/hourly/{page}/latest~1" for page in ("sample", "rollback")]
        paths += ["/hourly/search?q=Anary", "/hourly/search?q=password"]
        paths += [f"/hourly/{page}/{name}" for page in ("log", "blame", "object") for name in objects]
        paths += [f"/hourly/object/{name}?at=latest~1" for name in objects]
        with running_server(self.folder, "--storage", "storage") as server:
            bodies = []
            for path in paths:
                answer = server.get(path)
                if answer.status == 302:
                    answer = server.get(path := answer.headers["location"])
                assert answer.status == 200, path
                bodies += [answer.body, server.get(path, Accept="application/json").body]
            assert server.stop() == 0
        self.output += "\n".join(server.lines).encode()
        (self.folder / "pages.txt").write_bytes(html.unescape(b"\n".join(bodies).decode()).encode())

    def read_everything(self) -> Iterator[tuple[str, bytes]]:
        """Yield all output and all files. Git objects are unpacked, even unreachable objects."""
        yield "output", self.output
        for file in sorted(self.folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                yield str(file.relative_to(self.folder)), file.read_bytes()
        for repository in (self.storage / "hourly", self.remote):
            command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
            done = subprocess.run(command, cwd=repository, capture_output=True, check=True)
            yield f"objects of {repository.name}", done.stdout

    def find_canaries(self) -> dict[str, set[str]]:
        """Return the places of each canary."""
        canary_forms = {place: tuple(dict.fromkeys(forms_of(_canary(place)))) for place in _PLACES}
        return {
            place: where
            for place, forms in canary_forms.items()
            if (where := {name for name, content in self.read_everything() if any(form in content for form in forms)})
        }


@contextlib.contextmanager
def _quoting(api: ApiServer) -> Iterator[None]:
    """Bind an admission policy that denies updates and quotes values of the objects, as webhooks do."""
    root, name = "/apis/admissionregistration.k8s.io/v1", "gitsnap.test.quoting"
    rule = {"operations": ["UPDATE"], "apiVersions": ["*"], "scope": "*"}
    message = (
        "'refused: ' + (has(object.data) && 'password' in object.data ? string(object.data['password']) : '')"
        " + (has(object.spec) ? string(object.spec.helmCharts[0].values) : '')"
    )
    secrets, profiles = ("", "secrets"), ("config.projectsveltos.io", "clusterprofiles")
    rules = [{**rule, "apiGroups": [group], "resources": [plural]} for group, plural in (secrets, profiles)]
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "false", "messageExpression": message}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"]}
    kinds = (("ValidatingAdmissionPolicy", "ies", policy), ("ValidatingAdmissionPolicyBinding", "ybindings", bound))
    made = []
    for kind, ending, spec in kinds:
        path = f"{root}/validatingadmissionpolic{ending}"
        document = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
        api.ask("POST", path, {**document, "spec": spec})
        made.append(f"{path}/{name}")
    try:
        wait_for(lambda: all(_quoted(api, path) for path in _REFUSED), "the policy to be enforced")
        yield
    finally:
        for path in reversed(made):
            api.ask("DELETE", path)


_REFUSED = (
    "/api/v1/namespaces/default/secrets/typed",
    "/apis/config.projectsveltos.io/v1beta1/clusterprofiles/p",
)


def _quoted(api: ApiServer, path: str) -> bool:
    """Return whether the server denies a change and quotes the object's value."""
    patch = {"metadata": {"labels": {"tried": "yes"}}}
    status, answer = api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    message = json.dumps(answer, ensure_ascii=False)
    return (status >= 400 and any(form.decode() in message for form in forms_of(_canary("changed-data")) if form)) or (
        status >= 400 and "changed-chart-values" in message
    )


def _capture(mode: str) -> list[str]:
    words = ["capture", "--snapshot", "hourly", "--secrets-mode", mode]
    for field in _FIELDS if mode in ("encrypt", "redact") else ():
        words += ["--sensitive-field", field]
    return words


_BISECT = [
    *["bisect", "--good", "latest~1", "--bad", "latest", "--", "sh", "-c"],
    'cp -r "$GITSNAP_CONFIGURATION" "folder-$GITSNAP_COMMIT"; test -e judged && exit 1; : >judged',
]
"""Keeps the folder of each judged configuration."""


def _run_commands(day: _Day) -> None:
    """Run every command that reads or writes an archive."""
    (day.folder / "allowed.yaml").write_text("management: [{resourceType: /Secret}, {name: p, fields: [spec.x]}]\n")
    day.run((0, _capture(day.mode)))
    day.change()
    day.run(
        (0, "capture --snapshot hourly"),
        (0, "list --wide -o json"),
        (0, "show --all"),
        (0, "show --all -o json"),
        (0, "show references ClusterProfile/p"),
        (0, "diff"),
        (0, "diff --raw-diff"),
        (0, "diff --raw-diff -o json"),
        (0, "drift --raw-diff --sample latest~1"),
        (0, "log"),
        (0, "log -o json"),
        (0, "report -o report.html"),
        *((0, f"blame {name} --deleted -o {form}") for name in day.named() for form in ("table", "json")),
        *((0, f"search {text} -o {form}") for text in ("cAnary", "b") for form in ("table", "json")),
        (0, _BISECT),
        (0, "diff --raw-diff --expect allowed.yaml"),
        (0, "diff --raw-diff --expect allowed.yaml -o json"),
        (0, "push --to remote.git"),
        (3, "capture --snapshot hourly -f missing"),
    )
    day.browse()


@pytest.mark.parametrize("mode", ["encrypt", "redact", "omit"])
def test_no_canary_is_found_anywhere(api: ApiServer, tmp_path: Path, mode: str) -> None:
    """No output, file or git object has a canary, here or at the remote. Only the owner can read the files."""
    day = _Day(api, tmp_path, mode)
    _run_commands(day)
    back = ["rollback", "--snapshot", "hourly", "--sample", "latest~1"]
    refused = 14 if mode == "redact" else 0
    day.run(
        (refused, [*back, "--dry-run", "-o", "json", "--plan-out", "plan.json"]),
        *((refused, words) for words in _plans(back)),
        *([(0, ["rollback", "--plan", "plan.json", "--dry-run", "--full"])] if not refused else []),
        (refused, [*back, "--yes"]),
        *((0, words) for words in _plans(["undo", "--snapshot", "hourly"]) if not refused),
        (0, "secrets rekey" if mode == "encrypt" else "diff"),
        (0, "verify"),
    )

    leaks = day.find_canaries()

    assert {place: where for place, where in leaks.items() if place in _kept_by(mode)} == {}
    for file in day.storage.rglob("*"):
        bits = stat.S_IMODE(file.lstat().st_mode)
        assert file.is_symlink() or not bits & 0o077, f"{file}: {bits:o}"
    assert list((tmp_path / "tmp").iterdir()) == []


def _plans(words: list[str]) -> Iterator[list[str]]:
    """Yield commands that show a plan with lines: short, with all lines, and as JSON."""
    for options in ([], ["--full"], ["--full", "-o", "json"], ["--full", "-o", "yaml"]):
        yield [*words, "--dry-run", *options]


def _kept_by(mode: str) -> set[str]:
    """Return the canaries that a mode hides. Without fingerprints, no field of other objects is hidden."""
    own = {"data", "changed-data", "last-applied", "kapp-original", "rancher-applied", "values-from"}
    return own if mode == "omit" else set(_PLACES)


def test_the_search_finds_canaries_in_plaintext(api: ApiServer, tmp_path: Path) -> None:
    """This proves that the search works. Copies in annotations are removed in every mode."""
    day = _Day(api, tmp_path, "plaintext")
    _run_commands(day)

    leaks = day.find_canaries()

    copies = {"last-applied", "kapp-original", "rancher-applied"}
    assert set(leaks) == set(_PLACES) - copies
    for place in ("data", "changed-data", "values-from"):
        assert {"objects of hourly", "objects of remote.git"} <= leaks[place]
    for place in ("data", "changed-data", "values-from"):
        assert not {"report.html", "pages.txt"} & leaks[place]
    assert {"report.html", "pages.txt"} <= leaks["changed-chart-values"]
    assert "output" in leaks["changed-data"]  # `show` prints it; no diff ever does
    assert "output" not in leaks["data"]

    back = ["rollback", "--snapshot", "hourly", "--sample", "latest~1"]
    day.run(*((0, words) for words in _plans(back)))
    assert "output" not in day.find_canaries()["data"]
    assert b"(not shown, before)" in day.output
    day.run((0, [*back, "--dry-run", "--decrypt"]))
    assert "output" in day.find_canaries()["data"]


@pytest.mark.parametrize("mode", ["encrypt", "redact", "omit", "plaintext"])
def test_no_canary_is_in_the_output_of_a_controller(api: ApiServer, tmp_path: Path, mode: str) -> None:
    """The verbose log, Events, status and metrics have no canary in any mode, with and without errors."""
    day = _Day(api, tmp_path, mode)
    installed = Installation(api, tmp_path)
    installed.apply()
    process = installed.start(
        storage=day.storage,
        verbose=True,
        environment={"TMPDIR": str(tmp_path / "tmp")},
        flags=("--allow-local-push", "--allow-plaintext"),
    )
    try:
        _run_controller(day, installed)
        texts = {"log": json.dumps(process.log, ensure_ascii=False), "metrics": process.get("/metrics")[1]}
        texts["status"] = json.dumps(api.ask("GET", SNAPSHOTS), ensure_ascii=False)
        texts["events"] = json.dumps(installed.events("hourly"), ensure_ascii=False)
        process.terminate()
    finally:
        installed.remove()

    assert {line["level"] for line in process.log} == {"debug", "info", "warning"}
    day.output += "\n".join(texts.values()).encode()
    leaks = day.find_canaries()
    assert not {place for place, where in leaks.items() if where & {"output", "log-0"}}
    if mode == "plaintext":
        assert {"objects of hourly", "objects of remote.git"} <= leaks["changed-data"]
    else:
        assert {place: where for place, where in leaks.items() if place in _kept_by(mode)} == {}
    assert list((tmp_path / "tmp").iterdir()) == []


def _run_controller(day: _Day, installed: Installation) -> None:
    """Take and push samples before and after a change. Then a push fails, a kind is unknown, a schedule is invalid."""
    secrets: dict[str, Any] = {"mode": day.mode}
    if day.mode == "encrypt":
        secrets["recipients"] = [_RECIPIENT]
    if day.mode in ("encrypt", "redact"):
        secrets["sensitiveFields"] = [
            {"kind": kind, "group": group, "path": path}
            for (kind, _, group), path in ((field.split()[0].partition("."), field.split()[1]) for field in _FIELDS)
        ]
    spec = {"schedule": "@yearly", "storage": str(day.storage), "secrets": secrets, "push": {"url": str(day.remote)}}
    installed.snapshot("hourly", {**spec, "successfulSnapshotLimit": 1})

    def sample(value: str) -> None:
        installed.request_sample("hourly", value)
        wait_for(lambda: installed.status("hourly").get("lastHandledCaptureAt") == value, "a sample")

    sample("first")
    day.change()
    sample("second")
    wait_for(lambda: installed.condition("hourly", "Pushed") == ("True", "Pushed"), "a push")
    nowhere = {"push": {"url": str(day.folder / "nowhere.git")}, "resources": [{"kind": "Nothing", "group": "a.b"}]}
    installed.change("hourly", {"spec": nowhere})
    sample("third")
    wait_for(lambda: installed.condition("hourly", "Pushed")[0] == "False", "a push that fails")
    installed.change("hourly", {"spec": {"schedule": "61 * * * *"}})
    wait_for(lambda: installed.condition("hourly", "Ready") == ("False", "InvalidSpec"), "the error")


def test_values_in_messages_of_the_server_are_not_printed(api: ApiServer, tmp_path: Path) -> None:
    """The server denies writes of a rollback and quotes values. The error of gitsnap names only the object."""
    day = _Day(api, tmp_path, "encrypt")
    day.run((0, _capture("encrypt")))
    day.change()
    back = ["rollback", "--snapshot", "hourly", "--sample", "latest"]
    with _quoting(api):
        day.run((14, [*back, "--dry-run"]), (14, [*back, "--yes", "-o", "json"]))

    assert day.find_canaries() == {}
    assert b"ClusterProfile p" in day.output
    assert b"Secret default/typed" in day.output


_MANIFEST = """\
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: default}
stringData:
  password: %s  # %s
"""


@pytest.mark.parametrize("mode", ["encrypt", "redact", "omit", "plaintext"])
def test_values_of_a_manifest_in_a_config_map_are_not_shown(tmp_path: Path, mode: str) -> None:
    """The archive has the ConfigMap as it is, and `show` prints the ConfigMap. No other command shows a value."""
    cluster, template = tmp_path / "cluster", {"projectsveltos.io/template": "ok"}
    cluster.mkdir()
    for name in ("first", "second"):
        password, comment = json.dumps(_canary(f"{name}-value")), _canary(f"{name}-comment")
        text = _MANIFEST % (password, comment)
        objects = [
            {"kind": "ConfigMap", "metadata": {"name": "plain", "namespace": "default"}, "data": {"a": text}},
            {
                "kind": "ConfigMap",
                "metadata": {"name": "template", "namespace": "default", "annotations": template},
                "data": {"a": f"{{{{ if true }}}}\n{text}{{{{ end }}}}\n"},
            },
            profile("p", {"policyRefs": [policy_ref("plain"), policy_ref("template")]}),
        ]
        items = [{"apiVersion": "v1", **document} for document in objects]
        (cluster / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        options = ("--snapshot", "hourly", "--from-dir", "cluster", "--secrets-mode", mode)
        gitsnap(tmp_path, "capture", *options, code=0)
    (tmp_path / "allowed.yaml").write_text("management: [{name: plain, fields: [data.b]}]\n")

    output = "".join(
        done.stdout + done.stderr
        for words in (
            *("diff --raw-diff", "diff --raw-diff -o json", "diff --raw-diff --expect allowed.yaml", "log -o json"),
            *("report -o report.html", "search cAnary", "search cAnary -o json", "search stringData -o json"),
            *(f"blame ConfigMap/default/{name} --deleted -o json" for name in ("plain", "template")),
            "rollback --sample latest~1 --from-dir cluster --dry-run --full",
            "rollback --sample latest~1 --from-dir cluster --dry-run --full -o json --plan-out plan.json",
        )
        for done in [gitsnap(tmp_path, *words.split(), code=0)]
    )
    output += gitsnap(tmp_path, *_BISECT, code=0).stderr
    assert "(not shown, before)" in output
    files = [*tmp_path.glob("folder-*/**/*.yaml"), tmp_path / "report.html", tmp_path / "plan.json"]
    assert len([file for file in files if file.name == "plain.yaml"]) == 2
    contents = [output.encode(), *(file.read_bytes() for file in files)]
    for place in ("first-value", "second-value", "first-comment", "second-comment"):
        assert not any(form in content for content in contents for form in forms_of(_canary(place)))
    assert "second-value" in gitsnap(tmp_path, "diff", "--raw-diff", "--decrypt", code=0).stdout
    assert "second-value" in gitsnap(tmp_path, "show", "ConfigMap/default/plain", code=0).stdout


def test_values_that_only_a_file_can_have(tmp_path: Path) -> None:
    """Files may have `stringData`, a misspelt field and invalid base64. No archive has these values."""
    (tmp_path / "cluster").mkdir()
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "default"},
        "type": "addons.projectsveltos.io/cluster-profile",
        "stringData": {"a": _canary("data")},
        "stringdata": {"b": _canary("changed-data")},
        "data": {"c": _canary("values-from")},
    }
    refers = profile("p", {"policyRefs": [policy_ref("s", "Secret")]})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [document, refers]})
    (tmp_path / "cluster" / "all.json").write_text(text)
    folder = tmp_path / "day"
    folder.mkdir()

    gitsnap(folder, "capture", "--snapshot", "hourly", "--from-dir", "../cluster", code=0)

    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    objects = subprocess.run(command, cwd=folder / "hourly", capture_output=True, check=True).stdout
    contents = [objects, *(file.read_bytes() for file in folder.rglob("*") if file.is_file())]
    for place in ("data", "changed-data", "values-from"):
        assert not any(form in content for content in contents for form in forms_of(_canary(place)))
    assert b"gitsnap:hmac-sha256:" in objects
