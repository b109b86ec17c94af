//! The sides of a run: which sources live, and what stands in every target.
//!
//! A listing is complete or not used at all. What is wrong with one is reported here, and stops deletion.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::Run;
use crate::listing::{self, CompleteListing, ListingError};
use crate::name::{Class, Namespace};
use crate::plan::Target;
use crate::prune::Inventory;
use crate::retention::Backup;
use crate::service::{Patient, Service};
use crate::slot::Slot;

/// Sources that one warning names.
const MOST_NAMED: usize = 20;

/// Sources that a complete listing shows.
pub(super) type Live = BTreeSet<Namespace>;

/// One target of the plan during a run.
pub(super) struct Side<'a, S> {
    /// Its place among the plan's targets, and in the report.
    pub(super) at: usize,
    pub(super) target: &'a Target,
    pub(super) service: &'a Patient<S>,
    /// What stands there; `None` when its listing is not complete, so that nothing may be deleted.
    pub(super) inventory: Option<Inventory>,
    /// Sources without a sealed backup of this slot.
    pub(super) unsealed: BTreeSet<Namespace>,
}

impl<S> Side<'_, S> {
    pub(super) fn known(&self, source: &Namespace) -> &[Backup] {
        self.inventory
            .as_ref()
            .map(|inventory| inventory.backups_of(source))
            .unwrap_or_default()
    }

    pub(super) fn has_backup_of(&self, source: &Namespace, slot: Slot) -> bool {
        let newest = self.known(source).last();
        newest.is_some_and(|newest| newest.name.slot() >= slot)
    }
}

impl<'w, S: Service> Run<'_, 'w, S> {
    /// The sources, completely or not at all, and every target that can be used. What is wrong is reported here.
    pub(super) async fn list_sides(
        &mut self,
        classes: &[Class],
    ) -> (Option<Live>, Vec<Side<'w, S>>) {
        let (world, until) = (self.world, self.until);
        let plan = world.plan;
        let targets = plan.targets.iter().zip(world.targets);
        let backups = join_all(targets.map(|(target, service)| {
            let prefixes = plan.backup_prefixes(target, classes);
            async move { list_all(service, &prefixes, until).await }.boxed_local()
        }));
        let (sources, backups) = futures_util::join!(
            list_all(world.source, plan.source.selectors.prefixes(), until).boxed_local(),
            backups
        );
        let targets = plan.targets.iter().zip(world.targets);
        let mut sides = Vec::new();
        for ((at, (target, service)), backups) in targets.enumerate().zip(backups) {
            let inventory = match backups {
                Ok(listing) => Some(Inventory::of(plan, target, listing)),
                Err(error) => {
                    self.unlisted |= error.passes();
                    self.fail_listing_at(at, &error);
                    // A listing in doubt forbids deletion; copying needs none. A region that can't even be listed is left alone.
                    if !matches!(error, ListingError::Broken { .. }) {
                        continue;
                    }
                    None
                }
            };
            sides.push(Side {
                at,
                target,
                service,
                inventory,
                unsealed: BTreeSet::new(),
            });
        }
        let live = match sources {
            Ok(listing) => self.selected(listing.names),
            Err(error) => {
                self.unlisted |= error.passes();
                self.fail_listing(&error);
                return (None, sides);
            }
        };
        self.look_for_the_gone(&live, &sides).boxed_local().await;
        (Some(live), sides)
    }

    /// What the plan selects. A prefix that selects nothing is an alarm: it is misspelt, or its namespaces are gone.
    fn selected(&mut self, names: Vec<String>) -> Live {
        let plan = self.world.plan;
        let (selectors, region) = (&plan.source.selectors, &plan.source.region);
        self.warn_about_scratches(&names);
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| selectors.selects(name))
            .collect();
        self.report.sources = u64::try_from(names.len()).unwrap_or(u64::MAX);
        for prefix in selectors.prefixes() {
            if !names.iter().any(|name| name.starts_with(prefix.as_str())) {
                self.report.fail("nothing_selected", format!(
                    "no namespace in {region} that begins with `{prefix}` is selected, so nothing of it is protected; check SOURCE_PREFIX, SOURCE_EXCLUDE and SOURCE_REGION (in a document: prefixes, exclude, region), and the key's organisation"
                ));
            }
        }
        let mut live = Live::new();
        for name in names {
            match Namespace::parse(&name) {
                Some(source) => drop(live.insert(source)),
                None => {
                    let message = format!(
                        "{region} lists {name:?}, which is no namespace name; it is not backed up"
                    );
                    self.report.fail("illegal_name", message);
                }
            }
        }
        live
    }

    /// A source that has backups and is not listed is asked for by name: a listing that left it out is not complete.
    async fn look_for_the_gone(&mut self, live: &Live, sides: &[Side<'_, S>]) {
        let mut unlisted: BTreeSet<&Namespace> = BTreeSet::new();
        for side in sides {
            let sources = side.inventory.iter().flat_map(Inventory::sources);
            let gone: Vec<&Namespace> = sources
                .map(|(source, _)| source)
                .filter(|source| !live.contains(*source))
                .collect();
            self.report.add_gone(side.at, gone.len());
            unlisted.extend(gone);
        }
        if unlisted.is_empty() {
            return;
        }
        let source = self.world.source;
        let looks = stream::iter(&unlisted)
            .map(|name| async move {
                source
                    .metadata(name)
                    .await
                    .map(|found| found.map(|_| name.to_string()))
            })
            .buffer_unordered(self.in_flight())
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect::<Vec<String>>();
        let region = self.world.plan.source.region.clone();
        let error = match timeout_at(self.until, looks).await {
            Ok(Ok(found)) if found.is_empty() => None,
            Ok(Ok(found)) => Some(ListingError::Broken {
                prefix: self.world.plan.source.selectors.prefixes().join("*, "),
                region,
                fault: format!("it left out `{}`, which exist", found.join("`, `")),
            }),
            Ok(Err(error)) => Some(ListingError::Service {
                prefix: "sources that are not listed".into(),
                error,
            }),
            Err(_) => Some(ListingError::OutOfTime { region }),
        };
        if let Some(error) = error {
            return self.fail_listing(&error);
        }
        let first = unlisted
            .iter()
            .take(5)
            .map(|source| source.as_str())
            .collect::<Vec<_>>()
            .join("`, `");
        self.report.warn(format!(
            "{} sources with backups no longer exist, such as `{first}`; all their backups stay",
            unlisted.len()
        ));
    }

    /// Sources that live and of which nothing stands in a target: from there nobody could bring them back.
    pub(super) fn warn_about_the_unprotected<'s>(
        &mut self,
        live: &[&Namespace],
        sides: impl Iterator<Item = &'s Side<'w, S>>,
    ) where
        'w: 's,
        S: 's,
    {
        for side in sides.filter(|side| side.inventory.is_some()) {
            let bare = live.iter().filter(|source| side.known(source).is_empty());
            let bare: Vec<&str> = bare.map(|source| source.as_str()).collect();
            let Some((count, first)) = first_of(&bare) else {
                continue;
            };
            self.report.warn(format!(
                "{count} sources live and have no backup in {}: {first}; `lifeboat jobs` says what became of their copies",
                side.target.name
            ));
        }
    }

    /// A listing of the sources that can't be used: nothing at all may be deleted.
    fn fail_listing(&mut self, error: &ListingError) {
        error!(error = error.word(), detail = %error, "listing failed");
        self.report.fail(error.word(), error.to_string());
        for at in 0..self.world.targets.len() {
            self.stop_deletion_at(at, "a listing failed");
        }
    }

    fn fail_listing_at(&mut self, at: usize, error: &ListingError) {
        error!(error = error.word(), detail = %error, "listing failed");
        self.report.fail_target(at, error.word(), error.to_string());
        self.stop_deletion_at(at, "a listing failed");
    }
}

/// How many there are, and the first of them by name; `None` where there are none.
fn first_of(names: &[&str]) -> Option<(usize, String)> {
    let (count, first) = (names.len(), names.get(..MOST_NAMED).unwrap_or(names));
    let more = if count > first.len() { ", …" } else { "" };
    (count > 0).then(|| (count, format!("`{}`{more}", first.join("`, `"))))
}

async fn list_all<S: Service>(
    service: &S,
    prefixes: &[String],
    until: Instant,
) -> Result<CompleteListing, ListingError> {
    let listing = timeout_at(until, listing::list_prefixes(service, prefixes)).await;
    listing.unwrap_or_else(|_| {
        Err(ListingError::OutOfTime {
            region: service.region().to_owned(),
        })
    })
}
