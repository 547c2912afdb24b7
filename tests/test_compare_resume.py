"""The page that compares how runs resume says what its script finds."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from long_tests import long

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "resume.md").read_text()


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import compare_resume

        yield compare_resume
        for name in [name for name in sys.modules if name.startswith("resume_peers")]:
            del sys.modules[name]


def rows():
    """The cells of the table of the page, by the title of their family."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\| \d", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {title: found for title, *found in cells}


def test_the_rows_of_the_page_are_the_families_of_the_script(script):
    titles = [family.title for family in script.FAMILIES.values()]
    assert list(rows()) == [f"{n} {title}" for n, title in enumerate(titles, 1)]
    assert all(len(cells) == len(script.PEERS) for cells in rows().values())
    assert len(titles) == 16


def test_every_family_of_the_page_has_a_command_that_can_be_read(script):
    commands = re.findall(r"python scripts/compare_resume\.py ([^`\n]*)", PAGE)
    read = [script.parse(command.split()) for command in commands]
    assert {*script.FAMILIES} <= {arguments.fault for arguments in read}
    with pytest.raises(SystemExit):
        script.parse(["jaxcl", "no_such_fault"])


@long
@pytest.mark.slow
def test_the_column_of_this_library_is_what_happens(script, tmp_path):
    # Those that take the fewest programs; `table` runs all.
    where = SimpleNamespace(peer="jaxcl", scratch=tmp_path, python=[])
    for fault in ("all_damaged", "other_model"):
        number = [*script.FAMILIES].index(fault) + 1
        title = f"{number} {script.FAMILIES[fault].title}"
        assert script.outcome("jaxcl", fault, where) == rows()[title][-1]
