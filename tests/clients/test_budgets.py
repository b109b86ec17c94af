"""Budgets with the real program: what they say, what they stop, and that getting data back has no price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulated import BACKUP, SOURCE, Emulator, days_ago
from program import Ended, Lifeboat

# So dear that a few rows cost dollars; and one that knows nothing.
DEAR = 'as_of = "2026-01-02"\n[turbopuffer]\ncopied_gb = ["100000", "200000"]\nreturned_gb = "1"\nstored_gb_month = "1"\n'
UNKNOWN = 'as_of = "2026-01-02"\n'


def document(budget: str) -> str:
    return f"""
[plans.nightly]
{budget}
[plans.nightly.source]
region = "{SOURCE}"
prefixes = ["acme-"]
[[plans.nightly.targets]]
region = "{BACKUP}"
retention = {{ days = 1 }}
"""


class Keeper:
    """The program with one plan, dear prices, and a budget that may be another each time."""

    def __init__(self, lifeboat: Lifeboat, home: Path) -> None:
        self.lifeboat = lifeboat
        self.table = home / "prices.toml"
        self.table.write_text(DEAR)
        keep = ("TURBOPUFFER_API_KEY", "TURBOPUFFER_BASE_URL")
        lifeboat.environment = {name: lifeboat.environment[name] for name in keep}
        lifeboat.environment |= {"LIFEBOAT_PRICES": str(self.table), "LIFEBOAT_JOURNAL": (home / "journal").as_uri()}

    def __call__(self, budget: str, *arguments: str) -> Ended:
        return self.lifeboat(*arguments, LIFEBOAT_CONFIG=document(budget))


@pytest.fixture
def keeper(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Keeper:
    """Two sources with sealed backups of three nights, the oldest of which are due."""
    for source in ("acme-docs", "acme-users"):
        with emulator.at(days_ago(5)):
            emulator.write(source)
        for day in (3, 2.5, 0.5):
            emulator.make_backup(source, days_ago(day))
    emulator.forget_log()
    return Keeper(lifeboat, tmp_path)


def test_over_the_soft_budget_a_warning_is_all(emulator: Emulator, keeper: Keeper) -> None:
    ended = keeper("budget.soft_usd = \"0.01\"", "backup", "--json")

    assert ended.code == 0, ended
    report = ended.report
    assert report["jobs"]["sealed"] == 2 and "over_budget" not in report["jobs"]
    assert report["budget"]["state"] == "over_soft" and report["budget"]["soft"] == 10_000
    assert report["budget"]["expected"]["most"] > 10_000
    assert any("the soft budget is $0.01" in said for said in report["warnings"]["shown"])
    assert '"WARN"' in ended.stderr or "WARN" in ended.stderr


def test_over_the_hard_budget_nothing_new_is_copied_and_nothing_more_is_deleted(emulator: Emulator, keeper: Keeper) -> None:
    dry_run = keeper("", "backup", "--dry-run", "--json").report
    would_go = {line["backup"] for line in dry_run["decisions"]["shown"] if line["due"]}
    assert would_go
    before = emulator.standing()

    ended = keeper("budget.hard_usd = \"0.01\"", "backup", "--json")

    assert ended.code == 1
    assert {failure["error"] for failure in ended.report["failures"]["shown"]} == {"over_budget"}
    assert ended.report["jobs"]["over_budget"] == 2 and ended.report["budget"]["state"] == "over_hard"
    assert emulator.count("start_copy") == 0
    assert set(ended.deleted) <= would_go and before.items() >= emulator.standing().items()
    shown = keeper("budget.hard_usd = \"0.01\"", "backup")
    assert "2 not copied, over budget" in shown.stdout and "raise `hard_usd` of plan `nightly`" in " ".join(shown.stdout.split())
    told = keeper("", "jobs")
    assert "over_budget" in told.stdout

    # Pruning alone copies nothing, so a budget has nothing to do with it.
    pruned = keeper("budget.hard_usd = \"0.01\"", "prune", "--yes", "--json")
    assert pruned.code == 0 and set(pruned.deleted) == would_go


def test_bringing_back_and_trying_to_is_never_stopped(emulator: Emulator, keeper: Keeper) -> None:
    emulator.source("acme-docs").delete_all()
    budget = "budget.hard_usd = \"0.000001\""

    restored = keeper(budget, "restore", "acme-docs", "--as", "{source}", "--yes", "--json")
    drilled = keeper(budget, "drill", "--json")

    assert restored.code == 0 and restored.report["counts"]["restored"] == 1, restored
    assert drilled.code == 0 and drilled.report["counts"]["proven"] == 1, drilled


def test_a_price_that_nobody_knows_stops_nothing_and_check_says_so(emulator: Emulator, keeper: Keeper) -> None:
    budget = "budget = { soft_usd = 50, hard_usd = \"100.50\" }"
    offline = keeper(budget, "check")
    assert "warns over $50.00, copies nothing new over $100.50 in thirty days" in offline.stdout
    known = keeper(budget, "check", "--online")
    assert known.code == 0 and "nightly, budget: every price that it takes is known" in known.stdout

    keeper.table.write_text(UNKNOWN)
    unknown = keeper(budget, "check", "--online")
    said = " ".join(unknown.stdout.split())
    assert unknown.code == 0 and "note nightly, budget: it can't be judged and stops nothing" in said
    assert "turbopuffer.copied_gb, turbopuffer.returned_gb, turbopuffer.stored_gb_month" in said
    ended = keeper(budget, "backup", "--json")
    assert ended.code == 0 and ended.report["jobs"]["sealed"] == 2 and ended.report["budget"]["state"] == "unknown"


def test_a_dry_run_shows_bytes_storage_transfer_money_and_duration(emulator: Emulator, keeper: Keeper) -> None:
    budget = "budget = { soft_usd = 1, hard_usd = 1000000 }"
    ended = keeper(budget, "backup", "--dry-run", "--json")
    told = keeper(budget, "estimate", "--json").report["plans"][0]

    estimate = ended.report["estimate"]
    assert {key: estimate[key] for key in ("plan", "sources", "source_bytes")} == {
        key: told[key] for key in ("plan", "sources", "source_bytes")
    }
    (target,) = estimate["targets"]
    assert target["tonight"]["bytes"] > 0 and target["tonight"]["seconds"] >= 1
    month = target["month"]
    assert month["copied_bytes"] == month["sent_bytes"] > 0 and month["stored_bytes"] > 0
    assert estimate["total"]["least"] == sum(month[part]["least"] for part in ("copying", "sending", "storing"))
    assert estimate["budget"] == ended.report["budget"] and estimate["budget"]["hard"] == 1_000_000_000_000
    shown = keeper(budget, "backup", "--dry-run").stdout
    assert "In all: $" in shown and "budget of thirty days: soft $1.00, hard $1000000.00; expected $" in shown
    assert "In all: $" in keeper(budget, "estimate").stdout
    assert emulator.count("start_copy") == 0


def test_an_impossible_budget_is_refused_before_any_request(emulator: Emulator, keeper: Keeper) -> None:
    ended = keeper("budget = { soft_usd = 60.5, hard_usd = -1 }", "backup")
    assert ended.code == 2
    assert "plans.nightly.budget.soft_usd: is the number `60.5`; it must be dollars" in ended.stderr
    assert "plans.nightly.budget.hard_usd: is the number `-1`; it must be dollars" in ended.stderr
    assert emulator.summary() == {}


def billed(emulator: Emulator) -> dict[str, int]:
    """The sums of all answers that say what they are billed with. One of metadata is billed as an empty query, and doesn't."""
    account = emulator.control("GET", "bill")["organisations"].get("default", {})
    bill = {what: account.get(what, 0) for what in ("bytes_written", "bytes_queried", "bytes_returned")}
    bill["bytes_queried"] -= emulator.summary().get("metadata", {}).get("200", 0) * 1_280_000_000
    return bill


@pytest.mark.parametrize("command", [
    ["backup"], ["verify", "--newest", "--level", "full"], ["restore", "--all", "--yes", "--verify", "full"], ["drill", "--share", "100%"],
], ids=lambda command: str(command[0]))
def test_every_report_carries_what_the_service_billed(emulator: Emulator, keeper: Keeper, command: list[str]) -> None:
    before = billed(emulator)

    report: dict[str, Any] = keeper("", *command, "--json").report

    after = billed(emulator)
    copied = report.get("copied", report)
    told = {
        "bytes_written": copied["bytes_written"],
        "bytes_queried": report["queried"]["bytes_queried"],
        "bytes_returned": copied["bytes_returned"] + report["queried"]["bytes_returned"],
    }
    assert told == {what: after[what] - before[what] for what in after}
    assert report["queried"]["queries"] > 0
