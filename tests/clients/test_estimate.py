"""Estimates with the real program: what a person is told before the bill comes, and that asking changes nothing."""

from __future__ import annotations

from pathlib import Path

from emulated import BACKUP, SOURCE, Emulator, days_ago, fault
from program import Lifeboat


def test_an_estimate_tells_what_thirty_nights_cost_and_changes_nothing(emulator: Emulator, lifeboat: Lifeboat) -> None:
    with emulator.at(days_ago(5)):
        emulator.write("acme-docs")
        emulator.write("acme-users")
    for day in (2, 1):
        emulator.make_backup("acme-docs", days_ago(day))
    before = (emulator.names(SOURCE), emulator.names(BACKUP))
    emulator.forget_log()

    told = lifeboat("estimate", "--json")

    assert told.code == 0, str(told)
    plan = told.report["plans"][0]
    target = plan["targets"][0]
    assert (plan["sources"], target["backups"], target["month"]["copies"]) == (2, 2, 60)
    money = target["month"]
    assert money["total"]["least"] == sum(money[part]["least"] for part in ("copying", "sending", "storing"))
    assert money["total"]["least"] <= money["total"]["most"]
    assert (emulator.names(SOURCE), emulator.names(BACKUP)) == before
    assert emulator.count("list") >= 2 and not any(emulator.count(op) for op in ("start_copy", "delete", "patch_metadata"))

    shown = lifeboat("estimate")
    assert shown.code == 0 and "60 copies" in shown.stdout and "2026" in shown.stdout, str(shown)


def test_a_table_of_ones_own_replaces_the_prices_and_what_it_leaves_out_is_unknown(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path
) -> None:
    emulator.write("acme-docs")
    table = tmp_path / "prices.toml"
    table.write_text('as_of = "2026-01-02"\n[turbopuffer]\nreturned_gb = "0.07"\n')
    lifeboat.environment["LIFEBOAT_PRICES"] = str(table)
    told = lifeboat("estimate", "--json").report
    assert told["prices_as_of"] == "2026-01-02" and told["plans"][0]["targets"][0]["month"]["total"] is None
    assert "unknown" in lifeboat("estimate").stdout

    table.write_text('as_of = "2026-01-02"\n[turbopuffer]\ncopied_gb = 1.5\n')
    refused = lifeboat("estimate")
    assert refused.code == 2 and "LIFEBOAT_PRICES" in refused.stderr and "turbopuffer.copied_gb" in refused.stderr, str(refused)


def test_a_region_that_does_not_answer_is_named(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.write("acme-docs")
    emulator.faults(fault("list", BACKUP, status=403))
    told = lifeboat("estimate")
    assert told.code == 1 and "failed: default:" in told.stdout, str(told)
