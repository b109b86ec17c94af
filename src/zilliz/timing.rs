//! Whose clock says that a slot is one of now, and until when a hold lasts: ours, and where ours speaks against it, the
//! service's own, by the date of an answer.
//!
//! As for turbopuffer (`run::timing`): a clock of ours that is wrong stops deletion and never a backup. What this must never
//! do: let a slot pass that both clocks refuse, or put a question to the service while ours has nothing against the slot.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::run::Run;
use super::transport::Transport;
use crate::clock::Clock;
use crate::event::{Action, Request};
use crate::slot::{Slot, SlotError};

/// The slot of a run that begins now.
pub(super) async fn slot_of<T: Transport>(
    request: &Request,
    (client, clock): (&Client<T>, &Clock),
    time_left: Duration,
) -> Result<Slot, SlotError> {
    if let (Action::Resume, Some(slot)) = (request.action, request.scheduled_time) {
        return Slot::of(slot);
    }
    let refused = match Slot::of_run(request.scheduled_time, clock.now()) {
        Err(refused) if request.action == Action::Backup => refused,
        judged => return judged,
    };
    // Half of the time must be left for the clusters.
    match services_time(client, time_left / 2).await {
        Some(now) => Slot::of_run(request.scheduled_time, now),
        None => Err(refused),
    }
}

/// What time it is by the service's clock, if it says so in time.
pub(super) async fn services_time<T: Transport>(
    client: &Client<T>,
    patience: Duration,
) -> Option<Timestamp> {
    let asked = timeout(patience, client.services_time()).boxed_local();
    asked.await.ok().flatten()
}

impl<T: Transport> Run<'_, '_, T> {
    /// Whether what is made now would be of another time than the slot's. It is not too late while only our clock says so.
    pub(super) async fn is_too_late(&self) -> bool {
        if !self.slot.is_stale(self.world.clock.now()) {
            return false;
        }
        let left = self.until.saturating_duration_since(Instant::now());
        let told = services_time(self.world.client, left / 2).await;
        told.is_some_and(|now| self.slot.is_stale(now))
    }
}
