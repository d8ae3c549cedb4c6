"""The web pages of a real controller: archives appear, Secrets stay hidden, captures go on, and all end together."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

from tests.support.canaries import forms_of
from tests.support.controllers import ControllerProcess, Installation, wait_for

_CANARY = "canary-5d1f&<value>"


def _address(process: ControllerProcess) -> tuple[str, int]:
    """Return the address of the pages. Waits until the controller logs it."""
    start = "serving web pages at "
    wait_for(lambda: any(line["message"].startswith(start) for line in process.log), "the pages")
    text = next(line["message"] for line in process.log if line["message"].startswith(start)).removeprefix(start)
    host, _, port = text.rpartition(":")
    return host, int(port)


def _get(process: ControllerProcess, path: str) -> tuple[int, bytes]:
    host, port = _address(process)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _archives(process: ControllerProcess) -> dict[str, int]:
    """Return the number of samples of each archive that the pages show."""
    document = json.loads(_get(process, "/?format=json")[1])
    return {entry["policy"]: entry["samples"] for entry in document.get("archives", [])}


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_the_controller_shows_its_archives(installed: Installation, end: str) -> None:
    """Archives of the storage and of folders inside it are shown. Captures go on. The pages end with the process."""
    secret = {"metadata": {"name": "db", "namespace": "default"}, "stringData": {"password": _CANARY}}
    installed.api.ask("POST", "/api/v1/namespaces/default/secrets", secret)
    inside = installed.storage / "team"
    inside.mkdir()
    resources = [{"kind": "Secret", "namespaces": ["default"]}]
    installed.snapshot("often", {"schedule": "@every 2s", "secrets": {"mode": "plaintext"}, "resources": resources})
    installed.snapshot("nested", {"schedule": "@every 2s", "storage": str(inside)})
    process = installed.start(flags=["--web-listen", "127.0.0.1:0", "--allow-plaintext", "--allow-secret-resources"])

    assert _get(process, "/-/healthz")[0] == 200
    wait_for(lambda: {"often", "nested"} <= {n for n, count in _archives(process).items() if count >= 2}, "archives",
             seconds=120)  # fmt: skip
    seen = _archives(process)
    pages = ["/often", "/often/sample/latest", "/often/diff/latest~1/latest", "/often/search?q=canary"]
    pages += [f"/often/{view}/Secret/default/db" for view in ("object", "log", "blame")]
    for path in pages:
        status, body = _get(process, path)
        assert status == 200, path
        assert not [form for form in forms_of(_CANARY) if form in body], path
    wait_for(lambda: _archives(process)["often"] > seen["often"], "another sample")
    assert installed.condition("often", "Ready")[0] == "True"
    assert any(line["message"].startswith("web: 127.0.0.1 - GET /often ") for line in process.log)

    host, port = _address(process)
    if end == "terminate":
        assert process.terminate() == 0
    else:
        process.kill()
    wait_for(lambda: _refuses(host, port), "the end of the pages")


def _refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False
