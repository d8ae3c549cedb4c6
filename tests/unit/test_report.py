"""The page of a report: hostile text, bounds, what it says where there is nothing, and the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gitsnap.core.escapes import unsafe_character
from gitsnap.core.model import ChangeCounts, Kind, ObjectKey
from gitsnap.history.moments import Period
from gitsnap.history.timeline import Activity, FollowCheck, Gap, OlderChanges, Scope, Timeline
from gitsnap.render.report import ArchiveProof, Report, render_report
from gitsnap.render.report.environment import MOST_CHARACTERS
from gitsnap.render.report.page import ALL_LINKS, MOST_ENTRIES, MOST_LINES
from tests.support.hostile_reports import HOSTILE, ReportFinding, report_of, skeleton
from tests.support.report_pages import read_page, sample_of


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_no_text_becomes_an_element_or_an_attribute(text: str) -> None:
    """The page has the elements of a page with harmless text, and no character that is invisible or turns the text."""
    page = render_report(report_of(text))

    page.encode()
    assert skeleton(read_page(page)) == skeleton(read_page(render_report(report_of("x"))))
    assert not unsafe_character().search(page.replace("\n", ""))
    assert len(page) < 600_000


@pytest.mark.parametrize("text", HOSTILE[:9], ids=lambda text: ascii(text[:24]))
def test_hostile_text_is_shown_as_it_is(text: str) -> None:
    """Nothing is removed: a reader sees the text, in each place."""
    root = read_page(render_report(report_of(text)))

    assert root.one("h1").text == text
    assert all(body.text.count(text) == 4 for body in root.all("pre"))
    assert [quote.text for quote in root.all("blockquote")] == [text, text]


def test_only_the_texts_of_the_page_are_in_attributes() -> None:
    """An address leads into the page: no text of an archive is in the attribute of an element."""
    names = {
        name
        for element in read_page(render_report(report_of("MARK"))).walk()
        for name, value in element.attributes.items()
        if "MARK" in value
    }

    assert names == {"content"}  # the version of gitsnap, in <meta name="generator">
    for element in read_page(render_report(report_of("x"))).walk():
        assert not set(element.attributes) & {"src", "srcset", "style", "action", "onclick", "ping", "data"}
        assert element.attributes.get("href", "#").startswith("#")


def test_each_link_leads_to_an_element() -> None:
    """Each address names an id of the page, and each id exists once."""
    elements = list(read_page(render_report(report_of("x"))).walk())
    ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
    references = {element.attributes["href"][1:] for element in elements if "href" in element.attributes}
    references |= {
        element.attributes["aria-labelledby"] for element in elements if "aria-labelledby" in element.attributes
    }

    assert len(ids) == len(set(ids))
    assert references <= set(ids)


def test_the_policy_of_the_page_permits_its_own_script_and_style_only() -> None:
    """The policy has the digests of the script and the style, and the first source of everything else is none."""
    root = read_page(render_report(report_of("x")))
    policy = next(
        element.attributes["content"]
        for element in root.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digests = {
        tag: base64.b64encode(hashlib.sha256(root.one(tag).raw_text.encode()).digest()).decode()
        for tag in ("script", "style")
    }
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digests['style']}'",
        f"script-src 'sha256-{digests['script']}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_a_cut_value_says_how_much_is_missing() -> None:
    """Every long value is cut, and each cut names the number of characters."""
    root = read_page(render_report(report_of("a" * (MOST_CHARACTERS + 5))))

    assert root.one("h1").text == "a" * MOST_CHARACTERS + " … (5 more characters)"


def test_a_reason_of_many_lines_is_cut() -> None:
    """The lines are shown as lines, and the others are counted."""
    root = read_page(render_report(report_of("\n".join(["why"] * (MOST_LINES + 3)))))

    assert root.all("blockquote")[0].text == "why" * MOST_LINES
    assert "3 further lines of the reason left out." in root.text


def test_many_clusters_share_the_links() -> None:
    """A page of 400 clusters and 300 changes stays small; what is left out is counted."""
    clusters = tuple(f"default/sveltos--c{number:04}" for number in range(MOST_ENTRIES + 100))
    change = replace(report_of("x").timeline.changes[0], clusters=clusters)
    timeline = replace(report_of("x").timeline, changes=(change,) * 300)

    page = render_report(replace(report_of("x"), timeline=timeline))

    section = read_page(page).one("#clusters")
    assert len(section.all("li")) == MOST_ENTRIES
    assert len(section.all("a")) <= ALL_LINKS
    assert "100 further managed clusters left out." in section.text
    assert section.all("li")[0].one(".more").text == "and 297 earlier"


def _sections(report: Report) -> dict[str, str]:
    root = read_page(render_report(report))
    return {section.attributes["id"]: section.text for section in root.all("section")}


def _empty(timeline: Timeline, *findings: ReportFinding) -> Report:
    return Report("hourly", timeline, "1 sample", (), ArchiveProof(1, findings), "1.0")


def test_a_period_without_samples_says_nothing_about_changes() -> None:
    """No section says that nothing changed, or that everything is complete."""
    sections = _sections(_empty(Timeline(Period(), Scope())))

    assert "nothing is known about it" in sections["changes"]
    for name in ("clusters", "profiles", "gaps", "rollbacks"):
        assert "The period has no sample." in sections[name]
    denial = re.compile(r"Nothing changed|No profile|complete\.|No rollback")
    assert not [text for text in sections.values() if denial.search(text)]


def test_a_period_without_changes_says_what_was_compared() -> None:
    """Nothing changed is said with the number of samples, and not about samples that were not compared."""
    first, last = sample_of(1), sample_of(2)
    timeline = Timeline(Period(), Scope(), first=first, last=last, samples=2)

    assert (
        "Nothing changed: the 2 samples of the period have the same configuration."
        in _sections(_empty(timeline))["changes"]
    )
    limited = replace(timeline, older=OlderChanges(first, last, 2, ChangeCounts()))
    assert "Nothing changed" not in _sections(_empty(limited))["changes"]
    partly = replace(timeline, incomplete_samples=1)
    assert "as far as it could be read" in _sections(_empty(partly))["changes"]
    scoped = replace(timeline, scope=Scope(clusters=("a",)))
    assert "Nothing changed in this scope" in _sections(_empty(scoped))["changes"]


def test_the_activity_says_both_counts() -> None:
    """Samples with changes, and changes that follow mode recorded; without such changes, only the samples."""
    first, last = sample_of(1), sample_of(5)
    days = (Activity("2026-01-01", 1, 1), Activity("2026-01-02", 0, 0, made=4), Activity("2026-01-03", 1, 1, made=1))
    timeline = Timeline(Period(), Scope(), first=first, last=last, samples=2, made=5, activity=days)

    section = _sections(_empty(timeline))["activity"]
    assert "samples with changes, and changes between samples" in section
    assert "2026-01-02: 4 changes between samples" in section
    assert "2026-01-03: 1 sample with changes, 1 change between samples" in section
    assert "between samples" not in _sections(_empty(replace(timeline, made=0, activity=days[:1])))["activity"]


def test_clusters_without_a_change_are_listed() -> None:
    """A reader can tell a cluster without a change from a cluster that was not looked at."""
    sample = sample_of(1)
    timeline = Timeline(Period(), Scope(), first=sample, last=sample, samples=2, clusters=("ns/capi--a", "ns/capi--b"))

    assert "2 managed clusters without a change: ns/capi--a, ns/capi--b" in _sections(_empty(timeline))["clusters"]
    limited = replace(timeline, older=OlderChanges(sample, sample, 2, ChangeCounts()))
    assert "without a change in the changes above: ns/" in _sections(_empty(limited))["clusters"]
    of_object = replace(timeline, scope=Scope(objects=(ObjectKey(Kind("", "ConfigMap"), "a", "b"),)))
    assert "without a change" not in _sections(_empty(of_object))["clusters"]


def test_gaps_say_what_follow_mode_recorded_and_missed() -> None:
    """A time without a sample is not unknown if follow mode recorded its changes."""
    first, last = sample_of(1), sample_of(5)
    timeline = Timeline(
        Period(), Scope(), first=first, last=last, samples=2, gaps=(Gap(first, last),), interval=600, follow_checks=2
    )

    section = _sections(_empty(timeline))["gaps"]
    assert "reverted in such a time is not known." in section
    assert "2 samples were compared with the changes that follow mode recorded: no object differs." in section

    followed = replace(timeline, made=4, gaps=(Gap(first, last, 4),), missed=(FollowCheck(last, 3),))
    section = _sections(_empty(followed))["gaps"]
    assert "is not known, unless follow mode recorded it." in section
    assert "4 changes recorded between" in section
    assert "3 objects" in section
    assert "no object differs" not in section


def test_a_report_says_that_no_drill_is_recorded() -> None:
    """A restore from another cluster is one; without samples, nothing is said."""
    timeline = Timeline(Period(), Scope(), first=sample_of(1), last=sample_of(1), samples=1)

    assert "No drill is recorded in this archive for the period." in _sections(_empty(timeline))["proof"]
    assert "No drill" not in _sections(_empty(Timeline(Period(), Scope())))["proof"]
    assert "1 restore from the samples of another cluster" in _sections(report_of("x"))["proof"]


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], "The chain of samples is intact."),
        ([ReportFinding(False, "a", "b")], "The chain of samples is intact."),
        ([ReportFinding(True, "a", "b")], "1 error in the archive."),
    ],
)
def test_the_verdict_is_that_of_the_verification(findings: Sequence[ReportFinding], verdict: str) -> None:
    """An error is never said to be intact; a note is no error."""
    timeline = Timeline(Period(), Scope(), first=sample_of(1), last=sample_of(1), samples=1)

    root = read_page(render_report(_empty(timeline, *findings)))

    assert root.all(".verdict")[0].one("strong").text == verdict


def test_a_signature_that_is_not_accepted_is_no_good_verdict() -> None:
    """The archive is intact, and its last sample is not signed by an allowed signer."""
    timeline = Timeline(Period(), Scope(), first=sample_of(1), last=sample_of(1), samples=1)
    proof = ArchiveProof(1, signers="0" * 64, signature_problem="is not signed")

    root = read_page(render_report(replace(_empty(timeline), proof=proof)))

    assert "bad" in root.all(".verdict")[0].classes
    assert "the last sample is not signed" in root.one("#proof").text


def test_the_same_report_has_the_same_bytes() -> None:
    """A page can be signed."""
    assert render_report(report_of("x")) == render_report(report_of("x"))
