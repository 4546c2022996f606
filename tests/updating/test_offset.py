"""The head that labels correct starts from the vote, and is scikit-learn's logistic regression where there is none."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from modhub.updating.fitting import FeatureGroup, Views, changed_margins, log_softmax
from modhub.updating.offset import LabelledFeatures, choose_offset_head, fit_offset, fit_offset_head


def drawn(seed: int, votes: float, count: int = 300) -> LabelledFeatures:
    """Three classes around three points; the votes know the class that well."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = random.normal(size=(count, 5)) * 2 + np.eye(3, 5)[labels] * 3 + 4
    return LabelledFeatures(features, votes * np.eye(3)[labels] + 0.3 * random.normal(size=(count, 3)), labels)


def test_without_votes_it_is_logistic_regression() -> None:
    given = drawn(0, 0.0)
    given = LabelledFeatures(given.features, np.zeros((300, 3)), given.labels)
    strength = 0.05
    head = fit_offset_head(given, strength)
    z = (given.features - given.features.mean(axis=0)) / given.features.std(axis=0)
    with_ones = np.hstack([z, np.ones((300, 1))])
    known = LogisticRegression(C=1 / (strength * 300), fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = known.fit(with_ones, given.labels).decision_function(with_ones)
    found = head.logits(given)
    centred = [each - each.mean(axis=1, keepdims=True) for each in (found, expected)]
    np.testing.assert_allclose(*centred, atol=5e-3)


def test_a_strong_prior_leaves_the_vote() -> None:
    given = drawn(1, 1.0)
    found = fit_offset_head(given, 1e6).logits(given)
    np.testing.assert_allclose(found, 8 * given.votes, atol=1e-3)


def test_it_is_kept_only_where_held_back_images_gain() -> None:
    head = choose_offset_head(drawn(2, 0.1), drawn(3, 0.1))
    assert head is not None
    held_back = drawn(3, 0.1)
    before = (held_back.votes.argmax(axis=1) == held_back.labels).mean()
    assert (head.logits(held_back).argmax(axis=1) == held_back.labels).mean() > before + 0.1
    assert choose_offset_head(drawn(4, 5.0), drawn(5, 5.0)) is None


def test_modules_of_one_origin_get_the_head_on_all_its_features() -> None:
    given = drawn(6, 1.0)
    votes = given.votes / given.votes.max(axis=1).mean()
    views = Views(3 * votes, (FeatureGroup(0, np.arange(3), given.features),))
    found = changed_margins(views, fit_offset(views, given.labels, 0.1))
    expected = fit_offset_head(LabelledFeatures(given.features, votes, given.labels), 0.1).logits(
        LabelledFeatures(given.features, votes, given.labels)
    )
    np.testing.assert_allclose(8 * found / 3, expected, atol=1e-6)


def test_a_module_is_corrected_by_its_own_origins_features_and_others_stay() -> None:
    given, other = drawn(7, 0.3), drawn(8, 0.3)
    groups = (FeatureGroup(0, np.array([0]), given.features), FeatureGroup(1, np.array([2]), other.features))
    views = Views(given.votes / given.votes.max(axis=1).mean(), groups)
    changes = fit_offset(views, given.labels, 0.1)
    assert changes.keys() == {0, 2}
    rows = np.arange(len(given))

    def loss(margins: np.ndarray) -> float:
        return -float(log_softmax(8 * margins)[rows, given.labels].mean())

    after = changed_margins(views, changes)
    np.testing.assert_array_equal(after[:, 1], views.margins[:, 1])
    assert loss(after) < loss(views.margins)
