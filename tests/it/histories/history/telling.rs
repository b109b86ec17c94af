//! Whatever failed was told: a run whose last word was that all is well has no record that says otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use lifeboat::event::Action;
use lifeboat::journal::Journal;
use lifeboat::name::Class;
use lifeboat::report::Outcome;
use object_store::path::Path;

use super::{Ended, History};

/// Runs that were ended by a report that tells of no failure, by slot and whether they are by hand.
#[derive(Default)]
pub(super) struct AllIsWell(BTreeSet<(Timestamp, bool)>);

impl AllIsWell {
    /// Takes in how a process ended. Whoever was killed may have closed a run and told nobody.
    pub(super) fn read(&mut self, ended: &Ended) {
        let request = &ended.start.request;
        if request.dry_run || !matches!(request.action, Action::Backup | Action::Resume) {
            return;
        }
        let Some(slot) = request.scheduled_time else {
            return self.0.clear();
        };
        let ends_well = ended
            .report()
            .is_some_and(|report| report.outcome == Outcome::Succeeded && !report.stays_open);
        if ends_well {
            self.0.insert((slot, request.manual));
        } else {
            self.0.remove(&(slot, request.manual));
        }
    }
}

impl History {
    pub(super) async fn whatever_failed_was_told(&mut self) {
        let Some(objects) = &self.objects else { return };
        let journal = Journal::on(Arc::clone(objects) as _, Path::from("lifeboat"));
        for run in journal.history("default", 1_000).await.unwrap() {
            let key = (run.key.slot.instant(), run.key.class == Class::Manual);
            if self.all_is_well.0.contains(&key) {
                assert_eq!(
                    run.outcome, "succeeded",
                    "its last report said so: {run:#?}"
                );
                self.tally
                    .add("runs that ended well, by report and record", 1);
            }
        }
    }
}
