"""What a simulation counted is told of namespaces and of clusters apart."""

from __future__ import annotations

import argparse

from simulate import summary

# As `Tally` in tests/it/histories/tally.rs prints them.
NAMESPACES = """\
100 histories of 30 nights and more, seeds from 1, in 9.1s:
  fault: latency_ms 4000                                    1200
  histories                                                  100
  journal fault: ComesLate                                     3
  kills                                                      700
  slowest convergence after the last fault: 3d 4h (seed 77)
"""
CLUSTERS = """\
50 histories of clusters, seeds from 0:
  by hand made and copied                                    256
  duplicates                                                 199
  fault: lose_token                                           11
  histories                                                   50
  kills                                                      321
"""
KILLS = "killed at every one of 161 awaits, and before and after every request (1734 kills)\n1000 lost answers adopted, each with one copy\n1000 duplicate events made nothing new"


def test_each_row_is_of_its_own_histories() -> None:
    options = argparse.Namespace(histories=100, cases=1_000)
    said = ["", KILLS, NAMESPACES, CLUSTERS]
    lines = summary(options, [("", True, 1.0, text.splitlines()) for text in said])
    namespaces, clusters, faults, of_clusters = "\n".join(lines).split("## ")
    assert "| events, ticks, kills, races | 0, 0, 700, 0 |" in namespaces
    assert "| slowest convergence after the last fault | 3d 4h (seed 77) |" in namespaces
    assert "| runs killed before and after every request | 1734 |" in namespaces
    assert "| lost backups by hand | 0 of 256 that had to stand with their copies at the end |" in clusters
    assert "| histories, and their seeds | 50, from 0 to 49 |" in clusters
    assert "| events by hand, ticks, kills, races | 0, 0, 321, 0 |" in clusters
    assert "| repeated events that made nothing new | 199 |" in clusters
    assert "| `latency_ms 4000` | 1,200 |\n| `ComesLate`, journal | 3 |\n| all | 1,203 |" in faults
    assert "| `lose_token` | 11 |\n| all | 11 |" in of_clusters
