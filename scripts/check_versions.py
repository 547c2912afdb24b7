"""Runs the tests on the oldest, the middle and the newest JAX that are supported.

    python scripts/check_versions.py                          all tests on all three
    python scripts/check_versions.py oldest -- tests/losses   arguments for pytest

Needs uv, and Pythons 3.11, 3.12 and 3.13 of pyenv or that uv finds by itself.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a Colab holds, what Python 3.11 ends with, and whatever is newest.
VERSIONS = {
    "oldest": ("3.13", ["jax==0.7.2", "flax==0.11.2", "numpy==2.1.3"]),
    "middle": ("3.11", ["jax==0.10.2"]),
    "newest": ("3.12", ["jax", "flax"]),
}


def find_python(version: str) -> str:
    """The newest Python of pyenv of this version, or else the version, for uv to find.

    The shims of pyenv are found first by uv, and fail for versions that are not active.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob(f"versions/{version}.*/bin/python"))
    return str(found[-1]) if found else version


def check(name: str, arguments: list[str]) -> bool:
    """Makes an environment and runs the tests in it."""
    python, pins = VERSIONS[name]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / name
        interpreter = place / "bin" / "python"
        run = subprocess.run
        run(
            ["uv", "venv", "--quiet", "--python", find_python(python), place],
            check=True,
        )
        install = ["uv", "pip", "install", "--quiet", "--python", interpreter]
        run([*install, "--editable", f"{ROOT}[test]", *pins], check=True)
        shown = run(
            [interpreter, "-c", "import jax; print(jax.__version__)"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        print(f"== {name}: Python {python}, jax {shown}", flush=True)
        tests = [interpreter, "-m", "pytest", "-n", "2", "-q"]
        tests += arguments or ["tests", "jaxcl"]
        # Here the programs are compiled as users compile them.
        environment = {**os.environ, "JAXCL_TEST_OPTIMIZED": "1"}
        return run(tests, cwd=ROOT, env=environment, check=False).returncode == 0


def main() -> None:
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    names, arguments = words[:split] or list(VERSIONS), words[split + 1 :]
    results = {name: check(name, arguments) for name in names}
    for name, passed in results.items():
        print(f"{name}: {'passed' if passed else 'FAILED'}")
    raise SystemExit(not all(results.values()))


if __name__ == "__main__":
    main()
