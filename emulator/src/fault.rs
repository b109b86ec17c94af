//! Faults: rules that say which calls go wrong, how, and how often.
//!
//! This module decides which fault a call meets; [`crate::state`] and the operations make it happen.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls it is about; all by default.
    #[serde(rename = "match", default)]
    pub when: Match,
    /// What happens to them.
    pub fault: Fault,
    /// How often it happens at most; without end by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How many matching calls are let off first.
    #[serde(default)]
    pub after: u64,
    /// With what probability it happens, drawn from the seed.
    #[serde(default = "certain")]
    pub probability: f64,
}

fn certain() -> f64 {
    1.0
}

impl Rule {
    /// A rule that makes `fault` happen to every call that matches.
    #[must_use]
    pub fn new(when: Match, fault: Fault) -> Self {
        Self {
            when,
            fault,
            times: None,
            after: 0,
            probability: 1.0,
        }
    }

    /// The same rule, at most this often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// The same rule, letting this many matching calls off first.
    #[must_use]
    pub fn after(mut self, after: u64) -> Self {
        self.after = after;
        self
    }
}

/// Which calls a rule is about. What is absent matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The operation's name as in the log, or `any`; `schema` means reading and altering it. Two that no call asks for
    /// must be named: `zilliz.automatic_backup` and `zilliz.copy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The region asked; of a call to Zilliz, the cluster's, and of a copy there, the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How the namespace's name begins; of a listing, its `prefix`. To Zilliz, how the cluster's id begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_prefix: Option<String>,
    /// The source of a copy or branch. To Zilliz, the id of the project, backup or job in the path; of a copy, the
    /// original's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Match {
    /// Calls of this operation.
    #[must_use]
    pub fn operation(name: &str) -> Self {
        Self {
            operation: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

/// Before or after the request takes effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Nothing happened.
    #[default]
    Before,
    /// It happened, but the answer does not say so.
    After,
}

/// How a copy differs from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    /// One row in a hundred, at least one, is missing.
    DropRows,
    /// One bit of one vector differs.
    FlipVectorBit,
    /// One attribute of one row is missing.
    DropAttribute,
}

/// What goes wrong. All parts of one fault happen together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent fault of the wire format"
)]
pub struct Fault {
    /// The answer is this late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The answer has this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether the request of a `status` takes effect all the same.
    pub commit: Moment,
    /// A `retry-after` header, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// A `retry-after-ms` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// An `x-should-retry` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub should_retry: Option<bool>,
    /// The body of a `status`, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The type of that body; `application/json` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The connection closes without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Moment>,
    /// The connection closes after half of the body.
    pub truncate: bool,
    /// A listing leaves out one page of names.
    pub drop_page: bool,
    /// A listing serves the names of the page before once more, then goes on.
    pub repeat_page: bool,
    /// A listing's next cursor is the one it was asked with.
    pub loop_cursor: bool,
    /// Polls of the operation answer 404, and of a Zilliz job 96026, from now on; the copy goes on.
    pub lose_token: bool,
    /// The operation fails half-way.
    pub fail_operation: bool,
    /// What a Zilliz job that fails gives as its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A Zilliz backup is deleted just before it is described.
    pub vanish: bool,
    /// The copy finishes, but differs from its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt_copy: Option<Corruption>,
    /// The operation never finishes.
    pub stall_operation: bool,
    /// The `Date` header differs from the clock by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// A delete answers 200 without deleting.
    pub delete_lies: bool,
    /// The key that was used stops working, this call included.
    pub revoke_key: bool,
}

impl Fault {
    fn is_only_latency(&self) -> bool {
        let Self { latency_ms, .. } = self;
        *self
            == Self {
                latency_ms: *latency_ms,
                ..Self::default()
            }
    }

    /// Whether it is about the cursor a listing was asked with.
    fn needs_cursor(&self) -> bool {
        self.repeat_page || self.loop_cursor
    }
}

/// What rules look at.
pub(crate) struct Subject<'a> {
    pub(crate) operation: &'a str,
    pub(crate) region: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) source: Option<&'a str>,
    pub(crate) has_cursor: bool,
    /// No call asks for it; only rules that name it are about it.
    pub(crate) in_background: bool,
}

fn covers(name: &str, operation: &str) -> bool {
    name == "any" || name == operation || (name == "schema" && operation == "update_schema")
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    matched: u64,
    fired: u64,
}

impl Counted {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let Match {
            operation,
            region,
            namespace_prefix,
            source,
        } = &self.rule.when;
        operation
            .as_ref()
            .is_none_or(|name| covers(name, subject.operation))
            && region
                .as_ref()
                .is_none_or(|region| region == subject.region)
            && namespace_prefix
                .as_ref()
                .is_none_or(|prefix| subject.namespace.starts_with(prefix.as_str()))
            && source
                .as_ref()
                .is_none_or(|source| subject.source == Some(source))
            && (!subject.in_background || operation.as_deref() == Some(subject.operation))
            && (subject.has_cursor || !self.rule.fault.needs_cursor())
    }

    fn fires(&mut self, random: &mut Random) -> bool {
        self.matched += 1;
        let due = self.matched > self.rule.after
            && self.rule.times.is_none_or(|times| self.fired < times)
            && random.happens(self.rule.probability);
        self.fired += u64::from(due);
        due
    }
}

#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Counted>);

impl Faults {
    pub(crate) fn set(&mut self, rules: Vec<Rule>) {
        let count = |rule| Counted {
            rule,
            matched: 0,
            fired: 0,
        };
        self.0 = rules.into_iter().map(count).collect();
    }

    /// The fault a call meets. Latencies of all firing rules add up; of other faults the first rule's wins, and the
    /// rules after it are not asked.
    pub(crate) fn pick(&mut self, subject: &Subject<'_>, random: &mut Random) -> Fault {
        let mut latency = 0;
        for counted in &mut self.0 {
            if !counted.matches(subject) || !counted.fires(random) {
                continue;
            }
            let fault = &counted.rule.fault;
            latency += fault.latency_ms.unwrap_or(0);
            if !fault.is_only_latency() {
                return Fault {
                    latency_ms: Some(latency),
                    ..fault.clone()
                };
            }
        }
        Fault {
            latency_ms: Some(latency),
            ..Fault::default()
        }
    }

    pub(crate) fn fired(&self) -> Vec<u64> {
        self.0.iter().map(|counted| counted.fired).collect()
    }

    /// The rules, and how often each matched and fired.
    pub(crate) fn view(&self) -> serde_json::Value {
        let rules = self.0.iter().map(|counted| {
            serde_json::json!({"rule": counted.rule, "matched": counted.matched, "fired": counted.fired})
        });
        serde_json::json!({"rules": rules.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(operation: &str) -> Subject<'_> {
        Subject {
            operation,
            region: "r",
            namespace: "acme-orders",
            source: None,
            has_cursor: false,
            in_background: false,
        }
    }

    #[test]
    fn rules_skip_fire_and_run_out() {
        let rules = r#"[{"match": {"operation": "list"}, "fault": {"latency_ms": 5}},
            {"match": {"operation": "list", "namespace_prefix": "acme"}, "fault": {"status": 429}, "after": 1, "times": 1}]"#;
        let mut faults = Faults::default();
        faults.set(serde_json::from_str(rules).unwrap());
        let mut random = Random::new(1);
        let mut pick = |operation| faults.pick(&subject(operation), &mut random);
        assert_eq!(pick("list").status, None);
        assert_eq!(
            pick("query"),
            Fault {
                latency_ms: Some(0),
                ..Fault::default()
            }
        );
        let second = pick("list");
        assert_eq!((second.status, second.latency_ms), (Some(429), Some(5)));
        assert_eq!(pick("list").status, None);
        assert_eq!(faults.view()["rules"][1]["fired"], 1);
    }

    #[test]
    fn misspelt_rules_are_refused() {
        assert!(serde_json::from_str::<Rule>(r#"{"fault": {"latency": 5}}"#).is_err());
    }
}
