"""Pictures of the console's pages for `docs/screens`: the browser test walks the pages and takes them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.pictures import small

ROOT = Path(__file__).parents[2]


def take(folder: Path) -> list[Path]:
    """Take every picture anew and return their paths."""
    written = []
    with tempfile.TemporaryDirectory() as taken:
        walk = "tests/gateway/console/test_browser.py::test_a_day_at_the_console"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", walk],
            cwd=ROOT,
            env=os.environ | {"CONSOLE_SCREENS": taken},
            check=True,
            stdout=sys.stderr,
        )
        for path in sorted(Path(taken).glob("console-*.png")):
            with Image.open(path) as picture:
                (folder / path.name).write_bytes(small(picture))
            written.append(folder / path.name)
    return written
