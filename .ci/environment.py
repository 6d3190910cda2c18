"""Virtual environments with the versions that docs/export.md pins, kept for the next run."""

import os
import pathlib
import re
import subprocess
import venv

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/export.md"
# What the pinned packages import, without what they name and these recipes never load: XGBoost's libraries for graphics processors, CatBoost's plots.
NEEDED = (
    "cloudpickle==3.1.3 joblib==1.6.0 ml_dtypes==0.6.0 narwhals==2.29.0 packaging==26.4 python-dateutil==4.0.0 pytz==2026.6 scipy==1.16.3 six==1.17.0"
    " threadpoolctl==3.8.0 typing_extensions==4.16.0 tzdata==2026.6"
).split()


def pinned():
    """What the page pins."""
    pins = [pin for line in re.findall(r"^pip install (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) for pin in line.split()]
    if not pins or not all("==" in pin for pin in pins):
        raise SystemExit("docs/export.md pins no versions, or leaves one open")
    return pins + NEEDED


def environment(name, pins):
    """The Python of an environment with these packages and no others."""
    folder = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / "cipherfn-ci-tools" / name
    wanted, python = "\n".join(pins), folder / "bin/python"
    marker = folder / "pins"
    if not marker.exists() or marker.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *pins], check=True)
        marker.write_text(wanted)
    return python
