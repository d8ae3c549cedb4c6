"""Names that an audit log gives a day later: in every answer, in plain git, at the remote, and through its URL."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from gitsnap.core.changes import Author, AuthorSource
from tests.support.commands import gitsnap
from tests.support.followed_archives import NOON, Followed
from tests.support.remotes import bare_repository, refs_of

_EDITOR = Author("kubectl-edit", AuthorSource.MANAGER)
_NOTES = "refs/notes/gitsnap-authors"


def _event(name: str, minutes: int, user: str) -> dict[str, object]:
    """The audit event of the write that ``Followed.change`` recorded at this minute."""
    time = NOON + timedelta(minutes=minutes)
    resource = {"resource": "clusterprofiles", "apiGroup": "config.projectsveltos.io", "apiVersion": "v1beta1"}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": f"{name}-{minutes}",
        "stage": "ResponseComplete",
        "requestURI": f"/apis/config.projectsveltos.io/v1beta1/clusterprofiles/{name}",
        "verb": "update",
        "user": {"username": user},
        "objectRef": {**resource, "name": name},
        "responseStatus": {"code": 200},
        "responseObject": {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": "ClusterProfile",
            "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(minutes)},
        },
        "requestReceivedTimestamp": f"{time:%Y-%m-%dT%H:%M:%S}.010000Z",
        "stageTimestamp": f"{time:%Y-%m-%dT%H:%M:%S}.020000Z",
    }


@pytest.mark.parametrize("through_url", [False, True], ids=["here", "through the URL"])
def test_a_name_from_an_exported_log_is_in_every_answer(tmp_path: Path, *, through_url: bool) -> None:
    """Each answer shows the name with its source, and the commits are those that were pushed before."""
    followed = Followed(tmp_path / "story")
    followed.sample(0, guestbook=1, other=1)
    change = followed.change(5, "guestbook", 2, author=_EDITOR)
    unnamed = followed.change(7, "other", 4, author=_EDITOR)
    followed.sample(20)
    url = f"file://{bare_repository(tmp_path / 'record.git')}"
    push = ("push", "--storage", "s", "--to", url)
    gitsnap(followed.folder, *push, code=0)
    commits = refs_of(tmp_path / "record.git")
    assert _NOTES not in commits

    log = followed.folder / "exported" / "audit.log"
    log.parent.mkdir()
    log.write_text(json.dumps(_event("guestbook", 5, "carol")) + "\n")
    done = gitsnap(followed.folder, "attribute", "--audit", "exported", "--storage", "s", code=0)
    assert "carol (audit)" in done.stdout
    gitsnap(followed.folder, *push, code=0)
    pushed = refs_of(tmp_path / "record.git")
    assert {name: commit for name, commit in pushed.items() if name != _NOTES} == commits

    place = ("--archive", url) if through_url else ("--storage", "s")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def answer(*words: str) -> str:
        return gitsnap(followed.folder, *words, *place, code=0, **cache).stdout

    for words in (
        ("log", "ClusterProfile/guestbook"),
        ("blame", "ClusterProfile/guestbook"),
        ("search", "2", "--kind", "ClusterProfile/guestbook"),
        ("list", "--changes"),
        ("report", "-o", "-"),
        ("bisect", "--good", "latest~1", "--bad", "latest", "--field", "ClusterProfile/guestbook", "spec.tier=2"),
    ):
        assert "carol (audit)" in answer(*words), words
    (first,) = json.loads(answer("blame", "ClusterProfile/guestbook", "-o", "json"))["fields"]
    assert first["author"] == {"name": "carol", "source": "audit"}
    assert json.loads(answer("show", change, "-o", "json"))["change"]["author"]["name"] == "carol"
    assert json.loads(answer("show", unnamed, "-o", "json"))["change"]["author"]["source"] == "manager"

    repository = tmp_path / "record.git" if through_url else followed.git_folder
    options = ["log", "--notes=gitsnap-authors", "--format=%H %an %N", "--max-count=2", "hourly"]
    shown = subprocess.run(["git", "-C", str(repository), *options], capture_output=True, text=True, check=True).stdout
    assert f"{change} kubectl-edit Gitsnap-Author: carol\nGitsnap-Author-Source: audit" in shown
    assert shown.startswith(f"{unnamed} kubectl-edit \n")
