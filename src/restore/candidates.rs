//! The backups that there are to choose from, and what is chosen for every source.
//!
//! What it must never do: take an incomplete listing for all there is, or a copy that is still being made for a backup.
//! It asks the backups' region, and nothing else.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::asked::Which;
use super::choose::{Choice, Lacking, Point, Taken, choose};
use super::{Kept, in_flight};
use crate::listing::{self, ListingError};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::resume::{Past, Pasts};
use crate::retention::{Backup, Evidence};
use crate::service::{Patient, Service, ServiceError};
use crate::slot::Slot;

/// Named sources whose backups are listed one by one; for more of them everything is listed once.
const LISTED_APART: usize = 50;

/// A target's backups by source, oldest first.
pub(crate) type BySource = BTreeMap<Namespace, Vec<Backup>>;

/// Open runs by slot and whether they make manual backups, and what they wrote down.
#[derive(Default)]
pub(crate) struct Unfinished {
    target: String,
    runs: BTreeMap<(Slot, bool), Pasts>,
}

impl Unfinished {
    /// Whether a backup belongs to a run that is open and did not seal it yet.
    fn holds(&self, name: &BackupName) -> bool {
        let run = (name.slot(), name.class() == Class::Manual);
        let sealed = |pasts: &Pasts| {
            let past = pasts.of_job(&self.target, name.source());
            past.is_some_and(Past::is_sealed)
        };
        self.runs.get(&run).is_some_and(|pasts| !sealed(pasts))
    }
}

/// Why nothing was chosen for a source.
#[derive(Debug)]
pub(crate) enum NotChosen {
    /// It has no backup that could be taken.
    Lacking(Lacking),
    /// Its backups could not be read.
    Service(ServiceError),
    /// Time ran out before its turn.
    OutOfTime,
}

/// Where backups are looked for.
pub(crate) struct Candidates<'a, S> {
    /// Whose backups they are.
    pub(crate) plan: &'a Plan,
    /// The target they stand in.
    pub(crate) target: &'a Target,
    /// Its region.
    pub(crate) backups: &'a Patient<S>,
    /// Where open runs are remembered.
    pub(crate) kept: Option<Kept<'a>>,
    /// When to stop.
    pub(crate) until: Instant,
}

impl<S: Service> Candidates<'_, S> {
    /// The backups of everything that is asked for; of a named source that has none, an empty list.
    pub(crate) async fn list(&self, which: &Which) -> Result<BySource, ListingError> {
        let (plan, target, backups) = (self.plan, self.target, self.backups);
        let classes = [Class::Scheduled, Class::Manual];
        let begins = classes.map(|class| target.prefix.of_class(class));
        let below = |with: &str| begins.each_ref().map(|begin| format!("{begin}{with}"));
        let prefixes: Vec<String> = match which {
            Which::Names(names) if names.len() <= LISTED_APART => names
                .iter()
                .flat_map(|name| below(&format!("{name}-")))
                .collect(),
            Which::Names(_) => begins.to_vec(),
            Which::Prefix(prefix) => below(prefix).to_vec(),
            Which::All => plan.backup_prefixes(target, &classes),
        };
        let listing = timeout_at(self.until, listing::list_prefixes(backups, &prefixes)).await;
        let listing = listing.unwrap_or_else(|_| {
            let region = backups.region().to_owned();
            Err(ListingError::OutOfTime { region })
        })?;
        let mut by_source = BySource::new();
        if let Which::Names(names) = which {
            let names = names.iter().filter_map(|name| Namespace::parse(name));
            by_source.extend(names.map(|name| (name, Vec::new())));
        }
        for text in listing.names {
            let Some(name) = BackupName::parse(&target.prefix, &text) else {
                continue;
            };
            let source = name.source().clone();
            let wanted = match which {
                Which::Names(_) => by_source.contains_key(&source),
                Which::Prefix(prefix) => source.as_str().starts_with(prefix.as_str()),
                Which::All => plan.source.selectors.selects(source.as_str()),
            };
            if wanted {
                let backup = Backup {
                    name,
                    evidence: None,
                };
                by_source.entry(source).or_default().push(backup);
            }
        }
        for backups in by_source.values_mut() {
            backups.sort_unstable_by_key(|backup| backup.name.slot());
        }
        Ok(by_source)
    }

    /// Runs of the plan that are still open. What they have not sealed themselves may be half a copy, and look sealed,
    /// because a copy of a frozen source is born read-only. When that can't be read, nothing is known of any.
    pub(crate) async fn unfinished(&self) -> Unfinished {
        let Some(kept) = self.kept else {
            return Unfinished::default();
        };
        let mut unfinished = Unfinished::default();
        for open in kept.journal.open_runs().await.unwrap_or_default().runs {
            if open.key.plan == self.plan.name {
                let entries = kept.journal.entries(&open.key).await.unwrap_or_default();
                let run = (open.key.slot, open.key.class == Class::Manual);
                unfinished.runs.insert(run, Pasts::of(&entries));
            }
        }
        unfinished.target.clone_from(&self.target.name);
        unfinished
    }

    /// Chooses a backup for every source, in the given order.
    pub(crate) async fn choose(
        &self,
        sources: impl IntoIterator<Item = (Namespace, Vec<Backup>)>,
        point: Point,
        unfinished: &Unfinished,
    ) -> Vec<(Namespace, Result<Taken, NotChosen>)> {
        let (backups, until) = (self.backups, self.until);
        let choices = stream::iter(sources)
            .map(|(source, known)| async move {
                let chosen = choose_one(backups, known, point, unfinished).boxed_local();
                let chosen = match timeout_at(until, chosen).await {
                    Ok(Ok(chosen)) => chosen.map_err(NotChosen::Lacking),
                    Ok(Err(error)) => Err(NotChosen::Service(error)),
                    Err(_) => Err(NotChosen::OutOfTime),
                };
                (source, chosen)
            })
            .buffered(in_flight(self.plan.concurrency));
        choices.collect().await
    }
}

/// Asks about one source's backups until one can be chosen. Those of an unfinished run are none yet.
async fn choose_one<S: Service>(
    service: &S,
    mut backups: Vec<Backup>,
    point: Point,
    unfinished: &Unfinished,
) -> Result<Result<Taken, Lacking>, ServiceError> {
    let mut being_made = false;
    loop {
        let place = match choose(&backups, point) {
            Choice::Take(taken) => return Ok(Ok(taken)),
            Choice::Nothing(_) if being_made => return Ok(Err(Lacking::BeingMade)),
            Choice::Nothing(lacking) => return Ok(Err(lacking)),
            Choice::Ask(place) => place,
        };
        let Some(backup) = backups.get_mut(place) else {
            return Ok(Err(Lacking::NoBackup));
        };
        if unfinished.holds(&backup.name) {
            being_made = true;
            backups.remove(place);
            continue;
        }
        match service.metadata(backup.name.namespace()).await? {
            Some(shown) => {
                backup.evidence = Some(Evidence {
                    created_at: shown.created_at,
                    sealed: shown.read_only,
                });
            }
            None => drop(backups.remove(place)),
        }
    }
}
