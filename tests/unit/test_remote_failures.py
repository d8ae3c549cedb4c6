"""The output of git has one cause, whatever the names of the URL, of refs and of hooks are."""

from __future__ import annotations

import pytest

from gitsnap.archive.remote import Credentials, Remote
from gitsnap.archive.remote.failures import FAILURE_CAUSES, CommandOutput
from gitsnap.core.errors import (
    RemoteChangedError,
    RemoteError,
    RemoteRefusedError,
    RemoteUnreachableError,
    UsageError,
)

_SPECS = (
    "!\t1234:refs/heads/{branch}\t[{kind}] ({reason})\n!\t5678:refs/tags/{branch}/2026\t[{kind}] ({reason})\nDone\n"
)

_SAID: dict[str, tuple[str, str, type[RemoteError]]] = {
    "host key": ("Host key verification failed.\nfatal: Could not read from remote repository.", "", RemoteError),
    "no host key": ("No ED25519 host key is known for {host} and you have requested strict checking.", "", RemoteError),
    "certificate": (
        "fatal: unable to access '{url}/': server certificate verification failed. CAfile: none", "", RemoteError,
    ),
    "ssh key": ("git@{host}: Permission denied (publickey).\nfatal: Could not read from remote", "", RemoteError),
    "no name": (
        "fatal: could not read Username for '{url}': terminal prompts disabled", "", RemoteError,
    ),
    "password": ("remote: Invalid username or token.\nfatal: Authentication failed for '{url}/'", "", RemoteError),
    "forbidden": ("fatal: unable to access '{url}/': The requested URL returned error: 403", "", RemoteError),
    "redirect": ("fatal: unable to access '{url}/': The requested URL returned error: 302", "", RemoteError),
    "sha256": (
        "fatal: the receiving end does not support this repository's hash algorithm\nfatal: the remote end hung up", "",
        RemoteRefusedError,
    ),
    "no deletions": ("error: remote does not support deleting refs", "", RemoteRefusedError),
    "webdav": ("error: Cannot access URL {url}/, return code 22\nfatal: git-http-push failed", "", RemoteRefusedError),
    "older": ("error: failed to push some refs to '{url}'", _SPECS.format(
        branch="{branch}", kind="rejected", reason="non-fast-forward"), RemoteChangedError),
    "fetch first": ("", _SPECS.format(branch="{branch}", kind="rejected", reason="fetch first"), RemoteChangedError),
    "moved tag": ("", _SPECS.format(branch="{branch}", kind="rejected", reason="already exists"), RemoteChangedError),
    "locked": (
        "remote: error: cannot lock ref 'refs/heads/{branch}': Unable to create '{path}/refs/heads/{branch}.lock'",
        _SPECS.format(branch="{branch}", kind="remote rejected", reason="failed to update ref"), RemoteChangedError,
    ),
    "hook": (
        "remote: POLICY-17: repository not found, timed out, permission denied (x)",
        _SPECS.format(branch="{branch}", kind="remote rejected", reason="pre-receive hook declined"),
        RemoteRefusedError,
    ),
    "rule": (
        "remote: error: GH006: Protected branch update failed for refs/heads/{branch}.",
        _SPECS.format(branch="{branch}", kind="remote rejected", reason="protected branch hook declined"),
        RemoteRefusedError,
    ),
    "full": (
        "error: remote unpack failed: unable to create temporary object directory",
        _SPECS.format(branch="{branch}", kind="remote rejected", reason="unpacker error"), RemoteRefusedError,
    ),
    "missing": ("remote: Repository not found.\nfatal: repository '{url}/' not found", "", RemoteError),
    "no repository": ("fatal: '{path}' does not appear to be a git repository", "", RemoteError),
    "github": ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "", RemoteError),
    "no host": ("fatal: unable to access '{url}/': Could not resolve host: {host}", "", RemoteUnreachableError),
    "nobody": ("ssh: connect to host {host} port 22: Connection refused", "", RemoteUnreachableError),
    "away": ("ssh: connect to host {host} port 22: Connection timed out", "", RemoteUnreachableError),
    "no route": ("ssh: connect to host {host} port 22: Network is unreachable", "", RemoteUnreachableError),
    "proxy": ("fatal: unable to access '{url}/': The requested URL returned error: 503", "", RemoteUnreachableError),
    "broken": ("fatal: the remote end hung up unexpectedly", "", RemoteUnreachableError),
    "no status": (
        "", _SPECS.format(branch="{branch}", kind="remote failure", reason="remote failed to report status"),
        RemoteUnreachableError,
    ),
}  # fmt: skip
"""Name -> standard error of git and, for a push, its standard output; the class of the error."""

_WORDS = (
    "record", "quota", "timeout", "timed-out", "unreachable", "permission-denied", "hook-declined", "stale-info",
    "already-exists", "no-space-left", "broken-pipe", "early-eof", "non-fast-forward", "rpc-failed", "unpack-failed",
)  # fmt: skip
"""Names of repositories, hosts and branches that are words of the table."""


@pytest.mark.parametrize("name", sorted(_SAID))
def test_the_class_does_not_depend_on_names(name: str) -> None:
    """The same output with another URL, host or branch is the same error, with the same hint."""
    printed, porcelain, error = _SAID[name]
    hints = set()
    for word in _WORDS:
        for url, host, path in (
            (f"https://{word}.example.com/{word}/{word}.git", f"{word}.example.com", f"/{word}/{word}.git"),
            (f"ssh://git@{word}/srv/{word}.git", word, f"/srv/{word}.git"),
            (f"git@{word}:{word}/{word}", word, f"{word}/{word}"),
            (f"file:///srv/{word}.git", "localhost", f"/srv/{word}.git"),
        ):
            facts = {"url": url, "host": host, "path": path, "branch": word}
            raised = Remote(url, Credentials("s")).error(printed.format(**facts), porcelain.format(**facts))
            assert type(raised) is error, (word, url, raised)
            hints.add(raised.hint)
    assert len(hints) == 1


def test_every_row_of_the_table_is_reached() -> None:
    """A row that is never reached would be hidden by another row."""
    facts = {"url": "https://h/x.git", "host": "h", "path": "/x.git", "branch": "b"}
    raised = [
        Remote(facts["url"], Credentials("s")).error(printed.format(**facts), porcelain.format(**facts))
        for printed, porcelain, _ in _SAID.values()
    ]
    for meaning in FAILURE_CAUSES:
        assert any(meaning.reason in error.message and error.hint == meaning.hint for error in raised), meaning.reason


def test_the_output_of_the_server_comes_first_and_refs_share_a_line() -> None:
    """The message has the output of a hook, and does not list a thousand refused refs."""
    refs = "".join(f"!\tabc:refs/tags/h/{number:04}\t[remote rejected] (hook declined)\n" for number in range(1000))
    printed = (
        "remote: ======\nremote: POLICY-17: ask team-git        \nremote: \nerror: failed to push some refs to 'x'\n"
    )

    error = Remote("https://git.example.com/x.git", Credentials("s")).error(printed, refs)

    assert error.message == (
        "https://git.example.com/x.git says: POLICY-17: ask team-git: the remote refuses the push "
        "(hook declined: h/0000 and 999 more)"
    )


def test_refs_that_failed_with_others_are_not_named() -> None:
    """In an atomic push the refused ref counts, not the refs that failed together with it."""
    said = CommandOutput.parse(
        "",
        "!\ta:refs/heads/h\t[remote rejected] (atomic push failure)\n!\ta:refs/tags/h/1\t[remote rejected] (no tags)\n",
    )

    assert said.reasons() == "no tags: h/1"


def test_secrets_and_users_are_left_out() -> None:
    """Neither a password that the server echoes nor the user part of a URL is shown."""
    credentials = Credentials("s", {"password": b"hunter22"})

    error = Remote("https://somebody:hunter22@h/x.git", credentials).error(
        "remote: who is hunter22?\nfatal: unable to access 'https://somebody:hunter22@h/x.git/': Empty reply"
    )

    assert "hunter22" not in str(error)
    assert "somebody" not in str(error)


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "-u", "-oProxyCommand=x@host:path", "-"])
def test_a_url_that_git_would_take_for_an_option(url: str) -> None:
    """git would parse such a URL as an option, and options can name programs to run."""
    with pytest.raises(UsageError, match="does not begin with a dash"):
        Remote(url)
