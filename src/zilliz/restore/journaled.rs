//! What a restore of clusters has to do with the journal: its own lease, carrying on, the hold, and how it ended.
//!
//! A journal that can't be used is told. It stops no new cluster, whose name in its project can be had once; it stops
//! collections, of which nothing else would tell that they were asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tracing::{error, warn};

use super::bringing::never_again;
use super::notes::{Chosen, Past, RESTORED, RestoreNote};
use super::report::ClusterRestoreReport;
use crate::journal::{
    Entry, History, Hold, JobLine, Journal, JournalError, Lease, LeaseError, OpenRuns, RunKey,
    RunLog, RunRecord, give_back,
};
use crate::name::Class;
use crate::report::of_the_whole;
use crate::restore::{How, Kept, plan_of};
use crate::slot::Slot;

/// The part of the journal in which restores of clusters are remembered.
#[must_use]
pub fn of_restores(journal: &Journal) -> Journal {
    journal.of_clusters().of_restores()
}

/// The ids of backups that are being restored now, which nobody may delete: for whoever prunes backups of clusters. It is
/// complete, or an error.
pub async fn being_restored(
    journal: &Journal,
    now: Timestamp,
) -> Result<BTreeSet<String>, JournalError> {
    let holds = journal.of_clusters().holds(now).await?;
    Ok(holds.names().map(str::to_owned).collect())
}

/// The restore in the journal; empty without one.
#[derive(Default)]
pub(super) struct Journaled {
    pub(super) lease: Option<Arc<Lease>>,
    log: Option<RunLog>,
    /// What earlier invocations of it wrote down.
    pub(super) past: Past,
    /// How the same request ended when it was last carried out to its end.
    pub(super) earlier: Vec<JobLine>,
    fault: OnceLock<JournalError>,
}

/// What came of opening it.
pub(super) enum Opened {
    /// It can be worked at.
    Yes,
    /// There is nothing to carry on with any more.
    Nothing,
    /// Another invocation is at it.
    Busy(String),
}

impl Journaled {
    /// Opens the restore, or finds it there; for a dry run only looks.
    pub(super) async fn open(
        &mut self,
        kept: Option<Kept<'_>>,
        how: How,
        slot: Slot,
        now: Timestamp,
        report: &mut ClusterRestoreReport,
    ) -> Opened {
        let Some(kept) = kept else {
            if how != How::DryRun {
                report.warn("no journal is configured, so nothing remembers this restore if it is cut short; set LIFEBOAT_JOURNAL".to_owned());
            }
            return Opened::Yes;
        };
        let journal = of_restores(kept.journal);
        let opened = if how == How::DryRun {
            self.look_into(&journal, &report.restore)
                .await
                .map(|()| Opened::Yes)
                .map_err(LeaseError::from)
        } else {
            self.open_in(&journal, how, (slot, now), report).await
        };
        match opened {
            Ok(opened) => opened,
            Err(held @ LeaseError::Held { .. }) => Opened::Busy(held.or_killed("restore")),
            Err(fault) => {
                error!(error = fault.word(), detail = %fault, "the journal can't be used");
                report.warn(format!("nothing remembers this restore if it is cut short, and nothing keeps pruning away from its backup: {fault}"));
                if let LeaseError::Journal(fault) = fault {
                    let _ = self.fault.set(fault);
                }
                Opened::Yes
            }
        }
    }

    async fn look_into(&mut self, journal: &Journal, restore: &str) -> Result<(), JournalError> {
        self.earlier = earlier(journal, restore).await?;
        if let Some(key) = find_open(journal, restore).await? {
            self.past = Past::of(&journal.entries(&key).await?);
        }
        Ok(())
    }

    async fn open_in(
        &mut self,
        journal: &Journal,
        how: How,
        (slot, now): (Slot, Timestamp),
        report: &ClusterRestoreReport,
    ) -> Result<Opened, LeaseError> {
        let restore = &report.restore;
        let lease = Arc::new(journal.acquire(restore, &report.run_id, now).await?);
        self.lease = Some(Arc::clone(&lease));
        let key = match find_open(journal, restore).await? {
            Some(key) => key,
            None if how == How::OneMoreLook => return Ok(Opened::Nothing),
            None => RunKey {
                plan: restore.clone(),
                slot,
                class: Class::Scheduled,
            },
        };
        self.earlier = earlier(journal, restore).await?;
        let log = journal.open_run(&lease, &key, now).await?;
        self.past = Past::of(log.entries());
        self.log = Some(log);
        Ok(Opened::Yes)
    }

    /// When the first invocation opened it.
    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.log.as_ref().map(RunLog::opened_at)
    }

    /// Whether a later invocation will know of what this one writes down.
    pub(super) fn remembers(&self) -> bool {
        self.log.is_some() && self.fault.get().is_none()
    }

    /// How an item ended when the same request came earlier, if it is not to be asked for again: it is there, or it may be.
    pub(super) fn told_earlier(&self, line: &JobLine) -> Option<&JobLine> {
        let mut earlier = self.earlier.iter();
        earlier.find(|known| is_same(known, line) && is_told_again(known))
    }

    /// What keeps facts from being written down.
    pub(super) fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    /// Writes a fact down and waits until it is durable. After a fault the restore goes on without the journal, and says so.
    pub(super) async fn write(&self, note: RestoreNote) {
        let entry = Entry::ClusterRestore { note };
        if let (Some(log), None) = (&self.log, self.fault.get())
            && let Err(error) = log.append(&entry).await
        {
            warn!(error = error.word(), detail = %error, "the journal was not written; the restore goes on without it");
            let _ = self.fault.set(error);
        }
    }

    /// Keeps pruning away from the backup, and says when it can't be told.
    pub(super) async fn hold(
        &self,
        kept: Option<Kept<'_>>,
        chosen: &Chosen,
        now: Timestamp,
        report: &mut ClusterRestoreReport,
    ) -> Option<Hold> {
        let kept = kept?;
        let journal = kept.journal.of_clusters();
        let backup = &chosen.backup;
        let backups = [&backup.id].into_iter();
        let telling = journal.hold(&report.restore, &backup.region, backups, now);
        let words = ("restore", "backup", "it is restored");
        let hold = kept.hold(telling, words).await;
        report.held |= hold.is_ok();
        hold.map_err(|why| report.warn(why)).ok()
    }

    /// Files the restore as finished with these lines and lets go of its backup, or without lines leaves it open for the next
    /// invocation; then gives the lease back.
    pub(super) async fn close(
        self,
        kept: Option<Kept<'_>>,
        lines: Option<Vec<JobLine>>,
        (slot, now): (Slot, Timestamp),
        report: &mut ClusterRestoreReport,
    ) {
        let fault = self.fault.into_inner();
        if let Some(fault) = &fault {
            report.warn(format!("the restore went on without its journal: {fault}"));
        }
        let closed = match (self.log, kept, lines) {
            (Some(_), _, None) => {
                report.stays_open = fault.is_none();
                Ok(())
            }
            (Some(log), Some(kept), Some(lines)) if fault.is_none() => {
                let key = RunKey {
                    plan: report.restore.clone(),
                    slot,
                    class: Class::Scheduled,
                };
                let record = RunRecord {
                    key, // the log's counts
                    run_id: report.run_id.clone(),
                    outcome: report.outcome_so_far().word().to_owned(),
                    reason: of_the_whole(&report.failures),
                    opened_at: log.opened_at(),
                    closed_at: Some(now),
                    asked: None,
                    jobs: with_earlier(&self.earlier, lines),
                    deleted: 0,
                };
                file(kept, log, record).await
            }
            _ => Ok(()),
        };
        let released = give_back(self.lease).await;
        if let Err(error) = closed.and(released) {
            error!(error = error.word(), detail = %error, "the journal was not closed");
            report.warn(format!("the journal was not closed: {error}"));
        }
    }
}

/// Whether an item is told as it ended, and not asked for once more.
fn is_told_again(line: &JobLine) -> bool {
    line.state == RESTORED || never_again(line).is_some()
}

/// What the same request restored earlier, or may have, is remembered for the next time it comes.
fn with_earlier(earlier: &[JobLine], now: Vec<JobLine>) -> Vec<JobLine> {
    let told_now = |line: &JobLine| now.iter().any(|now| is_same(now, line));
    let kept = earlier
        .iter()
        .filter(|line| is_told_again(line) && !told_now(line));
    let kept: Vec<JobLine> = kept.cloned().collect();
    kept.into_iter().chain(now).collect()
}

/// Whether two lines are of the same item.
pub(super) fn is_same(one: &JobLine, other: &JobLine) -> bool {
    (&one.source, &one.target) == (&other.source, &other.target)
}

async fn file(kept: Kept<'_>, log: RunLog, record: RunRecord) -> Result<(), JournalError> {
    let restore = record.key.plan.clone();
    // What may still be at work keeps its backup until the hold runs out.
    let may_be_at_work = record.jobs.iter().any(|line| never_again(line).is_some());
    of_restores(kept.journal).close_run(log, record).await?;
    if kept.shared && !may_be_at_work {
        kept.journal.of_clusters().let_go(&restore).await?;
    }
    Ok(())
}

async fn find_open(journal: &Journal, restore: &str) -> Result<Option<RunKey>, JournalError> {
    let open = journal.open_runs().await?.runs.into_iter();
    let mut ours = open.filter(|run| run.key.plan == restore);
    Ok(ours.next().map(|run| run.key))
}

/// How the same request ended last.
async fn earlier(journal: &Journal, restore: &str) -> Result<Vec<JobLine>, JournalError> {
    let records = journal.history(restore, 1).await?;
    Ok(records.into_iter().flat_map(|record| record.jobs).collect())
}

/// The restores of a plan as `jobs` shows them: open ones first, and then the newest `most` that have ended.
pub(super) async fn records(
    journal: &Journal,
    plan: &str,
    most: usize,
) -> Result<History, JournalError> {
    let journal = of_restores(journal);
    let OpenRuns { runs, ignored, .. } = journal.open_runs().await?;
    let records = Vec::new();
    let mut found = History { records, ignored };
    for run in runs.into_iter().rev() {
        if plan_of(&run.key.plan) == plan {
            let past = Past::of(&journal.entries(&run.key).await?);
            found.records.push(RunRecord::of_open(run, past.lines()));
        }
    }
    let mut ended = Vec::new();
    for name in journal.names_in_history().await? {
        if plan_of(&name) == plan {
            let history = journal.read_history(&name, most).await?;
            found.ignored.extend(history.ignored);
            ended.extend(history.records);
        }
    }
    ended.sort_by_key(|record| std::cmp::Reverse(record.key.slot));
    ended.truncate(most);
    found.records.extend(ended);
    Ok(found)
}
