"""What all tests share: which optional peers this machine has, and that CI may miss none of them."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

#: Markers of tests that need what is not there beside a gateway alone.
NOT_ALONE = ("centre", "browser")
GATEWAY = Path(__file__).parent / "gateway"

#: Marker → program that its tests need.
PEERS = {"browser": "chromium", "dcmtk": "storescu", "poppler": "pdftotext", "tesseract": "tesseract"}

#: Tests that share something dear to make (a centre, a demo, an environment) stay with one process of pytest-xdist.
TOGETHER = (
    "tests/web/",
    "tests/e2e/test_gateway_alone.py",
    "tests/e2e/test_kill.py",
    "tests/e2e/test_round_trip.py",
    "tests/gateway/console/test_browser.py",
    "tests/rendering/test_payloads.py",
    "tests/rendering/test_signature.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal tests out one by one, but those of TOGETHER as a whole.

    The marker `xdist_group` would say it beside the tests; pytest 9.2 gives it no effect (a node's ID is not set any more).
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((unit for unit in TOGETHER if nodeid.startswith(unit)), nodeid)

    return Units(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Make passwords cheap to hash: hundreds of sign-ins, and none of them guards anything.

    What the product uses is looked at in a process of its own by tests/services/test_factors.py.
    """
    try:
        from argon2 import PasswordHasher

        from teleread.services import passwords
    except ImportError:
        return  # a gateway alone has no such people
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords.NOBODYS_HASH = passwords._hasher.hash("nobody")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--gateway-alone",
        action="store_true",
        help="leave the gateway's own tests to tests/e2e/test_gateway_alone.py, which runs all that need no centre",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--gateway-alone"):
        return
    left = [
        item
        for item in items
        if item.path.is_relative_to(GATEWAY) and not any(item.get_closest_marker(name) for name in NOT_ALONE)
    ]
    config.hook.pytest_deselected(items=left)
    kept = set(items) - set(left)
    items[:] = [item for item in items if item in kept]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, program in PEERS.items():
        if item.get_closest_marker(marker) is not None and shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is missing, and in CI no test is left out for want of a peer")
            pytest.skip(f"{program} is not installed: `make setup-tests` as root installs it")
