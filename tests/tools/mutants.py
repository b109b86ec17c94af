#!/usr/bin/env python3
"""Mutates the modules that decide on deletion, one place at a time, and sees that their own tests notice.

    tests/tools/mutants.py                      # names, slots, retention, certificate, leases: half an hour
    tests/tools/mutants.py -f src/slot.rs       # one of them
    tests/tools/mutants.py --coverage           # instead: the lines of these modules that no test of theirs runs

The whole crate takes a minute to build, and there are hundreds of mutants. So these modules, which lean on nothing else,
are built as a crate of their own under `target/mutants`, with small stand-ins for a few types that they only pass on,
and with the same tests. Needs `cargo install cargo-mutants`, and `rustup component add llvm-tools` for the lines. Which
mutants survive, and why, is told in docs/mutants.md.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CRATE = ROOT / "target" / "mutants"
JUDGED = [
    "src/name.rs", "src/name/scratch.rs", "src/slot.rs", "src/retention.rs", "src/certificate.rs", "src/journal/lease.rs",
]
ROOMS = ["name.rs", "name", "slot.rs", "retention*.rs", "certificate*.rs", "cases.rs", "journal.rs", "journal", "clock.rs"]
LEAST_CAUGHT = 95
# Slow, and about the journal's other modules; without them a mutant is only harder to catch.
SKIPPED = ["journal::tests::ends", "journal::tests::objects", "a_whole_run_in", "years_of_nights"]

STAND_INS = {
    "lib.rs": """//! The modules that decide on deletion, alone.
        #![allow(dead_code, missing_docs)]
        #[cfg(test)] mod cases;
        pub mod certificate; pub mod clock; pub mod drill; pub mod journal; pub mod listing; pub mod name; pub mod restore;
        pub mod retention; pub mod service; pub mod slot; pub mod verify; pub mod zilliz;""",
    "drill.rs": """use serde::{Deserialize, Serialize};
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub struct Asked {}""",
    "listing.rs": """#[derive(Debug)] pub struct ReadToTheEnd(());
        #[cfg(test)] impl ReadToTheEnd { pub(crate) fn for_tests() -> Self { Self(()) } }""",
    "restore.rs": """use serde::{Deserialize, Serialize};
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub struct Asked {}
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub struct Chosen { pub source: String }""",
    "journal/s3.rs": """use std::sync::Arc;
        use object_store::ObjectStore;
        use super::{JournalError, JournalUrl};
        pub(super) async fn connect(url: &JournalUrl, _: &str, _: Option<&str>) -> Result<Arc<dyn ObjectStore>, JournalError> {
            unreachable!("no test of these modules has the bucket {url}")
        }""",
    "verify.rs": """use serde::{Deserialize, Serialize};
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub struct Milestone {}""",
    "service.rs": """pub type Region = String;
        #[derive(Clone, Copy)] pub struct Metadata { pub created_at: jiff::Timestamp, pub updated_at: jiff::Timestamp }""",
    "zilliz.rs": """pub mod notes { use serde::{Deserialize, Serialize};
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub enum Note { Meant } }
        pub mod restore { use serde::{Deserialize, Serialize};
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)] pub enum RestoreNote { Meant } }""",
}


def manifest():
    """The crate's own dependencies, without the doors' and without the service's client."""
    of_tree = tomllib.loads((ROOT / "Cargo.toml").read_text())
    shared = of_tree["workspace"]["dependencies"]
    left_out = {
        "lambda_runtime", "turbopuffer", "aws-sdk-secretsmanager", "aws-config", "aws-credential-types", "globset", "toml",
        "strsim", "secrecy", "tracing-subscriber",
    }

    def line(name, wanted):
        wanted = {"version": wanted} if isinstance(wanted, str) else dict(wanted)
        if wanted.pop("workspace", False):
            common = shared[name]
            common = {"version": common} if isinstance(common, str) else dict(common)
            features = [*common.get("features", []), *wanted.get("features", [])]
            wanted = {**common, **wanted, "features": sorted(set(features))}
        wanted["features"] = [feature for feature in wanted.get("features", []) if feature not in ("aws", "rustls")]
        if "path" in wanted or wanted.pop("optional", False) or name in left_out:
            return ""
        fields = (f"{key} = {json.dumps(value)}" for key, value in wanted.items())
        return f"{name} = {{ {', '.join(fields)} }}\n"

    tables = "".join(
        f"\n[{table}]\n" + "".join(line(name, wanted) for name, wanted in of_tree[table].items())
        for table in ("dependencies", "dev-dependencies")
    )
    package = '[workspace]\n[package]\nname = "lifeboat"\nversion = "0.0.0"\nedition = "2024"\nautotests = false\n'
    return package + tables + "\n[profile.dev]\ndebug = 0\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_crate():
    shutil.rmtree(CRATE / "src", ignore_errors=True)
    write(CRATE / "Cargo.toml", manifest())
    shutil.copy(ROOT / "Cargo.lock", CRATE / "Cargo.lock")
    rooms = [path for pattern in ROOMS for path in (ROOT / "src").glob(pattern)]
    files = [file for room in rooms for file in ([room] if room.is_file() else room.rglob("*.rs"))]
    for file in [*files, ROOT / "tests" / "it" / "faulty_store.rs"]:
        write(CRATE / file.relative_to(ROOT), file.read_text())
    for name, text in STAND_INS.items():
        write(CRATE / "src" / name, re.sub(r"^ {8}", "", text, flags=re.M) + "\n")


def environment(cases):
    return {**os.environ, "LIFEBOAT_CASES": str(cases), "INSTA_UPDATE": "no", "CARGO_TARGET_DIR": str(CRATE / "target")}


def mutate(files, cases, jobs):
    command = ["cargo", "mutants", "--dir", CRATE, "--output", CRATE, "--jobs", str(jobs), "--no-shuffle", "--colors", "never",
               "--minimum-test-timeout", "15"]
    for file in files:
        command += ["--file", file]
    variables = environment(cases)
    del variables["CARGO_TARGET_DIR"]
    skipped = [argument for name in SKIPPED for argument in ("--skip", name)]
    written = CRATE / "mutants.out" / "outcomes.json"
    written.unlink(missing_ok=True)
    subprocess.run([*command, "--", "--lib", "--", *skipped], env=variables, check=False)
    if not written.exists():
        print("no mutant was judged; is cargo-mutants installed (cargo install cargo-mutants)?")
        return 1
    outcomes = json.loads(written.read_text())
    caught = outcomes["caught"] + outcomes["timeout"]
    judged = caught + outcomes["missed"]
    share = 100 * caught / judged if judged else 0
    print(f"{caught} of {judged} mutants were caught ({share:.1f} %); {outcomes['unviable']} do not build")
    print((CRATE / "mutants.out" / "missed.txt").read_text(), end="")
    return 0 if share >= LEAST_CAUGHT else 1


def cover(files, cases):
    """Plays the tests once, instrumented, and prints every line of the modules that was not run."""
    profiles = CRATE / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    variables = {
        **environment(cases), "CARGO_TARGET_DIR": str(CRATE / "target-coverage"),
        "RUSTFLAGS": "-C instrument-coverage -C opt-level=0", "LLVM_PROFILE_FILE": str(profiles / "%p-%m.profraw"),
    }
    built = subprocess.run(
        ["cargo", "test", "--lib", "--no-run", "--message-format=json"],
        cwd=CRATE, env=variables, stdout=subprocess.PIPE, text=True, check=True,
    )
    executables = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    program = next(executable for executable in reversed(executables) if executable)
    subprocess.run([program, "-q"], cwd=CRATE, env=variables, check=True)
    tools = os.environ.get("LLVM_TOOLS") or next(
        (str(path.parent) for path in pathlib.Path(sysroot()).glob("lib/rustlib/*/bin/llvm-cov")), None
    )
    if not tools:
        print("llvm-cov is missing: rustup component add llvm-tools, or set LLVM_TOOLS to its folder")
        return 1
    merged = CRATE / "merged.profdata"
    subprocess.run([f"{tools}/llvm-profdata", "merge", "-sparse", "-o", merged, *profiles.glob("*.profraw")], check=True)
    shown = subprocess.run(
        [f"{tools}/llvm-cov", "show", program, f"-instr-profile={merged}", *(str(CRATE / file) for file in files)],
        stdout=subprocess.PIPE, text=True, check=True,
    )
    return uncovered(shown.stdout)


def uncovered(shown):
    """`llvm-cov show` prints each line as `number|count|text`. A file's own tests, at its end, are not judged."""
    lines, bad, file, in_tests = 0, 0, "", False
    for line in shown.splitlines():
        if line.startswith("/") and line.endswith(".rs:"):
            file, in_tests = pathlib.Path(line[:-1]).relative_to(CRATE), False
        counted = re.match(r"\s*(\d+)\|\s*([\d.]+[kMGE]?|)\|(.*)", line)
        if not counted or in_tests:
            continue
        number, count, text = counted.groups()
        in_tests = text.startswith("#[cfg(test)]")
        lines += bool(count)
        if count == "0":
            bad += 1
            print(f"{file}:{number}: {text}")
    print(f"{lines - bad} of {lines} lines are run")
    return 1 if bad else 0


def sysroot():
    return subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-f", "--file", action="append", choices=JUDGED, help="only this module")
    parser.add_argument("--cases", type=int, default=500, help="cases that each property plays against each mutant")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--coverage", action="store_true", help="lines that are not run, instead of mutants")
    options = parser.parse_args()
    make_crate()
    files = options.file or JUDGED
    return cover(files, options.cases) if options.coverage else mutate(files, options.cases, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
