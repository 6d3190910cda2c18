"""Training on rows that nobody else may see.

*Statistics*: several owners encrypt sums over their rows under a key holder's public key, anybody adds, the key holder fits
(`Statistics`, `Ridge`, ...). *Gradient descent*: `LogisticRegression` and `LinearSVC` train on encrypted rows, all steps on
ciphertexts. Who holds all rows in the clear trains faster with any other library, and compiles what it learned.
"""

from __future__ import annotations

from ._descent import LinearSVC, LogisticRegression, cancel
from ._solve import PCA, LinearDiscriminantAnalysis, LinearRegression, NaiveBayes, Ridge, StandardScaler
from ._statistics import Contribution, Statistics, public_key

__all__ = [
    "PCA",
    "Contribution",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LinearSVC",
    "LogisticRegression",
    "NaiveBayes",
    "Ridge",
    "StandardScaler",
    "Statistics",
    "cancel",
    "public_key",
]
