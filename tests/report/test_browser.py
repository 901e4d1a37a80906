"""The page in a real browser: it draws, sorts, fits and stays quiet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peftbench.report import render
from peftbench.scoring.summary import Summary

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_DRIVER = shutil.which("chromedriver")
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium. With PEFTBENCH_REQUIRE_BROWSER=1 a missing one fails."""
    if not (_CHROMIUM and _DRIVER):
        reason = "needs Chromium and ChromeDriver (Debian: chromium, chromium-driver)"
        if os.environ.get("PEFTBENCH_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for argument in (*_ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    yield driver
    driver.quit()


def show(browser: Any, summary: Summary, folder: Path, width: int = 1280) -> None:
    page = folder / "report.html"
    page.write_text(render(summary, "html"), "utf-8")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())


def column(browser: Any, table: str, place: int) -> list[str]:
    script = (
        "return [...document.getElementById(arguments[0]).tBodies[0].rows]"
        ".map(r => r.cells[arguments[1]].dataset.value)"
    )
    found: list[str] = browser.execute_script(script, table, place)
    return found


def test_page_draws_every_figure_quietly_and_asks_nobody(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    show(browser, usual, tmp_path)
    count = "return document.querySelectorAll(arguments[0]).length"
    assert browser.execute_script(count, ".canvas") == 9
    assert browser.execute_script(count, ".canvas.js-plotly-plot") == 9
    assert browser.execute_script(count, ".canvas .scatterlayer .trace") > 9
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    requests = [e["message"] for e in browser.get_log("performance")
                if "requestWillBeSent" in e["message"]]  # fmt: skip
    assert not [r for r in requests if "http://" in r.split('"url":')[1][:12]
                or "https://" in r.split('"url":')[1][:12]]  # fmt: skip


@pytest.mark.parametrize("width", [400, 1280])
def test_page_does_not_scroll_sideways(
    browser: Any, usual: Summary, tmp_path: Path, width: int
) -> None:
    show(browser, usual, tmp_path, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_header_sorts_by_keyboard_and_absent_numbers_stay_last(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, usual, tmp_path)
    header = browser.find_elements("css selector", "#results-0 thead button")[
        4
    ]  # mean score
    header.send_keys(Keys.ENTER)
    first = column(browser, "results-0", 4)
    numbers = [float(value) for value in first if value]
    assert numbers == sorted(numbers, reverse=True)
    assert first[-1] == "", "p-tuning has no mean score"
    header.send_keys(Keys.SPACE)
    turned = column(browser, "results-0", 4)
    assert [float(value) for value in turned if value] == sorted(numbers)
    assert turned[-1] == ""
    state = browser.execute_script("return arguments[0].closest('th').ariaSort", header)
    assert state == "ascending"
    foot = "return document.querySelector('#results-0 tfoot th').textContent"
    assert browser.execute_script(foot).startswith("Baseline")


def test_page_follows_the_dark_scheme(browser: Any, usual: Summary, tmp_path: Path) -> None:
    look = (
        "return [getComputedStyle(document.body).backgroundColor,"
        "getComputedStyle(document.querySelector('.canvas .xtick text')).fill]"
    )
    seen = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        show(browser, usual, tmp_path)
        seen.append(browser.execute_script(look))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert seen[0] == ["rgb(253, 253, 251)", "rgb(28, 31, 36)"]
    assert seen[1] == ["rgb(20, 23, 27)", "rgb(231, 233, 236)"]


def test_hostile_text_runs_no_script(
    browser: Any, hostile: Summary, tmp_path: Path
) -> None:
    browser.get_log("browser")
    show(browser, hostile, tmp_path)
    assert browser.execute_script("return document.querySelectorAll('script').length") == 3
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    title = browser.execute_script("return document.querySelector('.lead').textContent")
    assert "<script>alert(1)</script>" in title
