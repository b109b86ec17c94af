//! A run's log and its place in history: opened, written, closed, and swept away.
//!
//! What it must never do: say that something is written before it is, or leave a run between open and finished. A run is
//! finished once its history is written; whatever a kill leaves behind that point is found by its open mark, which is
//! therefore the last thing to go.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, oneshot};
use tracing::warn;

use super::lease::Held;
use super::store::{Found, Put, Store};
use super::{
    Entry, History, JobLine, Journal, JournalError, Lease, OpenRun, OpenRuns, RunKey, RunRecord,
    json,
};
use crate::name::Class;
use crate::slot::Slot;

/// Finished runs that are remembered, of each plan.
pub(super) const HISTORY: usize = 100;
/// Objects read at once.
const READS: usize = 16;
/// Segments that may turn up where ours should go before something is wrong.
const MOST_COLLISIONS: u64 = 100;

const MANUAL: &str = "-manual";

/// The mark of an open run.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    #[serde(flatten)]
    key: RunKey,
    opened_at: Timestamp,
    /// Of the latest invocation.
    fence: u64,
    holder: String,
}

/// A record as history holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Filed {
    fence: u64,
    #[serde(flatten)]
    record: RunRecord,
}

/// What a mark and a record have in common: the lease they were written under.
#[derive(Debug, Deserialize)]
struct Fenced {
    fence: u64,
}

/// The log of one run in one invocation.
#[derive(Debug)]
pub struct RunLog {
    store: Arc<Store>,
    lease: Arc<Held>,
    key: RunKey,
    opened_at: Timestamp,
    entries: Vec<Entry>,
    unreadable: usize,
    earlier: Option<RunRecord>,
    queue: std::sync::Mutex<Vec<Waiting>>,
    writer: Mutex<Writer>,
}

/// An entry on its way, and who waits for it.
#[derive(Debug)]
struct Waiting {
    line: Vec<u8>,
    tell: oneshot::Sender<Result<(), JournalError>>,
}

/// Whoever holds it writes for all.
#[derive(Debug)]
struct Writer {
    next: u64,
    /// What is being written. It outlives a caller that was dropped in the middle; then the next one writes it.
    batch: Vec<Waiting>,
}

/// What a run's log holds.
#[derive(Default)]
struct Replayed {
    /// Fence and number of each segment.
    segments: Vec<(u64, u64)>,
    entries: Vec<Entry>,
    unreadable: usize,
}

impl Replayed {
    async fn of(store: &Store, key: &RunKey) -> Result<Self, JournalError> {
        let mut replayed = Self::default();
        let mut segments: Vec<((u64, u64), Path)> = Vec::new();
        for path in store.list(&log_folder(store, key)).await? {
            match segment_named(&path) {
                Some(number) => segments.push((number, path)),
                None => replayed.unreadable += 1,
            }
        }
        segments.sort_unstable();
        replayed.segments = segments.iter().map(|(number, _)| *number).collect();
        let reads = stream::iter(&segments).map(|(_, path)| store.read(path));
        let bodies: Vec<Option<Found>> = reads.buffered(READS).try_collect().await?;
        for found in bodies.into_iter().flatten() {
            replayed.read_lines(&found.body);
        }
        Ok(replayed)
    }

    fn read_lines(&mut self, body: &[u8]) {
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(entry) => self.entries.push(entry),
                Err(_) => self.unreadable += 1,
            }
        }
    }
}

impl Journal {
    /// What an open run has written down so far, for whoever only looks. Changes nothing and needs no lease.
    pub async fn entries(&self, key: &RunKey) -> Result<Vec<Entry>, JournalError> {
        Ok(Replayed::of(&self.store, key).await?.entries)
    }

    /// Every run of every plan that has begun and not ended: one request when there is none. Changes nothing.
    pub async fn open_runs(&self) -> Result<OpenRuns, JournalError> {
        let (marks, others) = self.store.marks().await?;
        let looks = stream::iter(marks).map(|path| self.look_at_mark(path));
        let mut found = OpenRuns {
            others,
            ..OpenRuns::default()
        };
        let mut looks = looks.buffered(READS);
        while let Some(look) = looks.next().await {
            match look? {
                Look::Open(run) => found.runs.push(run),
                Look::Foreign(object) => found.ignored.push(object),
                Look::Finished => {}
            }
        }
        found.runs.sort_by_key(|run| run.key.slot);
        Ok(found)
    }

    async fn look_at_mark(&self, path: Path) -> Result<Look, JournalError> {
        let foreign = || Look::Foreign(self.store.name_of(&path));
        if run_named(&path, ".json").is_none() {
            return Ok(foreign());
        }
        let Some(found) = self.store.read(&path).await? else {
            return Ok(Look::Finished);
        };
        let Some(mark) =
            read::<Mark>(&found).filter(|mark| mark_path(&self.store, &mark.key) == path)
        else {
            return Ok(foreign());
        };
        let record = self
            .store
            .read(&record_path(&self.store, &mark.key))
            .await?;
        if is_finished(&mark, record.as_ref()) {
            return Ok(Look::Finished);
        }
        Ok(Look::Open(OpenRun {
            key: mark.key,
            opened_at: mark.opened_at,
            run_id: mark.holder,
        }))
    }

    /// Opens a run, or carries on with it: marks it open under this lease, and reads what earlier invocations wrote.
    ///
    /// `opened_at` counts only when the run is new. A run that was finished before begins anew, with an empty log and
    /// [`RunLog::earlier`] to tell.
    pub async fn open_run(
        &self,
        lease: &Lease,
        key: &RunKey,
        opened_at: Timestamp,
    ) -> Result<RunLog, JournalError> {
        let (store, lease) = (&self.store, lease.held());
        lease.if_not_lost()?;
        let (path, filed) = (mark_path(store, key), record_path(store, key));
        let (mut found, record) = try_join(store.read(&path), store.read(&filed)).await?;
        let mut mark = found.as_ref().and_then(read::<Mark>);
        if mark.as_ref().is_some_and(|mark| mark.fence > lease.fence()) {
            return Err(lease.lost());
        }
        if mark
            .as_ref()
            .is_some_and(|mark| is_finished(mark, record.as_ref()))
        {
            sweep(store, key).await?;
            (found, mark) = (None, None);
        }
        let opened_at = mark.map_or(opened_at, |mark| mark.opened_at);
        let ours = Mark {
            key: key.clone(),
            opened_at,
            fence: lease.fence(),
            holder: lease.holder().to_owned(),
        };
        if let Put::Beaten(_) = store.put(&path, &json(&ours), found.as_ref()).await? {
            return Err(lease.lost());
        }
        let mut log = RunLog {
            store: Arc::clone(store),
            lease: Arc::clone(lease),
            key: key.clone(),
            opened_at,
            entries: Vec::new(),
            unreadable: 0,
            earlier: record
                .as_ref()
                .and_then(read::<Filed>)
                .map(|filed| filed.record),
            queue: std::sync::Mutex::default(),
            writer: Mutex::new(Writer {
                next: 0,
                batch: Vec::new(),
            }),
        };
        log.replay().await?;
        Ok(log)
    }

    /// Writes a run's history and sweeps its log away. The record's key is the log's.
    ///
    /// An error may come after the history was written; then the rest is swept when the next run of the plan closes.
    pub async fn close_run(&self, log: RunLog, record: RunRecord) -> Result<(), JournalError> {
        log.lease.if_not_lost()?;
        let filed = Filed {
            fence: log.lease.fence(),
            record: RunRecord {
                key: log.key.clone(),
                ..record
            },
        };
        self.file(&log, &filed).await?;
        sweep(&self.store, &log.key).await?;
        self.sweep_finished(&log.key.plan).await?;
        self.trim(&log.key.plan).await
    }

    /// Writes the record, unless the run has been opened or closed under a later lease.
    async fn file(&self, log: &RunLog, filed: &Filed) -> Result<(), JournalError> {
        let (mark, path) = (
            mark_path(&self.store, &log.key),
            record_path(&self.store, &log.key),
        );
        let (mark, found) = try_join(self.store.read(&mark), self.store.read(&path)).await?;
        let under = [&mark, &found].map(|found| found.as_ref().and_then(read::<Fenced>));
        if under
            .into_iter()
            .flatten()
            .any(|under| under.fence > filed.fence)
        {
            return Err(log.lease.lost());
        }
        match self.store.put(&path, &json(filed), found.as_ref()).await? {
            Put::Done => Ok(()),
            Put::Beaten(_) => Err(log.lease.lost()),
        }
    }

    /// Sweeps what killed invocations left of runs that were finished.
    async fn sweep_finished(&self, plan: &str) -> Result<(), JournalError> {
        for path in self.store.list(&self.store.mark([plan])).await? {
            let Some(found) = self.store.read(&path).await? else {
                continue;
            };
            let Some(mark) = read::<Mark>(&found) else {
                continue;
            };
            let record = self
                .store
                .read(&record_path(&self.store, &mark.key))
                .await?;
            if mark.key.plan == plan && is_finished(&mark, record.as_ref()) {
                sweep(&self.store, &mark.key).await?;
            }
        }
        Ok(())
    }

    /// Forgets all but the newest runs. Their segments too: a run that had lost its lease may have written late ones.
    async fn trim(&self, plan: &str) -> Result<(), JournalError> {
        let (filed, _) = self.filed(plan).await?;
        for (key, path) in filed.into_iter().skip(HISTORY) {
            sweep(&self.store, &key).await?;
            self.store.delete(vec![path]).await?;
        }
        Ok(())
    }

    /// The newest `most` runs of a plan that have ended, newest slot first; the last 100 are kept.
    pub async fn history(&self, plan: &str, most: usize) -> Result<Vec<RunRecord>, JournalError> {
        Ok(self.read_history(plan, most).await?.records)
    }

    /// The same, with the objects there that are no records.
    pub async fn read_history(&self, plan: &str, most: usize) -> Result<History, JournalError> {
        let (filed, foreign) = self.filed(plan).await?;
        let ignored = foreign.iter().map(|path| self.ignore(path));
        let mut history = History {
            records: Vec::new(),
            ignored: ignored.collect(),
        };
        let reads = stream::iter(filed).map(|(key, path)| async move {
            let found = self.store.read(&path).await?;
            Ok::<_, JournalError>((key, path, found))
        });
        let mut reads = reads.buffered(READS);
        while history.records.len() < most
            && let Some((key, path, found)) = reads.try_next().await?
        {
            let Some(found) = found else { continue };
            match read::<Filed>(&found).filter(|filed| filed.record.key == key) {
                Some(filed) => history.records.push(filed.record),
                None => history.ignored.push(self.ignore(&path)),
            }
        }
        Ok(history)
    }

    /// The name of an object that is no record, which is told.
    fn ignore(&self, path: &Path) -> String {
        let object = self.store.name_of(path);
        warn!(
            object,
            "an object in the journal's history is no record and is ignored"
        );
        object
    }

    /// How one run ended, if it has and is remembered.
    pub async fn record(&self, key: &RunKey) -> Result<Option<RunRecord>, JournalError> {
        let found = self.store.read(&record_path(&self.store, key)).await?;
        let filed = found.as_ref().and_then(read::<Filed>);
        let record = filed.map(|filed| filed.record);
        Ok(record.filter(|record| record.key == *key))
    }

    /// The newest run of a plan that is `wanted` and had jobs, as far as it is remembered.
    pub async fn newest(
        &self,
        plan: &str,
        wanted: impl Fn(&RunKey) -> bool,
    ) -> Result<Option<RunRecord>, JournalError> {
        let (filed, _) = self.filed(plan).await?;
        for (key, _) in filed {
            if !wanted(&key) {
                continue;
            }
            let record = self.record(&key).await?;
            if let Some(record) = record.filter(|record| !record.jobs.is_empty()) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Changes what a run that has ended says of one backup. Nothing is done where it says nothing of it.
    pub async fn amend_record(
        &self,
        lease: &Lease,
        key: &RunKey,
        (target, backup): (&str, &str),
        amend: impl FnOnce(&mut JobLine),
    ) -> Result<(), JournalError> {
        let lease = lease.held();
        lease.if_not_lost()?;
        let path = record_path(&self.store, key);
        let found = self.store.read(&path).await?;
        let Some(mut filed) = found.as_ref().and_then(read::<Filed>) else {
            return Ok(());
        };
        let mut jobs = filed.record.jobs.iter_mut();
        let its = jobs.find(|job| job.target == target && job.backup.as_deref() == Some(backup));
        let Some(job) = its else {
            return Ok(());
        };
        amend(job);
        match self.store.put(&path, &json(&filed), found.as_ref()).await? {
            Put::Done => Ok(()),
            Put::Beaten(_) => Err(lease.lost()),
        }
    }

    /// Whatever has a history here, by the name of its runs.
    pub async fn names_in_history(&self) -> Result<BTreeSet<String>, JournalError> {
        let folder = self.store.path(["history"]);
        let paths = self.store.list(&folder).await?;
        let below = |path: &Path| {
            let mut parts = path.prefix_match(&folder)?;
            Some(parts.next()?.as_ref().to_owned())
        };
        Ok(paths.iter().filter_map(below).collect())
    }

    /// The objects of a plan's history, newest first, and apart from them what is not named like one.
    async fn filed(&self, plan: &str) -> Result<(Vec<(RunKey, Path)>, Vec<Path>), JournalError> {
        let named = |path: &Path| {
            let (slot, class) = run_named(path, ".json")?;
            let plan = plan.to_owned();
            let key = RunKey { plan, slot, class };
            (record_path(&self.store, &key) == *path).then_some(key)
        };
        let (mut filed, mut foreign) = (Vec::new(), Vec::new());
        for path in self.store.list(&self.store.path(["history", plan])).await? {
            match named(&path) {
                Some(key) => filed.push((key, path)),
                None => foreign.push(path),
            }
        }
        filed.sort_by_key(|(key, _)| Reverse(key.slot));
        Ok((filed, foreign))
    }
}

/// What an object among the open marks is.
enum Look {
    Open(OpenRun),
    Finished,
    Foreign(String),
}

impl RunLog {
    /// What earlier invocations wrote, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Lines and objects of theirs that can't be read and are left out.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// How this run ended when it was finished before and has begun anew.
    #[must_use]
    pub fn earlier(&self) -> Option<&RunRecord> {
        self.earlier.as_ref()
    }

    /// When the run's first invocation opened it.
    #[must_use]
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// Writes an entry down, and returns once it is durable.
    ///
    /// Entries that come while a write is under way go into the next one together, so any number of jobs may call
    /// this at once. After an error the entry may still turn up later.
    pub async fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        let (tell, mut told) = oneshot::channel();
        let line = json(entry);
        self.queued().push(Waiting { line, tell });
        let mut writer = self.writer.lock().await;
        // Whoever held the writer before may have written for us.
        if let Ok(outcome) = told.try_recv() {
            return outcome;
        }
        writer.batch.append(&mut self.queued());
        let outcome = self.write(&mut writer).await;
        for waiting in writer.batch.drain(..) {
            // One who has gone away need not be told.
            let _ = waiting.tell.send(outcome.clone());
        }
        outcome
    }

    fn queued(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the batch as one segment, under the first number that is free.
    async fn write(&self, writer: &mut Writer) -> Result<(), JournalError> {
        self.lease.if_not_lost()?;
        let lines: Vec<&[u8]> = writer.batch.iter().map(|waiting| &*waiting.line).collect();
        let body = [lines.join(&b'\n'), b"\n".to_vec()].concat();
        for _ in 0..MOST_COLLISIONS {
            let path = self.segment(writer.next);
            let put = self.store.put(&path, &body, None).await?;
            writer.next += 1;
            if matches!(put, Put::Done) {
                return Ok(());
            }
        }
        Err(JournalError::Unreadable {
            object: self.store.name_of(&self.segment(writer.next)),
            fault: "and a hundred before it stand where this run's log goes".into(),
        })
    }

    fn segment(&self, number: u64) -> Path {
        let folder = log_folder(&self.store, &self.key);
        folder.join(format!("{:010}-{number:06}.jsonl", self.lease.fence()))
    }

    /// Reads every segment, in order of fence and number, and finds the number of our next one.
    async fn replay(&mut self) -> Result<(), JournalError> {
        let replayed = Replayed::of(&self.store, &self.key).await?;
        let ours = replayed
            .segments
            .iter()
            .filter(|(fence, _)| *fence == self.lease.fence());
        let next = ours.map(|(_, number)| number + 1).max().unwrap_or(0);
        self.writer.get_mut().next = next;
        if replayed.unreadable > 0 {
            warn!(
                plan = self.key.plan,
                slot = %self.key.slot,
                unreadable = replayed.unreadable,
                "the run's log holds lines that can't be read and are left out"
            );
        }
        self.entries = replayed.entries;
        self.unreadable = replayed.unreadable;
        Ok(())
    }
}

/// Removes a run's log, then its open mark. The mark is last, because it is what a killed sweep is found by.
async fn sweep(store: &Store, key: &RunKey) -> Result<(), JournalError> {
    store
        .delete(store.list(&log_folder(store, key)).await?)
        .await?;
    store.delete(vec![mark_path(store, key)]).await
}

/// Finished is what was filed under a fence no lower than the mark's. A higher mark was set by a run that began anew.
fn is_finished(mark: &Mark, record: Option<&Found>) -> bool {
    record
        .and_then(read::<Fenced>)
        .is_some_and(|filed| filed.fence >= mark.fence)
}

fn read<T: DeserializeOwned>(found: &Found) -> Option<T> {
    serde_json::from_slice(&found.body).ok()
}

fn run_name(key: &RunKey) -> String {
    let class = match key.class {
        Class::Scheduled => "",
        Class::Manual => MANUAL,
    };
    format!("{}{class}", key.slot)
}

/// Reads a run's name from the end of a path.
fn run_named(path: &Path, extension: &str) -> Option<(Slot, Class)> {
    let name = path.filename()?.strip_suffix(extension)?;
    let (digits, class) = match name.strip_suffix(MANUAL) {
        Some(digits) => (digits, Class::Manual),
        None => (name, Class::Scheduled),
    };
    Some((Slot::from_digits(digits)?, class))
}

fn segment_named(path: &Path) -> Option<(u64, u64)> {
    let (fence, number) = path.filename()?.strip_suffix(".jsonl")?.split_once('-')?;
    Some((fence.parse().ok()?, number.parse().ok()?))
}

fn mark_path(store: &Store, key: &RunKey) -> Path {
    store.mark([&key.plan, &format!("{}.json", run_name(key))])
}

fn record_path(store: &Store, key: &RunKey) -> Path {
    store.path(["history", &key.plan, &format!("{}.json", run_name(key))])
}

fn log_folder(store: &Store, key: &RunKey) -> Path {
    store.path(["runs", &key.plan, &run_name(key)])
}
