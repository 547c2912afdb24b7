"""Writes docs/losses.md, the catalogue of losses, from the docstrings of jaxcl.losses.

python scripts/catalogue.py           writes it again
python scripts/catalogue.py --check   exits with 1 and a diff if it is out of date
"""

import argparse
import difflib
import doctest
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from catalogue_words import (
    EXCHANGE,
    EXCHANGES,
    FAMILIES,
    INTRODUCTION,
    METADATA,
    MIGRATION,
    NO_MIGRATIONS,
)

import jaxcl.losses

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "losses.md"
MIGRATIONS = ROOT / "docs" / "migration.json"
SHARED = "Shared arguments"
LINK = f"{SHARED} are explained in `jaxcl.losses`."


class Loss(NamedTuple):
    """A public loss as its source tells it."""

    name: str
    summary: str
    body: str
    pairs: str
    cost: str
    sections: dict[str, str]
    signature: str
    parameters: dict[str, bool]
    """Whether each can be left out."""

    reductions: tuple[str, ...]

    @property
    def arguments(self) -> dict[str, str]:
        """What the docstring says of the loss's own arguments."""
        return read_arguments(self.sections.get("Args", ""))

    @property
    def shared(self) -> list[str]:
        """The other arguments, which the room explains once for all losses."""
        return [name for name in self.parameters if name not in self.arguments]


def read_arguments(text: str) -> dict[str, str]:
    """The entries `name: text` of a section of a docstring."""
    entries = re.split(r"^(\w+): ", text, flags=re.MULTILINE)
    pairs = zip(entries[1::2], entries[2::2], strict=True)
    return {name: " ".join(words.split()) for name, words in pairs}


def read_shared_arguments() -> dict[str, str]:
    """What the room's docstring says of the arguments that losses share."""
    _, section = (inspect.getdoc(jaxcl.losses) or "").split(f"\n{SHARED}:\n")
    return read_arguments(inspect.cleandoc("\n" + section))


def read_losses() -> list[Loss]:
    losses = [read_loss(getattr(jaxcl.losses, name)) for name in jaxcl.losses.__all__]
    check_families([loss.name for loss in losses], FAMILIES)
    order = [name for names in FAMILIES.values() for name in names]
    return sorted(losses, key=lambda loss: order.index(loss.name))


def check_families(names: list[str], families: Mapping[str, tuple[str, ...]]) -> None:
    listed = [name for members in families.values() for name in members]
    for name in names:
        if listed.count(name) != 1:
            raise SystemExit(
                f"`{name}` must be in one family of scripts/catalogue.py, "
                f"got {listed.count(name)}"
            )
    for name in sorted(set(listed) - set(names)):
        raise SystemExit(f"`{name}` of scripts/catalogue.py is not in jaxcl.losses")


def read_loss(fn: Callable[..., Any]) -> Loss:
    fn = inspect.unwrap(fn)
    name = fn.__name__
    head, *rest = re.split(r"^(\w+):\n", inspect.getdoc(fn) or "", flags=re.MULTILINE)
    texts = [inspect.cleandoc("\n" + text) for text in rest[1::2]]
    found = re.fullmatch(
        r"(.*?)\n\n(?:(.*)\n\n)?Pairs: (.*)\nCost: (.*)\n" + re.escape(LINK),
        head.strip(),
        re.DOTALL,
    )
    if found is None:
        raise SystemExit(
            f"the docstring of `{name}` must end its text with `Pairs:`, `Cost:` and "
            f"{LINK!r}"
        )
    summary, body, pairs, cost = (text or "" for text in found.groups())
    source = re.search(
        r"^def .*?:(?=\n    r?\"\"\")", inspect.getsource(fn), re.M | re.S
    )
    parameters = inspect.signature(fn).parameters
    return Loss(
        name,
        *(" ".join(summary.split()), body),
        *(" ".join(text.split()) for text in (pairs, cost)),
        sections=dict(zip(rest[::2], texts, strict=True)),
        signature=source.group() if source else "",
        parameters={
            key: parameter.default is not parameter.empty
            for key, parameter in parameters.items()
        },
        reductions=get_args(parameters["reduction"].annotation)
        if "reduction" in parameters
        else (),
    )


def render_row(loss: Loss) -> str:
    needs = [
        f"`{name}`" + " (optional)" * optional
        for name, optional in loss.parameters.items()
        if name in METADATA
    ]
    cells = (
        f"[`{loss.name}`](#{loss.name})",
        loss.summary,
        ", ".join(needs) or "—",
        loss.pairs,
        render_papers(loss.sections["References"]),
        loss.cost,
        ", ".join(loss.reductions) or "—",
    )
    return table_row(tuple(cell.removesuffix(".") for cell in cells))


def render_papers(references: str) -> str:
    text = " ".join(references.split())
    papers = list(dict.fromkeys(re.findall(r"arXiv (\d{4}\.\d{5})", text)))
    links = [f"[{paper}](https://arxiv.org/abs/{paper})" for paper in papers]
    return ", ".join(links) or re.split(r" \(| eq\.|\.$", text)[0].rstrip(",")


def render_section(loss: Loss) -> str:
    references = re.sub(
        r"arXiv (\d{4}\.\d{5})",
        r"[arXiv \1](https://arxiv.org/abs/\1)",
        loss.sections["References"],
    )
    arguments = render_arguments(loss.arguments)
    if loss.shared:
        names = ", ".join(f"`{name}`" for name in loss.shared)
        arguments.append(f"- [shared](#shared-arguments): {names}")
    lead, code = render_example(loss)
    parts = (
        f"### `{loss.name}`\n\n{loss.summary}",
        fence(loss.signature),
        render_body(loss.body),
        f"**Pairs:** {loss.pairs}  \n**Cost:** {loss.cost}  \n"
        f"**Devices:** {render_devices(loss)}",
        "**Arguments**\n\n" + "\n".join(arguments),
        f"**Returns** {loss.sections['Returns']}",
        f"**Source** {references}",
        f"**Example** {lead}".rstrip(),
        fence(code),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def render_arguments(arguments: Mapping[str, str]) -> list[str]:
    return [f"- `{name}`: {text}" for name, text in arguments.items()]


def render_body(body: str) -> str:
    """Indented blocks become code, all else stays as it is."""
    blocks = re.split(r"\n*^((?: {4}.*\n?|\n(?= {4}))+)", body, flags=re.MULTILINE)
    texts = [
        fence(inspect.cleandoc("\n" + block), "text") if k % 2 else block.strip()
        for k, block in enumerate(blocks)
    ]
    return "\n\n".join(text for text in texts if text)


def render_devices(loss: Loss) -> str:
    text = EXCHANGES[EXCHANGE.get(loss.name, "shared")]
    if "closed form" in loss.cost:
        text += " In closed form only means and Gram matrices are summed."
    return text


def render_example(loss: Loss) -> tuple[str, str]:
    """What it shows, and the doctest as a script that prints its results."""
    pieces = doctest.DocTestParser().parse(loss.sections["Example"])
    words = [piece for piece in pieces if isinstance(piece, str)]
    lines = []
    for piece in pieces:
        if isinstance(piece, doctest.Example):
            code, want = piece.source.rstrip(), piece.want.strip()
            lines.append(f"print({code})  # {want}" if want else code)
    heads = [line for line in lines if re.match(r"(from|import) ", line)]
    body = "\n".join(line for line in lines if line not in heads)
    own = [line for line in heads if " jaxcl" in line]
    if re.search(r"\bjax\.", body):
        heads.append("import jax")
    if re.search(r"\bjnp\.", body):
        heads.append("import jax.numpy as jnp")
    outside = sorted(set(heads) - set(own))
    head = [*outside, *sorted({*own, f"from jaxcl.losses import {loss.name}"})]
    return " ".join("".join(words).split()), "\n".join([*head, "", body])


def render_migrations(path: Path) -> str:
    if not path.is_file():
        return NO_MIGRATIONS.format(path=path.relative_to(ROOT))
    columns = ("here", "library", "their call", "our call", "difference", "checked")
    lines = [table_row(columns), "|---" * len(columns) + "|"]
    for row in json.loads(path.read_text())["migrations"]:
        cells = (
            f"[`{row['ours']}`](#{row['ours']})",
            f"{row['library']} {row['version']}",
            *(f"`{row[key]}`" for key in ("their_call", "our_call")),
            row["difference"],
            describe_check(row),
        )
        lines.append(table_row(cells))
    return "\n".join(lines) + "\n"


def describe_check(row: Mapping[str, Any]) -> str:
    if row["status"] != "equal":
        return f"{row['status']}: {row['reason']}" if "reason" in row else row["status"]
    return f"equal to {max(row['value_error'], row['gradient_error']):.0e}"


def table_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def fence(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```"


def render_page(losses: list[Loss], migrations: Path = MIGRATIONS) -> str:
    columns = ("loss", "what it is", "side data", "pairs", "paper", "cost", "reduction")
    shared = "\n".join(render_arguments(read_shared_arguments()))
    parts = [INTRODUCTION, f"## {SHARED}\n\n{shared}\n", "## Overview\n"]
    for title, names in FAMILIES.items():
        rows = [render_row(loss) for loss in losses if loss.name in names]
        table = [table_row(columns), "|---" * len(columns) + "|", *rows]
        parts.append(f"**{title}**\n\n" + "\n".join(table) + "\n")
    for title, names in FAMILIES.items():
        parts.append(f"## {title}\n")
        parts.extend(render_section(loss) for loss in losses if loss.name in names)
    parts.extend((MIGRATION, render_migrations(migrations)))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    found = render_page(read_losses())
    if not parser.parse_args().check:
        PAGE.write_text(found)
        return 0
    kept = PAGE.read_text() if PAGE.is_file() else ""
    lines = (kept.splitlines(True), found.splitlines(True))
    difference = list(difflib.unified_diff(*lines, "docs/losses.md", "docstrings"))
    sys.stdout.writelines(difference)
    return 1 if difference else 0


if __name__ == "__main__":
    raise SystemExit(main())
