"""Rows of every type that the service knows, made from a number, and read back to the last bit."""

from __future__ import annotations

import json
import random
import struct
from base64 import b64encode
from typing import Any, Callable, Literal, Union

from turbopuffer import omit
from turbopuffer.lib.namespace import Namespace

Row = dict[str, Any]

PAGE = 10_000
DIMENSIONS = 8
SCHEMA: dict[str, Any] = {
    "title": {"type": "string", "full_text_search": True, "filterable": True},
    "code": {"type": "string", "filterable": True},
    "delta": "int",
    "size": "uint",
    "price": "float",
    "live": "bool",
    "owner": "uuid",
    "made_at": "datetime",
    "tags": "[]string",
    "deltas": "[]int",
    "sizes": "[]uint",
    "prices": "[]float",
    "flags": "[]bool",
    "owners": "[]uuid",
    "times": "[]datetime",
    "vector": {"type": f"[{DIMENSIONS}]f32", "ann": True},
}
WORDS = ("blue", "kettle", "grüner", "Tee", "水", "🫖", "steam", "spout")
IDS: dict[str, Callable[[int], Any]] = {
    "uint": lambda number: number,
    "string": lambda number: f"row-{number:06}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012x}",
}


def make(number: int, ids: str = "uint", integer_bits: int = 64) -> Row:
    """The row of this number; the same one every time. Every seventh lacks an attribute."""
    lots = random.Random(number)
    largest = 2**integer_bits - 1
    row = {
        "id": IDS[ids](number),
        "title": " ".join(lots.choices(WORDS, k=4)),
        "code": f"c{number % 97}",
        "delta": lots.randint(-largest, largest) // 2,
        "size": lots.randint(0, largest),
        "price": lots.uniform(-1e6, 1e6),
        "live": number % 2 == 0,
        "owner": uuid(lots),
        "made_at": moment(number),
        "tags": lots.sample(WORDS, k=number % 3),
        "deltas": [-number, number],
        "sizes": [number, largest],
        "prices": [number / 7 + 0.25, -0.5],
        "flags": [True, False],
        "owners": [uuid(lots)],
        "times": [moment(number), moment(0)],
        "vector": vector(lots),
    }
    if number % 7 == 3:
        del row["price"]
    return row


def uuid(lots: random.Random) -> str:
    return str("%08x-%04x-4%03x-8%03x-%012x" % tuple(lots.getrandbits(bits) for bits in (32, 16, 12, 12, 48)))


def moment(number: int) -> str:
    return f"2026-01-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00Z"


def vector(lots: random.Random) -> list[float]:
    """Any bits that are a number, very small ones and both zeros among them."""
    numbers: list[float] = [0.0, -0.0, 1e-42]
    while len(numbers) < DIMENSIONS:
        (number,) = struct.unpack("<f", lots.getrandbits(32).to_bytes(4, "little"))
        if abs(number) < 1e30:
            numbers.append(number)
    return numbers


def write(namespace: Namespace, rows: list[Row], ids: str = "uint") -> None:
    """Writes rows through the client, in requests of a page each."""
    schema = {"id": ids, **SCHEMA}
    for start in range(0, len(rows), PAGE):
        page: Any = rows[start : start + PAGE]
        written = namespace.write(upsert_rows=page, schema=schema, distance_metric="euclidean_squared")
        assert written.rows_affected == len(page)


def read(namespace: Namespace, encoding: Literal["float", "base64"] = "base64") -> list[Row]:
    """All rows of a namespace by id, page after page."""
    rows: list[Row] = []
    while True:
        page = namespace.query(
            rank_by=("id", "asc"),
            filters=("id", "Gt", rows[-1]["id"]) if rows else omit,
            limit=PAGE,
            include_attributes=True,
            vector_encoding=encoding,
        )
        rows.extend(row.model_dump() for row in page.rows or [])
        if len(page.rows or []) < PAGE:
            return rows


def exactly(rows: list[Row]) -> list[str]:
    """Rows as text that is equal only if every bit of them is."""
    return [json.dumps({**row, "vector": packed(row["vector"])}, sort_keys=True) for row in rows]


def packed(vector: Union[str, list[float]]) -> str:
    """A vector as base64 of little-endian f32, the form in which the service sends its bits."""
    if isinstance(vector, str):
        return vector
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
