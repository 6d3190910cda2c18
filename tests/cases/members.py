"""Makes the folders voting-naive-bayes, stacking-naive-bayes and integer-columns: naive Bayes beside other estimators, and a data frame of integers, which is exported with CastLike.

    python3 tests/cases/members.py     # numpy 2.4, pandas, scikit-learn 1.9.1, skl2onnx 1.20.0
"""

import pathlib

import numpy as np
import pandas
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent


def write(folder, model, features, target, given):
    train, rows = features[:-40], features[-40:]
    model.fit(given(train), target[:-40])
    graph = to_onnx(model, given(train)[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
    folder = HERE / folder
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    train.to_csv(folder / "train.csv", index=False)
    rows.to_csv(folder / "rows.csv", index=False)
    expected = pandas.DataFrame(model.predict_proba(given(rows)), columns=[f"p_{name}" for name in model.classes_])
    expected.insert(0, "label", model.predict(given(rows)))
    expected.to_csv(folder / "expected.csv", index=False)


if __name__ == "__main__":
    order = np.random.default_rng(0).permutation(150)
    iris = datasets.load_iris()
    columns = pandas.DataFrame(iris.data[order], columns=[f"f{i}" for i in range(4)]).astype(np.float32)
    members = [("lr", LogisticRegression()), ("nb", GaussianNB())]
    write("voting-naive-bayes", VotingClassifier(members, voting="soft", flatten_transform=False), columns, iris.target[order], pandas.DataFrame.to_numpy)
    write("stacking-naive-bayes", StackingClassifier(members, LogisticRegression()), columns, iris.target[order], pandas.DataFrame.to_numpy)
    rng = np.random.default_rng(1)
    people = pandas.DataFrame({"age": rng.integers(18, 90, 150), "children": rng.integers(0, 5, 150)})
    target = (people.age + 9 * people.children + rng.normal(0, 9, 150) > 70).astype(int).to_numpy()
    write("integer-columns", make_pipeline(StandardScaler(), LogisticRegression()), people, target, lambda own: own)
