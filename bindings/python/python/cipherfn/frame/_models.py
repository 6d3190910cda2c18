"""Linear models whose scores queries take: of files, and published ones."""

from __future__ import annotations

import os
import pathlib

from .. import _native
from .._client import Client
from .._model import Model
from .._progress import telling
from ..errors import ArgumentError
from ._expression import Expression, col


class LinearModel:
    """A linear model, whose raw score is a column of a query: made by `model` and `published_model`.

    Called with the features that it takes, in its order, or with none where it names its columns, it gives that column.
    """

    def __init__(self, native: _native.FrameModel) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """What plans call it by, SQL too: ``MODEL(risk, age, bmi)``."""
        return self._native.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns that it takes, where it has some."""
        return self._native.columns

    @property
    def precision(self) -> float | None:
        """Largest error of the score that predictions guarantee; a query adds a quarter of it. ``None`` of a model file."""
        return self._native.precision

    @property
    def is_published(self) -> bool:
        """Whether a service has it, and keeps its weights to itself."""
        return self._native.is_published

    def __call__(self, *features: Expression | str) -> Expression:
        """The score, of columns by their names or of expressions."""
        given = [col(feature) if isinstance(feature, str) else feature for feature in features or self.columns]
        if not given:
            raise ArgumentError(f"model {self.name!r} names no columns", remedy="give a column for each of its features, in order")
        models: tuple[LinearModel, ...] = (self,)
        for feature in given:
            models += feature.models
        text = f"{self.name}({', '.join(feature._text for feature in given)})"
        return Expression({"model": [self.name, [feature.document for feature in given]]}, text, models=models)

    def __repr__(self) -> str:
        return f"LinearModel({self.name!r}{', published' if self.is_published else ''})"


def model(source: str | os.PathLike[str] | bytes | Model, *, name: str | None = None) -> LinearModel:
    """A linear model of a file, of the bytes of one, or one that `cipherfn.compile` made.

    Parameters
    ----------
    source
        A model file (ONNX and whatever else `cipherfn.compile` reads): its weights become part of the query, which a service sees. Or a
        compiled model or its bundle (``.cfn``, `cipherfn.Model.save`): evaluated here its weights stay out of the query; a service is
        sent them, rounded to five digits, unless it has published the model (`published_model`). What is linear before the weights, such
        as scaling, is part of them; of a classifier the score is the decision before probabilities.
    name
        What queries call it; otherwise the file's name without its ending, or the compiled model's.
    """
    if isinstance(source, Model):
        return LinearModel(_native.FrameModel.from_bytes(source.name if name is None else name, source._bundle.to_bytes()))
    if isinstance(source, bytes):
        if name is None:
            raise ArgumentError("bytes have no name", remedy='model(source, name="risk")')
        return LinearModel(_native.FrameModel.from_bytes(name, source))
    path = pathlib.Path(source)
    return LinearModel(_native.FrameModel.from_bytes(path.stem if name is None else name, path.read_bytes()))


def published_model(client: Client, name: str) -> LinearModel:
    """A linear model that a service has published (`cipherfn.Model.publish`) and keeps to itself: queries name it and its version."""
    with telling(False) as tell:
        return LinearModel(_native.FrameModel.find(client._service, name, tell))
