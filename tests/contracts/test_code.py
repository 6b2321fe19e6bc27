"""Rules of the house that no linter knows."""

import ast
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

from teleread.jobs import JOBS, JobName

ROOT = Path(__file__).parents[2]
PACKAGES = ("teleread", "workers", "gateway")


@cache
def _modules() -> list[tuple[str, ast.Module]]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_job_name_has_exactly_one_function_and_every_function_a_name() -> None:
    from workers import jobs

    functions = {
        name
        for name, value in vars(jobs).items()
        if inspect.isfunction(value) and value.__module__ == jobs.__name__ and not name.startswith("_")
    }
    assert functions == {job.value for job in JobName}
    assert set(JOBS) == set(JobName)


#: The service that assigns states of the centre; the gateway's spool has its own table-driven function.
MAY_ASSIGN_STATE = {"teleread/services/workflow.py", "gateway/spool.py"}


def _assigns_state(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(t, ast.Attribute)
            and t.attr in {"state", "status"}
            and not (isinstance(t.value, ast.Name) and t.value.id == "self")
            for t in targets
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
        return any(keyword.arg in {"state", "status"} for keyword in node.keywords)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr"


def test_only_the_workflow_service_assigns_a_state() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in _modules()
        if name not in MAY_ASSIGN_STATE and not name.startswith(("teleread/web/", "teleread/dicomweb/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.expr) and _assigns_state(node)
    ]
    assert found == []


def test_packages_do_nothing_at_import() -> None:
    statements = (ast.FunctionDef, ast.Import, ast.ImportFrom)
    found = [
        name
        for name, tree in _modules()
        if name.endswith("__init__.py")
        for node in tree.body
        if isinstance(node, statements)
    ]
    assert found == []
