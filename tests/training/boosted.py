#!/usr/bin/env python3
"""What a step on all leaves of a boosted model is worth: R2 on rows left out, in the clear.

Usage: tests/training/boosted.py      needs scikit-learn

50 trees of depth 3 are learned on a tenth of the rows, then stepped by all of them: the table of docs/training.md,
means of ten splits. The formula is that of crates/training/src/leaves/boosted.rs, without rounding of residuals.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_friedman1
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

TREES, SPLITS = 50, 10


def learn(X, y):
    return GradientBoostingRegressor(n_estimators=TREES, max_depth=3, random_state=0).fit(X, y)


def step(before, leaves, y, rate):
    """`before` and `leaves` are those of the rows that are stepped by, and of those left out."""
    residuals = y - before[0]
    after = [said.copy() for said in before]
    for tree in range(TREES):
        reached = leaves[0][:, tree]
        rows = np.bincount(reached, minlength=16)
        sums = np.bincount(reached, residuals, minlength=16)
        means = np.divide(sums, rows, out=np.zeros(16), where=rows > 0)
        for said, own in zip(after, leaves):
            said += rate / TREES * means[own[:, tree]]
    return after


def steps(model, X, rest, y, rate, count):
    said = [model.predict(X), model.predict(rest)]
    leaves = [model.apply(X).astype(int), model.apply(rest).astype(int)]
    for _ in range(count):
        said = step(said, leaves, y, rate)
    return said[1]


def tables():
    diabetes, wine, cancer, digits = load_diabetes(), load_wine(), load_breast_cancer(), load_digits()
    yield "diabetes", diabetes.data, diabetes.target
    yield "wine, alcohol", wine.data[:, 1:], wine.data[:, 0]
    # Without the columns that are nearly the same.
    others = np.delete(cancer.data, [23, 20, 22, 3, 13], axis=1)
    yield "breast cancer, worst area", others, cancer.data[:, 23]
    yield "digits", digits.data, digits.target.astype(float)
    yield "Friedman", *make_friedman1(2000, noise=1, random_state=0)


for name, X, y in tables():
    found = {}
    for split in range(SPLITS):
        rows, rest, labels, expected = train_test_split(X, y, random_state=split, test_size=0.25)
        sample, _, of_sample, _ = train_test_split(rows, labels, random_state=split, train_size=0.1)
        model = learn(sample, of_sample)
        for what, predicted in {
            "a tenth": model.predict(rest),
            "rate 1": steps(model, rows, rest, labels, 1, 1),
            "rate 2": steps(model, rows, rest, labels, 2, 1),
            "rate 5, not taken": steps(model, rows, rest, labels, 5, 1),
            "five steps": steps(model, rows, rest, labels, 2, 5),
            "twenty steps": steps(model, rows, rest, labels, 2, 20),
            "all rows": learn(rows, labels).predict(rest),
        }.items():
            found.setdefault(what, []).append(r2_score(expected, predicted))
    print(f"{name} ({len(labels)} rows):", ", ".join(f"{what} {np.mean(own):.3f}" for what, own in found.items()))
