"""What scripts rely on: the fields of every report with `--json`. One may be added here; none may go, or change its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulated import Emulator, days_ago
from program import Lifeboat

RUN = (
    "action clock_difference_seconds copied deleted drifts dry_run failures finished_at jobs outcome plan pruning queried "
    "queried_costs requests retries run_id slot source_region sources started_at stays_open targets verify warnings"
)
COMING_BACK = (
    "action bytes_returned bytes_written counts dry_run failures finished_at from_region held outcome plan queried requests "
    "retries rows run_id started_at stays_open target to_region verify warnings"
)
DECISION = "backup due keep sealed slot source target"

# A command, the fields of its report, the field that holds a list, and the fields of each of its items.
REPORTS = [
    ("backup", RUN, "failures", ""),
    ("list", RUN, "decisions", DECISION),
    ("plan", RUN, "decisions", DECISION),
    ("verify", RUN, "verified", "against backup cost finding level message rows sealed slot source target"),
    ("restore acme-docs --yes", f"{COMING_BACK} at restore", "restored", "backup destination rows seconds slot source state verified"),
    (
        "drill",
        f"{COMING_BACK} longest_recovery_seconds oldest_recovery_point_seconds pick rows_read seed slot sources",
        "drilled",
        "backup carried_on compare_seconds copy_seconds digest recovery_point_seconds recovery_seconds rows scratch scratch_gone "
        "slot source state",
    ),
    ("jobs", "runs", "runs", "class closed_at deleted jobs opened_at outcome plan run_id slot"),
    ("estimate", "action failures plans prices_as_of run_id", "plans", "plan source_bytes sources targets total"),
]


@pytest.fixture
def kept(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Lifeboat:
    with emulator.at(days_ago(5)):
        emulator.write("acme-docs")
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    assert lifeboat("backup").code == 0
    return lifeboat


@pytest.mark.parametrize(("command", "fields", "listed", "of_each"), REPORTS, ids=[command for command, *_ in REPORTS])
def test_no_field_of_a_report_goes(kept: Lifeboat, command: str, fields: str, listed: str, of_each: str) -> None:
    report = kept(*command.split(), "--json").report

    assert set(fields.split()) <= report.keys()
    items = report[listed]["shown"] if isinstance(report[listed], dict) else report[listed]
    assert bool(items) == bool(of_each)
    assert all(set(of_each.split()) <= item.keys() for item in items)
