//! Two standing namespaces compared by `verify` and `seal`, on from where an earlier comparison of them was cut short.
//!
//! What it must never do: go on from there when either side was written since, or read a day ago, or fail because of the journal: without it, a
//! comparison begins anew.

use std::cell::Cell;
use std::convert::Infallible;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tracing::warn;

use super::Run;
use crate::journal::{Comparison, Journal, JournalError, Reached, Unwritten};
use crate::name::Namespace;
use crate::resume::MILESTONES_EVERY;
use crate::service::{Patient, Service, ServiceError};
use crate::verify::{self, Compared, End, Level, Milestone, Terms, Way};

/// What was read longer ago is read again: whoever verifies wants to know how it is now.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// A comparison that is remembered.
struct Remembered<'a> {
    other: &'a Namespace,
    now: Timestamp,
    began_at: Cell<Timestamp>,
    journal: &'a Journal,
    comparison: Comparison<'a>,
    sides: [Unwritten; 2],
    /// Whether something of it is in the journal.
    is_there: Cell<bool>,
}

impl<S: Service> Run<'_, '_, S> {
    /// Compares a backup with what it should be like. `terms` without a way; where it begins is found here.
    pub(super) async fn compare(
        &self,
        ends: [End<'_, Patient<S>>; 2],
        target: &str,
        terms: Terms<'_>,
    ) -> Result<Compared, ServiceError> {
        let [other, backup] = ends;
        let journal = self.world.journal.filter(|_| terms.level == Level::Full);
        let Some(journal) = journal else {
            return verify::compare(other, backup, terms).await;
        };
        let shown = [
            other.service.metadata(other.namespace).await?,
            backup.service.metadata(backup.namespace).await?,
        ];
        let [Some(other_shown), Some(backup_shown)] = &shown else {
            return verify::compare(other, backup, terms).await;
        };
        let remembered = Remembered {
            journal,
            comparison: Comparison {
                target,
                backup: backup.namespace.as_str(),
                with: other.service.region(),
            },
            other: other.namespace,
            now: self.clock.now(),
            began_at: Cell::new(self.clock.now()),
            sides: [other_shown.into(), backup_shown.into()],
            is_there: Cell::new(false),
        };
        let way = Way::from(remembered.reached().await);
        let terms = Terms { way: &way, ..terms };
        let compared = tokio::select! {
            biased;
            compared = verify::compare(other, backup, terms) => compared?,
            never = remembered.keep(&way) => match never {},
        };
        remembered.forget().await;
        Ok(compared)
    }
}

impl Remembered<'_> {
    /// Where to begin, if neither side was written since.
    async fn reached(&self) -> Option<Milestone> {
        let reached = self.journal.reached(self.comparison).await;
        let reached = reached.unwrap_or_else(|error| {
            tell(&error);
            self.is_there.set(true);
            None
        })?;
        self.is_there.set(true);
        let same = reached.sides == self.sides && reached.other == self.other.as_str();
        let fresh = self.now.duration_since(reached.began_at).abs() <= LASTS;
        (same && fresh).then(|| {
            self.began_at.set(reached.began_at);
            reached.up_to
        })
    }

    /// Writes down how far it is, for as long as this is polled.
    async fn keep(&self, way: &Way) -> Infallible {
        let mut written = way.reached();
        loop {
            sleep(MILESTONES_EVERY).await;
            let up_to = way.reached();
            if let (Some(up_to), true) = (up_to.clone(), up_to != written) {
                let sides = self.sides;
                let reached = Reached {
                    began_at: self.began_at.get(),
                    other: self.other.to_string(),
                    sides,
                    up_to,
                };
                self.is_there.set(true);
                if let Err(error) = self.journal.write_reached(self.comparison, &reached).await {
                    tell(&error);
                }
            }
            written = up_to;
        }
    }

    /// It came to its end.
    async fn forget(&self) {
        if self.is_there.get()
            && let Err(error) = self.journal.forget_reached(self.comparison).await
        {
            tell(&error);
        }
    }
}

fn tell(error: &JournalError) {
    warn!(error = error.word(), detail = %error, "how far a comparison came is not remembered");
}
