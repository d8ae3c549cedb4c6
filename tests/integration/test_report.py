"""`gitsnap report`: the file it writes, its options, its exit codes, and the same bytes each time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitsnap import __version__
from tests.support.commands import gitsnap
from tests.support.report_pages import Element, page_changes, read_page

_ROOT = Path(__file__).resolve().parents[2]
_BUNDLE = _ROOT / "tests" / "frozen" / "format-1.bundle"
_GOLDEN = _ROOT / "tests" / "golden" / "report.html"


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A folder with a clone of an archive that never changes."""
    command = ["git", "clone", "-q", "-b", "hourly", str(_BUNDLE), str(tmp_path / "hourly")]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `gitsnap demo`: five samples, of which two belong to a rollback."""
    folder = tmp_path_factory.mktemp("story")
    gitsnap(folder, "demo", "demo", code=0)
    return folder / "demo"


def _page(folder: Path, *words: str, code: int = 0) -> Element:
    done = gitsnap(folder, "report", "--storage", "archive", "-o", "report.html", *words, code=code)
    assert done.stdout == ""
    return read_page((folder / "report.html").read_text())


def _without_assets(page: str) -> str:
    """Return the body of a page without the script, and without the version of gitsnap."""
    body = page[page.index("<body>") :].replace(f"gitsnap {__version__} ", "gitsnap VERSION ")
    return re.sub(r"<script>.*</script>", "<script>…</script>", body, flags=re.DOTALL)


def test_the_page_of_a_small_archive(frozen: Path) -> None:
    """The whole page. After an intended change: WRITE_GOLDEN=1 writes tests/golden/report.html again."""
    gitsnap(frozen, "report", "--archive", "hourly", "-o", "report.html", code=0)

    body = _without_assets((frozen / "report.html").read_text())
    if os.environ.get("WRITE_GOLDEN"):
        _GOLDEN.write_text(body)
    assert body == _GOLDEN.read_text()


def test_the_same_archive_gives_the_same_bytes(frozen: Path) -> None:
    """Not the time, the time zone, the order of sets, the locale, the folder or the kind of copy are in the page."""
    done = gitsnap(frozen, "report", "--archive", "hourly", "-o", "a.html", code=0)
    assert done.stderr.startswith("a.html: 1 change in hourly, 3 samples, ")
    clone = ["git", "clone", "-q", "--bare", "hourly", "other/copy.git"]
    subprocess.run(clone, cwd=frozen, check=True, capture_output=True)

    gitsnap(frozen, "report", "--archive", "hourly", "-o", "b.html", TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    gitsnap(frozen, "report", "--archive", "other/copy.git", "-o", "c.html")
    stdout = gitsnap(frozen, "report", "--archive", "hourly", "-o", "-", PYTHONHASHSEED="8").stdout

    pages = [(frozen / name).read_text() for name in ("a.html", "b.html", "c.html")]
    assert pages == [stdout] * 3


def test_a_file_that_exists_is_replaced_and_keeps_its_mode(frozen: Path) -> None:
    """A new report can be read by its owner only. A mode that somebody gave it is kept."""
    target = frozen / "report.html"
    target.write_text("old")
    target.chmod(0o644)

    gitsnap(frozen, "report", "--archive", "hourly", "-o", "report.html", code=0)
    gitsnap(frozen, "report", "--archive", "hourly", "-o", "new.html", code=0)

    assert target.read_text().startswith("<!doctype html>")
    assert (target.stat().st_mode & 0o777, (frozen / "new.html").stat().st_mode & 0o777) == (0o644, 0o600)
    missing = gitsnap(frozen, "report", "--archive", "hourly", "-o", "no/such/folder.html", code=6)
    assert "cannot write no/such/folder.html" in missing.stderr


def test_the_story_has_its_changes_and_its_rollback(story: Path) -> None:
    """Rows, lines, the command of the rollback, and neither password."""
    root = _page(story)

    changes = list(page_changes(root).values())
    assert [sorted(row[1] for row in change.management) for change in changes] == [
        [],
        ["ConfigMap default/database", "Secret default/db-credentials"],
        ["ConfigMap default/database", "Secret default/db-credentials"],
    ]
    assert "+    app: redis" in changes[1].diffs["/Service test/redis-follower"]
    rollback = root.one("#rollbacks").one("article").text
    assert "rollback: done" in rollback
    assert "gitsnap rollback --sample hourly/" in rollback
    assert [item.one(".name").text for item in root.one("#clusters").all("li")] == ["default/capi--clusterapi-workload"]


def test_a_scope_selects_changes(story: Path) -> None:
    """A cluster, a profile, an object; a name that the archive never had is an error that proposes another."""
    for words, managed, management in (
        (["--cluster", "clusterapi-workload"], 3, 2),
        (["--profile", "guestbook"], 3, 2),
        (["--object", "cm/default/database"], 0, 2),
        (["--object", "Secret/default/db-credentials", "--object", "ClusterProfile/guestbook"], 0, 2),
        (["--object", "ClusterProfile/guestbook"], 0, 0),
    ):
        root = _page(story, *words)
        changes = page_changes(root).values()
        assert (sum(map(bool, (change.managed for change in changes))), words) == (managed, words)
        assert (sum(map(bool, (change.management for change in changes))), words) == (management, words)
        assert len(root.one(".scope").all(".chip")) == len(words) // 2

    for words, text in (
        (["--cluster", "clusterapi-work"], "clusterapi-workload"),
        (["--profile", "guestbok"], "guestbook"),
        (["--object", "cm/default/databse"], "database"),
    ):
        failed = gitsnap(story, "report", "--storage", "archive", "-o", "other.html", *words, code=4)
        assert text in failed.stderr
    assert not (story / "other.html").exists()


def test_a_scope_selects_rollbacks(story: Path) -> None:
    """The rollback wrote the Secret and the database; it neither wrote nor changed the profile."""
    for words, count in (
        (["--object", "cm/default/database"], 1),
        (["--cluster", "clusterapi-workload"], 1),
        (["--object", "ClusterProfile/guestbook"], 0),
    ):
        root = _page(story, *words)
        assert (len(root.one("#rollbacks").all("article")), words) == (count, words)
        left_out = "1 rollback that wrote and changed nothing in this scope." in root.one("#left-out").text
        assert left_out is (count == 0)
        assert "of the whole archive" in root.one("#activity").text


def test_a_kind_without_a_name_is_no_object(story: Path) -> None:
    """`--object` names an object, as its help says."""
    failed = gitsnap(story, "report", "--storage", "archive", "-o", "other.html", "--object", "cm", code=3)
    assert "KIND/[NS/]NAME" in failed.stderr


def test_a_period_selects_samples(story: Path) -> None:
    """A period before the archive has no sample, and the page says so."""
    root = _page(story, "--until", "2020-01-01")

    assert page_changes(root) == {}
    assert "The period has no sample, so nothing is known about it." in root.one("#changes").text
    assert (
        page_changes(_page(story, "--since", "2020-01-01", "--until", "now")).keys()
        == page_changes(_page(story)).keys()
    )


def _cut_chain(folder: Path) -> None:
    """Delete the tag of a sample in the middle, and its record with it."""
    tags = subprocess.run(["git", "tag"], cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["git", "tag", "-d", sorted(tags)[1]], cwd=folder, check=True, capture_output=True)


def _damage(folder: Path) -> None:
    """Overwrite a blob of the last commit."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD:configuration/default/ConfigMap/database.yaml"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    name = done.stdout.strip()
    for pack in (folder / ".git" / "objects" / "pack").glob("*.pack"):
        with pack.open("rb") as file:
            content = file.read()
        for old in (folder / ".git" / "objects" / "pack").iterdir():
            old.unlink()
        subprocess.run(["git", "unpack-objects", "-q"], cwd=folder, input=content, check=True)
    loose = folder / ".git" / "objects" / name[:2] / name[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"damaged")


@pytest.mark.parametrize(
    ("damage", "words", "text"),
    [
        (_cut_chain, (), "1 sample is missing"),
        (_damage, (), "was not compared"),
        (_damage, ("--verify",), "error"),
    ],
)
def test_damage_is_an_error_in_the_page_and_in_the_exit_code(
    frozen: Path, damage: Callable[[Path], None], words: tuple[str, ...], text: str
) -> None:
    """The page is written, says what is wrong, and is not said to be intact."""
    damage(frozen / "hourly")

    done = gitsnap(frozen, "report", "--archive", "hourly", "-o", "report.html", *words, code=5)

    root = read_page((frozen / "report.html").read_text())
    assert text in done.stderr
    assert "bad" in root.all(".verdict")[0].classes
    assert bool(root.one("#proof").all(".findings")) == (damage is _cut_chain or bool(words))


def test_an_archive_without_samples_is_an_error(tmp_path: Path) -> None:
    """There is nothing to report, and no page that says so."""
    (tmp_path / "hourly").mkdir()
    failed = gitsnap(tmp_path, "report", "--archive", "hourly", "-o", "report.html")
    assert failed.returncode != 0
    assert not (tmp_path / "report.html").exists()


def test_a_missing_template_engine_is_named(frozen: Path) -> None:
    """Jinja2 is an extra: the message says how to install it."""
    blocked = frozen / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys\nsys.modules['jinja2'] = None\n")

    failed = gitsnap(
        frozen, "report", "--archive", "hourly", "-o", "report.html", code=2, PYTHONPATH=f"{blocked}:{_ROOT}"
    )

    assert "a report needs Jinja2, which is not installed" in failed.stderr
    assert "pip install 'gitsnap[report]'" in failed.stderr
