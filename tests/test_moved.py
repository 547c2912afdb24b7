"""What moved says where it is now."""

import importlib

import pytest

import jaxcl


@pytest.mark.parametrize("name", sorted(jaxcl._MOVED))
def test_an_old_import_path_says_where_the_room_is_now(name):
    address = jaxcl._MOVED[name]
    with pytest.raises(ModuleNotFoundError, match=f"is now `jaxcl.{address}`"):
        importlib.import_module(f"jaxcl.{name}")
    with pytest.raises(AttributeError, match=f"is now `jaxcl.{address}`"):
        getattr(jaxcl, name)
    importlib.import_module(f"jaxcl.{address}")


def test_the_laboratories_load_after_a_bare_import():
    assert jaxcl.labs.studies.__name__ == "jaxcl.labs.studies"
