"""Claims of two papers, judged by running them: `jaxcl reproduce`."""

from jaxcl.labs.reproduce._claim import (
    Check as Check,
    Claim as Claim,
    Measured as Measured,
    Outcome as Outcome,
)
from jaxcl.labs.reproduce._command import (
    ReproduceOptions as ReproduceOptions,
    show_claims as show_claims,
)
from jaxcl.labs.reproduce._run import (
    CLAIMS as CLAIMS,
    ClaimError as ClaimError,
    measure_claims as measure_claims,
)

__all__ = [
    "CLAIMS",
    "Check",
    "Claim",
    "ClaimError",
    "Measured",
    "Outcome",
    "ReproduceOptions",
    "measure_claims",
    "show_claims",
]
