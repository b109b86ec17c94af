//! The deleting half of a run: which sources are held, what is due, whether all of it may go at once.
//!
//! What it must never do: delete where this run could not prove a newer good backup, or more than a person has read.
//! The decision about each backup is [`crate::prune`]'s, and the last word before each DELETE the certificate's.
//!
//! # What a backup passes before it is deleted, in this order
//! 0. The run may delete at all: with a journal, it could be used and gave the plan's lease (`journaled.rs`); the listings are
//!    complete (`sides.rs`); the clocks agree; it makes no manual backup (`run.rs`). Else `deletion_stopped` in the report
//!    says why. And it is no dry run.
//! 1. Its name is ours: exactly prefix, source, ten digits, of a source that the plan selects ([`crate::prune::Inventory::of`]).
//! 2. Frozen sources are compared first; one that is in doubt keeps all its backups (`hold_the_frozen`).
//! 3. What restores hold could be read ([`crate::journal::Holds`]), else nothing of the target goes.
//! 4. The service told its creation and its seal; what could not be read keeps all backups of the source (`prune.rs`).
//! 5. No rule keeps it, and a newer good backup superseded it ([`retention::plan`]).
//! 6. Its source lives, and no job of this run ended without a sealed backup of it (`hold`, below); nor does a dry run only
//!    pretend to have made it.
//! 7. No restore holds it (`prune.rs`).
//! 8. The list of all that is due in the target is in proportion, or a person approved exactly it ([`crate::approval`]).
//! 9. Every name in the target's `hold` is a backup's there (`holds_are_known`): which one a mistyped name meant, nobody knows.
//! 10. Read anew a moment before: the backup, those that make it superfluous, and the holds (`prune.rs`).
//! 11. The certificate agrees, from these answers alone ([`crate::certificate::certify`]), and the clocks still do.
//!
//! Then the DELETE is sent, and the backup is looked for once more. README.md, "How deletion is decided", is the same for users.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::timeout_at;

use super::sides::{Live, Side};
use super::{Run, Step};
use crate::approval::{DueList, Leave, PlanHash};
use crate::coverage;
use crate::event::Action;
use crate::held_in_vain::held_in_vain;
use crate::journal::Holds;
use crate::name::{BackupName, Class, Namespace};
use crate::plan::Target;
use crate::prune::{DueOfSource, Inventory, Mode, Pruning};
use crate::retention::{self, Backup, Evidence, Keep, Policy};
use crate::service::{Patient, Service, ServiceError};
use crate::slot::Slot;
use crate::verify;

/// How far ahead a dry run says what falls due.
const DAYS_AHEAD: u32 = 7;

impl<'w, S: Service> Run<'_, 'w, S> {
    /// Prunes target after target. An approval is for one list of one target, and nothing else is deleted then.
    pub(super) async fn prune(&mut self, sides: &mut [Side<'_, S>], live: &Live) {
        let foretells_jobs = self.request.dry_run && self.request.action == Action::Backup;
        if !foretells_jobs {
            self.hold_the_frozen(sides, live).boxed_local().await;
        }
        let mut left = Vec::new();
        for side in sides {
            left.extend(self.prune_side(side, live).await);
        }
        let Some(approved) = &self.request.approve else {
            return;
        };
        // Where nothing could be decided, the reason has been told.
        if left.is_empty() || left.iter().any(|(leave, _)| *leave == Leave::Delete) {
            return;
        }
        let now = left
            .iter()
            .map(|(_, hash)| hash.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        self.report.fail("not_approved", format!(
            "`{approved}` is not the hash of what is due now ({now}), so nothing was deleted; run `lifeboat plan --plan {}`, read it, and approve the hash it prints",
            self.world.plan.name
        ));
    }

    /// A copy of a frozen source is born read-only, so even half of one looks sealed. Where no job of this invocation has
    /// compared a frozen source's backups, they are compared here, and one that is not true lets none of them go.
    async fn hold_the_frozen(&self, sides: &mut [Side<'_, S>], live: &Live) {
        for side in sides {
            let doubtful = live.iter().filter(|source| {
                let compared = self.compared.contains(&(side.at, (*source).clone()));
                !compared && side.known(source).len() > 1
            });
            let doubtful: Vec<&Namespace> = doubtful.collect();
            let seen: &Side<'_, S> = side;
            let looks = stream::iter(&doubtful)
                .map(|source| async move { (*source, self.flags_are_true(seen, source).await) })
                .buffer_unordered(self.in_flight())
                .filter_map(|(source, looked)| async move {
                    looked.is_ok_and(|yes| yes).then_some(source)
                })
                .collect::<BTreeSet<&Namespace>>();
            let sound = timeout_at(self.until, looks).await.unwrap_or_default();
            let held = doubtful.iter().filter(|source| !sound.contains(*source));
            let held: Vec<Namespace> = held.map(|source| (*source).clone()).collect();
            side.unsealed.extend(held);
        }
    }

    /// Whether a source is not frozen, or every sealed backup that was made since it was last written is what it is.
    pub(super) async fn flags_are_true(
        &self,
        side: &Side<'_, S>,
        source: &Namespace,
    ) -> Result<bool, ServiceError> {
        let Some(found) = self.world.source.metadata(source).await? else {
            return Ok(false);
        };
        if !found.read_only {
            return Ok(true);
        }
        let rows = self.world.source.count(source).await?;
        for backup in side.known(source) {
            let name = backup.name.namespace();
            let Some(copy) = side.service.metadata(name).await? else {
                continue;
            };
            if !copy.read_only || copy.created_at <= found.updated_at {
                continue;
            }
            if copy.schema != found.schema || side.service.count(name).await? != rows {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn prune_side(
        &mut self,
        side: &mut Side<'_, S>,
        live: &Live,
    ) -> Option<(Leave, PlanHash)> {
        let foretells_jobs = self.request.dry_run && self.request.action == Action::Backup;
        let covered = if foretells_jobs {
            self.covered(side, live).boxed_local().await
        } else {
            Live::new()
        };
        let Some(inventory) = &mut side.inventory else {
            self.stop_deletion_at(side.at, "the backups could not be listed to the end");
            return None;
        };
        self.report
            .add_inventory(side.at, inventory, self.request.dry_run);
        if self.report.deletion_is_stopped(side.at) || !self.clock.agrees() {
            return None;
        }
        if foretells_jobs {
            let copied = live.difference(&covered);
            if self.over_budget.is_some() {
                side.unsealed.extend(copied.cloned());
            } else {
                plan_copies(side.target, copied, self.slot, self.clock.now(), inventory);
            }
        }
        let mode = if self.request.dry_run {
            Mode::Show
        } else {
            Mode::Delete
        };
        let side = &*side;
        let inventory = side.inventory.as_ref()?;
        let due = self.decide(side, inventory, live, mode).await?;
        let (leave, hash) = self.judge(side, &due, inventory.planned());
        let holds_are_known = self.holds_are_known(side, inventory);
        if leave == Leave::Delete && holds_are_known && mode == Mode::Delete && self.clock.agrees()
        {
            self.delete(side, inventory, live, &due).await;
        }
        Some((leave, hash))
    }

    /// Whether every name in `hold` keeps what it names. Of one that keeps nothing nobody knows which backup it meant.
    fn holds_are_known(&mut self, side: &Side<'_, S>, inventory: &Inventory) -> bool {
        let in_vain = held_in_vain(&side.target.retention.hold, inventory);
        if in_vain.is_empty() {
            return true;
        }
        self.stop_deletion_at(side.at, "what `hold` names is not known");
        for message in in_vain {
            self.report.fail_target(side.at, "hold_unknown", message);
        }
        false
    }

    /// Sources that a run would not copy, because they did not change. One that can't be asked would be copied.
    async fn covered(&self, side: &Side<'_, S>, live: &Live) -> Live {
        let Some(rule) = self.world.plan.skip_unchanged else {
            return Live::new();
        };
        let looks = stream::iter(live)
            .map(|source| async move {
                let now = verify::observe(self.world.source, source, &self.clock).await;
                let (known, clock) = (side.known(source), &self.clock);
                let covering = match now {
                    Ok(Some(now)) => {
                        coverage::covering(side.service, &now, known, self.slot, rule, clock).await
                    }
                    _ => Ok(None),
                };
                covering.ok().flatten().map(|_| source.clone())
            })
            .buffer_unordered(self.in_flight())
            .filter_map(|covered| async move { covered })
            .collect::<Live>();
        timeout_at(self.until, looks).await.unwrap_or_default()
    }

    /// Decides about every backup of one target, and returns what is due; `None` when that can't be decided.
    pub(super) async fn decide(
        &mut self,
        side: &Side<'_, S>,
        inventory: &Inventory,
        live: &Live,
        mode: Mode,
    ) -> Option<Vec<DueOfSource>> {
        let hold = |source: &Namespace| hold(side, live, source);
        let pruning = self.pruning(side, &hold, mode);
        let (now, watch) = (self.clock.now(), self.world.watch);
        watch(Step::Pruning(inventory.sources().count()));
        let holds = match pruning.holds().await {
            Ok(holds) => holds,
            Err(error) => {
                self.report
                    .fail_target(side.at, error.word(), error.to_string());
                self.stop_deletion_at(side.at, "what is being restored could not be read");
                if self.request.action != Action::List {
                    return None;
                }
                // Whoever only looks, perhaps on the worst day, sees the rest.
                Holds::default()
            }
        };
        let report = &mut self.report;
        let mut not_reached = 0_u64;
        let due = pruning
            .decide(&holds, inventory, |source, backups, decided| {
                watch(Step::Pruned);
                not_reached += u64::from(decided.not_reached);
                report.add_decided(side.at, source, decided);
                if mode == Mode::Show {
                    let soon = soon(backups, &side.target.retention, now);
                    report.show_decisions(side.at, source, &decided.decisions, |name| {
                        soon.get(name.namespace()).copied()
                    });
                }
            })
            .await;
        self.report.set_decided(side.at);
        if not_reached > 0 {
            self.report.fail_target(side.at, "out_of_time", format!("time ran out before the backups of {not_reached} sources were looked at; the next run looks at them"));
        }
        Some(due)
    }

    /// Whether what is due in one target may be deleted, and the hash that stands for it. What a dry run would make counts as
    /// made: whoever reads that the brake holds must not find the list deleted in the morning.
    fn judge(
        &mut self,
        side: &Side<'_, S>,
        due: &[DueOfSource],
        planned: u64,
    ) -> (Leave, PlanHash) {
        let names: Vec<&str> = due
            .iter()
            .flat_map(|source| &source.due)
            .map(|(name, _)| name.namespace().as_str())
            .collect();
        let (backups, sealed) = self.report.standing_and_sealed(side.at);
        let list = DueList {
            plan: &self.world.plan.name,
            target: &side.target.name,
            region: &side.target.region,
            due: &names,
            backups: backups + planned,
            sealed: sealed + planned,
        };
        let (leave, hash) = (list.leave(self.request.approve.as_deref()), list.hash());
        self.report.set_deletion_plan(side.at, hash.clone());
        match leave {
            Leave::Delete => {}
            Leave::Braked => {
                self.stop_deletion_at(
                    side.at,
                    "the brake: more is due than one run may delete unread",
                );
                if !self.request.dry_run {
                    let (due, plan) = (names.len(), &self.world.plan.name);
                    self.report.fail_target(side.at, "braked", format!(
                        "{due} of {backups} backups are due at once, so nothing was deleted; run `lifeboat plan --plan {plan}`, read it, and if it is meant run `lifeboat prune --plan {plan} --approve {hash}`, or send {{\"action\": \"prune\", \"plan\": \"{plan}\", \"approve\": \"{hash}\"}}"
                    ));
                }
            }
            Leave::NotApproved if names.is_empty() => {}
            Leave::NotApproved => {
                self.stop_deletion_at(
                    side.at,
                    &format!(
                        "the approval is for another list; the hash of what is due here is {hash}"
                    ),
                );
            }
        }
        (leave, hash)
    }

    async fn delete(
        &mut self,
        side: &Side<'_, S>,
        inventory: &Inventory,
        live: &Live,
        due: &[DueOfSource],
    ) {
        let hold = |source: &Namespace| hold(side, live, source);
        let pruning = self.pruning(side, &hold, Mode::Delete);
        let report = &mut self.report;
        pruning
            .delete(due, inventory, |source, deletions| {
                report.add_deletions(side.at, source, &deletions);
            })
            .await;
    }

    fn pruning<'p>(
        &self,
        side: &'p Side<'_, S>,
        hold: &'p dyn Fn(&Namespace) -> Option<Keep>,
        mode: Mode,
    ) -> Pruning<'p, Patient<S>>
    where
        'w: 'p,
    {
        Pruning {
            plan: self.world.plan,
            target: side.target,
            service: side.service,
            hold,
            clock: self.clock.clone(),
            lease: self.lease.clone(),
            journal: self.world.journal,
            until: self.until,
            mode,
        }
    }
}

/// Why nothing of a source may be deleted in this run.
fn hold<S>(side: &Side<'_, S>, live: &Live, source: &Namespace) -> Option<Keep> {
    match (live.contains(source), side.unsealed.contains(source)) {
        (false, _) => Some(Keep::SourceGone),
        (true, true) => Some(Keep::JobNotSealed),
        (true, false) => None,
    }
}

/// What falls due in how many days, if nothing else changes.
fn soon(backups: &[Backup], policy: &Policy, now: Timestamp) -> BTreeMap<Namespace, u32> {
    let falls_due = retention::falls_due(backups, policy, now, DAYS_AHEAD);
    let later = falls_due.into_iter().filter(|(_, day)| *day > 0);
    later
        .map(|(name, day)| (name.namespace().clone(), day))
        .collect()
}

/// A dry run decides as the run would: after its copies were made and sealed.
fn plan_copies<'a>(
    target: &Target,
    copied: impl Iterator<Item = &'a Namespace>,
    slot: Slot,
    created_at: Timestamp,
    inventory: &mut Inventory,
) {
    for source in copied {
        if let Ok(name) = BackupName::of(&target.prefix, Class::Scheduled, source, slot) {
            let sealed = Evidence {
                created_at,
                sealed: true,
            };
            inventory.add_planned(&name, sealed);
        }
    }
}
