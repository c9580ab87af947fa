"""The page in a real browser without a network: what loads, what is readable, what the keyboard reaches."""

from itertools import pairwise

import pytest

from sprec.report.figures.style import PAIRS
from sprec.report.page.render import main
from tests.report.browser import CHROMIUM, chromium
from tests.report.conftest import evaluation
from tests.report.hostile_records import TITLES, full

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

OPENED = "document.querySelectorAll('details').forEach(each => each.open = true)"
"""Everything that a reader can unfold."""

CONTRASTS = """(() => {
  const parse = text => {
    const parts = (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement)
      layers.unshift(parse(getComputedStyle(each).backgroundColor));
    return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = color => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const element = node.parentElement, box = element.getBoundingClientRect();
    if (!node.data.trim() || box.width < 2 || box.height < 2) continue;
    const style = getComputedStyle(element), below = ground(element);
    const ink = over(parse(element.closest('svg') ? style.fill : style.color), below);
    const [low, high] = [light(ink), light(below)].sort((a, b) => a - b);
    texts.push([(high + 0.05) / (low + 0.05), node.data.trim().slice(0, 40), element.tagName]);
  }
  return texts;
})()"""

UNNAMED = """[...document.querySelectorAll(
  'svg, nav, section, figure, [role=group], a, summary, table'
)].filter(each => {
  if (each.getAttribute('aria-hidden') === 'true') return false;
  const by = each.getAttribute('aria-labelledby');
  if (by) return !document.getElementById(by)?.textContent.trim();
  if (each.getAttribute('aria-label')?.trim()) return false;
  if (each.tagName === 'svg') return true;
  if (each.tagName === 'TABLE') return !each.caption?.textContent.trim();
  if (each.tagName === 'FIGURE') return !each.querySelector('caption, figcaption');
  return !each.textContent.trim();
}).map(each => each.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(make, page_of):
    return page_of(make)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Return the page of three arms, of which one failed and one has no lists; it is made once."""
    made = []

    def build(make):
        if not made:
            folder = tmp_path_factory.mktemp("page")
            wide = tuple(evaluation(f"iteration_{i}", i, 0.1 * i) for i in range(3))
            records = [full(make, seed=seed) for seed in (0, 1, 2)]
            records += [full(make, 'dp"o<script>', command="sprec 'dp\"o<script>'")]
            records += [make("sft", evaluations=wide)]
            records += [make("spin", status="failed", error="OSError: <img src=x>", evaluations=())]
            for number, record in enumerate(records):
                record.save(folder / str(number) / "run.json")
            assert main([str(folder), "--output", str(folder / "page.html")]) == 0
            made.append(folder / "page.html")
        return made[0]

    return build


def test_nothing_is_loaded_and_no_title_becomes_code(browser, page):
    browser.open(page)
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.complaints == []
    assert browser.value("document.title") == "Self-play report"
    assert browser.value("document.querySelectorAll('script, img, iframe, link, object').length") == 0
    text = browser.value("document.body.textContent")
    assert all(title in text for title in TITLES)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_page_never_scrolls_sideways(browser, page, width):
    browser.open(page, width=width)
    browser.value(OPENED)
    assert browser.value("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_contrast(browser, page, dark):
    browser.open(page, dark=dark)
    browser.value(OPENED)
    texts = browser.value(CONTRASTS)
    assert len(texts) > 300
    assert {tag for _, _, tag in texts} >= {"text", "TD", "H1", "SUMMARY", "SPAN"}
    assert [each for each in texts if each[0] < 4.5] == []


def test_drawings_are_recoloured_in_the_dark(browser, page):
    light, dark = PAIRS[0]
    stroke = f"getComputedStyle(document.querySelector('.panels path[stroke=\"{light}\"]')).stroke"
    for scheme, color in ((False, light), (True, dark)):
        browser.open(page, dark=scheme)
        assert browser.value(stroke) == f"rgb({', '.join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 26)"


def test_headings_go_down_one_level_at_a_time(browser, page):
    browser.open(page)
    levels = browser.value("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => +e.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_everything_has_a_name(browser, page):
    browser.open(page)
    assert browser.value(UNNAMED) == []
    assert browser.value("document.querySelectorAll('svg [role], svg [aria-label]').length") == 0
    assert browser.value("document.documentElement.lang") == "en"
    assert (
        browser.value("['header', 'nav', 'main', 'footer'].map(e => document.querySelectorAll(e).length)")
        == [1] * 4
    )
    ids = browser.value("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    links = browser.value("[...document.querySelectorAll('a')].map(e => e.getAttribute('href').slice(1))")
    assert set(links) <= set(ids)


def test_every_figure_has_a_text_alternative_and_its_numbers(browser, page):
    browser.open(page)
    figures = browser.value(
        "[...document.querySelectorAll('figure.card')].map(e => ['.panels svg', "
        "'.panels svg[role=img][aria-label]', 'details table'].map(s => e.querySelectorAll(s).length))"
    )
    assert len(figures) >= 6
    assert all(panels == named > 0 and tables == 1 for panels, named, tables in figures)


def test_heads_of_tables_have_scopes(browser, page):
    browser.open(page)
    assert browser.value("document.querySelectorAll('th:not([scope])').length") == 0
    assert browser.value(
        "[...document.querySelectorAll('table')].every(e => e.querySelector('th[scope=row]'))"
    )


def test_what_scrolls_can_be_reached_by_keyboard(browser, page):
    browser.open(page, width=390)
    browser.value(OPENED)
    unreachable = (
        "[...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1 && "
        "['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0).length"
    )
    assert browser.value(unreachable) == 0


def test_keyboard_skips_to_the_results_and_unfolds(browser, page):
    browser.open(page)
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    assert browser.value("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter")
    assert browser.value("location.hash") == "#main"
    folded = "document.querySelector('main details:not([open]) > summary')"
    browser.value(f"{folded}.focus(), window.folded = document.activeElement.parentElement, 0")
    browser.press("Enter")
    assert browser.value("window.folded.open") is True


def test_other_writing_directions_stay_in_their_place(browser, page):
    browser.open(page)
    alone = browser.value(
        "[...document.querySelectorAll('.example li, .example .wrote')].every(e => e.querySelector('bdi'))"
    )
    assert alone
