"""Verification by the real program over HTTP, of rows that the official Python client wrote."""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from emulated import BACKUP, SOURCE, Emulator, days_ago
from program import Ended, Lifeboat

import rows

HALF_AND_BYTE: dict[str, Any] = {
    "half": {"type": "[4]f16", "ann": False},
    "byte": {"type": "[4]i8", "ann": False},
}


def only(ended: Ended) -> dict[str, Any]:
    """What was found about the one backup that was looked at."""
    (found,) = ended.report["verified"]["shown"]
    verified: dict[str, Any] = found
    return verified


def write(emulator: Emulator, name: str, ids: str, count: int = 500) -> None:
    """Rows of every type, written yesterday by the client, so that a backup of today finds them still."""
    with emulator.at(days_ago(2)):
        rows.write(emulator.source(name), [rows.make(number, ids) for number in range(count)], ids)


def back_up(lifeboat: Lifeboat, **changes: str) -> tuple[Ended, str]:
    ended = lifeboat.backup(**changes)
    assert ended.code == 0, ended
    (name,) = (line["backup"] for line in lifeboat.list().report["decisions"]["shown"])
    return ended, name


def test_what_comparing_costs_is_told_in_money_at_every_level(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> None:
    write(emulator, "acme-docs", "uint")
    back_up(lifeboat)
    prices = tmp_path / "prices"
    for level in ("count", "full"):
        told = lifeboat("verify", "--level", level)
        (line,) = [line for line in told.stdout.splitlines() if "queries in all" in line]
        assert re.fullmatch(r"  \d+ queries in all, billed with .* sent and .* looked through: <?\$0.0\d", line), told
        report = lifeboat("verify", "--level", level, "--json").report
        assert (report["queried_costs"]["most"] > 0) == (report["queried"]["bytes_returned"] > 0)
    prices.write_text('as_of = "2026-11-20"\n', encoding="utf-8")
    assert "looked through: unknown" in lifeboat("verify", LIFEBOAT_PRICES=str(prices)).stdout
    likely = lifeboat("verify", "--level", "sample:2").stdout
    assert re.search(r"unseen with a probability of 9\d %", " ".join(likely.split())), likely


def change(emulator: Emulator, name: str, row: dict[str, Any]) -> None:
    """Writes to a sealed backup, as nobody should."""
    backup = emulator.backup(name)
    backup.update_metadata(read_only=False)
    backup.write(upsert_rows=[row])
    backup.update_metadata(read_only=True)


@pytest.mark.parametrize("ids", rows.IDS)
def test_rows_with_every_kind_of_id_are_equal_to_their_source(emulator: Emulator, lifeboat: Lifeboat, ids: str) -> None:
    write(emulator, "acme-docs", ids)
    night, name = back_up(lifeboat, VERIFY_LEVEL="full")
    assert (only(night)["finding"], only(night)["backup"], only(night)["rows"]) == ("equal", name, 500)
    for level in ("metadata", "count", "sample:100", "full"):
        ended = lifeboat("verify", "--level", level, "--json")
        assert ended.code == 0 and only(ended)["finding"] == "equal", ended
    assert only(ended)["digest"] == only(night)["digest"]
    assert ended.report["rows_read"]["rows"] == 1000


@pytest.mark.parametrize("ids", rows.IDS)
def test_one_changed_bit_is_found_whatever_the_ids(emulator: Emulator, lifeboat: Lifeboat, ids: str) -> None:
    write(emulator, "acme-docs", ids)
    _, name = back_up(lifeboat)
    row = rows.make(77, ids)
    first = struct.pack("<f", row["vector"][3])
    row["vector"][3] = struct.unpack("<f", bytes([first[0] ^ 1]) + first[1:])[0]
    change(emulator, name, row)
    ended = lifeboat("verify", "--level", "full", "--json")
    found = only(ended)
    assert ended.code == 1 and found["finding"] == "damaged", ended
    assert found["differences"]["first"] == [{"id": rows.IDS[ids](77), "wrong": {"changed": ["vector"]}}]
    assert lifeboat("verify", "--json").code == 0, "a count can't see it"


def test_half_and_byte_vectors_are_compared_by_their_own_bits(emulator: Emulator, lifeboat: Lifeboat) -> None:
    def row(number: int, byte: int = 3) -> dict[str, Any]:
        return {"id": number, "half": [0.1, -0.0, 6e-8, 65504.0], "byte": [number % 128, -128, 127, byte]}

    with emulator.at(days_ago(2)):
        emulator.source("acme-docs").write(
            upsert_rows=[row(number) for number in range(100)], schema=HALF_AND_BYTE, distance_metric="cosine_distance"
        )
    night, name = back_up(lifeboat, VERIFY_LEVEL="full")
    assert only(night)["finding"] == "equal", night
    change(emulator, name, row(7, byte=4))
    ended = lifeboat("verify", "--level", "sample:100", "--json")
    assert only(ended)["differences"]["first"] == [{"id": 7, "wrong": {"changed": ["byte"]}}], ended


def test_not_a_number_is_a_value_like_any_other(emulator: Emulator, lifeboat: Lifeboat) -> None:
    def vector(bits: int) -> str:
        return b64encode(struct.pack("<2I", bits, 0x8000_0000)).decode()

    schema: Any = {"vector": {"type": "[2]f32", "ann": False}}
    with emulator.at(days_ago(2)):
        row: Any = {"id": 1, "vector": vector(0x7FC0_0001)}
        emulator.source("acme-docs").write(upsert_rows=[row], schema=schema, distance_metric="cosine_distance")
    night, name = back_up(lifeboat, VERIFY_LEVEL="full")
    assert only(night)["finding"] == "equal", night
    change(emulator, name, {"id": 1, "vector": vector(0x7FC0_0002)})
    assert lifeboat("verify", "--level", "full", "--json").code == 1


def test_seal_and_discard_need_a_yes_and_are_shown_first(emulator: Emulator, lifeboat: Lifeboat) -> None:
    write(emulator, "acme-docs", "uint", 20)
    slot = days_ago(0.1)
    name = emulator.make_backup("acme-docs", slot, sealed=False)
    for action in ("seal", "discard"):
        asked = lifeboat(action, name)
        assert asked.code == 2 and "--yes" in asked.stderr, asked
    assert "Dry run of sealing succeeded" in lifeboat("seal", name, "--dry-run").stdout
    assert emulator.standing()[name][1] is False
    sealed = lifeboat("seal", name, "--level", "full", "--yes")
    assert sealed.code == 0 and "to the last bit" in sealed.stdout, sealed
    assert emulator.standing()[name][1] is True
    refused = lifeboat("discard", name, "--yes")
    assert refused.code == 1 and "newest sealed backup" in " ".join(refused.stdout.split()), refused
    newer = emulator.make_backup("acme-docs", days_ago(0.05))
    discarded = lifeboat("discard", name, "--yes")
    assert discarded.code == 0 and f"deleted: {name}" in discarded.stdout, discarded
    assert emulator.names(BACKUP) == [newer] and emulator.names(SOURCE) == ["acme-docs"]


def test_events_say_the_same(emulator: Emulator, lifeboat: Lifeboat) -> None:
    write(emulator, "acme-docs", "uint", 20)
    name = emulator.make_backup("acme-docs", days_ago(0.1), sealed=False)
    refused = lifeboat.invoke({"action": "discard", "names": [name]})
    assert refused.code == 2 and '"yes": true' in refused.stderr, refused
    found = only(lifeboat.invoke({"action": "verify", "names": [name], "level": "full"}))
    assert (found["finding"], found["sealed"]) == ("equal", False)
    ended = lifeboat.invoke({"action": "discard", "names": [name], "yes": True})
    assert ended.deleted == [name] and emulator.names(BACKUP) == []
