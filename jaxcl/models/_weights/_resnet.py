"""Names of the residual networks of torchvision, which timm shares.

Stages count from 1 there, and from 0 here; so do the convolutions of a block.
"""

from jaxcl.models._weights._table import Row

# Blocks of the four stages, and convolutions of a block.
DEPTHS = {18: ((2, 2, 2, 2), 2), 34: ((3, 4, 6, 3), 2), 50: ((3, 4, 6, 3), 3)}


def _norm_rows(theirs: str, ours: str) -> tuple[Row, ...]:
    return (
        Row(f"{theirs}.weight", f"{ours}.scale"),
        Row(f"{theirs}.bias", f"{ours}.bias"),
        Row(f"{theirs}.running_mean", f"state:{ours}.mean"),
        Row(f"{theirs}.running_var", f"state:{ours}.var"),
    )


def _block_rows(stage: int, block: int, convolutions: int) -> tuple[Row, ...]:
    theirs, ours = f"layer{stage}.{block}", f"stage{stage - 1}_block{block}"
    rows = []
    for i in range(convolutions):
        inner = f"{ours}.layer{i}"
        rows += [
            Row(f"{theirs}.conv{i + 1}.weight", f"{inner}.conv.kernel", "conv"),
            *_norm_rows(f"{theirs}.bn{i + 1}", f"{inner}.norm"),
        ]
    # The first block of a stage halves the map, or at least widens it.
    if block == 0 and (stage > 1 or convolutions == 3):
        inner, down = f"{ours}.shortcut", f"{theirs}.downsample"
        rows += [
            Row(f"{down}.0.weight", f"{inner}.conv.kernel", "conv"),
            *_norm_rows(f"{down}.1", f"{inner}.norm"),
        ]
    return tuple(rows)


def resnet_rows(depth: int) -> tuple[Row, ...]:
    """The table of a ResNet-18, -34 or -50."""
    stages, convolutions = DEPTHS[depth]
    rows = [
        Row("conv1.weight", "stem.conv.kernel", "conv"),
        *_norm_rows("bn1", "stem.norm"),
    ]
    for stage, blocks in enumerate(stages, start=1):
        for block in range(blocks):
            rows += _block_rows(stage, block, convolutions)
    return tuple(rows)
