"""Names of users as they are recorded, and pseudonyms in place of the names of persons."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource
from gitsnap.core.errors import SecretsError
from gitsnap.format.change_message import author_identity, parse_identity, short_name
from gitsnap.kube.pseudonyms import pseudonym, pseudonymous
from gitsnap.kube.user_names import author_name, is_person

_KEY = bytes(range(32))
_HOSTILE = ["a\nb", "a\x00b", "\x1b[31mred", "x\u202ey", "<a@b>", "%41", " ", "ß", "\ud800", "a" * 1_000_000, "a as b"]


def _audit(name: str) -> Author:
    return Author(name, AuthorSource.AUDIT)


def test_a_pseudonym_is_what_the_format_says() -> None:
    """HMAC-SHA-256 over two parts, each preceded by its length."""
    parts = [b"gitsnap author 1", b"alice@example.com"]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    expected = f"person-{hmac.new(_KEY, message, hashlib.sha256).hexdigest()[:20]}"
    assert pseudonym(_KEY, "alice@example.com") == expected == "person-937b8f2b76385d162fe9"
    with pytest.raises(SecretsError):
        pseudonym(_KEY[:-1], "alice")


@pytest.mark.parametrize(
    "name", [*_HOSTILE, "alice", "user:default/robot", "arn:aws:iam::1:user/al as dev", "systema:x"]
)
@pytest.mark.parametrize("source", [AuthorSource.AUDIT, AuthorSource.STAMP])
def test_no_part_of_the_name_of_a_person_is_left(name: str, source: AuthorSource) -> None:
    """This holds for any name. The pseudonym depends on the key and on the whole name."""
    author = pseudonymous(_KEY, Author(name, source))
    assert all(part.startswith("person-") and len(part) == 27 for part in author.name.split(" as "))
    assert author.source is source
    assert pseudonymous(_KEY, Author(name, source)) == author
    assert pseudonymous(_KEY, Author(f"{name}x", source)) != author
    assert pseudonymous(bytes(32), Author(name, source)) != author
    assert author_identity(author).isascii()


@pytest.mark.parametrize(
    "author",
    [
        UNKNOWN_AUTHOR,
        Author("kubectl-edit", AuthorSource.MANAGER),
        _audit("flux-system/kustomize-controller"),
        _audit("system:kube-scheduler"),
        _audit("system:node:worker-1"),
    ],
)
def test_names_of_programs_are_kept(author: Author) -> None:
    """Names of programs are not personal data, and explain most events in a cluster."""
    assert pseudonymous(_KEY, author) == author


def test_each_name_of_an_impersonation_has_its_own_pseudonym() -> None:
    """All changes of alice are then found, whoever she impersonates."""
    alice, admin = pseudonym(_KEY, "alice"), pseudonym(_KEY, "admin")
    assert pseudonymous(_KEY, _audit("alice as admin")).name == f"{alice} as {admin}"
    assert pseudonymous(_KEY, _audit("alice as default/robot")).name == f"{alice} as default/robot"


_NAMES: list[tuple[str, str, dict[str, list[str] | None] | None, str]] = [
    ("alice", "", None, "alice"),
    ("alice", "admin", None, "alice as admin"),
    ("alice", "system:serviceaccount:default:robot", None, "alice as default/robot"),
    ("system:serviceaccount:default:robot", "admin", None, "default/robot as admin"),
    ("system:serviceaccount:default:robot", "", None, "default/robot"),
    ("system:serviceaccount:robot", "", None, "system:serviceaccount:robot"),
    ("system:serviceaccount:a:b:c", "", None, "system:serviceaccount:a:b:c"),
    ("system:serviceaccount:A:b", "", None, "system:serviceaccount:A:b"),
    ("default/robot", "", None, "user:default/robot"),
    ("alice", "default/robot", None, "alice as user:default/robot"),
    ("alice as admin", "", None, "user:alice as admin"),
    ("alice", "bob as admin", None, "alice as user:bob as admin"),
    ("alice", "", {"groups": ["secret-group"], "token": ["secret-token"]}, "alice"),
    ("alice", "", {"arn": None}, "alice"),
    ("alice", "", {"arn": []}, "alice"),
    ("dev", "", {"arn": ["arn:aws:iam::1:user/al"], "canonicalArn": ["x"]}, "arn:aws:iam::1:user/al as dev"),
    ("", "admin", {"arn": ["x"]}, ""),
]


@pytest.mark.parametrize(("username", "impersonated", "extra", "name"), _NAMES)
def test_the_name_of_the_author(
    username: str, impersonated: str, extra: dict[str, list[str] | None], name: str
) -> None:
    """The principal of EKS is the only extra field in a name."""
    assert author_name(username, impersonated=impersonated, extra=extra) == name


@pytest.mark.parametrize("name", _HOSTILE)
@pytest.mark.parametrize("impersonated", ["", "\x07\n", "b" * 1_000_000])
def test_a_hostile_name_is_one_line_of_a_commit(name: str, impersonated: str) -> None:
    """An impersonated user may also have a hostile name. Long names are cut, and stay distinct."""
    author = _audit(author_name(name, impersonated=impersonated))
    identity = author_identity(author)
    assert identity.isprintable()
    assert len(identity) < 4000
    assert parse_identity(identity, AuthorSource.AUDIT).name == short_name(author.name)
    assert short_name(author.name) != short_name(f"{author.name}x")


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("alice", True),
        ("alice@example.com", True),
        ("user:default/robot", True),
        ("", True),
        ("default/robot", False),
        ("system:admin", False),
        ("Default/robot", True),
    ],
)
def test_what_may_be_a_person(name: str, *, person: bool) -> None:
    """In case of doubt, a name is that of a person."""
    assert is_person(name) == person
