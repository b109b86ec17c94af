//! Whose clock says that a slot is one of now: ours, and where ours speaks against it, the service's own.
//!
//! A clock of ours that is wrong stops deletion and never copying. What this must never do: let a slot pass that both
//! clocks refuse, or put a question to the service while ours has nothing against the slot.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::timeout;

use super::{Run, World};
use crate::clock::Clock;
use crate::event::{Action, Request};
use crate::name::Namespace;
use crate::service::{Patient, Service, ServiceError};
use crate::slot::{Slot, SlotError};

/// A namespace may be deleted between the listing and the look at it; so many in a row are not.
const MOST_LOOKS: usize = 5;

/// The slot of a run that begins now.
pub(super) async fn slot_of<S: Service>(
    request: &Request,
    world: &World<'_, S>,
    clock: &Clock,
    time_left: Duration,
) -> Result<Slot, SlotError> {
    if let (Action::Resume, Some(slot)) = (request.action, request.scheduled_time) {
        return Slot::of(slot);
    }
    let refused = match Slot::of_run(request.scheduled_time, clock.now()) {
        Err(refused) if request.action == Action::Backup => refused,
        judged => return judged,
    };
    match services_time(world, clock, time_left).await {
        Some(now) => Slot::of_run(request.scheduled_time, now),
        None => Err(refused),
    }
}

/// The time by the clock of the first region that tells it. What it says is compared with ours, so deletion stops.
async fn services_time<S: Service>(
    world: &World<'_, S>,
    clock: &Clock,
    time_left: Duration,
) -> Option<Timestamp> {
    let targets = world.plan.targets.iter().zip(world.targets);
    let targets = targets.map(|(target, region)| (region, target.prefix.as_str()));
    let prefixes = world.plan.source.selectors.prefixes().iter();
    let sources = prefixes.map(|prefix| (world.source, prefix.as_str()));
    let ask = async {
        for (region, prefix) in sources.chain(targets) {
            if let Ok(Some(told)) = told_by(region, prefix).boxed_local().await {
                clock.compare(Some(told));
                return Some(told);
            }
        }
        None
    };
    // Half of the time must be left for the copies.
    timeout(time_left / 2, ask).await.ok().flatten()
}

/// The date of a region's answer about one of its namespaces; `None` where there is none to ask after.
async fn told_by<S: Service>(
    region: &Patient<S>,
    prefix: &str,
) -> Result<Option<Timestamp>, ServiceError> {
    let page = region.list(prefix, None).await?;
    let names = page.names.iter().filter_map(|name| Namespace::parse(name));
    for name in names.take(MOST_LOOKS) {
        if let Some(found) = region.metadata(&name).await? {
            return Ok(found.answered_at);
        }
    }
    Ok(None)
}

impl<S: Service> Run<'_, '_, S> {
    /// Whether a copy made now would show another state than the slot's. It is not too late while only our clock says so.
    pub(super) async fn is_too_late(&self) -> bool {
        let is_stale = |now| self.slot.is_stale(now);
        if !is_stale(self.clock.now()) {
            return false;
        }
        let left = self.until.duration_since(tokio::time::Instant::now());
        services_time(self.world, &self.clock, left)
            .await
            .is_some_and(is_stale)
    }
}
