//! Whatever failed was told: a run whose last word was that all is well has no record that says otherwise.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lifeboat::event::Action;
use lifeboat::journal::{Journal, RunKey};
use lifeboat::name::Class;
use lifeboat::report::Outcome;
use object_store::path::Path;

use super::{Ended, History};

/// When the last process of a run ended, and whether with a report that tells of no failure; by slot and whether it is by hand.
#[derive(Default)]
pub(super) struct AllIsWell(BTreeMap<(Timestamp, bool), (Timestamp, bool)>);

impl AllIsWell {
    /// Takes in how a process ended, in any order. Whoever was killed may have closed a run and told nobody.
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
        let last = self.0.entry((slot, request.manual));
        let last = last.or_insert((ended.until, ends_well));
        match last.0.cmp(&ended.until) {
            Ordering::Less => *last = (ended.until, ends_well),
            Ordering::Equal => last.1 &= ends_well,
            Ordering::Greater => {}
        }
    }

    fn holds_for(&self, run: &RunKey) -> bool {
        let key = (run.slot.instant(), run.class == Class::Manual);
        self.0.get(&key).is_some_and(|(_, well)| *well)
    }
}

impl History {
    pub(super) async fn whatever_failed_was_told(&mut self) {
        let Some(objects) = &self.objects else { return };
        let journal = Journal::on(Arc::clone(objects) as _, Path::from("lifeboat"));
        for run in journal.history("default", 1_000).await.unwrap() {
            if self.all_is_well.holds_for(&run.key) {
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
