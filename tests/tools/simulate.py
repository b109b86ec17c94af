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
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    passed = all(run[1] for run in runs)
    lines = [f"# Simulation of {commit}", ""]
    lines.append(
        "Wrong deletions: 0. Lost copies: 0." if passed else "**Something failed: see below, and play its seed alone.**"
    )
    for title, good, took, said in runs:
        lines += ["", f"## {title}", "", f"{'passed' if good else '**FAILED**'} in {took:,.0f} seconds", "", "```", *said[-200:], "```"]
    report.write_text("\n".join(lines) + "\n")
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
