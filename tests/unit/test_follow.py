"""Follow mode on a simulated server: which commits the events of the watches become."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.core.changes import UNKNOWN_AUTHOR
from gitsnap.core.errors import AccessDeniedError, ArchiveError
from gitsnap.core.model import ObjectKey, ResourceType
from gitsnap.core.ports import Page
from gitsnap.sveltos import kinds
from tests.support.followers import Reader, Witness, config_map, profile, secret, take_sample
from tests.support.watched_server import WatchedServer

_A, _B, _C = (ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abc")
_S = ObjectKey(kinds.SECRET, "default", "s")


@pytest.fixture
def server() -> WatchedServer:
    """A server with a profile that refers to two ConfigMaps and a Secret."""
    made = WatchedServer()
    for document in (config_map("a", "1"), config_map("b", "1"), secret("s", "1"), profile("p", [_A, _B, _S])):
        made.write(document, "setup")
    made.advance(60)
    return made


@pytest.fixture
def hourly(server: WatchedServer, tmp_path: Path) -> GitArchive:
    """An archive with a sample of the server."""
    made = archive.create_archive(tmp_path, "hourly")
    take_sample(server, made)
    return made


@pytest.fixture
def reader(server: WatchedServer, hourly: GitArchive) -> Reader:
    """A follower that has read the lists."""
    made = Reader(server, hourly)
    assert made.synchronize() == []
    return made


def _git(of: GitArchive, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", of.location, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _is_current(server: WatchedServer, of: GitArchive) -> bool:
    """Whether the newest commit has what a full capture finds."""
    return not take_sample(server, of, full=True).recorded.changed


def test_a_write_becomes_a_commit_of_its_manager(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """The commit has the moment of the write as author date, and the written version."""
    server.write(config_map("a", "2"), "kubectl-edit")
    server.advance(1)
    reader.deliver_all()
    (change,) = reader.commit()

    assert (change.author.name, change.subject) == ("kubectl-edit", "hourly: 1 ConfigMap modified")
    assert _git(hourly, "show", "-s", "--format=%at", change.commit) == str(int(server.clock.timestamp()) - 1)
    message = _git(hourly, "show", "-s", "--format=%B", change.commit)
    assert f"Gitsnap-Revision: {server.version}" in message
    assert f"Gitsnap-Object: uid-1 {server.version} ConfigMap/default/a" in message
    assert "Gitsnap-Seen" not in message
    assert _is_current(server, hourly)


def test_changes_are_due_after_the_quiet_time_and_at_the_latest_after_the_longest_time(
    server: WatchedServer, reader: Reader
) -> None:
    """Each further change postpones the commit, up to a limit."""
    start = reader.moment
    assert reader.follower.due is None
    for number in range(9):
        server.write(config_map("a", f"x{number}"))
        reader.deliver_all()
        assert reader.follower.due == min(reader.moment + 2, start + 10)
        server.advance(1.5)


def test_an_author_gets_one_commit_a_second(server: WatchedServer, reader: Reader) -> None:
    """A commit postpones the next commit, even without a quiet time."""
    server.write(config_map("a", "2"))
    reader.deliver_all()
    reader.commit()
    server.write(config_map("a", "3"))
    reader.deliver_all()
    reader.follower._pending._quiet_seconds = 0
    assert reader.follower.due == reader.moment + 1


def test_each_author_gets_a_commit_in_the_order_of_versions(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """If two authors changed one object, each commit has the object as its author left it."""
    for manager, document in (
        ("alice", config_map("a", "2")),
        ("bob", config_map("b", "2")),
        ("alice", config_map("a", "3")),
        ("bob", config_map("a", "4")),
        ("alice", config_map("a", "5")),
    ):
        server.write(document, manager)
        server.advance(1)
    reader.deliver_all()

    assert [change.author.name for change in reader.commit()] == ["bob", "alice", "bob", "alice"]
    texts = [_git(hourly, "show", f"HEAD~{n}:configuration/default/ConfigMap/a.yaml")[-3:] for n in (3, 2, 1, 0)]
    assert texts == ['"1"', '"3"', '"4"', '"5"']
    assert _is_current(server, hourly)


def test_an_event_without_a_change_makes_no_commit(server: WatchedServer, reader: Reader) -> None:
    """Status, finalizers, and objects without a reference to them make no commit."""
    server.touch(_A)
    server.write(config_map("unrelated", "1"))
    server.write(config_map("unrelated", "2"))
    reader.deliver_all()

    assert reader.follower.due is None
    assert reader.commit() == []


def test_an_event_without_a_change_keeps_the_author_of_the_change_before(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """A controller that touches the object directly afterwards does not become the author."""
    server.write(config_map("a", "2"), "alice")
    server.touch(_A)
    server.write(config_map("b", "2"), "bob")
    reader.deliver_all()

    assert [change.author.name for change in reader.commit()] == ["alice", "bob"]
    assert _is_current(server, hourly)


def test_a_reference_that_begins_brings_its_object_and_is_followed(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """An object whose reference ends leaves the configuration in the same commit."""
    server.write(config_map("c", "1"))
    server.advance(1)
    server.write(profile("p", [_A, _C]), "alice")
    reader.deliver_all()
    (change,) = reader.commit()

    actions = {(entry.action, entry.path.removeprefix("configuration/")) for entry in change.changed}
    assert actions == {
        ("modified", "_cluster/ClusterProfile.config.projectsveltos.io/p.yaml"),
        ("added", "default/ConfigMap/c.yaml"),
        ("deleted", "default/ConfigMap/b.yaml"),
        ("deleted", "default/Secret/s.yaml"),
    }
    server.advance(5)
    server.write(config_map("c", "2"), "bob")
    reader.deliver_all()
    assert [entry.author.name for entry in reader.commit()] == ["bob"]
    assert _is_current(server, hourly)


def test_a_target_of_a_reference_that_appears_is_a_change(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """Before, the reference could not be resolved."""
    server.write(profile("p", [_A, _B, _S, _C]), "alice")
    reader.deliver_all()
    reader.commit()
    server.write(config_map("c", "1"), "bob")
    reader.deliver_all()
    assert [entry.author.name for entry in reader.commit()] == ["bob"]
    assert _is_current(server, hourly)


def test_a_deletion_has_no_author(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """A deleted object does not show who deleted it."""
    server.remove(_A)
    reader.deliver_all()
    (change,) = reader.commit()
    assert (str(change.author), change.subject) == ("unknown", "hourly: 1 ConfigMap deleted")
    assert _is_current(server, hourly)


def test_a_restart_continues_at_the_newest_commit(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """Changes of the meantime have their authors and their order, and are not late."""
    server.write(config_map("a", "2"), "alice")
    reader.deliver_all()
    reader.commit()
    server.advance(1)
    server.write(config_map("a", "3"), "bob")
    server.advance(1)
    server.write(config_map("a", "4"), "carol")

    again = Reader(server, hourly)
    changes = again.catch_up()
    assert [change.author.name for change in changes] == ["bob", "carol"]
    assert "Gitsnap-Seen" not in _git(hourly, "log", "--format=%B")
    assert _is_current(server, hourly)


def test_changes_that_the_server_no_longer_tells_are_seen_late(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """After a compaction only the current state is known."""
    server.write(config_map("a", "2"), "alice")
    server.remove(_B)
    server.compact()

    again = Reader(server, hourly)
    (change,) = again.synchronize()
    message = _git(hourly, "show", "-s", "--format=%B", change.commit)
    assert (str(change.author), "Gitsnap-Seen: late" in message) == ("unknown", True)
    assert "Gitsnap-Object: uid-1 1005 ConfigMap/default/a" in message
    assert "Gitsnap-Object: - - ConfigMap/default/b" in message
    assert again.catch_up() == []
    assert _is_current(server, hourly)
    del reader


def test_a_restored_server_ends_in_the_right_tree(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """The server returns to lower versions, and assigns them again."""
    server.write(config_map("a", "2"), "alice")
    server.advance(2)
    reader.catch_up()
    server.write(config_map("b", "2"), "alice")
    reader.deliver_all()
    server.restore(server.version - 2)
    server.write(config_map("a", "other"), "bob")

    reader.synchronize(current=True)
    reader.catch_up()
    assert _is_current(server, hourly)


def test_a_sample_of_another_process_is_taken_over(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """Changes that the sample already has are not recorded again."""
    server.write(config_map("a", "2"), "alice")
    reader.deliver_all()
    take_sample(server, hourly)
    server.write(config_map("b", "2"), "bob")

    assert [change.author.name for change in reader.catch_up()] == ["bob"]
    assert _is_current(server, hourly)


def test_an_archive_without_a_sample_is_not_followed(server: WatchedServer, tmp_path: Path) -> None:
    """A change needs a configuration that it changes."""
    with pytest.raises(ArchiveError, match="the archive has no sample"):
        Reader(server, archive.create_archive(tmp_path, "hourly")).synchronize()


def test_unchanged_objects_are_not_read_again(server: WatchedServer, reader: Reader) -> None:
    """A commit sends no list to the server unless a reference begins."""
    server.requests.clear()
    server.write(config_map("a", "2"))
    server.write(profile("p", [_A, _B, _S], "x"))
    reader.deliver_all()
    assert len(reader.commit()) == 1
    assert server.requests == []


def test_secrets_are_watched_by_name_or_by_type(server: WatchedServer, reader: Reader) -> None:
    """A few Secrets are watched by name, more of them by Sveltos' type, and never all Secrets of the cluster."""
    other = {**secret("t", "1"), "type": "Opaque"}
    server.write(other)
    references = [_A, _S, ObjectKey(kinds.SECRET, "default", "t")]
    server.write(profile("p", references))
    reader.deliver_all()
    reader.commit()
    assert _selectors_of_secrets(reader) == {"metadata.name=s", "metadata.name=t"}

    more = [ObjectKey(kinds.SECRET, "default", f"more-{number}") for number in range(5)]
    for key in more:
        server.write(secret(key.name, "1"))
    server.write(profile("p", references + more))
    reader.deliver_all()
    reader.commit()
    assert _selectors_of_secrets(reader) == {"type=addons.projectsveltos.io/cluster-profile", "metadata.name=t"}


def _selectors_of_secrets(reader: Reader) -> set[str]:
    return {query.field_selector for query in reader.lists if query.resource.kind == kinds.SECRET}


def test_a_sample_of_the_same_process_counts_what_the_changes_missed(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """A watch has lost an event. The sample counts the object, and the lists are read again."""
    server.write(config_map("a", "2"), "alice")
    witness = Witness(reader)
    assert take_sample(server, hourly, follow=witness).recorded.sample.metadata.extra == (("Followed", "complete"),)
    generation = reader.follower.generation
    server.write(config_map("b", "2"), "bob")
    witness.deliver = lambda: None

    recorded = take_sample(server, hourly, follow=witness).recorded
    assert recorded.sample.metadata.extra == (("Followed", "missed 1"),)
    assert reader.follower.must_synchronize
    assert reader.catch_up() == []
    assert reader.follower.generation == generation + 1


def test_follow_mode_continues_after_a_sample_of_the_same_process(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """The lists are not read again, whether the sample made a commit or not."""
    server.write(config_map("a", "2"), "alice")
    take_sample(server, hourly, follow=Witness(reader))
    server.requests.clear()
    server.write(config_map("b", "2"), "bob")
    server.advance(1)
    reader.deliver_all()

    assert [change.author.name for change in reader.commit()] == ["bob"]
    assert server.requests == []


def test_a_kind_that_cannot_be_read_is_kept_and_named(
    server: WatchedServer, hourly: GitArchive, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that fails is not a deletion, neither in a change nor in the next sample."""
    server.write(config_map("a", "2"), "alice")
    reader.deliver_all()
    reader.commit()
    read = WatchedServer.list

    def fail(self: WatchedServer, resource: ResourceType, **named: Any) -> Iterator[Page]:
        if resource.kind == kinds.CONFIG_MAP:
            raise AccessDeniedError("forbidden")
        yield from read(self, resource, **named)

    monkeypatch.setattr(WatchedServer, "list", fail)
    result = take_sample(server, hourly, full=True)
    assert result.recorded.changed == ()
    assert result.recorded.sample.metadata.incomplete

    again = Reader(server, hourly)
    server.write(profile("p", [_A, _B, _S], "x"), "bob")
    (change,) = again.catch_up()
    assert change.subject == "hourly: 1 ClusterProfile modified"
    assert "Gitsnap-Incomplete: ConfigMap carried forbidden" in _git(hourly, "log", "-1", "--format=%B")


def test_an_object_of_a_reference_that_waits_is_not_recorded_before_its_time(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """A write after the start of the reference is a change by its own author."""
    server.write(config_map("c", "1"), "setup")
    server.advance(1)
    reader.deliver_all()
    server.write(profile("p", [_A, _B, _S, _C]), "alice")
    server.advance(1)
    server.write(config_map("c", "2"), "bob")
    server.advance(1)
    (profiles,) = (query for query in reader.lists if query.resource.kind == kinds.CLUSTER_PROFILE)
    reader.deliver(profiles, 10)
    reader.deliver_all()

    assert [change.author.name for change in (*reader.commit(), *reader.commit())] == ["alice", "bob"]
    texts = [_git(hourly, "show", f"HEAD~{n}:configuration/default/ConfigMap/c.yaml")[-3:] for n in (1, 0)]
    assert texts == ['"1"', '"2"']
    assert _is_current(server, hourly)


def test_an_object_whose_watch_is_ahead_is_named_by_the_revision(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """The profile's event arrives after a later event of a ConfigMap that the profile begins to refer to."""
    server.write(config_map("c", "1"), "setup")
    reader.deliver_all()
    server.write(profile("p", [_A, _B, _S, _C]), "alice")
    server.write(config_map("c", "2"), "bob")
    (maps,) = (query for query in reader.lists if query.resource.kind == kinds.CONFIG_MAP)
    reader.deliver(maps, 10)
    reader.deliver_all()
    (change,) = reader.commit()

    assert change.author == UNKNOWN_AUTHOR
    assert f"Gitsnap-Revision: {server.version}" in _git(hourly, "show", "-s", "--format=%B", change.commit)
    assert Reader(server, hourly).catch_up() == []


@pytest.mark.parametrize(("creator", "author"), [("alice", "unknown"), ("bob", "bob")])
def test_an_object_that_another_author_wrote_after_its_reference_began_is_not_named_after_the_reference(
    server: WatchedServer, hourly: GitArchive, reader: Reader, creator: str, author: str
) -> None:
    """Bob refers to a ConfigMap, its creator creates it, and bob writes again, all within the quiet time."""
    server.write(profile("q", [_C]), "bob")
    written = server.write(config_map("c", "1"), creator)
    server.write(profile("r", []), "bob")
    server.advance(1)
    (profiles,) = (query for query in reader.lists if query.resource.kind == kinds.CLUSTER_PROFILE)
    reader.deliver(profiles, 1)
    reader.deliver_all()
    (change,) = reader.commit()

    assert _git(hourly, "show", "-s", "--format=%an", change.commit) == author
    assert f" {written['metadata']['resourceVersion']} ConfigMap/default/c" in _git(
        hourly, "show", "-s", "--format=%B", change.commit
    )
    assert _is_current(server, hourly)


def test_an_object_whose_reference_another_author_began_is_not_named_after_a_later_change(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """Carol refers to a ConfigMap, bob creates it, and alice writes something else, all within the quiet time."""
    server.write(profile("q", [_C]), "carol")
    server.write(config_map("c", "1"), "bob")
    server.write(profile("r", []), "alice")
    server.advance(1)
    (profiles,) = (query for query in reader.lists if query.resource.kind == kinds.CLUSTER_PROFILE)
    reader.deliver(profiles, 1)
    reader.deliver_all()
    changes = reader.commit()

    path = "configuration/default/ConfigMap/c.yaml"
    assert _git(hourly, "log", "-1", "--format=%an", "--", path) in ("bob", "unknown")
    assert changes[0].author.name == "carol"
    assert _is_current(server, hourly)


def test_the_deletion_of_an_object_is_not_named_after_a_later_change(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """Carol refers to a ConfigMap, bob deletes it, and alice writes something else, all within the quiet time."""
    server.write(config_map("c", "1"), "setup")
    reader.deliver_all()
    server.advance(1)
    server.write(profile("q", [_C]), "carol")
    server.remove(_C)
    server.write(profile("r", []), "alice")
    server.advance(1)
    (profiles,) = (query for query in reader.lists if query.resource.kind == kinds.CLUSTER_PROFILE)
    reader.deliver(profiles, 1)
    reader.deliver_all()
    reader.commit()
    reader.commit()

    path = "configuration/default/ConfigMap/c.yaml"
    assert _git(hourly, "log", "--format=%an", "--", path).split() == ["unknown", "carol"]
    assert _is_current(server, hourly)


def test_an_object_that_existed_before_its_reference_is_added_by_the_author_of_the_reference(
    server: WatchedServer, hourly: GitArchive, reader: Reader
) -> None:
    """The last write of the object does not count."""
    server.write(config_map("c", "1"), "alice")
    server.write(profile("q", [_C]), "bob")
    server.write(profile("r", []), "bob")
    server.advance(1)
    reader.deliver_all()
    (change,) = reader.commit()

    assert change.author.name == "bob"
    assert (
        "ConfigMap/default/c" not in _git(hourly, "show", "-s", "--format=%B", change.commit).partition("\nGitsnap")[2]
    )


def test_events_that_a_watch_repeats_are_no_changes(server: WatchedServer, hourly: GitArchive, reader: Reader) -> None:
    """A deleted object does not come back."""
    server.write(config_map("a", "2"), "alice")
    server.remove(_A)
    server.write(config_map("b", "2"), "bob")
    reader.deliver_all()
    reader.commit()
    (maps,) = (query for query in reader.lists if query.resource.kind == kinds.CONFIG_MAP)
    reader.repeat(maps)
    for _ in range(3):
        reader.deliver(maps, 1)
        assert reader.commit() == []
    assert _is_current(server, hourly)
