//! Zilliz Cloud's control plane, asked with patience: the envelope, the rate limit, refused keys, retries, pages.
//!
//! Questions, and the policy that says the whole of what it wants, are asked again while a failure may pass. What it must
//! never do: send a second request that makes a backup, or a DELETE without a certificate. Whether a request was carried out
//! is for the caller to see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use backon::Retryable;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::limits::Limits;
use super::tiers::Deletable;
use super::transport::{Answer, Call, Lost, Transport};
use super::wire::{
    Backup, Cluster, Created, FoundPolicy, Job, JobItems, Project, RegionInfo, RestoredCluster,
    RestoringCollections, SentBackup, SentCollectionRestore, SentPolicy, SentRestore,
};
use crate::clock::Clock;
use crate::listing::ReadToTheEnd;
use crate::secret::{ApiKey, Key, SecretError};
use crate::service::Region;
use crate::service::turbopuffer::shown;
use crate::service::{LONGEST_RETRY_AFTER, delays};

/// One attempt. The service answers what it is asked at once, and does its work in the background.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(30);
/// The most the service puts on one page.
const PAGE_SIZE: usize = 100;
/// A listing that changes while it is read is begun anew, so often at most.
const LISTINGS: usize = 3;

/// What is asked for. The rate limit counts each apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Regions,
    Projects,
    Clusters,
    Backups,
    Backup,
    Policy,
    SetPolicy,
    Create,
    Delete,
    Job,
    Jobs,
    Cluster,
    RestoreCluster,
    RestoreCollection,
}

impl Endpoint {
    fn word(self) -> &'static str {
        match self {
            Self::Regions => "list_regions",
            Self::Projects => "list_projects",
            Self::Clusters => "list_clusters",
            Self::Backups => "list_backups",
            Self::Backup => "describe_backup",
            Self::Policy => "describe_policy",
            Self::SetPolicy => "set_policy",
            Self::Create => "create_backup",
            Self::Delete => "delete_backup",
            Self::Job => "describe_job",
            Self::Jobs => "list_jobs",
            Self::Cluster => "describe_cluster",
            Self::RestoreCluster => "restore_cluster",
            Self::RestoreCollection => "restore_collection",
        }
    }

    /// Whether an answer may hold a password, so that no part of it may be repeated.
    fn answers_with_a_password(self) -> bool {
        self == Self::RestoreCluster
    }
}

/// Why a request failed, in the words of whoever must act on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZillizError {
    /// 401, or one of the codes for a key that is none.
    #[error(
        "Zilliz Cloud refused the API key ({code}): {message}; check the secret, and that the key was not deleted"
    )]
    Unauthorized {
        /// The service's code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// The key's scope or role is too small.
    #[error(
        "the API key may not do this ({code}): {message}; use a customized key whose scope has the project and its clusters, with a role that may view and manage backups"
    )]
    Forbidden {
        /// The service's code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// 96018.
    #[error(
        "Zilliz Cloud knows no such cluster ({code}): {message}; check its id, and whether it was dropped"
    )]
    NoCluster {
        /// The service's code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// Any other business error: the service understood and said no.
    #[error("Zilliz Cloud refused the request ({code}): {message}")]
    Refused {
        /// The service's code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// 429, or words about the rate limit.
    #[error("Zilliz Cloud asks for fewer requests: {message}; is anybody else using the same key?")]
    Throttled {
        /// Its words.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// 5xx, 408, 409.
    #[error(
        "Zilliz Cloud is in trouble ({status}): {message}; the next run tries again, and if it lasts, check the service's status page"
    )]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The request never reached the service.
    #[error("Zilliz Cloud can't be reached: {message}; check ZILLIZ_BASE_URL and the network")]
    Unreachable {
        /// What the network said.
        message: String,
    },
    /// The request may have been carried out.
    #[error("Zilliz Cloud gave no answer: {message}; the next run tries again")]
    NoAnswer {
        /// What the network said.
        message: String,
    },
    /// Not the service's own answer, or one that says less than it must.
    #[error(
        "Zilliz Cloud gave an answer that can't be read: {message}; check ZILLIZ_BASE_URL and any proxy"
    )]
    Unreadable {
        /// What is wrong with it.
        message: String,
    },
    /// A listing that left something out, repeated itself, or changed all the time.
    #[error("the {what} could not be listed to the end: {message}; the next run tries again")]
    Incomplete {
        /// What was listed.
        what: &'static str,
        /// What went wrong.
        message: String,
    },
    /// The key could not be fetched.
    #[error("{0}")]
    Key(#[from] SecretError),
}

impl ZillizError {
    /// One short word for logs, reports and alarms; stable.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NoCluster { .. } => "not_found",
            Self::Refused { .. } => "rejected",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unreadable { .. } => "unreadable",
            Self::Incomplete { .. } => "listing",
            Self::Key(_) => "key",
        }
    }

    /// Whether the same question may be answered a moment later.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Unavailable { .. }
                | Self::Unreachable { .. }
                | Self::NoAnswer { .. }
                | Self::Unreadable { .. }
        )
    }

    /// Whether the service may have carried the request out all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::NoAnswer { .. } | Self::Unreadable { .. }
        )
    }

    /// Whether the service has certainly not carried the request out, nor will.
    #[must_use]
    pub fn is_a_no(&self) -> bool {
        !self.passes()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

/// A job that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// Where it worked; of a copy, the target.
    pub region: Region,
    /// When it was begun.
    pub at: Timestamp,
    /// Why, if the service says.
    pub reason: Option<String>,
}

/// The control plane, seen with one key.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    api_key: Arc<ApiKey>,
    clock: Clock,
    limits: Arc<Limits>,
    requests: AtomicU64,
    retries: AtomicU64,
    /// The service's time less the local one, in seconds, as of its last answer.
    ahead_seconds: AtomicI64,
    /// The service has refused to list jobs.
    lists_no_jobs: AtomicBool,
}

/// What is sent.
#[derive(Clone, Copy)]
enum What<'a> {
    Call(&'a Call<'a>),
    Deletion(&'a Deletable),
}

/// What an answer holds, not yet read, and its time by the service's clock.
type Dated = (Box<RawValue>, Option<Timestamp>);

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl<T: Transport> Client<T> {
    /// Sends nothing yet.
    pub fn new(transport: T, api_key: Arc<ApiKey>, clock: Clock) -> Self {
        Self {
            transport,
            api_key,
            clock,
            limits: Arc::default(),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            ahead_seconds: AtomicI64::new(0),
            lists_no_jobs: AtomicBool::new(false),
        }
    }

    /// Keeps to the limit together with whoever else has the same key.
    #[must_use]
    pub fn sharing(mut self, limits: Arc<Limits>) -> Self {
        self.limits = limits;
        self
    }

    /// Attempts made so far, and how many of them were repeats.
    pub fn attempts(&self) -> (u64, u64) {
        let (requests, retries) = (&self.requests, &self.retries);
        (
            requests.load(Ordering::Relaxed),
            retries.load(Ordering::Relaxed),
        )
    }

    /// The service's time: backups bear it, so their age is judged by it. The local time while nothing was answered.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead_seconds.load(Ordering::Relaxed));
        let now = self.clock.now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// The later of the local time and the service's: what must last for everybody lasts from then on, although a clock that
    /// is behind would have it run out at once.
    pub fn latest(&self) -> Timestamp {
        self.now().max(self.clock.now())
    }

    /// The service's time by the date of a new answer; `None` when it does not answer, or not say.
    pub async fn services_time(&self) -> Option<Timestamp> {
        let call = Call {
            path: &["projects"],
            query: &[],
            body: None,
        };
        let asked = self.patiently_with(Endpoint::Projects, || {
            self.once_dated(Endpoint::Projects, What::Call(&call))
        });
        match asked.await {
            Ok((_, answered_at)) => answered_at,
            // It did answer, and a refusal has its date, too.
            Err(ZillizError::Unauthorized { .. } | ZillizError::Forbidden { .. }) => {
                Some(self.now())
            }
            Err(_) => None,
        }
    }

    /// The service's time less the local one, in seconds, as of its last answer.
    pub fn ahead_seconds(&self) -> i64 {
        self.ahead_seconds.load(Ordering::Relaxed)
    }

    /// Every region of every cloud.
    pub async fn regions(&self) -> Result<Vec<RegionInfo>, ZillizError> {
        self.get(Endpoint::Regions, &["regions"], &[]).await
    }

    /// Every project in the key's scope.
    pub async fn projects(&self) -> Result<Vec<Project>, ZillizError> {
        self.get(Endpoint::Projects, &["projects"], &[]).await
    }

    /// Every cluster in the key's scope.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, ZillizError> {
        let id = |cluster: &Cluster| cluster.cluster_id.clone();
        self.listing(Endpoint::Clusters, "clusters", &[], id).await
    }

    /// Every backup of a cluster that is there or being made, copies in other regions among them, in no certain order.
    pub async fn backups(&self, cluster: &str) -> Result<Vec<Backup>, ZillizError> {
        let (listed, _) = self.backups_to_the_end(cluster).await?;
        Ok(listed)
    }

    /// The same with the proof that there are no others.
    pub async fn backups_to_the_end(
        &self,
        cluster: &str,
    ) -> Result<(Vec<Backup>, ReadToTheEnd), ZillizError> {
        let query = [("clusterId", cluster.to_owned())];
        let id = |backup: &Backup| backup.backup_id.clone();
        let (listed, complete) = self
            .proven(Endpoint::Backups, "backups", &query, id)
            .await?;
        // Whoever ignored the filter would have us take another cluster's backups for this one's.
        let of_it = |backup: &Backup| backup.cluster_id.as_deref().is_none_or(|of| of == cluster);
        Ok((listed.into_iter().filter(of_it).collect(), complete))
    }

    /// Every backup in the key's scope that is there or being made, of clusters that were dropped, too.
    pub async fn all_backups(&self) -> Result<Vec<Backup>, ZillizError> {
        let id = |backup: &Backup| backup.backup_id.clone();
        self.listing(Endpoint::Backups, "backups", &[], id).await
    }

    /// One cluster as it is now; `None` when the service knows it no more.
    pub async fn cluster(&self, cluster: &str) -> Result<Option<Cluster>, ZillizError> {
        let path = ["clusters", cluster];
        match self.get(Endpoint::Cluster, &path, &[]).await {
            Ok(cluster) => Ok(Some(cluster)),
            Err(ZillizError::NoCluster { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a new cluster of a backup, once. After an error that is no plain no, look whether there is one. The answer
    /// holds the password, and no error repeats any of it.
    pub async fn restore_cluster(
        &self,
        (cluster, backup): (&str, &str),
        restore: &SentRestore,
    ) -> Result<RestoredCluster, ZillizError> {
        let path = ["clusters", cluster, "backups", backup, "restoreCluster"];
        let body = serde_json::to_vec(restore).unwrap_or_default();
        let call = Call {
            path: &path,
            query: &[],
            body: Some(&body),
        };
        let asked = self.once(Endpoint::RestoreCluster, &call);
        let answered = asked.boxed_local().await?;
        RestoredCluster::read(read(&answered)?).ok_or_else(|| ZillizError::Unreadable {
            message: "a restore was accepted without the id of its cluster".into(),
        })
    }

    /// Asks for collections of a backup in a cluster that exists, once. After an error that is no plain no, nobody can tell
    /// from the control plane whether they came.
    pub async fn restore_collections(
        &self,
        (cluster, backup): (&str, &str),
        restore: &SentCollectionRestore,
    ) -> Result<RestoringCollections, ZillizError> {
        let path = ["clusters", cluster, "backups", backup, "restoreCollection"];
        let body = serde_json::to_vec(restore).unwrap_or_default();
        let call = Call {
            path: &path,
            query: &[],
            body: Some(&body),
        };
        let asked = self.once(Endpoint::RestoreCollection, &call);
        read(&asked.boxed_local().await?)
    }

    /// One backup with its region. `None` when the service knows it no more.
    ///
    /// Unknown (contract section 1.1): no code is documented for that, so any plain refusal is taken for it.
    pub async fn backup(&self, cluster: &str, backup: &str) -> Result<Option<Backup>, ZillizError> {
        let dated = self.backup_dated(cluster, backup).await?;
        Ok(dated.map(|(backup, _)| backup))
    }

    /// The same with the time at which the service answered, if it told it.
    pub async fn backup_dated(
        &self,
        cluster: &str,
        backup: &str,
    ) -> Result<Option<(Backup, Option<Timestamp>)>, ZillizError> {
        let path = ["clusters", cluster, "backups", backup];
        let call = Call {
            path: &path,
            query: &[],
            body: None,
        };
        let answered = self.patiently_with(Endpoint::Backup, || {
            self.once_dated(Endpoint::Backup, What::Call(&call))
        });
        let described = match answered.await {
            Ok((data, at)) => read::<Backup>(&data).map(|backup| (backup, at)),
            Err(error) => Err(error),
        };
        match described {
            Ok((backup, _)) if backup.status.as_deref() == Some("DELETED") => Ok(None),
            Ok(dated) => Ok(Some(dated)),
            Err(ZillizError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The backup policy of a cluster.
    pub async fn policy(&self, cluster: &str) -> Result<FoundPolicy, ZillizError> {
        let path = ["clusters", cluster, "backups", "policy"];
        self.get(Endpoint::Policy, &path, &[]).await
    }

    /// Sets the whole of it. Sent again while a failure may pass: twice the same policy is the same policy.
    pub async fn set_policy(&self, cluster: &str, policy: &SentPolicy) -> Result<(), ZillizError> {
        let path = ["clusters", cluster, "backups", "policy"];
        let body = serde_json::to_vec(policy).unwrap_or_default();
        let call = Call {
            path: &path,
            query: &[],
            body: Some(&body),
        };
        self.patiently(Endpoint::SetPolicy, &call).await.map(drop)
    }

    /// Asks for a backup by hand, once. After an error that is no plain no, look whether there is one.
    pub async fn create(&self, cluster: &str, backup: &SentBackup) -> Result<Created, ZillizError> {
        let path = ["clusters", cluster, "backups", "create"];
        let body = serde_json::to_vec(backup).unwrap_or_default();
        let call = Call {
            path: &path,
            query: &[],
            body: Some(&body),
        };
        let answered = self.once(Endpoint::Create, &call).boxed_local().await?;
        read(&answered)
    }

    /// Deletes a backup. Sent again while a failure may pass: what is gone is not deleted twice. Whether it is gone, the
    /// list tells; an answer alone, of either kind, is no proof.
    pub async fn delete(&self, backup: &Deletable) -> Result<(), ZillizError> {
        let sent = || self.once_dated(Endpoint::Delete, What::Deletion(backup));
        let answered = self.patiently_with(Endpoint::Delete, sent).await;
        answered.map(drop)
    }

    /// A job; `None` when the service knows it no more (96026).
    pub async fn job(&self, job: &str) -> Result<Option<Job>, ZillizError> {
        match self.get(Endpoint::Job, &["jobs", job], &[]).await {
            Ok(job) => Ok(Some(job)),
            Err(ZillizError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Jobs about backups of a cluster that failed since then, as far as the service tells.
    ///
    /// Unknown (contract section 5): whether `GET /v2/jobs` lists anything but Spark's jobs. Where it refuses, nothing is
    /// known of why a copy failed, and nobody asks again.
    pub async fn failed_jobs(
        &self,
        cluster: &str,
        since: Timestamp,
    ) -> Result<Vec<FailedJob>, ZillizError> {
        if self.lists_no_jobs.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let query = [
            ("type", "BACKUP".to_owned()),
            ("clusterId", cluster.to_owned()),
            ("pageSize", PAGE_SIZE.to_string()),
        ];
        let listed = self
            .get::<JobItems>(Endpoint::Jobs, &["jobs"], &query)
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(ZillizError::Refused { .. } | ZillizError::Forbidden { .. }) => {
                self.lists_no_jobs.store(true, Ordering::Relaxed);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut failed = Vec::new();
        for item in listed.items {
            let (Some("FAILED"), Some(region), Some(at)) =
                (item.status.as_deref(), item.region_id, item.created_at)
            else {
                continue;
            };
            if at >= since {
                let job = self.job(&item.job_id).await?;
                let reason = job.and_then(|job| job.reason);
                failed.push(FailedJob { region, at, reason });
            }
        }
        Ok(failed)
    }

    async fn get<D: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<D, ZillizError> {
        let call = Call {
            path,
            query,
            body: None,
        };
        let data = self.patiently(endpoint, &call).await?;
        read(&data)
    }

    /// Everything that a paged listing holds. Each page must prove progress, all must tell of the same total, and that
    /// total must have been reached, or it is read anew.
    async fn listing<D: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        what: &'static str,
        query: &[(&str, String)],
        id: impl Fn(&D) -> String,
    ) -> Result<Vec<D>, ZillizError> {
        let (listed, _) = self.proven(endpoint, what, query, id).await?;
        Ok(listed)
    }

    async fn proven<D: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        what: &'static str,
        query: &[(&str, String)],
        id: impl Fn(&D) -> String,
    ) -> Result<(Vec<D>, ReadToTheEnd), ZillizError> {
        let mut message = String::new();
        for _ in 0..LISTINGS {
            match self.read_to_the_end(endpoint, what, query, &id).await? {
                Ok(listed) => return Ok(listed),
                Err(doubt) => message = doubt,
            }
        }
        Err(ZillizError::Incomplete { what, message })
    }

    async fn read_to_the_end<D: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        what: &'static str,
        query: &[(&str, String)],
        id: &impl Fn(&D) -> String,
    ) -> Result<Result<(Vec<D>, ReadToTheEnd), String>, ZillizError> {
        let (mut listed, mut seen, mut total) = (Vec::new(), BTreeSet::new(), None);
        for page in 1_usize.. {
            let mut query = query.to_vec();
            query.push(("pageSize", PAGE_SIZE.to_string()));
            query.push(("currentPage", page.to_string()));
            let call = Call {
                path: &[what],
                query: &query,
                body: None,
            };
            let data = self.patiently(endpoint, &call).await?;
            let data: Option<BTreeMap<String, Box<RawValue>>> = read(&data)?;
            let data = data.unwrap_or_default();
            let count = data.get("count").and_then(|count| read(count).ok());
            let Some(count) = count else {
                let message = format!("a page of {what} does not say how many there are");
                return Err(ZillizError::Unreadable { message });
            };
            let items: Option<Vec<D>> = data
                .get(what)
                .map(|items| read(items))
                .transpose()?
                .flatten();
            let items = items.unwrap_or_default();
            if *total.get_or_insert(count) != count {
                return Ok(Err("it changed while it was read".into()));
            }
            let empty = items.is_empty();
            for item in items {
                if !seen.insert(id(&item)) {
                    return Ok(Err("one page repeated another".into()));
                }
                listed.push(item);
            }
            if let Some(complete) = ReadToTheEnd::of_total(seen.len(), listed.len(), count) {
                return Ok(Ok((listed, complete)));
            }
            match listed.len() {
                more if more > count => {
                    return Ok(Err(format!("there were more than the {count} it told of")));
                }
                _ if empty => return Ok(Err(format!("{} of {count} were shown", listed.len()))),
                _ => {}
            }
        }
        Ok(Err("it has no end".into()))
    }

    fn patiently<'a>(
        &'a self,
        endpoint: Endpoint,
        call: &'a Call<'a>,
    ) -> LocalBoxFuture<'a, Result<Box<RawValue>, ZillizError>> {
        self.patiently_with(endpoint, move || self.once(endpoint, call))
    }

    /// Attempts until one succeeds, the error will not pass, or there have been enough.
    fn patiently_with<'a, D: 'a, F>(
        &'a self,
        endpoint: Endpoint,
        ask: impl FnMut() -> F + 'a,
    ) -> LocalBoxFuture<'a, Result<D, ZillizError>>
    where
        F: Future<Output = Result<D, ZillizError>> + 'a,
    {
        let patience =
            |error: &ZillizError, ours: Option<Duration>| match (ours?, error.retry_after()) {
                (_, Some(theirs)) if theirs > LONGEST_RETRY_AFTER => None,
                (ours, theirs) => Some(theirs.unwrap_or(ours)),
            };
        let asked = ask
            .retry(delays())
            .when(ZillizError::passes)
            .adjust(patience)
            .notify(move |error: &ZillizError, wait: Duration| {
                self.retries.fetch_add(1, Ordering::Relaxed);
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(request = endpoint.word(), error = error.word(), detail = %error, wait_ms, "asking again");
            });
        // Boxed, because every layer above would otherwise hold the whole depth of the retries.
        asked.boxed_local()
    }

    /// One attempt, or two when the key was refused, in which case nothing was done, and there is a newer one.
    async fn once(
        &self,
        endpoint: Endpoint,
        call: &Call<'_>,
    ) -> Result<Box<RawValue>, ZillizError> {
        let (data, _) = self.once_dated(endpoint, What::Call(call)).await?;
        Ok(data)
    }

    async fn once_dated(&self, endpoint: Endpoint, what: What<'_>) -> Result<Dated, ZillizError> {
        let key = self.api_key.current().await?;
        let refused = match self.send(endpoint, what, &key).await {
            Err(error @ (ZillizError::Unauthorized { .. } | ZillizError::Forbidden { .. })) => {
                error
            }
            answer => return answer,
        };
        match self.api_key.renewed(&key).await? {
            Some(newer) => self.send(endpoint, what, &newer).await,
            None => Err(refused),
        }
    }

    async fn send(
        &self,
        endpoint: Endpoint,
        what: What<'_>,
        key: &Key,
    ) -> Result<Dated, ZillizError> {
        self.limits.wait_for_room(endpoint.word()).await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = match what {
            What::Call(call) => self.transport.send(call, key).boxed_local(),
            What::Deletion(backup) => self.transport.delete(backup, key).boxed_local(),
        };
        let answer = timeout(ATTEMPT_DEADLINE, sent).await;
        let answer = answer.unwrap_or_else(|_| {
            let seconds = ATTEMPT_DEADLINE.as_secs();
            Err(Lost::NoAnswer(format!(
                "nothing came within {seconds} seconds"
            )))
        });
        let answer = answer.map_err(|lost| match lost {
            Lost::Unreachable(message) => ZillizError::Unreachable { message },
            Lost::NoAnswer(message) => ZillizError::NoAnswer { message },
        })?;
        if let Some(answered_at) = answer.answered_at {
            let ahead = answered_at.as_second() - self.clock.now().as_second();
            self.ahead_seconds.store(ahead, Ordering::Relaxed);
        }
        Ok((opened(&answer, key, endpoint)?, answer.answered_at))
    }
}

fn read<D: DeserializeOwned>(data: &RawValue) -> Result<D, ZillizError> {
    serde_json::from_str(data.get()).map_err(|error| ZillizError::Unreadable {
        message: error.to_string(),
    })
}

/// What an answer holds. Business errors come with HTTP status 200, so both are looked at (contract section 1).
fn opened(answer: &Answer, key: &Key, endpoint: Endpoint) -> Result<Box<RawValue>, ZillizError> {
    let envelope: Option<Envelope> = serde_json::from_slice(&answer.body).ok();
    match envelope {
        // TF and CLI take 200 for success, too.
        Some(Envelope {
            code: 0 | 200,
            data,
            ..
        }) if answer.status == 200 => Ok(data.unwrap_or_else(|| RawValue::NULL.to_owned())),
        other => Err(refusal(answer, other, key, endpoint)),
    }
}

fn refusal(
    answer: &Answer,
    envelope: Option<Envelope>,
    key: &Key,
    endpoint: Endpoint,
) -> ZillizError {
    let status = answer.status;
    let is_envelope = envelope.is_some();
    let (code, message) = match envelope {
        Some(envelope) => (envelope.code, envelope.message.unwrap_or_default()),
        // Half an answer may have the password in it.
        None if endpoint.answers_with_a_password() => (
            i64::from(status),
            "the answer is not shown, because it may hold a password".to_owned(),
        ),
        None => (
            i64::from(status),
            String::from_utf8_lossy(&answer.body).into_owned(),
        ),
    };
    // A proxy may repeat a request in its answer, and the key with it.
    let mut message = shown(&message.replace(key.expose(), "[key]"));
    if let Some(id) = &answer.request_id {
        message = format!("{message} (requestid {})", shown(id));
    }
    let retry_after = answer.retry_after;
    // Unknown (contract section 1): what the service answers over its limit; the official client looks for these two.
    let too_much = status == 429 || message.to_ascii_lowercase().contains("rate limit");
    match (status, code) {
        _ if too_much => ZillizError::Throttled {
            message,
            retry_after,
        },
        (401, _) | (_, 21119 | 80001 | 80002 | 1800) => ZillizError::Unauthorized { code, message },
        (408 | 409 | 500.., _) => ZillizError::Unavailable {
            status,
            message,
            retry_after,
        },
        (403, _) | (_, 96012..=96016 | 96027) => ZillizError::Forbidden { code, message },
        (_, 96018 | 96025 | 96036) => ZillizError::NoCluster { code, message },
        // A success that is none, a redirect, a page of a proxy: whoever answers so is not the service.
        (..=399, _) if status != 200 => unreadable(status, &message),
        (_, 0 | 200) => unreadable(status, &message),
        _ if !is_envelope => unreadable(status, &message),
        _ => ZillizError::Refused { code, message },
    }
}

fn unreadable(status: u16, message: &str) -> ZillizError {
    ZillizError::Unreadable {
        message: format!("HTTP status {status}: {message}"),
    }
}
