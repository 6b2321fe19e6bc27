"""What all tests share: which optional peers this machine has, and that CI may miss none of them."""

import os
import shutil

import pytest

#: Marker → program that its tests need.
PEERS = {"browser": "chromium", "dcmtk": "storescu", "poppler": "pdftotext"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, program in PEERS.items():
        if item.get_closest_marker(marker) is not None and shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is missing, and in CI no test is left out for want of a peer")
            pytest.skip(f"{program} is not installed: `make setup-tests` as root installs it")
