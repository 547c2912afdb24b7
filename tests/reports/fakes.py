"""Made-up reports, and a reader of the pages that they become."""

import base64
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Page(HTMLParser):
    """Tags with their attributes, the text, tables as cells; checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def row(self, *start: str) -> list[str]:
        """The first row of any table that begins with these cells."""
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        return next(row for row in rows if tuple(row[: len(start)]) == start)


def scores(base: float, domains: dict[str, float]) -> dict[str, Any]:
    found: dict[str, Any] = {"accuracy": base}
    if domains:
        worst = min(domains, key=lambda name: domains[name])
        found["domains"] = {
            name: {"accuracy": value, "count": 30} for name, value in domains.items()
        }
        found["worst_domain"] = {"name": worst, "accuracy": domains[worst]}
    return found


def similarities(variance: float) -> dict[str, Any]:
    found: dict[str, Any] = {"edges": [-1.0, -0.5, 0.0, 0.5, 1.0]}
    for pair, mean in (("positive", 0.8125), ("negative", -0.0625), ("within", 0.125)):
        found |= {f"{pair}_mean": mean, f"{pair}_variance": variance}
        found |= {f"{pair}_min": -0.9, f"{pair}_max": 0.9875, f"{pair}_count": 4096}
        found[f"{pair}_histogram"] = [0, 1, 2, 5]
    return found


def evaluation(base: float, domains: dict[str, float]) -> dict[str, Any]:
    result = {
        "knn": scores(base - 0.0421, domains),
        "linear_probe": scores(base, domains),
    }
    probe = {"accuracy": 0.987, "chance": 0.5, "split": "id_test"} if domains else None
    return {
        "step": 600,
        "splits": {
            "id_test": {"count": 300, **result},
            "ood_test": {"count": 3000, **result},
        },
        "domain_probe": probe,
        "similarity_statistics": similarities(base / 100),
    }


def a_report(*domains: str, name: str = "quickstart") -> dict[str, Any]:
    before = {domain: 0.1013 + 0.0107 * place for place, domain in enumerate(domains)}
    after = {domain: 0.7042 + 0.0213 * place for place, domain in enumerate(domains)}
    steps = list(range(1, 601))
    seconds = {"data": 1.2, "compile": 8.1, "train": 70.0, "evaluate": 9, "total": 92.0}
    settings = {"name": "nt_xent", "temperature": 0.2, "penalties": {"variance": 0.0}}
    noise = [0.2 * (-1) ** step for step in steps]
    return {
        "name": name,
        "run": {
            "workdir": "runs/quickstart",
            "command": "jaxcl train configs/quickstart.toml",
            "commit": "abc1234",
            "started": "2026-11-22T15:00:00+00:00",
            "seconds": seconds,
            "steps": 600,
            "images_per_second": 2103.0,
            "peak_memory_mib": 900.0,
        },
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "devices": {"platform": "cpu", "kind": "cpu", "count": 1, "processes": 1},
        "config": {"seed": 0, "objective": settings, "data": {"sizes": [32, 32]}},
        "data": {
            "name": "colored_digits",
            "labels": ["0", "1"],
            "domains": list(domains) or None,
            "splits": {"train": 1197, "id_test": 300, "ood_test": 3000},
        },
        "curves": {
            "step": steps,
            "loss": [2 + 3 / step + n for step, n in zip(steps, noise, strict=True)],
            "learning_rate": [1e-3 * (1 - step / 600) for step in steps],
        },
        "evaluation_curves": {"step": [0, 300, 600], "ood_test": [0.3, 0.6, 0.7]},
        "evaluation": {
            "before": evaluation(0.3127, before),
            "after": evaluation(0.8538, after),
        },
    }


def with_domains() -> dict[str, Any]:
    return a_report("red", "green", "blue")


def an_image(name: str) -> str:
    """An address as that of an image; it need not be one."""
    data = base64.b64encode(f"image{name}".encode()).decode()
    return f"data:image/webp;base64,{data}"


def a_looks() -> dict[str, Any]:
    """The images of `a_report`: one training image, and two test images."""

    def one(name: str, label: str, **more: Any) -> dict[str, Any]:
        return {"image": an_image(name), "label": label, "domain": "red", **more}

    def near(*labels: str) -> list[dict[str, Any]]:
        return [
            one(f"{place}", label, similarity=0.5) for place, label in enumerate(labels)
        ]

    shares = {"queries": 300, "neighbors": 10, "label": 0.12, "domain": 0.93}
    shares |= {"label_chance": 0.1, "domain_chance": 0.1}
    shares |= {"only_label": 0.01, "only_label_chance": 0.09}
    shares |= {"only_domain": 0.8, "only_domain_chance": 0.09}
    old = shares | {"label": 0.11, "domain": 0.97}
    return {
        "step": 600,
        "columns": {"label": "label", "domain": "domain"},
        "pixelated": True,
        "views": [one("x", "7", views=[an_image("v"), an_image("w")])],
        "queries": [
            one("a", "3", split="id_test", before=near("3", "3"), after=near("3", "3")),
            one(
                "b", "3", split="ood_test", before=near("3", "3"), after=near("8", "3")
            ),
        ],
        "shares": {"before": {"ood_test": old}, "after": {"ood_test": shares}},
    }
