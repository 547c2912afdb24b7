"""Records what compilers make of a few losses: docs/benchmarks/aot/limits.toml.

python scripts/aot_limits.py            # compiles, says what changed, writes
python scripts/aot_limits.py --dry      # writes nothing

Needs `pip install 'jaxcl[aot]'`; takes under a minute.
"""

import argparse
import importlib.metadata
from pathlib import Path

import tomli_w

from jaxcl.labs.benchmarks import find_changes, measure_limits, read_limits

PATH = Path(__file__).parents[1] / "docs" / "benchmarks" / "aot" / "limits.toml"
HEADER = """\
# Made by `python scripts/aot_limits.py`, which says what changed. A test compiles these
# programs for TPUs that are not there, and fails where one needs more trips, smaller
# tiles, larger buffers or more collectives. Value and gradient; one device's share.
# trips: how often a tile of logits is formed. tile: its entries. largest buffer: MiB.
# share of pairs: the largest share of a device's pairs in one buffer. collectives: how
# often they run, bodies of loops by their trips.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true")
    dry = parser.parse_args().dry
    recorded = read_limits(PATH) if PATH.exists() else {}
    found = measure_limits(tell=print)
    changes = find_changes(recorded, found)
    print(*changes or ["nothing changed"], sep="\n")
    if dry:
        return
    versions = {name: importlib.metadata.version(name) for name in ("jax", "libtpu")}
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(HEADER + "\n" + tomli_w.dumps({**versions, "limits": found}))


if __name__ == "__main__":
    main()
