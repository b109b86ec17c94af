//! Cold start of the function's program against an empty Rust function, on a Runtime API of our own.
//!
//! The programs take turns. `check` asks no service; `list` opens a connection and lists one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::runtime_api::{Start, start};
use crate::service::{Service, Setup};
use crate::{Figure, product};

const STARTS: usize = 15;

pub(crate) fn figures() -> Vec<Figure> {
    let empty = empty_function();
    let bootstrap = PathBuf::from(env!("CARGO_BIN_EXE_bootstrap"));
    let service = Service::start(Setup {
        sources: 10,
        latency: Duration::ZERO,
        copy: Duration::ZERO,
        lost: false,
    });
    let environment = product::environment(&service.base_url);
    let (mut nothing, mut check, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=STARTS {
        let starts = [
            start(&empty, &[], "{}"),
            start(&bootstrap, &environment, r#"{"action":"check"}"#),
            start(&bootstrap, &environment, r#"{"action":"list"}"#),
        ];
        // The first round only warms the page cache.
        if round > 0 {
            let [a, b, c] = starts;
            nothing.push(a);
            check.push(b);
            list.push(c);
        }
    }
    let figure = |name: &str, ours: &[Start], of: fn(&Start) -> Duration| {
        let (ours, theirs) = (Spread::of(ours, of), Spread::of(&nothing, of));
        let ratio = ours.median.as_secs_f64() / theirs.median.as_secs_f64();
        Figure::new(name, ours.shown(), theirs.shown(), ratio)
    };
    let whole = |start: &Start| start.ready + start.answered;
    vec![
        figure(
            "cold start to the first answer, `check` ÷ an empty function",
            &check,
            whole,
        ),
        figure(
            "of it: start to the first question for an event",
            &check,
            |start| start.ready,
        ),
        figure("of it: event to answer, `check`", &check, |start| {
            start.answered
        }),
        figure(
            "cold start to the first answer, `list` ÷ an empty function",
            &list,
            whole,
        ),
    ]
}

/// Least, middle and most.
struct Spread {
    least: Duration,
    median: Duration,
    most: Duration,
}

impl Spread {
    fn of(starts: &[Start], of: fn(&Start) -> Duration) -> Self {
        let mut took: Vec<Duration> = starts.iter().map(of).collect();
        took.sort_unstable();
        Self {
            least: *took.first().unwrap(),
            median: *took.get(took.len() / 2).unwrap(),
            most: *took.last().unwrap(),
        }
    }

    fn shown(&self) -> String {
        let [least, median, most] =
            [self.least, self.median, self.most].map(|took| took.as_secs_f64() * 1_000.0);
        format!("{least:.1} / {median:.1} / {most:.1} ms (least / median / most of {STARTS})")
    }
}

/// Builds the function that does nothing; Cargo says where it is.
fn empty_function() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--bench", "empty_function"])
        .arg("--message-format=json")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message.pointer("/target/name")?.as_str()?;
        let executable = message.get("executable")?.as_str()?;
        (name == "empty_function").then(|| Path::new(executable).to_owned())
    });
    built.expect("Cargo tells where it put the program")
}
