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


def summary(options, runs):
    """What a reader wants to know first, of runs that all passed: each rule is an assertion, so none was broken."""
    said = [line for run in runs for line in run[3]]
    counts = counts_of(said)
    number = lambda name: f"{counts.get(name, 0):,}"
    find = lambda pattern: next((found[1] for line in said if (found := re.search(pattern, line))), "unknown")
    rows = [
        ("wrong deletions", f"0 of {number('deletions asked for')} that were asked for"),
        ("lost copies", f"0 of {number('copies that had to stand at the end, and do')} that had to stand at the end"),
        ("near misses stopped by the certificate", number("near misses stopped by the certificate")),
        ("slowest convergence after the last fault", find(r"slowest convergence after the last fault: (.*)")),
        ("histories, and their seeds", f"{number('histories')}, from 1 to {options.histories:,}"),
        ("events, ticks, kills, races", ", ".join(number(name) for name in ("events", "ticks", "kills", "races"))),
        ("backups sealed, deleted", f"{number('sealed')}, {number('backups deleted')}"),
        ("lost answers, each adopted with one copy", find(r"(\d+) lost answers adopted")),
        ("repeated events that made nothing new", find(r"(\d+) duplicate events")),
        ("runs killed at every await and journal write", find(r"every journal write \((\d+) kills\)")),
        ("cases of each property of planner and certificate", f"{options.cases:,}"),
    ]
    kinds = [(name, count) for name, count in counts.items() if "fault: " in name]
    faults = [(f"`{name.split('fault: ')[1]}`" + (", journal" if name.startswith("journal") else ""), f"{count:,}") for name, count in kinds]
    total = sum(count for _, count in kinds)
    return [*table(("", ""), rows), "", "## Faults injected, by kind", *table(("fault", "times"), [*faults, ("all", f"{total:,}")])]


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
            "killed at every await and journal write; lost answers; duplicates",
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
