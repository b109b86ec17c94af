//! One restored namespace: copy the backup, follow the copy, compare, hand over.
//!
//! What it must never do: write into a namespace that stood there before, delete anything, or hand over what it has not
//! compared. What differs from its backup is left as it is, read-only if the backup was, and told. A drill does the same
//! and hands nothing over: its copy stays as it was born, and whoever drills deletes it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::copying::{CopyError, Copying, FIRST_LOOK, LONGEST_LOOK, Made};
use crate::drill::DrillState;
use crate::journal::{Entry, JobLine};
use crate::name::{BackupName, Namespace};
use crate::resume::{self, Notes, Past};
use crate::service::{Copied, CopyOrder, Pace, Service, ServiceError};
use crate::slot::CLOCK_MARGIN;
use crate::verify::{
    self, Comparison, Cost, Digest, End, Level, Milestone, Mismatch, Observation, Terms, Verdict,
    Way,
};

/// A copy that the service says exists must show within this time.
const UNSEEN_FOR: Duration = Duration::from_mins(10);
/// A found copy that has not grown for this long will not become equal by waiting.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Two terabytes take eleven hours (contract section 6); a copy that is not whole after a day is none.
const LONGEST_COPY: SignedDuration = SignedDuration::from_hours(24);

/// What becomes of a copy that is equal to its backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It loses the read-only flag that it inherited, and is the user's.
    Restore,
    /// It has served: nobody writes to it, and it is deleted.
    Drill,
}

/// What one source is restored from, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The source.
    pub source: String,
    /// Its backup.
    pub backup: String,
    /// Whether the backup was verified when it was made.
    pub sealed: bool,
    /// Newer backups that were never verified and were passed over.
    pub passed_over: u64,
    /// What the restored namespace is called.
    pub destination: String,
}

/// A namespace to restore: a choice whose names were read by their grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The backup. It says whose it is and what instant it stands for.
    pub backup: BackupName,
    /// Whether it was verified when it was made.
    pub sealed: bool,
    /// Newer backups that were never verified and were passed over.
    pub passed_over: u64,
    /// What the restored namespace is called.
    pub destination: Namespace,
}

impl Order {
    /// As the journal keeps it.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        Chosen {
            source: self.backup.source().to_string(),
            backup: self.backup.to_string(),
            sealed: self.sealed,
            passed_over: self.passed_over,
            destination: self.destination.to_string(),
        }
    }
}

/// What became of one restored namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    /// A dry run: it would be restored.
    Planned,
    /// It is what its backup is, and can be written.
    Restored,
    /// It stands, and is not what its backup is.
    Differs,
    /// It was not restored.
    Failed,
    /// Time ran out. The copy goes on at the service, and `resume` or the same request carries on.
    Incomplete,
}

impl RestoreState {
    const ALL: [Self; 5] = [
        Self::Planned,
        Self::Restored,
        Self::Differs,
        Self::Failed,
        Self::Incomplete,
    ];

    /// The report's and the journal's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Restored => "restored",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Why a namespace was not restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The service said no.
    #[error(transparent)]
    Service(ServiceError),
    /// A request failed, and asking again later is a remedy, perhaps with another key.
    #[error("{0}; `resume`, or the same request once more, carries on")]
    Trouble(ServiceError),
    /// The service began the copy and gave it up.
    #[error("the service gave the copy up: {0}; ask again for this source alone")]
    CopyFailed(ServiceError),
    /// The copy is not what the backup is.
    #[error(
        "`{destination}` is not trustworthy: {mismatch}; it is left as it is, and nothing of it may be relied on: delete it, and ask again"
    )]
    Differs {
        /// What was restored.
        destination: String,
        /// How it differs.
        mismatch: Mismatch,
    },
    /// It stood there before our copy did.
    #[error(
        "`{0}` was made by somebody else before its copy began; nothing of it was changed: choose another name"
    )]
    Occupied(String),
    /// The backup was deleted before it was held.
    #[error(
        "`{0}` was deleted before it could be held; ask again, and an older or newer one is chosen"
    )]
    BackupGone(String),
    /// The service says that the copy exists, or made it, and never shows it.
    #[error(
        "the service says that `{0}` exists or is being made, but did not show it within ten minutes; ask again"
    )]
    Unseen(String),
    /// The service took the flag away and still shows it.
    #[error(
        "the service accepted that `{0}` can be written again but still shows it read-only; PATCH its metadata with {{\"read_only\": false}}"
    )]
    StillReadOnly(String),
    /// The copy goes on at the service.
    #[error(
        "the copy is still being made; `resume`, or the same request once more, compares it when it is complete"
    )]
    StillCopying,
    /// The invocation ends.
    #[error("time ran out; `resume`, or the same request once more, carries on")]
    OutOfTime,
}

impl RestoreError {
    /// One short, stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service(error) | Self::Trouble(error) => error.word(),
            Self::CopyFailed(_) => "copy_failed",
            Self::Differs { .. } => "mismatch",
            Self::Occupied(_) => "exists",
            Self::BackupGone(_) => "backup_gone",
            Self::Unseen(_) => "unseen",
            Self::StillReadOnly(_) => "still_read_only",
            Self::StillCopying => "copying",
            Self::OutOfTime => "out_of_time",
        }
    }

    fn state(&self) -> RestoreState {
        match self {
            Self::Differs { .. } => RestoreState::Differs,
            Self::Trouble(_) | Self::StillCopying | Self::OutOfTime => RestoreState::Incomplete,
            _ => RestoreState::Failed,
        }
    }
}

impl From<ServiceError> for RestoreError {
    fn from(error: ServiceError) -> Self {
        if error.passes() || error.is_about_the_key() {
            Self::Trouble(error)
        } else {
            Self::Service(error)
        }
    }
}

impl From<CopyError> for RestoreError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Service(error) => error.into(),
            CopyError::GivenUp(error) => Self::CopyFailed(error),
            CopyError::StillCopying => Self::StillCopying,
        }
    }
}

/// What the user sees of one restored namespace.
#[derive(Clone, Debug)]
pub struct RestoreRecord {
    /// What was restored, and as what.
    pub order: Order,
    /// What became of it.
    pub state: RestoreState,
    /// Rows in it, and what the service billed.
    pub copied: Copied,
    /// When its first invocation began it.
    pub began_at: Timestamp,
    /// When it ended, or was left.
    pub ended_at: Timestamp,
    /// How long the copy took, from the first look at the backup until the copy was seen whole; `None` if it was not.
    pub copying: Option<SignedDuration>,
    /// How long rows were compared in this invocation; `None` if none were, or not to their end.
    pub comparing: Option<SignedDuration>,
    /// The sum of all its rows, if all were compared and equal.
    pub digest: Option<Digest>,
    /// What reading rows cost in this invocation.
    pub cost: Cost,
    /// Whether an earlier invocation began it, so that the times hold pauses.
    pub carried_on: bool,
    /// How far the service last said the copy was, in its own words.
    pub progress: Option<String>,
    /// Why it was not restored.
    pub error: Option<RestoreError>,
}

impl Purpose {
    /// The journal's word for what became of a copy.
    fn word(self, state: RestoreState) -> &'static str {
        match self {
            Self::Restore => state.word(),
            Self::Drill => DrillState::from(state).word(),
        }
    }
}

impl RestoreRecord {
    /// What the user is told of it.
    #[must_use]
    pub fn message(&self, purpose: Purpose) -> String {
        let Order {
            backup,
            destination,
            ..
        } = &self.order;
        match (&self.error, purpose) {
            (None, Purpose::Restore) => format!("restored as {destination}"),
            (None, Purpose::Drill) => self.proof(),
            (Some(RestoreError::Differs { mismatch, .. }), Purpose::Drill) => format!(
                "`{backup}` did not come back as it is: {mismatch}; drill it once more, and if it differs again, trust an older backup and back the source up anew"
            ),
            (Some(RestoreError::Occupied(name)), Purpose::Drill) => format!(
                "`{name}` stood there before the drill's copy began, so it is not the drill's: nothing of it was changed; drill again"
            ),
            (Some(RestoreError::BackupGone(name)), Purpose::Drill) => {
                format!("`{name}` was deleted before it could be held; drill again")
            }
            (Some(error), _) => error.to_string(),
        }
    }

    /// What a drill has shown, for whoever asks years later.
    fn proof(&self) -> String {
        let whole = self.ended_at.duration_since(self.began_at);
        let parts = self.copying.map_or_else(String::new, |copying| {
            format!(
                ": {:.1} s until the copy was there, {:.1} s to compare it",
                copying.as_secs_f64(),
                (whole - copying).as_secs_f64()
            )
        });
        let digest = self.digest.map(|digest| format!("; digest {digest}"));
        let pauses = if self.carried_on {
            "; cut short in between, so the times hold pauses"
        } else {
            ""
        };
        format!(
            "{} rows came back whole in {:.1} s{parts}{}{pauses}",
            self.copied.rows,
            whole.as_secs_f64(),
            digest.unwrap_or_default()
        )
    }

    /// As the journal keeps it.
    fn line(&self, target: &str, region: &str, purpose: Purpose) -> JobLine {
        let ended = self.state != RestoreState::Incomplete;
        JobLine {
            target: target.to_owned(),
            region: region.to_owned(),
            source: self.order.backup.source().to_string(),
            backup: Some(self.order.backup.to_string()),
            state: purpose.word(self.state).to_owned(),
            rows: self.copied.rows,
            bytes_written: self.copied.bytes_written,
            bytes_returned: self.copied.bytes_returned,
            started_at: Some(self.began_at),
            ended_at: ended.then_some(self.ended_at),
            progress: self.progress.clone(),
            error: self.error.as_ref().map(|error| error.word().to_owned()),
            message: Some(self.message(purpose)),
        }
    }
}

/// What all namespaces of a restore share.
#[derive(Debug)]
pub struct Jobs<'a, S> {
    /// The region of the backups.
    pub backups: &'a S,
    /// The region that receives them.
    pub destination: &'a S,
    /// The target's name, in the journal.
    pub target_name: &'a str,
    /// How closely each is compared with its backup.
    pub level: Level,
    /// What becomes of what is equal.
    pub purpose: Purpose,
    /// How many are read row by row at once.
    pub readers: &'a Semaphore,
    /// When to stop working.
    pub until: Instant,
    /// How long to wait for a copy that an earlier invocation started; `None` waits until the end of the time.
    pub patience: Option<Duration>,
    /// The local clock.
    pub clock: &'a Clock,
    /// Where what must outlive this invocation is written down.
    pub notes: &'a Notes,
}

/// A backup as it was before its copy was started.
struct Origin {
    before: Observation,
    looked_at: Timestamp,
    /// An earlier invocation looked, and perhaps started the copy.
    written_down: bool,
}

impl Origin {
    /// From when on a write to the backup would be missing in the copy. To a sealed one nobody can write, however fresh
    /// it is, so what differs is never laid to that.
    fn still_since(&self, order: &Order) -> Timestamp {
        if order.sealed {
            Timestamp::MAX
        } else {
            self.looked_at
        }
    }
}

impl<S: Service> Jobs<'_, S> {
    /// Restores one namespace, or as much as there is time for. `past` is what an earlier invocation wrote down.
    pub async fn restore(&self, order: &Order, past: Option<&Past>) -> RestoreRecord {
        let now = self.clock.now();
        let began = past.and_then(|past| past.before.as_ref());
        let mut record = RestoreRecord {
            order: order.clone(),
            state: RestoreState::Restored,
            copied: Copied::default(),
            began_at: began.map_or(now, |before| before.looked_at),
            ended_at: now,
            copying: None,
            comparing: None,
            digest: None,
            cost: Cost::default(),
            carried_on: began.is_some(),
            progress: None,
            error: None,
        };
        let way = Way::from(past.and_then(|past| past.compared.clone()));
        let work = self.work(order, (past, &way), &mut record);
        let ended = timeout_at(self.until, work).await;
        let error = match ended.unwrap_or(Err(RestoreError::OutOfTime)) {
            Ok(()) => None,
            Err(RestoreError::OutOfTime) if record.progress.is_some() => {
                Some(RestoreError::StillCopying)
            }
            Err(error) => Some(error),
        };
        record.state = error
            .as_ref()
            .map_or(RestoreState::Restored, RestoreError::state);
        record.error = error;
        record.ended_at = self.clock.now();
        self.log(&record);
        if let (RestoreState::Incomplete, Some(up_to)) = (record.state, way.reached()) {
            self.write_down_milestone(order, up_to).await;
        }
        let region = self.destination.region();
        let line = record.line(self.target_name, region, self.purpose);
        self.notes.ended(line).await;
        record
    }

    /// So that the next invocation goes on with the comparison where this one ended.
    async fn write_down_milestone(&self, order: &Order, up_to: Milestone) {
        let compared = Entry::Compared {
            target: self.target_name.to_owned(),
            source: order.backup.source().to_string(),
            up_to,
        };
        self.notes.write(compared).await;
    }

    async fn work(
        &self,
        order: &Order,
        (past, way): (Option<&Past>, &Way),
        record: &mut RestoreRecord,
    ) -> Result<(), RestoreError> {
        if Instant::now() >= self.until {
            return Err(RestoreError::OutOfTime);
        }
        let origin = self.origin(order, past).await?;
        record.began_at = record.began_at.min(origin.looked_at);
        if past.is_some_and(|past| past.found_equal) {
            record.copied.rows = origin.before.rows;
            return self.hand_over(order).await;
        }
        let copy = self.copy(order, &origin, past, record).await?;
        record.copied.rows = copy.rows;
        record.copying = Some(self.clock.now().duration_since(record.began_at));
        self.compare_closely(order, &origin, way, record).await?;
        self.notes
            .write(Entry::RestoreCompared {
                target: self.target_name.to_owned(),
                source: order.backup.source().to_string(),
            })
            .await;
        self.hand_over(order).await
    }

    /// The backup as it was when its copy was decided, or as it is now.
    async fn origin(&self, order: &Order, past: Option<&Past>) -> Result<Origin, RestoreError> {
        if let Some(before) = past.and_then(|past| past.before.as_ref()) {
            return Ok(Origin {
                before: resume::as_observed(before),
                looked_at: before.looked_at,
                written_down: true,
            });
        }
        let seen = verify::observe(self.backups, order.backup.namespace(), self.clock).await?;
        let before = seen.ok_or_else(|| RestoreError::BackupGone(order.backup.to_string()))?;
        Ok(Origin {
            looked_at: before
                .metadata
                .answered_at
                .unwrap_or_else(|| self.clock.now()),
            before,
            written_down: false,
        })
    }

    /// Makes the copy, or finds it, and gives it back once it has the schema and the rows of its backup.
    async fn copy(
        &self,
        order: &Order,
        origin: &Origin,
        past: Option<&Past>,
        record: &mut RestoreRecord,
    ) -> Result<Observation, RestoreError> {
        let copying = self.copying(order);
        let intent = Entry::Intended {
            target: self.target_name.to_owned(),
            source: order.backup.source().to_string(),
            before: resume::written_down(&origin.before, origin.looked_at),
        };
        let progress = &mut record.progress;
        let made = match past.and_then(Past::copying) {
            Some(token) => copying.follow(token, self.patience, progress).await?,
            None => start(&copying, origin.written_down, intent.clone(), progress).await?,
        };
        let made = match made {
            // Perhaps the copy goes on without its token, perhaps it is gone: asking for it again tells.
            Made::Unknown if !copying.appears(false).await? => {
                start(&copying, true, intent, progress).await?
            }
            made => made,
        };
        record.progress = None;
        match made {
            Made::Elsewhere => Err(RestoreError::Occupied(order.destination.to_string())),
            Made::Here(copied) => {
                record.copied = copied;
                let seen = self.look(order).await?;
                let copy = seen.ok_or_else(|| differs(order, Mismatch::Missing))?;
                self.accept(order, origin, &copy, Some(copied.rows)).await?;
                Ok(copy)
            }
            Made::Before | Made::Unknown => self.adopt(order, origin).await,
        }
    }

    fn copying<'c>(&'c self, order: &'c Order) -> Copying<'c, S> {
        Copying {
            region: self.destination,
            target_name: self.target_name,
            job: order.backup.source(),
            order: CopyOrder {
                source: order.backup.namespace(),
                destination: &order.destination,
            },
            notes: self.notes,
        }
    }

    /// Waits for a copy whose end we did not see: it may still be growing, or be somebody else's.
    async fn adopt(&self, order: &Order, origin: &Origin) -> Result<Observation, RestoreError> {
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_LOOK);
        let unseen_until = Instant::now() + UNSEEN_FOR;
        let give_up = Instant::now() + self.patience.unwrap_or(UNSEEN_FOR);
        let mut grew_at = Instant::now();
        let mut rows = None;
        loop {
            if let Some(copy) = self.look(order).await? {
                if origin.looked_at.duration_since(copy.metadata.created_at) > CLOCK_MARGIN {
                    return Err(RestoreError::Occupied(order.destination.to_string()));
                }
                if rows.replace(copy.rows) != Some(copy.rows) {
                    grew_at = Instant::now();
                }
                match self.accept(order, origin, &copy, None).await {
                    Ok(()) => return Ok(copy),
                    Err(_) if grew_at.elapsed() < STALLED_AFTER => {}
                    Err(_) if self.may_still_grow(origin) => {
                        return Err(RestoreError::StillCopying);
                    }
                    Err(error) => return Err(error),
                }
            } else if Instant::now() >= unseen_until {
                return Err(if self.may_still_grow(origin) {
                    RestoreError::StillCopying
                } else {
                    RestoreError::Unseen(order.destination.to_string())
                });
            }
            if Instant::now() >= give_up && self.may_still_grow(origin) {
                return Err(RestoreError::StillCopying);
            }
            sleep(pace.next()).await;
        }
    }

    /// Whether a copy whose end nobody saw may go on. Only a restore that stays open can wait and see.
    fn may_still_grow(&self, origin: &Origin) -> bool {
        let since = self.clock.now().duration_since(origin.looked_at);
        self.notes.are_kept() && since < LONGEST_COPY
    }

    async fn look(&self, order: &Order) -> Result<Option<Observation>, ServiceError> {
        verify::observe(self.destination, &order.destination, self.clock).await
    }

    /// Whether the copy has the schema and the rows of its backup, which nobody writes to.
    async fn accept(
        &self,
        order: &Order,
        origin: &Origin,
        copy: &Observation,
        vouched: Option<u64>,
    ) -> Result<(), RestoreError> {
        let comparison = Comparison {
            before: &origin.before,
            copy,
            still_since: origin.still_since(order),
            vouched,
        };
        let judged = comparison.judge(self.backups, order.backup.namespace(), self.clock);
        settle(order, judged.await?)
    }

    /// Compares row by row, if that was asked for.
    async fn compare_closely(
        &self,
        order: &Order,
        origin: &Origin,
        way: &Way,
        record: &mut RestoreRecord,
    ) -> Result<(), RestoreError> {
        if self.level <= Level::Count {
            return Ok(());
        }
        // The semaphore is never closed, so there is always a turn.
        let _turn = self.readers.acquire().await;
        let began = self.clock.now();
        let backup = End {
            service: self.backups,
            namespace: order.backup.namespace(),
        };
        let copy = End {
            service: self.destination,
            namespace: &order.destination,
        };
        let terms = Terms {
            level: self.level,
            still_since: origin.still_since(order),
            seed: verify::seed(self.clock),
            way,
            clock: self.clock,
        };
        let found = verify::compare(backup, copy, terms).await?;
        record.comparing = Some(self.clock.now().duration_since(began));
        record.cost = found.cost;
        record.digest = match (&found.verdict, found.digests) {
            (Verdict::Equal, Some([_, digest])) => Some(digest),
            _ => None,
        };
        settle(order, found.verdict)
    }

    /// Takes the read-only flag away that the copy inherited from its backup, for whoever asked for it.
    async fn hand_over(&self, order: &Order) -> Result<(), RestoreError> {
        if self.purpose == Purpose::Drill {
            return Ok(());
        }
        let destination = &order.destination;
        let shown = self.destination.metadata(destination).await?;
        let shown = shown.ok_or_else(|| differs(order, Mismatch::Missing))?;
        if !shown.read_only || !self.destination.set_read_only(destination, false).await? {
            return Ok(());
        }
        let shown = self.destination.metadata(destination).await?;
        if shown.is_some_and(|shown| !shown.read_only) {
            return Ok(());
        }
        Err(RestoreError::StillReadOnly(destination.to_string()))
    }

    fn log(&self, record: &RestoreRecord) {
        let (source, destination) = (
            record.order.backup.source().as_str(),
            &record.order.destination,
        );
        let (backup, region) = (&record.order.backup, self.destination.region());
        let (state, drilled) = (record.state, self.purpose == Purpose::Drill);
        match &record.error {
            // The worst news there is: what was sealed does not come back.
            Some(error) if drilled && state == RestoreState::Differs => {
                error!(job = source, %backup, %destination, region, error = error.word(), detail = record.message(self.purpose), "a sealed backup did not come back as it is");
            }
            Some(error) => {
                warn!(job = source, %backup, %destination, region, ?state, error = error.word(), detail = %error, "not restored");
            }
            None if drilled => {
                info!(job = source, %backup, %destination, region, rows = record.copied.rows, "came back whole");
            }
            None => {
                info!(job = source, %backup, %destination, region, ?state, rows = record.copied.rows, "restored");
            }
        }
    }
}

/// Starts a copy and follows it. A key that may not even start one is final: then there is nothing to carry on with.
async fn start<S: Service>(
    copying: &Copying<'_, S>,
    written_down: bool,
    intent: Entry,
    progress: &mut Option<String>,
) -> Result<Made, RestoreError> {
    match copying.start(written_down, intent, progress).await {
        Err(CopyError::Service(error)) if progress.is_none() && !error.passes() => {
            Err(RestoreError::Service(error))
        }
        made => Ok(made?),
    }
}

/// Whether a comparison lets a copy be handed over. Only a backup that was never sealed may have been written meanwhile.
fn settle(order: &Order, verdict: Verdict) -> Result<(), RestoreError> {
    match verdict {
        Verdict::Equal => Ok(()),
        Verdict::Drifted(_) if !order.sealed => Ok(()),
        Verdict::Drifted(drift) => {
            let (expected, copied) = (drift.most, drift.copied);
            Err(differs(order, Mismatch::Rows { expected, copied }))
        }
        Verdict::Differs(mismatch) => Err(differs(order, mismatch)),
    }
}

fn differs(order: &Order, mismatch: Mismatch) -> RestoreError {
    RestoreError::Differs {
        destination: order.destination.to_string(),
        mismatch,
    }
}
