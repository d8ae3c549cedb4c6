"""What a Snapshot may ask of a controller: every field that needs a flag, and no archive outside the storage."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import create_archive
from gitsnap.controller import Permissions
from gitsnap.core.errors import NotPermittedError
from gitsnap.policy import snapshot

HTTPS = "https://git.example.com/record.git"
ELSEWHERE = {"namespace": "payments", "name": "unrelated"}
OWN = {"namespace": "gitsnap", "name": "keys"}

REFUSED: dict[str, tuple[dict[str, Any], str, str, Permissions]] = {
    "push.secretRef": (
        {"push": {"url": HTTPS, "secretRef": ELSEWHERE}},
        "spec.push.secretRef.namespace",
        "--allow-secrets-from payments",
        Permissions(secrets_from=("payments",)),
    ),
    "secrets.secretRef": (
        {"secrets": {"mode": "redact", "secretRef": ELSEWHERE}},
        "spec.secrets.secretRef.namespace",
        "--allow-secrets-from payments",
        Permissions(secrets_from=("payments",)),
    ),
    "signing.secretRef": (
        {"signing": {"secretRef": ELSEWHERE}},
        "spec.signing.secretRef.namespace",
        "--allow-secrets-from payments",
        Permissions(secrets_from=("payments",)),
    ),
    "resources": (
        {"resources": [{"kind": "Namespace"}, {"kind": "Secret", "namespaces": ["a"]}]},
        "spec.resources",
        "--allow-secret-resources",
        Permissions(secret_resources=True),
    ),
    "mode": ({"secrets": {"mode": "plaintext"}}, "spec.secrets.mode", "--allow-plaintext", Permissions(plaintext=True)),
    **{
        url: ({"push": {"url": url}}, "spec.push.url", flag, permissions)
        for url, flag, permissions in (
            ("http://git.example.com/x.git", "--allow-insecure-push", Permissions(insecure_push=True)),
            ("git://git.example.com/x.git", "--allow-insecure-push", Permissions(insecure_push=True)),
            ("file:///collection/other/.git", "--allow-local-push", Permissions(local_push=True)),
            ("/collection/other/.git", "--allow-local-push", Permissions(local_push=True)),
        )
    },
}
"""A spec, the field and the flag that the refusal names, and what permits it."""


def _snapshot(spec: dict[str, Any], storage: Path, *, name: str = "evil") -> snapshot.Policy:
    return snapshot.from_resource(
        {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": name},
            "spec": {"schedule": "@hourly", "storage": str(storage), **spec},
        }
    )


def _problem(policy: snapshot.Policy, storage: Path) -> str:
    """The refusal of a controller without flags; ``""`` if it permits the policy."""
    try:
        Permissions().check(policy, storage)
    except NotPermittedError as error:
        return error.message
    return ""


@pytest.mark.parametrize("case", REFUSED)
def test_each_field_needs_its_flag_and_no_other(tmp_path: Path, case: str) -> None:
    """The refusal names field and flag, and no other flag permits the field."""
    spec, field, flag, enough = REFUSED[case]
    asked = _snapshot(spec, tmp_path)
    everything = Permissions("gitsnap", ("payments",), *[True] * 4)
    changed = {flag.name: getattr(enough, flag.name) for flag in dataclasses.fields(enough)}
    default = {flag.name: getattr(Permissions(), flag.name) for flag in dataclasses.fields(enough)}
    others = {name: default[name] for name, value in changed.items() if value != default[name]}

    for permissions in (Permissions(), dataclasses.replace(everything, **others)):
        with pytest.raises(NotPermittedError) as error:
            permissions.check(asked, tmp_path)
        assert f"{field}:" in error.value.message
        assert flag in error.value.message
    enough.check(asked, tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"push": {"url": HTTPS, "secretRef": OWN}},
        {"push": {"url": "ssh://git@git.example.com/x.git", "secretRef": OWN}},
        {"push": {"url": "git@git.example.com:x.git", "secretRef": OWN}},
        {"secrets": {"mode": "encrypt", "secretRef": OWN}},
        {"resources": [{"group": "apps", "kind": "Deployment"}]},
    ],
)
def test_fields_that_need_no_flag(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Secrets of the controller's own namespace, protected pushes, other kinds."""
    assert _problem(_snapshot(spec, tmp_path), tmp_path) == ""


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """All problems are named at once."""
    spec = {"push": {"url": "/x", "secretRef": ELSEWHERE}, "secrets": {"mode": "plaintext"}}
    with pytest.raises(NotPermittedError) as error:
        Permissions().check(_snapshot(spec, Path("/elsewhere")), tmp_path)
    fields = ("spec.push.secretRef.namespace:", "spec.push.url:", "spec.secrets.mode:", "spec.storage:")
    assert [field for field in fields if field not in error.value.message] == []


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with the archive `hourly`, its keys, and links that lead elsewhere."""
    root = tmp_path / "collection"
    (root / "teams").mkdir(parents=True)
    create_archive(root, "hourly")
    (root / ".keys" / "hourly").mkdir(parents=True)
    (root / "link-out").symlink_to(tmp_path)
    (root / "link-in").symlink_to(root / "hourly")
    (root / "link-to-keys").symlink_to(root / ".keys")
    (root / "loop").symlink_to(root / "loop")
    (root / "teams" / "evil").symlink_to(root / "hourly" / ".git")
    (root / "ours").mkdir()
    return root


@pytest.mark.parametrize(
    "place",
    [
        "..", "../elsewhere", "hourly", "hourly/configuration", "hourly/.git", "hourly/.git/refs/tags/hourly",
        ".keys", ".keys/hourly", ".GIT", ".Keys/hourly",
        "link-out", "link-in", "link-in/configuration", "link-to-keys/hourly", "loop", "teams",
        "/", "/etc", "/collection-2",
    ],
)  # fmt: skip
def test_no_archive_is_created_inside_another_archive_or_its_keys(storage: Path, place: str) -> None:
    """Not outside the storage, and not inside an archive or the keys, also through links; nothing is written."""
    before = sorted(storage.rglob("*"))
    asked = dataclasses.replace(_snapshot({}, storage), storage=str(storage / place))

    with pytest.raises(NotPermittedError, match=r"spec\.storage:"):
        Permissions().check(asked, storage)

    assert sorted(storage.rglob("*")) == before


@pytest.mark.parametrize("way", ["link", "file", "shared"])
def test_an_archive_cannot_redirect_into_another_archive(storage: Path, way: str) -> None:
    """Somebody who can write to the volume may replace the git folder between two runs."""
    create_archive(storage, "own")
    Permissions().check(_snapshot({}, storage, name="own"), storage)
    git_folder = storage / "own" / ".git"
    if way == "shared":
        (git_folder / "commondir").write_text("../../hourly/.git\n")
    else:
        shutil.rmtree(git_folder)
        if way == "link":
            git_folder.symlink_to(storage / "hourly" / ".git")
        else:
            git_folder.write_text("gitdir: ../hourly/.git\n")

    with pytest.raises(NotPermittedError, match=r"spec\.storage: own/\.git in it leads to another repository"):
        Permissions().check(_snapshot({}, storage, name="own"), storage)


@pytest.mark.parametrize("place", [".", "ours", "new/deeper"])
def test_archives_may_be_anywhere_else_below_the_storage(storage: Path, place: str) -> None:
    """Also if the storage is a link, or is in the working tree of another repository."""
    (storage / ".git").mkdir()
    linked = storage.parent / "linked"
    linked.symlink_to(storage)
    for root in (storage, linked):
        assert _problem(_snapshot({}, root / place), root) == ""
    assert _problem(dataclasses.replace(_snapshot({}, storage), storage=""), storage) == ""
