//! What a run over clusters has to do with the journal: the plan's lease, carrying on, and how it ended.
//!
//! Policies need no journal: the service is the catalogue. It keeps two invocations apart, and remembers.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tracing::warn;

use super::notes::{News, Note, Pasts};
use super::report::{ClusterReport, RegionLine};
use crate::event::ByHand;
use crate::journal::{
    Entry, JobLine, Journal, JournalError, Lease, LeaseError, RunKey, RunLog, RunRecord, give_back,
};
use crate::name::Class;
use crate::report::{Outcome, of_the_whole};
use crate::slot::Slot;

/// Why the journal is not there for this run.
pub(super) struct Fault {
    pub(super) word: &'static str,
    pub(super) message: String,
    /// Another invocation is at work.
    pub(super) held: bool,
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        Self {
            word: error.word(),
            message: error.to_string(),
            held: false,
        }
    }
}

/// The run in the journal; empty without one.
#[derive(Default)]
pub(super) struct Journaled {
    pub(super) lease: Option<Arc<Lease>>,
    log: Option<RunLog>,
    /// What earlier invocations wrote down.
    pub(super) pasts: Pasts,
    /// What was asked for, by the name that its record gives it.
    asked: Option<String>,
    fault: OnceLock<JournalError>,
}

impl Journaled {
    /// Takes the plan's lease and, if the run makes anything that another invocation may have to follow, opens it. A run that
    /// only deletes leaves nothing to carry on with. `of` is what an event asks to be made by hand.
    pub(super) async fn open(
        &mut self,
        journal: &Journal,
        key: &RunKey,
        (run_id, now): (&str, Timestamp),
        makes: bool,
        of: Option<&ByHand>,
    ) -> Result<(), Fault> {
        let lease = journal.acquire(&key.plan, run_id, now).await;
        let lease = lease.map_err(|error| Fault {
            word: error.word(),
            message: error.to_string(),
            held: matches!(error, LeaseError::Held { .. }),
        })?;
        let lease = self.lease.insert(Arc::new(lease));
        if makes {
            let log = journal.open_run(lease, key, now).await?;
            let asked = of.map(ByHand::identity);
            let mut pasts = Pasts::of(log.entries(), log.earlier());
            let wished = pasts.wished.as_ref().map(ByHand::identity);
            if wished.is_some() && asked.is_some() && wished != asked {
                return Err(another(key, "is open"));
            }
            self.asked = match (wished.is_some(), wished.or(asked), log.earlier().cloned()) {
                (is_open, Some(of), Some(earlier)) if earlier.asked.as_ref() != Some(&of) => {
                    let began_any = earlier.jobs.iter().any(|job| job.backup.is_some());
                    if began_any && !is_open {
                        journal.close_run(log, earlier).await?;
                        return Err(another(key, "has ended"));
                    }
                    if !began_any {
                        // It is nobody's backup, and this request may be of other clusters.
                        pasts = Pasts::of(log.entries(), None);
                    }
                    Some(of)
                }
                (_, of, earlier) => of.or_else(|| earlier?.asked),
            };
            self.pasts = pasts;
            self.log = Some(log);
        }
        Ok(())
    }

    /// What this run is of: what its first invocation wrote down. `None` when that died before it wrote anything.
    pub(super) async fn wished(&self, of: ByHand, resumes: bool) -> Option<ByHand> {
        if let Some(wished) = &self.pasts.wished {
            return Some(wished.clone());
        }
        if resumes {
            return None;
        }
        self.write(Note::Wished { of: of.clone() }).await;
        Some(of)
    }

    /// What keeps facts from being written down. While there is one, nothing new may be made: nobody else would know of it.
    pub(super) fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    /// Writes a fact down and waits until it is durable. After a fault what was begun is followed without the journal, and
    /// the run says so.
    pub(super) async fn write(&self, note: Note) {
        self.append(Entry::Cluster { note }).await;
    }

    /// Writes down how an original or a copy ended.
    pub(super) async fn ended(&self, job: JobLine) {
        self.append(Entry::Ended { job }).await;
    }

    /// Writes down what the run's last word is to say. Whether it will: whatever shows it now is to be kept otherwise.
    pub(super) async fn tell_at_last(&self, news: impl IntoIterator<Item = News>) -> bool {
        for news in news {
            self.write(Note::News { news }).await;
            if self.log.is_none() || self.fault.get().is_some() {
                return false;
            }
        }
        true
    }

    async fn append(&self, entry: Entry) {
        if let (Some(log), None) = (&self.log, self.fault.get())
            && let Err(error) = log.append(&entry).await
        {
            warn!(error = error.word(), detail = %error, "the journal was not written; the run goes on without it");
            // An Err means that another cluster met a fault a moment before.
            let _ = self.fault.set(error);
        }
    }

    /// Leaves the run open while something is still being made, or files it as finished.
    pub(super) async fn close(
        &mut self,
        journal: Option<&Journal>,
        report: &mut ClusterReport,
        lines: Vec<JobLine>,
        now: Timestamp,
    ) {
        let closed = match (self.log.take(), journal) {
            (Some(_), Some(_)) if report.waits() => {
                report.stays_open = true;
                Ok(())
            }
            (Some(log), Some(journal)) if self.fault.get().is_none() => {
                match self.record(&log, report, lines, now) {
                    Some(record) => journal.close_run(log, record).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        };
        if let Err(error) = closed {
            let _ = self.fault.set(error);
        }
    }

    fn record(
        &self,
        log: &RunLog,
        report: &ClusterReport,
        lines: Vec<JobLine>,
        now: Timestamp,
    ) -> Option<RunRecord> {
        let failed = lines.iter().any(|line| line.state == "failed");
        let outcome = if failed {
            Outcome::Failed
        } else {
            report.outcome_so_far()
        };
        let key = RunKey {
            plan: report.plan.clone(),
            slot: Slot::of(report.slot).ok()?,
            class: Class::Scheduled,
        };
        Some(RunRecord {
            key, // the log's counts
            run_id: report.run_id.clone(),
            outcome: outcome.word().to_owned(),
            reason: of_the_whole(&report.failures),
            opened_at: log.opened_at(),
            closed_at: Some(now),
            asked: self.asked.clone(),
            jobs: lines,
            deleted: report.tiers.deleted,
        })
    }

    /// Gives the lease back, and says what kept anything from being written down.
    pub(super) async fn release(self) -> Option<Fault> {
        let released = give_back(self.lease).await;
        let error = self.fault.into_inner().or(released.err())?;
        warn!(error = error.word(), detail = %error, "the journal was not written or closed");
        Some(error.into())
    }
}

/// A slot has one record, which another request must not take for its own, or write over.
fn another(key: &RunKey, how: &str) -> Fault {
    Fault {
        word: "another_request",
        message: format!(
            "a backup by hand of plan `{}` at {}, which asked for something else, {how}; ask for this one a second later, or send the event with another `scheduled_time`",
            key.plan,
            key.slot.instant()
        ),
        held: false,
    }
}

/// What stands in a region, as `jobs` shows it.
pub(super) fn line(line: &RegionLine) -> JobLine {
    JobLine {
        backup: line.backup.clone(),
        started_at: line.recovery_point,
        progress: line.recovery_point.map(|at| format!("recovery point {at}")),
        ..JobLine::of(&line.region, &line.region, &line.cluster, line.state.word())
    }
}
