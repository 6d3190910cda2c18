#!/usr/bin/env python3
"""Writes reference.json: what scikit-learn fits to pooled rows of tables of this repository.

Usage: tests/training/make.py      needs scikit-learn (1.9.1 wrote the file)
"""

import csv
import json
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.preprocessing import StandardScaler

TESTS = Path(__file__).resolve().parent.parent


def table(path):
    with open(TESTS / path) as file:
        rows = list(csv.reader(file))
    return np.array(rows[1:], dtype=float)


breast = table("libraries/logreg_bc/train.csv")
diabetes = table("libraries/ridge_diabetes/train.csv")
texts = table("cases/categorical-naive-bayes/train.csv").astype(int)
(X, y), (Z, t) = (breast[:, :-1], breast[:, -1]), (diabetes[:, :-1], diabetes[:, -1])


def linear(model, X, y):
    model.fit(X, y)
    return {"weights": model.coef_.tolist(), "intercept": float(model.intercept_)}


lda = LinearDiscriminantAnalysis().fit(X, y)
pca = PCA(5, svd_solver="full").fit(X)
scaler = StandardScaler().fit(Z)
categories = CategoricalNB(alpha=0.5).fit(texts[:, :-1], texts[:, -1])
reference = {
    "linear_diabetes": linear(LinearRegression(), Z, t),
    "ridge_diabetes": linear(Ridge(alpha=10.0), Z, t),
    "ridge_breast": linear(Ridge(alpha=1.0), X, y),
    "discriminant_breast": {"weights": lda.coef_[0].tolist(), "intercept": float(lda.intercept_[0])},
    "components_breast": pca.components_.tolist(),
    "means_diabetes": scaler.mean_.tolist(),
    "deviations_diabetes": scaler.scale_.tolist(),
    "correlations_diabetes": np.corrcoef(Z.T).tolist(),
    # Joint log-likelihoods of the first rows, less that of the first class.
    "gaussian_breast": (lambda jll: (jll - jll[:, :1])[:, 1].tolist())(
        GaussianNB().fit(X, y)._joint_log_likelihood(X[:20])),
    "categorical": (lambda jll: (jll - jll[:, :1])[:, 1:].tolist())(
        categories._joint_log_likelihood(texts[:20, :-1])),
}
(TESTS / "training/reference.json").write_text(json.dumps(reference) + "\n")
