import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_data_sets_is_what_the_registry_says():
    page = runpy.run_path(str(ROOT / "scripts" / "data_table.py"))
    assert (ROOT / "docs" / "data.md").read_text() == page["render"]()
