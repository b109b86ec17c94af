//! Keeps what the journal has lent for as long as somebody works: leases and holds, renewed beside the work, and given back
//! after it.
//!
//! A renewal that fails is told and tried again; whoever deletes looks at the lease itself.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::pending;
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::warn;

use super::JournalError;
use super::holds::{Hold, RENEW_HOLD_EVERY};
use super::lease::{Lease, RENEW_EVERY};
use crate::clock::Clock;

/// Makes the lease last for as long as this is polled.
pub(crate) async fn renew(lease: Option<Arc<Lease>>, clock: Clock) -> Infallible {
    let Some(lease) = lease else {
        return pending().await;
    };
    loop {
        sleep(RENEW_EVERY).await;
        if let Err(error) = lease.renew(clock.now()).await {
            warn!(error = error.word(), detail = %error, "the lease was not renewed");
        }
    }
}

/// Releases a lease that was shared with what renews it; while that still has it, it ends by itself.
pub(crate) async fn give_back(lease: Option<Arc<Lease>>) -> Result<(), JournalError> {
    match lease.and_then(Arc::into_inner) {
        Some(lease) => lease.release().await,
        None => Ok(()),
    }
}

/// Makes the hold last for as long as this is polled. `now` is the later of our time and the service's.
pub(crate) async fn renew_hold(hold: Option<&Hold>, now: impl Fn() -> Timestamp) -> Infallible {
    let Some(hold) = hold else {
        return pending().await;
    };
    loop {
        sleep(RENEW_HOLD_EVERY).await;
        if let Err(error) = hold.renew(now()).await {
            warn!(error = error.word(), detail = %error, "the hold on the backups was not renewed");
        }
    }
}
