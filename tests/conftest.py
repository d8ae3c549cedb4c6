"""The environment of every test: no home directory, git configuration or kubeconfig of the user who runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gitsnap", deadline=None)  # a slow machine is no failure
settings.load_profile("gitsnap")

pytest_plugins = ["tests.testbed.fixtures"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Isolate the test from the files and settings of the user."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITSNAP_", "KUBECONFIG", "XDG_", "KUBERNETES_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(home / "no-kubeconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Give each test the umask of most systems. A test that calls ``cli.main`` sets the umask of its process to 077."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published CRDs, examples and recordings. Tests that need the folder skip if it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no folder of published CRDs and recordings beside this checkout")
    return SHARED
