//! The lease of a plan: at most one run works on a plan at a time, and a dead one holds it for three minutes at most, by
//! whatever clock.
//!
//! What it must never do: give a lost lease back, or let two holders delete at once. Whether a lease has run out is judged
//! by the clock of whoever wants it, and a holder renews every 45 seconds and stops believing a minute before the end. So
//! while two machines' clocks are less than a minute apart, no two ever believe that it is theirs. Where they are further
//! apart, one that is minutes ahead, or so far behind that it takes an honest lease for one of a clock far ahead, can take a
//! lease that is alive, and its old holder hears of it with its next renewal: for up to two minutes both may copy, which
//! names and fences make harmless. Never do both delete, whatever the clocks say: before each deletion [`Lease::from`],
//! which is when the earlier lease ends, and [`Lease::until`] are compared with the service's clock, too
//! ([`crate::certificate`]).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::store::{Found, Put, Store};
use super::{Journal, JournalError};
use crate::slot::CLOCK_MARGIN;

/// How long a lease lasts from its taking or renewal.
pub const LEASE_TIME: SignedDuration = SignedDuration::from_mins(3);
/// How often it is to be renewed: two renewals may fail before its holder stops believing.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(45);
/// How long a request decided under the lease may take, and how far two machines' clocks may be apart so that never two
/// believe in it.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// In place of an expiry: the lease is lost for ever.
const LOST: i64 = i64::MIN;

/// Why no lease was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another run has it.
    #[error(
        "plan `{plan}` is being worked on by run {holder}, until {until:.0} or longer; try again then, or delete {object} \
         if that run is known to be dead"
    )]
    Held {
        /// The plan.
        plan: String,
        /// The run.
        holder: String,
        /// When its lease runs out unless renewed.
        until: Timestamp,
        /// The lease's object.
        object: String,
    },
    /// Its object holds something else.
    #[error("{object}, where the plan's lease should be, {fault}; look what it is, and delete it")]
    Corrupt {
        /// The object.
        object: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl LeaseError {
    /// The same for whoever asked for something that has a lease of its own, and perhaps killed it a moment ago.
    #[must_use]
    pub fn or_killed(&self, what: &str) -> String {
        match self {
            Self::Held { holder, until, .. } => format!(
                "this {what} is being worked on by run {holder}, or its process was killed: ask again after {until:.0}, three minutes after a kill at most, or `lifeboat resume` then"
            ),
            other => other.to_string(),
        }
    }

    /// One short word for logs, reports and alarms; stable.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held { .. } => "lease_held",
            Self::Corrupt { .. } => "lease_corrupt",
            Self::Journal(error) => error.word(),
        }
    }
}

/// A lease as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    plan: String,
    holder: String,
    fence: u64,
    /// Tells two takings apart that are alike in everything else.
    nonce: u64,
    expires_at: Timestamp,
}

/// The lease of a plan, held until it is released, lost or runs out.
#[derive(Debug)]
pub struct Lease {
    held: Arc<Held>,
}

/// What a lease and the runs that are open under it share.
#[derive(Debug)]
pub(super) struct Held {
    store: Arc<Store>,
    path: Path,
    plan: String,
    holder: String,
    fence: u64,
    nonce: u64,
    /// Until when another holder may believe in the lease that this one took the place of.
    from: Timestamp,
    /// Milliseconds since 1970, or [`LOST`].
    until: AtomicI64,
    /// One renewal at a time.
    renewing: Mutex<()>,
}

impl Journal {
    /// Takes the lease of a plan for the run `holder`: it is free, or its holder let it run out.
    ///
    /// The same holder asking again is refused like any other: it may be the same event, delivered twice.
    pub async fn acquire(
        &self,
        plan: &str,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let path = self.lease_path(plan);
        let object = || self.store.name_of(&path);
        let found = self.store.read(&path).await?;
        let (fence, from) = match &found {
            None => {
                let first = u64::try_from(now.as_second()).unwrap_or_default();
                (first, Timestamp::UNIX_EPOCH)
            }
            Some(found) => {
                let other = understood(found, plan, object)?;
                if now < other.expires_at && other.expires_at <= longest(now) {
                    return Err(refused(other, object()));
                }
                (other.fence.saturating_add(1), earlier_end(&other, now))
            }
        };
        let held = Held {
            store: Arc::clone(&self.store),
            plan: plan.to_owned(),
            holder: holder.to_owned(),
            fence,
            nonce: RandomState::new().hash_one(holder),
            from,
            until: AtomicI64::new(LOST),
            renewing: Mutex::new(()),
            path: path.clone(),
        };
        let until = after(now);
        match self
            .store
            .put(&path, &held.body(until), found.as_ref())
            .await?
        {
            Put::Done => {
                held.until.store(until.as_millisecond(), Ordering::Release);
                let held = Arc::new(held);
                Ok(Lease { held })
            }
            Put::Beaten(Some(other)) => Err(refused(understood(&other, plan, object)?, object())),
            Put::Beaten(None) => Err(self
                .store
                .unreachable(format!("{} was deleted just now", object()))
                .into()),
        }
    }
}

impl Journal {
    /// Whether the lease of a plan can be read and understood, if there is one. Takes nothing and changes nothing.
    pub async fn look_at_lease(&self, plan: &str) -> Result<(), LeaseError> {
        let path = self.lease_path(plan);
        let found = self.store.read(&path).await?;
        let object = || self.store.name_of(&path);
        found.map_or(Ok(()), |found| understood(&found, plan, object).map(drop))
    }

    fn lease_path(&self, plan: &str) -> Path {
        self.store.path(["leases", &format!("{plan}.json")])
    }
}

fn understood(
    found: &Found,
    plan: &str,
    object: impl Fn() -> String,
) -> Result<Written, LeaseError> {
    let corrupt = |fault: String| LeaseError::Corrupt {
        object: object(),
        fault,
    };
    let written: Written = serde_json::from_slice(&found.body)
        .map_err(|error| corrupt(format!("can't be read as a lease ({error})")))?;
    if written.plan != plan {
        return Err(corrupt(format!("is the lease of plan `{}`", written.plan)));
    }
    Ok(written)
}

fn refused(other: Written, object: String) -> LeaseError {
    LeaseError::Held {
        plan: other.plan,
        holder: other.holder,
        until: other.expires_at,
        object,
    }
}

/// The furthest that an honest holder's lease reaches. One that ends later was written by a clock that is far ahead, or
/// by hand, and would keep everybody away for as long as it likes.
fn longest(now: Timestamp) -> Timestamp {
    after(now).saturating_add(CLOCK_MARGIN).unwrap_or(now)
}

/// Until when the holder of a lease that is taken over may believe in it. One that two clocks within the margin of the
/// service's can't explain counts no longer than those that they can.
fn earlier_end(other: &Written, now: Timestamp) -> Timestamp {
    let latest = longest(now).saturating_add(CLOCK_MARGIN).unwrap_or(now);
    other.expires_at.min(latest)
}

fn after(now: Timestamp) -> Timestamp {
    now.saturating_add(LEASE_TIME).unwrap_or(now)
}

impl Lease {
    /// Whether it is ours for at least another minute. Nothing that needs the lease may be begun without asking.
    #[must_use]
    pub fn is_ours(&self, now: Timestamp) -> bool {
        self.until().duration_since(now) > MARGIN
    }

    /// When the lease runs out that this one took the place of; far in the past where its holder had given it back, or there
    /// was none. Before that, by the service's clock, nothing may be deleted.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.held.from
    }

    /// When it runs out unless renewed; far in the past once it is lost.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        let until = self.held.until.load(Ordering::Acquire);
        Timestamp::from_millisecond(until).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// A number higher than that of every earlier lease of this plan.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.held.fence
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.held.plan
    }

    /// The run that holds it.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.held.holder
    }

    /// Makes it last from `now` on, which is the time before this call: the later of our clock and the service's, so that it
    /// lasts for everybody.
    ///
    /// [`JournalError::LeaseLost`] is for ever: another run has it, or somebody deleted it. After any other error the
    /// lease is what it was, runs out in time, and the next renewal may succeed.
    pub async fn renew(&self, now: Timestamp) -> Result<(), JournalError> {
        self.held.rewrite(after(now)).await
    }

    /// Lets the next run have it at once, or as soon as the lease has run out that this one took the place of. Its object
    /// stays, for its fence.
    pub async fn release(self) -> Result<(), JournalError> {
        self.held.rewrite(self.held.from).await
    }

    pub(super) fn held(&self) -> &Arc<Held> {
        &self.held
    }
}

impl Held {
    pub(super) fn fence(&self) -> u64 {
        self.fence
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// Whether it was seen in other hands. Under a lost lease nothing more is written.
    pub(super) fn if_not_lost(&self) -> Result<(), JournalError> {
        if self.until.load(Ordering::Acquire) == LOST {
            return Err(self.lost());
        }
        Ok(())
    }

    pub(super) fn lost(&self) -> JournalError {
        JournalError::LeaseLost {
            plan: self.plan.clone(),
        }
    }

    fn lose(&self) -> JournalError {
        self.until.store(LOST, Ordering::Release);
        self.lost()
    }

    fn body(&self, expires_at: Timestamp) -> Vec<u8> {
        let written = Written {
            plan: self.plan.clone(),
            holder: self.holder.clone(),
            fence: self.fence,
            nonce: self.nonce,
            expires_at,
        };
        super::json(&written)
    }

    /// Changes the expiry of what is ours. It is read first, because an earlier renewal may have been heard although
    /// its answer was lost.
    async fn rewrite(&self, expires_at: Timestamp) -> Result<(), JournalError> {
        let _alone = self.renewing.lock().await;
        self.if_not_lost()?;
        let found = self.store.read(&self.path).await?;
        let Some(found) = found.filter(|found| self.is_this(found)) else {
            return Err(self.lose());
        };
        match self
            .store
            .put(&self.path, &self.body(expires_at), Some(&found))
            .await?
        {
            Put::Done => {
                self.until
                    .store(expires_at.as_millisecond(), Ordering::Release);
                Ok(())
            }
            Put::Beaten(Some(other)) if self.is_this(&other) => Err(self
                .store
                .unreachable("an earlier renewal of this lease was carried out only now".into())),
            Put::Beaten(_) => Err(self.lose()),
        }
    }

    fn is_this(&self, found: &Found) -> bool {
        serde_json::from_slice(&found.body).is_ok_and(|written: Written| {
            (written.fence, written.nonce) == (self.fence, self.nonce)
                && written.holder == self.holder
        })
    }
}
