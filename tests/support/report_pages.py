"""Periods in memory, and pages of reports read back as elements, for the tests of reports.

This module must not be imported by the package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser

from gitsnap.core.changes import Change
from gitsnap.core.model import CommitId, IncompleteKind, Sample, SampleMetadata, Trigger
from gitsnap.core.ports import Tree
from gitsnap.core.states import State
from gitsnap.format import tag_name
from tests.support.samples import NOON, sample
from tests.support.trees import MemoryTree

VOID = frozenset({"br", "input", "meta"})
"""The elements of a report that have no end tag."""


def sample_of(
    number: int,
    *,
    commit: int | None = None,
    minutes: int | None = None,
    sequence: int | None = None,
    message: str = "",
    trigger: Trigger = Trigger.SCHEDULE,
    incomplete: Sequence[IncompleteKind] = (),
) -> Sample:
    """Return the sample with a number. By default it has its own commit, and is 20 minutes after the sample before."""
    base = sample(number, NOON + timedelta(minutes=20 * number if minutes is None else minutes), trigger)
    metadata: SampleMetadata = replace(
        base.metadata,
        sequence=number if sequence is None else sequence,
        message=message,
        incomplete=tuple(incomplete),
    )
    name = tag_name("hourly", metadata.time, 1)
    return Sample(name, base.tag_id, CommitId(f"{number if commit is None else commit:040x}"), metadata)


@dataclass
class MemoryPeriod:
    """An archive in memory, as ``read_timeline`` reads it."""

    entries: list[tuple[Sample, MemoryTree]] = field(default_factory=list)
    manager: str = ""
    """The field manager of every object."""
    between: dict[str, list[Change]] = field(default_factory=dict)
    """Tag of a sample -> the changes after the sample."""

    def add(self, tree: MemoryTree, **arguments: object) -> Sample:
        """Add a sample with a tree."""
        new = sample_of(len(self.entries) + 1, **arguments)  # type: ignore[arg-type]
        self.entries.append((new, tree))
        return new

    def samples(self) -> Sequence[Sample]:
        """Return all samples, oldest first."""
        return [entry for entry, _ in self.entries]

    def changes(self, after: Sample | None, _until: Sample | None, _unreadable: object, /) -> list[Change]:
        """Return the changes after a sample."""
        return self.between.get(after.tag, []) if after else []

    def changes_named(self, prefix: str) -> list[Change]:
        """No change is asked for by its name."""
        raise AssertionError(prefix)

    def sample_before(self, change: Change) -> Sample | None:
        """No change is asked for by its name."""
        raise AssertionError(change)

    def author_notes(self) -> Mapping[CommitId, str]:
        """There are no notes."""
        return {}

    def tree(self, state: State) -> Tree:
        """Return the tree of a sample. A change has the tree of the newest sample."""
        return next((tree for entry, tree in self.entries if entry == state), self.entries[-1][1])

    def managers(self, commit: CommitId) -> Mapping[str, str]:
        """Return the same manager for each path of a commit."""
        tree = next(tree for entry, tree in self.entries if entry.commit == commit)
        return {f"{area}/{path}": self.manager for area, files in tree.areas.items() for path in files if self.manager}


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The classes of the element."""
        return self.attributes.get("class", "").split()

    def walk(self) -> Iterator[Element]:
        """Yield the element and all elements below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, name: str) -> list[Element]:
        """Return the elements below with a tag (``ul``), a class (``.rows``) or an id (``#changes``)."""
        return [element for element in self.walk() if element is not self and element._is(name)]

    def one(self, name: str) -> Element:
        """Return the only element below with a tag, a class or an id."""
        found = self.all(name)
        assert len(found) == 1, f"{name}: {len(found)}"
        return found[0]

    def _is(self, name: str) -> bool:
        if name.startswith("."):
            return name[1:] in self.classes
        return self.attributes.get("id") == name[1:] if name.startswith("#") else self.tag == name

    @property
    def text(self) -> str:
        """The text of the element, without spaces at its ends."""
        return "".join(child if isinstance(child, str) else child.raw_text for child in self.children).strip()

    @property
    def raw_text(self) -> str:
        """The text of the element."""
        return "".join(child if isinstance(child, str) else child.raw_text for child in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def close(self) -> None:
        super().close()
        assert self._open == [self.root]


def read_page(page: str) -> Element:
    """Return the root of a page. Fails for a page whose tags are not balanced."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.root


@dataclass(frozen=True)
class PageChange:
    """A change as the page shows it."""

    managed: Counter[tuple[str, ...]]
    """Action, name of the object, clusters, note."""
    management: Counter[tuple[str, ...]]
    """Action, name of the object, author, note."""
    diffs: dict[str, list[str]]
    """Title -> lines."""


def page_changes(root: Element) -> dict[str, PageChange]:
    """Return the changes of a page by the last part of their tags, in the order of the page."""
    return {
        article.attributes["id"].removeprefix("c-"): PageChange(
            Counter(_rows(article, "Managed clusters")),
            Counter(_rows(article, "Management cluster")),
            dict(_diffs(article)),
        )
        for article in root.one("#changes").all("article")
    }


def _rows(article: Element, heading: str) -> Iterator[tuple[str, ...]]:
    current = ""
    for child in article.children:
        if isinstance(child, Element) and child.tag == "h5":
            current = child.text
        elif isinstance(child, Element) and "rows" in child.classes and current == heading:
            for row in child.all(".row"):
                details = row.all(".detail")
                yield (
                    row.one(".action").text,
                    row.one(".what").text,
                    row.one(".where").text,
                    details[0].text if details else "",
                )


def _diffs(article: Element) -> Iterator[tuple[str, list[str]]]:
    for details in article.all(".diffs"):
        titles, bodies = details.all("h5"), details.all("pre")
        for title, body in zip(titles, bodies, strict=True):
            yield title.text, body.raw_text.removesuffix("\n").split("\n")
