"""A small transformer of PyTorch of which the widest layers are evaluated on encrypted activations.

    python hybrid_transformer.py

The client runs embedding, attention, norms and activations; the two linear layers of the feed-forward part, which hold two thirds of
the weights, stand at a server: it gets encrypted activations, a token a row, and sees neither them nor its own results. Weights are
made on the spot. The output is that of the same model in the clear within the error that the layers' reports state.

Needs the extra ``torch``.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

import cipherfn

# The linear layers that leave the client, by their names in the module.
CHOSEN = ("up", "down")


class Transformer(nn.Module):  # type: ignore[misc]
    """One block of width ``width``, and a head that scores words."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.before_attention, self.before_layers, self.last = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, num_heads=2)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of shape (tokens, words) of the word that follows each token."""
        x = self.embedding(tokens)
        normed = self.before_attention(x)
        later = torch.ones(len(tokens), len(tokens)).triu(1).bool()
        x = x + self.attention(normed, normed, normed, attn_mask=later, need_weights=False)[0]
        x = x + self.down(nn.functional.gelu(self.up(self.before_layers(x))))
        return self.last(x) @ self.embedding.weight.T


class Remote(nn.Module):  # type: ignore[misc]
    """A compiled layer: activations are encrypted, evaluated and decrypted. With `cipherfn.Client.predict` a service evaluates."""

    def __init__(self, model: cipherfn.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(np.asarray(self.model.predict(x.numpy()), dtype=np.float32))


def activations(module: nn.Module, inputs: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
    """What comes into the chosen layers, a row a token."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in CHOSEN}
    hooks = [
        getattr(module, name).register_forward_pre_hook(lambda _, given, rows=rows: rows.append(given[0])) for name, rows in seen.items()
    ]
    for tokens in inputs:
        module(tokens)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(rows) for name, rows in seen.items()}


def main(words: int = 50, width: int = 16, length: int = 8, seed: int = 0) -> dict[str, Any]:
    """Compiles both layers, runs the transformer on new tokens, and gives the largest errors with what was stated."""
    torch.manual_seed(seed)
    local = Transformer(words, width).eval()
    with torch.no_grad():
        calibration = activations(local, [torch.randint(words, (length,)) for _ in range(64)])
        models = {name: cipherfn.compile(getattr(local, name), calibration[name].numpy(), name=name) for name in CHOSEN}
        hybrid = copy.deepcopy(local)
        for name, model in models.items():
            setattr(hybrid, name, Remote(model))
        tokens = torch.randint(words, (length,))
        wanted, found = local(tokens), hybrid(tokens)
        # Each layer alone, on what came into it.
        rows = activations(hybrid, [tokens])
        errors = [float((getattr(hybrid, name)(rows[name]) - getattr(local, name)(rows[name])).abs().max()) for name in CHOSEN]
    return {
        "layer_errors": errors,
        "stated": [float(np.max(models[name].report["precision"]["scores"])) for name in CHOSEN],
        "score_error": float((found - wanted).abs().max()),
        "score_range": float(wanted.max() - wanted.min()),
        "same_words": bool((found.argmax(1) == wanted.argmax(1)).all()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--width", type=int, default=16, help="width of the transformer")
    parser.add_argument("--length", type=int, default=8, help="tokens")
    options = parser.parse_args()
    for name, value in main(width=options.width, length=options.length).items():
        print(f"{name}: {value}")
