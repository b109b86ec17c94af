//! Sources that should have a backup and have none: those of the plan's last run, and those that live.
//!
//! A restore of all there is must say what there is not. What should be there is asked of the journal and of the sources'
//! region while the backups are chosen. A region that does not answer harms no restore and hardly slows one, and is told.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::Restore;
use super::asked::Which;
use super::choose::Taken;
use crate::backup::JobState;
use crate::journal::{JobLine, RunRecord};
use crate::listing::{self, ListingError};
use crate::name::{BackupName, Namespace};
use crate::service::Service;

/// The journal and the sources' region have at least so long to answer, however fast the rest is.
const ASKED_FOR: Duration = Duration::from_secs(5);

/// What should come back.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Sources, and what is to be said of one that has no backup.
    of_last_run: BTreeMap<Namespace, String>,
    live: BTreeSet<Namespace>,
    /// Backups that the last run left sealed. Retention lets the newest of a source never go, and `discard` neither.
    sealed: BTreeMap<Namespace, BackupName>,
    /// Why nobody knows what lives.
    pub(super) unasked: Option<String>,
}

impl Expected {
    /// Whether a source should have a backup.
    pub(super) fn has(&self, source: &Namespace) -> bool {
        self.of_last_run.contains_key(source) || self.live.contains(source)
    }

    /// Of the sources that have other backups, those that stand no more although the last run left them sealed. Where a
    /// verified one as new was taken, it may have superseded them: its run is perhaps not filed yet.
    pub(super) fn gone<'e>(
        &'e self,
        standing: &BTreeMap<Namespace, Vec<BackupName>>,
        taken: &[Taken],
    ) -> Vec<&'e BackupName> {
        let is_as_new = |taken: &&Taken| {
            let gone = self.sealed.get(taken.backup.source());
            taken.sealed && gone.is_some_and(|gone| taken.backup.slot() >= gone.slot())
        };
        let superseded: BTreeSet<&Namespace> = taken
            .iter()
            .filter(is_as_new)
            .map(|taken| taken.backup.source())
            .collect();
        let gone = self.sealed.iter().filter(|(source, backup)| {
            let stands = standing.get(*source);
            stands.is_some_and(|stands| !stands.is_empty() && !stands.contains(*backup))
                && !superseded.contains(source)
        });
        gone.map(|(_, backup)| backup).collect()
    }

    /// Those of which nothing was found, and what to say of each. What this restore makes is no source, though it may stand
    /// already and be selected.
    pub(super) fn without(
        self,
        found: &BTreeSet<&Namespace>,
        made: &BTreeSet<Namespace>,
        region: &str,
    ) -> Vec<(String, String)> {
        let mut missing = self.of_last_run;
        for source in self
            .live
            .into_iter()
            .filter(|source| !made.contains(source))
        {
            missing.entry(source).or_insert_with(|| format!(
                "it lives in {region} and has no backup here, so nothing of it can come back; `lifeboat jobs` says what became of its copies"
            ));
        }
        missing.retain(|source, _| !found.contains(source));
        let missing = missing.into_iter();
        missing
            .map(|(source, why)| (source.to_string(), why))
            .collect()
    }
}

impl<S: Service> Restore<'_, '_, S> {
    /// Does the work, and finds out meanwhile what should come back. Where names were given, they alone should, and whether
    /// they live is not asked.
    pub(super) async fn expecting<T>(&self, work: impl Future<Output = T>) -> (T, Expected) {
        let (last_run, live) = (OnceCell::new(), OnceCell::new());
        // Each is set once, by whichever answers first; the other may be cut off.
        let journal = self.last_run().map(|known| drop(last_run.set(known)));
        let region = self.live().map(|known| drop(live.set(known)));
        let aside = join(journal.boxed_local(), region.boxed_local()).map(|_| ());
        let done = meanwhile(work, aside, self.until).await;
        let mut expected = Expected::default();
        if let Some(record) = last_run.into_inner().flatten() {
            let of_last_run = record
                .jobs
                .iter()
                .filter_map(|line| self.of_line(&record, line));
            expected.of_last_run = of_last_run.collect();
            let sealed = record.jobs.iter().filter_map(|line| self.sealed_by(line));
            expected.sealed = sealed.collect();
        }
        let region = &self.world.plan.source.region;
        match live.into_inner() {
            Some(Ok(live)) => expected.live = live,
            Some(Err(error)) => expected.unasked = Some(error.to_string()),
            None => expected.unasked = Some(format!("{region} did not answer in time")),
        }
        (done, expected)
    }

    fn is_asked_for(&self, source: &str) -> bool {
        let is_meant = match &self.asked.which {
            Which::Prefix(prefix) => source.starts_with(prefix.as_str()),
            Which::Names(names) => names.iter().any(|name| name == source),
            Which::All => true,
        };
        is_meant && self.world.plan.source.selectors.selects(source)
    }

    /// The last run by the time that is restored, if the journal remembers it.
    async fn last_run(&self) -> Option<RunRecord> {
        let by = self.asked.at.unwrap_or_else(|| self.clock.now());
        let journal = self.world.kept?.journal;
        let newest = journal.newest(&self.world.plan.name, |run| run.slot.instant() <= by);
        newest.await.unwrap_or_else(|error| {
            warn!(error = error.word(), detail = %error, "what the last run backed up can't be read");
            None
        })
    }

    /// What a job left sealed, as far as it says what should stand now.
    fn sealed_by(&self, line: &JobLine) -> Option<(Namespace, BackupName)> {
        let of_now = line.target == self.world.target.name && self.asked.at.is_none();
        let sealed = [JobState::Sealed, JobState::AlreadySealed, JobState::Covered];
        let is_sealed = sealed.iter().any(|state| line.state == state.word());
        let is_one = of_now && is_sealed && self.is_asked_for(&line.source);
        let name = line.backup.as_deref().filter(|_| is_one)?;
        let backup = BackupName::parse(&self.world.target.prefix, name)?;
        Some((backup.source().clone(), backup))
    }

    fn of_line(&self, run: &RunRecord, line: &JobLine) -> Option<(Namespace, String)> {
        let source = Namespace::parse(&line.source)?;
        let of_target = line.target == self.world.target.name;
        if !of_target || line.state == JobState::Vanished.word() || !self.is_asked_for(&line.source)
        {
            return None;
        }
        let slot = run.key.slot.instant();
        let why = match &line.message {
            Some(why) if line.error.is_some() => {
                format!("it has no backup here; of the run of {slot} is known: {why}")
            }
            _ => format!(
                "it has no backup here, though it was `{}` in the run of {slot}: what it had was deleted since",
                line.state
            ),
        };
        Some((source, why))
    }

    /// What lives now. That says nothing of what did at an earlier time.
    async fn live(&self) -> Result<BTreeSet<Namespace>, ListingError> {
        let (Some(region), None) = (self.world.sources, self.asked.at) else {
            return Ok(BTreeSet::new());
        };
        let below = match &self.asked.which {
            Which::Prefix(prefix) => prefix.as_str(),
            Which::Names(_) => return Ok(BTreeSet::new()),
            Which::All => "",
        };
        let prefixes = self.world.plan.source.selectors.prefixes_below(below);
        let listing = listing::list_prefixes(region, &prefixes).await?;
        let names = listing.names.iter().filter(|name| self.is_asked_for(name));
        Ok(names.filter_map(|name| Namespace::parse(name)).collect())
    }
}

/// Does the work, and something beside it for no longer than that takes, or [`ASKED_FOR`].
async fn meanwhile<T>(
    work: impl Future<Output = T>,
    aside: impl Future<Output = ()>,
    until: Instant,
) -> T {
    let at_least = until.min(Instant::now() + ASKED_FOR);
    let (mut work, mut aside) = (pin!(work), pin!(aside));
    tokio::select! {
        biased;
        () = &mut aside => work.await,
        done = &mut work => {
            // An Err means that the time for it is over.
            let _ = timeout_at(at_least, aside).await;
            done
        }
    }
}
