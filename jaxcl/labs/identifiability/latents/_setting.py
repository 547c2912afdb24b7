"""The distribution of positives and negatives on fibers, as theorems speak of it."""

import dataclasses
import warnings

from jaxcl.labs.identifiability.latents._fibers import (
    Conditional,
    check_conditional,
    check_fixed,
    check_ratio,
)


class UnmatchedTemperature(UserWarning):
    """A theorem needs temperature = 1 / concentration, and this does not hold."""


@dataclasses.dataclass(frozen=True)
class FiberSetting:
    """The distribution that positives and negatives are drawn from.

    Args:
        dim: Dimension k of the latents, which lie on the unit sphere.
        num_fixed: Number of coordinates that a positive shares with its anchor.
        temperature: Temperature t of the loss.
        concentration: κ of the positives; None = 1 / temperature, as the theorems
            require.
        conditional: Distribution of positives, as in `sample_positives`.
        constraint_ratio: Share of negatives that are drawn from the anchor's fiber.
    """

    dim: int = 3
    num_fixed: int = 1
    temperature: float = 0.3
    concentration: float | None = None
    conditional: Conditional = "restricted"
    constraint_ratio: float = 0.0

    def __post_init__(self):
        check_fixed(self.num_fixed, self.dim)
        check_conditional(self.conditional)
        check_ratio(self.constraint_ratio)
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be above 0, got {self.temperature}")
        if self.concentration is not None and not self.concentration >= 0:
            raise ValueError(
                f"`concentration` must be at least 0, got {self.concentration}"
            )

    @property
    def num_free(self) -> int:
        """Number of coordinates in which a positive differs from its anchor."""
        return self.dim - self.num_fixed

    @property
    def kappa(self) -> float:
        """The concentration."""
        given = self.concentration
        return 1.0 / self.temperature if given is None else given

    def check_matched(self) -> None:
        """Warns when temperature and concentration are not matched."""
        product = self.kappa * self.temperature
        if abs(product - 1.0) > 1e-6:
            consequence = (
                "a map that is not orthogonal is better than every orthogonal one"
                if product < 1
                else "no map matches the positives' distribution on large fibers"
            )
            warnings.warn(
                f"concentration · temperature must be 1 for orthogonal maps to be "
                f"optimal, got {product:.4g}: {consequence}",
                UnmatchedTemperature,
                stacklevel=3,
            )
