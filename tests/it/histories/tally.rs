//! What happened in a history: counts for the end, and a hash of every event, so that two plays can be compared.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use jiff::SignedDuration;
use serde_json::Value;

/// Counts of everything by name, and the slowest convergence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<String, u64>,
    slowest: SignedDuration,
    slowest_seed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.counts.entry(what.to_owned()).or_default() += count;
        }
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// How often the emulator has applied each of these rules, by what they do.
    pub(crate) fn add_faults(&mut self, rules: &[Value], fired: &[u64]) {
        for (rule, count) in rules.iter().zip(fired) {
            self.add(&format!("fault: {}", kind_of(&rule["fault"])), *count);
        }
    }

    /// Each of these was applied at some time: what can be drawn and never comes to pass proves nothing.
    pub(crate) fn has_applied_all(&self, faults: &[Value]) {
        for fault in faults {
            let what = format!("fault: {}", kind_of(fault));
            assert!(self.of(&what) > 0, "{what}: {self}");
        }
    }

    pub(crate) fn converged(&mut self, seed: u64, after: SignedDuration) {
        if after > self.slowest {
            (self.slowest, self.slowest_seed) = (after, seed);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            self.add(what, *count);
        }
        self.converged(other.slowest_seed, other.slowest);
    }
}

/// What a fault is called in the tally.
fn kind_of(fault: &Value) -> String {
    let (kind, value) = fault.as_object().unwrap().iter().next().unwrap();
    match fault.get("commit") {
        Some(_) => "status 503 after commit".to_owned(),
        None if value.is_boolean() => kind.clone(),
        None => format!("{kind} {value}"),
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "  {what:<44} {count:>12}")?;
        }
        if self.slowest.is_zero() {
            return Ok(());
        }
        writeln!(
            f,
            "  slowest convergence after the last fault: {:#} (seed {})",
            self.slowest, self.slowest_seed
        )
    }
}

/// A hash of everything that happened, in order.
#[derive(Clone)]
pub(crate) struct Trace {
    hasher: DefaultHasher,
    told: bool,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHasher::new(),
            told: std::env::var_os("LIFEBOAT_TRACE").is_some(),
        }
    }

    #[expect(clippy::print_stderr, reason = "a trace is asked for")]
    pub(crate) fn note(&mut self, text: &str) {
        self.hasher.write(text.as_bytes());
        self.hasher.write_u8(0xff);
        if self.told {
            eprintln!("{text}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
