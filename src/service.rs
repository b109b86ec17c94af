//! What a vector database must offer to be backed up, and how patiently it is asked.
//!
//! A [`Service`] is one region seen with one key. Its methods make one attempt each; [`Patient`] adds the waiting:
//! bounded retries with jitter, `Retry-After`, a deadline for everything, a bound on requests in flight. Starting a copy
//! is never retried here, because only a look at the destination tells whether the first attempt was heard; nor is a
//! deletion, because it may have become wrong while it waited.

pub mod turbopuffer;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use futures_util::FutureExt;
use jiff::Timestamp;

use crate::certificate::DeletionCertificate;
use crate::limiter::Limiter;
use crate::name::Namespace;

/// A region's name, such as `aws-us-east-1`. Unknown names are the service's to refuse (contract section 2).
pub type Region = String;

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Names as the service wrote them.
    pub names: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// What the service says of a namespace (contract section 7).
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written, in whole seconds.
    pub updated_at: Timestamp,
    /// Whether writes are rejected; on a backup, the seal.
    pub read_only: bool,
    /// Attribute names with their types and indexes.
    pub schema: serde_json::Value,
    /// Rows, estimated by the service.
    pub approx_rows: u64,
    /// Logical bytes, estimated by the service.
    pub approx_bytes: u64,
    /// The `Date` of the answer: the service's clock.
    pub answered_at: Option<Timestamp>,
}

/// A row's id. All of one namespace are of one kind; UUIDs are texts, whose order is theirs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum RowId {
    /// An unsigned integer.
    Number(u64),
    /// A text, or a UUID in its canonical form.
    Text(String),
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// One row as the service sends it. Vectors are base64 of their elements' own bits, so that none is lost on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: RowId,
    /// Its other attributes, as far as they were asked for.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// Which rows are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The first rows in the order of ids, whole.
    Whole {
        /// Behind this one; `None` is the beginning.
        after: Option<&'a RowId>,
        /// So many at most, 10,000 at the most.
        limit: u32,
    },
    /// The same, their ids alone.
    Ids {
        /// Behind this one; `None` is the beginning.
        after: Option<&'a RowId>,
        /// So many at most, 10,000 at the most.
        limit: u32,
    },
    /// The rows with these ids, whole, as far as they exist.
    Of(&'a [RowId]),
}

/// Rows in the order of their ids, and what reading them is billed with.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// Billed logical bytes that were looked through.
    pub bytes_queried: u64,
    /// Billed logical bytes that were sent.
    pub bytes_returned: u64,
}

/// What queries were billed with, counts among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Queried {
    /// Queries that were answered.
    pub queries: u64,
    /// Billed logical bytes that were looked through.
    pub bytes_queried: u64,
    /// Billed logical bytes that were sent.
    pub bytes_returned: u64,
}

impl std::ops::Add for Queried {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            queries: self.queries + other.queries,
            bytes_queried: self.bytes_queried + other.bytes_queried,
            bytes_returned: self.bytes_returned + other.bytes_returned,
        }
    }
}

impl std::ops::Sub for Queried {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            queries: self.queries - before.queries,
            bytes_queried: self.bytes_queried - before.bytes_queried,
            bytes_returned: self.bytes_returned - before.bytes_returned,
        }
    }
}

/// A copy to start at its destination.
#[derive(Clone, Debug)]
pub struct CopyOrder<'a> {
    /// The namespace to copy.
    pub source: &'a Namespace,
    /// The namespace to make.
    pub destination: &'a Namespace,
}

/// The service's word that a copy is complete, and what it bills for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows, as the service counted them.
    pub rows: u64,
    /// Billed logical bytes written.
    pub bytes_written: u64,
    /// Billed logical bytes read in the source region and sent over.
    pub bytes_returned: u64,
}

/// Both forms of an answer to a copy (contract section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It runs; ask with this token.
    Running(String),
    /// It was made while we waited.
    Finished(Copied),
}

/// A copy's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Still running; the text is the service's own, to show and never to parse.
    Running(Option<String>),
    /// Complete.
    Finished(Copied),
    /// Given up by the service.
    Failed(ServiceError),
}

/// Why a request failed, in the words of whoever must act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// 401: the key is missing, wrong or revoked.
    #[error(
        "{region} refused the API key (401): {message}; check the secret and the key's organisation"
    )]
    Unauthorized {
        /// Where.
        region: Region,
        /// What the service said.
        message: String,
    },
    /// 403: the key lacks a permission.
    #[error(
        "the API key may not do this in {region} (403): {message}; give it list, read and write permission"
    )]
    Forbidden {
        /// Where.
        region: Region,
        /// What the service said.
        message: String,
    },
    /// 404.
    #[error("not found in {region}: {message}")]
    NotFound {
        /// Where.
        region: Region,
        /// What the service said.
        message: String,
    },
    /// The destination of a copy exists, or is being made.
    #[error("the destination already exists in {region}")]
    AlreadyExists {
        /// Where.
        region: Region,
    },
    /// Any other 4xx: the service understood and said no.
    #[error("{region} refused the request ({status}): {message}")]
    Rejected {
        /// Where.
        region: Region,
        /// HTTP status.
        status: u16,
        /// What the service said.
        message: String,
    },
    /// 429, or 503 with a time to come back: too much at once.
    #[error(
        "{region} asks for fewer requests ({status}): {message}; it is asked again more slowly, lower CONCURRENCY if this lasts"
    )]
    Throttled {
        /// Where.
        region: Region,
        /// HTTP status.
        status: u16,
        /// What the service said.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// 5xx, or 408 and 409, which pass by themselves.
    #[error(
        "{region} is in trouble ({status}): {message}; the next run tries again, and if it lasts, check TURBOPUFFER_BASE_URL, any proxy and the service's status page"
    )]
    Unavailable {
        /// Where.
        region: Region,
        /// HTTP status.
        status: u16,
        /// What the service said.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The request never reached the service.
    #[error(
        "{region} can't be reached: {message}; check the region's name, TURBOPUFFER_BASE_URL and the network"
    )]
    Unreachable {
        /// Where.
        region: Region,
        /// What the network said.
        message: String,
    },
    /// The request may have been carried out, but no answer came.
    #[error(
        "{region} gave no answer: {message}; the next run tries again, and if it lasts, check the region's name, TURBOPUFFER_BASE_URL and the network"
    )]
    NoAnswer {
        /// Where.
        region: Region,
        /// What the network said.
        message: String,
    },
    /// An answer came that is not the service's: HTML of a proxy, or JSON cut short.
    #[error(
        "{region} gave an answer that can't be read: {message}; check TURBOPUFFER_BASE_URL and any proxy"
    )]
    Unreadable {
        /// Where.
        region: Region,
        /// What is wrong with it, and how it begins.
        message: String,
    },
    /// The key could not be fetched.
    #[error("{0}")]
    Key(#[from] crate::secret::SecretError),
}

impl ServiceError {
    /// One short word for logs, reports and alarms; stable.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Rejected { .. } => "rejected",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unreadable { .. } => "unreadable",
            Self::Key(_) => "key",
        }
    }

    /// Whether the same request may succeed a moment later.
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

    /// Whether it says nothing about what was asked for: it passes, or somebody sets the key right.
    #[must_use]
    pub fn can_be_set_right(&self) -> bool {
        let of_the_key = matches!(
            self,
            Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::Key(_)
        );
        of_the_key || self.passes()
    }

    /// Whether the service may have carried the request out all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::NoAnswer { .. } | Self::Unreadable { .. }
        )
    }

    /// When the service wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

/// One region of a vector database, seen with one key.
pub trait Service: Sync {
    /// The region, for messages.
    fn region(&self) -> &str;

    /// What the queries that it answered so far were billed with, as far as it tells.
    fn queried(&self) -> Queried {
        Queried::default()
    }

    /// One page of the names that begin with `prefix`.
    fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, ServiceError>>;

    /// What the service says of a namespace; `None` when it does not exist.
    fn metadata(
        &self,
        namespace: &Namespace,
    ) -> impl Future<Output = Result<Option<Metadata>, ServiceError>>;

    /// Rows, counted with strong consistency; `None` when the namespace does not exist.
    fn count(
        &self,
        namespace: &Namespace,
    ) -> impl Future<Output = Result<Option<u64>, ServiceError>>;

    /// Rows with strong consistency, in the order of their ids; `None` when the namespace does not exist.
    fn rows(
        &self,
        namespace: &Namespace,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = Result<Option<Rows>, ServiceError>>;

    /// Asks this region to make a copy. Sent once: after a lost answer, look at the destination.
    fn start_copy(
        &self,
        order: &CopyOrder<'_>,
    ) -> impl Future<Output = Result<Started, ServiceError>>;

    /// How far a copy is.
    fn poll_copy(
        &self,
        destination: &Namespace,
        token: &str,
    ) -> impl Future<Output = Result<Progress, ServiceError>>;

    /// Sets or clears the read-only flag and returns the flag the service then shows.
    fn set_read_only(
        &self,
        namespace: &Namespace,
        on: bool,
    ) -> impl Future<Output = Result<bool, ServiceError>>;

    /// Deletes a namespace, for good. One that is gone already counts as deleted. Sent once: what the certificate rests on
    /// holds for a moment, so whoever asks again looks and decides again (`decided_anew`).
    fn delete(
        &self,
        certificate: &DeletionCertificate,
    ) -> impl Future<Output = Result<(), ServiceError>>;
}

/// How long one attempt may take, once it has its place in flight.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(40);
/// Attempts after the first.
const RETRIES: usize = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// A service that asks for more patience than this is reported instead.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// A service asked with patience.
#[derive(Debug)]
pub struct Patient<S> {
    service: S,
    limiter: Limiter,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl<S: Service> Patient<S> {
    /// At most `concurrency` requests in flight.
    pub fn new(service: S, concurrency: u32) -> Self {
        Self {
            service,
            limiter: Limiter::new(concurrency),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Attempts made so far, and how many of them were repeats.
    pub fn attempts(&self) -> (u64, u64) {
        (
            self.requests.load(Ordering::Relaxed),
            self.retries.load(Ordering::Relaxed),
        )
    }

    /// One attempt: counted, within the bound on requests in flight, and with a deadline.
    async fn once<T>(
        &self,
        what: &'static str,
        request: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        let permit = self.limiter.acquire().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Boxed, because every layer above would otherwise hold the whole depth of the client's futures.
        let answer = tokio::time::timeout(ATTEMPT_DEADLINE, request.boxed_local()).await;
        drop(permit);
        let answer = answer.unwrap_or_else(|_| Err(self.too_late(what)));
        match &answer {
            Err(ServiceError::Throttled { .. }) => self.limiter.throttled(),
            _ => self.limiter.answered(),
        }
        answer
    }

    fn too_late(&self, what: &str) -> ServiceError {
        ServiceError::NoAnswer {
            region: self.region().into(),
            message: format!(
                "{what} took longer than {} seconds",
                ATTEMPT_DEADLINE.as_secs()
            ),
        }
    }

    /// Attempts until one succeeds, the error will not pass, or there have been enough.
    async fn patiently<T, F>(
        &self,
        what: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        (|| self.once(what, request()))
            .retry(delays())
            .when(ServiceError::passes)
            .adjust(patience)
            .notify(|error: &ServiceError, wait: Duration| {
                self.retries.fetch_add(1, Ordering::Relaxed);
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(request = what, region = self.region(), error = error.word(), detail = %error, wait_ms, "asking again");
            })
            .await
    }
}

/// The service's own wish replaces our delay; a wish beyond our patience ends the attempts.
fn patience(error: &ServiceError, ours: Option<Duration>) -> Option<Duration> {
    let ours = ours?;
    match error.retry_after() {
        Some(theirs) if theirs > LONGEST_RETRY_AFTER => None,
        Some(theirs) => Some(theirs),
        None => Some(ours),
    }
}

/// Delays between attempts, with jitter so that many jobs don't come back at once.
pub(crate) fn delays() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .with_max_times(RETRIES)
}

/// Requests to delete one namespace, each after a decision of its own.
const DELETIONS: usize = 4;

/// Carries a deletion out. `decide` looks at everything that speaks for and against it and sends one request at most;
/// where `put_off` says that this one was not answered, or refused for the moment, it is decided anew, a few times.
pub(crate) async fn decided_anew<D>(
    decide: impl AsyncFn() -> Result<D, ServiceError>,
    put_off: impl Fn(&D) -> Option<&ServiceError>,
) -> Result<D, ServiceError> {
    let mut waits = delays().with_max_times(DELETIONS - 1).build();
    loop {
        let decided = decide().await?;
        let error = put_off(&decided).filter(|error| error.passes());
        let wait = error.and_then(|error| patience(error, waits.next()));
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Ok(decided),
        }
    }
}

/// How long to wait before the `n`th look at something that is being made: quickly at first, then calmly.
#[derive(Debug)]
pub(crate) struct Pace(backon::ExponentialBackoff);

impl Pace {
    /// From `first` up to `longest`, half as long again each time.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .with_factor(1.5);
        Self(builder.with_jitter().without_max_times().build())
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST_DELAY)
    }
}

impl<S: Service> Service for Patient<S> {
    fn region(&self) -> &str {
        self.service.region()
    }

    fn queried(&self) -> Queried {
        self.service.queried()
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, ServiceError> {
        self.patiently("list", || self.service.list(prefix, cursor))
            .await
    }

    async fn metadata(&self, namespace: &Namespace) -> Result<Option<Metadata>, ServiceError> {
        self.patiently("metadata", || self.service.metadata(namespace))
            .await
    }

    async fn count(&self, namespace: &Namespace) -> Result<Option<u64>, ServiceError> {
        self.patiently("count", || self.service.count(namespace))
            .await
    }

    async fn rows(
        &self,
        namespace: &Namespace,
        wanted: Wanted<'_>,
    ) -> Result<Option<Rows>, ServiceError> {
        self.patiently("rows", || self.service.rows(namespace, wanted))
            .await
    }

    async fn start_copy(&self, order: &CopyOrder<'_>) -> Result<Started, ServiceError> {
        self.once("start_copy", self.service.start_copy(order))
            .await
    }

    async fn poll_copy(
        &self,
        destination: &Namespace,
        token: &str,
    ) -> Result<Progress, ServiceError> {
        self.patiently("poll_copy", || self.service.poll_copy(destination, token))
            .await
    }

    async fn set_read_only(&self, namespace: &Namespace, on: bool) -> Result<bool, ServiceError> {
        self.patiently("set_read_only", || {
            self.service.set_read_only(namespace, on)
        })
        .await
    }

    async fn delete(&self, certificate: &DeletionCertificate) -> Result<(), ServiceError> {
        // The wait for a place in flight counts: a certificate must not grow old in a queue.
        let sent = self.once("delete", self.service.delete(certificate));
        let answer = tokio::time::timeout(ATTEMPT_DEADLINE, sent).await;
        answer.unwrap_or_else(|_| Err(self.too_late("delete")))
    }
}
