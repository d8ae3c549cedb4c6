"""Recipients: valid public keys, example keys, and several keys in one text."""

from __future__ import annotations

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.errors import SecretsError
from gitsnap.format import recipients

AGE = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
SSH = [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43} {name}" for letter, name in (("A", "a@b"), ("B", "c, d"))]


@given(st.integers(min_value=4, max_value=61), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_an_age_key_with_a_wrong_letter_is_refused(position: int, letter: str) -> None:
    """The checksum detects it before anything is encrypted to a key that nobody has."""
    key = str(pyrage.x25519.Identity.generate().to_public())
    assert recipients.problem(key) == ""

    wrong = key[:position] + letter + key[position + 1 :]

    assert (recipients.problem(wrong) == "") == (wrong == key)


@pytest.mark.parametrize("key", recipients.EXAMPLES)
def test_a_published_key_is_refused_by_name(key: str) -> None:
    """The user does not have the private key. The message names the source of the example."""
    with pytest.raises(SecretsError, match=rf"{key}.*example key.*{recipients.EXAMPLES[key]}"):
        recipients.check(key, 1)


@pytest.mark.parametrize("separator", [",", ", ", ";", "\n", ",\n"])
@pytest.mark.parametrize("keys", [SSH, [AGE, *SSH], [SSH[0], AGE]])
def test_several_keys_in_one_text(keys: list[str], separator: str) -> None:
    """Commas inside the comment of an SSH key do not separate keys."""
    assert recipients.split(separator.join(keys)) == keys
    assert [recipients.problem(key) for key in recipients.split(separator.join(keys))] == [""] * len(keys)


@pytest.mark.parametrize("between", [" ", ",", ", and ", "/"])
@pytest.mark.parametrize("second", [SSH[1], AGE, "ecdsa-sha2-nistp256 AAAAE2VjZHNh x"])
def test_a_key_in_the_comment_of_another_is_refused(between: str, second: str) -> None:
    """An entry of a Snapshot is one key. The second key would silently be no recipient."""
    assert "more than one key" in recipients.problem(f"{SSH[0]}{between}{second}")


@pytest.mark.parametrize("second", ["ecdsa-sha2-nistp256 AAAAE2VjZHNh x", "AGE-SECRET-KEY-1QQQ"])
def test_a_list_with_an_invalid_recipient_is_refused(second: str) -> None:
    """No part of the list is used."""
    parts = recipients.split(f"{AGE},{second}")
    assert any(recipients.problem(part) for part in parts)


def test_short_names_tell_keys_apart_and_show_no_comment() -> None:
    """As ``ssh-keygen -l`` prints them. A key with another comment is the same recipient."""
    assert recipients.short(AGE) == "age1a09l9ptf…"
    names = [recipients.short(key) for key in SSH]
    assert len(set(names)) == 2
    assert all(name.startswith("ssh-ed25519 SHA256:") and "@" not in name for name in names)
    assert recipients.same_keys([SSH[0]], [f"{SSH[0]} at home"])
    assert recipients.difference([AGE, SSH[0]], [f"{SSH[0]} at home", SSH[1]]) == ((names[1],), ("age1a09l9ptf…",))
    assert recipients.listed([AGE, SSH[0]]) == f"2 recipients (age1a09l9ptf…, {names[0]})"


def test_a_possible_private_key_is_not_shown() -> None:
    """A user may confuse the two keys."""
    with pytest.raises(SecretsError) as error:
        recipients.check("AGE-SECRET-KEY-1CANARY", 2)
    assert "CANARY" not in str(error.value)
    assert "number 2" in str(error.value)
