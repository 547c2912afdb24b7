"""Verdicts, budgets, and what the command says and writes."""

import html.parser
import json
import math

import numpy as np
import pytest
from long_tests import long

from jaxcl.cli import main
from jaxcl.data import DataError
from jaxcl.labs.reproduce import Check, Claim, ClaimError, Measured, measure_claims
from jaxcl.labs.reproduce._run import find_claims, read_budget


def claim(name="group/one", budget="seconds", seconds=1.0, checks=(), seeds=0):
    return Claim(
        name,
        "Thm 1, arXiv 0000.00000",
        "So it is.",
        "a setting",
        budget,
        seconds,
        lambda given: checks(given) if callable(checks) else checks,
        seeds,
    )


SURE = Check("a number", (1.0,), 1.0, 0.1)


@pytest.mark.parametrize(
    ("values", "expected", "tolerance", "relation", "random", "verdict"),
    [
        ((1.05,), 1.0, 0.1, "near", False, "confirmed"),
        ((1.2,), 1.0, 0.1, "near", False, "refuted"),
        ((0.9,), 1.0, 0.0, "below", False, "confirmed"),
        ((1.1,), 1.0, 0.0, "below", False, "refuted"),
        ((1.1,), 1.0, 0.0, "above", False, "confirmed"),
        # One seed of what is random decides nothing.
        ((1.0,), 1.0, 0.1, "near", True, "inconclusive"),
        ((0.99, 1.01, 1.0), 1.0, 0.1, "near", True, "confirmed"),
        ((0.8, 1.2, 1.0), 1.0, 0.1, "near", True, "inconclusive"),
        ((2.0, 2.01, 1.99), 1.0, 0.1, "near", True, "refuted"),
        ((math.nan,), 1.0, 0.1, "near", False, "refuted"),
        ((math.nan, 1.0), 1.0, 0.1, "near", True, "refuted"),
    ],
)
def test_a_verdict_depends_on_where_the_interval_lies(
    values, expected, tolerance, relation, random, verdict
):
    check = Check("x", values, expected, tolerance, relation, random=random)
    assert check.verdict == verdict


def test_an_interval_is_that_of_students_t():
    # 2.776 is the quantile of four degrees of freedom in every table.
    values = (1.0, 2.0, 3.0, 4.0, 5.0)
    mean, low, high = Check("x", values, 3.0, random=True).interval
    reach = 2.776 * math.sqrt(2.5) / math.sqrt(5)
    assert (mean, low, high) == pytest.approx((3.0, 3 - reach, 3 + reach), abs=1e-3)


def test_one_refuted_check_refutes_a_claim():
    wrong = Check("other", (2.0,), 1.0, 0.1)
    open_ = Check("third", (1.0,), 1.0, 0.1, random=True)
    found = measure_claims(
        [
            claim(checks=[SURE]),
            claim(checks=[SURE, open_]),
            claim(checks=[SURE, open_, wrong]),
        ]
    )
    verdicts = [outcome.verdict for outcome in found]
    assert verdicts == ["confirmed", "inconclusive", "refuted"]


def test_a_budget_skips_claims_that_need_more():
    claims = [claim(f"g/{b}", b, checks=[SURE]) for b in ("seconds", "cpu", "gpu")]
    for budget, left_out in (("seconds", 2), ("cpu", 1), ("gpu", 0)):
        verdicts = [outcome.verdict for outcome in measure_claims(claims, budget)]
        assert verdicts.count("skipped") == left_out
    skipped = measure_claims(claims, "cpu")[2]
    assert skipped.skipped == "needs --budget gpu"


def test_a_claim_does_not_start_if_its_minutes_are_not_left():
    claims = [claim("g/short", checks=[SURE]), claim("g/long", "cpu", 90, [SURE])]
    short, long = measure_claims(claims, 1.0)
    assert (short.verdict, long.verdict) == ("confirmed", "skipped")
    assert long.skipped == "takes about 90 s, 60 s left"


def test_a_claim_that_fails_does_not_stop_the_others():
    def fail(seeds):
        raise ArithmeticError("no such number")

    failed, empty, good = measure_claims(
        [claim(checks=fail), claim(checks=[]), claim(checks=[SURE])]
    )
    assert failed.failed == "ArithmeticError: no such number"
    assert empty.failed == "nothing was measured"
    assert (failed.verdict, good.verdict) == ("failed", "confirmed")


def test_seeds_are_the_claims_own_or_those_asked_for():
    asked = []
    random, sure = (
        claim(checks=lambda seeds: asked.append(seeds) or [SURE], seeds=count)
        for count in (2, 0)
    )
    measure_claims([random, sure])
    measure_claims([random, sure], seeds=3)
    assert asked == [(0, 1), (), (0, 1, 2), ()]


def test_wrong_options_are_answered_with_valid_ones():
    with pytest.raises(ClaimError, match="nearest: 'identifiability/temperature'"):
        find_claims(["identifiability/temprature"])
    with pytest.raises(ClaimError, match="seconds, cpu, gpu, or minutes above 0"):
        read_budget("hours")
    with pytest.raises(ClaimError, match="above 0, got '-3'"):
        read_budget("-3")
    with pytest.raises(ClaimError, match="`seeds` must be at least 1, got 0"):
        measure_claims([claim(checks=[SURE])], seeds=0)


def test_a_group_selects_all_its_claims():
    names = {found.name for found in find_claims(["similarities"])}
    assert names
    assert all(name.startswith("similarities/") for name in names)
    assert len(find_claims([])) > len(names)


class Page(html.parser.HTMLParser):
    """What a page shows, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.words, self.loads, self.open = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.loads.append(value)

    def handle_data(self, data):
        self.words += data


def test_the_command_prints_and_writes_what_it_found(tmp_path, capsys):
    name = "similarities/gradient-as-printed"
    arguments = ["reproduce", name, "identifiability/final-losses"]
    main([*arguments, "--out", str(tmp_path), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "claims.json").read_text())
    # In the order of the registry, whatever the order of the names.
    verdicts = {found["claim"]: found["verdict"] for found in printed["claims"]}
    assert verdicts == {"identifiability/final-losses": "confirmed", name: "refuted"}
    page = Page((tmp_path / "claims.html").read_text())
    assert "Of 2 claims: 1 confirmed, 1 refuted." in page.words
    assert not [link for link in page.loads if not link.startswith("data:")]
    assert (
        "It is half of that: the symmetric loss is a mean of two losses." in page.words
    )


def test_verdicts_do_not_change_the_exit_status(capsys):
    main(["reproduce", "similarities/gradient-as-printed", "--quiet"])
    assert "1 refuted" in capsys.readouterr().out
    with pytest.raises(SystemExit) as raised:
        main(["reproduce", "similarities/none"])
    assert raised.value.code == 1
    assert "there is no claim or group 'similarities/none'" in capsys.readouterr().err


def test_the_list_names_every_claim(capsys):
    main(["reproduce", "list", "similarities"])
    said = capsys.readouterr().out
    assert "similarities/penalty-values" in said
    assert "identifiability" not in said


@long
def test_data_for_figures_are_drawn():
    from jaxcl.labs.reproduce._figures import draw_figures

    rows = np.eye(3)
    pictures = Measured([SURE], {"a map": (rows, rows)}, {"m = 4": np.ones(100)})
    outcomes = measure_claims([claim(checks=pictures)])
    titles = [title for title, _, _ in draw_figures(outcomes)]
    assert titles[-2:] == [
        "What the encoders made of the sphere",
        "Similarities of negatives",
    ]


def test_a_claim_without_its_data_is_skipped_with_instructions():
    def look(seeds):
        raise DataError("data set 'cifar10' is not there. Build it")

    (outcome,) = measure_claims([claim(checks=look)])
    assert outcome.verdict == "skipped"
    assert outcome.skipped == "data set 'cifar10' is not there. Build it"
