//! What a restore has to do with the journal: its own lease, carrying on, and how it ended.
//!
//! A journal that can't be used is told and stops no restore: on the worst day it may be the very thing that is down.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use super::order::{Chosen, Order};
use super::record::RestoreState;
use super::{How, Kept, Remembered, Restore, moved};
use crate::journal::{
    Entry, JobLine, Journal, JournalError, LeaseError, RunKey, RunLog, RunRecord, give_back,
};
use crate::name::{BackupName, Class, Namespace};
use crate::report::{of_no_job, of_the_whole};
use crate::resume::{Notes, Pasts};
use crate::service::Service;
use crate::slot::CLOCK_MARGIN;

impl<S: Service> Restore<'_, '_, S> {
    /// Opens the restore in the journal, or finds it there. `false` when another invocation is at work at it.
    pub(super) async fn open(&mut self) -> bool {
        let Some(kept) = self.world.kept else {
            if self.how != How::DryRun {
                self.report.warn("no journal is configured, so nothing remembers this restore if it is cut short, and nothing keeps pruning away from its backups; set LIFEBOAT_JOURNAL".to_owned());
            }
            return true;
        };
        let journal = kept.journal.of_restores();
        let opened = if self.how == How::DryRun {
            self.look_into(&journal).await.map_err(LeaseError::from)
        } else {
            self.open_in(&journal).await
        };
        match opened {
            Ok(open) => open,
            Err(held @ LeaseError::Held { .. }) => {
                self.report.fail("busy", held.or_killed("restore"));
                self.report.stays_open = true;
                false
            }
            Err(error) => {
                error!(error = error.word(), detail = %error, "the journal can't be used");
                self.report.warn(format!("nothing remembers this restore if it is cut short, and nothing keeps pruning away from its backups: {error}"));
                true
            }
        }
    }

    async fn find_open(&self, journal: &Journal) -> Result<Option<RunKey>, JournalError> {
        let open = journal.open_runs().await?;
        let ours = open
            .runs
            .into_iter()
            .find(|run| run.key.plan == self.report.restore);
        Ok(ours.map(|run| run.key))
    }

    /// Reads what an open restore has written down, for a dry run.
    async fn look_into(&mut self, journal: &Journal) -> Result<bool, JournalError> {
        self.earlier = self.ended_earlier(journal).await?;
        if let Some(key) = self.find_open(journal).await? {
            let entries = journal.entries(&key).await?;
            return Ok(self.remember(&entries));
        }
        Ok(true)
    }

    /// What history says of the same request.
    async fn ended_earlier(&self, journal: &Journal) -> Result<Vec<JobLine>, JournalError> {
        let records = journal.history(&self.report.restore, 1).await?;
        Ok(records.into_iter().flat_map(|record| record.jobs).collect())
    }

    /// The same request's own work, if a destination that stands is that: restored from the same backup into the same
    /// region, and created while that was done.
    pub(super) fn restored_earlier(
        &self,
        backup: &BackupName,
        created_at: Timestamp,
    ) -> Option<&JobLine> {
        let (backup, region) = (backup.to_string(), self.world.destination.region());
        self.earlier.iter().find(|line| {
            let same = line.backup.as_deref() == Some(&backup) && line.region == region;
            let meanwhile = line
                .started_at
                .zip(line.ended_at)
                .is_some_and(|(from, to)| {
                    from.duration_since(created_at) <= CLOCK_MARGIN
                        && created_at.duration_since(to) <= CLOCK_MARGIN
                });
            line.state == RestoreState::Restored.word() && same && meanwhile
        })
    }

    /// `false` when there is nothing to carry on with any more.
    async fn open_in(&mut self, journal: &Journal) -> Result<bool, LeaseError> {
        let now = self.clock.now();
        let lease = journal.acquire(&self.report.restore, &self.report.run_id, now);
        let lease = Arc::new(lease.await?);
        self.lease = Some(Arc::clone(&lease));
        match self.find_open(journal).await? {
            Some(key) => self.slot = key.slot,
            None if self.how == How::OneMoreLook => return Ok(false),
            None => {}
        }
        self.earlier = self.ended_earlier(journal).await?;
        let log = journal.open_run(&lease, &self.key(), now).await?;
        self.opened_at = log.opened_at();
        let here = self.remember(log.entries());
        if here {
            self.notes = Notes::new(Some(log));
        }
        Ok(here)
    }

    fn key(&self) -> RunKey {
        RunKey {
            plan: self.report.restore.clone(),
            slot: self.slot,
            class: Class::Scheduled,
        }
    }

    /// Takes over what earlier invocations wrote down. `false` when they did it in other regions.
    fn remember(&mut self, entries: &[Entry]) -> bool {
        let remembered = Remembered::of(entries);
        if !remembered.begun {
            return true;
        }
        let moved = moved(remembered.regions.as_ref(), &self.world.regions());
        if let Some(message) = moved.filter(|_| !self.is_too_old()) {
            self.report.fail("moved", message);
            self.report.stays_open = true;
            return false;
        }
        self.begun = true;
        self.missing = remembered.missing;
        self.pasts = Pasts::of(entries);
        self.report.at = remembered.at.unwrap_or(self.report.at);
        for chosen in &remembered.chosen {
            match self.read(chosen) {
                Some(order) => self.orders.push(order),
                None => self.missing.push((chosen.source.clone(), format!(
                    "the journal says that it is restored from `{}`, which is no backup of this plan; ask for this source anew",
                    chosen.backup
                ))),
            }
        }
        true
    }

    /// What is restored must have the name of one of the target's backups, whatever the journal says.
    fn read(&self, chosen: &Chosen) -> Option<Order> {
        let backup = BackupName::parse(&self.world.target.prefix, &chosen.backup)?;
        let destination = Namespace::parse(&chosen.destination)?;
        let ours = backup.source().as_str() == chosen.source;
        ours.then(|| Order::remembered(chosen, backup, destination))
    }

    /// Leaves the restore open for the next invocation, or files it as finished; then gives the lease back.
    pub(super) async fn close_journal(&mut self) {
        if let Some(fault) = self.notes.fault() {
            self.report
                .warn(format!("the restore went on without its journal: {fault}"));
        }
        let sound = self.notes.are_kept();
        let (log, lines) = std::mem::take(&mut self.notes).into_parts();
        let closed = match (log, self.world.kept) {
            (Some(_), _) if self.report.counts.incomplete > 0 => {
                self.report.stays_open = sound;
                Ok(())
            }
            (Some(log), Some(kept)) if sound => self.file(kept, log, lines).await,
            _ => Ok(()),
        };
        let released = give_back(self.lease.take()).await;
        if let Err(error) = closed.and(released) {
            error!(error = error.word(), detail = %error, "the journal was not closed");
            self.report
                .warn(format!("the journal was not closed: {error}"));
        }
    }

    async fn file(
        &self,
        kept: Kept<'_>,
        log: RunLog,
        lines: Vec<JobLine>,
    ) -> Result<(), JournalError> {
        // What the same request restored earlier is remembered for the next time it comes.
        let restored = RestoreState::Restored.word();
        let earlier = self.earlier.iter().filter(|line| line.state == restored);
        let jobs: BTreeMap<String, JobLine> = earlier
            .chain(self.pasts.lines())
            .cloned()
            .chain(lines)
            .map(|line| (line.source.clone(), line))
            .collect();
        let record = RunRecord {
            key: self.key(),
            run_id: self.report.run_id.clone(),
            outcome: self.report.outcome_so_far().word().to_owned(),
            reason: if jobs.is_empty() {
                of_no_job(&self.report.failures, |failure| failure.reason("restore"))
            } else {
                of_the_whole(&self.report.failures)
            },
            opened_at: log.opened_at(),
            closed_at: Some(self.clock.now()),
            asked: None,
            jobs: jobs.into_values().collect(),
            deleted: 0,
        };
        kept.journal.of_restores().close_run(log, record).await?;
        if kept.shared {
            kept.journal.let_go(&self.report.restore).await?;
        }
        Ok(())
    }
}
