"""What compiling a model found out."""

from __future__ import annotations

import functools
import json
from typing import Any

from . import _native


class Report:
    """What a compiled model costs, guarantees and reveals: text, a page with pictures in Jupyter, and a dictionary.

    Parts of it are there by name: ``report["precision"]["guaranteed_bits"]``.
    """

    def __init__(self, bundle: _native.Bundle) -> None:
        self._bundle = bundle

    @functools.cached_property
    def data(self) -> dict[str, Any]:
        """All of it."""
        found: dict[str, Any] = json.loads(self._bundle.report)
        return found

    def __getitem__(self, part: str) -> Any:
        return self.data[part]

    @property
    def warnings(self) -> list[str]:
        """What to look at before deploying."""
        return list(self.data["warnings"])

    @property
    def text(self) -> str:
        """The whole report as text."""
        return self._bundle.report_text()

    @property
    def html(self) -> str:
        """The report as a page that refers to nothing outside itself."""
        return self._bundle.report_page()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        model = self.data["model"]
        return f"<cipherfn report: {model['name']}, {model['family']}>"

    def _repr_html_(self) -> str:
        import html

        return f'<iframe srcdoc="{html.escape(self.html)}" style="width:100%;height:40rem;border:0" title="compile report"></iframe>'
