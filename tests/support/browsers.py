"""Pages in a real browser. The tests end with an error if a page prints, asks, or requests something from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from tests.testbed.binaries import BROWSER, find_program


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium of the distribution. Without it, the tests are skipped, or fail with CI=true."""
    program = find_program(BROWSER)
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {BROWSER} on this machine: install it")
    with sync_playwright() as playwright:
        # The sandbox of Chromium does not start as root. The pages are those of the tests.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Pages:
    """Opens pages, and collects what they print, ask and request."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.messages: list[str] = []
        """Messages on the console, errors, dialogs, and addresses that do not belong to the page."""

    def open(
        self, address: str, *, owns: Callable[[str], bool], width: int = 1400, dark: bool = False, scripts: bool = True
    ) -> Page:
        """Open an address. ``owns``: whether the page may request an address."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)

        def note_request(requested: str) -> None:
            if not owns(requested):
                self.messages.append(requested)

        def dismiss(dialog: Dialog) -> None:
            self.messages.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", lambda message: self.messages.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        page.on("dialog", dismiss)
        page.on("request", lambda request: note_request(request.url))
        page.goto(address)
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()
