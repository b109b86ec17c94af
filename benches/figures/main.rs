//! The figures that the README promises, each as a ratio of two things measured side by side in one run.
//!
//! `cargo bench --bench figures` takes them all; `cargo bench --bench figures -- fleet memory` only these. The service
//! is the emulator over real HTTP, and it, the product and what the product is compared with run in processes of their
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

use lifeboat::terminal::table;

/// One line of the table.
pub(crate) struct Figure {
    name: String,
    measured: String,
    against: String,
    ratio: String,
}

impl Figure {
    /// A figure with the ratio of what was measured to what it is measured against.
    pub(crate) fn new(name: &str, measured: String, against: String, ratio: f64) -> Self {
        Self {
            name: name.to_owned(),
            measured,
            against,
            ratio: format!("{ratio:.2}"),
        }
    }

    /// A figure that can't be taken on this machine, and why.
    pub(crate) fn skipped(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            measured: "skipped".to_owned(),
            against: why,
            ratio: "-".to_owned(),
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

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, role, setup] = arguments.as_slice()
        && child == "child"
    {
        return child::play(role, setup);
    }
    // `cargo test --all-targets` starts this program too, without this word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return say("nothing measured: run `cargo bench --bench figures`");
    }
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
    for (name, take) in FIGURES {
        if !asked.is_empty() && !asked.iter().any(|word| *word == name) {
            continue;
        }
        say(&format!("measuring {name} …"));
        for figure in take() {
            shown.add_row([figure.name, figure.measured, figure.against, figure.ratio]);
        }
    }
    say(&format!("\n{shown}"));
}

/// One line for whoever waits.
fn say(line: &str) {
    println!("{line}");
}
