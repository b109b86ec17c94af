//! Which backup every source comes back from, what has none, and what is to be said of those that were chosen.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::join;
use tracing::error;

use super::Restore;
use super::asked::Which;
use super::candidates::{Candidates, NotChosen};
use super::choose::{Lacking, Point, Taken};
use super::expected::Expected;
use super::order::Order;
use super::room::Look;
use crate::listing::ListingError;
use crate::name::{BackupName, Namespace};
use crate::service::Service;
use crate::slot::CLOCK_MARGIN;

/// What was found of the sources that are asked for.
struct Found {
    /// The sources, and the names of what stands of each.
    standing: BTreeMap<Namespace, Vec<BackupName>>,
    chosen: Vec<(Namespace, Result<Taken, NotChosen>)>,
    seen: BTreeMap<Namespace, Look>,
}

impl<S: Service> Restore<'_, '_, S> {
    /// Chooses a backup for every source that is asked for, and looks meanwhile what stands where they would come back.
    /// `None` when the backups could not be listed.
    pub(super) async fn choose_all(&mut self) -> Option<(Vec<Taken>, BTreeMap<Namespace, Look>)> {
        let choosing = self.choose_each().boxed_local();
        let (chosen, expected) = self.expecting(choosing).await;
        let Found {
            standing,
            chosen,
            seen,
        } = match chosen {
            Ok(found) => found,
            Err(error) => {
                error!(error = error.word(), detail = %error, "listing failed");
                self.report.fail(error.word(), error.to_string());
                return None;
            }
        };
        let named = matches!(self.asked.which, Which::Names(_));
        let mut taken = Vec::new();
        for (source, chosen) in chosen {
            match chosen {
                Ok(chosen) => taken.push(chosen),
                // Perhaps nobody's source: it was found by its name alone.
                Err(NotChosen::Lacking(lacking @ Lacking::NoneOfOurs))
                    if !named && !expected.has(&source) =>
                {
                    self.report.warn(format!("{source} is left out: {lacking}"));
                }
                Err(NotChosen::Lacking(lacking)) => {
                    let meant = (lacking == Lacking::NoBackup).then(|| self.meant_by(&source));
                    let why = meant.flatten().unwrap_or_else(|| lacking.to_string());
                    self.missing.push((source.to_string(), why));
                }
                Err(NotChosen::Service(error)) => self.report.fail_source(
                    &source,
                    error.word(),
                    format!("its backups could not be read, so it is not restored: {error}"),
                ),
                Err(NotChosen::OutOfTime) => self.report.fail_source(
                    &source,
                    "out_of_time",
                    "time ran out before a backup was chosen; nothing was started".to_owned(),
                ),
            }
        }
        self.warn_about_the_gone(&expected.gone(&standing, &taken));
        self.miss_what_was_expected(expected, &standing);
        if taken.is_empty() && self.missing.is_empty() && self.report.failures.is_empty() {
            let (prefix, region) = (
                self.world.target.prefix.as_str(),
                self.world.backups.region(),
            );
            self.report.fail("nothing_to_restore", format!(
                "no backup `{prefix}…` of what is asked for stands in {region}; `lifeboat list` shows what there is"
            ));
        }
        self.warn_about_what_was_made_later(&taken);
        Some((taken, seen))
    }

    /// What can be chosen from, what is, and what stands where it would come back.
    async fn choose_each(&self) -> Result<Found, ListingError> {
        let candidates = Candidates {
            plan: self.world.plan,
            target: self.world.target,
            backups: self.world.backups,
            witness: self.world.witness(),
            until: self.until,
        };
        let by_source = candidates.list(&self.asked.which).boxed_local().await?;
        let now = self.clock.now();
        let now = now.saturating_add(CLOCK_MARGIN).unwrap_or(now);
        let point = match self.asked.at {
            Some(instant) => Point::at(instant, now),
            None => Point::newest(now),
        };
        let sources: Vec<Namespace> = by_source.keys().cloned().collect();
        let standing = by_source.iter().map(|(source, backups)| {
            let names = backups.iter().map(|backup| backup.name.clone());
            (source.clone(), names.collect())
        });
        let standing = standing.collect();
        let chosen = candidates.choose(by_source, point).boxed_local();
        let (chosen, seen) = join(chosen, self.look_around(&sources)).await;
        Ok(Found {
            standing,
            chosen,
            seen,
        })
    }

    /// What whoever gave a backup's whole name for a source's meant.
    fn meant_by(&self, name: &Namespace) -> Option<String> {
        let mut targets = self.world.plan.targets.iter();
        let backup = targets.find_map(|target| BackupName::parse(&target.prefix, name.as_str()))?;
        let (source, at) = (backup.source(), backup.slot().instant());
        Some(format!(
            "it is the name of a backup, not of what it is a backup of; to have that back, ask for {source} as of {at}: `lifeboat restore {source} --at {at}` (in an event `names` and `at`)"
        ))
    }

    fn warn_about_the_gone(&mut self, gone: &[&BackupName]) {
        if let Some(first) = gone.first() {
            self.report.warn(format!(
                "{} of the backups that the plan's last run left sealed stand no more, such as `{first}`; Lifeboat never lets the newest of a source go, so somebody else deleted them, and older ones are restored",
                gone.len()
            ));
        }
    }

    fn miss_what_was_expected(
        &mut self,
        expected: Expected,
        found: &BTreeMap<Namespace, Vec<BackupName>>,
    ) {
        if let Some(why) = &expected.unasked {
            self.report.warn(format!(
                "which sources live could not be seen ({why}), so those without any backup are named only as far as the journal's last run knows them"
            ));
        }
        let template = &self.asked.template;
        let made = found
            .keys()
            .filter_map(|source| template.name(source))
            .collect();
        let found: BTreeSet<&Namespace> = found.keys().collect();
        let region = &self.world.plan.source.region;
        self.missing.extend(expected.without(&found, &made, region));
    }

    fn warn_about_what_was_made_later(&mut self, taken: &[Taken]) {
        let mut made_later = taken.iter().filter(|taken| taken.made_later > 0);
        if let Some(first) = made_later.next() {
            self.report.warn(format!(
                "of {} sources, such as {}, there are backups whose slot is not later than the time asked for and which were made after it, so that they may hold later writes; older ones are restored. For one of those, give its slot itself as the time",
                1 + made_later.count(),
                first.backup.source()
            ));
        }
    }

    pub(super) fn warn_about_the_unverified(&mut self) {
        let unverified = self.orders.iter();
        let unverified =
            unverified.filter(|order| !order.sealed && order.testimony.refuted.is_none());
        let unverified: Vec<&Order> = unverified.collect();
        if let Some(first) = unverified.first() {
            let message = format!(
                "{} of the backups were never verified, such as `{}`, because their sources have no other; look at what comes back before you rely on it",
                unverified.len(),
                first.backup
            );
            self.report.warn(message);
        }
        let passed_over = self.orders.iter().filter(|order| order.passed_over > 0);
        let passed_over: Vec<&Order> = passed_over.collect();
        if let Some(first) = passed_over.first() {
            let message = format!(
                "of {} sources, such as {}, there are newer backups that were never verified; the newest verified ones are restored",
                passed_over.len(),
                first.backup.source()
            );
            self.report.warn(message);
        }
    }
}
