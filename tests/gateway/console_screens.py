"""Pictures of the console's pages for `docs/screens`: run with ``python -m tests.gateway.console_screens``.

The browser test walks the pages and takes them; here they are made small: 256 colours are enough for a page of text.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screens"
WIDTH = 1200


def main() -> None:
    """Take every picture anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as taken:
        walk = "tests/gateway/console/test_browser.py::test_a_day_at_the_console"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", walk],
            cwd=ROOT,
            env=os.environ | {"CONSOLE_SCREENS": taken},
            check=True,
        )
        for path in sorted(Path(taken).glob("console-*.png")):
            with Image.open(path) as picture:
                size = (WIDTH, round(picture.height * WIDTH / picture.width))
                small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                small.quantize(256, dither=Image.Dither.NONE).save(FOLDER / path.name, optimize=True)


if __name__ == "__main__":
    main()
