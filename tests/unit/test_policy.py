"""The snapshot policy: every field is validated, and all problems are reported at once by path."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, ResourceSelector, SecretsMode
from gitsnap.format import load_documents
from gitsnap.format.recipients import EXAMPLES as EXAMPLE_KEYS
from gitsnap.policy import snapshot as policy
from gitsnap.policy.schedule import Schedule
from gitsnap.policy.snapshot import Policy, Push, Retention

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
EXAMPLES = MANIFESTS / "examples"
PLACEHOLDER = "age1putyourownpublickeyhere"
CANARY = "canary-7f3a91"
KEYS, SIGNING = "gitsnap/nightly-keys", "gitsnap/nightly-signing"
RECIPIENT = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"


def snapshot(**spec: Any) -> dict[str, Any]:
    """A Snapshot resource with this spec."""
    return {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": {"name": "hourly"},
        "spec": spec,
    }


def problems(document: object) -> list[str]:
    """The reported problems of a document, one line for each field."""
    with pytest.raises(InputError) as caught:
        policy.from_resource(document, source="snapshot.yaml")
    first, *lines = caught.value.message.split("\n")
    assert first == "snapshot.yaml is not valid:"
    return [line.strip() for line in lines]


# What is read ---------------------------------------------------------------------------------------------------------


def test_the_old_fields() -> None:
    """A Snapshot of the old Sveltos feature is a valid policy."""
    document = snapshot(
        schedule="TZ=Europe/Rome 0 5 * * *",
        storage="/collection",
        startingDeadlineSeconds=30,
        successfulSnapshotLimit=5,
    )

    assert policy.from_resource(document) == Policy(
        name="hourly",
        schedule=Schedule.parse("0 5 * * *", time_zone="Europe/Rome"),
        storage="/collection",
        starting_deadline_seconds=30,
        successful_snapshot_limit=5,
    )


def _example(file: Path) -> list[JsonObject]:
    """The documents of an example, with a real key in place of the placeholder."""
    content = file.read_text().replace(PLACEHOLDER, RECIPIENT)
    return [document for document in load_documents(content.encode(), file.name) if isinstance(document, dict)]


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("**/*.yaml")), ids=lambda file: file.name)
def test_placeholder_keys_of_manifests_are_refused(file: Path) -> None:
    """A Snapshot with the placeholder key of the manifests is refused, and the message says what to do."""
    content = file.read_text()
    assert not [key for key in EXAMPLE_KEYS if key in content]
    if PLACEHOLDER in content:
        (document,) = load_documents(content.encode(), file.name)
        if "snapshots" in document:  # values of the chart
            ((name, spec),) = document["snapshots"].items()
            document = {"apiVersion": policy.API_VERSION, "kind": "Snapshot", "metadata": {"name": name}, "spec": spec}
        with pytest.raises(InputError, match=r"spec\.secrets\.recipients\[0\].*placeholder.*your own public key"):
            policy.from_resource(document)


def test_an_example_with_every_field() -> None:
    """Every field arrives in the policy."""
    (document,) = _example(EXAMPLES / "nightly-with-everything.yaml")

    assert policy.from_resource(document) == Policy(
        name="nightly",
        schedule=Schedule.parse("30 2 * * 1-5", time_zone="Europe/Rome"),
        storage="/collection",
        starting_deadline_seconds=3600,
        suspend=False,
        resources=(
            ResourceSelector(Kind("", "Namespace")),
            ResourceSelector(
                Kind("monitoring.coreos.com", "PrometheusRule"),
                ("team-*",),
                "tier in (gold, silver),!experimental",
                ("team-tmp",),
                ("test-*",),
            ),
        ),
        secrets_mode=SecretsMode.ENCRYPT,
        secrets_set=True,
        recipients=(RECIPIENT,),
        secrets_secret=KEYS,
        retention=Retention(
            keep_last=7, keep_hourly=0, keep_daily=31, keep_weekly=8, keep_monthly=24, keep_within="14d"
        ),
        push=Push("ssh://git@git.example.com/platform/sveltos-record.git", "prod-eu", "gitsnap/nightly-remote"),
        signing_secret=SIGNING,
        require_complete=True,
        follow=policy.Follow(3, 15),
    )


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_examples_are_valid(file: Path) -> None:
    """An example of manifests/examples/ is valid once it has a real key."""
    documents = _example(file)

    assert documents
    for document in documents:
        assert policy.from_resource(document).schedule is not None


@pytest.mark.parametrize(
    "spec", [{}, None, dict.fromkeys(["schedule", "storage", "push", "signing", "suspend", "secrets"])]
)
def test_absent_and_null_fields_have_defaults(spec: dict[str, Any] | None) -> None:
    """A file for the command line needs only a name; null counts as absent."""
    assert policy.from_resource({**snapshot(), "spec": spec}) == Policy("hourly")


def test_fields_of_a_server_are_accepted() -> None:
    """Metadata and status may hold anything."""
    document = snapshot(schedule="@hourly") | {
        "metadata": {"name": "hourly", "uid": "1", "managedFields": [], "finalizers": ["x"]},
        "status": {"lastRunStatus": "Collected", "whatever": 1},
    }

    assert policy.from_resource(document).name == "hourly"


@pytest.mark.parametrize(
    ("secrets", "given", "mode"),
    [
        (None, False, SecretsMode.ENCRYPT),
        ({}, False, SecretsMode.ENCRYPT),
        ({"secretRef": {"namespace": "a", "name": "b"}}, False, SecretsMode.ENCRYPT),
        ({"mode": "omit"}, True, SecretsMode.OMIT),
        ({"recipients": [RECIPIENT]}, True, SecretsMode.ENCRYPT),
        ({"mode": "redact", "recipients": []}, True, SecretsMode.REDACT),
    ],
)
def test_whether_the_policy_sets_the_mode_of_secrets(secrets: Any, mode: SecretsMode, *, given: bool) -> None:
    """An archive keeps its mode unless a mode or recipients are named."""
    read = policy.from_resource(snapshot(secrets=secrets))

    assert (read.secrets_set, read.secrets_mode) == (given, mode)


def test_recipients_are_sorted_and_unique() -> None:
    """The order in the file does not matter."""
    ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@host"

    assert policy.from_resource(snapshot(secrets={"recipients": [ssh, RECIPIENT, ssh]})).recipients == (RECIPIENT, ssh)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/platform/record.git",
        "https://git.example.com:8443/a b".replace(" ", "%20"),
        "http://[::1]:3000/x.git",
        "ssh://git@git.example.com:2222/x.git",
        "ssh://git.example.com/x.git",
        "git@git.example.com:platform/record.git",
        "file:///srv/git/record.git",
        "/srv/git/record.git",
    ],
)
def test_urls_that_git_takes(url: str) -> None:
    """The usual forms of a remote."""
    pushed = policy.from_resource(snapshot(push={"url": url})).push

    assert pushed is not None
    assert pushed.url == url


@pytest.mark.parametrize(
    "selector",
    ["app=web", "app==web,tier!=old", "tier in (a, b),env notin (x)", "app", "!app", "example.com/app=", "a = b"],
)
def test_label_selectors(selector: str) -> None:
    """The forms that kubectl -l accepts."""
    (resource,) = policy.from_resource(snapshot(resources=[{"kind": "Pod", "labelSelector": selector}])).resources

    assert resource.label_selector == selector


@pytest.mark.parametrize("within", ["30d", "1y6m", "2h", "1y5m7d2h", "0d"])
def test_durations_of_retention(within: str) -> None:
    """Years, months, days, hours, as in restic."""
    assert policy.from_resource(snapshot(retention={"keepWithin": within})).retention.keep_within == within


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_documents_that_are_no_object(document: object) -> None:
    """A document of another form is refused."""
    with pytest.raises(InputError, match=r"expected a Snapshot of utils\.projectsveltos\.io/v1beta1, found"):
        policy.from_resource(document)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"kind": "ConfigMap", "apiVersion": "v1"}, "found ConfigMap"),
        ({"apiVersion": "snapshot.storage.k8s.io/v1"}, r"found Snapshot\.snapshot\.storage\.k8s\.io"),
        ({"apiVersion": None}, "found Snapshot"),
    ],
)
def test_another_kind(fields: dict[str, Any], found: str) -> None:
    """The message names the kind."""
    with pytest.raises(InputError, match=f"snapshot.yaml: expected a Snapshot of .*{found}"):
        policy.from_resource(snapshot() | fields, source="snapshot.yaml")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"apiVersion": "utils.projectsveltos.io/v1"}, "apiVersion: 'utils.projectsveltos.io/v1' is unknown"),
        ({"data": {}}, "data: is unknown; known fields: apiVersion, kind, metadata, spec, status"),
        ({"metadata": {}}, "metadata.name: '' cannot name an archive"),
        ({"metadata": [1]}, "metadata: must be an object, not a list"),
        ({"metadata": {"name": 5}}, "metadata.name: must be a string, not a number"),
        ({"metadata": {"name": "Hourly"}}, "metadata.name: 'Hourly' cannot name an archive"),
        ({"metadata": {"name": "a..b"}}, "metadata.name: 'a..b' cannot name an archive"),
        ({"metadata": {"name": "a.lock"}}, "metadata.name: 'a.lock' cannot name an archive"),
        ({"metadata": {"name": "../x"}}, "metadata.name: '../x' cannot name an archive"),
        ({"metadata": {"name": "-x"}}, "metadata.name: '-x' cannot name an archive"),
        ({"metadata": {"name": "x" * 101}}, "metadata.name:"),
        ({"spec": []}, "spec: must be an object, not a list"),
        ({"spec": "x"}, "spec: must be an object, not a string"),
    ],
)
def test_fields_outside_the_spec(fields: dict[str, Any], expected: str) -> None:
    """Name, version and form are validated; the message begins with the path of the field."""
    assert any(line.startswith(expected) for line in problems(snapshot() | fields))


REF = {"namespace": "gitsnap", "name": "keys"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"shedule": "@hourly"}, "spec.shedule: is unknown; known fields: follow, push, requireComplete"),
        ({"schedule": ""}, "spec.schedule: '' is not a schedule"),
        ({"schedule": 5}, "spec.schedule: must be a string, not a number"),
        ({"schedule": "61 * * * *"}, "spec.schedule: '61 * * * *': the field minute is not valid"),
        ({"schedule": "@hourly", "timeZone": "Mars/Base"}, "spec.timeZone: 'Mars/Base' is not a time zone"),
        ({"timeZone": "Mars/Base"}, "spec.timeZone: 'Mars/Base' is not a time zone"),
        ({"schedule": "TZ=UTC @daily", "timeZone": "UTC"}, "spec.schedule: 'TZ=UTC @daily': the time zone is set"),
        ({"storage": "collection"}, "spec.storage: 'collection' is not an absolute path"),
        ({"storage": "/a\nb"}, "spec.storage: '/a\\nb' is not an absolute path"),
        ({"storage": True}, "spec.storage: must be a string, not true or false"),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds: must be a whole number from 0 to"),
        ({"startingDeadlineSeconds": "30"}, "spec.startingDeadlineSeconds: must be a whole number"),
        ({"startingDeadlineSeconds": True}, "spec.startingDeadlineSeconds: must be a whole number"),
        ({"startingDeadlineSeconds": 1.5}, "spec.startingDeadlineSeconds: must be a whole number"),
        ({"startingDeadlineSeconds": 2**63}, "spec.startingDeadlineSeconds: must be a whole number"),
        ({"successfulSnapshotLimit": 0}, "spec.successfulSnapshotLimit: must be a whole number from 1 to 2147483647"),
        ({"successfulSnapshotLimit": 2**31}, "spec.successfulSnapshotLimit: must be a whole number from 1"),
        (
            {"successfulSnapshotLimit": 5, "retention": {"keepLast": 5}},
            "spec.retention.keepLast: means the same as spec.successfulSnapshotLimit",
        ),
        ({"suspend": "yes"}, "spec.suspend: must be true or false, not a string"),
        ({"follow": 5}, "spec.follow: must be"),
        ({"follow": {"quietSeconds": -1}}, "spec.follow.quietSeconds: must be a whole number from 0 to"),
        ({"follow": {"whom": "x"}}, "spec.follow.whom: is unknown; known fields: maxSeconds, quietSeconds, who"),
        ({"follow": {"who": "x"}}, "spec.follow.who: 'x' is not one of none, manager, pseudonym, full"),
        ({"follow": {"who": 1}}, "spec.follow.who: must be"),
        (
            {"follow": {"who": "pseudonym"}, "secrets": {"mode": "omit"}},
            "spec.follow.who: pseudonym needs a fingerprint key, and the mode omit has none",
        ),
        (
            {"follow": {"who": "pseudonym"}, "secrets": {"mode": "plaintext"}},
            "spec.follow.who: pseudonym needs a fingerprint key, and the mode plaintext has none",
        ),
        ({"requireComplete": 1}, "spec.requireComplete: must be true or false, not a number"),
        ({"resources": {}}, "spec.resources: must be a list, not an object"),
        ({"resources": ["Pod"]}, "spec.resources[0]: must be an object with kind, group, namespaces"),
        ({"resources": [{"group": "apps"}]}, "spec.resources[0].kind: is required, for example Deployment"),
        ({"resources": [{"kind": "pods"}]}, "spec.resources[0].kind: 'pods' is not a kind such as Deployment"),
        ({"resources": [{"kind": "A", "group": "apps/v1"}]}, "spec.resources[0].group: 'apps/v1' is not an API group"),
        ({"resources": [{"kind": "A", "name": "x"}]}, "spec.resources[0].name: is unknown; known fields: exclude"),
        (
            {"resources": [{"kind": "A"}, {"kind": "A", "namespaces": ["x", 1]}]},
            "spec.resources[1].namespaces[1]: must be a string",
        ),
        (
            {"resources": [{"kind": "A", "namespaces": "x"}]},
            "spec.resources[0].namespaces: must be a list",
        ),
        ({"resources": [{"kind": "A", "namespaces": ["X"]}]}, "spec.resources[0].namespaces[0]: 'X' is not the name"),
        ({"resources": [{"kind": "A", "labelSelector": "a=b=c"}]}, "spec.resources[0].labelSelector: 'a=b=c' is not a"),
        ({"resources": [{"kind": "A", "labelSelector": "a in b"}]}, "spec.resources[0].labelSelector: 'a in b' is not"),
        ({"resources": [{"kind": "A", "labelSelector": "a,"}]}, "spec.resources[0].labelSelector: 'a,' is not"),
        ({"secrets": "encrypt"}, "spec.secrets: must be an object, not a string"),
        ({"secrets": {"mode": "hide"}}, "spec.secrets.mode: 'hide' is not one of encrypt, redact, omit, plaintext"),
        ({"secrets": {"keys": []}}, "spec.secrets.keys: is unknown; known fields: mode, recipients, secretRef"),
        ({"secrets": {"recipients": ["age1x"]}}, "spec.secrets.recipients[0]: is not a public key"),
        ({"secrets": {"recipients": [f"{RECIPIENT}\nx"]}}, "spec.secrets.recipients[0]: is not a public key"),
        (
            {"secrets": {"mode": "omit", "recipients": [RECIPIENT]}},
            "spec.secrets.recipients: have no effect in the mode",
        ),
        ({"secrets": {"secretRef": {}}}, "spec.secrets.secretRef.namespace: is required"),
        ({"secrets": {"secretRef": {"name": "x"}}}, "spec.secrets.secretRef.namespace: is required"),
        (
            {"secrets": {"secretRef": REF | {"key": "x"}}},
            "spec.secrets.secretRef.key: is unknown; known fields: name",
        ),
        ({"secrets": {"secretRef": REF | {"name": "a/b"}}}, "spec.secrets.secretRef.name: 'a/b' is not a name"),
        (
            {"retention": {"keepYearly": 1}},
            "spec.retention.keepYearly: is unknown; known fields: keepDaily",
        ),
        ({"retention": {"keepDaily": -1}}, "spec.retention.keepDaily: must be a whole number from 0"),
        ({"retention": {"keepWithin": "2w"}}, "spec.retention.keepWithin: '2w' is not a duration such as 30d"),
        ({"retention": {"keepWithin": "d"}}, "spec.retention.keepWithin: 'd' is not a duration"),
        ({"push": {}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "git.example.com/x"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "ext::sh -c id"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "-oProxyCommand=id@host:x"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "https://h/\x1b]0;x\x07"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "git@h:\x9b31m"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "https://h/\ud800"}}, "spec.push.url: a git URL is required"),
        ({"storage": "/collection/\ud800"}, "spec.storage: "),
        ({"push": {"url": "-x@host:y"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "ssh://-oProxyCommand=id/x"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "ssh://git@-x/y"}}, "spec.push.url: a git URL is required"),
        ({"push": {"url": "git@-x:y"}}, "spec.push.url: a git URL is required"),
        (
            {"push": {"url": "/x", "force": True}},
            "spec.push.force: is unknown; known fields: prefix, prune, secretRef, url",
        ),
        ({"push": {"url": "/x", "prefix": "Prod"}}, "spec.push.prefix: 'Prod' cannot name an archive"),
        ({"push": {"url": "/x", "prune": "no"}}, "spec.push.prune: must be true or false"),
        ({"signing": {}}, "spec.signing.secretRef: is required"),
        ({"signing": {"key": "x"}}, "spec.signing.key: is unknown; known fields: secretRef"),
    ],
)
def test_fields_of_the_spec(spec: dict[str, Any], expected: str) -> None:
    """Only the invalid field is reported, by its path and with the allowed values."""
    told = problems(snapshot(**spec))

    assert any(line.startswith(expected) for line in told), told


def test_all_problems_are_reported_at_once() -> None:
    """All problems of a file can be corrected at once."""
    told = problems(
        snapshot(schedule="x", storage="x", suspend=1, secrets={"mode": "x"}, push={"url": "x"}, retention={"keep": 1})
    )

    assert [line.partition(":")[0] for line in told] == [
        "spec.schedule",
        "spec.storage",
        "spec.suspend",
        "spec.secrets.mode",
        "spec.retention.keep",
        "spec.push.url",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"secrets": {"recipients": [f"AGE-SECRET-KEY-1{CANARY.upper()}"]}},
        {"push": {"url": f"https://{CANARY}@git.example.com/x"}},
        {"push": {"url": f"https://user:{CANARY}@git.example.com/x"}},
        {"push": {"url": f"ssh://user:{CANARY}@git.example.com/x"}},
        {"push": {"url": f"https://:{CANARY}@git.example.com/x"}},
        {"push": {"url": f"htps://user:{CANARY}@git.example.com/x"}},
    ],
)
def test_passwords_and_private_keys_are_refused_and_not_shown(spec: dict[str, Any]) -> None:
    """Many people can read the resource, and messages are copied."""
    with pytest.raises(InputError) as caught:
        policy.from_resource(snapshot(**spec))

    assert CANARY not in "".join(traceback.format_exception(caught.value)).lower()


def test_long_values_are_cut() -> None:
    """A message stays readable."""
    (told,) = problems(snapshot(storage="x" * 10_000))

    assert len(told) < 400


@pytest.mark.parametrize("name", ["manual", "a.b-c", "x" * 100])
def test_default_policies(name: str) -> None:
    """A capture without a Snapshot needs only a name; Secrets are encrypted."""
    made = policy.default(name)

    assert (made.name, made.schedule, made.secrets_mode) == (name, None, SecretsMode.ENCRYPT)
    assert (made.secrets_set, made.resources_set) == (False, False)


def test_a_default_policy_with_a_bad_name() -> None:
    """The name must be valid as a branch and as a folder."""
    with pytest.raises(InputError, match="cannot name an archive"):
        policy.default("..")
