"""The hint of a full disk while changes are recorded."""

from __future__ import annotations

import pytest

from gitsnap.capture.follow.storage import following_storage
from gitsnap.core.errors import ArchiveError, StorageError


def test_a_full_disk_does_not_ask_for_a_capture() -> None:
    """Follow mode continues at the newest commit, so no capture is needed. Other errors keep their hints."""
    with pytest.raises(StorageError) as failed, following_storage():
        raise StorageError("cannot write to the archive hourly: No space left on device", hint="Capture again.")

    assert failed.value.message == "cannot write to the archive hourly: No space left on device"
    assert "continues at the newest commit" in failed.value.hint
    assert "apture" not in failed.value.hint

    with pytest.raises(ArchiveError, match="Take a sample"), following_storage():
        raise ArchiveError("no change can be recorded", hint="Take a sample.")
