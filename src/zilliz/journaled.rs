//! What a run over clusters has to do with the journal: the plan's lease, carrying on, and how it ended.
//!
//! Policies need no journal: the service is the catalogue. It keeps two invocations apart, and remembers.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;

use super::report::{ClusterReport, RegionLine};
use crate::clock::Clock;
use crate::journal::{
    JobLine, Journal, JournalError, Lease, LeaseError, RunKey, RunLog, RunRecord,
};
use crate::name::Class;
use crate::report::Outcome;
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
    pub(super) log: Option<RunLog>,
    lines: Vec<JobLine>,
}

impl Journaled {
    /// Takes the plan's lease and opens the run.
    pub(super) async fn open(
        &mut self,
        journal: &Journal,
        plan: &str,
        slot: Slot,
        manual: bool,
        run_id: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let lease = journal.acquire(plan, run_id, now).await;
        let lease = lease.map_err(|error| Fault {
            word: error.word(),
            message: error.to_string(),
            held: matches!(error, LeaseError::Held { .. }),
        })?;
        let lease = self.lease.insert(Arc::new(lease));
        let key = RunKey {
            plan: plan.to_owned(),
            slot,
            class: if manual {
                Class::Manual
            } else {
                Class::Scheduled
            },
        };
        self.log = Some(journal.open_run(lease, &key, now).await?);
        Ok(())
    }

    /// Remembers what stands in each region, one job each: the cluster's own region first, then every target.
    pub(super) fn note(&mut self, regions: &[RegionLine]) {
        let line = |line: &RegionLine| JobLine {
            target: line.region.clone(),
            region: line.region.clone(),
            source: line.name.clone(),
            backup: line.backup.clone(),
            state: line.state.word().to_owned(),
            rows: 0,
            bytes_written: 0,
            bytes_returned: 0,
            started_at: line.recovery_point,
            ended_at: None,
            progress: line.recovery_point.map(|at| format!("recovery point {at}")),
            error: None,
            message: None,
        };
        self.lines = regions.iter().map(line).collect();
    }

    /// Leaves the run open while something is still being made, or files it as finished; then gives the lease back.
    pub(super) async fn close(
        self,
        journal: Option<&Journal>,
        report: &mut ClusterReport,
        clock: &Clock,
    ) -> Option<Fault> {
        let outcome = report.outcome_so_far();
        let closed = match (self.log, journal) {
            (Some(_), Some(_)) if outcome == Outcome::Incomplete => {
                report.stays_open = true;
                Ok(())
            }
            (Some(log), Some(journal)) => {
                let record = RunRecord {
                    key: RunKey {
                        plan: String::new(),
                        slot: Slot::of(report.slot).ok()?,
                        class: Class::Scheduled,
                    },
                    run_id: report.run_id.clone(),
                    outcome: outcome.word().to_owned(),
                    opened_at: log.opened_at(),
                    closed_at: clock.now(),
                    jobs: self.lines,
                    deleted: 0,
                };
                journal.close_run(log, record).await
            }
            _ => Ok(()),
        };
        let released = match self.lease.and_then(Arc::into_inner) {
            Some(lease) => lease.release().await,
            None => Ok(()),
        };
        let error = closed.and(released).err()?;
        warn!(error = error.word(), detail = %error, "the journal was not closed");
        Some(error.into())
    }
}
