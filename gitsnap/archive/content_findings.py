"""Findings about the contents of samples: unreadable contents, and contents that differ from the tag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.completeness import is_partial
from gitsnap.archive.content_digest import ContentDigests
from gitsnap.archive.findings import MOST_NAMED, Finding
from gitsnap.archive.reader import GitTree
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, Sample
from gitsnap.core.text import join_names, plural
from gitsnap.format import TREE_INFO_FILE

_Content = tuple[str, int] | str
"""The digest and the number of objects; a text for a sample that cannot be read."""


def check_contents(
    repository: pygit2.Repository,
    branch: str,
    samples: Sequence[Sample],
    trees: Mapping[str, str],
    progress: Callable[[str, int], None],
) -> Iterator[Finding]:
    """Find samples that cannot be read, or do not have the digest and the number of objects that their tags record.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        samples: The samples to check.
        trees: Id of a commit -> id of its root tree, for the commits that were read before. Others are read.
        progress: Is called with the step and the number of each sample.
    """
    contents = _Contents(repository, trees)
    may_lack_contents = is_partial(repository)
    known: dict[str, _Content] = {}  # samples of one commit are read once
    unread = 0
    for number, sample in enumerate(samples, start=1):
        progress("samples", number)
        if sample.commit not in known:
            known[sample.commit] = contents.read(sample)
        content = known[sample.commit]
        if isinstance(content, str) and may_lack_contents:
            unread += 1
        elif isinstance(content, str):
            yield Finding(True, sample.tag, content)
        elif content != (sample.metadata.content_sha256, sample.metadata.objects):
            yield Finding(True, sample.tag, "its content differs from its tag (Content-SHA256, Objects)")
    if unread:
        message = f"{plural(unread, 'sample')} could not be read back, since contents were not fetched"
        yield Finding(False, branch, message, unchecked=True)


class _Contents:
    """Reads the contents of samples, one after the other."""

    def __init__(self, repository: pygit2.Repository, trees: Mapping[str, str]) -> None:
        self._repository = repository
        self._trees = trees
        self._digests = ContentDigests(repository)
        self._policies: dict[BlobId, str] = {}
        """Id of a file ``gitsnap.yaml`` -> policy that the file names."""

    def read(self, sample: Sample) -> _Content:
        """The content of a sample."""
        try:
            tree = self._trees.get(sample.commit) or read_commit(self._repository, sample.commit).tree
            root = self._digests.read_root(tree)
            policy = self._policy(sample, root.get(TREE_INFO_FILE))
            if policy != sample.metadata.policy:
                return f"its commit belongs to the policy {policy}"
            if not root.get(Area.CONFIGURATION, ("", True))[1]:
                GitTree(self._repository, sample.commit).files(Area.CONFIGURATION)  # raises ArchiveError
            contents = self._digests.digest(tree)
            if contents.irregular:
                listed = join_names(sorted(contents.irregular), most=MOST_NAMED)
                return f"its tree has entries that are neither ordinary files nor folders: {listed}"
            return contents.digest, contents.files.get(Area.CONFIGURATION, 0)
        except ArchiveError as error:
            return error.message

    def _policy(self, sample: Sample, entry: tuple[str, bool] | None) -> str:
        """The policy that ``gitsnap.yaml`` names. Successive samples share the file, which is parsed once."""
        blob = BlobId(entry[0]) if entry is not None else BlobId("")
        if blob not in self._policies:
            policy = GitTree(self._repository, sample.commit).info.policy  # raises ArchiveError without a file
            self._policies[blob] = policy
        return self._policies[blob]
