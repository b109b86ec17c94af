//! What drills that died have left: ended, and their scratches deleted.
//!
//! What it must never do: touch a drill that only waits for its copies, or the scratches of another plan.

use jiff::Timestamp;
use tracing::error;

use super::asked::Asked;
use super::{Drill, LONGEST_DRILL, Remembered, scratches, word_of};
use crate::journal::{JobLine, JournalError, OpenRun};
use crate::report::Outcome;
use crate::restore::{Kept, moved};
use crate::resume::Pasts;
use crate::service::Service;

impl<S: Service> Drill<'_, '_, S> {
    /// Ends the plan's other open drills, if they were killed, or are more than a day old. Under the plan's lease, so none
    /// of them is being worked at.
    pub(super) async fn end_the_killed(&mut self) {
        let Some(kept) = self.world.kept else { return };
        for open in std::mem::take(&mut self.others) {
            let slot = open.key.slot.instant();
            match self.end_killed(kept, &open).await {
                Ok(None) => {}
                Ok(Some(why)) => self
                    .report
                    .warn(format!("the drill of {slot} is still open: {why}")),
                Err(error) => {
                    error!(error = error.word(), detail = %error, "an open drill was not ended");
                    self.report
                        .warn(format!("the drill of {slot} could not be ended: {error}"));
                }
            }
        }
    }

    /// Ends one of them, or says why it stays open.
    async fn end_killed(
        &mut self,
        kept: Kept<'_>,
        open: &OpenRun,
    ) -> Result<Option<&'static str>, JournalError> {
        let journal = kept.journal.of_drills();
        let entries = journal.entries(&open.key).await?;
        let remembered = Remembered::of(&entries);
        let age = self.clock.now().duration_since(open.opened_at);
        if remembered.left && age <= LONGEST_DRILL {
            return Ok(Some("it waits for its copies; `resume` carries on"));
        }
        let Some(lease) = self.lease.clone() else {
            return Ok(Some("this invocation has no lease"));
        };
        if !remembered.asked.as_ref().is_none_or(|of| self.is_here(of)) {
            return Ok(Some(
                "its scratches stand in another region; `resume` ends it",
            ));
        }
        if moved(remembered.regions.as_ref(), &self.world.regions()).is_some() {
            return Ok(Some(
                "the plan had other regions when it began, and its scratches stand there; put them back and `resume` ends it, or delete them by hand",
            ));
        }
        let orders = remembered.orders(self.world.plan, self.world.target);
        let orders: Vec<_> = orders.collect();
        let scratches = scratches(
            self.world,
            &self.clock,
            self.lease.clone(),
            self.clear_until,
        );
        let mut gone = true;
        for (order, scratch) in &orders {
            let cleared = scratches.clear(scratch, word_of(order)).await;
            match cleared.why_it_stands() {
                None => self.report.swept.push(scratch.to_string()),
                Some(_) => gone &= self.report.add_cleared(order, &cleared),
            }
        }
        if !gone {
            return Ok(Some("a scratch of it could not be deleted"));
        }
        let log = journal.open_run(&lease, &open.key, open.opened_at).await?;
        let asked = remembered.asked.as_ref().unwrap_or(self.asked);
        let (pasts, now) = (Pasts::of(&entries), self.clock.now());
        let unfinished = orders.iter().map(|(order, _)| {
            let backup = order.backup.to_string();
            killed(
                &self.world.target.name,
                &self.report.to_region,
                backup,
                order.backup.source().as_str(),
                now,
            )
        });
        let lines: Vec<JobLine> = unfinished.chain(pasts.lines().cloned()).collect();
        let record = self.record(
            (open.key.slot, asked),
            &log,
            lines.into_iter(),
            Outcome::Failed,
        );
        journal.close_run(log, record).await?;
        if kept.shared {
            kept.journal.let_go(&self.identity(open.key.slot)).await?;
        }
        Ok(None)
    }

    /// Whether what another drill asked for leads to the region that this one works in.
    fn is_here(&self, other: &Asked) -> bool {
        let target = other.target.as_ref();
        let of_this_target = target.is_none_or(|of| *of == self.world.target.name);
        of_this_target
            && match &other.to {
                Some(to) => to == self.world.destination.region(),
                None => self.asked.to.is_none(),
            }
    }

    /// Deletes what drills of this plan left in this region more than a day ago.
    pub(super) async fn sweep(&mut self) {
        let scratches = scratches(
            self.world,
            &self.clock,
            self.lease.clone(),
            self.clear_until,
        );
        let journal = self.world.kept.map(|kept| kept.journal);
        match scratches.sweep(journal).await {
            Ok(swept) => {
                for name in swept.deleted {
                    self.report.swept.push(name);
                }
                for (name, why) in swept.left {
                    self.report.warn(format!(
                        "`{name}` looks like the scratch of an earlier drill and was not deleted: {why}; look what it is, and delete it by hand"
                    ));
                }
            }
            Err(error) => self.report.warn(format!(
                "whether earlier drills left scratches could not be seen: {error}"
            )),
        }
    }
}

/// How a source of a killed drill ended.
fn killed(target: &str, region: &str, backup: String, source: &str, now: Timestamp) -> JobLine {
    JobLine {
        backup: Some(backup),
        ended_at: Some(now),
        error: Some("killed".to_owned()),
        message: Some("its invocation was killed; a later one deleted the scratch".to_owned()),
        ..JobLine::of(target, region, source, "failed")
    }
}
