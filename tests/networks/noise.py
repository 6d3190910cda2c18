#!/usr/bin/env python3
"""Draws the noise of networks' replies, measured under several keys, beside the predicted.

Usage: tests/networks/noise.py RUN... -o docs/noise.svg

Each RUN is what `cargo test --workspace --test networks on_all_rows -- --ignored --nocapture` printed, with keys of its own.
"""

import argparse
import re
from pathlib import Path

LINE = re.compile(r"^(\w+): .* noise 2\^(-[\d.]+), predicted 2\^(-[\d.]+)$", re.MULTILINE)
LOWEST, HIGHEST = -13, -6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()
    measured, predicted = {}, {}
    for run in arguments.runs:
        found = LINE.findall(Path(run).read_text(encoding="utf-8"))
        if not found:
            parser.error(f"{run} has no line of a network")
        for model, noise, expected in found:
            measured.setdefault(model, []).append(float(noise))
            predicted[model] = float(expected)
    Path(arguments.output).write_text(drawing(measured, predicted), encoding="utf-8")


def drawing(measured, predicted):
    place = lambda exponent: f"{170 + 60 * (exponent - LOWEST):.1f}"
    bottom = 34 + 22 * len(measured)
    parts = [
        f'<path d="M{place(exponent)} 24V{bottom}" stroke="#ddd"/><text x="{place(exponent)}" y="{bottom + 16}" text-anchor="middle">{exponent}</text>'
        for exponent in range(LOWEST, HIGHEST + 1)
    ]
    for row, (model, noises) in enumerate(measured.items()):
        y = 44 + 22 * row
        parts.append(f'<text x="162" y="{y + 4}" text-anchor="end">{model}</text>')
        parts.append(f'<path d="M{place(predicted[model])} {y - 8}v16" stroke="#d62728" stroke-width="3"/>')
        parts += [f'<circle cx="{place(noise)}" cy="{y}" r="4" fill="#1f77b4" fill-opacity="0.6"/>' for noise in noises]
    parts.append(f'<circle cx="180" cy="12" r="4" fill="#1f77b4"/><text x="190" y="16">measured, one key</text>')
    parts.append('<path d="M330 4v16" stroke="#d62728" stroke-width="3"/><text x="340" y="16">predicted, noisiest row</text>')
    parts.append(f'<text x="380" y="{bottom + 34}" text-anchor="middle">log2 of the standard deviation, as a fraction of the torus</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 {bottom + 44}" font-family="sans-serif" font-size="12">'
        f'{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    main()
