"""What the tests with the official clients stand on: a service of one's own for each test, and the real program.

The binaries are those of `cargo build --workspace --bins`, looked for in LIFEBOAT_BIN, else in target/debug.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("turbopuffer", reason="no official Python client: pip install -r tests/requirements.txt")

import emulated
from emulated import Emulator, Standing
from program import Lifeboat

TARGET = Path(os.environ.get("LIFEBOAT_TARGET", Path(__file__).resolve().parents[2] / "target"))
BINARIES = Path(os.environ.get("LIFEBOAT_BIN", TARGET / "debug"))

# The official clients read these; no test may reach a real account.
for variable in [name for name in os.environ if name.startswith(("TURBOPUFFER_", "ZILLIZ_"))]:
    del os.environ[variable]


def binary(name: str) -> Path:
    path = BINARIES / name
    assert path.is_file(), f"{path} is missing: cargo build --workspace --bins"
    return path


@pytest.fixture(scope="session")
def binaries() -> Path:
    for name in ("lifeboat", "lifeboat-emulator"):
        binary(name)
    return BINARIES


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An empty service."""
    with emulated.running(binary("lifeboat-emulator")) as emulator:
        yield emulator


@pytest.fixture
def lifeboat(binaries: Path, emulator: Emulator) -> Lifeboat:
    """The program, set up to back up `acme-*` with a recovery window of one day."""
    return Lifeboat(binaries / "lifeboat", emulator)


@pytest.fixture
def due(emulator: Emulator) -> str:
    """A backup of `acme-docs` that a run in which all is well deletes."""
    return emulated.make_due(emulator)


@pytest.fixture
def before(emulator: Emulator, due: str) -> Standing:
    """What stood in the backup region before the test, the one that is due included."""
    standing = emulator.standing()
    emulator.forget_log()
    return standing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failed test shows what the program said last, and what the service was asked."""
    report = yield
    used = getattr(item, "funcargs", {})
    emulator, lifeboat = used.get("emulator"), used.get("lifeboat")
    if report.when == "call" and report.failed:
        if isinstance(lifeboat, Lifeboat) and lifeboat.last:
            report.sections.append(("what the program said last", str(lifeboat.last)))
        if isinstance(emulator, Emulator):
            report.sections.append(("what the service was asked", json.dumps(emulator.summary(), indent=1)))
    return report
