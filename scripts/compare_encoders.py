"""Compares loaded encoders with those of the libraries that published them.

python scripts/compare_encoders.py
python scripts/compare_encoders.py --record tests/models/recordings/encoders.jsonl
python scripts/compare_encoders.py --dinov2 CHECKOUT --dinov3 CHECKOUT

Random weights go through a file of the other library into jaxcl. Prints family, images
and the largest difference of the embeddings, relative to the largest embedding. Needs
`.[bench]`. DINOv2's and DINOv3's own code is no package: name a checkout. Exits with 1
when a difference is above 1e-5.
"""

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcl.models import load_pretrained

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
drawing = importlib.import_module("public_weights")

LIMIT = 1e-5


class Case(NamedTuple):
    """A network of another library.

    Attributes:
        name: What it is called in the table.
        model: The network.
        embed: Its embeddings of images with channels first.
        image_shape: Of the images that it is asked about.
        configs: Files beside its weights: name and content.
        recorded: Whether its answers are small enough to be kept.
    """

    name: str
    model: Any
    embed: Callable[[Any], Any]
    image_shape: tuple[int, int, int]
    configs: dict[str, Any] = {}  # noqa: RUF012
    recorded: bool = False


def torchvision_cases() -> Iterator[Case]:
    torch = importlib.import_module("torch")
    torchvision = importlib.import_module("torchvision")

    for depth in (18, 34, 50):
        model = getattr(torchvision.models, f"resnet{depth}")()
        head = model.fc
        model.fc = torch.nn.Identity()

        def embed(images, model=model):
            return model(images)

        model.fc_kept = head  # leaves its keys in the file, under a name we map back
        yield Case(f"torchvision resnet{depth}", model, embed, (96, 96, 3))


def timm_cases() -> Iterator[Case]:
    timm = importlib.import_module("timm")

    def make(name, side, recorded=False, width=None, **options):
        model = timm.create_model(name, num_classes=0, **options)
        arguments = (
            {"num_heads": options["num_heads"]} if "num_heads" in options else {}
        )
        config = {
            "architecture": name,
            "global_pool": model.global_pool,
            "model_args": arguments,
            "pretrained_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]},
        }
        if "resnet" in name:
            config = {}
        shape = (side, width or side, 3)
        files = {"config.json": config} if config else {}
        words = "".join(f" {key}={value}" for key, value in options.items())
        return Case(f"timm {name}{words}", model, model, shape, files, recorded)

    small = {"embed_dim": 64, "depth": 2, "num_heads": 4}
    yield make("resnet18", 64, recorded=True)
    yield make("resnet34", 96)
    yield make("resnet50", 64, recorded=True)
    yield make("vit_tiny_patch16_224", 224)
    yield make("vit_small_patch16_224", 224)
    yield make("vit_tiny_patch16_224", 32, img_size=32, patch_size=4)
    tiny = {"img_size": 32, "patch_size": 8, **small}
    yield make("vit_tiny_patch16_224", 32, recorded=True, **tiny)
    moving = {**tiny, "dynamic_img_size": True}
    yield make("vit_tiny_patch16_224", 48, recorded=True, **moving)
    yield make("vit_tiny_patch16_224", 16, recorded=True, width=56, **moving)
    yield make("vit_small_patch16_224", 160, dynamic_img_size=True)
    yield make("vit_base_patch16_reg4_gap_256", 32, recorded=True, **tiny)
    yield make("vit_base_patch32_clip_quickgelu_224", 32, recorded=True, **tiny)
    for name in ("vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"):
        yield make(
            name, 56, recorded=True, **{**tiny, "patch_size": 14, "img_size": 56}
        )
        yield make(name, 224, dynamic_img_size=True)
    for name in ("vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb"):
        pool: Any = {"global_pool": "token"} if "qkvb" in name else {}
        yield make(name, 48, recorded=True, width=64, **small, **pool)
        yield make(name, 224, **pool)


def transformers_cases() -> Iterator[Case]:
    transformers = importlib.import_module("transformers")

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    for kind, options, side in (
        ("Dinov2", {"image_size": 56, "patch_size": 14}, 56),
        ("Dinov2WithRegisters", {"image_size": 56, "patch_size": 14}, 56),
        ("DINOv3ViT", {"num_register_tokens": 4, "intermediate_size": 256}, 64),
    ):
        config = getattr(transformers, f"{kind}Config")(**sizes, **options)
        model = getattr(transformers, f"{kind}Model")(config)
        stored = json.loads(config.to_json_string())

        def embed(images, model=model):
            return model(images).pooler_output

        name, shape = f"transformers {kind}", (side, side, 3)
        yield Case(name, model, embed, shape, {"config.json": stored}, recorded=True)


def open_clip_cases() -> Iterator[Case]:
    open_clip = importlib.import_module("open_clip")

    for quick in (False, True):
        vision = {"image_size": 64, "layers": 2, "width": 128, "patch_size": 32}
        text = {"width": 16, "heads": 1, "layers": 1, "vocab_size": 8}
        model = open_clip.model.CLIP(24, vision, text, quick_gelu=quick)
        stored = {"embed_dim": 24, "quick_gelu": quick, "vision_cfg": vision}
        files = {"open_clip_config.json": {"model_cfg": stored}}
        name = f"open_clip ViT quick_gelu={quick}"
        yield Case(name, model, model.encode_image, (64, 64, 3), files, recorded=True)
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    stored = {"embed_dim": 512, "vision_cfg": open_clip.get_model_config("ViT-B-32")}
    stored["vision_cfg"] = stored["vision_cfg"]["vision_cfg"]
    files = {"open_clip_config.json": {"model_cfg": stored}}
    yield Case("open_clip ViT-B-32", model, model.encode_image, (224, 224, 3), files)


def dinov2_cases(checkout: Path) -> Iterator[Case]:
    sys.path.insert(0, str(checkout))
    made = importlib.import_module("dinov2.models.vision_transformer")
    sizes = {"embed_dim": 64, "depth": 2, "num_heads": 4, "init_values": 1.0}
    for chunks, registers in ((0, 0), (2, 4)):
        model = made.DinoVisionTransformer(
            img_size=56,
            patch_size=14,
            block_chunks=chunks,
            num_register_tokens=registers,
            **sizes,
        )
        name = f"DINOv2 chunks={chunks} registers={registers}"
        files = {"config.json": {"num_attention_heads": 4}}
        yield Case(name, model, model, (56, 56, 3), files, recorded=True)


def dinov3_cases(checkout: Path) -> Iterator[Case]:
    sys.path.insert(0, str(checkout))
    made = importlib.import_module("dinov3.models.vision_transformer")
    model = made.DinoVisionTransformer(
        patch_size=16,
        pos_embed_rope_dtype="fp32",
        embed_dim=64,
        depth=2,
        num_heads=4,
        layerscale_init=1e-5,
        norm_layer="layernormbf16",
        n_storage_tokens=4,
        mask_k_bias=True,
    )
    files = {"config.json": {"num_attention_heads": 4}}
    yield Case("DINOv3", model, model, (48, 64, 3), files, recorded=True)


def give_weights(model: Any) -> dict[str, np.ndarray]:
    """Puts random weights into a network, and returns what its file holds."""
    torch = importlib.import_module("torch")

    stored = model.state_dict()
    drawn = {
        key: tuple(value.shape)
        for key, value in stored.items()
        if value.is_floating_point() and not key.endswith("periods")
    }
    with torch.no_grad():
        for key, values in drawing.draw_weights(drawn).items():
            stored[key].copy_(torch.from_numpy(values))
    model.eval()
    return {key: value.numpy() for key, value in stored.items()}


def compare(case: Case, folder: Path) -> tuple[float, np.ndarray, dict[str, Any]]:
    """The largest relative difference, their embeddings, and the shapes of a file."""
    torch = importlib.import_module("torch")
    from safetensors.numpy import save_file

    arrays = give_weights(case.model)
    arrays = {key.replace("fc_kept", "fc"): value for key, value in arrays.items()}
    save_file(arrays, folder / "model.safetensors")
    for name, content in case.configs.items():
        (folder / name).write_text(json.dumps(content))
    loaded = load_pretrained(folder)
    images = drawing.draw_images(case.image_shape)
    mean = np.asarray(loaded.mean, np.float32)
    std = np.asarray(loaded.std, np.float32)
    first = np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2))
    with torch.no_grad():
        theirs = case.embed(torch.from_numpy(first)).numpy()
    encoder = loaded.make_encoder(case.image_shape)
    key = jax.random.key(0)
    params, state = encoder.init(key, images)
    ours, _ = jax.jit(encoder.apply, static_argnums=3)(
        params, state, images, False, key
    )
    shapes = {key: list(value.shape) for key, value in arrays.items()}
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max()), theirs, shapes


def record(path: Path, case: Case, theirs: np.ndarray, shapes: dict[str, Any]) -> None:
    """Keeps the names of a file, and small answers, a case a line."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = {
        f"{row['name']} {row['image_shape']}": row for row in map(json.loads, lines)
    }
    row = {
        "name": case.name,
        "image_shape": list(case.image_shape),
        "configs": case.configs,
        "shapes": shapes,
        # The first are enough to tell one network from another.
        "embeddings": theirs[:, :64].tolist() if case.recorded else None,
    }
    kept[f"{row['name']} {row['image_shape']}"] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in kept.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help="file for what tests compare")
    parser.add_argument("--dinov2", type=Path, help="checkout of its code")
    parser.add_argument("--dinov3", type=Path, help="checkout of its code")
    parser.add_argument("--only", default="", help="part of the names of cases")
    arguments = parser.parse_args()
    makers = [torchvision_cases, timm_cases, transformers_cases, open_clip_cases]
    cases = [case for make in makers for case in make()]
    if arguments.dinov2 is not None:
        cases += dinov2_cases(arguments.dinov2)
    if arguments.dinov3 is not None:
        cases += dinov3_cases(arguments.dinov3)
    worst = 0.0
    for case in cases:
        if arguments.only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            difference, theirs, shapes = compare(case, Path(folder))
        worst = max(worst, difference)
        side = "×".join(map(str, case.image_shape[:2]))
        print(f"{difference:9.1e}  {side:9}{case.name}", flush=True)
        if arguments.record is not None:
            record(arguments.record, case, theirs, shapes)
    print(f"largest {worst:.1e}, allowed {LIMIT:.0e}")
    return int(not worst <= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
