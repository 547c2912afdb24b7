"""The page that goes with an exported encoder: what it is, and how to use it."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from jaxcl.config import DistributedConfig, as_dict
from jaxcl.experiment._formats import Format
from jaxcl.experiment._trained import TrainedEncoder
from jaxcl.files import read_regular
from jaxcl.reports import printable

MARK = "<!-- written by `jaxcl export` -->"

_METHODS = {"knn": "kNN", "linear_probe": "linear probe"}
_MOST_BYTES = 2**28
_PARTS = {
    "all": "all of them were trained further",
    "head": "none of them was changed",
    "last_k": "the last blocks were trained further",
    "lora": "LoRA was trained, and is merged into them",
}

_PAGE = """\
---
library_name: {library}
pipeline_tag: image-feature-extraction
tags:
- jaxcl
- contrastive-learning
- {to}
---
{mark}

# {name}

An image encoder: uint8 images `[batch, {shape}]` to float32 embeddings
`[batch, {dim}]`, trained by the loss `{objective}` for {step} steps with jaxcl.

- Encoder: {architecture}, {parameters:,} parameters{average}
{start}- Trained on: {data}
- Run: step {step}, jaxcl {version}, commit {commit}, JAX {jax}
- Weights: SHA-256 `{digest}`

## How to load it

```python
{code}```

{notes}

## Images

uint8 from 0 to 255, RGB or gray as the {channels} channel(s) of `[batch, {shape}]`, the
channel last. Images of another size were brought to {height} × {width} in the training
with `data.fit = "{fit}"`{fitting}.
{normalization}

## Results

{results}

## Comparison with the run

Largest difference {difference:.1e} of the largest entry, over random images in batches
of {sizes}; refused above {bound:.0e}. Checked with JAX {checked} when it was written.

## License

Set by whoever owns the data and this run{owners}.

## Config

<details><summary>All fields</summary>

```toml
{config}```

</details>
"""


def write_card(
    trained: TrainedEncoder,
    to: str,
    form: Format,
    file: str,
    said: str,
    *,
    difference: float,
    sizes: tuple[int, ...],
    versions: Mapping[str, str],
) -> str:
    """The page of an exported encoder, in Markdown.

    Args:
        trained: The encoder.
        to: The name of the format.
        form: The format.
        file: The name of the file.
        said: What else there is to say of it.
        difference: The largest difference from the run.
        sizes: Batch sizes of the comparison.
        versions: Of the packages that wrote the file.
    """
    height, width, channels = trained.image_shape
    shape = f"{height}, {width}, {channels}"
    config, extra = trained.config, trained.extra
    then = extra.get("versions") or {}
    crop = {"crop": ": the largest part of that shape, from the middle"}
    return _PAGE.format(
        library=form.library,
        to=to,
        mark=MARK,
        name=_plain(trained.run.name),
        shape=shape,
        dim=trained.dim,
        objective=config.objective.name,
        step=trained.step,
        architecture=_describe(extra["encoder"].get("architecture")),
        parameters=trained.count_parameters(),
        average=", their moving average" if config.model.average else "",
        start=_start(trained),
        owners=", and the weights it starts from" if config.model.init else "",
        data=_data(trained),
        version=_plain(then.get("jaxcl", "?")),
        commit=_plain((extra.get("origin") or {}).get("commit") or "unknown"),
        jax=_plain(then.get("jax", "?")),
        digest=trained.digest,
        code=form.code.format(file=file, shape=shape, dim=trained.dim),
        notes="\n\n".join(filter(None, (form.notes, said))),
        channels=channels,
        height=height,
        width=width,
        fit=config.data.fit,
        fitting=crop.get(config.data.fit, ""),
        normalization=_normalization(trained),
        results="\n".join(_results(trained)) or "No report of this step is in the run.",
        difference=difference,
        sizes=", ".join(map(str, sizes)),
        bound=form.bound,
        checked=versions["jax"],
        config=tomli_w.dumps(_public(trained)),
    )


def _plain(text: Any) -> str:
    """A text of a run as one line that is no Markdown: it can come from a stranger."""
    line = " ".join(printable(str(text)).split())
    return "`" + line.replace("`", "'") + "`"


def _describe(architecture: Mapping[str, Any] | None) -> str:
    if architecture is None:
        return "one of the author's own"
    options = ", ".join(f"{k} = {v}" for k, v in architecture["options"].items())
    return _plain(f"{architecture['kind']} ({options})")


def _start(trained: TrainedEncoder) -> str:
    """The weights that the run started from, if any."""
    if not trained.config.model.init:
        return ""
    name = Path(trained.config.model.init).name
    source = trained.extra["encoder"].get("source", "unknown")
    part = _PARTS[trained.config.model.train]
    return f"- Starts from: {_plain(name)}, weights of {_plain(source)}; {part}\n"


def _data(trained: TrainedEncoder) -> str:
    data = trained.config.data
    name = Path(data.path).name if data.path else data.name
    return f"{_plain(name)}, split {_plain(data.train_split)}"


def _normalization(trained: TrainedEncoder) -> str:
    if trained.normalization is None:
        return "The encoder divides them by 255, and that is all."
    mean, std = (
        ", ".join(f"{value:.4f}" for value in values.tolist())
        for values in trained.normalization
    )
    like = "the weights need that it started from"
    if not trained.config.model.init:
        like = "the training images"
    return (
        f"The encoder divides them by 255 and normalizes them as {like}:\n"
        f"mean ({mean}), standard deviation ({std})."
    )


def _public(trained: TrainedEncoder) -> dict[str, Any]:
    """The config without the directories of a machine."""
    data = trained.config.data
    named = {name: Path(getattr(data, name)).name for name in ("path", "table")}
    model = trained.config.model
    public = dataclasses.replace(
        trained.config,
        data=dataclasses.replace(data, data_dir="", **named),
        model=dataclasses.replace(model, init=Path(model.init).name),
        distributed=DistributedConfig(),
    )
    return as_dict(public)


def _results(trained: TrainedEncoder) -> Iterator[str]:
    """A table of the accuracies in the report, if it is of this step."""
    try:
        content = read_regular(trained.run / "report.json", _MOST_BYTES)
        after = json.loads(content)["evaluation"]["after"]
        rows = [
            (split, title, float(found[method]["accuracy"]))
            for split, found in after["splits"].items()
            for method, title in _METHODS.items()
            if method in found
        ]
        same = after["step"] == trained.step
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return
    if same and rows:
        yield "| split | method | accuracy |"
        yield "|---|---|---|"
        for split, title, accuracy in rows:
            yield f"| {_plain(split).replace('|', '/')} | {title} | {accuracy:.3f} |"
