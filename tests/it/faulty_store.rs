//! An object store that fails as real ones do: before the commit, after it, late, never; by chance from a seed, or as told.
//!
//! Only writes (one put, or one object's deletion) have a fate of their own; reads and lists fail by chance, or with the
//! whole process. [`Requests`] count whatever a process sends, here and elsewhere, and may end it at any of them.
#![allow(
    dead_code,
    reason = "the journal's own tests and the simulation each use a part of it"
)]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Passes,
    /// It is not carried out.
    FailsBefore,
    /// It is carried out and its answer lost.
    FailsAfter,
    /// It is said to have failed, and is carried out right before the next write that passes. Puts only.
    ComesLate,
    /// Everything in the store is gone, then it is carried out.
    WipedFirst,
    /// Neither it nor any later request is carried out or answered: the process was killed.
    KilledBefore,
    /// It is carried out and never answered, nor is any later request.
    KilledAfter,
}

/// Why a whole store refuses, in S3's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such bucket.
    Missing,
    /// It may be read and not written.
    MayNotWrite,
}

/// How often requests fail by chance, in percent, and how long they may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    pub(crate) fails_before: u8,
    pub(crate) fails_after: u8,
    pub(crate) longest_delay: Duration,
}

/// Requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) gets: u64,
    pub(crate) lists: u64,
    pub(crate) writes: u64,
}

/// When a process dies, by the request that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiesAt {
    /// The request is never carried out.
    Before(usize),
    /// It is carried out, and nobody hears of it.
    After(usize),
}

/// All requests of one process, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sent: AtomicUsize,
    changes: Mutex<Vec<usize>>,
    dies: Option<DiesAt>,
    dead: AtomicBool,
    died: Notify,
}

impl Requests {
    pub(crate) fn until(dies: DiesAt) -> Self {
        Self {
            dies: Some(dies),
            ..Self::default()
        }
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Those that may have changed something. Whoever dies after any other dies before the next.
    pub(crate) fn changes(&self) -> Vec<usize> {
        self.changes.lock().unwrap().clone()
    }

    /// Returns when the process has died.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Before a request is carried out: gives its number. Never returns in a process that is dead, or dies of it.
    pub(crate) async fn sends(&self) -> usize {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.dies_at(DiesAt::Before(number)).await;
        number
    }

    /// Right after one that may have changed something.
    pub(crate) async fn changed(&self, number: usize) {
        self.changes.lock().unwrap().push(number);
        self.dies_at(DiesAt::After(number)).await;
    }

    async fn dies_at(&self, here: DiesAt) {
        if self.dies == Some(here) {
            self.dead.store(true, Ordering::Relaxed);
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// The store. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct FaultyStore {
    objects: Arc<InMemory>,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
    requests: Arc<Requests>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    chances: Chances,
    told: VecDeque<Fate>,
    late: Vec<(Path, PutPayload, PutOptions)>,
    refusal: Option<Refusal>,
    dead: bool,
    counts: Counts,
    met: BTreeMap<Fate, u64>,
}

impl FaultyStore {
    /// Over objects that outlive it, as a bucket outlives a process. Nothing fails until it is told to.
    pub(crate) fn over(objects: &Arc<InMemory>, seed: u64) -> Self {
        Self {
            objects: Arc::clone(objects),
            state: Arc::new(Mutex::new(State {
                random: fastrand::Rng::with_seed(seed),
                chances: Chances::default(),
                told: VecDeque::new(),
                late: Vec::new(),
                refusal: None,
                dead: false,
                counts: Counts::default(),
                met: BTreeMap::new(),
            })),
            killed: Arc::default(),
            requests: Arc::default(),
        }
    }

    /// As one process uses it, with whatever else that sends.
    pub(crate) fn used_by(mut self, requests: &Arc<Requests>) -> Self {
        self.requests = Arc::clone(requests);
        self
    }

    /// From now on this may happen to every request.
    pub(crate) fn chances(&self, chances: Chances) {
        self.state().chances = chances;
    }

    /// What becomes of the next writes; after them, chance decides.
    pub(crate) fn next_writes(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state().told.extend(fates);
    }

    /// From now on every request that this is about is refused.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.state().refusal = Some(refusal);
    }

    fn if_not_refused(&self, is_write: bool) -> Result<()> {
        match self.state().refusal {
            Some(Refusal::Missing) => Err(failure("<Code>NoSuchBucket</Code>")),
            Some(Refusal::MayNotWrite) if is_write => Err(Error::PermissionDenied {
                path: String::new(),
                source: "<Code>AccessDenied</Code>".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Everything is gone.
    pub(crate) async fn wipe(&self) {
        let all: Vec<ObjectMeta> = self.objects.list(None).try_collect().await.unwrap();
        for object in all {
            self.objects.delete(&object.location).await.unwrap();
        }
    }

    /// Requests so far.
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a request, waits as long as it takes, and says what becomes of it.
    async fn fate(&self, is_write: bool, count: impl FnOnce(&mut Counts)) -> Fate {
        let (fate, delay) = {
            let mut state = self.state();
            count(&mut state.counts);
            let told = is_write.then(|| state.told.pop_front()).flatten();
            let fate = told.unwrap_or_else(|| state.by_chance());
            state.dead |= fate == Fate::KilledBefore;
            if fate != Fate::Passes {
                *state.met.entry(fate).or_default() += 1;
            }
            (fate, state.delay())
        };
        if fate == Fate::KilledBefore {
            self.killed.notify_one();
        }
        sleep(delay).await;
        self.if_alive().await;
        if fate == Fate::WipedFirst {
            self.wipe().await;
        }
        fate
    }

    /// Returns when a fate has killed the process.
    pub(crate) async fn died(&self) {
        self.killed.notified().await;
    }

    /// Carries out what came late, as a network does at a time of its own.
    pub(crate) async fn deliver_late_puts(&self) {
        self.carry_out_late_puts().await;
    }

    /// How often each kind of fate was met, the harmless one left out.
    pub(crate) fn met(&self) -> BTreeMap<Fate, u64> {
        self.state().met.clone()
    }

    /// Never returns in a process that was killed.
    async fn if_alive(&self) {
        if self.state().dead {
            std::future::pending::<()>().await;
        }
    }

    /// What came of a request that was carried out.
    async fn answer<T>(&self, fate: Fate, outcome: Result<T>) -> Result<T> {
        match fate {
            Fate::FailsAfter => Err(failure("the connection was reset before the answer")),
            Fate::KilledAfter => {
                self.state().dead = true;
                self.killed.notify_one();
                std::future::pending().await
            }
            _ => outcome,
        }
    }

    async fn carry_out_late_puts(&self) {
        let late = std::mem::take(&mut self.state().late);
        for (location, payload, options) in late {
            // Nobody hears whether it succeeded.
            let _ = self.objects.put_opts(&location, payload, options).await;
        }
    }

    async fn delete_one(self, location: Path) -> Result<Path> {
        let number = self.requests.sends().await;
        self.if_not_refused(true)?;
        let fate = self.fate(true, |counts| counts.writes += 1).await;
        if fate == Fate::FailsBefore {
            return Err(failure("the connection was refused"));
        }
        let outcome = self.objects.delete(&location).await;
        self.requests.changed(number).await;
        self.answer(fate, outcome.map(|()| location)).await
    }
}

impl State {
    fn by_chance(&mut self) -> Fate {
        let roll = self.random.u8(0..100);
        let Chances {
            fails_before,
            fails_after,
            ..
        } = self.chances;
        match roll {
            roll if roll < fails_before => Fate::FailsBefore,
            roll if roll < fails_before + fails_after => Fate::FailsAfter,
            _ => Fate::Passes,
        }
    }

    fn delay(&mut self) -> Duration {
        self.chances.longest_delay.mul_f64(self.random.f64())
    }
}

fn failure(message: &'static str) -> Error {
    Error::Generic {
        store: "FaultyStore",
        source: message.into(),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let number = self.requests.sends().await;
        self.if_not_refused(true)?;
        let fate = self.fate(true, |counts| counts.writes += 1).await;
        if fate == Fate::ComesLate {
            self.state().late.push((location.clone(), payload, options));
            return Err(failure("no answer"));
        }
        if fate == Fate::FailsBefore {
            return Err(failure("the connection was refused"));
        }
        self.carry_out_late_puts().await;
        let outcome = self.objects.put_opts(location, payload, options).await;
        self.requests.changed(number).await;
        self.answer(fate, outcome).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.requests.sends().await;
        self.if_not_refused(false)?;
        match self.fate(false, |counts| counts.gets += 1).await {
            Fate::Passes => self.objects.get_opts(location, options).await,
            _ => Err(failure("the connection was reset")),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |location| store.clone().delete_one(location))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            store.requests.sends().await;
            store.if_not_refused(false)?;
            match store.fate(false, |counts| counts.lists += 1).await {
                Fate::Passes => Ok(store.objects.list(prefix.as_ref())),
                _ => Err(failure("the connection was reset")),
            }
        };
        futures_util::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
