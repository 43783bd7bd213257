"""The page that shows why, in a real Chromium: click on the image, and see what the network sees there."""

from __future__ import annotations

import pytest

from page_server import ARTIFACTS, needs_chromium

pytestmark = needs_chromium

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_what_is_seen_follows_the_click(address: str, browser):
    page = browser.new_page(viewport={"width": 1000, "height": 1700})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(address + "explain?model=digit-segmentation&layer=pool2&view=Receptive+field")
    page.get_by_text("the pixel at x 64, y 48").first.wait_for(timeout=120_000)
    chart = page.locator("[data-testid=stVegaLiteChart] svg.marks").first
    for x, y in ((0.25, 0.75), (0.8, 0.2)):  # the second, so that a picture drawn anew can be clicked as well
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box["width"] / box["height"] == pytest.approx(128 / 96, rel=0.02)
        page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        column, row = int(128 * x) // 2 * 2 + 1, int(96 * y) // 2 * 2 + 1
        page.get_by_text(f"the pixel at x {column}, y {row}").first.wait_for(timeout=60_000)
        assert page.get_by_label("x", exact=True).first.input_value() == str(column)
    # By the keyboard as well.
    page.get_by_label("x", exact=True).first.fill("10")
    page.keyboard.press("Enter")
    page.get_by_text(f"the pixel at x 10, y {row}").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "explain-sees.png", full_page=True)
    assert not trouble


@pytest.mark.slow
def test_evidence_and_maps_on_a_narrow_dark_screen(address: str, browser):
    page = browser.new_page(viewport={"width": 390, "height": 1900}, color_scheme="dark")
    page.goto(address + "explain?model=fashion&class=Coat")
    page.get_by_text("evidence for Coat").wait_for(timeout=120_000)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "explain-evidence-narrow.png", full_page=True)
    assert page.evaluate(WIDE) <= 0
    for view, text in (("Filters", "filters of the first convolution"), ("Feature maps", "the maps of")):
        page.get_by_role("radio", name=view).click()
        page.get_by_text(text).first.wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        page.screenshot(path=ARTIFACTS / f"explain-{view.lower().replace(' ', '-')}-narrow.png", full_page=True)
        assert page.evaluate(WIDE) <= 0
