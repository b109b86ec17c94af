//! Whether a copy is what its source was: schema and strongly consistent row count of both sides.
//!
//! A source may be written while it is copied. Then its counts before and after span an interval, and a copy outside it
//! is as wrong as one that differs from a source that stood still.
//!
//! That much is asked of every copy before it is sealed. How much more can be asked is said by a [`Level`], and
//! [`compare()`] asks it of any two namespaces, whenever they were made: `walk` reads both to the last bit, `sample` some
//! rows of both, both through `rows`; `digest` is what an auditor can compare years later.

mod compare;
mod digest;
mod level;
mod rows;
mod sample;
mod verified;
mod walk;

use std::fmt;

use jiff::{SignedDuration, Timestamp};

pub use compare::{Compared, End, Terms, compare, seed};
pub use digest::Digest;
pub use level::{Level, LevelError};
pub use rows::Cost;
pub use sample::{Sample, missed};
pub use verified::{Against, Finding, Verified};
pub use walk::{Differences, Milestone, Way, Wrong, WrongRow, read_through};

use crate::clock::Clock;
use crate::name::Namespace;
use crate::service::{Metadata, Service, ServiceError};
use crate::slot::CLOCK_MARGIN;

/// Timestamps of the service have whole seconds: a write in the second of the look may not show.
const SECOND_OF_THE_LOOK: SignedDuration = SignedDuration::from_secs(2);

/// Rows may come and go between the two looks at a source that is being written. If the copy has exactly the rows that
/// the service says it copied, the interval is widened by one part in this many. Whatever lies outside is a fault.
const DRIFT_TOLERANCE_PART: u64 = 100;

/// One side at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What the service says of it.
    pub metadata: Metadata,
    /// Rows, strongly consistent.
    pub rows: u64,
}

/// The interval in which the copy of a moving source lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Drift {
    /// Fewest rows seen at the source around the copy.
    pub fewest: u64,
    /// Most rows seen at the source around the copy.
    pub most: u64,
    /// Rows in the copy.
    pub copied: u64,
}

/// Why a copy is not what its source was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The copy is not there.
    Missing,
    /// Attributes, types or indexes differ.
    Schema(String),
    /// The source stood still, and yet the counts differ.
    Rows {
        /// Rows at the source.
        expected: u64,
        /// Rows in the copy.
        copied: u64,
    },
    /// By the service's estimates, one is much larger than the other.
    Size {
        /// Rows at the source, estimated.
        rows: u64,
        /// Logical bytes at the source, estimated.
        bytes: u64,
        /// Rows in the copy, estimated.
        copied_rows: u64,
        /// Logical bytes in the copy, estimated.
        copied_bytes: u64,
    },
    /// The source stood still, and yet rows differ.
    Content(Differences),
    /// What was read is equal, and yet not all that was counted.
    Unread {
        /// Rows, counted.
        counted: u64,
        /// Rows that came.
        read: u64,
    },
    /// The source was written, but not by that much.
    OutsideDrift {
        /// Fewest rows seen at the source.
        fewest: u64,
        /// Most rows seen at the source.
        most: u64,
        /// Rows in the copy.
        copied: u64,
    },
    /// The copy's end was not seen, and it may be a part of what the source was.
    Unproven {
        /// Fewest rows seen at the source.
        fewest: u64,
        /// Most rows seen at the source.
        most: u64,
        /// Rows in the copy.
        copied: u64,
    },
    /// The source disappeared before it could be compared.
    SourceGone {
        /// Rows at the source before.
        expected: u64,
        /// Rows in the copy.
        copied: u64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with("the source"))?;
        if matches!(self, Self::Unproven { .. }) {
            f.write_str("; it stays unsealed, and the next run makes another")?;
        }
        Ok(())
    }
}

impl Mismatch {
    /// In a sentence about the copy of `original`: of `the source`, or, where a backup is restored, of `its backup`.
    #[must_use]
    pub fn with(&self, original: &str) -> String {
        match self {
            Self::Missing => "the copy is not there".to_owned(),
            Self::Schema(difference) => {
                format!("the copy's schema differs from {original}'s: {difference}")
            }
            Self::Rows { expected, copied } => format!(
                "the copy has {copied} rows and {original}, unchanged meanwhile, has {expected}"
            ),
            Self::Size {
                rows,
                bytes,
                copied_rows,
                copied_bytes,
            } => format!(
                "the copy has about {copied_rows} rows and {copied_bytes} bytes, and {original} about {rows} rows and {bytes} bytes: more than a quarter apart"
            ),
            Self::Content(differences) => {
                format!("the copy's rows are not {original}'s: {differences}")
            }
            Self::Unread { counted, read } => format!(
                "{counted} rows were counted on either side, and {read} came when all were read"
            ),
            Self::OutsideDrift {
                fewest,
                most,
                copied,
            } => format!(
                "the copy has {copied} rows, while {original}, written meanwhile, had {fewest} at the least and {most} at the most"
            ),
            Self::Unproven {
                fewest,
                most,
                copied,
            } => format!(
                "the copy has {copied} rows and its end was not seen; {original}, written meanwhile, had {fewest} at the least and {most} at the most, so this may be half of it"
            ),
            Self::SourceGone { expected, copied } => format!(
                "{original} was deleted before its copy, of {copied} rows, could be compared (it had {expected})"
            ),
        }
    }
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Schema and count are equal.
    Equal,
    /// The source was written meanwhile, and the copy fits between its counts.
    Drifted(Drift),
    /// The copy must not be trusted.
    Differs(Mismatch),
}

/// Looks at one side: metadata, then the count. `None` when it does not exist.
pub async fn observe<S: Service>(
    service: &S,
    namespace: &Namespace,
    clock: &Clock,
) -> Result<Option<Observation>, ServiceError> {
    let Some(metadata) = service.metadata(namespace).await? else {
        return Ok(None);
    };
    clock.compare(metadata.answered_at);
    let rows = service.count(namespace).await?;
    Ok(rows.map(|rows| Observation { metadata, rows }))
}

/// A copy, and what is known of its source.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The source before.
    pub before: &'a Observation,
    /// The copy.
    pub copy: &'a Observation,
    /// From this instant on, a write to the source may be missing in the copy.
    pub still_since: Timestamp,
    /// Rows that the service itself says it copied; `None` when its word was lost.
    pub vouched: Option<u64>,
}

impl Comparison<'_> {
    /// Compares, looking at the source once more only if they differ.
    pub async fn judge<S: Service>(
        &self,
        service: &S,
        source: &Namespace,
        clock: &Clock,
    ) -> Result<Verdict, ServiceError> {
        let (before, copy) = (self.before, self.copy);
        let is_like_it = before.rows == copy.rows && before.metadata.schema == copy.metadata.schema;
        if is_like_it && (self.is_vouched() || self.may_be_what_was_copied(before)) {
            return Ok(Verdict::Equal);
        }
        let after = observe(service, source, clock).await?;
        Ok(self.judge_with(after.as_ref()))
    }

    /// Whether the service says that it copied what is there.
    fn is_vouched(&self) -> bool {
        self.vouched == Some(self.copy.rows)
    }

    /// Whether a look at the source says anything of what was copied: not if it was written after the copy had begun. Then
    /// even an equal count is chance, and the copy may be half of what the source was.
    fn may_be_what_was_copied(&self, look: &Observation) -> bool {
        look.metadata.updated_at <= self.copy.metadata.created_at + CLOCK_MARGIN
    }

    /// Judges a copy that differs from what its source was before, or of which that says nothing.
    fn judge_with(&self, after: Option<&Observation>) -> Verdict {
        let (before, copied) = (self.before, self.copy.rows);
        let Some(after) = after else {
            return Verdict::Differs(Mismatch::SourceGone {
                expected: before.rows,
                copied,
            });
        };
        let schema = &self.copy.metadata.schema;
        if *schema != before.metadata.schema && *schema != after.metadata.schema {
            return Verdict::Differs(Mismatch::Schema(difference(
                &before.metadata.schema,
                schema,
            )));
        }
        let has_what_is_there = copied == after.rows && self.may_be_what_was_copied(after);
        // A namespace that was deleted and made anew says nothing of how much of the first was copied; the service may.
        let is_another = before.metadata.created_at != after.metadata.created_at;
        if is_another && !self.is_vouched() && !has_what_is_there {
            return Verdict::Differs(Mismatch::SourceGone {
                expected: before.rows,
                copied,
            });
        }
        let (fewest, most) = (before.rows.min(after.rows), before.rows.max(after.rows));
        let unproven = Verdict::Differs(Mismatch::Unproven {
            fewest,
            most,
            copied,
        });
        if !self.is_vouched() && !self.may_be_what_was_copied(before) {
            return unproven;
        }
        if !was_written(before, after, self.still_since) {
            return Verdict::Differs(Mismatch::Rows {
                expected: before.rows,
                copied,
            });
        }
        // Rows that come and go between two looks are seen by neither; the service's own count vouches for them.
        let slack = if self.is_vouched() {
            most / DRIFT_TOLERANCE_PART
        } else {
            0
        };
        if !(fewest.saturating_sub(slack)..=most.saturating_add(slack)).contains(&copied) {
            return Verdict::Differs(Mismatch::OutsideDrift {
                fewest,
                most,
                copied,
            });
        }
        // Half a copy may well lie in a wide interval; without the service's word only a narrow one says anything.
        let is_narrow = most - fewest <= most / DRIFT_TOLERANCE_PART;
        if !self.is_vouched() && !has_what_is_there && !is_narrow {
            return unproven;
        }
        Verdict::Drifted(Drift {
            fewest,
            most,
            copied,
        })
    }
}

/// Whether the source may have been written since `still_since`; when its timestamps can't tell, it may.
fn was_written(before: &Observation, after: &Observation, still_since: Timestamp) -> bool {
    before.rows != after.rows
        || before.metadata.schema != after.metadata.schema
        || before.metadata.created_at != after.metadata.created_at
        || before.metadata.updated_at != after.metadata.updated_at
        || after.metadata.updated_at.duration_since(still_since) >= -SECOND_OF_THE_LOOK
}

/// The first attribute that differs, for the message.
fn difference(source: &serde_json::Value, copy: &serde_json::Value) -> String {
    let empty = serde_json::Map::new();
    let (source, copy) = (
        source.as_object().unwrap_or(&empty),
        copy.as_object().unwrap_or(&empty),
    );
    let names = source.keys().chain(copy.keys());
    names
        .filter(|name| source.get(*name) != copy.get(*name))
        .map(|name| match (source.get(name), copy.get(name)) {
            (Some(_), None) => format!("`{name}` is missing in the copy"),
            (None, Some(_)) => format!("`{name}` is only in the copy"),
            (Some(source), Some(copy)) => {
                format!("`{name}` is {copy} in the copy and not {source}")
            }
            (None, None) => name.clone(),
        })
        .next()
        .unwrap_or_else(|| "they are not laid out alike".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const START: &str = "2026-11-21T02:00:00Z";

    fn seen(rows: u64, updated_at: &str) -> Observation {
        let metadata = Metadata {
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            updated_at: updated_at.parse().unwrap(),
            read_only: false,
            schema: json!({"id": {"type": "uint"}, "title": {"type": "string"}}),
            approx_rows: rows,
            approx_bytes: 0,
            answered_at: None,
        };
        Observation { metadata, rows }
    }

    fn still(rows: u64) -> Observation {
        seen(rows, "2026-11-20T00:00:00Z")
    }

    /// A copy that began at [`START`].
    fn copy_of(rows: u64) -> Observation {
        let mut copy = seen(rows, START);
        copy.metadata.created_at = START.parse().unwrap();
        copy
    }

    fn judged(before: &Observation, copy: &Observation, after: Option<&Observation>) -> Verdict {
        let vouched = Some(copy.rows);
        let still_since = START.parse().unwrap();
        Comparison {
            before,
            copy,
            still_since,
            vouched,
        }
        .judge_with(after)
    }

    #[test]
    fn without_the_services_word_there_is_no_slack() {
        let (before, after) = (
            seen(1_000, "2026-11-21T01:00:00Z"),
            seen(1_000, "2026-11-21T02:03:00Z"),
        );
        for (vouched, drifted) in [(Some(995), true), (Some(1_000), false), (None, false)] {
            let (before, copy, still_since) = (&before, &copy_of(995), START.parse().unwrap());
            let verdict = Comparison {
                before,
                copy,
                still_since,
                vouched,
            }
            .judge_with(Some(&after));
            assert_eq!(
                matches!(verdict, Verdict::Drifted(_)),
                drifted,
                "{vouched:?}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_source_that_stood_still_must_be_matched_exactly() {
        for copied in [99, 101, 0] {
            let verdict = judged(&still(100), &still(copied), Some(&still(100)));
            assert_eq!(
                verdict,
                Verdict::Differs(Mismatch::Rows {
                    expected: 100,
                    copied
                })
            );
        }
    }

    #[test]
    fn a_moving_source_spans_an_interval() {
        let (before, after) = (
            seen(1_000, "2026-11-21T01:00:00Z"),
            seen(1_200, "2026-11-21T02:03:00Z"),
        );
        for (copied, fits) in [
            (1_000, true),
            (1_100, true),
            (1_212, true),
            (988, true),
            (987, false),
            (1_213, false),
            (0, false),
        ] {
            let verdict = judged(&before, &still(copied), Some(&after));
            assert_eq!(
                matches!(verdict, Verdict::Drifted(_)),
                fits,
                "{copied}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_write_in_the_second_of_the_look_counts_as_a_write() {
        let busy = seen(100, START);
        assert!(matches!(
            judged(&busy, &still(99), Some(&busy)),
            Verdict::Drifted(_)
        ));
        let earlier = seen(100, "2026-11-21T01:59:57Z");
        assert!(matches!(
            judged(&earlier, &still(99), Some(&earlier)),
            Verdict::Differs(_)
        ));
    }

    #[test]
    fn deleting_and_recreating_with_equal_counts_is_a_write() {
        let before = still(100);
        let mut after = still(100);
        after.metadata.created_at = "2026-11-19T00:00:00Z".parse().unwrap();
        assert!(matches!(
            judged(&before, &still(99), Some(&after)),
            Verdict::Drifted(_)
        ));
    }

    /// Found by the simulated histories (seed 2193): half a copy that stood still lay between a source's rows then and now.
    #[test]
    fn a_wide_interval_is_no_measure_for_a_copy_whose_end_nobody_saw() {
        let before = seen(1_430, "2026-11-21T01:00:00Z");
        for (copied, now, vouched, accepted) in [
            (710, 700, None, false),
            (710, 700, Some(1_430), false),
            (710, 700, Some(710), true),
            (700, 700, None, true), // just what the source has
            (1_425, 1_416, None, true),
            (1_425, 1_415, None, false),
        ] {
            let comparison = Comparison {
                before: &before,
                copy: &copy_of(copied),
                still_since: START.parse().unwrap(),
                vouched,
            };
            let verdict = comparison.judge_with(Some(&seen(now, "2026-11-21T02:03:00Z")));
            assert_eq!(
                matches!(verdict, Verdict::Drifted(_)),
                accepted,
                "{copied} {now} {vouched:?}: {verdict:?}"
            );
        }
    }

    #[test]
    fn what_was_written_after_the_copy_began_says_nothing_of_it() {
        let (of_then, later) = ("2026-11-21T01:59:00Z", "2026-11-21T03:00:00Z");
        for (copied, before, now, vouched, accepted) in [
            (700, (1_430, of_then), (700, later), None, false),
            (700, (700, later), (700, later), None, false),
            (700, (700, later), (701, later), None, false),
            (700, (700, later), (701, later), Some(700), true),
            (700, (700, of_then), (701, later), None, true),
        ] {
            let comparison = Comparison {
                before: &seen(before.0, before.1),
                copy: &copy_of(copied),
                still_since: START.parse().unwrap(),
                vouched,
            };
            let verdict = comparison.judge_with(Some(&seen(now.0, now.1)));
            assert_eq!(
                matches!(verdict, Verdict::Drifted(_)),
                accepted,
                "{copied} {before:?} {now:?} {vouched:?}: {verdict:?}"
            );
        }
    }

    /// Found by the simulated histories (seed 121): half a copy lay between the rows of a source and of its successor.
    #[test]
    fn a_source_that_was_made_anew_is_no_measure_for_a_copy_that_nobody_counted() {
        let before = still(100);
        let mut after = still(20);
        after.metadata.created_at = "2026-11-19T00:00:00Z".parse().unwrap();
        for (copied, vouched, accepted) in [
            (20, None, true),
            (35, None, false),
            (35, Some(100), false),
            (35, Some(35), true),
        ] {
            let (before, copy, still_since) = (&before, &copy_of(copied), START.parse().unwrap());
            let comparison = Comparison {
                before,
                copy,
                still_since,
                vouched,
            };
            let verdict = comparison.judge_with(Some(&after));
            let differs = matches!(verdict, Verdict::Differs(_));
            assert_eq!(!differs, accepted, "{copied} {vouched:?}: {verdict:?}");
        }
    }

    #[test]
    fn another_schema_is_never_accepted_and_is_named() {
        let mut copy = still(100);
        copy.metadata.schema = json!({"id": {"type": "uint"}});
        let verdict = judged(&still(100), &copy, Some(&still(100)));
        let Verdict::Differs(mismatch) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(
            mismatch
                .to_string()
                .contains("`title` is missing in the copy"),
            "{mismatch}"
        );
    }

    #[test]
    fn a_source_that_is_gone_can_vouch_for_nothing() {
        let verdict = judged(&still(100), &still(99), None);
        assert_eq!(
            verdict,
            Verdict::Differs(Mismatch::SourceGone {
                expected: 100,
                copied: 99
            })
        );
    }
}
