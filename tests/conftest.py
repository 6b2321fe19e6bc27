"""What all tests share: which optional peers this machine has, and that CI may miss none of them."""

import os
import shutil
from pathlib import Path

import pytest

#: Markers of tests that need what is not there beside a gateway alone.
NOT_ALONE = ("centre", "browser")
GATEWAY = Path(__file__).parent / "gateway"

#: Marker → program that its tests need.
PEERS = {"browser": "chromium", "dcmtk": "storescu", "poppler": "pdftotext"}


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
