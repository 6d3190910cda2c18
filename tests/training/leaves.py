#!/usr/bin/env python3
"""Writes leaves.json: structures that scikit-learn learned on a sample, and what all rows leave in their leaves; of boosted
ones what a step on all leaves makes of them.

Usage: tests/training/leaves.py      needs scikit-learn (1.9.1 wrote the file)
"""

import csv
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestClassifier

TESTS = Path(__file__).resolve().parent.parent
SAMPLE, ROWS = 60, 96


def table(path):
    with open(TESTS / path) as file:
        rows = list(csv.reader(file))
    return rows[0], np.array(rows[1:], dtype=float)


def floor(threshold):
    """The largest 32-bit float that is not above: x <= threshold says the same of both."""
    own = np.float32(threshold)
    return float(np.nextafter(own, np.float32(-np.inf)) if own > threshold else own)


def split(tree, node):
    return {
        "feature": int(tree.feature[node]),
        "threshold": floor(tree.threshold[node]),
        "above": int(tree.children_right[node]),
        "below": int(tree.children_left[node]),
    }


def reference(path, model, encode):
    header, rows = table(path)
    X, y = rows[:, :-1], rows[:, -1]
    model.fit(X[:SAMPLE], y[:SAMPLE])
    X, y = X[:ROWS], y[:ROWS]
    trees = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        leaves = estimator.apply(X)
        nodes = []
        for node in range(tree.node_count):
            if tree.children_left[node] < 0:
                own = y[leaves == node]
                nodes.append({"rows": len(own), "says": encode(own) if len(own) else None})
                continue
            nodes.append(split(tree, node))
        trees.append(nodes)
    return {"table": path, "columns": header[:-1], "target": header[-1], "rows": ROWS, "trees": trees}


def boosted(path, model, rate, penalty, step):
    header, rows = table(path)
    X, y = rows[:, :-1], rows[:, -1]
    model.fit(X[:SAMPLE], y[:SAMPLE])
    X, y = X[:ROWS], y[:ROWS]
    residuals = y - model.predict(X)
    in_steps = step * np.round(residuals / step)
    after = in_steps.copy()
    trees = []
    for (estimator,) in model.estimators_:
        tree = estimator.tree_
        leaves = estimator.apply(X)
        nodes = []
        for node in range(tree.node_count):
            if tree.children_left[node] < 0:
                own = leaves == node
                added = rate / len(model.estimators_) * in_steps[own].sum() / (own.sum() + penalty)
                after[own] -= added
                said = model.learning_rate * float(tree.value[node, 0, 0])
                nodes.append({"rows": int(own.sum()), "said": said, "says": [said + float(added)]})
                continue
            nodes.append(split(tree, node))
        trees.append(nodes)
    says = {"base": float(model.init_.constant_[0, 0]), "rate": rate, "penalty": penalty, "step": step}
    errors = {"before": float(np.sqrt(np.mean(in_steps**2))), "after": float(np.sqrt(np.mean(after**2)))}
    return {"table": path, "columns": header[:-1], "target": header[-1], "rows": ROWS, "trees": trees, **says, **errors}


forest = RandomForestClassifier(8, max_depth=4, random_state=3)
extra = ExtraTreesRegressor(4, max_depth=4, random_state=4)
gradient = GradientBoostingRegressor(n_estimators=6, max_depth=3, learning_rate=0.3, random_state=5)
document = {
    "scikit-learn": sklearn.__version__,
    "forest": reference(
        "libraries/rf_bc/train.csv", forest, lambda y: [float(np.mean(y == label)) for label in (0, 1)]
    ),
    "extra_trees": reference("libraries/rfreg_diabetes/train.csv", extra, lambda y: [float(np.mean(y))]),
    "boosted": boosted("libraries/rfreg_diabetes/train.csv", gradient, 1.5, 2.0, 0.5),
}
path = Path(__file__).parent / "leaves.json"
path.write_text(json.dumps(document) + "\n")
