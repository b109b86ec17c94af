//! What a comparison says about one backup, for the report: the finding, how far it reaches, and what it cost.
//!
//! It must never say more than was proven: equal is what was compared and found equal, everything else has a word of its own.

use jiff::Timestamp;
use serde::Serialize;

use super::{Compared, Cost, Differences, Digest, Drift, Level, Sample, Verdict};
use crate::name::BackupName;
use crate::witness::Testimony;

/// What was found about a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It was compared, and nothing differs.
    Equal,
    /// Its source was written since, so it may rightly differ; nothing speaks against it, and nothing more for it.
    Drifted,
    /// It is not what its source is, and its source was not written since.
    Damaged,
    /// There was nothing to compare it with, or what there was proves nothing.
    Unproven,
}

impl Finding {
    /// The report's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Drifted => "drifted",
            Self::Damaged => "damaged",
            Self::Unproven => "unproven",
        }
    }
}

/// What a backup was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Its live source.
    Source,
    /// The backup of the same slot in another target.
    Target(String),
    /// Nothing but itself.
    Itself,
}

/// One backup and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verified {
    /// Its name.
    pub backup: String,
    /// The target it stands in.
    pub target: String,
    /// The namespace it is a backup of.
    pub source: String,
    /// The instant it stands for.
    pub slot: Timestamp,
    /// Whether it is read-only, which on a backup is the seal.
    pub sealed: bool,
    /// What was found.
    pub finding: Finding,
    /// What it was compared with.
    pub against: Against,
    /// How closely.
    pub level: Level,
    /// Its rows, counted, or at the level `metadata` estimated.
    pub rows: u64,
    /// What stands for all its rows, if all were read; an auditor can compare it years later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What was drawn, if a sample was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// The source's rows before and after, if it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// When the source was last written, if that was after the backup's slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// Rows that differ.
    #[serde(skip_serializing_if = "Differences::is_empty")]
    pub differences: Differences,
    /// The same in a sentence.
    pub message: String,
    /// What reading rows cost.
    pub cost: Cost,
}

impl Verified {
    /// Of a backup about which nothing is known yet.
    #[must_use]
    pub fn unproven(name: &BackupName, target: &str, sealed: bool, level: Level) -> Self {
        Self {
            backup: name.to_string(),
            target: target.to_owned(),
            source: name.source().to_string(),
            slot: name.slot().instant(),
            sealed,
            finding: Finding::Unproven,
            against: Against::Itself,
            level,
            rows: 0,
            digest: None,
            sample: None,
            drift: None,
            written_at: None,
            differences: Differences::default(),
            message: String::new(),
            cost: Cost::default(),
        }
    }

    /// Takes in what a comparison with the live source found.
    #[must_use]
    pub fn with_source(self, found: Compared) -> Self {
        let (slot, [rows, _]) = (self.slot, found.rows);
        let (finding, message) = match &found.verdict {
            Verdict::Equal => (Finding::Equal, equal(&found, "its source")),
            Verdict::Drifted(_) => (Finding::Drifted, {
                let last = found
                    .written_at
                    .map_or_else(String::new, |at| format!(", last {at}"));
                format!(
                    "its source was written since {slot}{last}, and has {rows} rows now; that it differs is no sign of damage"
                )
            }),
            Verdict::Differs(mismatch) => (
                Finding::Damaged,
                format!("it is not what its source is, which was not written since: {mismatch}"),
            ),
        };
        self.with(found, finding, Against::Source, message)
    }

    /// Takes in what a comparison with the backup of the same slot in another target found.
    #[must_use]
    pub fn with_sibling(self, other: &str, found: Compared) -> Self {
        let (finding, message) = match &found.verdict {
            Verdict::Equal => {
                let sibling = format!("the backup of the same slot in {other}");
                (Finding::Equal, equal(&found, &sibling))
            }
            Verdict::Drifted(_) | Verdict::Differs(_) => {
                let what = match &found.verdict {
                    Verdict::Differs(mismatch) => mismatch.to_string(),
                    Verdict::Equal | Verdict::Drifted(_) => {
                        "one of them was written meanwhile".into()
                    }
                };
                (
                    Finding::Unproven,
                    format!(
                        "it differs from the backup of the same slot in {other}: {what}; the source was written between the two copies, or one of them is damaged"
                    ),
                )
            }
        };
        self.with(found, finding, Against::Target(other.to_owned()), message)
    }

    /// Takes in what the journal says. Nothing that was found today speaks for a backup that has other rows than it was
    /// sealed with. What its own run found wrong is right only if it is, in every row, what its source is, which was not
    /// written since; a count may be equal by chance, and so may a source that lost the same.
    #[must_use]
    pub fn in_view_of(self, testimony: &Testimony) -> Self {
        if self.finding == Finding::Damaged {
            return self;
        }
        let rows = self.rows;
        if let Some(sealed) = testimony.sealed_with
            && sealed != rows
            && self.level >= Level::Count
        {
            let message = format!(
                "it was sealed with {sealed} rows, as the journal says, and has {rows}; nobody can write to a sealed backup, so somebody thawed it and changed it"
            );
            return self.damaged(message);
        }
        let Some(found) = &testimony.refuted else {
            return self;
        };
        let proven = self.finding == Finding::Equal && self.level == Level::Full;
        if proven && self.against == Against::Source {
            let message = format!("{}; its own run had found: {found}", self.message);
            return Self { message, ..self };
        }
        self.damaged(format!(
            "its own run found, as the journal says: {found}. Only every row of a source that was not written since can show otherwise (--level full)"
        ))
    }

    fn damaged(self, message: String) -> Self {
        Self {
            finding: Finding::Damaged,
            message,
            ..self
        }
    }

    fn with(
        mut self,
        found: Compared,
        finding: Finding,
        against: Against,
        message: String,
    ) -> Self {
        let [_, rows] = found.rows;
        self.cost += found.cost;
        Self {
            finding,
            against,
            level: found.level,
            rows,
            digest: found.digests.map(|[_, digest]| digest),
            sample: found.sample,
            drift: match found.verdict {
                Verdict::Drifted(drift) => Some(drift),
                Verdict::Equal | Verdict::Differs(_) => None,
            },
            written_at: found.written_at,
            differences: found.differences,
            message,
            ..self
        }
    }
}

/// A probability as people say it.
fn probability(of: f64) -> String {
    match of {
        0.1.. => format!("{:.0} %", of * 100.0),
        0.001..0.1 => format!("{:.1} %", of * 100.0),
        1e-9..0.001 => format!("one in {:.0}", 1.0 / of),
        _ => "less than one in a billion".to_owned(),
    }
}

/// What it means that nothing differs, at each level.
fn equal(found: &Compared, other: &str) -> String {
    let [_, rows] = found.rows;
    match (found.sample, found.digests) {
        (Some(sample), _) => format!(
            "schema and count are those of {other}, and so are {} of its {} rows, drawn at random: were one row in {:.0} damaged, that would go unseen with a probability of {}",
            sample.rows,
            sample.of,
            1.0 / sample.damaged_share,
            probability(sample.missed_with_probability)
        ),
        (None, Some(_)) => format!("all its {rows} rows are those of {other}, to the last bit"),
        (None, None) if found.level == Level::Metadata => {
            format!("its schema is that of {other}, and its size is plausible")
        }
        (None, None) => format!("its schema and its {rows} rows, by count, are those of {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::probability;

    #[test]
    fn a_probability_is_said_as_people_say_it() {
        for (of, said) in [
            (0.98, "98 %"),
            (0.1, "10 %"),
            (0.012_34, "1.2 %"),
            (4e-5, "one in 25000"),
            (1e-40, "less than one in a billion"),
            (0.0, "less than one in a billion"),
        ] {
            assert_eq!(probability(of), said);
        }
    }
}
