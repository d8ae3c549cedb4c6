"""Answers requests: finds the view of an address, runs the view in a thread, and renders its page or its JSON form."""

from __future__ import annotations

import asyncio
import hashlib
import html
import traceback
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gitsnap.core.consequences import consequence_of
from gitsnap.core.errors import GitsnapError, NotFoundError, UsageError
from gitsnap.render import as_json
from gitsnap.render.web import USER_MARK, render_page, static_files
from gitsnap.web import archive_pages, cluster_pages, object_pages, search_pages, state_pages
from gitsnap.web.answers import Asked, Page, Redirect
from gitsnap.web.documents import Documents
from gitsnap.web.guard import Log
from gitsnap.web.site import OpenArchives, Site, SiteArchive
from gitsnap.web.work import Clocked, Content, ContentCache, Lane, OverloadedError

_HTML, _JSON, _TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_CACHE_BYTES = 12 * 1024 * 1024
_FRESH_SECONDS = 1.0
"""The archives are checked for changes at most once in this time."""
_MOST_FIELDS = 10
"""The largest number of fields of a query."""
_ASSETS = "-"
"""The first segment of the addresses of files. No policy has this name."""

View = Callable[[SiteArchive, Asked], Page | Redirect]


class ViewRoute(NamedTuple):
    """A view, and whether it may take long."""

    view: View
    is_slow: bool = False


_VIEWS: Mapping[str, ViewRoute] = {
    "": ViewRoute(archive_pages.timeline),
    "sample": ViewRoute(state_pages.sample),
    "diff": ViewRoute(state_pages.diff, is_slow=True),
    "rollback": ViewRoute(state_pages.rollback, is_slow=True),
    "object": ViewRoute(object_pages.content),
    "log": ViewRoute(object_pages.log, is_slow=True),
    "blame": ViewRoute(object_pages.blame, is_slow=True),
    "clusters": ViewRoute(cluster_pages.clusters),
    "cluster": ViewRoute(cluster_pages.deployed),
    "cluster-log": ViewRoute(cluster_pages.changes, is_slow=True),
    "search": ViewRoute(search_pages.search, is_slow=True),
}
"""The second segment of an address -> the view."""


class _Target(NamedTuple):
    """The target of a request."""

    archive: str
    """``""`` for the overview."""
    page: str
    names: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    wants_json: bool


class Application:
    """The pages as an ASGI application (``asgi``)."""

    def __init__(self, open_archives: OpenArchives, documents: Documents, log: Log) -> None:
        self._documents = documents
        self._log = log
        make_site = partial(Site, open_archives)
        self._quick, self._slow = Lane("web", make_site), Lane("web-slow", make_site)
        self._cache = ContentCache(_CACHE_BYTES)
        self._version: Clocked[Hashable] = Clocked(
            lambda: asyncio.ensure_future(self._quick.run(lambda site: site.version())), _FRESH_SECONDS
        )
        self._pending: dict[Hashable, asyncio.Task[Content]] = {}
        """The answers that are being made, by version and target."""
        self.asgi: ASGIApp = Starlette(
            routes=[Route("/{path:path}", self._answer, methods=["GET"])],
        )

    def close(self) -> None:
        """Drop the requests that have not begun."""
        self._quick.close()
        self._slow.close()

    async def _answer(self, request: Request) -> Response:
        try:
            target = _parse(request)
        except GitsnapError as error:
            return _response(request, _error_content(error, wants_json=_prefers_json(request)))
        if target.archive == _ASSETS:
            return _static(request, target)
        try:
            content = await self._content(target)
        except OverloadedError:
            text = b"too many requests, or this one took too long: try again\n"
            headers = {"Retry-After": "2", "Cache-Control": "no-store"}
            return Response(text, HTTPStatus.SERVICE_UNAVAILABLE, headers, _TEXT)
        return _response(request, content)

    async def _content(self, target: _Target) -> Content:
        """Return the answer to a target: from the cache, from an equal request in progress, or a new answer."""
        try:
            version = await self._version.get()
        except GitsnapError as error:
            return _error_content(error, wants_json=target.wants_json)
        self._cache.use(version)
        if (cached := self._cache.get(target)) is not None:
            return cached
        key = version, target
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._make(target))
            task.add_done_callback(partial(self._keep, version, target))
        return await asyncio.shield(task)

    async def _make(self, target: _Target) -> Content:
        route = _VIEWS.get(target.page)
        lane = self._slow if route is not None and route.is_slow else self._quick
        return await lane.run(partial(_make_content, target=target, documents=self._documents, log=self._log))

    def _keep(self, version: Hashable, target: _Target, task: asyncio.Task[Content]) -> None:
        self._pending.pop((version, target), None)
        if not task.cancelled() and task.exception() is None:
            self._cache.put(version, target, task.result())


def _parse(request: Request) -> _Target:
    """Return the target of a request. Raises NotFoundError, UsageError."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    try:
        segments = [unquote(part, errors="strict") for part in raw.decode("ascii").removeprefix("/").split("/")]
        query = request.scope["query_string"].decode("ascii")
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise UsageError("the address is not valid: its path and query are percent-encoded UTF-8") from None
    if segments[-1] == "":
        segments.pop()
    named = dict(fields)
    form = named.pop("format", "")
    if form not in ("", "json", "html"):
        raise UsageError(f"there is no format {form}", hint="The formats are html and json.")
    wants_json = form == "json" or (not form and _prefers_json(request))
    archive, page, *names = [*segments, "", ""][:2] + segments[2:]
    return _Target(archive, page, tuple(names), tuple(sorted(named.items())), wants_json)


def _prefers_json(request: Request) -> bool:
    """Return whether the client accepts JSON but not HTML. A browser accepts HTML."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _make_content(site: Site, *, target: _Target, documents: Documents, log: Log) -> Content:
    """Return the answer of a view, or its error, as a page or as JSON. A defect is logged with its lines of code."""
    archive: SiteArchive | None = None
    try:
        if target.archive:
            archive = site.archive(target.archive)
        answer = _view(site, archive, target, Asked(target.names, dict(target.query), documents))
        if isinstance(answer, Redirect):
            location = answer.address
            if target.wants_json:
                location += f"{'&' if '?' in location else '?'}format=json"
            return Content(HTTPStatus.FOUND, _TEXT, b"", location=location)
        if target.wants_json:
            return Content(HTTPStatus.OK, _JSON, as_json(answer.document()).encode())
        warnings = archive.listed.warnings if archive is not None else []
        return _page_content(answer.template, HTTPStatus.OK, {
            "heading": answer.heading,
            "archive": archive,
            "warnings": warnings,
            "page": target.page,
            "q": "",
            **answer.values,
        })  # fmt: skip
    except GitsnapError as error:
        return _error_content(error, wants_json=target.wants_json, archive=archive)
    except Exception as error:  # noqa: BLE001 - a defect of one page must not end the server
        defect = GitsnapError(
            f"a defect of gitsnap: {type(error).__name__}",
            hint="Please report it with the address, and with the lines that the server logged.",
        )
        log(defect.message)
        for frame in traceback.extract_tb(error.__traceback__):  # without the exception's text, which may have a value
            log(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        return _error_content(defect, wants_json=target.wants_json, archive=archive)


def _view(site: Site, archive: SiteArchive | None, target: _Target, asked: Asked) -> Page | Redirect:
    if archive is None:
        return archive_pages.overview(site, asked)
    route = _VIEWS.get(target.page)
    if route is None or (target.page == "" and target.names):
        raise NotFoundError("there is no such page", hint="The navigation has the pages of the archive.")
    return route.view(archive, asked)


def _page_content(template: str, status: int, values: Mapping[str, object]) -> Content:
    """Return a rendered page, without the mark for the name of the user."""
    before, mark, after = render_page(template, values).partition(USER_MARK)
    user_at = len(before.encode()) if mark else -1
    return Content(status, _HTML, f"{before}{after}".encode(), user_at, is_cacheable=status == HTTPStatus.OK)


def _error_content(error: GitsnapError, *, wants_json: bool, archive: SiteArchive | None = None) -> Content:
    status = HTTPStatus(consequence_of(error).http_status)
    if wants_json:
        document = {"kind": "Error", "message": error.message, "hint": error.hint}
        return Content(status, _JSON, as_json(document).encode(), is_cacheable=False)
    headings = {HTTPStatus.NOT_FOUND: "Not found", HTTPStatus.BAD_REQUEST: "This address has no answer"}
    values: dict[str, object] = {
        "heading": headings.get(status, "The archive cannot be read"),
        "archive": archive,
        "warnings": [],
        "page": None,
        "q": "",
        "error": error,
    }
    return _page_content("error.html", status, values)


def _response(request: Request, content: Content) -> Response:
    """Return an answer with the name of the user, or 304 if the client already has the answer."""
    if content.location:
        return Response(b"", content.status, {"Location": content.location, "Cache-Control": "no-store"})
    body = content.body
    user = str(request.scope.get("state", {}).get("user", ""))
    if user and content.user_at >= 0:
        named = f"<p>Signed in as {html.escape(user)}</p>".encode("utf-8", "replace")
        body = body[: content.user_at] + named + body[content.user_at :]
    headers = {"Cache-Control": "private, no-cache"} if content.is_cacheable else {"Cache-Control": "no-store"}
    return _with_tag(request, body, content.status, content.media_type, headers)


def _static(request: Request, target: _Target) -> Response:
    known = static_files().get(target.page) if not target.names else None
    if target.page == "healthz" and not target.names:
        return Response(b"ok\n", HTTPStatus.OK, {"Cache-Control": "no-store"}, _TEXT)
    if known is None:
        return Response(b"there is no such file\n", HTTPStatus.NOT_FOUND, {"Cache-Control": "no-store"}, _TEXT)
    media_type, body = known
    return _with_tag(request, body, HTTPStatus.OK, media_type, {"Cache-Control": "private, no-cache"})


def _with_tag(request: Request, body: bytes, status: int, media_type: str, headers: dict[str, str]) -> Response:
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    if status == HTTPStatus.OK:
        headers = {**headers, "ETag": tag}
        if tag in request.headers.get("if-none-match", "").split(", "):
            return Response(b"", HTTPStatus.NOT_MODIFIED, headers)
    return Response(body, status, headers, media_type)
