//! One job: copy a source into its target, follow the copy, compare, seal.
//!
//! What it must never do: start a second copy without having looked for the first, seal what was not compared, or take
//! a flag that a copy inherited for a seal. It deletes nothing.
//!
//! A copy of a frozen (read-only) source is born read-only, so for its first moments it looks sealed. It is cleared
//! before it is compared; and because a process may die in those moments, the backups of a source that is still frozen
//! are compared again, and lose their seal if they are not what the source is.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::copying::{CopyError, Copying, FIRST_LOOK, LONGEST_LOOK, Made};
use crate::coverage::{self, Covering, SkipUnchanged};
use crate::journal::Entry;
use crate::name::{BackupName, BackupPrefix, Class, NameTooLong, Namespace};
use crate::resume::{self, Notes, Past};
use crate::retention::{Backup, Evidence};
use crate::run::Watch;
use crate::service::{Copied, CopyOrder, Pace, Service, ServiceError};
use crate::slot::{CLOCK_MARGIN, LATEST_START, Slot};
use crate::verify::{
    self, Comparison, Drift, End, Level, Mismatch, Observation, Terms, Verdict, Way,
};

/// A copy that the service says exists must show within this time.
const UNSEEN_FOR: Duration = Duration::from_mins(10);
/// A found copy that has not grown for this long will not become equal by waiting.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Two terabytes take eleven hours (contract section 6); a copy that is not whole after a day is none.
const LONGEST_COPY: SignedDuration = SignedDuration::from_hours(24);

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The copy was compared and is read-only.
    Sealed,
    /// It was found sealed already: an earlier event of this slot did the work.
    AlreadySealed,
    /// Nothing was written since an older sealed backup was made, so that one holds what a copy would.
    Covered,
    /// There is no backup of this source for this slot, or none to trust.
    Failed,
    /// Time ran out. The copy goes on at the service, and an event for the same slot carries on.
    Incomplete,
    /// The source was deleted after it had been listed.
    Vanished,
    /// Not copied, because the plan's hard budget is used up.
    OverBudget,
}

/// Why a job ended without a sealed backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The backup's name would be too long.
    #[error(transparent)]
    Name(#[from] NameTooLong),
    /// A request failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The service began the copy and gave it up.
    #[error("the service gave the copy up: {0}")]
    CopyFailed(ServiceError),
    /// The copy is not what the source was.
    #[error("{0}; it stays unsealed and nothing of this source is deleted")]
    Differs(#[from] Mismatch),
    /// Something else stands under the backup's name.
    #[error(
        "`{name}` already exists and was created {created_at:.0}, which is not this slot; rename or delete it"
    )]
    Occupied {
        /// The name.
        name: String,
        /// When it was created.
        created_at: Timestamp,
    },
    /// The service says that the backup exists, or made it, and never shows it.
    #[error(
        "the service says that `{0}` exists or is being made, but did not show it within ten minutes; an event with the same scheduled_time looks again"
    )]
    Unseen(String),
    /// The service took the seal and does not show it.
    #[error("the service accepted read_only for `{0}` but does not show it")]
    SealNotShown(String),
    /// The invocation ends.
    #[error(
        "time ran out; a copy that was started goes on at the service, and an event with the same scheduled_time compares and seals it"
    )]
    OutOfTime,
    /// A request failed for a while, after a copy had been asked for.
    #[error(
        "{0}; what became of the copy is not known yet, so the run stays open: a `resume` event, or one with the same scheduled_time, looks again"
    )]
    Unsettled(ServiceError),
    /// The copy goes on at the service.
    #[error(
        "the copy is still being made; a `resume` event, or one with the same scheduled_time, compares and seals it when it is complete"
    )]
    StillCopying,
    /// The invocation ended before this job's turn.
    #[error("time ran out before its turn; an event with the same scheduled_time copies it")]
    NotStarted,
    /// The plan's hard budget is used up.
    #[error("not copied: {0}. Its older backups stay as they are")]
    OverBudget(#[from] OverBudget),
}

impl JobState {
    /// The report's and the journal's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::AlreadySealed => "already_sealed",
            Self::Covered => "covered",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Vanished => "vanished",
            Self::OverBudget => "over_budget",
        }
    }
}

impl From<CopyError> for JobError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Service(error) => Self::Service(error),
            CopyError::GivenUp(error) => Self::CopyFailed(error),
            CopyError::StillCopying => Self::StillCopying,
        }
    }
}

impl JobError {
    /// The word for a copy that was compared and is not what its source was.
    pub const MISMATCH: &str = "mismatch";

    /// One short, stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Name(_) => "name_too_long",
            Self::Service(error) | Self::Unsettled(error) => error.word(),
            Self::CopyFailed(_) => "copy_failed",
            Self::Differs(_) => Self::MISMATCH,
            Self::Occupied { .. } => "occupied",
            Self::Unseen(_) => "unseen",
            Self::SealNotShown(_) => "seal_not_shown",
            Self::StillCopying => "copying",
            Self::OutOfTime | Self::NotStarted => "out_of_time",
            Self::OverBudget(_) => "over_budget",
        }
    }
}

/// What the user sees of a job.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The namespace that is backed up.
    pub source: Namespace,
    /// Its backup; `None` when no name fits.
    pub backup: Option<BackupName>,
    /// What became of it.
    pub state: JobState,
    /// Rows in the copy, and what the service billed for it.
    pub copied: Copied,
    /// Whether the copy was found rather than made by this invocation.
    pub adopted: bool,
    /// The source was written while it was copied.
    pub drift: Option<Drift>,
    /// What the service says of the sealed backup.
    pub evidence: Option<Evidence>,
    /// Whether this invocation compared the backup with its source.
    pub compared: bool,
    /// What the closer comparison found that the plan asks for. A source that was written is compared by count alone.
    pub closer: Option<verify::Compared>,
    /// Older backups that bore a flag they had inherited, were not what the source is, and lost it.
    pub unsealed: Vec<BackupName>,
    /// How far the service last said the copy was, in its own words.
    pub progress: Option<String>,
    /// Whether a copy was asked for whose end somebody has to see.
    pub begun: bool,
    /// Why it did not end sealed.
    pub error: Option<JobError>,
}

impl JobRecord {
    /// Whether a compared, read-only backup stands that holds what the source does.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(
            self.state,
            JobState::Sealed | JobState::AlreadySealed | JobState::Covered
        )
    }
}

/// What all jobs of a run share.
#[derive(Debug)]
pub struct Jobs<'a, S> {
    /// The region of the sources.
    pub source: &'a S,
    /// The region of the backups.
    pub target: &'a S,
    /// The target's name, in the journal.
    pub target_name: &'a str,
    /// What every backup's name begins with.
    pub prefix: &'a BackupPrefix,
    /// What kind of backup is made.
    pub class: Class,
    /// The run's slot.
    pub slot: Slot,
    /// When a source that did not change is not copied again; `None` copies it every time.
    pub skip_unchanged: Option<SkipUnchanged>,
    /// When to stop working.
    pub until: Instant,
    /// How long to wait for a copy that an earlier invocation started; `None` waits until the end of the time.
    pub patience: Option<Duration>,
    /// The local clock.
    pub clock: &'a Clock,
    /// Where what must outlive this invocation is written down.
    pub notes: &'a Notes,
    /// Told what the service says of the copies.
    pub watch: Watch<'a>,
    /// How closely a copy is compared before it is sealed.
    pub level: Level,
    /// How many copies are compared row by row at once: each holds pages in memory.
    pub readers: &'a Semaphore,
    /// Why no copy may be begun, if that is so. Those that were are finished.
    pub over_budget: Option<&'a OverBudget>,
}

/// The source of a job, as it is now and as it was before its copy was started.
struct Origin {
    now: Observation,
    before: Observation,
    looked_at: Timestamp,
    /// An earlier invocation looked, and perhaps started the copy.
    written_down: bool,
    /// The copy may bear a read-only flag that it inherited and that no comparison gave.
    flag_is_doubtful: bool,
    /// How far the copy has been compared row by row.
    way: Arc<Way>,
}

impl Origin {
    fn of(now: Observation, past: Option<&Past>, clock: &Clock, way: Arc<Way>) -> Self {
        if let Some(before) = past.and_then(|past| past.before.as_ref()) {
            return Self {
                now,
                before: resume::as_observed(before),
                looked_at: before.looked_at,
                written_down: true,
                flag_is_doubtful: before.read_only,
                way,
            };
        }
        Self {
            before: now.clone(),
            looked_at: now.metadata.answered_at.unwrap_or_else(|| clock.now()),
            now,
            written_down: false,
            flag_is_doubtful: false,
            way,
        }
    }
}

/// A destination that was compared.
struct Compared {
    copy: Observation,
    drift: Option<Drift>,
    sealed_before: bool,
    /// From this instant on, a write to the source may be missing in the copy.
    still_since: Timestamp,
}

impl<S: Service> Jobs<'_, S> {
    /// Runs one job to its end, or to the end of the time. `known` are the source's backups in the target's listing,
    /// `past` is what an earlier invocation of this run wrote down.
    pub async fn back_up(
        &self,
        source: &Namespace,
        known: &[Backup],
        past: Option<&Past>,
    ) -> JobRecord {
        let began_at = past
            .and_then(|past| past.before.as_ref())
            .map_or_else(|| self.clock.now(), |before| before.looked_at);
        let mut record = JobRecord {
            source: source.clone(),
            backup: None,
            state: JobState::Failed,
            copied: Copied::default(),
            adopted: false,
            drift: None,
            evidence: None,
            compared: false,
            closer: None,
            unsealed: Vec::new(),
            progress: None,
            begun: past.is_some_and(Past::was_begun),
            error: None,
        };
        let name = match BackupName::of(self.prefix, self.class, source, self.slot) {
            Ok(name) => name,
            Err(too_long) => {
                record.error = Some(too_long.into());
                return self.end(record, began_at).await;
            }
        };
        record.backup = Some(name.clone());
        let stands = known.iter().any(|backup| backup.name == name);
        if stands && past.is_some_and(Past::is_sealed) {
            // The journal is a hint, never evidence: the service itself must still show the seal.
            let shown = timeout_at(self.until, self.target.metadata(name.namespace())).await;
            if let Ok(Ok(Some(shown))) = shown
                && shown.read_only
            {
                record.state = JobState::AlreadySealed;
                record.evidence = Some(Evidence {
                    created_at: shown.created_at,
                    sealed: true,
                });
                return record;
            }
        }
        let way = self.notes.way_of(self.target_name, source, past);
        let work = self.work(&name, known, (past, &way), &mut record);
        let ended = timeout_at(self.until, work).await;
        match ended.unwrap_or(Err(JobError::OutOfTime)) {
            Ok(state) => record.state = state,
            Err(JobError::OutOfTime) if record.progress.is_some() => {
                record.state = JobState::Incomplete;
                record.error = Some(JobError::StillCopying);
            }
            Err(error) => {
                let error = self.what_it_leaves(error, record.begun);
                record.state = match error {
                    JobError::OutOfTime
                    | JobError::NotStarted
                    | JobError::StillCopying
                    | JobError::Unsettled(_) => JobState::Incomplete,
                    JobError::OverBudget(_) => JobState::OverBudget,
                    _ => JobState::Failed,
                };
                record.error = Some(error);
            }
        }
        self.end(record, began_at).await
    }

    /// Trouble that passes says nothing about a copy that was begun: only a run that stays open sees it to its end.
    fn what_it_leaves(&self, error: JobError, begun: bool) -> JobError {
        match error {
            JobError::Service(error)
                if begun && self.notes.are_kept() && error.can_be_set_right() =>
            {
                JobError::Unsettled(error)
            }
            error => error,
        }
    }

    /// Says how a job ended, to whoever watches and to whoever carries on.
    async fn end(&self, record: JobRecord, began_at: Timestamp) -> JobRecord {
        self.log(&record);
        let (region, now) = (self.target.region(), self.clock.now());
        let line = resume::line(self.target_name, region, &record, began_at, now);
        self.notes.ended(line).await;
        record
    }

    async fn work(
        &self,
        name: &BackupName,
        known: &[Backup],
        (past, way): (Option<&Past>, &Arc<Way>),
        record: &mut JobRecord,
    ) -> Result<JobState, JobError> {
        if Instant::now() >= self.until {
            return Err(JobError::NotStarted);
        }
        let Some(now) = verify::observe(self.source, name.source(), self.clock).await? else {
            return self.vanished(name.source()).await;
        };
        if let Some(covering) = self.covering(&now, known, past).await? {
            if now.metadata.read_only {
                let differing = self.unseal_what_differs(&covering.name, known, &now);
                record.unsealed = differing.await?;
            }
            record.backup = Some(covering.name);
            record.evidence = Some(covering.evidence);
            return Ok(JobState::Covered);
        }
        let origin = Origin::of(now, past, self.clock, Arc::clone(way));
        let token = past.and_then(Past::copying);
        let ended = self.copy_and_seal(name, known, &origin, token, record);
        if !origin.now.metadata.read_only {
            return ended.await;
        }
        let ended = ended.await;
        let made_here = !known.iter().any(|backup| backup.name == *name);
        if ended.is_err() && made_here {
            self.clear_inherited_flag(name).await?;
        }
        record.unsealed = self.unseal_what_differs(name, known, &origin.now).await?;
        ended
    }

    /// The backup that makes a new copy unnecessary, if the plan lets it and nobody began one.
    async fn covering(
        &self,
        now: &Observation,
        known: &[Backup],
        past: Option<&Past>,
    ) -> Result<Option<Covering>, ServiceError> {
        let begun = past.is_some_and(|past| past.before.is_some());
        match self.skip_unchanged {
            Some(rule) if !begun && self.class == Class::Scheduled => {
                coverage::covering(self.target, now, known, self.slot, rule, self.clock).await
            }
            _ => Ok(None),
        }
    }

    /// A source that is not found and not listed any more was deleted; one that is still listed is there.
    async fn vanished(&self, source: &Namespace) -> Result<JobState, JobError> {
        let listed = self.source.list(source.as_str(), None).await?;
        if !listed.names.iter().any(|name| name == source.as_str()) {
            return Ok(JobState::Vanished);
        }
        let region = self.source.region().into();
        let message = format!(
            "`{source}` is listed, and yet its metadata is not found; the next run tries again"
        );
        Err(ServiceError::NotFound { region, message }.into())
    }

    async fn copy_and_seal(
        &self,
        name: &BackupName,
        known: &[Backup],
        origin: &Origin,
        token: Option<&str>,
        record: &mut JobRecord,
    ) -> Result<JobState, JobError> {
        let exists = known.iter().any(|backup| backup.name == *name);
        let made = match token {
            Some(token) => {
                let copying = self.copying(name);
                let followed = copying.follow(token, self.patience, &mut record.progress);
                followed.await?
            }
            None if exists => Made::Before,
            None => self.copy(name, origin, record).await?,
        };
        let made = match made {
            // Perhaps the copy goes on without its token, perhaps it is gone: asking for it again tells.
            Made::Unknown if !self.copying(name).appears(false).await? => {
                self.copy(name, origin, record).await?
            }
            made => made,
        };
        record.progress = None;
        let compared = match made {
            Made::Here(copied) => {
                record.copied = copied;
                self.compare(name, origin, copied).await?
            }
            Made::Before | Made::Unknown | Made::Elsewhere => {
                record.adopted = true;
                self.adopt(name, origin).await?
            }
        };
        record.compared = true;
        record.copied.rows = compared.copy.rows;
        record.drift = compared.drift;
        let inherited = origin.flag_is_doubtful || origin.now.metadata.read_only;
        if !compared.sealed_before || inherited {
            self.look_closer(name, origin, &compared, record).await?;
        }
        if !compared.sealed_before {
            self.seal(name).await?;
        }
        record.evidence = Some(Evidence {
            created_at: compared.copy.metadata.created_at,
            sealed: true,
        });
        Ok(if compared.sealed_before {
            JobState::AlreadySealed
        } else {
            JobState::Sealed
        })
    }

    /// Compares rows, if the plan asks for that. Where the source was written meanwhile, rows that differ are no damage and
    /// equal ones no proof: such a backup is sealed on its count, and the report says that it drifted.
    async fn look_closer(
        &self,
        name: &BackupName,
        origin: &Origin,
        compared: &Compared,
        record: &mut JobRecord,
    ) -> Result<(), JobError> {
        if self.level <= Level::Count || compared.drift.is_some() {
            return Ok(());
        }
        // The semaphore is never closed, so there is always a turn.
        let _turn = self.readers.acquire().await;
        let source = End {
            service: self.source,
            namespace: name.source(),
        };
        let copy = End {
            service: self.target,
            namespace: name.namespace(),
        };
        let terms = Terms {
            level: self.level,
            still_since: compared.still_since,
            seed: verify::seed(self.clock),
            clock: self.clock,
            way: &origin.way,
            watch: self.watch,
        };
        let comparison = verify::compare(source, copy, terms);
        let found = self
            .notes
            .keeping_milestones((self.target_name, name.source()), comparison)
            .await?;
        let verdict = found.verdict.clone();
        record.closer = Some(found);
        match verdict {
            Verdict::Equal => Ok(()),
            Verdict::Drifted(drift) => {
                record.drift = Some(drift);
                Ok(())
            }
            Verdict::Differs(mismatch) => {
                if compared.sealed_before {
                    self.clear_inherited_flag(name).await?;
                }
                Err(mismatch.into())
            }
        }
    }

    /// The copy from the source to its backup.
    fn copying<'c>(&'c self, name: &'c BackupName) -> Copying<'c, S> {
        Copying {
            region: self.target,
            target_name: self.target_name,
            job: name.source(),
            order: CopyOrder {
                source: name.source(),
                destination: name.namespace(),
            },
            notes: self.notes,
            watch: self.watch,
        }
    }

    /// Starts the copy and follows it, after it was written down what it must be compared with.
    async fn copy(
        &self,
        name: &BackupName,
        origin: &Origin,
        record: &mut JobRecord,
    ) -> Result<Made, JobError> {
        if let (Some(over), false) = (self.over_budget, origin.written_down) {
            return Err(over.clone().into());
        }
        let intent = Entry::Intended {
            target: self.target_name.to_owned(),
            source: name.source().to_string(),
            before: resume::written_down(&origin.before, origin.looked_at),
        };
        let copying = self.copying(name);
        let made = copying.start(origin.written_down, intent, &mut record.progress);
        let made = made.await;
        // A copy of a frozen source is born read-only: one that may have begun unheard must not be left uncompared.
        let is_frozen = origin.before.metadata.read_only || origin.now.metadata.read_only;
        record.begun |= is_frozen || record.progress.is_some();
        Ok(made?)
    }

    /// Compares a copy that we saw end, and of which the service said how many rows it has.
    async fn compare(
        &self,
        name: &BackupName,
        origin: &Origin,
        copied: Copied,
    ) -> Result<Compared, JobError> {
        let copy = self.look(name).await?.ok_or(Mismatch::Missing)?;
        if copy.metadata.read_only {
            self.clear_inherited_flag(name).await?;
        }
        let verdict = self
            .judge(name, origin, &copy, origin.looked_at, Some(copied.rows))
            .await?;
        let drift = accepted(verdict)?;
        Ok(Compared {
            copy,
            drift,
            sealed_before: false,
            still_since: origin.looked_at,
        })
    }

    async fn judge(
        &self,
        name: &BackupName,
        origin: &Origin,
        copy: &Observation,
        still_since: Timestamp,
        vouched: Option<u64>,
    ) -> Result<Verdict, ServiceError> {
        let comparison = Comparison {
            before: &origin.before,
            copy,
            still_since,
            vouched,
        };
        comparison
            .judge(self.source, name.source(), self.clock)
            .await
    }

    /// Whether a sealed backup of this slot may rightly differ from its source by now. A frozen source can't have been
    /// written, so its copies must be equal.
    fn was_written_since_the_slot(&self, source: &Observation) -> bool {
        let slot = self.slot.instant();
        !source.metadata.read_only
            && source.metadata.updated_at.duration_since(slot) >= -CLOCK_MARGIN
    }

    /// Compares a copy whose end we did not see: it may still be growing, be another event's, or be sealed already.
    async fn adopt(&self, name: &BackupName, origin: &Origin) -> Result<Compared, JobError> {
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_LOOK);
        let unseen_until = Instant::now() + UNSEEN_FOR;
        let give_up = Instant::now() + self.patience.unwrap_or(UNSEEN_FOR);
        let mut grew_at = Instant::now();
        let mut rows = None;
        loop {
            if let Some(copy) = self.look(name).await? {
                self.refuse_foreign(name, &copy)?;
                let since = if origin.written_down {
                    origin.looked_at
                } else {
                    copy.metadata.created_at
                };
                // What was written between the slot and our look may be in the copy or not.
                let still_since = if origin.written_down {
                    since
                } else {
                    since.min(self.slot.instant() - CLOCK_MARGIN)
                };
                let verdict = self.judge(name, origin, &copy, since, None).await?;
                let may_differ =
                    self.was_written_since_the_slot(&origin.now) && !origin.flag_is_doubtful;
                let trusted = verdict == Verdict::Equal || may_differ;
                if copy.metadata.read_only && trusted {
                    return Ok(Compared {
                        copy,
                        drift: None,
                        sealed_before: true,
                        still_since,
                    });
                }
                if copy.metadata.read_only {
                    self.clear_inherited_flag(name).await?;
                }
                if rows.replace(copy.rows) != Some(copy.rows) {
                    grew_at = Instant::now();
                }
                if verdict == Verdict::Equal || grew_at.elapsed() >= STALLED_AFTER {
                    let began = copy.metadata.created_at.min(origin.looked_at);
                    return match accepted(verdict) {
                        Err(_) if self.may_still_grow(began) => Err(JobError::StillCopying),
                        Err(error) => Err(error),
                        Ok(drift) => Ok(Compared {
                            copy,
                            drift,
                            sealed_before: false,
                            still_since,
                        }),
                    };
                }
            } else if Instant::now() >= unseen_until {
                return Err(if self.may_still_grow(origin.looked_at) {
                    JobError::StillCopying
                } else {
                    JobError::Unseen(name.to_string())
                });
            }
            if Instant::now() >= give_up && self.may_still_grow(origin.looked_at) {
                return Err(JobError::StillCopying);
            }
            sleep(pace.next()).await;
        }
    }

    /// Whether a copy whose end nobody saw may go on. Only a run that stays open can wait and see.
    fn may_still_grow(&self, began: Timestamp) -> bool {
        self.notes.are_kept() && self.clock.now().duration_since(began) < LONGEST_COPY
    }

    async fn look(&self, name: &BackupName) -> Result<Option<Observation>, ServiceError> {
        verify::observe(self.target, name.namespace(), self.clock).await
    }

    /// A namespace that this slot can't have made is somebody's, whatever its name.
    fn refuse_foreign(&self, name: &BackupName, copy: &Observation) -> Result<(), JobError> {
        let created_at = copy.metadata.created_at;
        let lag = created_at.duration_since(self.slot.instant());
        if (-CLOCK_MARGIN..=LATEST_START).contains(&lag) {
            return Ok(());
        }
        Err(JobError::Occupied {
            name: name.to_string(),
            created_at,
        })
    }

    /// A copy of a frozen source is frozen too; only a comparison may make that flag mean anything.
    async fn clear_inherited_flag(&self, name: &BackupName) -> Result<(), ServiceError> {
        let shown = self.target.metadata(name.namespace()).await?;
        if shown.is_some_and(|metadata| metadata.read_only) {
            let (job, region) = (name.source().as_str(), self.target.region());
            info!(job, backup = %name, region, "clearing a read-only flag that no comparison gave");
            self.target.set_read_only(name.namespace(), false).await?;
        }
        Ok(())
    }

    /// Takes the seal off older copies of a frozen source that are not what it is. Nothing was written to it since they
    /// were made, so they must be equal; one that is not was never compared.
    async fn unseal_what_differs(
        &self,
        name: &BackupName,
        known: &[Backup],
        frozen: &Observation,
    ) -> Result<Vec<BackupName>, ServiceError> {
        let mut unsealed = Vec::new();
        for older in known
            .iter()
            .map(|backup| &backup.name)
            .filter(|older| *older != name)
        {
            let Some(metadata) = self.target.metadata(older.namespace()).await? else {
                continue;
            };
            if !metadata.read_only || metadata.created_at <= frozen.metadata.updated_at {
                continue;
            }
            let rows = self.target.count(older.namespace()).await?;
            if rows != Some(frozen.rows) || metadata.schema != frozen.metadata.schema {
                warn!(job = name.source().as_str(), backup = %older, region = self.target.region(), rows, expected = frozen.rows, "not what its frozen source is; taking its seal off");
                self.target.set_read_only(older.namespace(), false).await?;
                unsealed.push(older.clone());
            }
        }
        Ok(unsealed)
    }

    /// Makes a compared copy read-only and believes it only when the service shows it.
    async fn seal(&self, name: &BackupName) -> Result<(), JobError> {
        if self.target.set_read_only(name.namespace(), true).await? {
            return Ok(());
        }
        let shown = self.target.metadata(name.namespace()).await?;
        if shown.is_some_and(|metadata| metadata.read_only) {
            return Ok(());
        }
        Err(JobError::SealNotShown(name.to_string()))
    }

    fn log(&self, record: &JobRecord) {
        let (source, state) = (record.source.as_str(), record.state);
        let backup = record.backup.as_ref().map(ToString::to_string);
        let (backup, region) = (backup.as_deref(), self.target.region());
        match &record.error {
            Some(error) => {
                warn!(job = source, backup, region, ?state, error = error.word(), detail = %error, "job ended unsealed");
            }
            None => info!(
                job = source,
                backup,
                region,
                ?state,
                rows = record.copied.rows,
                bytes = record.copied.bytes_written,
                adopted = record.adopted,
                drifted = record.drift.is_some(),
                "job ended"
            ),
        }
    }
}

/// The drift of a copy that may be sealed.
fn accepted(verdict: Verdict) -> Result<Option<Drift>, JobError> {
    match verdict {
        Verdict::Equal => Ok(None),
        Verdict::Drifted(drift) => Ok(Some(drift)),
        Verdict::Differs(mismatch) => Err(mismatch.into()),
    }
}
