"""The page of embeddings opens, and shows the names of strangers as text."""

import json

import pytest
from reports.browser import CHROMIUM, ask_page
from reports.fakes import Page

from jaxcl.reports import render_explore

pytest.importorskip("bokeh")


def in_a_browser(test):
    skipped = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
    return pytest.mark.slow(skipped(test))


HOSTILE = "</script><script>alert(1)</script>"
PIXEL = "data:image/webp;base64,UklGRh4AAABXRUJQVlA4TBEAAAAvAUAAAAfQsSb0uP+BiOh/AAA="


def a_page():
    """Ten images; the last one is lost, and its domain is unknown."""
    places = [*range(10)]
    label = {"kind": "category", "levels": [HOSTILE, "b"], "values": [0, 1] * 5}
    domain = {"kind": "category", "levels": ["&lt;", "<!-- script -->"]}
    age = {"kind": "number", "values": [0.5, None, *range(8)]}
    note = {"kind": "text", "values": [f'"{i}", =1' for i in places]}
    return {
        "title": HOSTILE,
        "origin": [HOSTILE],
        "maps": {"PCA": [places, [i % 3 for i in places]], HOSTILE: [places] * 2},
        "columns": [
            {"name": "label", **label},
            {"name": "domain", **domain, "values": [*[0, 1, 1] * 3, None]},
            {"name": "age", **age},
            {"name": HOSTILE, **note},
        ],
        "images": [PIXEL] * 9 + [None],
        "neighbors": [[(i + k) % 10 for k in range(1, 6)] for i in places],
    }


def test_names_of_strangers_end_no_script():
    text = render_explore(a_page())
    assert HOSTILE not in text
    start = text.index('id="data">') + len('id="data">')
    data = text[start : text.index("</script>", start)]
    assert json.loads(data) == a_page()
    assert not set("<>&") & set(data)
    assert len(text) < 2_000_000
    scripts = [attributes for tag, attributes in Page(text).tags if tag == "script"]
    assert len(scripts) == 5 and not any("src" in one for one in scripts)
    assert "default-src 'none'" in text


LOOK = """
const text = id => document.getElementById(id).innerText;
const ex = window.explorer, out = {};
out.points = ex.points.data.x.length;
out.thumbs = ex.thumbs.data.x.length;
out.wide = document.documentElement.scrollWidth - innerWidth;
out.legend = text("legend");
ex.show(0);
out.detail = text("detail");
await new Promise(done => setTimeout(done, 200));
out.images = [...document.querySelectorAll("img")].map(
  i => [i.alt !== "", i.complete && i.naturalWidth > 0]);
const color = document.getElementById("color");
out.colors = [...color.options].map(o => o.value);
color.value = "age";
color.onchange();
out.bar = text("legend");
out.painted = new Set(ex.points.data.color).size;
out.missing = ex.points.data.color[1];
document.querySelector("#legend button").click();
out.count = text("count");
out.csv = ex.csv();
out.rows = document.querySelectorAll("#selection tbody tr").length;
const map = document.getElementById("map");
map.selectedIndex = 1;
map.onchange();
out.y = [...ex.points.data.y];
return out;
"""


@pytest.fixture(scope="module", params=[400, 1300])
def answer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    return ask_page(render_explore(a_page()), LOOK, request.param, folder)


@in_a_browser
def test_the_page_opens_without_a_complaint(answer):
    found, complaints = answer
    assert complaints == []
    assert found["points"] == 10 and 1 <= found["thumbs"] <= 9
    assert found["wide"] <= 0


@in_a_browser
def test_an_image_is_shown_with_all_that_is_known(answer):
    found, _ = answer
    detail = " ".join(found["detail"].split())
    assert f"label {HOSTILE} domain &lt; age 0.5" in detail
    assert detail.count("<!-- script -->") == 4  # of its neighbors
    assert len(found["images"]) == 6
    assert all(alt and shown for alt, shown in found["images"])


@in_a_browser
def test_colors_have_a_legend_and_missing_values_are_gray(answer):
    found, _ = answer
    assert f"{HOSTILE} (5)" in found["legend"] and "b (5)" in found["legend"]
    assert found["colors"] == ["label", "domain", "age", ""]
    assert "unknown (1)" in found["bar"] and "age" in found["bar"]
    assert found["painted"] == 10 and found["missing"] == "#b4b9bf"


@in_a_browser
def test_a_selection_is_listed_and_saved(answer):
    found, _ = answer
    assert found["count"] == "1 images" and found["rows"] == 1
    assert found["csv"] == (
        f'"label","domain","age","{HOSTILE}"\r\n"b","<!-- script -->",,"""1"", =1"\r\n'
    )
    assert found["y"] == [*range(10)]
