"""``gitsnap web`` by plain HTTP: which requests it answers, what it answers, and how it ends."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canaries import forms_of
from tests.support.commands import gitsnap
from tests.support.controllers import wait_for
from tests.support.web_servers import RunningServer, running_server

_KEY = "ConfigMap/default/database"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `gitsnap demo`."""
    folder = tmp_path_factory.mktemp("web")
    gitsnap(folder, "demo", "demo", code=0)
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningServer]:
    """A server for the archive of the demo."""
    with running_server(place, "--storage", "demo/archive") as running:
        yield running


@pytest.fixture(scope="module")
def stamps(place: Path) -> list[str]:
    """The names of the samples in addresses, oldest first."""
    done = gitsnap(place, "list", "--storage", "demo/archive", "-o", "name", code=0)
    return [tag.partition("/")[2] for tag in done.stdout.split()]


# Safety ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/hourly", "/-/style.css", "/nothing"])
def test_only_get_and_head_are_answered(server: RunningServer, method: str, path: str) -> None:
    """Every other method is refused, at every address."""
    answer = server.get(path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_of_get_and_no_body(server: RunningServer) -> None:
    """HEAD is GET without a body."""
    get, head = server.get("/hourly"), server.get("/hourly", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1", 200),
        ("[::1]:{port}", 200),
        ("localhost:9090", 200),  # another local port of `kubectl port-forward`
        ("evil.example.com", 421),
        ("evil.example.com:{port}", 421),
        ("127.0.0.1.evil.example.com", 421),
        ("localhost.evil.example.com", 421),
        ("evil.example.com@localhost", 421),
        ("127.0.0.2", 421),
        ("localhost:{port}:1", 421),
        ("localhost:99999", 421),
        ("127.1", 421),
        (" ", 421),
        ("", 400),
    ],
)
@pytest.mark.parametrize("path", ["/hourly", "/-/style.css", "/-/healthz"])
def test_only_own_host_names_are_answered(server: RunningServer, path: str, host: str, status: int) -> None:
    """DNS rebinding: a page of another site that resolves its name to the loopback address gets nothing."""
    lines = [f"GET {path} HTTP/1.1", "Connection: close"]
    lines += [f"Host: {host.format(port=server.port)}"] if host else []
    answer = server.send("\r\n".join([*lines, "", ""]).encode())
    assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer[:300]


def test_two_host_headers_are_refused(server: RunningServer) -> None:
    """A proxy and the server could use different headers."""
    answer = server.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:1"}, 200),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Origin": "http://localhost.evil.example.com"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),  # a link in a mail
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "no-cors"}, 200),
    ],
)
def test_other_sites_can_only_link(server: RunningServer, headers: dict[str, str], status: int) -> None:
    """A request that a page of another site sends by itself is refused."""
    assert server.get("/hourly", **headers).status == status


@pytest.mark.parametrize("path", ["/", "/hourly", "/nothing", "/-/style.css", "/-/no", "/?format=json", "/%ff"])
def test_every_answer_has_the_headers_of_a_careful_server(server: RunningServer, path: str) -> None:
    """A strict policy, no sniffing, no referrer, no frames, and never a cookie."""
    for method in ("GET", "POST"):
        headers = server.get(path, method).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not {"set-cookie", "server", "access-control-allow-origin"} & headers.keys()


@pytest.mark.parametrize("listen", [":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "gitsnap.example.com:0"])
def test_an_address_of_the_network_needs_an_allowed_host(place: Path, listen: str) -> None:
    """The command refuses to start, and says what to do."""
    done = gitsnap(place, "web", "--storage", "demo/archive", "--listen", listen, code=2)
    assert "has no login" in done.stderr
    assert "--allowed-host" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "8080"],
        ["--listen", "127.0.0.1:x"],
        ["--listen", "::1:8080"],
        ["--listen", "127.0.0.1:65536"],
        ["--allowed-host", "https://a.example.com"],
        ["--allowed-host", "a.example.com:80"],
        ["--allowed-host", "*"],
        ["--user-header", "X User"],
    ],
)
def test_bad_options_are_usage_errors(place: Path, words: list[str]) -> None:
    """Each message names the option."""
    done = gitsnap(place, "web", "--storage", "demo/archive", *words, code=2)
    assert words[0] in done.stderr


def test_a_port_in_use_is_an_error(place: Path) -> None:
    """The message names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = gitsnap(place, "web", "--storage", "demo/archive", "--listen", f"127.0.0.1:{port}")
    assert done.returncode != 0
    assert f"--listen 127.0.0.1:{port}" in done.stderr


def test_a_user_header_is_trusted_by_flag_only(place: Path, server: RunningServer) -> None:
    """With the flag, the name is shown and logged, once and escaped. Without the flag, the header is ignored."""
    evil = "<b>alice</b>\x1b[31m"
    assert b"alice" not in server.get("/hourly", X_Forwarded_User=evil).body
    words = ("--storage", "demo/archive", "--user-header", "X-Forwarded-User", "--allowed-host", "web.example.com")
    with running_server(place, *words) as running:
        first = running.get("/hourly", X_Forwarded_User=evil.replace("\x1b", "")).body.decode()
        assert "Signed in as &lt;b&gt;alice&lt;/b&gt;[31m" in first
        assert "Signed in" not in running.get("/hourly").body.decode()
        assert "bob" in running.get("/hourly", X_Forwarded_User="bob").body.decode()
        users = b"X-Forwarded-User: a\r\nX-Forwarded-User: b\r\n"
        twice = running.send(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n" + users + b"Connection: close\r\n\r\n")
        assert twice.startswith(b"HTTP/1.1 200")
        assert b"Signed in" not in twice
        assert running.stop() == 0
    assert any(" bob GET /hourly 200 " in line for line in running.lines)


def test_sigterm_ends_the_server_cleanly(place: Path) -> None:
    """Exit code 0 and no traceback, even if a silent connection is open."""
    with running_server(place, "--storage", "demo/archive") as running:
        silent = socket.create_connection(("127.0.0.1", running.port))
        assert running.get("/").status == 200
        assert running.stop() == 0
        silent.close()
    assert "Traceback" not in "\n".join(running.lines)


def test_silent_connections_are_closed(server: RunningServer) -> None:
    """A connection with an unfinished request ends by itself."""
    assert server.send(b"GET / HTTP/1.1\r\nHost: localh") == b""


@pytest.mark.parametrize("path", ["/hourly?q=" + "a" * 9000, "/" + "a" * 9000])
def test_long_addresses_are_refused(server: RunningServer, path: str) -> None:
    """The work for the head of a request is limited."""
    assert server.get(path).status == 414


def test_a_missing_library_is_named(place: Path, tmp_path: Path) -> None:
    """The message names the extra. Nothing else of gitsnap needs the library."""
    for name in ("starlette", "uvicorn", "jinja2"):
        blocked = tmp_path / name
        blocked.mkdir()
        (blocked / "sitecustomize.py").write_text(
            "import importlib.util\nfind = importlib.util.find_spec\n"
            f"importlib.util.find_spec = lambda name, *rest: None if name == {name!r} else find(name, *rest)\n"
        )
        done = gitsnap(place, "web", "--storage", "demo/archive", code=2, PYTHONPATH=str(blocked))
        assert name in done.stderr
        assert "pip install 'gitsnap[web]'" in done.stderr
        gitsnap(place, "list", "--storage", "demo/archive", code=0, PYTHONPATH=str(blocked))


@pytest.mark.parametrize("words", ["list", "diff", "web --help", "web --listen x"])
def test_no_other_command_loads_the_server(place: Path, words: str) -> None:
    """Starlette and uvicorn are imported when pages are served, and not before."""
    command = [sys.executable, "-X", "importtime", "-m", "gitsnap", *words.split()]
    done = subprocess.run(command, cwd=place / "demo/archive", capture_output=True, text=True, check=False)
    loaded = set(re.findall(r"^import time: .*\| *(\S+)$", done.stderr, re.MULTILINE))
    assert "gitsnap.cli.app" in loaded
    assert not loaded & {"starlette", "uvicorn", "jinja2", "gitsnap.web.server"}


# Pages and their JSON forms -------------------------------------------------------------------------------------------


def test_each_page_has_the_document_of_its_command(place: Path, server: RunningServer, stamps: list[str]) -> None:
    """The JSON form of a page is what the command prints with -o json."""
    first, last = stamps[0], stamps[-1]
    cluster = "default/capi--clusterapi-workload"
    pairs = {
        f"/hourly/sample/{first}": f"show hourly/{first} -o json",
        f"/hourly/diff/{first}/{last}": f"diff hourly/{first} hourly/{last} --raw-diff -o json",
        f"/hourly/object/{_KEY}": f"show {_KEY} -o json",
        f"/hourly/log/{_KEY}": f"log {_KEY} -o json",
        f"/hourly/blame/{_KEY}": f"blame {_KEY} -o json",
        f"/hourly/cluster/{cluster}": f"addons latest --cluster {cluster} -o json",
        "/hourly/search?q=redis": "search redis -o json",
    }
    for path, command in pairs.items():
        page = server.get(path, Accept="application/json")
        printed = gitsnap(place, *command.split(), "--storage", "demo/archive", code=0).stdout
        assert page.headers["content-type"] == "application/json", path
        assert json.loads(page.body) == json.loads(printed), path
        asked = server.get(f"{path}{'&' if '?' in path else '?'}format=json")
        assert asked.body == page.body
        assert server.get(path, Accept="text/html").headers["content-type"].startswith("text/html")

    log = json.loads(server.get(f"/hourly/cluster-log/{cluster}?format=json").body)
    printed = gitsnap(place, *f"log --cluster {cluster} -o json --storage demo/archive".split(), code=0).stdout
    assert log.pop("older") is None
    assert log == json.loads(printed)

    timeline = json.loads(server.get("/hourly?format=json").body)
    printed = gitsnap(place, *["list", "-o", "json", "--reverse", "--storage", "demo/archive"], code=0).stdout
    listed = json.loads(printed)["samples"]
    for entry in listed:
        del entry["kept"]
    assert (timeline["kind"], timeline["samples"], timeline["older"]) == ("SampleList", listed, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/hourly/nothing", 404),
        ("/hourly/sample/2001-01-01T00-00-00Z", 404),
        ("/hourly/sample", 404),
        ("/hourly/diff/latest", 404),
        ("/hourly/diff?from=latest", 400),
        ("/hourly/object/ConfigMap/default/nothing", 404),
        ("/hourly/object/ConfigMap", 404),
        ("/hourly/log/ConfigMap/default/nothing", 404),
        ("/hourly/blame/ConfigMap/default/nothing", 404),
        ("/hourly/cluster/default/capi--nothing", 404),
        ("/hourly?skip=x", 400),
        ("/hourly?until=yesterdayish", 400),
        ("/hourly?format=xml", 400),
        ("/hourly/sample/%ff", 400),
        ("/hourly/../../etc/passwd", 404),
        ("/hourly/object/..%2f..%2fetc/x/passwd", 404),
        ("/-/../style.css", 404),
        ("/-/nothing.css", 404),
    ],
)
def test_an_address_without_an_answer_says_so(server: RunningServer, path: str, status: int) -> None:
    """The error is a page with a link, or JSON."""
    page = server.get(path)
    assert page.status == status
    assert page.headers["cache-control"] == "no-store"
    if not path.startswith("/-/"):
        assert b"<h1>" in page.body
        document = server.get(path, Accept="application/json")
        if "format=" not in path:
            assert document.status == status
            assert json.loads(document.body)["kind"] == "Error"


@pytest.mark.parametrize("query", ["until=2001-01-01", "skip=400", "before={first}"])
def test_a_timeline_without_a_state_says_so(server: RunningServer, stamps: list[str], query: str) -> None:
    """No state is that old. This is an answer, as an empty list is in the JSON form."""
    path = f"/hourly?{query.format(first=stamps[0])}"
    page = server.get(path)
    assert (page.status, b"No sample is that old." in page.body) == (200, True)
    document = json.loads(server.get(path, Accept="application/json").body)
    assert (document["samples"], document["changes"], document["older"]) == ([], [], None)


def test_relative_names_lead_to_stable_addresses(server: RunningServer, stamps: list[str]) -> None:
    """An address with `latest` would change its meaning, so it redirects."""
    latest = server.get("/hourly/sample/latest")
    assert (latest.status, latest.headers["location"]) == (302, f"/hourly/sample/{stamps[-1]}")
    diff = server.get("/hourly/diff?from=latest~1&to=latest")
    assert diff.headers["location"] == f"/hourly/diff/{stamps[-2]}/{stamps[-1]}"
    assert server.get(diff.headers["location"]).status == 200


def test_a_page_is_not_sent_twice(server: RunningServer) -> None:
    """A browser that has the page gets the status 304."""
    first = server.get("/hourly")
    again = server.get("/hourly", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_new_samples_and_archives_appear(tmp_path: Path) -> None:
    """The storage is empty at first. Pages show each sample soon after the capture."""
    storage, cluster = tmp_path / "s", tmp_path / "cluster"
    storage.mkdir()
    cluster.mkdir()

    def capture(value: str) -> None:
        (cluster / "a.yaml").write_text(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: default}}\ndata: {{a: {value}}}\n"
        )
        words = ("--storage", "s", "--from-dir", "cluster", "--secrets-mode", "omit", "--resources", "ConfigMap")
        gitsnap(tmp_path, "capture", "--snapshot", "hourly", *words, code=0)

    with running_server(tmp_path, "--storage", "s") as empty:
        assert b"There is no archive yet" in empty.get("/").body
    capture("b")
    with running_server(tmp_path, "--storage", "s") as running:
        assert json.loads(running.get("/?format=json").body)["archives"][0]["samples"] == 1
        capture("c")
        wait_for(lambda: json.loads(running.get("/hourly?format=json").body)["samples"][1:], "the new sample")
        assert running.stop() == 0


def test_a_damaged_archive_is_named(place: Path, tmp_path: Path) -> None:
    """The other archives are shown."""
    storage = tmp_path / "s"
    subprocess.run(["cp", "-a", str(place / "demo/archive"), str(storage)], check=True)
    subprocess.run(["cp", "-a", str(storage / "hourly"), str(storage / "broken")], check=True)
    (storage / "broken/.git/config").write_text(
        "[gitsnap]\n\tformat = 99\n\tbranch = broken\n[core]\n\trepositoryformatversion = 0\n"
    )
    with running_server(tmp_path, "--storage", "s") as running:
        page = running.get("/").body
        assert b"format 99" in page
        assert running.get("/hourly").status == 200


@pytest.mark.parametrize("page", ["object", "log", "blame"])
def test_a_short_kind_leads_to_the_full_kind(server: RunningServer, page: str) -> None:
    """The address of an object may have any name of the kind that the command line accepts."""
    full = f"/hourly/{page}/ClusterProfile.config.projectsveltos.io/guestbook"
    for kind in ("ClusterProfile", "clusterprofiles"):
        answer = server.get(f"/hourly/{page}/{kind}/guestbook?format=json")
        assert (answer.status, answer.headers.get("location")) == (302, f"{full}?format=json")
    assert server.get(full).status == 200
    assert server.get(f"/hourly/{page}/cm/default/database").headers["location"] == f"/hourly/{page}/{_KEY}"
    for kind in ("ConfigMap", "Unknown"):
        assert server.get(f"/hourly/{page}/{kind}/default/nothing").status == 404


def test_a_deleted_secret_shows_no_value(tmp_path: Path) -> None:
    """The page of a deleted object masks its last content, even if the archive has the value in plain text."""
    (tmp_path / "s").mkdir()
    (tmp_path / "cluster").mkdir()
    canary = "canary-5d1f&<value>"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "default"}}
    content = {**secret, "stringData": {"password": canary}}
    (tmp_path / "cluster/secret.json").write_text(json.dumps(content))
    (tmp_path / "cluster/other.json").write_text(json.dumps({**secret, "kind": "ConfigMap", "data": {"a": "b"}}))
    words = ("--storage", "s", "--from-dir", "cluster", "--secrets-mode", "plaintext")
    kinds = ("--resources", "ConfigMap", "--resources", "Secret")
    for _ in range(2):
        gitsnap(tmp_path, "capture", "--snapshot", "hourly", *words, *kinds, code=0)
        (tmp_path / "cluster/secret.json").unlink(missing_ok=True)

    with running_server(tmp_path, "--storage", "s", "--quiet") as running:
        for view in ("object", "blame"):
            page = running.get(f"/hourly/{view}/Secret/default/db")
            assert (page.status, b"Last content" in page.body, b"password" in page.body) == (200, True, True)
            assert not [form for form in forms_of(canary) if form in page.body]
            document = running.get(f"/hourly/{view}/Secret/default/db?format=json")
            assert document.status == 404
            assert not [form for form in forms_of(canary) if form in document.body]


def test_a_deleted_object_with_a_long_name_is_linked_by_its_name(tmp_path: Path) -> None:
    """A path has only a part of a long name. The deleted object is read from the sample before, and its link works."""
    (tmp_path / "s").mkdir()
    (tmp_path / "cluster").mkdir()
    name = "x" * 253
    for stem, file in ((name, "long"), ("b", "other")):
        content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": stem, "namespace": "default"}}
        (tmp_path / f"cluster/{file}.json").write_text(json.dumps(content))
    words = ("--snapshot", "hourly", "--storage", "s", "--from-dir", "cluster", "--resources", "ConfigMap")
    for _ in range(2):
        gitsnap(tmp_path, "capture", *words, code=0)
        (tmp_path / "cluster/long.json").unlink(missing_ok=True)

    with running_server(tmp_path, "--storage", "s", "--quiet") as running:
        timeline = running.get("/hourly").body.decode()
        links = re.findall(r'href="(/hourly/object/ConfigMap/default/x[^"]*)"', timeline)
        assert len(links) == 2  # added, and deleted
        assert {link.partition("?")[0].rpartition("/")[2] for link in links} == {name}
        assert [running.get(link).status for link in links] == [200, 200]


@pytest.mark.parametrize(("query", "named"), [("kind=Foo", b"a kind Foo"), ("kind=cm/nothing", b"cm/nothing")])
def test_a_search_of_a_kind_that_never_was_is_an_error(server: RunningServer, query: str, named: bytes) -> None:
    """As on the command line: nothing is found only among objects that existed."""
    page = server.get(f"/hourly/search?q=no-such-value&{query}")
    assert (page.status, named in page.body, b"Nothing found" in page.body) == (404, True, False)


@pytest.mark.parametrize("query", ["field=spec.helmChart[", "field=data.databse.yaml&kind=ConfigMap"])
def test_a_search_of_a_field_that_never_was_is_the_error_of_the_command(
    place: Path, server: RunningServer, query: str
) -> None:
    """The page and the command have one rule: both name the field and propose fields."""
    words = [word for part in query.split("&") for word in ("--" + part).split("=")]
    done = gitsnap(place, "search", "no-such-value", *words, "--storage", "demo/archive", code=4)
    answer = server.get(f"/hourly/search?q=no-such-value&{query}&format=json")
    error = json.loads(answer.body)
    assert answer.status == 404
    assert f"no object ever had a field that begins with {words[1]}; searched: " in error["message"]
    assert done.stderr == f"error: {error['message']}\n{error['hint']}\n"
    page = server.get(f"/hourly/search?q=no-such-value&{query}").body.decode()
    assert f"No object ever had a field that begins with {words[1]}" in page
    assert "Nothing found" not in page


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/hourly/search?q=x&field=" + "a." * 600, 400, "The names of an object and of a field have at most 1000"),
        ("/hourly/search?q=x&kind=" + "a" * 1200, 400, "The names of an object and of a field have at most 1000"),
        ("/hourly/rollback/latest~99", 404, "latest~99 goes back beyond the first sample"),
    ],
)
def test_an_error_is_a_sentence_with_names_as_they_are_written(
    server: RunningServer, address: str, status: int, text: str
) -> None:
    """The error begins with a capital letter, except if it begins with a name. Long names are refused."""
    page = server.get(address)
    assert (page.status, f'<p class="problem">{text}' in page.body.decode()) == (status, True)


def test_a_search_says_what_it_searched(server: RunningServer) -> None:
    """Nothing was found in these fields of these objects."""
    page = server.get("/hourly/search?q=no-such-value&kind=ConfigMap&field=data")
    text = " ".join(re.sub("<[^>]+>", "", page.body.decode()).split())
    assert "Searched ConfigMap, fields that begin with data, in 5 samples and all changes since" in text
    assert "Nothing found." in text
