//! The figures that the README promises, each as a ratio of two things measured side by side in one run.
//!
//! `cargo bench --bench figures` takes them all; `cargo bench --bench figures -- fleet memory` only these. It ends with
//! status 1 when a limit is not kept. With `--quick` everything is a hundredth as large: that shows that it works, and its
//! ratios, which begin and end of a run then decide, say nothing.
//!
//! The service is the emulator over real HTTP, and it, the product and what the product is compared with run in processes of their
//! own (this program again, in a `child` role), so that nobody's CPU or memory is counted as another's.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that can't be made ends here, loudly"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures are for whoever waits, and children answer on stderr"
)]

mod bare;
mod child;
mod cold;
mod cpu;
mod fleet;
mod memory;
mod product;
mod python;
mod rows;
mod runtime_api;
mod service;
mod size;
mod usage;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use lifeboat::terminal::table;

static QUICK: AtomicBool = AtomicBool::new(false);

/// How many of something to measure with, where the whole would be `count`.
pub(crate) fn so_many(count: u64) -> u64 {
    if QUICK.load(Ordering::Relaxed) {
        count / 100
    } else {
        count
    }
}

/// One line of the table.
pub(crate) struct Figure {
    name: String,
    measured: String,
    against: String,
    ratio: String,
    limit: Option<Limit>,
}

/// What is promised of a figure.
struct Limit {
    words: String,
    is_kept: bool,
}

impl Figure {
    /// A figure with the ratio of what was measured to what it is measured against.
    pub(crate) fn new(name: &str, measured: String, against: String, ratio: f64) -> Self {
        Self {
            name: name.to_owned(),
            measured,
            against,
            ratio: format!("{ratio:.2}"),
            limit: None,
        }
    }

    /// The same with a limit to `what` it says, which is `value`.
    pub(crate) fn at_most(mut self, limit: f64, what: &str, value: f64) -> Self {
        self.limit = Some(Limit {
            words: format!("{limit:.2}{what}, and it is {value:.2}"),
            is_kept: value <= limit,
        });
        self
    }

    /// A figure that can't be taken on this machine, and why.
    pub(crate) fn skipped(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            measured: "skipped".to_owned(),
            against: why,
            ratio: "-".to_owned(),
            limit: None,
        }
    }
}

/// Takes figures.
type Take = fn() -> Vec<Figure>;

/// Every figure, by the word that asks for it, in the order in which they are taken.
const FIGURES: [(&str, Take); 7] = [
    ("fleet", fleet::figures),
    ("python", python::figures),
    ("cpu", cpu::figures),
    ("cold", cold::figures),
    ("size", size::figures),
    ("memory", memory::figures),
    ("rows", rows::figures),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, role, setup] = arguments.as_slice()
        && child == "child"
    {
        child::play(role, setup);
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` starts this program too, without this word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        say("nothing measured: run `cargo bench --bench figures`");
        return ExitCode::SUCCESS;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    QUICK.store(quick, Ordering::Relaxed);
    let asked: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let known = |word: &String| FIGURES.iter().any(|(name, _)| name == word);
    if let Some(unknown) = asked.iter().find(|word| !known(word)) {
        let names = FIGURES.map(|(name, _)| name).join(", ");
        panic!("no figure is called `{unknown}`; there are {names}");
    }
    let mut shown = table(&["figure", "measured", "against", "ratio"]);
    let mut limits = Vec::new();
    for (name, take) in FIGURES {
        if !asked.is_empty() && !asked.iter().any(|word| *word == name) {
            continue;
        }
        say(&format!("measuring {name} …"));
        for figure in take() {
            limits.extend(figure.limit.map(|limit| (figure.name.clone(), limit)));
            shown.add_row([figure.name, figure.measured, figure.against, figure.ratio]);
        }
    }
    say(&format!("\n{shown}\n"));
    judge(&limits)
}

/// Says of every limit whether it is kept.
fn judge(limits: &[(String, Limit)]) -> ExitCode {
    for (name, limit) in limits {
        let judged = if limit.is_kept { "kept" } else { "NOT KEPT" };
        say(&format!("{judged}: {name}: at most {}", limit.words));
    }
    if limits.iter().all(|(_, limit)| limit.is_kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One line for whoever waits.
fn say(line: &str) {
    println!("{line}");
}
