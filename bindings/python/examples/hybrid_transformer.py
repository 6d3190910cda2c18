"""A small transformer of which the widest layers are evaluated on encrypted activations.

    python hybrid_transformer.py

The client runs embedding, attention, norms and activations; the two linear layers of the feed-forward part, which hold two thirds of
the weights, stand at a server: it gets encrypted activations, a token a row, and sees neither them nor its own results. Weights are
made on the spot. The output is that of the same model in the clear within the error that the layers' reports state.

Needs the extra ``sklearn``, which brings ``onnx``.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import cipherfn

Array = NDArray[np.float32]
# A linear layer: tokens of shape (tokens, inputs) to (tokens, outputs).
Layer = Callable[[Array], Array]


@dataclasses.dataclass
class Transformer:
    """One block of width ``width``, and a head that scores words."""

    embedding: Array  # (words, width)
    attention: Array  # (4, width, width): queries, keys, values, output
    up: Array  # (width, 4 width)
    up_bias: Array
    down: Array  # (4 width, width)
    down_bias: Array

    @classmethod
    def random(cls, words: int, width: int, rng: np.random.Generator) -> Transformer:
        """Weights as they are initialised for training."""

        def weights(*shape: int) -> Array:
            return rng.normal(0, shape[-2] ** -0.5, shape).astype(np.float32)

        embedding = rng.normal(size=(words, width)).astype(np.float32)
        biases = rng.normal(0, 0.1, (2, 4 * width)).astype(np.float32)
        return cls(embedding, weights(4, width, width), weights(width, 4 * width), biases[0], weights(4 * width, width), biases[1, :width])

    def scores(self, tokens: NDArray[np.int64], up: Layer, down: Layer) -> Array:
        """Scores of shape (tokens, words) of the word that follows each token; the layers are given."""
        x = self.embedding[tokens]
        queries, keys, values, output = self.attention
        normed = norm(x)
        likeness = (normed @ queries) @ (normed @ keys).T / np.sqrt(x.shape[1])
        likeness[np.triu_indices(len(tokens), 1)] = -np.inf
        x = x + softmax(likeness) @ (normed @ values) @ output
        x = x + down(gelu(up(norm(x))))
        scores: Array = norm(x) @ self.embedding.T
        return scores

    def local(self, tokens: NDArray[np.int64]) -> Array:
        """The same with both layers here."""
        return self.scores(tokens, lambda x: x @ self.up + self.up_bias, lambda x: x @ self.down + self.down_bias)


def norm(x: Array) -> Array:
    """Tokens of mean 0 and deviation 1."""
    found: Array = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return found


def softmax(x: Array) -> Array:
    """Rows of shares of 1."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found


def gelu(x: Array) -> Array:
    """The usual activation, by tanh."""
    found: Array = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return found


def layer_file(weights: Array, bias: Array) -> bytes:
    """An ONNX file that holds one linear layer."""
    inputs, outputs = weights.shape
    made = onnx.helper
    node = made.make_node("Gemm", ["x", "weights", "bias"], ["y"], "layer")
    graph = made.make_graph(
        [node],
        "layer",
        [made.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, inputs])],
        [made.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, outputs])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def recorded(layer: Layer, seen: list[Array]) -> Layer:
    """A layer that remembers what comes into it."""

    def call(x: Array) -> Array:
        seen.append(x)
        return layer(x)

    return call


def remote(model: cipherfn.Model) -> Layer:
    """A compiled layer: activations are encrypted, evaluated and decrypted. With `cipherfn.Client.predict` a service evaluates."""

    def call(x: Array) -> Array:
        return np.asarray(model.predict(x), dtype=np.float32)

    return call


def main(words: int = 50, width: int = 16, length: int = 8, seed: int = 0) -> dict[str, Any]:
    """Compiles both layers, runs the transformer on new tokens, and gives the largest errors with what was stated."""
    rng = np.random.default_rng(seed)
    transformer = Transformer.random(words, width, rng)
    # What comes into the layers, of sequences to calibrate with.
    into_up: list[Array] = []
    into_down: list[Array] = []
    for _ in range(64):
        transformer.scores(
            rng.integers(0, words, length),
            recorded(lambda x: x @ transformer.up + transformer.up_bias, into_up),
            recorded(lambda x: x @ transformer.down + transformer.down_bias, into_down),
        )
    up = cipherfn.compile(layer_file(transformer.up, transformer.up_bias), np.concatenate(into_up), name="up")
    down = cipherfn.compile(layer_file(transformer.down, transformer.down_bias), np.concatenate(into_down), name="down")

    tokens = rng.integers(0, words, length)
    wanted = transformer.local(tokens)
    seen: list[Array] = []
    found = transformer.scores(tokens, recorded(remote(up), seen), recorded(remote(down), seen))
    # Each layer alone, on what came into it.
    errors = [
        float(np.abs(remote(model)(x) - (x @ weights + bias)).max())
        for model, x, weights, bias in [(up, seen[0], transformer.up, transformer.up_bias), (down, seen[1], transformer.down, transformer.down_bias)]
    ]
    stated = [float(np.max(model.report["precision"]["scores"])) for model in (up, down)]
    return {
        "layer_errors": errors,
        "stated": stated,
        "score_error": float(np.abs(found - wanted).max()),
        "score_range": float(wanted.max() - wanted.min()),
        "same_words": bool((found.argmax(axis=1) == wanted.argmax(axis=1)).all()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--width", type=int, default=16, help="width of the transformer")
    parser.add_argument("--length", type=int, default=8, help="tokens")
    options = parser.parse_args()
    for name, value in main(width=options.width, length=options.length).items():
        print(f"{name}: {value}")
