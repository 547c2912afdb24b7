"""The texts of strangers are shown in a terminal, and do nothing there."""

import io
import json
import re
import unicodedata

import pytest
from reports.fakes import a_report
from rich.console import Console

from jaxcl.reports import literal, printable, render_html, render_table, to_json

OBEYED = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068",
    *"\u2069\ud800\udcff",
]
HARMLESS = "ü 漢字 עברית \u00a0 👩‍🔬 C:\\x1b [red] :heart: −0.5%"


def harmful(text: str) -> set[str]:
    return {letter for letter in text if letter in OBEYED}


@pytest.mark.parametrize("letter", OBEYED, ids=ascii)
def test_what_a_terminal_would_obey_is_spelled(letter: str):
    assert printable(f"a{letter}b") == f"a{ascii(letter)[1:-1]}b"
    assert not harmful(to_json([letter])) - {"\n"}
    assert json.loads(to_json([letter])) == [letter]


def test_all_other_texts_stay_as_they_are():
    assert printable(HARMLESS) == HARMLESS
    letters = {chr(code) for code in range(0x110000)} - {*OBEYED}
    changed = {letter for letter in letters if printable(letter) != letter}
    assert {unicodedata.category(letter) for letter in changed} == {"Cs"}


def test_line_breaks_that_are_meant_stay():
    assert printable("a\tb\nc", lines=True) == "a\\tb\nc"
    assert printable("a\tb\nc") == "a\\tb\\nc"
    assert literal("a\nb", "c").plain == "a\\nb\nc"


def test_neither_markup_nor_emoji_are_read_into_a_text():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with console.capture() as capture:
        console.print(literal("[red]x[/red] :heart: [link=https://a.b]y"))
    assert capture.get() == "[red]x[/red] :heart: [link=https://a.b]y\n"


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\u202e\u2066\x9b31m\x7f\ud800\n\t"


def hostile_report():
    report = a_report(HOSTILE, "x" * 200, "blue", name=f"run {HOSTILE}")
    after = report["evaluation"]["after"]["splits"]
    after[f"split {HOSTILE}"] = after.pop("id_test")
    report["config"]["data"] = {HOSTILE: HOSTILE}
    report["run"]["command"] = HOSTILE
    report["curves"][HOSTILE] = report["curves"]["loss"]
    report["evaluation_curves"][HOSTILE] = [0.1, 0.2, 0.3]
    return report


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.filterwarnings("error")
def test_tables_and_pages_show_hostile_names(count: int):
    console = Console(width=400, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_table([hostile_report()] * count))
    for text in (capture.get(), render_html([hostile_report()] * count)):
        assert not harmful(text) - {"\n", "\t"}
        assert r"\x1b]0;pwned\x07\x1b[2J\u202e\u2066\x9b31m\x7f\ud800" in text
        text.encode()  # half a character could not be written to a file


@pytest.mark.parametrize("names", [("x" * 200,), ("漢" * 100, "y " * 100)])
@pytest.mark.parametrize("several", [False, True])
def test_names_of_200_letters_leave_every_number_in_full(names, several: bool):
    report = a_report(*names, name="z" * 200)
    for when in ("before", "after"):
        splits = report["evaluation"][when]["splits"]
        splits["s" * 200] = splits["ood_test"]
        for result in splits.values():
            result["count"] = 1_234_567
    reports = [report, a_report("red")] if several else [report]
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_table(reports))
    text = capture.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    found = re.findall(r"(?<!\S)(\d[\d,.]*%?)(?!\S)", text)
    assert found.count("1,234,567") == 6
    # Accuracies, and those of the worst domain, of each split.
    for shown in ("85.4%", "81.2%"):
        assert found.count(shown) == 3 + 2 * several
    assert found.count("70.4%") == 6 + 4 * several
    assert found.count("10.1%") == (0 if several else 6)
