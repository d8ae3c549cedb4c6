"""``gitsnap web`` in a real browser: with and without scripts, by keyboard, for screen readers, hostile archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.browsers import Pages, chromium
from tests.support.commands import gitsnap
from tests.support.web_archives import make_fleet_archive, make_hostile_archive, make_many_archives
from tests.support.web_servers import RunningServer, running_server

_PROFILE = "ClusterProfile.config.projectsveltos.io/guestbook"
_CLUSTER = "default/capi--clusterapi-workload"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the distribution. Without it, the tests are skipped, or fail with CI=true."""
    with chromium() as started:
        yield started


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open an address. At the end of the test: nothing was printed, asked, or requested from elsewhere."""
    pages = Pages(browser)

    def open_address(server: RunningServer, path: str, **view: Any) -> Page:
        return pages.open(f"{server.url}{path}", owns=lambda requested: requested.startswith(f"{server.url}/"), **view)

    yield open_address
    assert pages.messages == []
    pages.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for the archive of `gitsnap demo`."""
    folder = tmp_path_factory.mktemp("story")
    gitsnap(folder, "demo", "demo", code=0)
    with running_server(folder, "--storage", "demo/archive", "--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for an archive with 400 managed clusters."""
    folder = tmp_path_factory.mktemp("fleet")
    make_fleet_archive(folder)
    with running_server(folder, "--storage", "s", "--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for eight archives: long ones, and one with a deleted object."""
    folder = tmp_path_factory.mktemp("many")
    make_many_archives(folder)
    with running_server(folder, "--storage", "s", "--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for an archive with hostile names and contents."""
    folder = tmp_path_factory.mktemp("hostile")
    make_hostile_archive(folder)
    with running_server(folder, "--storage", "s", "--quiet") as running:
        yield running


def _addresses(page: Page) -> list[str]:
    """Return the addresses of one page of each kind of the demo."""
    stamps = _stamps(page)
    return [
        "/",
        "/hourly",
        f"/hourly/sample/{stamps[0]}",
        f"/hourly/diff/{stamps[-1]}/{stamps[1]}",
        f"/hourly/diff/{stamps[0]}/{stamps[0]}",
        f"/hourly/rollback/{stamps[-1]}",
        f"/hourly/object/{_PROFILE}",
        "/hourly/object/Secret/default/db-credentials",
        f"/hourly/log/{_PROFILE}",
        f"/hourly/blame/{_PROFILE}",
        "/hourly/clusters",
        f"/hourly/cluster/{_CLUSTER}",
        f"/hourly/cluster-log/{_CLUSTER}",
        "/hourly/search",
        "/hourly/search?q=redis",
        "/hourly/search?q=no-such-value",
    ]


def _stamps(page: Page) -> list[str]:
    """Return the names of the samples of the timeline, newest first. Waits for the timeline to load."""
    values = page.locator("input[name=to]")
    values.first.wait_for(state="attached")
    return [str(value.get_attribute("value")) for value in values.all()]


def _open_details(page: Page) -> None:
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")


def _axe(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}: {results.generate_report()}"


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1400, True)])
def test_axe_finds_no_violation_on_any_page(server: RunningServer, open_page: Open, width: int, *, dark: bool) -> None:
    """Names, roles and contrast; headings without a jump; no page needs horizontal scrolling."""
    page = open_page(server, "/hourly", width=width, dark=dark)
    for address in _addresses(page):
        page.goto(f"{server.url}{address}")
        _open_details(page)
        _axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(e => Number(e.tagName[1]))")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), address


@pytest.mark.parametrize("scripts", [True, False])
def test_two_samples_are_chosen_on_the_timeline(server: RunningServer, open_page: Open, *, scripts: bool) -> None:
    """Clicks alone lead from the overview to the diff of two samples and to an object."""
    page = open_page(server, "/", scripts=scripts)
    page.get_by_role("link", name="hourly").first.click()
    stamps = _stamps(page)
    assert len(stamps) == 5
    page.locator(f"input[name=from][value='{stamps[-1]}']").check()
    page.locator(f"input[name=to][value='{stamps[-2]}']").check()
    page.get_by_role("button", name="Compare").click()

    page.wait_for_url(f"**/hourly/diff/{stamps[-1]}/{stamps[-2]}")
    page.locator("pre.diff ins").first.wait_for(state="attached")
    page.locator("#management ~ ul a.name").first.click()
    page.wait_for_url("**/hourly/object/**")
    page.get_by_role("link", name="Blame").click()
    page.locator("tbody tr").first.wait_for()
    page.get_by_role("link", name="History").click()
    page.locator(".rows .row").first.wait_for()
    page.get_by_role("link", name="Managed clusters").click()
    page.get_by_role("link", name=_CLUSTER).click()
    page.get_by_role("heading", level=1, name=_CLUSTER, exact=True).wait_for()
    page.get_by_role("link", name="Changes").click()
    page.locator(".rows .row").first.wait_for()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_search_leads_to_objects(server: RunningServer, open_page: Open, *, scripts: bool) -> None:
    """The head of every page has the field, which keeps the word after the search."""
    page = open_page(server, "/hourly", scripts=scripts)
    page.locator("#q").fill("redis-follower")
    page.locator("#q").press("Enter")
    assert page.locator("#value").input_value() == "redis-follower"
    page.locator(".match a.name").first.click()
    page.wait_for_url("**/hourly/object/ConfigMap/**")


def test_the_same_sample_twice_cannot_be_compared(server: RunningServer, open_page: Open) -> None:
    """With scripts, the button is disabled until two different samples are chosen."""
    page = open_page(server, "/hourly")
    newest = _stamps(page)[0]
    assert page.get_by_role("button", name="Compare").is_enabled()
    page.locator(f"input[name=from][value='{newest}']").check()
    page.locator(f"input[name=to][value='{newest}']").check()
    assert page.get_by_role("button", name="Compare").is_disabled()


def test_the_timeline_works_with_the_keyboard(server: RunningServer, open_page: Open) -> None:
    """The first key leads past the navigation, two samples are chosen with keys, and every focus is visible."""
    page = open_page(server, "/hourly")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(30):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if page.evaluate("document.activeElement.name") == "from":
            break
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.value")
    page.keyboard.press("Enter")
    page.wait_for_url("**/diff/**")
    assert f"/diff/{chosen}/" in page.url


def test_an_address_without_an_answer_leads_on(server: RunningServer, open_page: Open) -> None:
    """The page names the problem, and has a link."""
    page = open_page(server, "/hourly")
    response = page.request.get(f"{server.url}/hourly/sample/2001-01-01T00-00-00Z")
    assert response.status == 404
    assert "To the timeline" in response.text()


def test_print_has_no_forms(server: RunningServer, open_page: Open) -> None:
    """The rows and lines of a diff are printed. The navigation and the fields are not."""
    page = open_page(server, "/hourly", dark=True)
    page.emulate_media(media="print")
    for hidden in ("nav.sections", ".find", ".until", ".picks", ".pick"):
        assert not any(element.is_visible() for element in page.locator(hidden).all()), hidden
    assert page.locator(".moment").first.is_visible()
    assert page.locator("body").evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scripts", [True, False])
def test_two_samples_of_different_pages_are_compared(many: RunningServer, open_page: Open, *, scripts: bool) -> None:
    """The choice is kept while one goes to older samples, and goes into the address of the diff."""
    page = open_page(many, "/hourly", scripts=scripts)
    newest = _stamps(page)[3]
    page.locator(f"input[name=to][value='{newest}']").check()
    for _ in range(2):
        page.get_by_role("button", name="Keep the choice").click()
        page.locator(".kept").wait_for()
    oldest = _stamps(page)[-1]
    assert page.locator(f".kept input[name=to][value='{newest}']").is_checked()
    page.locator(f"input[name=from][value='{oldest}']").check()
    if scripts:
        _axe(page)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(f"**/hourly/diff/{oldest}/{newest}")
    page.locator(".rows .row").first.wait_for()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_deleted_object_has_a_page(many: RunningServer, open_page: Open, *, scripts: bool) -> None:
    """The page says when the object was deleted, and has its last content and its history, also for its blame."""
    for view in ("object", "blame"):
        page = open_page(many, f"/gone/{view}/ConfigMap/default/gone", scripts=scripts)
        assert page.locator(".verdict.bad").inner_text().startswith("Deleted")
        assert 'a: "2"' in page.locator("pre.diff").inner_text()
        assert page.locator("#history ~ .rows .action").all_inner_texts() == ["deleted", "modified", "added"]
    page.get_by_role("link", name="Blame at that time").click()
    page.locator("tbody tr").first.wait_for()
    page.goto(f"{many.url}/gone/object/ConfigMap/default/gone?at=latest~1")
    assert page.locator(".verdict.bad").count() == 1


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_many_archives_are_a_table(many: RunningServer, open_page: Open, width: int, *, dark: bool) -> None:
    """The names can be filtered with the keyboard."""
    page = open_page(many, "/", width=width, dark=dark)
    assert page.locator("tbody tr").count() == 8
    _axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#names").fill("TEAM-3")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=TEAM-3")
    assert page.locator("tbody tr").count() == 1
    page.locator("#names").fill("nothing")
    page.keyboard.press("Enter")
    page.get_by_text("No archive has this name").wait_for()
    for address in ("/gone/object/ConfigMap/default/gone", "/hourly?from=latest&before=latest~60"):
        page.goto(f"{many.url}{address}")
        _axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [400, 1400])
def test_400_managed_clusters_have_room(fleet: RunningServer, open_page: Open, width: int) -> None:
    """All clusters are listed, the filter finds one, and a diff names some and counts the others."""
    page = open_page(fleet, "/fleet/clusters", width=width)
    assert page.locator(".objects a").count() == 400
    _axe(page)
    page.goto(f"{fleet.url}/fleet/clusters?q=cluster-399")
    assert page.locator(".objects a").count() == 1
    page.goto(f"{fleet.url}/fleet/diff?from=latest~1&to=latest")
    assert "and 395 more" in page.locator("main").inner_text()
    _open_details(page)
    _axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_archives_do_nothing(hostile: RunningServer, open_page: Open) -> None:
    """On every page that can be reached, no script runs, nothing is requested, and no character acts."""
    page = open_page(hostile, "/p", width=400)
    seen, waiting = set[str](), ["/", "/p", "/p/diff/latest~1/latest", "/p/search?q=script", "/p/rollback/latest~1"]
    while waiting and len(seen) < 60:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        page.goto(f"{hostile.url}{address}")
        _open_details(page)
        page.mouse.move(200, 200)
        text = page.evaluate("document.documentElement.textContent")
        assert not set("\x1b\x9b\x07\u202e\u2066\u200b\ufeff\x00") & set(text), address
        assert page.evaluate("document.querySelectorAll('script, iframe, img, object, embed').length") == 1
        assert page.evaluate("document.querySelectorAll('[onerror], [onload], [onfocus], [style]').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, address
        assert len(page.content()) < 3_000_000, address
        links = page.evaluate("[...document.links].map(a => a.href)")
        assert all(link.startswith(f"{hostile.url}/") for link in links), address
        waiting += [link.removeprefix(hostile.url) for link in links if "format=json" not in link and "#" not in link]
    assert any(address.startswith("/p/object/") for address in seen)
