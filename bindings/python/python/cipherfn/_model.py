"""Compiled models, and their predictions on this machine."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from . import _native
from ._progress import Progress, telling
from ._report import Report
from ._tables import Frame, Rows, arrays, frame, native
from .errors import ArgumentError, CipherfnError, LimitedWarning, RowsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Execute: TypeAlias = Literal["encrypted", "clear", "simulate"]
OnError: TypeAlias = Literal["raise", "mark"]


def noted(predictions: _native.Predictions, like: Rows, on_error: OnError) -> Frame:
    """Predictions as a table like that of the rows, with what there is to say of rows."""
    if on_error not in ("raise", "mark"):
        raise ArgumentError(f'on_error is {on_error!r}; give "raise" or "mark"')
    failed: dict[int, str] = {}
    limited: dict[int, str] = {}
    for row, has_prediction, text in predictions.remarks():
        (limited if has_prediction else failed)[row] = text
    rows = range(len(predictions))
    notes = {"error": failed} if failed and on_error == "mark" else {}
    notes |= {"remark": limited} if limited else {}
    table = frame(predictions, like, {name: [texts.get(row) for row in rows] for name, texts in notes.items()})
    if failed and on_error == "raise":
        raise RowsError(list(failed.items()), len(rows), table)
    if limited:
        row, text = next(iter(limited.items()))
        warnings.warn(f"{len(limited)} of {len(rows)} predictions have a remark; the first is row {row} (from 0): {text}", LimitedWarning, stacklevel=3)
    return table


class Model:
    """A compiled model: predicts on this machine, encrypted or in the clear, and is what `save` and `publish` give away.

    ``classes_`` has the classes of shape (classes,) where the model was compiled in this process.
    """

    def __init__(self, bundle: _native.Bundle, classes: Sequence[Any] | None = None) -> None:
        self._bundle = bundle
        self._client = bundle.client
        self._keys: _native.Keys | None = None
        self._decides: Literal["column", "scores", None] = None
        if any(name.startswith("score_") for name in self._client.outputs):
            self._decides = "column"
        self.classes_ = classes

    @property
    def name(self) -> str:
        """The model's name."""
        return self._client.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns that rows need."""
        return [name for name, _, _ in self._client.columns]

    @property
    def report(self) -> Report:
        """What compiling found out: cost, precision, what the specs reveal."""
        return Report(self._bundle)

    @property
    def specs(self) -> bytes:
        """The client specs: what a client needs to encrypt rows, and all that it learns of the model."""
        return self._bundle.specs

    def predict(self, X: Rows, execute: Execute = "encrypted", *, progress: Progress = False) -> NDArray[Any]:
        """Labels, or values, of shape (rows,); of several a row (rows, outputs).

        ``"encrypted"`` encrypts the rows, evaluates and decrypts them, with keys that are forgotten with this object;
        ``"clear"`` evaluates the same circuit in the clear, ``"simulate"`` adds noise of the predicted size.
        """
        found = self._answers(X, execute, progress)
        names = [name for name in found if name == "label" or name.startswith("label_")]
        names = names or [name for name in found if name == "prediction" or (name.startswith("prediction_") and "_std" not in name)]
        if not names:
            raise CipherfnError("this model predicts no label and no value", remedy="predict_frame gives all that it predicts")
        columns = [self._as_class(found[name][0]) if name.startswith("label") else found[name][0] for name in names]
        return _side_by_side(columns) if len(columns) > 1 else columns[0]

    def predict_proba(self, X: Rows, execute: Execute = "encrypted", *, progress: Progress = False) -> NDArray[Any]:
        """Probabilities of shape (rows, classes), within the guaranteed precision: by that much one may be below 0 or above 1."""
        found = self._answers(X, execute, progress)
        columns = [values for name, (values, _) in found.items() if name.startswith("probability_")]
        if not columns:
            raise CipherfnError("this model predicts no probabilities", remedy="predict gives what it predicts")
        return _side_by_side(columns)

    def decision_function(self, X: Rows, execute: Execute = "encrypted", *, progress: Progress = False) -> NDArray[Any]:
        """Scores as the model's own ``decision_function`` gives them, of shape (rows,), or (rows, classes) for several."""
        if self._decides is None:
            raise CipherfnError(
                "this compiled model has no decision function that was found equal to the model's own",
                remedy="predict_proba gives probabilities, raw_scores what is decrypted",
            )
        if self._decides == "scores":
            scores = self.raw_scores(X, execute, progress=progress)
        else:
            found = self._answers(X, execute, progress)
            scores = _side_by_side([values for name, (values, _) in found.items() if name.startswith("score_")])
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def raw_scores(self, X: Rows, execute: Execute = "encrypted", *, progress: Progress = False) -> NDArray[Any]:
        """The decrypted scores before post-processing, of shape (rows, scores), in the model's own units."""
        import numpy as np

        predictions = self._run(X, execute, progress)
        noted(predictions, None, "raise")
        return np.frombuffer(predictions.scores()).reshape(len(predictions), self._client.scores)

    def predict_frame(self, X: Rows, execute: Execute = "encrypted", *, on_error: OnError = "raise", progress: Progress = False) -> Frame:
        """All columns of the predictions, as a table of the library that ``X`` is of; an array's are a dictionary of arrays."""
        return noted(self._run(X, execute, progress), X, on_error)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the bundle, a ``.cfn`` file: for servers. Clients get the specs alone."""
        path = pathlib.Path(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            try:
                file.write(self._bundle.to_bytes())
                file.close()
                pathlib.Path(file.name).replace(path)
            except BaseException:
                pathlib.Path(file.name).unlink(missing_ok=True)
                raise

    def publish(
        self,
        name: str,
        *,
        bucket: str | None = None,
        dev: str | os.PathLike[str] | None = None,
        signing_key: str | os.PathLike[str] | None = None,
        keep: int = 2,
        command: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """Publishes the model: from then on the service answers its queries, and clients take its specs by the developer's signature.

        ``bucket`` is the service's bucket, ``dev`` the data folder of a ``cipherfn dev`` on this machine. The developer's tool does it, the
        ``cipherfn`` command: ``command``, or the one on ``PATH``. Gives what it tells, the developer's public key among it.
        """
        if (bucket is None) == (dev is None):
            raise ArgumentError("give bucket=, the service's, or dev=, the data folder of `cipherfn dev`, one of the two")
        found = command or shutil.which("cipherfn")
        if found is None:
            raise CipherfnError("publishing needs the cipherfn command, which is not on PATH", remedy="install it, or name it with command=")
        where = ["--bucket", bucket] if bucket is not None else ["--dev", os.fspath(dev or "")]
        key = [] if signing_key is None else ["--signing-key", os.fspath(signing_key)]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / f"{name}.cfn"
            self.save(path)
            arguments = [os.fspath(found), "--json", "publish", os.fspath(path), "--name", name, "--keep", str(keep), *where, *key]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CipherfnError(f"publishing failed: {done.stderr.strip()}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def __getstate__(self) -> dict[str, Any]:
        """The bundle and nothing secret: keys for predictions here are made anew."""
        return {"bundle": self._bundle.to_bytes(), "decides": self._decides, "classes": self.classes_}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(_native.Bundle.from_bytes(state["bundle"]), state["classes"])  # type: ignore[misc]
        self._decides = state["decides"]

    def __repr__(self) -> str:
        return f"<cipherfn model {self.name!r}: {self._client.task}, {len(self._client.columns)} columns>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def _run(self, X: Rows, execute: Execute, progress: Progress) -> _native.Predictions:
        table = native(X, self.columns)
        with telling(progress, X) as tell:
            if execute == "clear":
                return self._bundle.clear(table, tell=tell)
            if execute == "simulate":
                return self._bundle.clear(table, noise=self.report["precision"]["noise_deviation"], tell=tell)
            if execute == "encrypted":
                if self._keys is None:
                    self._keys = _native.Keys.make(self._client)
                return self._bundle.encrypted(table, self._keys, tell=tell)
        raise ArgumentError(f'execute is {execute!r}; give "encrypted", "clear" or "simulate"')

    def _answers(self, X: Rows, execute: Execute, progress: Progress) -> dict[str, Any]:
        predictions = self._run(X, execute, progress)
        noted(predictions, None, "raise")
        return arrays(predictions)

    def _as_class(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels as the model's own classes."""
        import numpy as np

        if self.classes_ is None:
            return labels.astype(str) if labels.dtype == object else labels
        by_text = {str(own): own for own in self.classes_}
        # Some exporters write truth values as 0 and 1.
        by_text |= {str(int(own)): own for own in self.classes_ if isinstance(own, (bool, np.bool_))}
        if not all(str(label) in by_text for label in set(labels.tolist())):
            return labels
        return np.array([by_text[str(label)] for label in labels.tolist()])

    def _find_decision_function(self, model: Any, X: Rows) -> None:
        """Whether the raw scores are the model's own decision function, on a few rows."""
        import numpy as np

        own = getattr(model, "decision_function", None)
        if own is None:
            self._decides = None
            return
        some = X.iloc[:100] if hasattr(X, "iloc") else X[:100]
        wanted = np.asarray(own(some), dtype=float).reshape(len(some), -1)
        ways: tuple[Literal["column", "scores"], ...] = ("column", "scores")
        for way in ways:
            self._decides = way
            try:
                found = self.decision_function(some, "clear").reshape(len(wanted), -1)
            except (CipherfnError, IndexError, ValueError):
                continue
            steps = np.array(self.report["precision"]["scores"]).max()
            if found.shape == wanted.shape and np.abs(found - wanted).max() <= 2 * steps + 1e-5 * np.abs(wanted).max():
                return
        self._decides = None


def _side_by_side(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    import numpy as np

    return np.stack(columns, axis=1)


def load(path: str | os.PathLike[str]) -> Model:
    """Reads a bundle, as `Model.save` and ``cipherfn compile`` write them."""
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise CipherfnError(f"cannot read {os.fspath(path)}: {error.strerror}", remedy="give the path of a .cfn file") from error
    return Model(_native.Bundle.from_bytes(content))
