"""Fixtures of the integration tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import charts
from tests.support.controllers import Installation
from tests.testbed.apiserver import ApiServer


@pytest.fixture
def installed(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """The base of the manifests, and one ClusterProfile to capture."""
    installation = Installation(api, tmp_path)
    installation.apply()
    installation.profile("guestbook", tier=100)
    yield installation
    installation.remove()


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm, which is built from its Go modules."""
    return charts.find_helm()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make SIGINT effective in child processes, even if the tests run in the background of a shell.

    A background shell ignores SIGINT, and children inherit ignored signals. They do not inherit handlers.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
