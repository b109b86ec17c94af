//! Zilliz Cloud: clusters whose native backups, and their copies in other regions, a plan drives.
//!
//! It is a provider of its own, and no second [`crate::service::Service`]: nothing here is copied by us, nothing has a name
//! of ours, and the service itself deletes what is too old. A plan becomes each cluster's backup policy ([`policy`]), which
//! is set, read back and compared (`repairing`) on every run ([`mod@run`]); what stands in every region is judged by the plan's [`windows`]
//! ([`recovery`]), by what earlier runs saw, too (`watching`); what can't work is refused first ([`refusals`]).
//!
//! What it must never do: delete anything but what the journal calls the plan's own, send a second request that makes a
//! backup or a cluster, or call a region protected because nothing was said of it.
//!
//! Backups by hand are asked for once, written down in [`notes`], and followed to their copies by [`copies`] (`manual`).
//! [`tiers`] are made the same way for longer than a policy keeps its own, and are the only ones that are deleted.
//!
//! Restores, as a new cluster or of collections into one that exists, are [`mod@restore`]'s.
//!
//! [`client`] is the control plane asked with patience and within its [`limits`], [`transport`] one request, [`wire`] its JSON, [`account`] what a
//! key sees, [`preflight`] what `check` finds out, [`mod@estimate`] what a month costs (`spending` asks it of a run), [`report`] what a run says, `timing` whose clock counts, [`listed`] every backup that stands; `door` hangs it all onto [`crate::Lifeboat`].

pub mod account;
pub mod client;
pub mod copies;
mod door;
pub mod estimate;
mod facts;
pub mod gaps;
mod journaled;
pub mod limits;
pub mod listed;
mod manual;
pub mod notes;
pub mod policy;
pub mod preflight;
pub mod recovery;
pub mod refusals;
mod repairing;
pub mod report;
pub mod restore;
pub mod run;
mod spending;
pub mod tiers;
mod timing;
pub mod transport;
mod watching;
pub mod windows;
pub mod wire;

#[cfg(test)]
mod cases;

pub(crate) use door::{Clients, connect};
pub use report::ClusterReport;
pub use restore::ClusterRestoreReport;
