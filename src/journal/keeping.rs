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
use crate::certificate;

/// Makes the lease last for as long as this is polled. `now` is the later of our time and the service's.
pub(crate) async fn renew(lease: Option<Arc<Lease>>, now: impl Fn() -> Timestamp) -> Infallible {
    let Some(lease) = lease else {
        return pending().await;
    };
    loop {
        sleep(RENEW_EVERY).await;
        renew_once(&lease, now()).await;
    }
}

async fn renew_once(lease: &Lease, now: Timestamp) {
    if let Err(error) = lease.renew(now).await {
        warn!(error = error.word(), detail = %error, "the lease was not renewed");
    }
}

/// What the certificate of a deletion is to know of the lease, by our time and the later of ours and the service's. A clock
/// of ours that is behind took it as if it were earlier; so it is renewed where only that keeps it from lasting.
pub(crate) async fn leased(
    lease: Option<&Lease>,
    now: Timestamp,
    latest: Timestamp,
) -> certificate::Lease {
    let Some(lease) = lease else {
        return certificate::Lease::NoJournal;
    };
    if lease.is_ours(now) && !lease.is_ours(latest) {
        renew_once(lease, latest).await;
    }
    if !lease.is_ours(latest) {
        return certificate::Lease::Lost;
    }
    certificate::Lease::Ours {
        from: lease.from(),
        until: lease.until(),
    }
}

/// Whether nobody else may be at work, by our time and by the service's. Without a journal nobody can tell.
pub(crate) async fn is_alone(lease: Option<&Lease>, now: Timestamp, service: Timestamp) -> bool {
    match leased(lease, now, now.max(service)).await {
        certificate::Lease::NoJournal => true,
        certificate::Lease::Lost => false,
        certificate::Lease::Ours { from, .. } => from <= now.min(service),
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
