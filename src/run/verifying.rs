//! The actions that compare backups which stand already: `verify`, and `seal` on a person's word.
//!
//! A backup is compared with its live source if that was not written since; else with the backup of the same slot in
//! another target, if there is one; else nothing is proven, and that is said. Deletes nothing, and seals nothing that is
//! damaged, or that somebody may still be making.

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::error::Elapsed;
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::{READ_AT_ONCE, Run, Side, Step, Watch};
use crate::backup::JobState;
use crate::journal::RunKey;
use crate::name::{BackupName, Class, Namespace};
use crate::prune::Inventory;
use crate::service::{Service, ServiceError};
use crate::slot::{CLOCK_MARGIN, LATEST_START};
use crate::verify::{self, End, Finding, Level, Mismatch, Terms, Verdict, Verified, Way};

/// Backups that are compared before what was found is reported.
const REPORTED_AT_ONCE: usize = 1_000;

/// One backup that was picked, and the side it stands on.
type Picked<'s, 'w, S> = (&'s Side<'w, S>, BackupName);
/// What was found about a backup, unless a request failed or the time was up.
type Looked = Result<Result<Verified, ServiceError>, Elapsed>;
/// Why a backup is not sealed, in a stable word and a sentence.
type Unsealed = (&'static str, String);

impl<'w, S: Service> Run<'_, 'w, S> {
    /// Compares every backup that was picked, and changes nothing.
    pub(super) async fn verify(&mut self) {
        let classes = [Class::Scheduled, Class::Manual];
        let (live, sides) = self.list_sides(&classes).await;
        let picked = self.pick(&sides);
        if self.request.picked.names.is_empty() {
            self.tell_what_was_not_picked(picked.is_empty(), live.iter().flatten(), &sides);
        }
        (self.world.watch)(Step::Verifying(picked.len()));
        let level = self.request.picked.level.unwrap_or(self.world.plan.verify);
        // In parts, so that what was found is in the bounded report and not in memory.
        for part in picked.chunks(REPORTED_AT_ONCE) {
            for ((side, name), look) in self.look_at_all(part, level, &sides).await {
                match look {
                    Ok(Ok(verified)) => self.report.add_verified(verified),
                    Ok(Err(error)) => {
                        self.fail_backup_at(side.at, name, error.word(), error.to_string());
                    }
                    Err(_) => {
                        let message = if self.world.journal.is_some() && level == Level::Full {
                            "time ran out before it was compared; ask for fewer at once, or from a terminal. If rows of this one were being compared with its source or its like, that goes on about where it was for a day"
                        } else {
                            "time ran out before it was compared; ask for fewer at once, or from a terminal"
                        };
                        self.fail_backup_at(side.at, name, "out_of_time", message.into());
                    }
                }
            }
        }
    }

    /// Whoever asked for all of something should know what of it there is nothing of.
    fn tell_what_was_not_picked<'n>(
        &mut self,
        nothing: bool,
        live: impl Iterator<Item = &'n Namespace>,
        sides: &[Side<'w, S>],
    ) {
        let (request, plan) = (self.request, self.world.plan);
        let (prefix, target) = (&request.picked.prefix, &request.picked.target);
        let is_meant = |name: &String| target.as_ref().is_none_or(|target| target == name);
        let below = |source: &&Namespace| {
            let prefix = prefix.as_deref().unwrap_or_default();
            source.as_str().starts_with(prefix)
        };
        let meant = sides.iter().filter(|side| is_meant(&side.target.name));
        let live: Vec<&Namespace> = live.filter(below).collect();
        self.warn_about_the_unprotected(&live, meant);
        if nothing && self.report.failures.is_empty() {
            let targets = plan.targets.iter().map(|target| &target.name);
            let targets: Vec<&str> = targets
                .filter(|name| is_meant(name))
                .map(String::as_str)
                .collect();
            self.report.fail("nothing_to_verify", format!(
                "no backup of what is asked for stands in {}, so nothing was compared; `lifeboat list` shows what there is",
                targets.join(" or ")
            ));
        }
    }

    async fn look_at_all<'p, 's>(
        &self,
        picked: &'p [Picked<'s, 'w, S>],
        level: Level,
        sides: &[Side<'w, S>],
    ) -> Vec<(&'p Picked<'s, 'w, S>, Looked)> {
        let looks = stream::iter(picked).map(|one| async move {
            let (side, name) = one;
            let look = self.look_at(side, name, level, sides);
            let looked = timeout_at(self.until, look).await;
            (self.world.watch)(Step::Verified);
            (one, looked)
        });
        looks.buffer_unordered(READ_AT_ONCE).collect().await
    }

    /// Seals the backups that were named, each after a comparison that did not speak against it.
    pub(super) async fn seal(&mut self) {
        let (_, sides) = self.list_sides(&[Class::Scheduled, Class::Manual]).await;
        let level = self.request.picked.level.unwrap_or(self.world.plan.verify);
        // A seal says at least that the rows were counted, whatever was asked for.
        let level = level.max(Level::Count);
        for (side, name) in self.pick(&sides) {
            let work = self.seal_one(side, &name, level, &sides);
            let ended = timeout_at(self.until, work).await;
            let refused = match ended {
                Ok(Ok((verified, refused))) => {
                    self.report.add_verified(verified);
                    refused
                }
                Ok(Err(error)) => Some((error.word(), error.to_string())),
                Err(_) => Some((
                    "out_of_time",
                    "time ran out; look whether it is sealed".into(),
                )),
            };
            if let Some((word, message)) = refused {
                self.fail_backup_at(side.at, &name, word, message);
            }
        }
    }

    /// The backups that the request is about. Names that stand nowhere, or in several targets, are failures.
    pub(super) fn pick<'s>(&mut self, sides: &'s [Side<'w, S>]) -> Vec<Picked<'s, 'w, S>> {
        let picked = self.request.picked.clone();
        let wanted = |side: &&Side<'w, S>| {
            let target = picked.target.as_ref();
            target.is_none_or(|target| *target == side.target.name)
        };
        let sides: Vec<&Side<'w, S>> = sides.iter().filter(wanted).collect();
        if let (Some(target), true) = (&picked.target, sides.is_empty()) {
            let targets = self.world.plan.targets.iter();
            let known: Vec<&str> = targets.map(|target| target.name.as_str()).collect();
            let message = format!(
                "`{target}` could not be listed, or is no target of the plan; its targets are: {}",
                known.join(", ")
            );
            self.report.fail("unknown_target", message);
        }
        if picked.names.is_empty() {
            let of_side = |side: &&'s Side<'w, S>| {
                let side = *side;
                newest_or_all(side, picked.prefix.as_deref(), picked.all)
                    .into_iter()
                    .map(move |name| (side, name))
            };
            return sides.iter().flat_map(of_side).collect();
        }
        picked
            .names
            .iter()
            .filter_map(|name| self.pick_one(&sides, name))
            .collect()
    }

    fn pick_one<'s>(&mut self, sides: &[&'s Side<'w, S>], name: &str) -> Option<Picked<'s, 'w, S>> {
        let standing = sides.iter().filter_map(|side| {
            let mut backups = side.inventory.iter().flat_map(Inventory::sources);
            let found = backups.find_map(|(_, backups)| {
                let mut names = backups.iter().map(|backup| &backup.name);
                names
                    .find(|backup| backup.namespace().as_str() == name)
                    .cloned()
            });
            found.map(|found| (*side, found))
        });
        let mut standing: Vec<_> = standing.collect();
        match (standing.pop(), standing.as_slice()) {
            (Some(only), []) => Some(only),
            (None, _) => {
                let message = "no backup of this plan has this name in its targets; `lifeboat list` shows them all".into();
                self.report.fail_backup(None, name, "not_found", message);
                None
            }
            (Some((last, _)), others) => {
                let names = others.iter().map(|(side, _)| side).chain([&last]);
                let names: Vec<&str> = names.map(|side| side.target.name.as_str()).collect();
                let message = format!(
                    "it stands in several targets ({}); say which one, in `target` or with --target",
                    names.join(", ")
                );
                self.report.fail_backup(None, name, "ambiguous", message);
                None
            }
        }
    }

    pub(super) fn fail_backup_at(
        &mut self,
        at: usize,
        name: &BackupName,
        word: &'static str,
        message: String,
    ) {
        warn!(backup = %name, error = word, detail = message, "not done");
        let target = self.world.plan.targets.get(at);
        let target = target.map(|target| target.name.as_str());
        self.report
            .fail_backup(target, name.namespace().as_str(), word, message);
    }

    /// What can be proven about one backup, and what the journal says against it.
    async fn look_at(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
        level: Level,
        sides: &[Side<'_, S>],
    ) -> Result<Verified, ServiceError> {
        let verified = self.look_around(side, name, level, sides).boxed_local();
        let verified = verified.await?;
        let testimony = self.witness.testimony(&side.target.name, name).await;
        Ok(verified.in_view_of(&testimony))
    }

    /// Proves it by its source, else by its like in another target, else by itself.
    async fn look_around(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
        level: Level,
        sides: &[Side<'_, S>],
    ) -> Result<Verified, ServiceError> {
        let target = &side.target.name;
        let Some(shown) = side.service.metadata(name.namespace()).await? else {
            let mut gone = Verified::unproven(name, target, false, level);
            gone.finding = Finding::Damaged;
            gone.message = "it is listed, and yet not there".into();
            return Ok(gone);
        };
        let blank = Verified::unproven(name, target, shown.read_only, level);
        let so_far = self.by_source(blank, side, name, level).await?;
        if matches!(so_far.finding, Finding::Equal | Finding::Damaged) {
            return Ok(so_far);
        }
        let like = |other: &&Side<'_, S>| {
            let mut backups = other.known(name.source()).iter();
            other.at != side.at
                && backups.any(|backup| {
                    (backup.name.slot(), backup.name.class()) == (name.slot(), name.class())
                })
        };
        if let Some(other) = sides.iter().find(like)
            && let Some(verified) = self.by_sibling(&so_far, side, name, other, level).await?
        {
            return Ok(verified);
        }
        self.by_itself(so_far, side, name, level).await
    }

    /// Compares a backup with its live source, if it has one.
    async fn by_source(
        &self,
        blank: Verified,
        side: &Side<'_, S>,
        name: &BackupName,
        level: Level,
    ) -> Result<Verified, ServiceError> {
        let slot = name.slot().instant();
        let written = match self.world.source.metadata(name.source()).await {
            Ok(Some(source)) => source.updated_at >= slot - CLOCK_MARGIN,
            Ok(None) => return Ok(with_message(blank, "its source is gone".into())),
            Err(error) => {
                return Ok(with_message(
                    blank,
                    format!("its source can't be read: {error}"),
                ));
            }
        };
        // Of a source that was written since, only the count can say how much.
        let nearer = if written {
            level.min(Level::Count)
        } else {
            level
        };
        let source = End {
            service: self.world.source,
            namespace: name.source(),
        };
        let copy = End {
            service: side.service,
            namespace: name.namespace(),
        };
        let way = Way::default();
        let terms = self.terms(nearer, slot - CLOCK_MARGIN, &way);
        let compared = self.compare([source, copy], &side.target.name, terms);
        let found = compared.boxed_local().await?;
        let mut verified = blank.with_source(found);
        if nearer < level && verified.finding == Finding::Equal {
            verified.finding = Finding::Drifted;
            verified.message = format!(
                "schema and count are its source's, but that was written since {slot} or shortly before, so rows can't be compared"
            );
        }
        Ok(verified)
    }

    /// Compares a backup with that of the same slot in another target, unless that one is not there.
    async fn by_sibling(
        &self,
        so_far: &Verified,
        side: &Side<'_, S>,
        name: &BackupName,
        other: &Side<'_, S>,
        level: Level,
    ) -> Result<Option<Verified>, ServiceError> {
        let Some(sibling) = other.known(name.source()).iter().find(|backup| {
            (backup.name.slot(), backup.name.class()) == (name.slot(), name.class())
        }) else {
            return Ok(None);
        };
        let one = End {
            service: other.service,
            namespace: sibling.name.namespace(),
        };
        let two = End {
            service: side.service,
            namespace: name.namespace(),
        };
        let way = Way::default();
        let terms = self.terms(level, Timestamp::MAX, &way);
        let compared = self.compare([one, two], &side.target.name, terms);
        let found = compared.boxed_local().await?;
        if matches!(found.verdict, Verdict::Differs(Mismatch::SourceGone { .. })) {
            return Ok(None);
        }
        let verified = so_far.clone().with_sibling(&other.target.name, found);
        let message = format!("{}; {}", so_far.message, verified.message);
        Ok(Some(with_message(verified, message)))
    }

    /// What a backup says of itself: that its rows can be counted, and at the level `full` that all of them can be read.
    async fn by_itself(
        &self,
        so_far: Verified,
        side: &Side<'_, S>,
        name: &BackupName,
        level: Level,
    ) -> Result<Verified, ServiceError> {
        let end = End {
            service: side.service,
            namespace: name.namespace(),
        };
        let Some(seen) = verify::observe(end.service, end.namespace, &self.clock).await? else {
            // Nothing of it was counted.
            return Ok(Verified {
                sealed: false,
                level: Level::Metadata,
                ..with_message(so_far, "it was deleted while it was looked at".into())
            });
        };
        let mut verified = Verified {
            rows: seen.rows,
            ..so_far
        };
        let mut message = format!(
            "{}; by itself it has {} rows, and about {} by the service's estimate",
            verified.message, seen.rows, seen.metadata.approx_rows
        );
        if level == Level::Full {
            let watch = Watch(self.world.watch);
            let (rows, digest, cost) = verify::read_through(end, &seen, watch).await?;
            verified.cost += cost;
            verified.digest = Some(digest);
            message = format!("{message}; {rows} could be read");
        }
        Ok(with_message(verified, message))
    }

    fn terms<'t>(&'t self, level: Level, still_since: Timestamp, way: &'t Way) -> Terms<'t> {
        Terms {
            level,
            still_since,
            seed: verify::seed(&self.clock),
            clock: &self.clock,
            way,
            watch: Watch(self.world.watch),
        }
    }

    /// Compares one backup and seals it if nothing speaks against it: what was found, and why it is not sealed.
    async fn seal_one(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
        level: Level,
        sides: &[Side<'_, S>],
    ) -> Result<(Verified, Option<Unsealed>), ServiceError> {
        let mut verified = self.look_at(side, name, level, sides).await?;
        let refused = match verified.finding {
            // The report says it already.
            Finding::Damaged => return Ok((verified, None)),
            _ if verified.sealed => Some(("sealed_already", "it is sealed already".to_owned())),
            _ => self.why_not_sealed(side, name).await?,
        };
        if refused.is_some() || self.request.dry_run {
            return Ok((verified, refused));
        }
        verified.sealed = side.service.set_read_only(name.namespace(), true).await?;
        if !verified.sealed {
            let shown = side.service.metadata(name.namespace()).await?;
            verified.sealed = shown.is_some_and(|shown| shown.read_only);
        }
        info!(job = name.source().as_str(), backup = %name, finding = verified.finding.word(), sealed = verified.sealed, "sealed by hand");
        let not_shown = || {
            (
                "seal_not_shown",
                "the service accepted read_only and does not show it".to_owned(),
            )
        };
        let refused = (!verified.sealed).then(not_shown);
        if refused.is_none() {
            self.remember_the_seal(side, name, &verified).await;
        }
        Ok((verified, refused))
    }

    /// What a run said of a backup that it left unsealed is over, and from now on the journal knows what was sealed.
    async fn remember_the_seal(&self, side: &Side<'_, S>, name: &BackupName, found: &Verified) {
        let (Some(journal), Some(lease)) = (self.world.journal, &self.lease) else {
            return;
        };
        let key = RunKey {
            plan: self.world.plan.name.clone(),
            slot: name.slot(),
            class: name.class(),
        };
        let backup = (side.target.name.as_str(), name.namespace().as_str());
        let amended = journal.amend_record(lease, &key, backup, |job| {
            JobState::Sealed.word().clone_into(&mut job.state);
            job.rows = found.rows;
            job.error = None;
            job.message = Some(format!("sealed by hand: {}", found.message));
        });
        if let Err(error) = amended.await {
            warn!(backup = %name, error = error.word(), detail = %error, "the journal was not told of the seal");
        }
    }

    /// What keeps a backup from being sealed, whatever a comparison says.
    async fn why_not_sealed(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
    ) -> Result<Option<Unsealed>, ServiceError> {
        if self.is_being_made(name).await {
            return Ok(Some(("still_open", "its run is still open in the journal, or the journal can't be read, so it may still be copied; `lifeboat resume` carries on with it".into())));
        }
        let Some(shown) = side.service.metadata(name.namespace()).await? else {
            return Ok(Some(("not_found", "it is gone".into())));
        };
        let lag = shown.created_at.duration_since(name.slot().instant());
        if !(-CLOCK_MARGIN..=LATEST_START).contains(&lag) {
            return Ok(Some((
                "not_ours",
                format!(
                    "the service created it {:.0}, which its name can't explain, so retention would never count it",
                    shown.created_at
                ),
            )));
        }
        Ok(None)
    }

    /// Whether an open run may still be making this backup. In doubt it is.
    pub(super) async fn is_being_made(&self, name: &BackupName) -> bool {
        let Some(journal) = self.world.journal else {
            return false;
        };
        let Ok(open) = journal.open_runs().await else {
            return true;
        };
        open.runs.iter().any(|open| {
            (&open.key.plan, open.key.slot, open.key.class)
                == (&self.world.plan.name, name.slot(), name.class())
        })
    }
}

fn with_message(verified: Verified, message: String) -> Verified {
    Verified {
        message,
        ..verified
    }
}

/// The newest backup of each source of a side, or all of them.
fn newest_or_all<S>(side: &Side<'_, S>, prefix: Option<&str>, all: bool) -> Vec<BackupName> {
    let sources = side.inventory.iter().flat_map(Inventory::sources);
    let sources = sources
        .filter(|(source, _)| prefix.is_none_or(|prefix| source.as_str().starts_with(prefix)));
    let picked = sources.flat_map(|(_, backups)| {
        let from = if all {
            0
        } else {
            backups.len().saturating_sub(1)
        };
        backups.iter().skip(from).map(|backup| backup.name.clone())
    });
    picked.collect()
}
