//! What is due of a plan's tiers: one list for each region, judged as a whole, and then deleted one by one.
//!
//! What it must never do: delete where the list of backups, the clock or what is being restored is in doubt, or more than a
//! person has read. The last word before each DELETE is the certificate's ([`super::sending`]).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::certified::Place;
use super::decide::Deciding;
use super::making::Tended;
use super::standing::{Decided, Own, Standing};
use super::told::{DueInRegion, TierFate, TierLine};
use super::verdicts::regions;
use crate::approval::{DueList, Leave};
use crate::journal::{Holds, JournalError, Lease, Owned, Tier};
use crate::listing::ReadToTheEnd;
use crate::plan::Tiers;
use crate::service::Region;
use crate::slot::{CLOCK_MARGIN, Slot};
use crate::zilliz::journaled::Journaled;
use crate::zilliz::manual;
use crate::zilliz::notes::News;
use crate::zilliz::run::Run;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Backup, Cluster};

/// A cluster whose tiers may be looked at, and its list of backups, which is complete.
pub(super) struct Looked<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) tiers: Vec<Tier>,
    listed: Vec<Backup>,
    pub(super) complete: ReadToTheEnd,
    /// A dry run: one more would be made.
    would_make: bool,
}

/// One due tier, and whose it is.
pub(super) struct Due {
    /// Which of the clusters.
    at: usize,
    pub(super) own: Own,
    pub(super) standing: Rc<Standing>,
}

impl<T: Transport> Run<'_, '_, T> {
    /// Looks at everything that is the plan's own, and deletes what is due. Whether any list may go at all, by the brake or by
    /// what was approved.
    pub(super) async fn prune_tiers(
        &mut self,
        rules: &Tiers,
        tended: &[Tended<'_>],
        journaled: &Journaled,
    ) -> bool {
        let Some(journal) = self.world.journal else {
            return false;
        };
        let failed = self.report.failures.len();
        let mut looked = self.look_at_lists(tended).boxed_local().await;
        let mut doubtful = self.report.failures.len() > failed;
        if looked.is_empty() || !self.clocks_agree() {
            return false;
        }
        let holds = match journal.holds(self.world.clock.now()).await {
            Ok(holds) => holds,
            Err(error) => {
                let message = format!(
                    "what is being restored could not be read, so no tier was deleted: {error}"
                );
                self.report.fail(None, None, error.word(), message);
                return false;
            }
        };
        let lease = journaled.lease.as_deref();
        let mut due: BTreeMap<Region, (u64, Vec<Due>)> = BTreeMap::new();
        for at in 0..looked.len() {
            let Some(one) = looked.get_mut(at) else {
                continue;
            };
            let regions = self.regions_of(one);
            let in_doubt = self.look_for_unlisted(one, &regions, journaled);
            if in_doubt.boxed_local().await {
                doubtful = true;
                continue;
            }
            let mut going = BTreeSet::new();
            for region in regions {
                let standing = Rc::new(self.standing(one, &region));
                let in_region = due.entry(region.clone()).or_default();
                let there = standing.own.iter().filter(|own| own.id.is_some());
                in_region.0 += u64::try_from(there.count()).unwrap_or(u64::MAX);
                let decided = self.decide(one, &region, &standing, rules, (&holds, &going));
                going.extend(decided.iter().map(|own| (own.slot, region.clone())));
                in_region.1.extend(decided.into_iter().map(|own| Due {
                    at,
                    own,
                    standing: Rc::clone(&standing),
                }));
            }
        }
        // The brake judges all that is due at once. Without one cluster's list it would see a part.
        if doubtful && !self.request.dry_run {
            self.report.warn("the backups of a cluster could not be listed for certain, so no tier of any was deleted; what is due is judged once all can be".to_owned());
            return false;
        }
        self.delete_lists(rules, &mut looked, due, tended, lease)
            .boxed_local()
            .await
    }

    /// The lists of all clusters that may be looked at. A cluster that lacks its newest lets nothing go, so the brake counts
    /// nothing of it, neither as due nor among what stands.
    async fn look_at_lists<'a>(&mut self, tended: &[Tended<'a>]) -> Vec<Looked<'a>> {
        let (client, until) = (self.world.client, self.until);
        let may = tended.iter().filter(|tended| {
            !tended.lacks_one && tended.tiers.iter().any(|tier| tier.owned().is_some())
        });
        let looks = may.map(|tended| {
            async move {
                let listed = client.backups_to_the_end(&tended.cluster.cluster_id);
                (tended, timeout_at(until, listed).await)
            }
            .boxed_local()
        });
        let lists: Vec<_> = stream::iter(looks)
            .buffered(manual::AT_ONCE)
            .collect()
            .await;
        let mut looked = Vec::new();
        for (tended, listed) in lists {
            match listed {
                Ok(Ok((listed, complete))) => looked.push(Looked {
                    cluster: tended.cluster,
                    tiers: tended.tiers.clone(),
                    listed,
                    complete,
                    would_make: tended.would_make,
                }),
                Err(_) => self.out_of_time(Some(&tended.cluster.cluster_id)),
                Ok(Err(error)) => {
                    let message = format!("none of its tiers was deleted: {error}");
                    let id = Some(tended.cluster.cluster_id.as_str());
                    self.report.fail(id, None, error.word(), message);
                }
            }
        }
        looked
    }

    fn clocks_agree(&mut self) -> bool {
        let ahead = self.world.client.ahead_seconds();
        if ahead.unsigned_abs() <= CLOCK_MARGIN.unsigned_abs().as_secs() {
            return true;
        }
        let (apart, way) = (ahead.abs(), if ahead > 0 { "behind" } else { "ahead of" });
        self.report.fail(None, None, "clocks_disagree", format!(
            "the local clock is {apart} seconds {way} the service's, more than five minutes, so no tier was deleted; set the clock right"
        ));
        false
    }

    /// The regions in which tiers may be deleted, the originals' last; what lies elsewhere is shown and left.
    fn regions_of(&mut self, looked: &Looked<'_>) -> Vec<Region> {
        let home = looked.cluster.region_id.as_deref();
        let regions = regions(self.world.plan, home);
        for tier in &looked.tiers {
            let backups = tier.owned().map(|owned| &owned.backups);
            for (region, id) in backups.into_iter().flatten() {
                if !regions.contains(region) {
                    let why = "its region is no target of the plan any more, so it stays; delete it by hand when nobody needs it";
                    let line = line(
                        looked.cluster,
                        region,
                        Some(id),
                        tier.slot,
                        TierFate::Stays,
                        why,
                    );
                    self.report.tiers.lines.push(line);
                }
            }
        }
        regions
    }

    fn standing(&self, looked: &Looked<'_>, region: &Region) -> Standing {
        let place = place(looked.cluster, region);
        let planned = (self.slot, self.world.client.now());
        let planned = Some(planned).filter(|_| looked.would_make);
        Standing::of(place, &looked.tiers, &looked.listed, planned)
    }

    /// Asks for tiers that the list does not show. Whether the list is in doubt: it leaves out one that is there, or may be, and
    /// then perhaps also what keeps another one.
    async fn look_for_unlisted(
        &mut self,
        looked: &mut Looked<'_>,
        regions: &[Region],
        journaled: &Journaled,
    ) -> bool {
        let mut in_doubt = false;
        for region in regions {
            for own in self.standing(looked, region).unlisted {
                let id = own.id.as_deref().unwrap_or_default();
                let described = self.world.client.backup(&looked.cluster.cluster_id, id);
                let (word, why) = match described.await {
                    Ok(None) => {
                        self.tell_vanished(looked, region, &own, journaled).await;
                        continue;
                    }
                    Ok(Some(_)) => ("listing", "it can still be described".to_owned()),
                    Err(error) => (error.word(), error.to_string()),
                };
                self.tell_doubt(looked, region, &own, word, &why);
                in_doubt = true;
            }
        }
        in_doubt
    }

    fn tell_doubt(
        &mut self,
        looked: &Looked<'_>,
        region: &Region,
        own: &Own,
        word: &'static str,
        why: &str,
    ) {
        let (cluster, id) = (looked.cluster, own.id.as_deref().unwrap_or_default());
        let why = format!(
            "the list does not show it, and {why}; nothing of its cluster is deleted on such a list"
        );
        let slot = own.slot.instant();
        let message = format!("the tier of {slot} ({id}) stays: {why}");
        let of = Some(cluster.cluster_id.as_str());
        self.report.fail(of, Some(region), word, message);
        let id = own.id.as_ref();
        let line = line(cluster, region, id, own.slot, TierFate::Stays, &why);
        self.report.tiers.lines.push(line);
    }

    /// Tells of a tier that is gone, and forgets it, so that it is told once.
    async fn tell_vanished(
        &mut self,
        looked: &mut Looked<'_>,
        region: &Region,
        own: &Own,
        journaled: &Journaled,
    ) {
        let (cluster, id) = (looked.cluster, own.id.as_deref().unwrap_or_default());
        let Some(tier) = looked.tiers.iter_mut().find(|tier| tier.slot == own.slot) else {
            return;
        };
        let ours = tier
            .owned()
            .is_some_and(|owned| owned.leaving.contains(region));
        let (fate, why) = if ours {
            (TierFate::Deleted, "an earlier invocation had deleted it")
        } else {
            (
                TierFate::Vanished,
                "it is the plan's own, is not in the list, and this plan did not delete it; somebody did",
            )
        };
        let mut news = None;
        if ours {
            self.report.tiers.deleted += 1;
        } else {
            let message = format!("the tier of {} ({id}) is gone: {why}", own.slot.instant());
            let of = Some(cluster.cluster_id.as_str());
            self.report
                .fail(of, Some(region), "vanished", message.clone());
            news = Some(News {
                cluster: of.map(str::to_owned),
                region: Some(region.clone()),
                error: Some("vanished".to_owned()),
                message,
            });
        }
        self.report.tiers.owned = self.report.tiers.owned.saturating_sub(1);
        let line = line(cluster, region, own.id.as_ref(), own.slot, fate, why);
        self.report.tiers.lines.push(line);
        // A `prune` has no last word, so it leaves that to the next `backup`.
        if let Some(lease) = journaled.lease.as_deref()
            && journaled.tell_at_last(news).await
        {
            let changed = self
                .rewrite(lease, tier, |owned| disown(owned, region))
                .await;
            self.told(changed);
        }
    }

    /// What is due of one cluster in one region; a dry run shows everything with its reasons.
    fn decide(
        &mut self,
        looked: &Looked<'_>,
        region: &Region,
        standing: &Standing,
        rules: &Tiers,
        (holds, going): (&Holds, &BTreeSet<(Slot, Region)>),
    ) -> Vec<Own> {
        let held = |id: &str| holds.holder_anywhere(id).map(str::to_owned);
        let now = self.world.clock.now();
        let deciding = Deciding {
            plan: self.world.plan,
            rules,
            home: looked.cluster.region_id.as_ref(),
            tiers: &looked.tiers,
            now,
        };
        let decided = deciding.in_region(region, (standing, &looked.listed), going, held);
        if self.request.dry_run {
            for decided in &decided {
                self.show(looked.cluster, region, decided);
            }
        }
        let due = decided.into_iter().filter(Decided::is_due);
        due.map(|decided| decided.own).collect()
    }

    fn show(&mut self, cluster: &Cluster, region: &Region, decided: &Decided) {
        self.report.tiers.lines.push(TierLine {
            cluster: cluster.cluster_id.clone(),
            name: cluster.shown().to_owned(),
            region: region.clone(),
            backup: decided.own.id.clone(),
            slot: decided.own.slot.instant(),
            fate: if decided.is_due() {
                TierFate::Due
            } else {
                TierFate::Kept
            },
            why: decided.why(),
        });
    }

    /// Judges the list of each region as a whole, and deletes what may go.
    async fn delete_lists(
        &mut self,
        rules: &Tiers,
        looked: &mut [Looked<'_>],
        due: BTreeMap<Region, (u64, Vec<Due>)>,
        tended: &[Tended<'_>],
        lease: Option<&Lease>,
    ) -> bool {
        let mut approved_one = false;
        let mut lists = Vec::new();
        for (region, (backups, due)) in due {
            if due.is_empty() {
                continue;
            }
            let names: Vec<&str> = due
                .iter()
                .map(|due| due.own.name.namespace().as_str())
                .collect();
            let list = DueList {
                plan: &self.world.plan.name,
                target: &region,
                region: &region,
                due: &names,
                backups,
                sealed: made_in(tended, &region),
            };
            let allowed = list.leave(self.request.approve.as_deref());
            let goes = allowed == Leave::Delete && self.holds_are_known;
            approved_one |= goes;
            self.tell_list(&region, &list, &allowed);
            if goes && !self.request.dry_run {
                lists.push((region, due));
            }
        }
        let Some(lease) = lease else {
            return approved_one;
        };
        for originals in [false, true] {
            for (region, due) in &lists {
                for due in due {
                    let looked = looked.get_mut(due.at);
                    let of_this_pass = |looked: &&mut Looked<'_>| {
                        (looked.cluster.region_id.as_ref() == Some(region)) == originals
                    };
                    if let Some(looked) = looked.filter(of_this_pass) {
                        self.delete_one(rules, looked, region, due, lease)
                            .boxed_local()
                            .await;
                    }
                }
            }
        }
        approved_one
    }

    fn tell_list(&mut self, region: &Region, list: &DueList<'_>, leave: &Leave) {
        let (due, hash) = (list.due.len(), list.hash());
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let stopped = match leave {
            _ if !self.holds_are_known => Some("what `hold` names is not known"),
            Leave::Delete => None,
            Leave::Braked => Some("the brake: more is due than one run may delete unread"),
            Leave::NotApproved => Some("another list of deletions was approved"),
        };
        if *leave == Leave::Braked && self.holds_are_known && !self.request.dry_run {
            let message = format!(
                "{due} of {} tiers are due at once, so none was deleted; run `lifeboat plan --plan {plan}`, read it, and if it is meant run `lifeboat prune --plan {plan} --approve {hash}`, or send {{\"action\": \"prune\", \"plan\": \"{plan}\", \"approve\": \"{hash}\"}}",
                list.backups,
                plan = list.plan
            );
            self.report.fail(None, Some(region), "braked", message);
        }
        self.report.tiers.due += due;
        self.report.tiers.regions.push(DueInRegion {
            region: region.clone(),
            backups: list.backups,
            due,
            hash,
            stopped,
        });
    }

    async fn delete_one(
        &mut self,
        rules: &Tiers,
        looked: &mut Looked<'_>,
        region: &Region,
        due: &Due,
        lease: &Lease,
    ) {
        let Some(at) = looked
            .tiers
            .iter()
            .position(|tier| tier.slot == due.own.slot)
        else {
            return;
        };
        let deleted = self
            .delete(rules, looked, at, region, due, lease)
            .boxed_local();
        let deleted = timeout_at(self.until, deleted).await.unwrap_or_else(|_| {
            let message = "time ran out during this deletion; the next run looks again";
            Err(("out_of_time", message.into()))
        });
        let Some(tier) = looked.tiers.get_mut(at) else {
            return;
        };
        let (cluster, id) = (looked.cluster, due.own.id.as_deref().unwrap_or_default());
        let slot = tier.slot.instant();
        let (fate, why) = match deleted {
            Ok(()) => {
                info!(backup = id, region = region.as_str(), %slot, "a tier was deleted");
                self.report.tiers.owned = self.report.tiers.owned.saturating_sub(1);
                self.report.tiers.deleted += 1;
                let disowned = self
                    .rewrite(lease, tier, |owned| disown(owned, region))
                    .await;
                self.told(disowned);
                (TierFate::Deleted, "no rule kept it".to_owned())
            }
            Err((word, why)) => {
                warn!(backup = id, region = region.as_str(), %slot, error = word, detail = why, "a due tier stays");
                let message = format!("the tier of {slot} ({id}) is due and stays: {why}");
                let of = Some(cluster.cluster_id.as_str());
                self.report.fail(of, Some(region), word, message);
                (TierFate::Stays, why)
            }
        };
        let line = line(
            cluster,
            region,
            due.own.id.as_ref(),
            due.own.slot,
            fate,
            &why,
        );
        self.report.tiers.lines.push(line);
    }

    fn told(&mut self, written: Result<(), JournalError>) {
        if let Err(error) = written {
            let message = format!("what became of a tier could not be written down: {error}");
            self.report.fail(None, None, error.word(), message);
        }
    }
}

pub(super) fn place<'a>(cluster: &'a Cluster, region: &'a Region) -> Place<'a> {
    Place {
        cluster: &cluster.cluster_id,
        region,
    }
}

/// What is gone is nobody's.
fn disown(owned: &mut Owned, region: &Region) {
    owned.backups.remove(region);
    owned.leaving.remove(region);
}

/// Tiers that came in just now, in one region; a dry run counts those that would.
fn made_in(tended: &[Tended<'_>], region: &Region) -> u64 {
    let lines = tended.iter().flat_map(|tended| &tended.lines);
    let there = |state: &str| matches!(state, "available" | "planned");
    let made = lines.filter(|line| line.region == *region && there(&line.state));
    u64::try_from(made.count()).unwrap_or(u64::MAX)
}

fn line(
    cluster: &Cluster,
    region: &Region,
    backup: Option<&String>,
    slot: Slot,
    fate: TierFate,
    why: &str,
) -> TierLine {
    TierLine {
        cluster: cluster.cluster_id.clone(),
        name: cluster.shown().to_owned(),
        region: region.clone(),
        backup: backup.cloned(),
        slot: slot.instant(),
        fate,
        why: why.to_owned(),
    }
}
