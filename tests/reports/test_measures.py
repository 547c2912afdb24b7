"""The tables of what is measured on the embeddings."""

from reports.fakes import a_report

from jaxcl.reports._measures import measures, remarks


def with_evaluation(when, **added):
    report = a_report("red", "<b>")
    report["evaluation"][when] |= added
    return report


def test_old_reports_have_no_such_table():
    assert measures(a_report("red")) == [] and remarks(a_report("red")) == []


def test_numbers_stand_before_and_after_training():
    scores = {"recall_at_1": 0.5, "recall_at_5": 0.75, "map_at_r": 0.25, "count": 40}
    report = with_evaluation("after", retrieval={"test": scores}, neighbors=5)
    (table,) = measures(report)
    assert table["rows"] == {"test": ["50.0%", "75.0%", "25.0%", "40"]}
    old = {**scores, "map_at_r": 0.125}
    report["evaluation"]["before"]["retrieval"] = {"test": old}
    (table,) = measures(report)
    assert table["rows"]["test"][2] == "12.5% \u2192 25.0%"
    assert remarks(report) == ["5 neighbors vote in kNN."]


def test_an_undefined_index_is_a_dash():
    found = {"robustness_index": None, "between_domain_share": 0.5}
    (table,) = measures(with_evaluation("after", domain_structure={"test": found}))
    assert table["rows"] == {"test": ["\u2013", "0.500", "\u2013"]}
