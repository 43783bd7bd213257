"""The page Layers in a real Chromium: each topic opened, and a control moved by keyboard."""

from __future__ import annotations

import pytest

from cnnapp.playground import images, kernels
from cnnapp.playground.grids import number
from page_server import ARTIFACTS, needs_chromium

pytestmark = needs_chromium

# A topic, the slider that is moved, the key, and what is then said.
MOVES = [
    ("kernels", "Pixel: row", "ArrowRight", "= {sum}. The layer says"),
    ("strides", "Input size", "ArrowRight", "7 x 7 in, 4 x 4 out"),
    ("connectivity", "Inputs", "ArrowRight", "Parameters: 7 · 3 = 21."),
    ("pooling", "Window", "ArrowLeft", "(1 + 3 + 4 + 6) / 4 = 3.5"),
    ("matrix", "Input size", "ArrowRight", "A matrix of 7 x 9"),
    ("shift", "Shift to the right", "Home", "first the layer, then the shift: -8 to the right and 2 down"),
]


def pictures_are_there(page) -> None:
    every = "[...document.querySelectorAll('[data-testid=stImage] img')]"
    page.wait_for_function(f"{every}.length > 1 && {every}.every(picture => picture.naturalWidth > 0 && picture.alt)")


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.slow
def test_every_topic_answers_the_keyboard_and_fits_a_narrow_screen(address: str, browser):
    image = images.example("temple")
    # The row below the middle, where the slider begins.
    answer = kernels.filtered(image, kernels.kernel("sobel_x", 3))[image.shape[0] // 2, image.shape[1] // 2 - 1]
    ARTIFACTS.mkdir(exist_ok=True)
    page = browser.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    for topic, slider, key, said in MOVES:
        page.set_viewport_size({"width": 1000, "height": 1700})
        page.goto(f"{address}layers?topic={topic}")
        page.get_by_role("slider", name=slider).wait_for(timeout=90_000)
        pictures_are_there(page)
        page.get_by_role("slider", name=slider).press(key)
        page.get_by_text(said.format(sum=number(answer))).first.wait_for(timeout=30_000)
        pictures_are_there(page)
        page.screenshot(path=ARTIFACTS / f"layers-{topic}.png")
        page.set_viewport_size({"width": 390, "height": 2400})
        page.wait_for_timeout(500)  # for the columns to stand one below the other
        assert overflow(page) <= 0
        page.screenshot(path=ARTIFACTS / f"layers-{topic}-narrow.png")
    assert not trouble


def test_a_topic_is_chosen_and_linked_to_and_a_kernel_edited_by_keyboard(address: str, browser):
    page = browser.new_page(viewport={"width": 1000, "height": 1400}, color_scheme="dark")
    page.goto(f"{address}layers?topic=matrix")
    page.get_by_text("A matrix of 6 x 8").wait_for(timeout=90_000)
    page.get_by_role("radio", name="Kernels").click()
    page.get_by_text("They add up to 0.").wait_for(timeout=60_000)
    page.wait_for_url("**/layers?topic=kernels")
    # What the topic before showed is there until this one is complete.
    page.wait_for_function("document.querySelectorAll('[data-testid=data-grid-canvas]').length == 1")
    page.get_by_text("kernels designed by hand").wait_for()
    page.get_by_test_id("data-grid-canvas").focus()
    page.locator("[data-testid=data-grid-canvas] [aria-selected=true]").wait_for(state="attached")
    page.keyboard.type("5")
    page.wait_for_function("document.activeElement.value == '5'")
    page.keyboard.press("Enter")
    page.get_by_text("They add up to 6.").wait_for(timeout=30_000)
    page.get_by_text("black, 255 and more is white").wait_for()
    page.get_by_role("button", name="Normalise").press("Enter")
    page.get_by_text("They add up to 1.").wait_for(timeout=30_000)
    pictures_are_there(page)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "layers-dark.png")
