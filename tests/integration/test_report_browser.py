"""Reports in a real browser: clicks, keyboard, screen readers, narrow screens, print, and hostile text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from gitsnap.render.report import render_report
from tests.support.browsers import Pages, chromium
from tests.support.commands import gitsnap
from tests.support.hostile_reports import HOSTILE, report_of


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the distribution. Without it, the tests are skipped, or fail with CI=true."""
    with chromium() as started:
        yield started


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a file. At the end of the test: nothing was printed, asked, or requested from elsewhere."""
    pages = Pages(browser)

    def open_file(file: Path, **view: Any) -> Page:
        address = file.as_uri()
        return pages.open(address, owns=lambda requested: requested.partition("#")[0] == address, **view)

    yield open_file
    assert pages.messages == []
    pages.close()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `gitsnap demo`."""
    folder = tmp_path_factory.mktemp("story")
    gitsnap(folder, "demo", "demo", code=0)
    gitsnap(folder, "report", "--storage", "demo/archive", "-o", "report.html", code=0)
    return folder / "report.html"


_ELEMENTS = "[...document.querySelectorAll('*:not(br)')].map(e => [e.localName, ...e.getAttributeNames()].join(' '))"


def _shown(page: Page, selector: str) -> int:
    return sum(element.is_visible() for element in page.locator(selector).all())


def test_a_click_on_the_timeline_leads_to_the_changes_of_the_day(story: Path, open_page: Open) -> None:
    """The bar of a day is a link to the heading of the day."""
    page = open_page(story)
    page.locator("svg.bars a").first.click()

    day = page.locator("h3.day").first
    assert page.url.endswith(f"#{day.get_attribute('id')}")
    page.wait_for_function("scrollY > 0")
    assert day.is_visible()


def test_the_filter_shows_matching_changes(story: Path, open_page: Open) -> None:
    """Words in any order and case; the number of changes is announced; a link shows its change again."""
    page = open_page(story)
    assert _shown(page, "article.change:not(.rolled)") == 3

    page.get_by_label("Filter").fill("DB-credentials AFTER-rollback")
    assert _shown(page, "article.change:not(.rolled)") == 1
    assert page.get_by_role("status").inner_text() == "1 of 3 changes shown"
    page.get_by_label("Filter").fill("nothing-has-this-name")
    assert (_shown(page, "article.change:not(.rolled)"), _shown(page, "h3.day")) == (0, 0)

    page.locator("#clusters summary").click()
    page.locator("#clusters .links a").last.click()
    assert _shown(page, "article.change:not(.rolled)") == 3
    assert page.get_by_label("Filter").input_value() == ""


def test_all_diffs_are_shown_and_hidden(story: Path, open_page: Open) -> None:
    """One button opens the diffs, and one closes them."""
    page = open_page(story)
    assert _shown(page, "pre.diff") == 0
    page.get_by_role("button", name="Show all diffs").click()
    assert _shown(page, "pre.diff") == 4
    page.get_by_role("button", name="Hide all diffs").click()
    assert _shown(page, "pre.diff") == 0


def test_the_page_works_without_scripts(story: Path, open_page: Open) -> None:
    """Everything is there, diffs open, links lead to their changes. Only the filter is not shown."""
    page = open_page(story, scripts=False)

    assert _shown(page, "article.change:not(.rolled)") == 3
    assert _shown(page, "#tools") == 0
    page.locator("details.diffs summary").first.click()
    assert _shown(page, "pre.diff") == 2
    page.locator("#profiles summary").click()
    page.locator("#profiles .links a").first.click()
    assert "#c-" in page.url


def test_the_page_works_with_the_keyboard(story: Path, open_page: Open) -> None:
    """The first key leads past the navigation; a diff opens with Enter; every focus is visible."""
    page = open_page(story)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if page.evaluate("document.activeElement.matches('details.diffs > summary')"):
            break
    assert reached == ["a", "SUMMARY", "filter", "expand", "collapse", "SUMMARY"]
    page.keyboard.press("Enter")
    assert _shown(page, "pre.diff") == 2


def test_a_screen_reader_finds_the_parts_of_the_page(story: Path, open_page: Open) -> None:
    """Landmarks, names of links, and headings from level 1 to 5 without a jump."""
    page = open_page(story)
    snapshot = page.locator("body").aria_snapshot()

    for part in ("- banner:", '- navigation "Sections":', "- main:", "- contentinfo:", '- searchbox "Filter"'):
        assert part in snapshot
    assert 'samples with changes"' in snapshot
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_no_violation(story: Path, open_page: Open, width: int, *, dark: bool) -> None:
    """Names, roles, contrast: with the diffs of the page open."""
    page = open_page(story, width=width, dark=dark)
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")

    results = Axe().run(page)

    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [320, 400, 1400])
def test_no_width_needs_horizontal_scrolling(story: Path, open_page: Open, tmp_path: Path, width: int) -> None:
    """Also with names without a space, and with everything open."""
    long = tmp_path / "long.html"
    long.write_text(render_report(report_of("a" * 253)))
    for file in (story, long):
        page = open_page(file, width=width)
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scripts", [True, False])
def test_print_has_the_diffs(story: Path, open_page: Open, *, scripts: bool) -> None:
    """Closed diffs are on paper, the navigation is not, and dark colours are not either."""
    page = open_page(story, dark=True, scripts=scripts)
    page.emulate_media(media="print")

    heights = [box["height"] for element in page.locator("pre.diff").all() if (box := element.bounding_box())]
    assert len(heights) == 4
    assert min(heights) > 20
    assert _shown(page, "nav") == 0
    assert page.locator("body").evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_hostile_text_does_nothing(open_page: Open, tmp_path: Path, text: str) -> None:
    """Nothing runs, nothing is requested, and the elements are those of a page with harmless text."""
    names = []
    for number, value in enumerate(("x", text)):
        file = tmp_path / f"{number}.html"
        file.write_text(render_report(report_of(value)))
        page = open_page(file)
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        page.mouse.move(200, 200)
        names.append(page.evaluate(_ELEMENTS))
    assert names[0] == names[1]
