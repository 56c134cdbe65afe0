"""Headless Chromium for tests of pages."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
)  # fmt: skip


@contextmanager
def open_chromium(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Open the system's Chromium, else Playwright's own, with further arguments. Without one the test is
    skipped.

    Where TESTS_REQUIRE_BROWSER is set it fails. Open it for a module at most: while it is there, asyncio.run
    fails in other tests.
    """
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=[*ARGUMENTS, *arguments]
            )
        except Error as error:
            reason = (
                "needs Chromium: `apt-get install chromium`, or `python -m playwright install chromium`: "
                f"{error.message.splitlines()[0]}"
            )
            if os.environ.get("TESTS_REQUIRE_BROWSER"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        yield opened
        opened.close()
