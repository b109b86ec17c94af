//! What a drill has to do with the journal: one at a time of each plan, carrying on, holding its backups, and its record.
//!
//! Unlike a restore it does not go on without a journal that is configured and can't be used: then nobody would know of
//! its scratches, and it can wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tracing::error;

use super::{Asked, Drill, DrillState, Remembered};
use crate::journal::{
    Entry, Hold, JobLine, Journal, JournalError, LeaseError, RunKey, RunLog, RunRecord, give_back,
};
use crate::name::Class;
use crate::report::{Outcome, of_the_whole};
use crate::restore::{How, Kept, moved};
use crate::resume::{Notes, Pasts};
use crate::service::Service;
use crate::slot::Slot;

impl<S: Service> Drill<'_, '_, S> {
    /// Opens the drill in the journal, or finds it there. `false` when there is nothing to do for this invocation.
    pub(super) async fn open(&mut self) -> bool {
        if self.how == How::DryRun {
            return true;
        }
        let Some(kept) = self.world.kept else {
            self.report.warn("no journal is configured, so nothing remembers this drill: cut short, its scratches stand until a backup or another drill a day later deletes them, and nothing keeps pruning away from its backups; set LIFEBOAT_JOURNAL".to_owned());
            return true;
        };
        match self.open_in(&kept.journal.of_drills()).await {
            Ok(open) => open,
            Err(held @ LeaseError::Held { .. }) => {
                // What has the lease may be another drill of the plan; then this one is nowhere.
                self.report.fail(None, "busy", held.or_killed("drill"));
                self.report.stays_open = self.how == How::OneMoreLook;
                false
            }
            // A drill proves something about quiet days, so it can wait for the journal.
            Err(error) => {
                error!(error = error.word(), detail = %error, "the journal can't be used");
                let message = format!(
                    "nothing was drilled, because nobody would know of its scratches: {error}"
                );
                self.report.fail(None, error.word(), message);
                false
            }
        }
    }

    /// `false` when there is nothing to carry on with any more.
    async fn open_in(&mut self, journal: &Journal) -> Result<bool, LeaseError> {
        let now = self.clock.now();
        let lease = journal.acquire(&self.world.plan.name, &self.report.run_id, now);
        let lease = Arc::new(lease.await?);
        self.lease = Some(Arc::clone(&lease));
        let open = journal.open_runs().await?.runs.into_iter();
        let of_this_plan = open.filter(|run| run.key.plan == self.world.plan.name);
        let (own, others): (Vec<_>, Vec<_>) =
            of_this_plan.partition(|run| run.key.slot == self.slot);
        if own.is_empty() && self.how == How::OneMoreLook {
            return Ok(false);
        }
        self.others = others;
        let log = journal.open_run(&lease, &self.key(self.slot), now).await?;
        self.opened_at = log.opened_at();
        let remembered = Remembered::of(log.entries());
        if remembered.begun && remembered.asked.as_ref() != Some(self.asked) {
            self.refuse_another("is open");
            return Ok(false);
        }
        let moved = moved(remembered.regions.as_ref(), &self.world.regions());
        if let Some(message) = moved.filter(|_| remembered.begun && !self.is_too_old()) {
            self.report.fail(None, "moved", message);
            self.report.stays_open = true;
            return Ok(false);
        }
        if let Some(earlier) = log.earlier().cloned() {
            let same = earlier.asked.as_ref() == Some(&self.asked.identity());
            // What ended before it began anything is nobody's evidence.
            if !same && !earlier.jobs.is_empty() {
                self.refuse_another("has ended");
                journal.close_run(log, earlier).await?;
                return Ok(false);
            }
            self.earlier = earlier.jobs;
        }
        if remembered.begun {
            self.begun = true;
            self.begun_in.clone_from(&remembered.regions);
            self.report.sources = remembered.sources;
            self.pasts = Pasts::of(log.entries());
            let orders = remembered.orders(self.world.plan, self.world.target);
            self.orders = orders.collect();
        }
        self.notes = Notes::new(Some(log));
        Ok(true)
    }

    /// A slot has one record, which the drill of another request must not take for its own, or write over.
    fn refuse_another(&mut self, how: &str) {
        let message = format!(
            "a drill of this plan at {}, which asked for something else, {how}; ask for this one a second later, or send the event with another `scheduled_time`",
            self.slot.instant()
        );
        self.report.fail(None, "another_drill", message);
    }

    pub(super) fn key(&self, slot: Slot) -> RunKey {
        RunKey {
            plan: self.world.plan.name.clone(),
            slot,
            class: Class::Scheduled,
        }
    }

    /// What the hold on its backups is called.
    pub(super) fn identity(&self, slot: Slot) -> String {
        format!("{}.drill-{slot}", self.world.plan.name)
    }

    /// What is drilled, so that whoever carries on drills the same, and knows its scratches.
    pub(super) async fn write_down_the_plan(&self) {
        let asked = Entry::DrillAsked {
            asked: Box::new(self.asked.clone()),
            sources: self.report.sources,
            regions: Some(self.world.regions()),
        };
        self.notes.write(asked).await;
        let chosen = self.orders.iter().map(|(order, _)| {
            let chosen = order.chosen();
            self.notes.write(Entry::RestoreChosen { chosen })
        });
        join_all(chosen).await;
    }

    /// Tells pruning to keep the backups, and says when it can't be told.
    pub(super) async fn hold(&mut self) -> Option<Hold> {
        let backups = self.orders.iter().map(|(order, _)| &order.backup);
        let words = ("drill", "backups", "they are drilled");
        let identity = self.identity(self.slot);
        let hold = self.world.hold(&identity, backups, &self.clock, words);
        let hold = hold.boxed_local().await?;
        self.report.held |= hold.is_ok();
        hold.map_err(|why| self.report.warn(why)).ok()
    }

    /// Leaves the drill open for the next invocation, or files it as finished; then gives the lease back.
    pub(super) async fn close_journal(&mut self) {
        if let Some(fault) = self.notes.fault() {
            self.report
                .warn(format!("the drill went on without its journal: {fault}"));
        }
        let (stays, sound) = (self.is_left_open(), self.notes.are_kept());
        let (log, lines) = std::mem::take(&mut self.notes).into_parts();
        let closed = match (log, self.world.kept) {
            (Some(log), _) if stays => {
                self.report.stays_open = true;
                log.append(&Entry::DrillLeft).await
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
        // What the same request proved earlier is remembered for the next time it comes.
        let proven = DrillState::Proven.word();
        let earlier = self.earlier.iter().filter(|line| line.state == proven);
        let all = earlier.chain(self.pasts.lines()).cloned().chain(lines);
        let record = self.record(
            (self.slot, self.asked),
            &log,
            all,
            self.report.outcome_so_far(),
        );
        kept.journal.of_drills().close_run(log, record).await?;
        if kept.shared {
            kept.journal.let_go(&self.identity(self.slot)).await?;
        }
        Ok(())
    }

    /// The last line of every source.
    pub(super) fn record(
        &self,
        (slot, asked): (Slot, &Asked),
        log: &RunLog,
        lines: impl Iterator<Item = JobLine>,
        outcome: Outcome,
    ) -> RunRecord {
        let jobs: BTreeMap<String, JobLine> =
            lines.map(|line| (line.source.clone(), line)).collect();
        RunRecord {
            key: self.key(slot),
            run_id: self.report.run_id.clone(),
            outcome: outcome.word().to_owned(),
            reason: of_the_whole(&self.report.failures),
            opened_at: log.opened_at(),
            closed_at: Some(self.clock.now()),
            asked: Some(asked.identity()),
            jobs: jobs.into_values().collect(),
            deleted: 0,
        }
    }
}
