"""Requests with a kubeconfig, as a server receives them: credentials, impersonation and proxies as in kubectl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap import __version__
from gitsnap.cluster.api.credentials import TokenFile
from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError, InputError
from tests.support.adapters import connect
from tests.support.recording_server import RecordingServer, write_kubeconfig


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    """A server that records its requests."""
    started = RecordingServer()
    yield started
    started.close()


def test_impersonation_is_sent_as_kubectl_sends_it(server: RecordingServer, tmp_path: Path) -> None:
    """Each group has a header of its own; keys of extra fields are encoded; values are sent as UTF-8."""
    user = {
        "token": "t",
        "as": "jäne",
        "as-uid": "7",
        "as-groups": ["devs", "ops, night"],
        "as-user-extra": {"scopes": ["a", "b"], "example.com/Team": ["blue"]},
    }
    info = connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, user)).info()

    assert [value.encode("latin-1").decode() for value in server.values("impersonate-user")] == ["jäne"]
    assert server.values("impersonate-uid") == ["7"]
    assert server.values("impersonate-group") == ["devs", "ops, night"]
    assert server.values("impersonate-extra-scopes") == ["a", "b"]
    assert server.values("impersonate-extra-example.com%2fteam") == ["blue"]
    assert server.values("authorization") == ["Bearer t"]
    assert info.user == "u as jäne (groups devs, ops, night)"


def test_the_user_agent_names_gitsnap_and_its_version(server: RecordingServer, tmp_path: Path) -> None:
    """The administrators of an API server find the requests in the audit log, and in metrics."""
    connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"token": "t"})).info()

    assert [value.split()[0] for value in server.values("user-agent")] == [f"gitsnap/{__version__}"]


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"as-groups": ["devs"]}, "without `as`"),
        ({"as-uid": "7"}, "without `as`"),
        ({"as-user-extra": {"a": ["b"]}}, "without `as`"),
        ({"as": "jane", "as-groups": "devs"}, "lists of strings"),
        ({"as": "jane", "as-user-extra": {"a": "b"}}, "lists of strings"),
        ({"as": "jane\nX-Evil: 1"}, "one line"),
        ({"as": ["jane"]}, "as must be a string"),
    ],
)
def test_invalid_impersonation_is_refused(
    server: RecordingServer, tmp_path: Path, user: dict[str, Any], said: str
) -> None:
    """It is refused before a request: without impersonation the request would have other rights."""
    with pytest.raises(InputError, match=said):
        connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"token": "t", **user})).info()
    assert not server.requests


def test_without_impersonation_no_header_is_sent(server: RecordingServer, tmp_path: Path) -> None:
    """A server would refuse an empty header."""
    info = connect(
        kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"token": "t", "as": "", "as-groups": []})
    ).info()
    assert not [name for name, _ in server.requests[0] if name.startswith("impersonate")]
    assert info.user == "u"


def test_a_token_file_is_relative_to_its_kubeconfig_and_takes_precedence(
    server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newline at the end of the file is not part of the token."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "token").write_text("from-the-file\n")
    monkeypatch.chdir("/")
    connect(
        kubeconfig=write_kubeconfig(tmp_path / "a" / "k", server.url, {"token": "beside", "tokenFile": "token"})
    ).info()
    assert server.values("authorization") == ["Bearer from-the-file"]


def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    """It is read each minute. While it cannot be read, the last token is used, or the token of the kubeconfig."""
    path, now = tmp_path / "token", [0.0]
    file = TokenFile(path, fallback="beside", clock=lambda: now[0])
    assert file.token() == "beside"
    path.write_text("first\n")
    assert file.token() == "first"
    path.write_text("second\n")
    assert file.token() == "first"
    now[0] += 61
    assert file.token() == "second"
    path.write_text("\n")
    now[0] += 61
    assert file.token() == "second"
    path.unlink()
    now[0] += 61
    assert file.token() == "second"
    with pytest.raises(OSError, match="No such file"):
        TokenFile(path).token()


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_token_file_without_a_token(server: RecordingServer, tmp_path: Path, content: str | None) -> None:
    """The message names the file, and no request is sent."""
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(InputError, match="token"):
        connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"tokenFile": "token"})).info()
    assert not server.requests


def test_a_token_that_is_invalid_in_a_header(server: RecordingServer, tmp_path: Path) -> None:
    """The token is neither sent nor shown."""
    with pytest.raises(AccessDeniedError) as caught:
        connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"token": "hidden\nvalue"})).info()
    assert "hidden" not in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize(("what", "name"), [("user", "ghost"), ("cluster", "nowhere")])
def test_a_context_with_missing_entries(server: RecordingServer, tmp_path: Path, what: str, name: str) -> None:
    """Without credentials the server would answer 401, which looks like an expired token."""
    path = Path(write_kubeconfig(tmp_path / "k", server.url, {"token": "t"}))
    document = json.loads(path.read_text())
    document["contexts"][0]["context"][what] = name
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=name):
        connect(kubeconfig=str(path))
    assert not server.requests


def test_several_files_are_merged_as_kubectl_does(
    server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty and missing files are ignored. The first entry of a name counts, with paths relative to its own file."""
    (tmp_path / "empty").touch()
    (tmp_path / "comment").write_text("# nothing\n---\n")
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "t").write_text("first")
    (tmp_path / "users" / "k").write_text("users: [{name: u, user: {tokenFile: t}}]")
    last = write_kubeconfig(tmp_path / "k", server.url, {"token": "second"})
    files = [tmp_path / "empty", tmp_path / "missing", tmp_path / "comment", tmp_path / "users" / "k", last]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert connect().info().context == "x"
    assert server.values("authorization") == ["Bearer first"]


def test_a_proxy_is_named_in_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the proxy without its password, because otherwise people suspect the server."""
    path = write_kubeconfig(
        tmp_path / "k", "https://203.0.113.9:6443", {"token": "t"}, **{"proxy-url": "http://me:pw@127.0.0.1:9"}
    )
    with pytest.raises(ClusterUnreachableError, match=r"through the proxy http://127\.0\.0\.1:9") as caught:
        connect(kubeconfig=path).info()
    assert "pw" not in str(caught.value)

    path = write_kubeconfig(tmp_path / "k", "https://203.0.113.9:6443", {"token": "t"})
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ClusterUnreachableError, match=r"through the proxy http://127\.0\.0\.1:9"):
        connect(kubeconfig=path).info()

    path = write_kubeconfig(
        tmp_path / "k", "https://203.0.113.9:6443", {"token": "t"}, **{"proxy-url": "ftp://me:pw@[bad"}
    )
    with pytest.raises(InputError, match="proxy") as refused:
        connect(kubeconfig=path)
    assert "pw" not in str(refused.value)

    path = write_kubeconfig(tmp_path / "k", "https://203.0.113.9:6443", {"token": "t"})
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pw@[bad")
    with pytest.raises(InputError, match="proxy"):
        connect(kubeconfig=path)


def test_loopback_servers_use_no_proxy(
    server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in kubectl, servers on loopback are reached without the proxy of the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    connect(kubeconfig=write_kubeconfig(tmp_path / "k", server.url, {"token": "t"})).info()
    assert server.requests


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        ({"client-certificate": "empty"}, {}, r"client-certificate of the user u .* is empty \("),
        ({"client-certificate": "key", "client-key": "text"}, {}, r"client-key of the user u .* has no PEM block"),
        ({"client-certificate-data": "Cg=="}, {}, "client-certificate-data of the user .* is empty$"),
        ({"client-key-data": "eA=="}, {}, "client-key-data of the user .* has no PEM block$"),
        ({}, {"certificate-authority": "empty"}, "certificate-authority of the cluster of the context x .* is empty"),
    ],
)  # fmt: skip
def test_a_certificate_without_content(
    server: RecordingServer, tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], message: str
) -> None:
    """The error names the field, its owner and its file, and has a hint. No connection is made."""
    for name, content in (("empty", " \n"), ("text", "x"), ("key", "-----BEGIN PRIVATE KEY-----")):
        (tmp_path / name).write_text(content)

    with pytest.raises(InputError) as refused:
        connect(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, user, **cluster))

    assert re.search(message, refused.value.message), refused.value.message
    assert "new kubeconfig" in refused.value.hint
    assert server.requests == []


@pytest.mark.parametrize(
    "user",
    [{"client-certificate": "", "client-key": ""}, {"client-certificate-data": "", "token": "t"}, {"tokenFile": ""}],
)
def test_empty_fields_count_as_missing(server: RecordingServer, tmp_path: Path, user: dict[str, Any]) -> None:
    """As in kubectl, an empty file name counts as a missing field."""
    connect(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, user)).info()

    assert server.requests
