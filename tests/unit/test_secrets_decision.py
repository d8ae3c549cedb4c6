"""How Secrets are kept: by the record of the archive for a user, by the Snapshot alone for the controller."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from gitsnap import capture as sampling
from gitsnap.archive import GitArchive, create_archive
from gitsnap.capture import CaptureResult
from gitsnap.controller.permissions import Permissions
from gitsnap.controller.run import Sampler
from gitsnap.controller.run_results import RunResult
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import SecretsError
from gitsnap.core.model import Area, JsonObject, SecretsMode, Trigger
from gitsnap.core.ports import ControlPlane
from gitsnap.policy import snapshot as policy
from gitsnap.policy.snapshot import Policy
from gitsnap.secrets import archive_keys
from gitsnap.secrets.age import Keeper
from gitsnap.secrets.mode_change import changes
from tests.support.adapters import open_directory
from tests.support.rollbacks import put
from tests.support.trees import policy_ref, profile

OTHER = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
THIRD = "age190mvaq68r58uzv8hgu4dq788cp636m22m5e3kxskqp7snate4p0sc7lcfn"
VALUE = base64.b64encode(b"TOPSECRET").decode()
SECRET: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "db", "namespace": "default"},
    "type": "addons.projectsveltos.io/cluster-profile",
    "data": {"password": VALUE},
}


@dataclass
class _Place:
    """An archive, and a folder as its cluster."""

    archive: GitArchive
    folder: Path

    def capture(self, asked: Policy, **accepted: Any) -> CaptureResult:
        """Capture with the command line."""
        effective, keeper = archive_keys.for_capture(self.archive, asked, **accepted)
        return self._taken(effective, keeper)

    def _taken(self, effective: Policy, keeper: Keeper | None) -> CaptureResult:
        info = sampling.tree_info(effective, branch=self.archive.branch, keeper=keeper)
        request = sampling.Request(info, keeper, datetime(2026, 1, 1, tzinfo=UTC), Trigger.MANUAL)
        return sampling.capture(open_directory(self.folder / "cluster"), self.archive, request)

    def controlled(self, **secrets: Any) -> RunResult:
        """Capture as the controller with all flags."""
        sampler = Sampler(
            storage=self.folder / "storage",
            connect=lambda: cast("ControlPlane", open_directory(self.folder / "cluster")),  # a sample needs no watch
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            permissions=Permissions(plaintext=True),
        )
        return sampler.take(snapshot(**secrets), Trigger.SCHEDULE, cancelled=lambda: False)

    @property
    def clear(self) -> bool:
        """Whether the newest sample has the value in clear."""
        tree = self.archive.tree(self.archive.samples()[-1])
        return any(VALUE.encode() in tree.read(blob) for blob in tree.files(Area.CONFIGURATION).values())


def snapshot(**secrets: Any) -> Policy:
    """The policy of a Snapshot with these fields of ``spec.secrets``."""
    document = {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": {"name": "p"},
        "spec": {"schedule": "@hourly", **({"secrets": secrets} if secrets else {})},
    }
    return policy.from_resource(document, source="Snapshot p")


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """A profile that refers to a Secret."""
    for name in ("cluster", "storage"):
        (tmp_path / name).mkdir()
    cluster = open_directory(tmp_path / "cluster")
    put(cluster, SECRET)
    put(cluster, profile("p", {"policyRefs": [policy_ref("db", "Secret")]}))
    return _Place(create_archive(tmp_path / "storage", "p"), tmp_path)


KEPT: list[dict[str, Any]] = [
    {"mode": "encrypt", "recipients": [OTHER]},
    {"mode": "encrypt", "recipients": [OTHER, THIRD]},
    {"mode": "redact"},
    {"mode": "omit"},
    {"mode": "plaintext"},
    {"mode": "redact", "sensitiveFields": [{"kind": "ConfigMap", "path": "data.*"}]},
]


def _name(kept: dict[str, Any]) -> str:
    return f"{kept.get('mode')}-{len(kept.get('recipients', kept.get('sensitiveFields', ())))}"


@pytest.mark.parametrize("before", KEPT, ids=_name)
@pytest.mark.parametrize("after", KEPT, ids=_name)
def test_each_change_needs_consent(place: _Place, before: dict[str, Any], after: dict[str, Any]) -> None:
    """For each pair: no change is accepted silently; an accepted change is reported by the sample."""
    place.capture(snapshot(**before))
    said = place.archive.tree(place.archive.samples()[-1]).info.secrets
    # More hidden fields reveal nothing, and fields that a policy does not name stay hidden.
    if before == after or (before["mode"] == after["mode"] == "redact"):
        place.capture(snapshot(**after))
        return

    with pytest.raises(SecretsError, match="Snapshot p does not agree with how the archive") as error:
        place.capture(snapshot(**after))

    assert exit_code_of(error.value) == 7
    assert f"the archive: mode {said.mode}" in error.value.message
    assert f"Snapshot p: mode {after['mode']}" in error.value.message
    assert "--accept-secrets-change" in error.value.hint
    assert len(place.archive.samples()) == 1
    if "sensitiveFields" in before and "sensitiveFields" not in after and after["mode"] in ("omit", "plaintext"):
        after = {**after, "sensitiveFields": []}
    taken = place.capture(snapshot(**after), accept_change=True)
    assert taken.secrets_changes
    for key in {*before.get("recipients", ()), *after.get("recipients", ())}:
        kept = (key in before.get("recipients", ())) == (key in after.get("recipients", ()))
        assert kept != any(key[:12] in change for change in taken.secrets_changes)


def test_fields_are_revealed_only_by_a_flag_or_an_accepted_change(place: _Place) -> None:
    """A Snapshot or a file that hides fewer fields is refused; `--sensitive-field` is accepted: it names them."""
    place.capture(snapshot(**KEPT[5]))
    opened = snapshot(mode="redact", sensitiveFields=[])

    with pytest.raises(SecretsError, match="field no longer hidden: ConfigMap data"):
        place.capture(opened)

    taken = place.capture(opened, accept_fields=True)
    assert taken.secrets_changes == ("field no longer hidden: ConfigMap data.*",)
    with pytest.raises(SecretsError, match="mode plaintext instead of redact"):
        place.capture(snapshot(mode="plaintext", sensitiveFields=[]), accept_fields=True)


@pytest.mark.parametrize("before", KEPT, ids=_name)
def test_a_policy_without_a_mode_keeps_the_mode_of_the_archive(place: _Place, before: dict[str, Any]) -> None:
    """On the command line; the same holds for a policy that names only the mode of the archive."""
    place.capture(snapshot(**before))
    info = place.archive.tree(place.archive.samples()[-1]).info.secrets

    place.capture(snapshot())
    place.capture(snapshot(mode=before["mode"]))

    assert {place.archive.tree(sample).info.secrets for sample in place.archive.samples()} == {info}


@pytest.mark.parametrize("before", KEPT, ids=_name)
@pytest.mark.parametrize("after", [{}, {"mode": "encrypt"}, *KEPT[:5]], ids=_name)
def test_in_the_controller_the_snapshot_alone_decides(
    place: _Place, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """The archive may come from a remote. Without a mode in the Snapshot, Secrets are redacted."""
    place.capture(snapshot(**before))
    if "sensitiveFields" in before and after.get("mode") in ("omit", "plaintext"):
        after = {**after, "sensitiveFields": []}

    taken = place.controlled(**after)

    expected = after.get("mode", "redact") if after.get("recipients") or after != {"mode": "encrypt"} else "redact"
    assert taken.mode == expected
    assert set(taken.recipients) == set(after.get("recipients", ()))
    assert place.clear == (expected == "plaintext")
    info = [place.archive.tree(sample).info.secrets for sample in place.archive.samples()]
    assert taken.capture.secrets_changes == changes(info[0], info[1])


def test_a_sample_around_a_rollback_keeps_the_mode_of_the_archive(place: _Place) -> None:
    """A Snapshot that was created later must not make an undo impossible."""
    place.capture(snapshot(recipients=[OTHER]))

    effective, _ = archive_keys.for_capture_as_before(place.archive, snapshot(mode="plaintext"))

    assert (effective.secrets_mode, effective.recipients) == (SecretsMode.ENCRYPT, (OTHER,))


def _through_remote(place: _Place, asked: Policy, **accepted: Any) -> SecretsMode:
    effective, _ = archive_keys.for_capture_through_remote(place.archive, asked, **accepted)
    return effective.secrets_mode


@pytest.mark.parametrize("record", [KEPT[0], KEPT[1], KEPT[4]], ids=_name)
def test_a_remote_does_not_decide_who_reads_the_samples_around_a_rollback(
    place: _Place, record: dict[str, Any]
) -> None:
    """Unless the Snapshot of the cluster says the same, or the user accepts it."""
    place.capture(snapshot(**record))

    with pytest.raises(SecretsError, match="the remote's newest sample"):
        _through_remote(place, snapshot())
    with pytest.raises(SecretsError, match="the remote's newest sample"):
        _through_remote(place, snapshot(mode="encrypt"))

    assert _through_remote(place, snapshot(mode="redact")) is SecretsMode.REDACT
    assert _through_remote(place, snapshot(), accept_record=True) == record["mode"]


def test_a_remote_that_encrypts_to_the_available_identity_needs_no_consent(place: _Place) -> None:
    """No other user can read the samples."""
    place.capture(replace(policy.default("p"), secrets_mode=SecretsMode.ENCRYPT))
    assert _through_remote(place, policy.default("p")) is SecretsMode.ENCRYPT


def test_the_same_ssh_key_with_another_comment_is_no_change(place: _Place) -> None:
    """Nothing is encrypted again, and the archive keeps its own text of the key."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnWAYT8GIvPzmSDbEYvvp0mSMuYyzOPQlPjpr0U8jZv"
    place.capture(snapshot(recipients=[f"{key} a"]))
    assert not place.capture(snapshot(recipients=[f"{key} b"])).recorded.new_commit
