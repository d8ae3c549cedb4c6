"""A rollback or an undo that could not be undone is refused, unless --without-undo accepts that."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gitsnap.archive import open_archive
from tests.support.remotes import generate_key
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, changed_place, config_map

_FIELD = "ConfigMap data.text"


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """A cluster with a sample, and later changes of two ConfigMaps and a Secret."""
    return changed_place(tmp_path)


def _samples(place: TypedPlace) -> list[str]:
    return [sample.tag for sample in open_archive(place.folder / "storage", "hourly").samples()]


def _to_another_key(place: TypedPlace) -> str:
    """Encrypt further samples to a key that is not in the archive's folder of keys. Returns the private key file."""
    public = generate_key(place.folder / "elsewhere").strip()
    recipient = shlex.quote(public)
    place.run(f"capture --snapshot hourly --recipient {recipient} --accept-secrets-change")
    return str(place.folder / "elsewhere")


@pytest.mark.parametrize("by", ["options", "plan file"])
def test_a_rollback_without_a_suitable_identity_is_refused(place: TypedPlace, by: str) -> None:
    """Nothing is written and no sample is taken. The error names three options, and --without-undo works."""
    other = _to_another_key(place)
    before = _samples(place)
    rollback = "rollback --sample latest~1"
    if by == "plan file":
        place.run(f"{rollback} --plan-out plan.json")
        rollback = "rollback --plan plan.json"

    refused = place.run(f"{rollback} --yes", 14)

    assert "an undo could not restore the present values of Secret default/password" in refused.stderr
    assert all(flag in refused.stderr for flag in ("--identity", "--except", "--without-undo"))
    assert NEW_VALUE in place.read("password")
    assert "a: 2" in place.read("database")
    assert _samples(place) == before

    done = place.run(f"{rollback} --yes --without-undo")
    assert "warning:" in done.stderr
    assert OLD_VALUE in place.read("password")
    assert "elsewhere" in other


def test_an_identity_of_a_recipient_suffices(place: TypedPlace) -> None:
    """The rollback works, and the undo works with the same identity."""
    other = _to_another_key(place)
    own = place.folder / "storage" / ".keys" / "hourly" / "identity.txt"
    identities = f"--identity {other} --identity {own}"

    place.run(f"rollback --sample latest~1 --yes {identities}")
    assert OLD_VALUE in place.read("password")
    place.run(f"undo --yes {identities}")

    assert NEW_VALUE in place.read("password")


def test_an_undo_that_could_not_be_undone_is_refused(place: TypedPlace) -> None:
    """The recipients change between the rollback and its undo."""
    place.run("rollback --sample latest --yes")
    _to_another_key(place)

    refused = place.run("undo --yes", 14)

    assert "an undo could not restore" in refused.stderr
    assert OLD_VALUE in place.read("password")
    place.run("undo --yes --without-undo")
    assert NEW_VALUE in place.read("password")


def test_a_rollback_that_replaces_no_hidden_value_needs_no_identity(place: TypedPlace) -> None:
    """ConfigMaps and unchanged Secrets can be restored without an identity."""
    _to_another_key(place)

    place.run("rollback --sample latest~1 --yes --resource configmap/database")

    assert "a: 1" in place.read("database")


def test_sensitive_fields_of_other_kinds_need_an_identity(tmp_path: Path) -> None:
    """A ConfigMap with a sensitive field cannot be restored without an identity."""
    place = TypedPlace(tmp_path)
    place.run(f"capture --snapshot hourly --sensitive-field '{_FIELD}'")
    place.write("database", config_map("database", "a: 2"))
    _to_another_key(place)

    refused = place.run("rollback --sample latest~1 --yes --resource configmap/database", 14)

    assert "an undo could not restore the present values of ConfigMap default/database" in refused.stderr
    assert "a: 2" in place.read("database")


@pytest.mark.parametrize("mode", ["redact", "omit"])
def test_a_mode_without_values_needs_the_flag(place: TypedPlace, mode: str) -> None:
    """If new samples have no values, the rollback needs --without-undo."""
    place.run(f"capture --snapshot hourly --secrets-mode {mode} --accept-secrets-change")

    refused = place.run("rollback --sample latest~1 --yes", 14)
    assert f"samples are taken in the secrets mode {mode}" in refused.stderr
    assert NEW_VALUE in place.read("password")

    place.run("rollback --sample latest~1 --yes --without-undo")
    assert OLD_VALUE in place.read("password")
