"""Host names, the cache of answers, addresses, and the timeline of ``gitsnap web``."""

from __future__ import annotations

import asyncio
import re
import threading
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import pytest

from gitsnap.core.errors import UsageError
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.render.report.environment import asset
from gitsnap.render.web import static_files
from gitsnap.render.web.addresses import object_address
from gitsnap.web import archive_pages
from gitsnap.web.application import Application
from gitsnap.web.listening import Address, check_hosts, host_of, parse_address
from gitsnap.web.site import Site
from gitsnap.web.work import MOST_WAITING, Content, ContentCache, Lane, OverloadedError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), (":80", "", 80), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1)],
)
def test_addresses_are_parsed(text: str, host: str, port: int) -> None:
    """A host may be empty, and an IPv6 address has brackets."""
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("::", False),
        ("0.0.0.0", False),  # noqa: S104 - it must be refused
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_addresses_of_the_network_need_a_name(host: str, *, is_loopback: bool) -> None:
    """Without --allowed-host, only loopback addresses are accepted. A name replaces the names of loopback."""
    if is_loopback:
        assert "localhost" in check_hosts(Address(host, 1), ())
    else:
        with pytest.raises(UsageError, match="has no login"):
            check_hosts(Address(host, 1), ())
        assert check_hosts(Address(host, 1), ["Web.Example.com."]) == {"web.example.com"}


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost.:80", "localhost"),
        ("[::1]:80", "::1"),
        ("[0:0::1]", "::1"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("a b", None),
        ("a@b", None),
        ("::1", None),
        ("[::1", None),
        ("a:99999", None),
        ("a:1:2", None),
        ("a/b", None),
        ("", None),
        ("a\n", None),
    ],
)
def test_hosts_are_read_strictly(header: str, host: str | None) -> None:
    """A header that proxies and browsers may read in different ways has no host."""
    assert host_of(header) == host


@pytest.mark.parametrize("name", ["a/b", "a b", "é", "?x=#y", "%2F", "a" * 253, "..", "-", "\x1b[31m"])
def test_addresses_hold_any_name(name: str) -> None:
    """The segments of an address can be decoded to the names."""
    path = object_address("hourly", ObjectKey(Kind("a.example.com", "Thing"), name, name), at=name)
    segments = [unquote(segment) for segment in path.partition("?")[0].split("/")[1:]]
    assert segments == ["hourly", "object", "Thing.a.example.com", name, name]
    assert re.fullmatch(r"[!-~]+", path)


def test_the_cache_forgets_the_oldest_and_other_versions() -> None:
    """The cache has a limited size and one version of the archives. Errors are not cached."""
    cache = ContentCache(10)
    cache.use(1)
    for number in range(4):
        cache.put(1, number, Content(200, "", b"1234"))
    assert [number for number in range(4) if cache.get(number)] == [2, 3]
    cache.put(2, "late", Content(200, "", b"1"))
    cache.put(1, "error", Content(500, "", b"1", is_cacheable=False))
    assert (cache.get("late"), cache.get("error")) == (None, None)
    cache.use(2)
    assert cache.get(3) is None


def test_a_lane_does_one_job_at_a_time_and_refuses_too_many() -> None:
    """One thread runs jobs one after another, with one worker. A job beyond the limit is refused at once."""
    blocked, begun = threading.Event(), threading.Event()
    made: list[int] = []

    def make_worker() -> int:
        made.append(1)
        return 1

    lane = Lane("lane", make_worker)

    def wait(_worker: object) -> int:
        begun.set()
        blocked.wait(60)
        return threading.get_ident()

    async def run() -> list[int]:
        jobs = [asyncio.create_task(lane.run(wait)) for _ in range(MOST_WAITING)]
        await asyncio.to_thread(begun.wait, 60)
        with pytest.raises(OverloadedError):
            await lane.run(wait)
        blocked.set()
        return await asyncio.gather(*jobs)

    assert len(set(asyncio.run(run()))) == 1
    assert made == [1]
    lane.close()


def test_pages_need_no_inline_script_or_style() -> None:
    """The policy permits neither, so no template may have one."""
    names = ("layout", "parts", "overview", "timeline", "sample", "diff", "difference", "rollback", "object", "log",
             "blame", "clusters", "cluster", "cluster_log", "search", "error", "absent")  # fmt: skip
    for name in names:
        text = asset("gitsnap.render.web", f"{name}.html")
        assert not re.search(r"<style|<script(?! src)|\sstyle=|\son[a-z]+=|\|safe", text), name
        assert not re.findall(r'(?:src|href|action)="(?!/|\{\{|\?)', text), name
    assert set(static_files()) == {"style.css", "script.js", "icon.svg"}
    assert b"url(" not in static_files()["style.css"][1]


class _Archive:
    """The part of an archive that gives it a name on the pages."""

    def __init__(self, location: str, policy: str) -> None:
        self.location = location
        self.policy = policy

    def limit_cache(self, entries: int) -> None:
        """Accept the limit."""


def test_archives_of_one_policy_have_different_names() -> None:
    """The name is the policy, otherwise the folder, otherwise the folder with the folder around it."""
    places = [("/c/hourly", "hourly"), ("/c/team/hourly", "hourly"), ("/c/copy", "hourly"), ("/c/team/daily", "daily")]
    archives: list[Any] = [_Archive(*place) for place in places]
    site = Site(lambda: (archives, []))
    names = {name: archive.location for name, archive in site.archives.items()}
    assert names == {
        "copy": "/c/copy",
        "daily": "/c/team/daily",
        "hourly@c": "/c/hourly",
        "hourly@team": "/c/team/hourly",
    }


def test_a_defect_of_a_page_is_logged_with_its_lines_but_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an exception may hold a value of an object. The page and the log name only the type."""

    def fail(*_arguments: object) -> None:
        raise ValueError("a value of an object")

    monkeypatch.setattr(archive_pages, "overview", fail)
    log: list[str] = []
    no_documents: Any = None
    application = Application(lambda: ([], []), no_documents, log.append)

    status, body = asyncio.run(_get(application, "/"))
    application.close()

    assert status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "efect of gitsnap: ValueError" in body
    assert log[0] == "a defect of gitsnap: ValueError"
    assert any(__file__ in line and " in fail" in line for line in log[1:])
    assert "a value of an object" not in body + "\n".join(log)


async def _get(application: Application, path: str) -> tuple[int, str]:
    """Send a request through ASGI; return the status and the body."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "state": {"user": ""},
    }
    await application.asgi(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()
