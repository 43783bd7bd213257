"""The pages Compare and Model in a real Chromium, and all of them on a narrow screen and in the dark."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from page_server import keep, needs_chromium, open_page, wait_for_pictures, wait_until_still
from pipelines.data.embedded import digits, scenes

pytestmark = needs_chromium


def test_two_models_are_compared_and_labels_say_who_is_right(address: str, browser, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "labelled.zip", "w") as archive:
        for number, example in zip(range(6), digits.load(0).test.examples(), strict=False):
            archive.writestr(f"labelled/{example.label}/{number}.png", example.image)
    page, trouble = open_page(browser, address + "compare?model=digits/1&with=digits/2")
    page.set_input_files("input[type=file]", [tmp_path / "labelled.zip"])
    page.get_by_role("heading", name="They agree on 6 of 6 images").wait_for(timeout=60_000)
    page.get_by_text("A right: 6 of 6, B right: 6 of 6").wait_for()
    wait_for_pictures(page, 6)
    keep(page, "compare.png")
    assert not trouble


@pytest.mark.slow
def test_the_choice_of_a_model_goes_along_from_page_to_page(address: str, browser):
    page, trouble = open_page(browser, address + "predict?model=fashion")
    for name, path in (("Model", "/model"), ("Compare", "/compare"), ("Predict", "/")):
        page.get_by_role("link", name=name).click()
        page.wait_for_function(f"location.pathname == '{path}' && location.search.includes('fashion')")
        wait_until_still(page)
        assert page.get_by_role("combobox", name="Model").input_value() == "fashion/1"
    assert page.get_by_text("Page not found").count() == 0
    assert not trouble


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("digits", "digit-segmentation")]


@pytest.mark.parametrize("name", ["digit-scenes", *SLOW])
def test_a_card_is_shown_and_verified(name: str, address: str, browser):
    page, trouble = open_page(browser, address + f"model?model={name}")
    page.get_by_role("heading", name="What it should not be used for").wait_for(timeout=60_000)
    page.get_by_role("button", name="Verify files and golden examples").click(timeout=60_000)
    page.get_by_text("files have the hashes that are listed").wait_for(timeout=60_000)
    keep(page, f"model-{name}.png")
    assert not trouble


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "done"),
    [
        ("?model=digit-segmentation", "All results"),
        ("?model=digits", "All results"),
        ("model?model=fashion", "Versions"),
    ],
)
def test_a_narrow_screen_needs_no_scrolling_sideways(path: str, done: str, scheme: str, address: str, browser):
    page, trouble = open_page(browser, address + path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    if done == "All results":
        page.get_by_text("Examples", exact=True).click()
        page.get_by_role("button", name="example 1" if "segmentation" in path else "0", exact=True).first.click()
    page.get_by_text(done).first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    name = "".join(letter if letter.isalnum() else "-" for letter in path).strip("-")
    keep(page, f"narrow-{scheme}-{name}.png")
    dark = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, dark.strip("rgb()").split(","))) < 200) == (scheme == "dark")
    assert not trouble


@pytest.mark.slow
def test_the_keyboard_reaches_what_there_is(address: str, browser):
    page, _ = open_page(browser, address + "?model=digit-scenes")
    page.get_by_text("Examples", exact=True).click()
    page.get_by_role("button", name="example 1", exact=True).click()
    page.get_by_text("All results").wait_for(timeout=60_000)
    wait_until_still(page)
    wanted = {"Minimum confidence", "Maximum overlap (IoU)", "Box opacity", "Download CSV"}
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        reached.add(next((one for one in wanted if one in (name or "")), name))
        if wanted <= reached:
            break
    assert wanted <= reached


@pytest.mark.slow
def test_all_pictures_are_described(address: str, browser, tmp_path: Path):
    path = tmp_path / "scene.png"
    path.write_bytes(next(scenes.load(0).test.examples()).image)
    page, _ = open_page(browser, address + "?model=digit-segmentation")
    page.set_input_files("input[type=file]", [path])
    wait_for_pictures(page, 2)
    texts = page.eval_on_selector_all("[data-testid=stImage] img", "all => all.map(one => one.alt)")
    assert all("scene.png" in text for text in texts)


PAGES = [
    "predict?model=digits",
    *(f"explain?model=digit-scenes&view={view}" for view in ("Evidence", "Filters", "Feature+maps", "Receptive+field")),
    "compare?model=digits/1&with=digits/2",
    "compare?model=fashion",
    "model?model=digits/7",
    *(f"layers?topic={topic}" for topic in ("kernels", "strides", "connectivity", "pooling", "matrix", "shift")),
]
PALE = """
() => {
  const parse = text => [...(text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number), 1].slice(0, 4);
  const light = colour => {
    const [r, g, b] = colour.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, share, below) => [0, 1, 2].map(i => top[i] * share + below[i] * (1 - share));
  const ground = part => {
    if (!part) return [255, 255, 255];
    const colour = parse(getComputedStyle(part).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, colour[3], ground(part.parentElement));
  };
  const shown = part => part ? parseFloat(getComputedStyle(part).opacity) * shown(part.parentElement) : 1;
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), part = walker.currentNode.parentElement;
    // The number of a slider is drawn above the knob that it belongs to.
    const knob = part && part.closest("[data-testid=stSliderThumbValue]");
    // What cannot be used need not be read (WCAG 2.2, 1.4.3), and what is only seen at the pointer is not there.
    if (!text || !part.offsetParent || shown(part) === 0 || part.closest("[disabled], [aria-disabled=true]")) continue;
    const below = ground(knob ? knob.closest("[data-testid=stSlider]") : part);
    const colour = parse(getComputedStyle(part).color);
    const levels = [over(colour, colour[3] * shown(part), below), below].map(light).sort((a, b) => b - a);
    const ratio = (levels[0] + 0.05) / (levels[1] + 0.05);
    count += 1;
    if (ratio < 4.5) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return {found, count};
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_and_its_pictures_are_described(scheme: str, address: str, browser):
    page = browser.new_page(viewport={"width": 1000, "height": 1400}, color_scheme=scheme)
    pale, nameless = {}, []
    for path in PAGES:
        page.goto(address + path)
        page.locator("[data-testid=stMain] h1").wait_for(timeout=60_000)
        page.wait_for_timeout(500)
        wait_until_still(page)
        if "predict" in path or "with" in path:
            page.get_by_text("Examples", exact=True).click()
            page.get_by_role("button", name=re.compile("^(digits )?0$")).first.click()
            page.locator("[data-testid=stImage] img").first.wait_for(timeout=60_000)
            wait_until_still(page)
        measured = page.evaluate(PALE)
        assert measured["count"] > 10, path
        pale |= {path: measured["found"]} if measured["found"] else {}
        texts = page.eval_on_selector_all("[data-testid=stImage] img", "all => all.map(one => one.alt)")
        assert texts or path in ("compare?model=fashion", "model?model=digits/7"), path
        nameless += [path for text in texts if not text.strip()]
    assert not nameless
    assert not pale
