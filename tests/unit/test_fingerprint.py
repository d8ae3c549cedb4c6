"""Fingerprints and masked Secrets: their format never changes, and a value is checked before it is used again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from typing import Any

import pytest

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format import encode, fingerprint, masking

KEY = bytes(range(32))
SECRET = ObjectKey(Kind("", "Secret"), "default", "database")
CANARY = "canary-7f3a91"


def b64(text: str) -> str:
    """A value as it is in ``data`` of a Secret."""
    return base64.b64encode(text.encode()).decode()


def secret(**fields: Any) -> dict[str, Any]:
    """A Secret with two values."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "database", "namespace": "default", "labels": {"app": "web"}},
        "type": "Opaque",
        "data": {"password": b64(CANARY), "user": b64("admin")},
        **fields,
    }


@pytest.mark.parametrize(
    ("object_key", "path", "value", "expected"),
    [
        (
            SECRET,
            ("data", "password"),
            b"swordfish",
            "5b56257670f7ee1e24d7b75317e8e111853e1de82cc0339af97e029983807bbe",
        ),
        (SECRET, ("data", "password"), b"", "f58c08e2b39436d903794a1d64b276ba895fca47f0d85771babf5738b5a82625"),
        (
            SECRET,
            ("data", "password", "not base64"),
            b"swordfish",
            "d10dda2e68bfd9d959a0aa6c3eae51b881e19780f238c4556fbf78d656870834",
        ),
        (
            SECRET,
            ("data", "pässword"),
            bytes(range(256)),
            "ebf5f6011f2fe89d0c53a58273d12f79547413abb22c04339b97bbbda9a72225",
        ),
        (
            ObjectKey(Kind("example.com", "Widget"), "", "w"),
            (),
            b"x",
            "1dd87775e084a4c0ae1f04cf2ed80e4e4d67209baec274bc7b5d95e93d0410bc",
        ),
    ],
)
def test_golden_fingerprints(object_key: ObjectKey, path: tuple[str, ...], value: bytes, expected: str) -> None:
    """The fingerprints of format version 1 never change."""
    assert fingerprint.fingerprint(KEY, object_key, path, value) == f"gitsnap:hmac-sha256:{expected}"


def test_the_specification_by_hand() -> None:
    """A fingerprint is HMAC-SHA-256 over length-prefixed parts, as docs/FORMAT.md specifies."""
    parts = [
        b"gitsnap fingerprint 1",
        b"",
        b"Secret",
        b"default",
        b"database",
        b"2",
        b"data",
        b"password",
        b"swordfish",
    ]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    expected = "gitsnap:hmac-sha256:" + hmac.new(KEY, message, hashlib.sha256).hexdigest()

    assert fingerprint.fingerprint(KEY, SECRET, ("data", "password"), b"swordfish") == expected


def test_golden_key_id() -> None:
    """The id of a key never changes."""
    assert fingerprint.key_id(KEY) == "7c280ee2b8584e4a"


def test_golden_masked_secret() -> None:
    """The bytes of a masked Secret never change."""
    masked = masking.mask_secret(secret(immutable=True), KEY)

    assert encode(masked).decode() == (
        "apiVersion: v1\n"
        "kind: Secret\n"
        "metadata:\n"
        "  name: database\n"
        "  namespace: default\n"
        "  labels:\n"
        "    app: web\n"
        "data:\n"
        "  password: gitsnap:hmac-sha256:c98ca047de0a2fa40e0de347c6ac9107b2cf112ab88eaecc637684c06c93d285\n"
        "  user: gitsnap:hmac-sha256:77d7e04386429a0dbe20e4080dcd630e6ff96a447dbaf2f655ed736960db447f\n"
        "immutable: true\n"
        "type: Opaque\n"
    )


@pytest.mark.parametrize("key", [b"", b"short", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    """No fingerprint is computed with a missing or short key."""
    with pytest.raises(SecretsError, match="32 bytes"):
        fingerprint.fingerprint(key, SECRET, ("data", "x"), b"value")


def test_masking_changes_only_values() -> None:
    """Metadata, type and immutable are kept, and the argument is not changed."""
    original = secret(immutable=True)
    copy = {**original, "data": dict(original["data"])}

    masked = masking.mask_secret(original, KEY)

    assert original == copy
    assert {field: masked[field] for field in masked if field != "data"} == {
        field: original[field] for field in original if field != "data"
    }
    assert list(masked["data"]) == ["password", "user"]
    assert all(fingerprint.is_fingerprint(value) for value in masked["data"].values())


def test_string_data_is_data() -> None:
    """A Secret with stringData is masked like its form on a server, and stringData wins."""
    in_file = secret(data={"user": b64("old"), "password": b64(CANARY)}, stringData={"user": "admin"})

    assert masking.mask_secret(in_file, KEY) == masking.mask_secret(secret(), KEY)
    assert masking.secret_values(in_file) == masking.secret_values(secret())


def test_string_data_alone_is_masked() -> None:
    """No value of a Secret with stringData alone is in plain text."""
    in_file = secret(stringData={"password": CANARY})
    del in_file["data"]

    assert (
        masking.mask_secret(in_file, KEY)["data"]["password"] == masking.mask_secret(secret(), KEY)["data"]["password"]
    )


def test_a_misspelt_field_is_left_out() -> None:
    """A field that no Secret has may contain values, so it is not archived."""
    assert masking.mask_secret(secret(stringdata={"password": CANARY}), KEY) == masking.mask_secret(secret(), KEY)


@pytest.mark.parametrize("data", [None, {}])
def test_a_secret_without_values(data: dict[str, str] | None) -> None:
    """A Secret without values keeps its empty data, and is restored without values."""
    masked = masking.mask_secret(secret(data=data), KEY)

    assert masked["data"] == {}
    assert masking.restore_secret(masked, masking.secret_values(secret(data=data)), KEY) == masked


def test_a_secret_without_data_gets_no_data() -> None:
    """No field data is added."""
    bare = secret()
    del bare["data"]

    assert masking.mask_secret(bare, KEY) == bare


@pytest.mark.parametrize(
    "value",
    [
        "not base64!",
        "YQ",
        "YQ=",
        "=YQ=",
        "YWJj=",
        "ab==cd==",
        "YWJj\x00",
        "\ud800",
        "päß",
        1,
        1.5,
        True,
        ["x"],
        {"a": 1},
    ],
)
def test_a_value_that_is_not_base64_is_masked(value: Any) -> None:
    """Only a file can have such a Secret. Its value gets a marked fingerprint and is restored unchanged."""
    odd = secret(data={"key": value})

    masked = masking.mask_secret(odd, KEY)

    assert fingerprint.is_fingerprint(masked["data"]["key"])
    assert masking.restore_secret(masked, masking.secret_values(odd), KEY)["data"] == {"key": value}


def test_raw_text_does_not_look_like_the_value_it_decodes_to() -> None:
    """Text that is not base64 has another fingerprint than a value with the same bytes."""
    raw = masking.mask_secret(secret(data={"key": "päß"}), KEY)
    decoded = masking.mask_secret(secret(data={"key": b64("päß")}), KEY)

    assert raw["data"] != decoded["data"]


def test_lines_within_base64_do_not_matter() -> None:
    """An API server ignores line breaks in base64, so the value is the same."""
    wrapped = secret(data={"key": "c3dvcmRm\r\naXNo\n"})

    assert masking.mask_secret(wrapped, KEY) == masking.mask_secret(secret(data={"key": b64("swordfish")}), KEY)


@pytest.mark.parametrize("field", ["data", "stringData"])
@pytest.mark.parametrize("value", [CANARY, [CANARY]])
def test_data_that_is_not_a_mapping_is_refused(field: str, value: Any) -> None:
    """The error names the object and has no value."""
    with pytest.raises(InputError, match=f"Secret default/database: {field} is not a mapping") as caught:
        masking.mask_secret(secret(**{field: value}), KEY)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_sealed_document_has_only_values() -> None:
    """Without labels and the like, a ciphertext is replaced only when values change."""
    assert masking.secret_values(secret(immutable=True)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "database", "namespace": "default"},
        "type": "Opaque",
        "data": {"password": b64(CANARY), "user": b64("admin")},
    }


def test_a_secret_is_restored() -> None:
    """From its masked form and the values."""
    original = secret()

    masked = masking.mask_secret(original, KEY)

    assert masking.restore_secret(masked, masking.secret_values(original), KEY) == original


OTHER = secret(metadata={"name": "other", "namespace": "default"})


@pytest.mark.parametrize(
    ("masked", "values", "key", "message"),
    [
        (secret(), secret(data={"password": b64(CANARY + "x"), "user": b64("admin")}), KEY, "'password' does not"),
        (secret(), secret(data={"password": b64(CANARY)}), KEY, "keys that differ: 'user'"),
        (secret(), secret(data={**secret()["data"], "new": b64(CANARY)}), KEY, "keys that differ: 'new'"),
        (secret(), secret(), bytes(32), "does not match its fingerprint"),
        (OTHER, secret(), KEY, "does not match its fingerprint"),
    ],
    ids=["value", "missing", "extra", "key", "object"],
)
def test_values_that_do_not_match_are_refused(masked: Any, values: Any, key: bytes, message: str) -> None:
    """A replaced ciphertext is detected. The message names the Secret and the key, never a value."""
    archived = masking.mask_secret(masked, KEY)
    if masked is OTHER:  # the ciphertext of another Secret was put in its place
        archived = {**archived, "metadata": secret()["metadata"]}

    with pytest.raises(SecretsError, match=message) as caught:
        masking.restore_secret(archived, values, key)

    shown = "".join(traceback.format_exception(caught.value))
    assert "Secret default/database" in shown
    assert CANARY not in shown
    assert b64(CANARY) not in shown


@pytest.mark.parametrize("values", [None, "text", [1], {"data": [CANARY]}, {"data": CANARY}])
def test_decrypted_junk_is_refused(values: Any) -> None:
    """A typed error refuses any other content of a replaced ciphertext."""
    with pytest.raises(SecretsError) as caught:
        masking.restore_secret(masking.mask_secret(secret(), KEY), values, KEY)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "forged", ["swordfish", "", None, 5, "gitsnap:hmac-sha256:é", "gitsnap:hmac-sha256:" + "0" * 64]
)
def test_a_forged_fingerprint_matches_no_value(forged: Any) -> None:
    """A forged file below configuration/ is refused, whatever it has in place of the fingerprint."""
    archived = masking.mask_secret(secret(), KEY)
    archived["data"]["user"] = forged

    with pytest.raises(SecretsError, match="'user' does not match"):
        masking.restore_secret(archived, masking.secret_values(secret()), KEY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gitsnap:hmac-sha256:" + "0" * 64, True),
        ("gitsnap:hmac-sha256:" + "0" * 64 + "\n", False),
        ("gitsnap:hmac-sha256:" + "0" * 63, False),
        ("gitsnap:hmac-sha256:" + "A" * 64, False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
def test_the_form_of_a_fingerprint(text: object, *, expected: bool) -> None:
    """Only the complete form is a fingerprint."""
    assert fingerprint.is_fingerprint(text) is expected
