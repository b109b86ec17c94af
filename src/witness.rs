//! What the journal says of a backup: what the run that made it found when it compared it.
//!
//! It only ever speaks against a backup, never for one: what was sealed with other rows than it has was changed since, and
//! what its own run found wrong is not right because nothing speaks against it today. Where there is no journal, or a run
//! is forgotten or can't be read, nothing is said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::warn;

use crate::backup::{JobError, JobState};
use crate::journal::{JobLine, Journal, JournalError, RunKey};
use crate::name::{BackupName, Class};
use crate::resume::{Past, Pasts};
use crate::slot::Slot;

/// What is said of one backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// With how many rows its run sealed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_with: Option<u64>,
    /// What its run found wrong with it, so that it was not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuted: Option<String>,
}

impl Testimony {
    /// Of the job that made it. A run that found it sealed counted later, and says nothing of then.
    fn of(line: &JobLine) -> Option<Self> {
        if line.state == JobState::Sealed.word() {
            return Some(Self {
                sealed_with: Some(line.rows),
                refuted: None,
            });
        }
        let failed = line.state == JobState::Failed.word();
        let refuted = failed && line.error.as_deref() == Some(JobError::MISMATCH);
        refuted.then(|| Self {
            sealed_with: None,
            refuted: Some(line.message.clone().unwrap_or_default()),
        })
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether an earlier end of a job says something of its backup, and a later one nothing, because it was found sealed, or was
/// not compared again.
pub(crate) fn says_more(earlier: &JobLine, later: &JobLine) -> bool {
    let same = earlier.backup == later.backup;
    same && Testimony::of(earlier).is_some() && Testimony::of(later).is_none()
}

/// A run of the plan: its slot, and whether somebody asked for it by hand.
type Run = (Slot, bool);
/// What is said of each backup of a run, by target and name.
type Said = BTreeMap<(String, String), Testimony>;

/// Reads what the journal remembers of a plan's runs: each once, and none after the journal could not be read.
#[derive(Debug)]
pub(crate) struct Witness<'a> {
    journal: Option<&'a Journal>,
    plan: &'a str,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Runs that are open, and what they wrote down; `None` before anybody asked.
    open: Option<BTreeMap<Run, Pasts>>,
    said: BTreeMap<Run, Said>,
    silent: bool,
}

impl<'a> Witness<'a> {
    /// Of the runs of this plan. Nothing is read before the first question.
    pub(crate) fn of(journal: Option<&'a Journal>, plan: &'a str) -> Self {
        Self {
            journal,
            plan,
            known: Mutex::default(),
        }
    }

    /// Whether a backup belongs to a run that is open and did not seal it yet: it may be half a copy, and look sealed, because
    /// a copy of a frozen source is born read-only.
    pub(crate) async fn is_being_made(&self, target: &str, name: &BackupName) -> bool {
        let Some(journal) = self.journal else {
            return false;
        };
        let mut known = self.known.lock().await;
        let open = known.open(journal, self.plan).await;
        let sealed = |pasts: &Pasts| {
            let past = pasts.of_job(target, name.source());
            past.is_some_and(Past::is_sealed)
        };
        open.get(&run_of(name)).is_some_and(|pasts| !sealed(pasts))
    }

    /// What is said of a backup.
    pub(crate) async fn testimony(&self, target: &str, name: &BackupName) -> Testimony {
        let Some(journal) = self.journal else {
            return Testimony::default();
        };
        // Held while a run is read, so that its thousand backups read it once.
        let mut known = self.known.lock().await;
        let said = known.said(journal, self.plan, run_of(name)).await;
        let backup = (target.to_owned(), name.to_string());
        said.get(&backup).cloned().unwrap_or_default()
    }
}

impl Known {
    async fn open(&mut self, journal: &Journal, plan: &str) -> &BTreeMap<Run, Pasts> {
        if self.open.is_none() {
            let mut open = BTreeMap::new();
            let runs = journal.open_runs().await;
            let runs = runs.unwrap_or_else(|error| self.fall_silent(&error));
            for run in runs.runs.into_iter().filter(|run| run.key.plan == plan) {
                let entries = journal.entries(&run.key).await;
                let entries = entries.unwrap_or_else(|error| self.fall_silent(&error));
                let of_run = (run.key.slot, run.key.class == Class::Manual);
                open.insert(of_run, Pasts::of(&entries));
            }
            self.open = Some(open);
        }
        self.open.get_or_insert_default()
    }

    async fn said(&mut self, journal: &Journal, plan: &str, run: Run) -> &Said {
        if !self.said.contains_key(&run) {
            let open = self.open(journal, plan).await.get(&run);
            let by_now = open.map_or_else(Said::default, |pasts| said(pasts.lines()));
            let key = RunKey {
                plan: plan.to_owned(),
                slot: run.0,
                class: if run.1 {
                    Class::Manual
                } else {
                    Class::Scheduled
                },
            };
            let record = if self.silent {
                None
            } else {
                let record = journal.record(&key).await;
                record.unwrap_or_else(|error| self.fall_silent(&error))
            };
            let mut all = record.map_or_else(Said::default, |record| said(record.jobs.iter()));
            all.extend(by_now);
            self.said.insert(run, all);
        }
        self.said.entry(run).or_default()
    }

    /// A journal that is out of reach takes half a minute to say so, and that once is enough.
    fn fall_silent<T: Default>(&mut self, error: &JournalError) -> T {
        warn!(error = error.word(), detail = %error, "what the journal says of backups can't be read");
        self.silent = true;
        T::default()
    }
}

fn run_of(name: &BackupName) -> Run {
    (name.slot(), name.class() == Class::Manual)
}

fn said<'l>(lines: impl Iterator<Item = &'l JobLine>) -> Said {
    let of_backup = |line: &'l JobLine| {
        let backup = (line.target.clone(), line.backup.clone()?);
        Some((backup, Testimony::of(line)?))
    };
    lines.filter_map(of_backup).collect()
}
