"""Pages are readable on a phone and on a wide screen, as a browser lays them out."""

import pytest
from reports.browser import CHROMIUM, find_faults
from reports.made_pages import make_pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
WIDTHS = (400, 1300)


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    return find_faults(make_pages(), WIDTHS, tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["run", "comparison", "claims", "study"])
def test_no_text_is_cut_or_overlaps(page, width, faults):
    assert faults[page, width] == []


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("wider than its box", ".tiles dd { white-space: nowrap; font-size: 60px }"),
        ("overlaps", ".tiles dd { white-space: nowrap; font-size: 90px }"),
        ("page wider than its window", "table { min-width: 700px }"),
        ("scrolls without a cue", ".scroll { background: none }"),
        ("image cut", ".thumb img { width: 500px }"),
    ],
)
def test_a_broken_layout_is_found(fault, broken, tmp_path):
    pages = {
        name: page.replace("</style>", f"{broken}</style>", 1)
        for name, page in make_pages().items()
    }
    found = find_faults(pages, (400,), tmp_path)
    assert any(text.startswith(fault) for texts in found.values() for text in texts)
