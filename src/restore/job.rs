//! One restored namespace: copy the backup, follow the copy, compare, hand over.
//!
//! What it must never do: write into a namespace that stood there before, delete anything, or hand over what it has not
//! compared. What differs from its backup, or whose backup has other rows than the journal says it was sealed with, is left
//! as it is, read-only if the backup was, and told. A drill does the same
//! and hands nothing over: its copy stays as it was born, and whoever drills deletes it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

use super::error::RestoreError;
use super::order::Order;
use super::record::{Purpose, RestoreRecord, RestoreState};
use crate::clock::Clock;
use crate::copying::{CopyError, Copying, FIRST_LOOK, LONGEST_LOOK, Made};
use crate::journal::{Entry, HandedOver};
use crate::resume::{self, Notes, Past};
use crate::run::Watch;
use crate::service::{Copied, CopyOrder, Metadata, Pace, Service, ServiceError};
use crate::slot::CLOCK_MARGIN;
use crate::verify::{
    self, Comparison, Cost, End, Level, Mismatch, Observation, Terms, Verdict, Way,
};

/// A copy that the service says exists must show within this time.
const UNSEEN_FOR: Duration = Duration::from_mins(10);
/// A found copy that has not grown for this long will not become equal by waiting.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Two terabytes take eleven hours (contract section 6); a copy that is not whole after a day is none.
const LONGEST_COPY: SignedDuration = SignedDuration::from_hours(24);

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
    /// Told what the service says of the copies.
    pub watch: Watch<'a>,
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
            handed_over: None,
            error: None,
        };
        let source = order.backup.source();
        let way = self.notes.way_of(self.target_name, source, past);
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
        let region = self.destination.region();
        let line = record.line(self.target_name, region, self.purpose);
        self.notes.ended(line).await;
        record
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
        if past.is_some_and(|past| past.found_equal) {
            record.copied.rows = origin.before.rows;
            record.handed_over = self.hand_over(order).await?;
            return Ok(());
        }
        let copy = self.copy(order, &origin, past, record).await?;
        record.copied.rows = copy.rows;
        record.copying = Some(self.clock.now().duration_since(record.began_at));
        order.hold_to_what_was_sealed(copy.rows)?;
        self.compare_closely(order, &origin, way, record).await?;
        self.notes
            .write(Entry::RestoreCompared {
                target: self.target_name.to_owned(),
                source: order.backup.source().to_string(),
            })
            .await;
        record.handed_over = self.hand_over(order).await?;
        Ok(())
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
            watch: self.watch,
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
        settle(order, origin, judged.await?)
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
            watch: self.watch,
            clock: self.clock,
        };
        let comparison = verify::compare(backup, copy, terms);
        let found = self
            .notes
            .keeping_milestones((self.target_name, order.backup.source()), comparison)
            .await;
        let found = match found {
            Err(ServiceError::NotFound { .. }) if self.backup_is_gone(order).await? => {
                return Err(vanished(order, origin, record.copied.rows));
            }
            found => found?,
        };
        record.comparing = Some(self.clock.now().duration_since(began));
        record.cost = found.cost;
        record.digest = match (&found.verdict, found.digests) {
            (Verdict::Equal, Some([_, digest])) => Some(digest),
            _ => None,
        };
        settle(order, origin, found.verdict)
    }

    async fn backup_is_gone(&self, order: &Order) -> Result<bool, ServiceError> {
        let shown = self.backups.metadata(order.backup.namespace()).await?;
        Ok(shown.is_none())
    }

    /// Takes the read-only flag away that the copy inherited from its backup, for whoever asked for it.
    async fn hand_over(&self, order: &Order) -> Result<Option<HandedOver>, RestoreError> {
        if self.purpose == Purpose::Drill {
            return Ok(None);
        }
        let destination = &order.destination;
        let shown = self.destination.metadata(destination).await?;
        let shown = shown.ok_or_else(|| differs(order, Mismatch::Missing))?;
        if !shown.read_only || !self.destination.set_read_only(destination, false).await? {
            return Ok(Some(handed_over(&shown)));
        }
        match self.destination.metadata(destination).await? {
            Some(shown) if !shown.read_only => Ok(Some(handed_over(&shown))),
            _ => Err(RestoreError::StillReadOnly(destination.to_string())),
        }
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
fn settle(order: &Order, origin: &Origin, verdict: Verdict) -> Result<(), RestoreError> {
    match verdict {
        Verdict::Equal => Ok(()),
        Verdict::Drifted(_) if !order.sealed => Ok(()),
        Verdict::Drifted(drift) => {
            let (expected, copied) = (drift.most, drift.copied);
            Err(differs(order, Mismatch::Rows { expected, copied }))
        }
        Verdict::Differs(Mismatch::SourceGone { copied, .. }) => {
            Err(vanished(order, origin, copied))
        }
        Verdict::Differs(mismatch) => Err(differs(order, mismatch)),
    }
}

fn handed_over(shown: &Metadata) -> HandedOver {
    HandedOver {
        created_at: shown.created_at,
        updated_at: shown.updated_at,
    }
}

fn differs(order: &Order, mismatch: Mismatch) -> RestoreError {
    RestoreError::Differs {
        destination: order.destination.to_string(),
        mismatch,
    }
}

fn vanished(order: &Order, origin: &Origin, copied: u64) -> RestoreError {
    RestoreError::BackupVanished {
        destination: order.destination.to_string(),
        backup: order.backup.to_string(),
        expected: origin.before.rows,
        copied,
    }
}
