"""What a small training is given: latents, negatives, sizes and steps."""

import dataclasses
from typing import Literal, get_args

from jaxcl.labs.identifiability.latents._setting import FiberSetting

Negatives = Literal["shared", "fiber", "augmented", "weighted"]


@dataclasses.dataclass(frozen=True)
class RecoveryTask:
    """A training of a small encoder on latents of the sphere.

    Args:
        setting: Distribution of positives, temperature, and the share of negatives
            from the anchor's fiber.
        negatives: Where negatives come from. "shared": the whole sphere, the same for
            all anchors. "fiber": as `constraint_ratio` of the setting says, the same
            for all anchors of a fiber. "augmented": positives of the anchor, as in the
            paper's proxy (Alg. 14), which collapses. "weighted": the same, with the
            importance weights that correct their distribution.
        repair_temperature: Divides by t · r² instead of t, with each anchor's own r.
            Orthogonal maps are then optimal for "sub_sphere" positives.
        anchors: Anchors per step.
        fibers: Fibers per step that the anchors lie on, with "fiber".
        num_negatives: Negatives M of an anchor.
        num_steps: Steps of Adam with a cosine schedule.
        learning_rate: Learning rate of the first step.
        evaluated: Number of latents on which recovery is measured.
    """

    setting: FiberSetting
    negatives: Negatives = "shared"
    repair_temperature: bool = False
    anchors: int = 512
    fibers: int = 32
    num_negatives: int = 512
    num_steps: int = 2000
    learning_rate: float = 1e-3
    evaluated: int = 4096

    def __post_init__(self):
        if self.negatives not in get_args(Negatives):
            raise ValueError(
                f"`negatives` must be one of {get_args(Negatives)}, got "
                f"{self.negatives!r}"
            )
        for name in ("anchors", "fibers", "num_negatives", "num_steps", "evaluated"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1, got {getattr(self, name)}"
                )
        if self.negatives == "fiber" and self.anchors % self.fibers:
            raise ValueError(
                f"`fibers` must divide anchors = {self.anchors}, got {self.fibers}"
            )
        if self.negatives != "fiber" and self.setting.constraint_ratio:
            raise ValueError(
                "`setting.constraint_ratio` must be 0 unless `negatives` is 'fiber', "
                f"got {self.setting.constraint_ratio} with {self.negatives!r}"
            )
        if self.negatives != "shared" and self.setting.num_fixed == 0:
            raise ValueError(
                f"`negatives` must be 'shared' without fixed coordinates, got "
                f"{self.negatives!r}"
            )
        if self.negatives != "shared" or self.setting.num_fixed == 0:
            self.setting.check_matched()
