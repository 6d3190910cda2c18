#!/usr/bin/env python3
"""Writes leaves.json: structures that scikit-learn learned on a sample, and what all rows leave in their leaves; of boosted
ones what a step on all leaves makes of them; and trees that it grew on bins.

Usage: tests/training/leaves.py      needs scikit-learn (1.9.1 wrote the file)
"""

import csv
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

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


def grown(path, rows, bins, encode, **options):
    """A tree on the numbers of bins, which no draw among equal splits has changed."""
    header, cells = table(path)
    X, y = cells[:rows, :-1], cells[:rows, -1]
    cuts = []
    for column in X.T:
        own = np.unique(np.quantile(column, np.arange(1, bins) / bins).astype(np.float32))
        cuts.append(own[own < column.max()])
    used = [index for index, own in enumerate(cuts) if len(own)]
    cuts = [cuts[index] for index in used]
    binned = np.column_stack([(X[:, [i]].astype(np.float32) > own).sum(axis=1) for i, own in zip(used, cuts)])
    kind = DecisionTreeRegressor if encode is mean else DecisionTreeClassifier
    models = [kind(random_state=seed, **options).fit(binned, y) for seed in range(20)]
    shapes = {json.dumps([model.tree_.feature.tolist(), model.tree_.threshold.tolist()]) for model in models}
    assert len(shapes) == 1, f"{path}: {len(shapes)} trees are equally good"
    tree, leaves = models[0].tree_, models[0].apply(binned)
    nodes = []
    for node in range(tree.node_count):
        if tree.children_left[node] < 0:
            own = y[leaves == node]
            nodes.append({"rows": len(own), "says": encode(own)})
            continue
        nodes.append(
            {
                "feature": int(tree.feature[node]),
                "cut": int(np.floor(tree.threshold[node])),
                "above": int(tree.children_right[node]),
                "below": int(tree.children_left[node]),
            }
        )
    spec = {"depth": options["max_depth"], "rows_a_leaf": options["min_samples_leaf"]}
    names = [header[index] for index in used]
    cuts = [[float(cut) for cut in own] for own in cuts]
    return {"table": path, "header": header, "columns": names, "target": header[-1], "cuts": cuts, "rows": rows, "nodes": nodes, **spec}


def chances(count):
    return lambda y: [float(np.mean(y == label)) for label in range(count)]


def mean(y):
    return [float(np.mean(y))]


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
    # Tables, bins and bounds are such that no two splits are equally good.
    "grown": {
        "classes, encrypted": grown("libraries/rf_bc/train.csv", 120, 5, chances(2), max_depth=2, min_samples_leaf=4),
        "numbers, encrypted": grown("libraries/rfreg_diabetes/train.csv", 64, 6, mean, max_depth=3, min_samples_leaf=4),
        "three classes": grown("libraries/xgb_wine/train.csv", 133, 12, chances(3), max_depth=3, min_samples_leaf=4),
        "classes": grown("libraries/rf_bc/train.csv", 200, 20, chances(2), max_depth=4, min_samples_leaf=8),
        "numbers": grown("libraries/rfreg_diabetes/train.csv", 200, 40, mean, max_depth=6, min_samples_leaf=4),
        "ten classes": grown("libraries/logreg_digits/train.csv", 200, 6, chances(10), max_depth=4, min_samples_leaf=8),
    },
}
path = Path(__file__).parent / "leaves.json"
path.write_text(json.dumps(document) + "\n")
