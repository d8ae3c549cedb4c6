"""The admission policies of the manifests on a real API server: which users may write which Snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.support.controllers import SNAPSHOTS, Installation, wait_for
from tests.testbed.apiserver import ApiServer, User

RECIPIENT = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
Rule = Mapping[str, Sequence[str]]

WRITER: Rule = {
    "apiGroups": ["utils.projectsveltos.io"],
    "resources": ["snapshots"],
    "verbs": ["get", "create", "update", "patch"],
}
REFERENCE = {"namespace": "payments", "name": "unrelated"}
HTTPS = "https://git.example.com/record.git"


def allow(group: str, plural: str, verb: str, **more: Sequence[str]) -> Rule:
    """Return a rule for a role."""
    return {"apiGroups": [group], "resources": [plural], "verbs": [verb], **more}


@pytest.fixture(scope="module")
def writer(sveltos_api: ApiServer) -> User:
    """A user who may write Snapshots and list namespaces, and nothing else."""
    return sveltos_api.new_user(WRITER, allow("", "namespaces", "list"))


@pytest.fixture(scope="module")
def enforced(sveltos_api: ApiServer, writer: User, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The base of the manifests, once the API server enforces the policies."""
    installation = Installation(sveltos_api, tmp_path_factory.mktemp("installation"))
    installation.apply()
    probes = (
        {"push": {"url": HTTPS, "secretRef": REFERENCE}},
        {"resources": [{"kind": "Secret"}]},
        {"resources": [*({"kind": "Namespace"} for _ in range(13)), {"kind": "Secret"}]},
    )
    wait_for(lambda: all(answer(sveltos_api, writer, spec)[0] == 403 for spec in probes), "the policies to be enforced")
    yield installation
    installation.remove()


@pytest.fixture
def installed(enforced: Installation, api: ApiServer) -> Iterator[Installation]:
    """The installation without a Snapshot, before and after the test."""
    api.ask("DELETE", SNAPSHOTS)
    yield enforced
    api.ask("DELETE", SNAPSHOTS)


def answer(api: ApiServer, user: User, spec: Mapping[str, Any], *, name: str = "") -> tuple[int, str]:
    """Try to create a Snapshot. Return status and message."""
    document = {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": {"name": name} if name else {"generateName": "tried-"},
        "spec": {"schedule": "@yearly", "storage": "/collection", **spec},
    }
    status, reply = api.request("POST", SNAPSHOTS, document, user=user)
    return status, str(reply.get("message", ""))


_GET = allow("", "secrets", "get", resourceNames=["unrelated"])
_LIST = allow("", "secrets", "list")
_GET_AND_LIST: Rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
CASES: dict[str, tuple[dict[str, Any], Rule, str]] = {
    "push.secretRef": ({"push": {"url": HTTPS, "secretRef": REFERENCE}}, _GET, "spec.push.secretRef"),
    "secrets.secretRef": (
        {"secrets": {"mode": "redact", "secretRef": REFERENCE}},
        _GET_AND_LIST,
        "spec.secrets.secretRef",
    ),
    "secretRef without Secrets": (
        {"secrets": {"mode": "omit", "secretRef": REFERENCE}},
        _GET,
        "spec.secrets.secretRef",
    ),
    "signing.secretRef": ({"signing": {"secretRef": REFERENCE}}, _GET, "spec.signing.secretRef"),
    "recipients": ({"secrets": {"recipients": [RECIPIENT]}}, _LIST, "spec.secrets"),
    "mode encrypt": ({"secrets": {"mode": "encrypt", "recipients": [RECIPIENT]}}, _LIST, "spec.secrets"),
    "mode plaintext": ({"secrets": {"mode": "plaintext"}}, _LIST, "spec.secrets"),
    "all Secrets": ({"resources": [{"kind": "Secret"}]}, _LIST, "spec.resources[0]"),
    "an empty group": ({"resources": [{"group": "", "kind": "Secret"}]}, _LIST, "spec.resources[0]"),
    "Secrets by label": ({"resources": [{"kind": "Secret", "labelSelector": "a=b"}]}, _LIST, "spec.resources[0]"),
    "Secrets by glob": ({"resources": [{"kind": "Secret", "namespaces": ["pay*"]}]}, _LIST, "spec.resources[0]"),
    "another kind": (
        {"resources": [{"group": "apps", "kind": "Deployment"}]},
        allow("apps", "deployments", "list"),
        "spec.resources[0]",
    ),
    "plural in -ies": (
        {"resources": [{"group": "networking.k8s.io", "kind": "NetworkPolicy"}]},
        allow("networking.k8s.io", "networkpolicies", "list"),
        "spec.resources[0]",
    ),
    "plural in -ays": (
        {"resources": [{"group": "gateway.networking.k8s.io", "kind": "Gateway"}]},
        allow("gateway.networking.k8s.io", "gateways", "list"),
        "spec.resources[0]",
    ),
    "plural in -es": (
        {"resources": [{"group": "networking.k8s.io", "kind": "Ingress"}]},
        allow("networking.k8s.io", "ingresses", "list"),
        "spec.resources[0]",
    ),
    "plural Endpoints": ({"resources": [{"kind": "Endpoints"}]}, allow("", "endpoints", "list"), "spec.resources[0]"),
    "the last of many": (
        {"resources": [*({"kind": "Namespace"} for _ in range(25)), {"kind": "Secret"}]},
        _LIST,
        "spec.resources[25]",
    ),
}
"""Fields of a Snapshot, the right that they need, and the field that the refusal names."""


@pytest.mark.parametrize("case", CASES)
def test_a_snapshot_reads_no_more_than_its_author(installed: Installation, writer: User, case: str) -> None:
    """Denied for a user who may only write Snapshots, allowed for a user who also has the right."""
    spec, needed, field = CASES[case]
    enough = installed.api.new_user(WRITER, allow("", "namespaces", "list"), needed)

    status, message = answer(installed.api, writer, spec)

    assert status == 403, message
    assert f"{field}: {writer.name} may not" in message
    assert answer(installed.api, enough, spec)[0] == 201


def test_who_names_the_fingerprint_key_may_read_what_is_fingerprinted(installed: Installation) -> None:
    """With a known key, a short value can be found from its fingerprint. The user needs the right to list Secrets."""
    api = installed.api
    user = api.new_user(WRITER, _GET)
    for secrets in ({"secretRef": REFERENCE}, {"mode": "redact", "secretRef": REFERENCE}):
        status, message = answer(api, user, {"secrets": secrets})
        assert status == 403, message
        assert f"spec.secrets: {user.name} may not list Secrets" in message
    assert answer(api, user, {"secrets": {"mode": "omit", "secretRef": REFERENCE}})[0] == 201
    assert answer(api, user, {"secrets": {"mode": "redact"}})[0] == 201


def _bind_in(api: ApiServer, user: User, namespace: str, rule: Rule) -> None:
    """Bind a role in one namespace to a user."""
    root, name = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}", f"testbed-{user.name}"
    subject = {"kind": "User", "name": user.name, "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    api.ask("POST", f"{root}/roles", {"metadata": {"name": name}, "rules": [rule]})
    api.ask("POST", f"{root}/rolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
    path = f"/api/v1/namespaces/{namespace}/secrets"
    wait_for(lambda: api.request("GET", path, user=user)[0] == 200, "the role in the namespace")


def test_a_right_in_one_namespace_is_enough_for_an_entry_of_that_namespace(
    installed: Installation, new_namespace: Callable[[], str]
) -> None:
    """The right does not cover another namespace, two namespaces in one entry, or all namespaces."""
    api, own, other = installed.api, new_namespace(), new_namespace()
    user = api.new_user(WRITER)
    _bind_in(api, user, own, allow("", "secrets", "list"))

    def status_for(*entries: list[str]) -> int:
        """Return the status for a Snapshot that adds the Secrets of these namespaces."""
        listed = [{"kind": "Secret", "namespaces": names} if names else {"kind": "Secret"} for names in entries]
        return answer(api, user, {"resources": listed})[0]

    assert status_for([own]) == 201
    assert status_for([own], [own]) == 201
    refused: list[list[list[str]]] = [[[other]], [[own, other]], [[own], [other]], [[]], [[f"{own}*"]]]
    assert [status_for(*entries) for entries in refused] == [403] * 5


def test_a_user_who_may_list_everything_is_limited_by_the_schema_alone(installed: Installation, writer: User) -> None:
    """Other users have a limit of 26 entries, which the message names: the API server limits the cost of a policy."""
    spec = {"resources": [{"kind": "Namespace", "labelSelector": f"n={number}"} for number in range(27)]}
    status, message = answer(installed.api, writer, spec)
    assert (status, "more than 26 entries" in message) == (403, True)

    everything = installed.api.new_user(WRITER, allow("*", "*", "list"))
    full = {"resources": [{"kind": "Secret", "labelSelector": f"n={number}"} for number in range(100)]}
    assert answer(installed.api, everything, full)[0] == 201


def test_the_largest_review_stays_within_the_servers_limits(
    installed: Installation, new_namespace: Callable[[], str]
) -> None:
    """Every entry needs both access reviews, and the right is in the namespace."""
    api, own = installed.api, new_namespace()
    user = api.new_user(WRITER, allow("", "secrets", "get"))
    _bind_in(api, user, own, allow("", "secrets", "list"))
    spec = {
        "resources": [{"kind": "Secret", "namespaces": [own], "labelSelector": f"n={n}"} for n in range(26)],
        "push": {"url": HTTPS, "secretRef": REFERENCE},
        "secrets": {"mode": "omit", "secretRef": REFERENCE},
        "signing": {"secretRef": REFERENCE},
    }

    assert answer(api, user, spec) == (201, "")


_FULL: dict[str, Any] = {
    "push": {"url": HTTPS, "secretRef": REFERENCE},
    "resources": [{"kind": "Secret"}],
    "secrets": {"recipients": [RECIPIENT]},
}


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"schedule": "@hourly", "suspend": True, "retention": {"keepLast": 3}}},
        {"metadata": {"annotations": {"gitsnap.io/capture-requested-at": "now"}}},
        {"metadata": {"labels": {"a": "b"}}},
    ],
    ids=["schedule", "request", "label"],
)
def test_an_operator_without_the_rights_may_change_harmless_fields(
    installed: Installation, writer: User, patch: dict[str, Any]
) -> None:
    """The Snapshot has an author with the rights. Another user may change its schedule and request a sample."""
    assert answer(installed.api, installed.api.admin, _FULL, name="shared")[0] == 201

    assert _patch(installed, writer, patch) == 200


@pytest.mark.parametrize(
    "spec",
    [
        {"push": {"url": "https://evil.example.com/x.git"}},
        {"push": {"prefix": "x"}},
        {"push": None},
        {"resources": [{"kind": "Secret", "labelSelector": "a=b"}]},
        {"secrets": {"recipients": ["ssh-ed25519 AAAAC3Nz evil"]}},
        {"secrets": {"mode": "plaintext", "recipients": None}},
        {"storage": "/collection/elsewhere"},
        {"signing": {"secretRef": REFERENCE}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_an_operator_with_less_may_not_send_what_another_may_read_somewhere_else(
    installed: Installation, writer: User, spec: dict[str, Any]
) -> None:
    """A named Secret is checked again when a field that reads or sends changes, such as the URL."""
    assert answer(installed.api, installed.api.admin, _FULL, name="shared")[0] == 201

    assert _patch(installed, writer, {"spec": spec}) == 403


def _patch(installed: Installation, user: User, patch: dict[str, Any]) -> int:
    path = f"{SNAPSHOTS}/shared"
    content_type = "application/merge-patch+json"
    return installed.api.request("PATCH", path, patch, user=user, content_type=content_type)[0]


def test_a_status_update_needs_no_further_rights(installed: Installation) -> None:
    """The controller writes the status without rights to the objects that a Snapshot names."""
    assert answer(installed.api, installed.api.admin, _FULL, name="shared")[0] == 201
    reporter = installed.api.new_user(allow("utils.projectsveltos.io", "snapshots/status", "patch"))

    status, reply = installed.api.request(
        "PATCH",
        f"{SNAPSHOTS}/shared/status",
        {"status": {"lastRunStatus": "Collected"}},
        user=reporter,
        content_type="application/merge-patch+json",
    )

    assert status == 200, reply


def test_every_policy_refuses_when_it_cannot_be_evaluated(installed: Installation) -> None:
    """A policy whose expression fails or costs too much denies the request. Every policy has a binding."""
    root = "/apis/admissionregistration.k8s.io/v1"

    def own(kind: str) -> list[dict[str, Any]]:
        items = installed.api.ask("GET", f"{root}/{kind}")["items"]
        return [item for item in items if item["metadata"]["name"].startswith("gitsnap-")]

    policies, bindings = own("validatingadmissionpolicies"), own("validatingadmissionpolicybindings")
    assert {policy["spec"]["failurePolicy"] for policy in policies} == {"Fail"}
    assert {policy["metadata"]["name"] for policy in policies} == {
        binding["spec"]["policyName"] for binding in bindings
    }
    assert [binding["spec"]["validationActions"] for binding in bindings] == [["Deny"]] * 3
