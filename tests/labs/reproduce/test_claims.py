"""The claims themselves: their verdicts are the recorded ones."""

import re

import pytest
from long_tests import LONG

from jaxcl.labs.reproduce import CLAIMS, measure_claims

# The tests of `identifiability` hold most numbers of the slower ones.
SECONDS = [
    claim
    for claim in CLAIMS
    if claim.budget == "seconds" and (LONG or claim.seconds <= 2)
]
# Statements of the papers that do not hold; docs/findings.md has the reasons.
REFUTED = {
    "identifiability/angle-error-convention",
    "identifiability/corrected-as-sampled",
    "identifiability/proxy",
    "similarities/gradient-as-printed",
    "similarities/similarity-bound-equality",
    "similarities/spectral-optimum",
}


@pytest.mark.parametrize("claim", SECONDS, ids=lambda claim: claim.name)
def test_a_claim_has_the_recorded_verdict(claim):
    (outcome,) = measure_claims([claim], "seconds")
    assert not outcome.failed
    expected = "refuted" if claim.name in REFUTED else "confirmed"
    assert outcome.verdict == expected, outcome.checks


def test_every_claim_has_all_its_texts():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        assert re.fullmatch(r"(identifiability|similarities)/[a-z0-9-]+", claim.name)
        assert re.search(r"arXiv \d{4}\.\d{5}$", claim.source), claim.name
        assert claim.statement.endswith(".")
        assert claim.setting
        assert claim.remark or claim.name not in REFUTED
        assert (claim.seconds > 10) == (claim.budget != "seconds"), claim.name
