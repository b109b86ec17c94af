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
use super::in_flight;
use crate::listing::{self, ListingError};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::retention::{Backup, Evidence};
use crate::service::{Patient, Service, ServiceError};
use crate::witness::Witness;

/// Named sources whose backups are listed one by one; for more of them everything is listed once.
const LISTED_APART: usize = 50;

/// A target's backups by source, oldest first.
pub(crate) type BySource = BTreeMap<Namespace, Vec<Backup>>;

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
    /// What the journal says of them.
    pub(crate) witness: Witness<'a>,
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

    /// Chooses a backup for every source, in the given order.
    pub(crate) async fn choose(
        &self,
        sources: impl IntoIterator<Item = (Namespace, Vec<Backup>)>,
        point: Point,
    ) -> Vec<(Namespace, Result<Taken, NotChosen>)> {
        let until = self.until;
        let choices = stream::iter(sources)
            .map(|(source, known)| async move {
                let chosen = self.choose_one(known, point).boxed_local();
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

    /// Asks about one source's backups until one can be chosen. Those of an unfinished run are none yet, and what its own run
    /// found wrong was never verified, whoever froze it since.
    async fn choose_one(
        &self,
        mut backups: Vec<Backup>,
        point: Point,
    ) -> Result<Result<Taken, Lacking>, ServiceError> {
        let (witness, target) = (&self.witness, &self.target.name);
        let mut being_made = false;
        loop {
            let place = match choose(&backups, point) {
                Choice::Take(taken) => {
                    let testimony = witness.testimony(target, &taken.backup).await;
                    return Ok(Ok(Taken { testimony, ..taken }));
                }
                Choice::Nothing(_) if being_made => return Ok(Err(Lacking::BeingMade)),
                Choice::Nothing(lacking) => return Ok(Err(lacking)),
                Choice::Ask(place) => place,
            };
            let Some(backup) = backups.get_mut(place) else {
                return Ok(Err(Lacking::NoBackup));
            };
            if witness.is_being_made(target, &backup.name).await {
                being_made = true;
                backups.remove(place);
                continue;
            }
            match self.backups.metadata(backup.name.namespace()).await? {
                Some(shown) => {
                    let testimony = witness.testimony(target, &backup.name).await;
                    backup.evidence = Some(Evidence {
                        created_at: shown.created_at,
                        sealed: shown.read_only && testimony.refuted.is_none(),
                    });
                }
                None => drop(backups.remove(place)),
            }
        }
    }
}
