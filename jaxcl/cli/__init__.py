"""The command `jaxcl`."""

try:
    from jaxcl.cli._main import main as main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("jaxcl"):
        raise
    raise SystemExit(
        f"the command `jaxcl` needs {error.name}: pip install 'jaxcl[train]'"
    ) from None

__all__ = ["main"]
