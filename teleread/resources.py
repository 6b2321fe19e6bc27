"""Finds the files that are not Python: templates, and the fonts of the report beside them.

A wheel carries `templates/` as `teleread/_templates`; a checkout has it at the top. The report fonts (BIZ UDPGothic,
SIL Open Font License) are not committed: `npm ci --ignore-scripts` fetches the locked package, and

    python -m teleread.resources fonts

copies the two files and their licence to `templates/report/fonts/`, from where the wheel's build takes them along.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_templates"
_CHECKOUT = _PACKAGE.parent / "templates"

# Source below node_modules/ -> name below templates/report/fonts/.
FONT_FILES = {
    "@expo-google-fonts/biz-udpgothic/400Regular/BIZUDPGothic_400Regular.ttf": "BIZUDPGothic-Regular.ttf",
    "@expo-google-fonts/biz-udpgothic/700Bold/BIZUDPGothic_700Bold.ttf": "BIZUDPGothic-Bold.ttf",
    "@expo-google-fonts/biz-udpgothic/LICENSE_FONT": "OFL.txt",
}


@dataclass(frozen=True)
class ReportFonts:
    """The two faces that a report may use; both as full TrueType files."""

    regular: Path
    bold: Path


def templates_folder() -> Path:
    """The folder `templates/`, from the installed package or from the checkout.

    Raises
    ------
    FileNotFoundError
        When neither exists: the installation is broken.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("templates/ is neither in the installed package nor in the checkout")


def report_fonts() -> ReportFonts:
    """The fonts of the report.

    Raises
    ------
    FileNotFoundError
        When the set-up step has not put them there. A report without them would be boxes, so there is no fallback.
    """
    folder = templates_folder() / "report" / "fonts"
    fonts = ReportFonts(regular=folder / "BIZUDPGothic-Regular.ttf", bold=folder / "BIZUDPGothic-Bold.ttf")
    for path in (fonts.regular, fonts.bold):
        if not path.is_file():
            raise FileNotFoundError(f"report font {path.name} is missing: run `make setup`")
    return fonts


def copy_fonts(node_modules: Path, target: Path) -> list[Path]:
    """Copy the report fonts and their licence from an npm folder; returns the files written."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for source, name in FONT_FILES.items():
        part = target / f"{name}.part"
        shutil.copyfile(node_modules / source, part)
        written.append(part.replace(target / name))
    return written


def main(arguments: list[str]) -> int:
    """`fonts`: copy the report fonts of this checkout into place."""
    if arguments != ["fonts"]:
        sys.stderr.write("usage: python -m teleread.resources fonts\n")
        return 2
    for path in copy_fonts(_CHECKOUT.parent / "node_modules", _CHECKOUT / "report" / "fonts"):
        sys.stdout.write(f"{path.relative_to(_CHECKOUT.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
