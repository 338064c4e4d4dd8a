"""Pages in a browser: quiet, offline, sorted, zoomed, by mouse and keyboard, wide and narrow, light, dark, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Written
    from playwright.sync_api import Browser, Page


@pytest.fixture
def show(browser: Browser, written: Written) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page; in the end, nothing may have been said or fetched."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def opened(name: str = "cards/vgg-att-gsp.html", width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((written.folder / name).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", written.folder.as_uri()))] == []
    assert all(url.startswith("data:") or url.endswith(".html") for url in asked)


def column(page: Page, table: str, place: int) -> list[str]:
    return page.eval_on_selector(
        table, "(table, place) => [...table.tBodies[0].rows].map(row => row.children[place].dataset.value)", place
    )


def test_tables_sort_by_click_and_by_key(show: Callable[..., Page]) -> None:
    page = show()
    table = "table[data-at=grid][data-positive='2'][data-binarizer=two-mean][data-subset=all][data-truth=with]"
    head = page.locator(f"{table} thead th").nth(1)
    assert head.get_attribute("aria-sort") == "none"
    before = column(page, table, 1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"  # the best first
    values = [float(value) for value in column(page, table, 1)]
    assert values == sorted(values, reverse=True)
    assert sorted(map(float, before)) == sorted(values)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in column(page, table, 1)] == sorted(values)
    names = page.locator(f"{table} thead th").nth(0)
    names.locator("button").focus()
    page.keyboard.press("Space")
    assert names.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, table, 0) == sorted(column(page, table, 0))
    lower = page.locator(f"{table} thead th", has_text="scag-dist")
    lower.locator("button").click()
    assert lower.get_attribute("aria-sort") == "ascending"  # the best first: lower is better


def test_cards_and_tables_of_the_index_sort(show: Callable[..., Page]) -> None:
    page = show("index.html")
    for table, place in (("table.cards", 5), ("table[data-table=comparison-f-beta-grid]", 2)):
        page.locator(f"{table} thead th").nth(place).locator("button").click()
        values = [float(value) for value in column(page, table, place)]
        assert len(values) > 1
        assert values == sorted(values, reverse=True)
    assert page.locator("table[data-table=comparison-f-beta-grid] tbody").nth(1).locator("tr").count() > 1  # these stay apart


def test_undefined_scores_come_last(show: Callable[..., Page]) -> None:
    page = show()
    page.eval_on_selector("table.scores.answers tbody tr:first-child td", "cell => { cell.dataset.value = 'nan'; }")
    button = page.locator("table.scores.answers thead th").nth(1).locator("button")
    for _ in range(2):
        button.click()
        assert column(page, "table.scores.answers", 1)[-1] == "nan"


def state(page: Page) -> tuple[float, float, float]:
    found = page.eval_on_selector(".stage", "stage => [stage.dataset.scale, stage.dataset.x, stage.dataset.y]")
    scale, x, y = (float(value) for value in found)
    return scale, x, y


def test_overlays_zoom_by_key_button_and_wheel(show: Callable[..., Page]) -> None:
    page = show()
    stage = page.locator(".stage").first
    stage.focus()
    assert state(page) == (1, 0, 0)
    page.keyboard.press("+")
    scale, x, y = state(page)
    assert scale == 1.5
    assert x < 0
    assert y < 0
    page.keyboard.press("ArrowRight")
    assert state(page)[1] < x
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert state(page)[1] == x
    assert state(page)[2] < y
    page.keyboard.press("ArrowUp")
    page.keyboard.press("-")
    assert state(page)[0] == 1
    page.locator("[data-do=in]").first.click()
    page.locator("[data-do=in]").first.click()
    assert state(page)[0] == 2.25
    assert page.locator(".tools output").first.inner_text() == "225 %"
    page.locator("[data-do=out]").first.click()
    assert state(page)[0] == 1.5
    page.locator("[data-do=home]").first.click()
    assert state(page) == (1, 0, 0)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.wheel(0, -300)
    assert state(page)[0] == 1  # not focused: the page scrolls
    stage.click()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 80, box["y"] + 60)
    page.mouse.wheel(0, -400)
    page.wait_for_function("document.querySelector('.stage').dataset.scale > 2")
    scale, x, y = state(page)
    assert scale == pytest.approx(2.718, abs=0.01)
    assert x == pytest.approx(80 - 80 * scale, abs=4)  # what was below the pointer stays there
    assert y == pytest.approx(60 - 60 * scale, abs=4)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.up()
    assert state(page)[1] == pytest.approx(x - 20, abs=1)
    page.keyboard.press("0")
    assert state(page) == (1, 0, 0)


def test_layers_toggle_and_fade(show: Callable[..., Page]) -> None:
    page = show()
    example = page.locator(".example").first
    layers = example.locator(".plane img")
    boxes = example.locator("input[type=checkbox]")
    names = boxes.evaluate_all("boxes => boxes.map(box => box.value)")
    assert names == ["image", "truth", "ppm", "pcm", "map", "mask", "difference"]
    assert layers.count() == len(names)
    assert layers.evaluate_all("layers => layers.map(layer => !layer.hidden)") == [name in ("image", "map") for name in names]
    assert layers.evaluate_all("layers => layers.every(layer => layer.complete && layer.naturalWidth > 0)")
    example.get_by_label("Truth").focus()
    page.keyboard.press("Space")
    assert layers.nth(1).is_visible()
    example.get_by_label("Image", exact=True).uncheck()
    assert not layers.nth(0).is_visible()
    strength = example.locator("input[type=range]")
    strength.focus()
    page.keyboard.press("End")
    assert layers.nth(4).evaluate("layer => layer.style.opacity") == "1"
    cover = layers.nth(4).evaluate("layer => layer.offsetWidth / layer.parentNode.offsetWidth")
    assert cover == pytest.approx(17 * 16 / 280, abs=0.01)  # whole cells only


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "light"), (360, "dark")])
def test_pages_fit_and_can_be_read(show: Callable[..., Page], tmp_path: Path, width: int, scheme: Any) -> None:
    for name in ("cards/vgg-att-gsp.html", "index.html"):
        page = show(name, width=width, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        assert page.evaluate(CONTRAST) == []
        shot = tmp_path / f"{width}-{scheme}-{name.rpartition('/')[2]}.png"
        page.screenshot(path=shot)
        assert shot.stat().st_size > 10_000


#: Texts whose contrast with what lies below is under 4.5, WCAG AA.
CONTRAST = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const below = node => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest("script, .vh, .skip, title, desc, .plane")) continue;
    const style = getComputedStyle(node);
    const one = light(numbers(node.closest("svg") ? style.fill : style.color)), other = light(below(node));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) bad.add(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return [...bad];
}"""


#: What a screen reader could not say.
UNNAMED = """() => {
  const bad = [];
  const name = node => (node.getAttribute("aria-label") || node.innerText || node.textContent || "").trim();
  for (const node of document.querySelectorAll("img")) {
    if (!node.hasAttribute("alt") || (!node.alt && !node.closest(".plane"))) bad.push("img without alt");
  }
  for (const node of document.querySelectorAll("button, a, summary")) if (!name(node)) bad.push(node.outerHTML);
  for (const node of document.querySelectorAll("input")) {
    if (!(node.getAttribute("aria-label") || (node.labels.length && name(node.labels[0])))) bad.push(node.outerHTML);
  }
  for (const node of document.querySelectorAll("[role=region], [role=group], [role=img]")) {
    if (!node.getAttribute("aria-label") && !node.getAttribute("aria-labelledby")) bad.push(node.outerHTML.slice(0, 80));
  }
  for (const node of document.querySelectorAll("[aria-labelledby]")) {
    for (const id of node.getAttribute("aria-labelledby").split(" ")) if (!document.getElementById(id)) bad.push("no " + id);
  }
  const ids = [...document.querySelectorAll("[id]")].map(node => node.id);
  if (new Set(ids).size !== ids.length) bad.push("an id is there twice");
  for (const link of document.querySelectorAll("a[href^='#']")) {
    if (!document.getElementById(link.getAttribute("href").slice(1))) bad.push("nowhere: " + link.outerHTML);
  }
  let level = 0;
  for (const node of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(node.tagName[1]);
    if (next > level + 1) bad.push("heading skips a level: " + node.innerText);
    level = next;
  }
  if (document.querySelectorAll("h1").length !== 1) bad.push("one h1");
  if (document.querySelectorAll("main").length !== 1) bad.push("one main");
  if (document.documentElement.lang !== "en" || !document.title) bad.push("language, title");
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption || [...table.querySelectorAll("th")].some(th => !th.scope)) bad.push("table without caption or scope");
  }
  for (const node of document.querySelectorAll(".scroll, .stage, pre")) {
    if (node.tabIndex !== 0) bad.push("no key reaches " + node.className);
  }
  return bad;
}"""


def test_faint_text_and_missing_names_are_found(show: Callable[..., Page]) -> None:
    page = show("index.html")
    page.evaluate("document.querySelector('h2').style.color = '#888'")
    page.evaluate("document.querySelector('main').append(new Image(), document.createElement('button'))")
    assert [found.split()[0] for found in page.evaluate(CONTRAST)] == ["H2."]
    assert page.evaluate(UNNAMED) == ["img without alt", "<button></button>"]


@pytest.mark.parametrize("name", ["cards/vgg-att-gsp.html", "cards/tiny-one-evp.html", "index.html"])
def test_everything_has_a_name(show: Callable[..., Page], name: str) -> None:
    assert show(name).evaluate(UNNAMED) == []


def test_focus_is_visible(show: Callable[..., Page]) -> None:
    page = show()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.locator(".stage").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("[document.activeElement.className, getComputedStyle(document.activeElement).outlineStyle]") == [
        "stage", "solid",
    ]  # fmt: skip


def test_pages_print(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show()
    page.emulate_media(media="print")
    assert not page.locator(".viewer").first.is_visible()
    assert page.locator(".panels img").first.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0
    assert page.pdf(path=tmp_path / "card.pdf").startswith(b"%PDF")


def test_pages_say_all_without_scripts(show: Callable[..., Page]) -> None:
    page = show(java_script_enabled=False)
    assert page.locator(".panels img").first.is_visible()
    assert not page.locator(".viewer").first.is_visible()
    assert page.locator("table.scores").first.is_visible()


def test_cards_are_one_click_away(show: Callable[..., Page]) -> None:
    page = show("index.html")
    page.get_by_role("link", name="vgg-att on gsp").click()
    page.wait_for_selector("h1")
    assert page.locator("h1").inner_text() == "vgg-att on gsp"
    page.get_by_role("link", name="all cards").click()
    page.wait_for_selector("table.cards")
