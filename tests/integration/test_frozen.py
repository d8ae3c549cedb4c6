"""Archives in released formats: every later version must read them.

``tests/frozen/format-1.bundle`` is a git bundle of an archive with three samples. The last two samples have the same
configuration. The bundle was made by `gitsnap capture` and `git bundle create --all`. Only this test uses the identity
beside the bundle.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.core.model import Area, SecretsMode
from gitsnap.format import decode, fingerprint, masking
from gitsnap.history import samples as history
from gitsnap.secrets import age

_FROZEN = Path(__file__).resolve().parents[1] / "frozen"


@pytest.fixture
def frozen(tmp_path: Path) -> GitArchive:
    """A clone of the frozen archive."""
    folder = tmp_path / "hourly"
    subprocess.run(
        ["git", "clone", "-q", "-b", "hourly", str(_FROZEN / "format-1.bundle"), str(folder)],
        check=True,
        capture_output=True,
    )
    return archive.open_archive_at(folder)


def test_samples_and_objects_are_read(frozen: GitArchive) -> None:
    """Order, counts and content are as they were written."""
    samples = frozen.samples()

    assert [sample.metadata.sequence for sample in samples] == [1, 2, 3]
    assert samples[1].commit == samples[2].commit
    assert not frozen.listing()[1]
    texts = [
        history.find_object(frozen.tree(sample), "ConfigMap/default/database").document["data"] for sample in samples
    ]
    assert [text["database.yaml"].split("\n")[0] for text in texts] == ["# first", "# second", "# second"]
    assert texts[0]["odd: key"] == "yes"


def test_secrets_are_decrypted_and_match_their_fingerprints(frozen: GitArchive, tmp_path: Path) -> None:
    """The identity is enough: the archive has the encrypted fingerprint key."""
    identity = tmp_path / "identity"
    shutil.copy(_FROZEN / "format-1.identity", identity)
    identity.chmod(0o600)
    tree = frozen.tree(frozen.samples()[0])
    sealed = tree.files(Area.SEALED)
    keeper = age.open_keeper(
        tmp_path / "keys",
        mode=SecretsMode.ENCRYPT,
        recipients=tree.info.secrets.recipients,
        identities=[identity],
        expected_key=tree.info.secrets.fingerprint_key,
        wrapped_key=tree.read(sealed["_fingerprint-key.age"]),
    )
    assert keeper is not None
    masked = history.find_object(tree, "Secret/credentials").document

    values = decode(keeper.unseal(tree.read(sealed["default/Secret/credentials.yaml"])))
    restored = masking.restore_secret(masked, values, keeper.fingerprint_key)

    assert restored["data"] == {"password": "ZnJvemVuLXBhc3N3b3Jk"}
    assert fingerprint.is_fingerprint(masked["data"]["password"])
