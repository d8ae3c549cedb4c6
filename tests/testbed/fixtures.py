"""The API server as pytest fixtures: one server per test process, which every test leaves empty.

Most tests use ``api``: a server with the kinds of Sveltos, cleaned after the test.
This module must not build programs except in CI, where a missing server is a failure.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitsnap.cluster.known_kinds import preferred_version
from gitsnap.sveltos.kinds import BY_KIND, KINDS
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import OLD_ERA, definitions

SHARED = Path(__file__).resolve().parents[3] / "shared"
_CI = os.environ.get("CI") == "true"
_OWN_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running API server without custom resources. Skips if there are no binaries, fails with CI=true."""
    with apiserver.running(find_binaries(), tmp_path_factory.mktemp("api-server")) as server:
        yield server


def find_binaries() -> Path:
    """The folder of the binaries. Skips if there are none, fails with CI=true."""
    try:
        folder = binaries.obtain() if _CI else binaries.find()
    except binaries.MissingError as error:
        pytest.fail(str(error), pytrace=False)
    if folder is None:
        pytest.skip(binaries.HOW_TO_GET_THEM)
    return folder


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A second server with the definitions of an old Sveltos. Skips if the definitions are not available."""
    if not SHARED.is_dir():
        pytest.skip("the published definitions are not here")
    with apiserver.running(find_binaries(), tmp_path_factory.mktemp("old-api-server")) as server:
        server.install(definitions(SHARED, OLD_ERA))
        yield server


@pytest.fixture
def old_api(old_server: ApiServer) -> Iterator[ApiServer]:
    """The server of the old era, cleaned after the test."""
    yield old_server
    clean(old_server)


@pytest.fixture(scope="session")
def sveltos_api(api_server: ApiServer) -> ApiServer:
    """The server with all kinds of Sveltos, Cluster API's Cluster and the Flux sources."""
    api_server.install(definitions(SHARED if SHARED.is_dir() else None))
    return api_server


@pytest.fixture
def api(sveltos_api: ApiServer) -> Iterator[ApiServer]:
    """The server with the kinds of Sveltos and without objects of them, before and after the test."""
    yield sveltos_api
    clean(sveltos_api)


@pytest.fixture
def new_namespace(api: ApiServer) -> Callable[[], str]:
    """A function that creates a namespace and returns its name."""

    def create() -> str:
        name = f"test-{next(_numbers)}"
        api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    return create


def clean(server: ApiServer) -> None:
    """Delete everything that a test may create: objects of gitsnap's kinds, ConfigMaps, Secrets and namespaces."""
    for path in _collections(server):
        objects = server.ask("GET", path)["items"]
        places = {document["metadata"].get("namespace", "") for document in objects} - {"kube-system"}
        for document in objects:
            if document["metadata"].get("finalizers"):
                server.ask(
                    "PATCH",
                    _collection_in(path, document["metadata"].get("namespace", ""))
                    + f"/{document['metadata']['name']}",
                    {"metadata": {"finalizers": None}},
                    content_type="application/merge-patch+json",
                )
        for namespace in sorted(places):
            server.ask("DELETE", _collection_in(path, namespace))
    for document in server.ask("GET", "/api/v1/namespaces")["items"]:
        name = document["metadata"]["name"]
        if name not in _OWN_NAMESPACES:
            server.ask("DELETE", f"/api/v1/namespaces/{name}")
            # No controller manager runs here, so the test finishes the deletion.
            document["spec"]["finalizers"] = []
            del document["metadata"]["resourceVersion"]
            server.ask("PUT", f"/api/v1/namespaces/{name}/finalize", document)


def _collections(server: ApiServer) -> Iterator[str]:
    yield "/api/v1/configmaps"
    yield "/api/v1/secrets"
    served = {
        (group["name"], version["version"])
        for group in server.ask("GET", "/apis")["groups"]
        for version in group["versions"]
    }
    for row in KINDS:
        offered = [version for group, version in served if group == row.kind.group]
        version = preferred_version(row.kind, offered, BY_KIND)
        if row.kind.group and version is not None:
            yield f"/apis/{row.kind.group}/{version}/{row.plural}"


def _collection_in(path: str, namespace: str) -> str:
    """Return the path of the collection in one namespace, from the path over all namespaces."""
    root, _, plural = path.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else path
