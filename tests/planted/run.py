#!/usr/bin/env python3
"""Plants every bug of this folder, one at a time, and sees that the tests find it.

    tests/planted/run.py                  # all of them
    tests/planted/run.py --only 07 24     # some of them
    tests/planted/run.py --check          # only whether every patch still applies

Each `NN-name.patch` says in its header which lesson of other tools it plants again. It is applied to a copy of the work
tree under `target/planted`, built in the same target directory (so that only this crate is built again), and found when a
test fails: a history of `tests/it/histories.rs` or `tests/it/clusters/histories.rs`, told by its seed, another story of
`tests/it`, or a test of the library. A bug in `src/zilliz` is looked for in the histories of clusters first.
Exits with 1 when one of them survives.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FEWEST = 25


class Bug:
    def __init__(self, path):
        text = path.read_text()
        self.path, self.name = path, path.stem
        self.lesson = re.search(r"^# Lesson: (.+)$", text, re.M).group(1)
        self.planted = re.search(r"^# Planted: (.+)\.$", text, re.M).group(1)
        self.is_of_clusters = "--- a/src/zilliz/" in text


def all_bugs():
    return [Bug(path) for path in sorted(HERE.glob("[0-9]*.patch"))]


def check(bugs):
    """Whether every patch applies to the tree as it is."""
    stale = [bug for bug in bugs if subprocess.run(["git", "apply", "--check", bug.path], cwd=ROOT).returncode]
    for bug in stale:
        print(f"{bug.path.relative_to(ROOT)} does not apply any more: plant it again")
    if len(bugs) < FEWEST:
        print(f"{len(bugs)} bugs are planted, and {FEWEST} are asked for")
    print(f"{len(bugs) - len(stale)} of {len(bugs)} planted bugs apply")
    return 1 if stale or len(bugs) < FEWEST else 0


def target_directory():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def copy_tree(tree):
    """Tracked and new files, without what is ignored. Files that did not change keep their time, so cargo is quick."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    wanted = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for path in [path for path in tree.rglob("*") if path.is_file()]:
        if str(path.relative_to(tree)) not in wanted:
            path.unlink()
    for name in wanted:
        source, copy = ROOT / name, tree / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def cargo(tree, arguments, variables, minutes):
    environment = {**os.environ, **variables, "RUST_BACKTRACE": "0", "CARGO_TARGET_DIR": str(target_directory())}
    try:
        ran = subprocess.run(["cargo", *arguments], cwd=tree, env=environment, capture_output=True, text=True, timeout=minutes * 60)
        return ran.returncode, ran.stdout + ran.stderr
    except subprocess.TimeoutExpired:
        return 124, "the tests did not end"


def failed_test(output):
    names = re.findall(r"^test (\S+) \.\.\. FAILED$", output, re.M)
    if names:
        return names[0]
    return "time" if "did not end" in output else "unknown"


def reason(output):
    """What the first panic said, on one line."""
    panics = re.findall(r"panicked at [^\n]*\n([^\n]*)", output)
    return panics[0][:160] if panics else ""


# Most bugs are found within a few seeds, so building is what takes long: little is optimised, and no terminal is built.
QUICK = ["--config", "profile.dev.package.lifeboat.opt-level=1", "test", "-p", "lifeboat"]
IT = [*QUICK, "--no-default-features", "--test", "it"]
NAMESPACES = ("histories", [*IT, "--", "histories::no_history"])
# Half as many are played as are asked for.
CLUSTERS = ("histories of clusters", [*IT, "--", "clusters::histories::"])
REST = [("stories", [*IT, "--", "--skip", "histories::"]), ("library", [*QUICK, "--lib"])]


def hunt(tree, seeds, of_clusters=False):
    """How the planted bug is found: the test, the seeds it took, and what was said; or None."""
    began = time.monotonic()
    code, output = cargo(tree, [*IT, "--no-run"], {}, 60)
    if code:
        sys.exit("it does not build:\n" + output[-3000:])
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)
    histories = [CLUSTERS, NAMESPACES] if of_clusters else [NAMESPACES, CLUSTERS]
    played = {"histories": seeds, "histories of clusters": 2 * seeds}
    for name, arguments in [*histories, *REST]:
        variables = {"LIFEBOAT_HISTORIES": str(played[name])} if name in played else {}
        code, output = cargo(tree, arguments, variables, 30)
        if "could not compile" in output:
            sys.exit("it does not build:\n" + output[-3000:])
        if code:
            after = re.search(r"seed \d+ failed, the (\d+)th", output)
            return failed_test(output), after.group(1) if after else "-", reason(output)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see whether every patch applies")
    parser.add_argument("--seeds", type=int, default=300, help="histories played for each bug at most")
    parser.add_argument("--only", nargs="*", help="numbers of the bugs to plant")
    parser.add_argument("--no-baseline", action="store_true", help="don't first see that nothing fails without a bug")
    parser.add_argument("--report", help="append the table to this file")
    options = parser.parse_args()
    bugs = all_bugs()
    if options.check:
        return check(bugs)
    if options.only:
        bugs = [bug for bug in bugs if bug.name[:2] in options.only]
    tree = target_directory() / "planted" / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    if not options.no_baseline:
        copy_tree(tree)
        found = hunt(tree, min(options.seeds, 99))
        if found:
            print(f"without any bug, {found[0]} fails: {found[2]}")
            return 1
    rows, survivors = [], 0
    for bug in bugs:
        copy_tree(tree)
        # The tree lies inside a repository, and is none of it.
        outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
        subprocess.run(["git", "apply", bug.path], cwd=tree, env=outside, check=True)
        began = time.monotonic()
        found = hunt(tree, options.seeds, bug.is_of_clusters)
        survivors += found is None
        test, after, said = found or ("NOT FOUND", "-", "")
        rows.append((bug.name, bug.lesson, test, after))
        print(f"{bug.name:<42} {bug.lesson:<14} {test} {after} ({time.monotonic() - began:.0f} s) {said}", flush=True)
    table = ["", "| planted bug | lesson | found by | after seeds |", "|---|---|---|---|"]
    table += [f"| {name} | {lesson} | {test} | {after} |" for name, lesson, test, after in rows]
    table += ["", f"{len(rows) - survivors} of {len(rows)} planted bugs found"]
    print("\n".join(table))
    if options.report:
        with open(options.report, "a") as report:
            report.write("\n".join(table) + "\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
