//! The journal: a small object store that makes long copies resumable and remembers how runs ended.
//!
//! What it must never do: decide about data. What may be deleted rests on the service's own evidence, so losing
//! the journal at any moment, whole or in part, loses no backup and weakens no rule of deletion. Only backups of clusters bear
//! nothing that says whose they are; there what is not in the journal is never deleted.
//!
//! It is a bucket, a directory or memory, and holds small JSON objects under one root:
//!
//! | object | what | written |
//! |---|---|---|
//! | `leases/{plan}.json` | who works on the plan, until when, with which fence | only if it is as it was read |
//! | `open/runs/{plan}/{slot}.json` | a run that has begun and not ended | only if it is as it was read |
//! | `runs/{plan}/{slot}/{fence}-{number}.jsonl` | what the run wrote down, one [`Entry`] a line | only if absent |
//! | `history/{plan}/{slot}.json` | how the run ended; the newest 100 of each plan stay | only if it is as it was read |
//! | `events/{id}.json` | when an event that says no scheduled time came first; for seven days | only if absent |
//! | `holds/{restore}.json` | backups that are being restored, and until when nobody may delete them | only if it is as it was read |
//! | `comparisons/{target}/{backup}/{region}.json` | how far `verify` compared them before it was cut short | only if it is as it was read |
//! | `restores/…` | the first four for restores, each under its identity in place of a plan; marks in `open/restores/…` | as above |
//! | `drills/…` | the first four for drills; marks in `open/drills/…` | as above |
//! | `clusters/…` | the first five for plans of Zilliz Cloud; marks in `open/clusters/…` | as above |
//! | `clusters/restores/…` | the first four for restores of clusters, each under its identity; marks in `open/clusters-restores/…` | as above |
//! | `clusters/watch/{plan}.json` | which clusters a plan looks after, since when, and when they were last judged | only if it is as it was read |
//! | `clusters/tiers/{plan}/{cluster}-{slot}.json` | which backups a plan has had made itself, the only ones it may delete there | only if it is as it was read |
//!
//! `{slot}` has `-manual` behind it for a run that makes manual backups. A fence is a number that grows with every
//! taking of a plan's lease; the first is the Unix time, so that even after an operator has deleted a lease the next
//! one's fence is higher. A run is finished when its history was written under a fence no lower than its open mark's:
//! what is left of it then is swept away under a later lease. No object is ever overwritten unseen: each write says
//! what must be there, and when its answer is lost or it is refused, a look tells whose write it was.

mod comparisons;
mod events;
mod holds;
mod keeping;
mod lease;
mod log;
mod s3;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod tier;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::drill;
use crate::name::Class;
use crate::restore::{Asked, Chosen};
use crate::service::Region;
use crate::slot::Slot;
use crate::verify::Milestone;
use crate::zilliz::notes::Note;
use crate::zilliz::restore::RestoreNote;

pub use comparisons::{Comparison, Reached, Unwritten};
pub use holds::{HOLD_TIME, Hold, Holds};
pub(crate) use keeping::{give_back, is_alone, leased, renew, renew_hold};
pub use lease::{LEASE_TIME, Lease, LeaseError};
pub use log::RunLog;
use store::Store;
pub use tier::{Owned, Tier, TierState};
pub use watch::{Look, Watch, Watched};

/// Where the journal is kept: `s3://bucket/prefix`, `file:///directory` or `memory://`.
///
/// A bucket in another region than this process's own says so: `s3://bucket/prefix?region=eu-west-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalUrl(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Bucket {
        name: String,
        prefix: Path,
        region: Option<String>,
    },
    Directory(PathBuf),
    Memory,
}

/// A text that says nowhere to keep a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` {fault}; use s3://bucket/prefix, file:///directory or memory://")]
pub struct JournalUrlError {
    value: String,
    fault: &'static str,
}

impl FromStr for JournalUrl {
    type Err = JournalUrlError;

    fn from_str(value: &str) -> Result<Self, JournalUrlError> {
        let refused = |fault| JournalUrlError {
            value: value.to_owned(),
            fault,
        };
        let url = Url::parse(value).map_err(|_| refused("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(JournalUrlError {
                value: format!("{}://…", url.scheme()),
                fault: "holds a user or password, which belong into the AWS credentials",
            });
        }
        let place = match url.scheme() {
            _ if url.fragment().is_some() => Err("has a `#` in it"),
            "s3" => bucket(&url),
            _ if url.query().is_some() => Err("has a `?` in it"),
            "file" => directory(&url, value),
            "memory" if value == "memory://" => Ok(Place::Memory),
            "memory" => Err("names something in memory, where nothing has a name"),
            _ => Err("is of an unknown kind"),
        };
        place.map(Self).map_err(refused)
    }
}

fn bucket(url: &Url) -> Result<Place, &'static str> {
    let name = url.host_str().unwrap_or_default();
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(legal) || url.port().is_some() {
        return Err("names no bucket: 3 to 63 of a-z, 0-9, `.` and `-`");
    }
    let mut region = None;
    for (key, value) in url.query_pairs() {
        if key != "region" || value.is_empty() {
            return Err("may have nothing but ?region=… behind it");
        }
        region = Some(value.into_owned());
    }
    Ok(Place::Bucket {
        name: name.to_owned(),
        prefix: Path::from_url_path(url.path()).map_err(|_| "has an unusable prefix")?,
        region,
    })
}

fn directory(url: &Url, value: &str) -> Result<Place, &'static str> {
    let absolute = value
        .strip_prefix("file:///")
        .is_some_and(|path| !path.is_empty());
    match url.to_file_path() {
        Ok(path) if absolute => Ok(Place::Directory(path)),
        _ => Err("names no directory by its whole path, with three slashes after `file:`"),
    }
}

impl fmt::Display for JournalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Bucket { name, prefix, .. } if prefix.is_root() => write!(f, "s3://{name}"),
            Place::Bucket { name, prefix, .. } => write!(f, "s3://{name}/{prefix}"),
            Place::Directory(path) => write!(f, "file://{}", path.display()),
            Place::Memory => f.write_str("memory://"),
        }
    }
}

/// The journal. A clone is the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Arc<Store>,
}

impl Journal {
    /// The journal at `url`. Nothing is sent and no directory made before the first use.
    #[must_use]
    pub fn open(url: &JournalUrl) -> Self {
        Self {
            store: Arc::new(Store::at(url.clone())),
        }
    }

    /// A journal under `root` of any object store that has conditional writes: for tests and the simulation.
    #[must_use]
    pub fn on(objects: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self {
            store: Arc::new(Store::on(objects, root)),
        }
    }

    /// Where it is, as in `LIFEBOAT_JOURNAL`.
    #[must_use]
    pub fn place(&self) -> String {
        self.store.place().to_string()
    }

    /// Whether it outlives this process.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.store.place().0 != Place::Memory
    }

    /// Whether its directory will be made with the first use; it is not made now. An error where it can't be.
    pub fn is_yet_to_be_made(&self) -> Result<bool, JournalError> {
        self.store.is_yet_to_be_made()
    }

    /// The part of this journal in which restores are remembered, apart from runs.
    #[must_use]
    pub fn of_restores(&self) -> Self {
        Self {
            store: Arc::new(self.store.under("restores")),
        }
    }

    /// The part of this journal in which runs over clusters of Zilliz Cloud are remembered.
    #[must_use]
    pub fn of_clusters(&self) -> Self {
        Self {
            store: Arc::new(self.store.under("clusters")),
        }
    }

    /// The part of this journal in which drills are remembered.
    #[must_use]
    pub fn of_drills(&self) -> Self {
        Self {
            store: Arc::new(self.store.under("drills")),
        }
    }
}

/// Why the journal can't be used. It is never a reason to trust less or more in a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// S3 knows no such bucket.
    #[error("there is no bucket for the journal {place}; create it, or correct LIFEBOAT_JOURNAL")]
    BucketMissing {
        /// The journal.
        place: String,
    },
    /// The role or user lacks a permission.
    #[error(
        "the journal {place} may not be used: {message}; give the role s3:GetObject, s3:PutObject and s3:DeleteObject on \
         the bucket's objects and s3:ListBucket on the bucket, and kms:GenerateDataKey and kms:Decrypt on its key if it \
         has one of yours"
    )]
    Denied {
        /// The journal.
        place: String,
        /// What was said.
        message: String,
    },
    /// There is nobody to be for AWS.
    #[error(
        "there are no AWS credentials for the journal {place}: {message}; give the function a role, or log in (`aws sso login`, AWS_PROFILE)"
    )]
    NoCredentials {
        /// The journal.
        place: String,
        /// What was said.
        message: String,
    },
    /// The bucket's region is not known, or is another.
    #[error(
        "the region of the journal {place} is not known or not the right one: {message}; set AWS_REGION, or say it in \
         LIFEBOAT_JOURNAL: s3://bucket/prefix?region=eu-west-1"
    )]
    Region {
        /// The journal.
        place: String,
        /// What was said.
        message: String,
    },
    /// The directory can't be made or written.
    #[error(
        "the journal's directory {place} can't be used: {message}; make it writable for this user and not full, or choose another in LIFEBOAT_JOURNAL"
    )]
    Directory {
        /// The journal.
        place: String,
        /// What the operating system said.
        message: String,
    },
    /// Objects stand where the journal's own should go, and are none of them.
    #[error("{object} in the journal {fault}; look what it is, and delete it")]
    Unreadable {
        /// The object.
        object: String,
        /// What is wrong with it.
        fault: String,
    },
    /// No answer, or none that helps.
    #[error(
        "the journal {place} can't be reached: {message}; the next run tries again, and if it lasts, check LIFEBOAT_JOURNAL, \
         AWS_ENDPOINT_URL and the network"
    )]
    Unreachable {
        /// The journal.
        place: String,
        /// What was said.
        message: String,
    },
    /// Another run has the plan now, or somebody deleted the lease.
    #[error(
        "this run has lost the lease of plan `{plan}`: another run took it over, or its object was deleted; this run writes \
         nothing more into the journal, and the next event carries on"
    )]
    LeaseLost {
        /// The plan.
        plan: String,
    },
}

impl JournalError {
    /// One short word for logs, reports and alarms; stable.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::BucketMissing { .. } => "journal_missing",
            Self::Denied { .. } => "journal_denied",
            Self::NoCredentials { .. } => "journal_no_credentials",
            Self::Region { .. } => "journal_region",
            Self::Directory { .. } => "journal_directory",
            Self::Unreadable { .. } => "journal_unreadable",
            Self::Unreachable { .. } => "journal_unreachable",
            Self::LeaseLost { .. } => "lease_lost",
        }
    }
}

/// What tells one run from every other: the same event again is the same run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKey {
    /// The plan's name.
    pub plan: String,
    /// The scheduled instant.
    #[serde(with = "slot_as_instant")]
    pub slot: Slot,
    /// Whether it makes scheduled or manual backups.
    pub class: Class,
}

/// A run that has begun and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// Which run.
    pub key: RunKey,
    /// When its first invocation opened it.
    pub opened_at: Timestamp,
    /// Its latest invocation.
    pub run_id: String,
}

/// What [`Journal::open_runs`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenRuns {
    /// Oldest slot first.
    pub runs: Vec<OpenRun>,
    /// Objects that stand among the open marks and are none; nobody touches them.
    pub ignored: Vec<String>,
    /// Whether something else is open: a restore, a drill, or what is of clusters. Only the whole journal sees that.
    pub others: bool,
}

/// What a run writes down as it goes, for the invocation that carries on.
///
/// Each entry is a fact about one job, so it does no harm when it is read twice, as after a write whose answer was lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// Written before the request that starts a copy.
    Intended {
        /// The target's name.
        target: String,
        /// The namespace to copy.
        source: String,
        /// The source as it was when the copy was decided, to compare the copy with.
        before: SourceBefore,
    },
    /// Written before the first question how a copy is doing.
    Started {
        /// The target's name.
        target: String,
        /// The namespace that is copied.
        source: String,
        /// What to ask the service with.
        token: String,
    },
    /// Written every minute while rows are compared, and when the time is up, so that the next invocation goes on there.
    Compared {
        /// The target's name.
        target: String,
        /// The namespace that is backed up.
        source: String,
        /// How far nothing differed.
        up_to: Milestone,
    },
    /// A job has ended, well or badly.
    Ended {
        /// How.
        job: JobLine,
    },
    /// The invocation ended in order, and only copies that the service goes on with are left.
    Waiting,
    /// A restore was asked for, and what is restored is now chosen, or chosen anew.
    RestoreAsked {
        /// The plan's name.
        plan: String,
        /// What was asked for.
        asked: Box<Asked>,
        /// The point in time.
        at: Timestamp,
        /// Where the backups are, and where they are restored to; nobody wrote that down before there was this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        regions: Option<(Region, Region)>,
    },
    /// What one source is restored from, and as what.
    RestoreChosen {
        /// The choice.
        chosen: Chosen,
    },
    /// One source has no backup that could be used.
    RestoreMissing {
        /// The source.
        source: String,
        /// Why not.
        why: String,
    },
    /// All was chosen and nothing spoke against it. Copies are started only after this. In a drill's log, too.
    RestoreBegun,
    /// A drill was asked for, and what is drilled is now chosen, or chosen anew.
    DrillAsked {
        /// What was asked for.
        asked: Box<drill::Asked>,
        /// Among how many sources it was picked.
        sources: u64,
        /// Where the backups are, and where they are drilled, as for a restore.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        regions: Option<(Region, Region)>,
    },
    /// An invocation of a drill ended in order, and leaves the rest to the next. Without this, it was killed.
    DrillLeft,
    /// A fact about a backup by hand of a cluster of Zilliz Cloud.
    Cluster {
        /// Which.
        note: Note,
    },
    /// A fact about a restore of a cluster of Zilliz Cloud, or of collections into one.
    ClusterRestore {
        /// Which.
        note: RestoreNote,
    },
    /// A restored namespace was found to be what its backup is, and is about to be handed over.
    RestoreCompared {
        /// The target's name.
        target: String,
        /// The source that is restored.
        source: String,
    },
}

/// A source as it was before it was copied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceBefore {
    /// When it was looked at, by the service's clock.
    pub looked_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// Rows, counted.
    pub rows: u64,
    /// Whether it was frozen, so that its copy is born read-only.
    pub read_only: bool,
    /// Attribute names with their types and indexes.
    pub schema: serde_json::Value,
}

/// A job as `lifeboat jobs` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// The target's name.
    pub target: String,
    /// The target's region.
    pub region: String,
    /// The namespace that is backed up.
    pub source: String,
    /// Its backup; `None` when no name fits.
    pub backup: Option<String>,
    /// What became of it, in the report's words.
    pub state: String,
    /// Rows in the copy.
    pub rows: u64,
    /// Billed logical bytes written.
    pub bytes_written: u64,
    /// Billed logical bytes read in the source region and sent over.
    pub bytes_returned: u64,
    /// When its first invocation began it.
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// How far the service says it is; its own words, to show and never to parse.
    pub progress: Option<String>,
    /// Why it did not end sealed, in one stable word.
    pub error: Option<String>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// What was handed over, if it was restored. Nobody wrote that down before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<Box<HandedOver>>,
}

/// A restored namespace as it was when it became the user's, by the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl JobLine {
    /// A job of which nothing is known but what it is of, and how it stands.
    #[must_use]
    pub fn of(target: &str, region: &str, source: &str, state: &str) -> Self {
        Self {
            target: target.to_owned(),
            region: region.to_owned(),
            source: source.to_owned(),
            backup: None,
            state: state.to_owned(),
            rows: 0,
            bytes_written: 0,
            bytes_returned: 0,
            started_at: None,
            ended_at: None,
            progress: None,
            error: None,
            message: None,
            handed_over: None,
        }
    }
}

/// What [`Journal::read_history`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Newest slot first.
    pub records: Vec<RunRecord>,
    /// Objects that stand among the records and are none; nobody touches them.
    pub ignored: Vec<String>,
}

/// How a run ended: what history keeps of it. Of one that is open, how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which run.
    #[serde(flatten)]
    pub key: RunKey,
    /// The invocation that closed it; of an open one, the latest.
    pub run_id: String,
    /// The report's word for how it ended; `open` while it has not.
    pub outcome: String,
    /// Why it ended so, where that is no job's doing. Nobody wrote that down before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its first invocation opened it.
    pub opened_at: Timestamp,
    /// When its last invocation closed it; `None` while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// What was asked for, by a name of its own, where the key doesn't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Its jobs. As many as the caller sees fit to keep.
    pub jobs: Vec<JobLine>,
    /// Backups that it deleted.
    pub deleted: u64,
}

impl RunRecord {
    /// A run that has not ended, with what is known of its jobs.
    pub(crate) fn of_open(open: OpenRun, jobs: Vec<JobLine>) -> Self {
        Self {
            key: open.key,
            run_id: open.run_id,
            outcome: "open".to_owned(),
            reason: None,
            opened_at: open.opened_at,
            closed_at: None,
            asked: None,
            jobs,
            deleted: 0,
        }
    }
}

/// What the journal writes. Its types have text keys and plain values only, so the fallback is never taken.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A slot as people write instants.
mod slot_as_instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::slot::Slot;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(slot: &Slot, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&slot.instant())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Slot, D::Error> {
        Slot::of(Timestamp::deserialize(from)?).map_err(D::Error::custom)
    }
}
