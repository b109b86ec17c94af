//! One copy: asked for, found again after a lost answer, and followed to its end.
//!
//! What it must never do: ask for a second copy without having looked for the first. It compares nothing, seals nothing
//! and deletes nothing: a copy that has ended is not yet one that is good.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::journal::Entry;
use crate::name::Namespace;
use crate::resume::Notes;
use crate::run::{Step, Watch};
use crate::service::{
    Copied, CopyOrder, LONGEST_RETRY_AFTER, Pace, Progress, Service, ServiceError, Started,
};

/// Copies started for one destination, each only after a look at it; the first included.
const MOST_STARTS: u32 = 5;
/// A copy whose answer was lost may take this long to show at its destination.
const LOOKS_AFTER_A_LOST_ANSWER: u32 = 6;
/// The first wait between two looks at something that is being made.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(250);
/// The longest one.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// One copy that is wanted.
#[derive(Debug)]
pub struct Copying<'a, S> {
    /// The region that receives it.
    pub region: &'a S,
    /// The target's name, in the journal.
    pub target_name: &'a str,
    /// What the journal and the logs call it: the namespace that is backed up, or restored.
    pub job: &'a Namespace,
    /// What is copied, and to where.
    pub order: CopyOrder<'a>,
    /// Where its token is written down.
    pub notes: &'a Notes,
    /// Told what the service says of it.
    pub watch: Watch<'a>,
}

/// How a destination came to be there.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    /// By a copy that this invocation followed to its end.
    Here(Copied),
    /// By a copy whose end we did not see.
    Before,
    /// By a copy of which the service has forgotten the token, if at all.
    Unknown,
    /// By somebody else: it stood there before the first request of ours.
    Elsewhere,
}

/// Why a copy did not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A request failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The service began the copy and gave it up.
    #[error("the service gave the copy up: {0}")]
    GivenUp(ServiceError),
    /// It goes on at the service.
    #[error("the copy is still being made")]
    StillCopying,
}

impl<S: Service> Copying<'_, S> {
    /// Starts the copy and follows it. Every further start comes after a look that found nothing.
    ///
    /// `intent` is written down before the first request, unless an earlier invocation did so (`written_down`), which may
    /// then have started the copy.
    pub async fn start(
        &self,
        written_down: bool,
        intent: Entry,
        progress: &mut Option<String>,
    ) -> Result<Made, CopyError> {
        if written_down && self.appears(true).await? {
            return Ok(Made::Before);
        }
        self.notes.write(intent).await;
        let mut pace = Pace::new(Duration::from_secs(1), LONGEST_LOOK);
        let mut starts = 1;
        loop {
            let error = match self.region.start_copy(&self.order).await {
                Ok(Started::Finished(copied)) => return Ok(Made::Here(copied)),
                Ok(Started::Running(token)) => {
                    self.write_down_token(&token).await;
                    return self.follow(&token, None, progress).await;
                }
                Err(ServiceError::AlreadyExists { .. }) if starts == 1 && !written_down => {
                    return Ok(Made::Elsewhere);
                }
                Err(ServiceError::AlreadyExists { .. }) => return Ok(Made::Before),
                Err(error) if error.passes() => error,
                Err(error) => return Err(error.into()),
            };
            warn!(job = self.job.as_str(), destination = %self.order.destination, region = self.region.region(), error = error.word(), detail = %error, "the copy's start was not confirmed; looking");
            if self.appears(error.may_have_happened()).await? {
                return Ok(Made::Before);
            }
            let wish = error.retry_after().unwrap_or_default();
            if starts >= MOST_STARTS || wish > LONGEST_RETRY_AFTER {
                return Err(error.into());
            }
            starts += 1;
            sleep(wish.max(pace.next())).await;
        }
    }

    /// Before the copy is asked after, so that a later invocation can go on asking.
    async fn write_down_token(&self, token: &str) {
        let started = Entry::Started {
            target: self.target_name.to_owned(),
            source: self.job.to_string(),
            token: token.to_owned(),
        };
        self.notes.write(started).await;
    }

    /// Looks for a destination: once, or for a while if a copy may have been started.
    pub async fn appears(&self, may_have_started: bool) -> Result<bool, ServiceError> {
        let looks = if may_have_started {
            LOOKS_AFTER_A_LOST_ANSWER
        } else {
            1
        };
        let mut pace = Pace::new(Duration::from_secs(1), LONGEST_LOOK);
        for look in 1..=looks {
            if self
                .region
                .metadata(self.order.destination)
                .await?
                .is_some()
            {
                return Ok(true);
            }
            if look < looks {
                sleep(pace.next()).await;
            }
        }
        Ok(false)
    }

    /// Asks the service until the copy has ended, or for as long as `patience` lasts. A token that the service forgot
    /// sends us to the destination.
    pub async fn follow(
        &self,
        token: &str,
        patience: Option<Duration>,
        progress: &mut Option<String>,
    ) -> Result<Made, CopyError> {
        let (job, region) = (self.job.as_str(), self.region.region());
        let destination = self.order.destination;
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_LOOK);
        let give_up = patience.map(|patience| Instant::now() + patience);
        *progress = Some(String::new());
        let mut shown = None;
        loop {
            match self.region.poll_copy(destination, token).await {
                Ok(Progress::Finished(copied)) => return Ok(Made::Here(copied)),
                Ok(Progress::Failed(ServiceError::AlreadyExists { .. })) => {
                    return Ok(Made::Before);
                }
                Ok(Progress::Failed(error)) => return Err(CopyError::GivenUp(error)),
                Ok(Progress::Running(said)) if said != shown => {
                    info!(job, %destination, region, progress = said.as_deref(), "copying");
                    if let (Watch(watch), Some(said)) = (self.watch, &said) {
                        watch(Step::Copying(self.job, said));
                    }
                    progress.clone_from(&said.clone().or(Some(String::new())));
                    shown = said;
                }
                Ok(Progress::Running(_)) => {}
                Err(ServiceError::NotFound { .. }) => {
                    warn!(job, %destination, region, "the service forgot the copy's token; looking at the destination");
                    return Ok(Made::Unknown);
                }
                Err(error) => return Err(error.into()),
            }
            if give_up.is_some_and(|at| Instant::now() >= at) {
                return Err(CopyError::StillCopying);
            }
            sleep(pace.next()).await;
        }
    }
}
