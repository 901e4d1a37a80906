"""The page in a real browser: it draws, sorts, fits and stays quiet."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peftbench.report import render
from peftbench.scoring.summary import Summary
from report.builder import HOSTILE, build

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_DRIVER = shutil.which("chromedriver")
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-prefers-reduced-motion",  # a click would miss what still scrolls
)  # fmt: skip
_COUNT = "return document.querySelectorAll(arguments[0]).length"


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
    """Open the page and wait until all plots are drawn and named."""
    file = folder / "report.html"
    file.write_text(render(summary, "html"), "utf-8")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(file.as_uri())
    wait(browser, "return figures.every(f => document.querySelector(`#${f.name} .xtick`))")
    wait(
        browser,
        "return figures.every(f => !f.labels.length"
        " || document.querySelector(`#${f.name} .annotation-arrow-g`))",
    )


def wait(browser: Any, script: str, seconds: float = 20.0) -> None:
    """Until the script returns true."""
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


def emulate(browser: Any, scheme: str) -> None:
    """Switch to this colour scheme; an empty one is the browser's own."""
    features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def column(browser: Any, table: str, place: int) -> list[str]:
    """What sorting compares in one column, from top to bottom."""
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
    assert browser.execute_script(_COUNT, ".canvas") == 10
    assert browser.execute_script(_COUNT, ".canvas.js-plotly-plot") == 10
    assert browser.execute_script(_COUNT, ".barlayer .point") == 27
    assert browser.execute_script(_COUNT, '[id^="curves"] .scatterlayer .trace') == 53
    assert browser.get_log("browser") == []
    sent = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    asked = {
        message["params"]["request"]["url"]
        for message in sent
        if message["method"] == "Network.requestWillBeSent"
    }
    own = (
        "data:",
        "chrome:",
        "chrome-untrusted:",
    )  # the browser's first tab is such a page
    assert {url for url in asked if not url.startswith(own)} == {
        (tmp_path / "report.html").as_uri()
    }


def test_names_stand_beside_points_and_not_on_each_other(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    for width in (400, 1280):
        show(browser, usual, tmp_path, width)
        boxes = browser.execute_script(
            "return [...document.querySelectorAll('#memory-0-0 .annotation-text-g text')]"
            ".map(t => [t.textContent, t.getBoundingClientRect()])"
            ".map(([text, r]) => [text, r.left, r.right, r.top, r.bottom])"
        )
        assert {"lora", "full", "base"} <= {box[0] for box in boxes}
        for place, (_, left, right, top, bottom) in enumerate(boxes):
            assert left >= 0
            assert right <= width
            for name, *other in boxes[:place]:
                apart = left >= other[1] or right <= other[0]
                assert apart or top >= other[3] - 2 or bottom <= other[2] + 2, name


@pytest.mark.parametrize("kind", ["usual", "hostile"])
@pytest.mark.parametrize("width", [400, 1280])
def test_page_does_not_scroll_sideways(
    browser: Any, kind: str, request: pytest.FixtureRequest, tmp_path: Path, width: int
) -> None:
    show(browser, request.getfixturevalue(kind), tmp_path, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_plots_follow_the_width_of_the_window(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    show(browser, usual, tmp_path, 1280)
    metrics = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    wait(
        browser,
        "return figures.every(f => document.querySelector(`#${f.name} .main-svg`)"
        "?.getBoundingClientRect().width < 380)",
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400


def test_first_column_stays_in_sight(browser: Any, usual: Summary, tmp_path: Path) -> None:
    show(browser, usual, tmp_path, 400)
    moved = browser.execute_script(
        "const box = document.querySelector('#costs-0').closest('.scroll');"
        "const cell = document.querySelector('#costs-0 tbody th');"
        "const before = cell.getBoundingClientRect().left; box.scrollLeft = 300;"
        "return [box.scrollLeft, cell.getBoundingClientRect().left - before]"
    )
    assert moved[0] == 300
    assert abs(moved[1]) < 2


def test_header_sorts_by_keyboard_and_absent_numbers_stay_last(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, usual, tmp_path)
    mean_score = browser.find_elements("css selector", "#results-0 thead button")[4]
    mean_score.send_keys(Keys.ENTER)
    first = column(browser, "results-0", 4)
    numbers = [float(value) for value in first if value]
    assert numbers == sorted(numbers, reverse=True)
    assert first[-1] == "", "p-tuning has no mean score"
    mean_score.send_keys(Keys.SPACE)
    turned = column(browser, "results-0", 4)
    assert [float(value) for value in turned if value] == sorted(numbers)
    assert turned[-1] == ""
    state = browser.execute_script(
        "return [...document.querySelectorAll('#results-0 th[aria-sort]')]"
        ".map(th => [th.cellIndex, th.ariaSort])"
    )
    assert state == [[4, "ascending"]]
    foot = "return document.querySelector('#results-0 tfoot th').textContent"
    assert browser.execute_script(foot).startswith("Baseline")


def test_header_sorts_text_by_click(browser: Any, usual: Summary, tmp_path: Path) -> None:
    show(browser, usual, tmp_path)
    browser.find_element("css selector", "#results-0 thead button").click()
    names = column(browser, "results-0", 0)
    assert names == sorted(names)


def test_focus_is_visible_and_the_first_stop_skips_to_the_results(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, usual, tmp_path)
    browser.find_element("css selector", "body").send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.get_attribute("class") == "skip"
    assert focused.rect["x"] >= 0
    assert focused.value_of_css_property("outline-style") == "solid"


def test_pressed_name_brings_its_lines_out(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    show(browser, usual, tmp_path)
    lora = browser.find_element("css selector", '.key button[data-method="lora"]')
    lora.click()
    faint = (
        "return document.getElementById('curves-0-0').data"
        ".map(t => [t.meta.method, t.opacity])"
    )
    assert lora.get_attribute("aria-pressed") == "true"
    assert all(
        (opacity == 1) == (method == "lora")
        for method, opacity in browser.execute_script(faint)
    )
    lora.click()
    assert {opacity for _, opacity in browser.execute_script(faint)} == {1}


def test_page_and_plots_follow_the_scheme_as_it_changes(
    browser: Any, usual: Summary, tmp_path: Path
) -> None:
    look = (
        "return [getComputedStyle(document.body).backgroundColor,"
        "getComputedStyle(document.querySelector('.canvas .xtick text')).fill]"
    )
    emulate(browser, "light")
    show(browser, usual, tmp_path)
    assert browser.execute_script(look) == ["rgb(252, 252, 250)", "rgb(28, 31, 36)"]
    emulate(browser, "dark")
    wait(browser, f"{look}[1] === 'rgb(231, 233, 236)'")
    assert browser.execute_script(look)[0] == "rgb(20, 23, 27)"
    emulate(browser, "")


def test_hostile_text_runs_no_script(
    browser: Any, hostile: Summary, tmp_path: Path
) -> None:
    browser.get_log("browser")
    show(browser, hostile, tmp_path)
    assert browser.execute_script(_COUNT, "script") == 3
    assert browser.get_log("browser") == []
    lead = "return document.querySelector('.lead').textContent"
    assert browser.execute_script(lead) == HOSTILE
    title = "return document.querySelector('#bars-0-0 .xtitle').textContent"
    assert browser.execute_script(title).startswith("</script>")


def test_page_without_plots_is_quiet_and_sorts(browser: Any, tmp_path: Path) -> None:
    browser.get_log("browser")
    show(browser, build({"b": {"t": [None]}, "a": {"t": [None]}}), tmp_path)
    browser.find_element("css selector", "#troubles thead button").click()
    assert column(browser, "troubles", 0) == ["a", "b"]
    assert browser.get_log("browser") == []
