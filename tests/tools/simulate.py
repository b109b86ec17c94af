#!/usr/bin/env python3
"""Plays what a release must pass, with an optimised build, and writes target/simulation.md.

    make simulate                                    # 100,000 histories, 10,000,000 cases: hours
    make simulate HISTORIES=1000 CASES=100000        # scaled down

Everything follows from seeds that the commands print, so a failure can be played again alone.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROFILE = ["--profile", "simulation"]
QUIET = re.compile(r"^(running |test |test result|\s*$|failures:|successes:|---- |\s+Finished|\s+Running|\s+Compiling|note: |stack backtrace)")


def play(title, arguments, variables):
    """Runs one command, shows its words as they come, and gives whether it passed and what it said."""
    print(f"\n== {title}", flush=True)
    began = time.monotonic()
    environment = {**os.environ, **variables}
    command = ["cargo", "test", *PROFILE, "-p", "lifeboat", *arguments, "--nocapture"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in process.stdout:
        print(line, end="", flush=True)
        if not QUIET.match(line):
            said.append(line.rstrip())
    passed = process.wait() == 0
    return title, passed, time.monotonic() - began, said


def first(command):
    """The first line that a command says."""
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    return said[0] if said else "unknown"


def counts_of(said):
    """What the histories counted, by name."""
    lines = (re.fullmatch(r"  (\S.*?)\s+(\d+)", line) for line in said)
    return {line[1]: int(line[2]) for line in lines if line}


def table(head, rows):
    return ["", f"| {head[0]} | {head[1]} |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)]


def fault_rows(counts):
    """How often each kind of fault was applied, by those of the services and those of the journal, and all together."""
    kinds = [(name, count) for name, count in counts.items() if "fault: " in name]
    rows = [(f"`{name.split('fault: ')[1]}`" + (", journal" if name.startswith("journal") else ""), f"{count:,}") for name, count in kinds]
    return [*rows, ("all", f"{sum(count for _, count in kinds):,}")]


def summary(options, runs):
    """What a reader wants to know first, of runs that all passed: each rule is an assertion, so none was broken."""
    _, kills, namespaces, clusters = (run[3] for run in runs)
    find = lambda said, pattern: next((found[1] for line in said if (found := re.search(pattern, line))), "unknown")
    ours, theirs = counts_of(namespaces), counts_of(clusters)
    number = lambda counts, name: f"{counts.get(name, 0):,}"
    of = lambda counts, *names: ", ".join(number(counts, name) for name in names)
    rows = [
        ("wrong deletions", f"0 of {number(ours, 'deletions asked for')} that were asked for"),
        ("lost copies", f"0 of {number(ours, 'copies that had to stand at the end, and do')} that had to stand at the end"),
        ("near misses stopped by the certificate", number(ours, "near misses stopped by the certificate")),
        ("slowest convergence after the last fault", find(namespaces, r"slowest convergence after the last fault: (.*)")),
        ("histories, and their seeds", f"{number(ours, 'histories')}, from 1 to {options.histories:,}"),
        ("events, ticks, kills, races", of(ours, "events", "ticks", "kills", "races")),
        ("backups sealed, deleted", of(ours, "sealed", "backups deleted")),
        ("lost answers, each adopted with one copy", find(kills, r"(\d+) lost answers adopted")),
        ("repeated events that made nothing new", find(kills, r"(\d+) duplicate events")),
        ("runs killed at every await", find(kills, r"every one of (\d+) awaits")),
        ("runs killed before and after every request", find(kills, r"every request \((\d+) kills\)")),
        ("cases of each property of planner and certificate", f"{options.cases:,}"),
    ]
    of_clusters = [
        ("wrong deletions", f"0 of {number(theirs, 'deleted')} tiers that are gone"),
        ("lost backups by hand", f"0 of {number(theirs, 'by hand made and copied')} that had to stand with their copies at the end"),
        ("lost nights that nobody told of", f"0 of {number(theirs, 'nights lost and told')}"),
        ("histories, and their seeds", f"{number(theirs, 'histories')}, from 0 to {options.histories // 2 - 1:,}"),
        ("events by hand, ticks, kills, races", of(theirs, "by hand", "ticks", "kills", "races")),
        ("lost answers adopted", number(theirs, "lost answers adopted")),
        ("repeated events that made nothing new", number(theirs, "duplicates")),
        ("clusters restored, collections restored", of(theirs, "clusters restored", "collections restored")),
    ]
    return [
        *table(("", ""), rows),
        *("", "## Of clusters on Zilliz Cloud", *table(("", ""), of_clusters)),
        *("", "## Faults of namespaces injected, by kind", *table(("fault", "times"), fault_rows(ours))),
        *("", "## Faults of clusters injected, by kind", *table(("fault", "times"), fault_rows(theirs))),
    ]


def written(options, runs, passed):
    commit, date = first(["git", "rev-parse", "--short", "HEAD"]), time.strftime("%Y-%m-%d", time.gmtime())
    command = f"make simulate HISTORIES={options.histories} CASES={options.cases} REPEATS={options.repeats} PLANTED={options.planted}"
    lines = [f"# Simulation of {commit}", "", f"`{command}` on {date}, {os.cpu_count()} cores, {first(['rustc', '--version'])}."]
    if passed:
        lines += summary(options, runs)
    else:
        lines += ["", "**Something failed: see below, and play its seed alone.**"]
    for title, good, took, said in runs:
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", f"{'Passed' if good else '**FAILED**'} in {took:,.0f} seconds.", "", "```", *said[-200:], "```"]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=300, help="histories for each planted bug at most; 0 plants none")
    options = parser.parse_args()
    report = ROOT / "target" / "simulation.md"
    report.parent.mkdir(exist_ok=True)
    it = ["--test", "it", "--"]
    runs = [
        play(
            f"planner, certificate and names, {options.cases:,} cases of each property",
            ["--lib", "--", "retention::", "certificate::", "name::"],
            {"LIFEBOAT_CASES": str(options.cases)},
        ),
        play(
            "killed at every await and request; lost answers; duplicates",
            [*it, "histories::every_await"],
            {"LIFEBOAT_REPEATS": str(options.repeats)},
        ),
        play(
            f"{options.histories:,} whole histories",
            [*it, "histories::no_history"],
            {"LIFEBOAT_HISTORIES": str(options.histories)},
        ),
        play(
            f"{options.histories // 2:,} histories of clusters on Zilliz Cloud",
            [*it, "clusters::histories"],
            {"LIFEBOAT_HISTORIES": str(options.histories)},
        ),
    ]
    passed = all(run[1] for run in runs)
    report.write_text("\n".join(written(options, runs, passed)) + "\n")
    if passed and options.planted:
        print("\n== planted bugs", flush=True)
        with report.open("a") as file:
            file.write("\n## Planted bugs\n")
        planted = ["tests/planted/run.py", "--seeds", str(options.planted), "--report", str(report)]
        passed = subprocess.run([sys.executable, *planted], cwd=ROOT).returncode == 0
    print(f"\nwritten: {report}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
