import numpy as np
import pytest

from jaxcl.evaluation import (
    Embedded,
    accuracy_by_domain,
    domain_probe,
    evaluate_embeddings,
    knn_accuracies,
    knn_predictions,
    linear_probe_predictions,
)


def clusters(count, seed, labels=3, missing=0):
    """Embeddings in well separated clusters; the first labels are unknown."""
    generator = np.random.default_rng(seed)
    label = np.arange(count) % labels
    centers = 10 * np.eye(labels, 8)
    embeddings = centers[label] + generator.normal(size=(count, 8))
    domain = generator.integers(0, 2, count)
    known = label.copy()
    known[:missing] = -1
    return Embedded(embeddings, known, domain, np.arange(count))


def test_separated_classes_are_found():
    report = evaluate_embeddings(
        clusters(90, 0), {"test": clusters(60, 1)}, neighbors=5, domain_names=["a", "b"]
    )
    found = report["splits"]["test"]
    assert found["count"] == 60
    assert found["knn"]["accuracy"] == found["linear_probe"]["accuracy"] == 1.0
    assert set(found["knn"]["domains"]) == {"a", "b"}


def test_samples_without_a_label_count_nowhere():
    tests = {"some": clusters(60, 1, missing=40), "none": clusters(9, 2, missing=9)}
    train = clusters(90, 0, missing=30)
    report = evaluate_embeddings(train, tests, neighbors=5)
    assert set(report["splits"]) == {"some"}
    assert report["splits"]["some"]["count"] == 20
    assert report["splits"]["some"]["knn"]["accuracy"] == 1.0
    assert knn_accuracies(train, tests, 5) == {"some": 1.0}


@pytest.mark.parametrize(
    "train",
    [
        clusters(90, 0)._replace(label=None),
        clusters(90, 0, missing=90),
        clusters(90, 0, labels=1),
        clusters(90, 0, labels=1, missing=89),
    ],
    ids=["no column", "none known", "one class", "one label"],
)
def test_what_has_fewer_than_two_classes_to_learn_is_not_judged(train):
    tests = {"test": clusters(60, 1)}
    report = evaluate_embeddings(train, tests, neighbors=5)
    assert report["splits"] == {} and report["domain_probe"]["split"] == "test"
    assert knn_accuracies(train, tests, 5) == {}


def test_a_test_split_without_a_column_of_labels_is_not_judged():
    tests = {"none": clusters(60, 1)._replace(label=None), "test": clusters(60, 1)}
    assert set(evaluate_embeddings(clusters(90, 0), tests, neighbors=5)["splits"]) == {
        "test"
    }
    assert knn_accuracies(clusters(90, 0), tests, 5) == {"test": 1.0}


def test_a_label_in_two_training_samples_is_enough():
    train, tests = clusters(90, 0, missing=87), {"test": clusters(60, 1)}
    assert knn_accuracies(train, tests, 20) == {"test": 1.0}


def test_negative_ids_other_than_minus_one_are_classes_and_domains():
    train, test = clusters(90, 0), clusters(60, 1)
    hashed = [
        each._replace(label=each.label - 7, domain=-each.domain - 2)
        for each in (train, test)
    ]
    found = evaluate_embeddings(hashed[0], {"test": hashed[1]}, neighbors=5)
    right = evaluate_embeddings(train, {"test": test}, neighbors=5)
    found, right = found["splits"]["test"], right["splits"]["test"]
    assert found["knn"]["accuracy"] == right["knn"]["accuracy"] == 1.0
    assert set(found["knn"]["domains"]) == {"-2", "-3"}


def test_neighbors_vote_with_the_weight_of_their_similarity():
    """A double loop over the k nearest, e^{s / 0.07} each."""
    generator = np.random.default_rng(4)
    rows, test = generator.normal(size=(40, 3)), generator.normal(size=(60, 3))
    labels = generator.integers(0, 4, 40) - 2
    expected, majority = [], []
    for row in test:
        cosines = rows @ row / np.linalg.norm(rows, axis=1) / np.linalg.norm(row)
        near = np.argsort(-cosines)[:9]
        votes, heads = dict.fromkeys(range(-2, 2), 0.0), dict.fromkeys(range(-2, 2), 0)
        for i in near:
            votes[labels[i]] += np.exp(cosines[i] / 0.07)
            heads[labels[i]] += 1
        expected.append(max(votes, key=votes.get))
        majority.append(max(heads, key=heads.get))
    found = knn_predictions(rows, labels, test, neighbors=9)
    assert found.tolist() == expected != majority


def test_more_neighbors_than_samples_are_all_samples():
    rows, labels = np.repeat(np.eye(4)[:2], [6, 2], 0), np.repeat([0, 1], [6, 2])
    assert knn_predictions(rows, labels, rows, 20).tolist() == labels.tolist()
    for predict in (knn_predictions, linear_probe_predictions):
        with pytest.raises(ValueError, match="`labels` must not be empty"):
            predict(rows[:0], labels[:0], rows)


def test_the_worst_domain_is_the_one_with_the_lowest_accuracy():
    correct = np.array([1, 1, 0, 1, 0, 0, 1], bool)
    domains = np.array([0, 0, 1, 1, 2, 2, -1])
    report = accuracy_by_domain(correct, domains)
    assert report["accuracy"] == pytest.approx(4 / 7)
    assert report["worst_domain"] == {"name": "2", "accuracy": 0.0}
    assert sum(group["count"] for group in report["domains"].values()) == 6


def test_the_domain_probe_knows_chance_from_knowledge():
    generator = np.random.default_rng(0)
    domains = np.arange(400) % 4
    noise = generator.normal(size=(400, 6))
    guessed = domain_probe(noise, domains)
    known = domain_probe(noise + 9 * np.eye(4, 6)[domains], domains)
    assert guessed["chance"] == known["chance"] == 0.25
    assert guessed["accuracy"] < 0.4
    assert known["accuracy"] > 0.99
    assert domain_probe(noise, np.zeros(400, int)) is None


def of_labels(label):
    rows = np.eye(4, dtype=np.float32)
    return Embedded(embeddings=rows, label=label, domain=None, instance=np.arange(4))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (None, None),
        (np.full(4, -1), np.array([0, 1, 0, 1])),
        (np.array([1, 1, 1, -1]), np.array([0, 1, 0, 1])),
        (np.array([0, 1, 0, 1]), np.full(4, -1)),
    ],
)
def test_no_split_is_judged_without_labels_or_with_one_class(train, test):
    splits = {"test": of_labels(test)}
    found = evaluate_embeddings(of_labels(train), splits, neighbors=3)
    assert found["splits"] == {} and found["domain_probe"] is None
    assert knn_accuracies(of_labels(train), splits, 3) == {}
