//! Makes a cluster's tier for the present period, and carries on with those that nobody saw end.
//!
//! A tier is written down before its request is sent, by its slot, so that whichever run comes next finds it: one request
//! for each slot, however often runs die. Its ids become the plan's own once its end is known, and not before. What it must
//! never do: ask for a second one while it is unknown what became of the first.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::info;

use super::proof::surely_made;
use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::event::ByHand;
use crate::journal::{JobLine, Journal, Owned, Tier, TierState};
use crate::plan::{ClusterPlan, Tiers};
use crate::service::Region;
use crate::slot::{CLOCK_MARGIN, Slot};
use crate::zilliz::client::{Client, ZillizError};
use crate::zilliz::copies::LONGEST;
use crate::zilliz::facts::{Facts, Record};
use crate::zilliz::journaled::Journaled;
use crate::zilliz::manual::{Hand, Made, Others};
use crate::zilliz::notes::{Begun, News, Past, Pasts};
use crate::zilliz::run::{describe, left_out};
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Backup, Cluster};

/// Where a failure lies, its word, and what happened.
pub(super) type Failure = (Option<Region>, &'static str, String);

/// As long as a run may begin its tier; then the next night's event has come.
const ITS_NIGHT: SignedDuration = SignedDuration::from_hours(24);

/// One tier is settled before the next is asked for, so no other one can be its answer; and what a person had made may be,
/// because what is found so is never deleted.
static NOBODYS: BTreeSet<String> = BTreeSet::new();

/// Whatever is needed for one cluster.
pub(super) struct Making<'a, 'c, T> {
    pub(super) plan: &'a ClusterPlan,
    pub(super) client: &'a Client<T>,
    pub(super) clock: &'a Clock,
    pub(super) journal: &'a Journal,
    /// In a dry run it has no lease, and nothing is written.
    pub(super) run: &'a Journaled,
    pub(super) cluster: &'c Cluster,
    pub(super) slot: Slot,
    pub(super) until: Instant,
    pub(super) dry_run: bool,
    pub(super) resumes: bool,
    /// Not when only what is due is to be deleted: then what is being made is left to the run that makes it.
    pub(super) makes: bool,
    /// Why no backup may be asked for; what was asked for before is followed.
    pub(super) over_budget: Option<&'a OverBudget>,
}

/// What one cluster came to.
pub(super) struct Tended<'a> {
    pub(super) cluster: &'a Cluster,
    /// Its tiers as they stand in the journal now, oldest first.
    pub(super) tiers: Vec<Tier>,
    pub(super) lines: Vec<JobLine>,
    pub(super) failures: Vec<Failure>,
    pub(super) warnings: Vec<String>,
    /// One is being made, or may be, or waits for its turn, so the run stays open.
    pub(super) is_open: bool,
    /// One that should have been made is not there, so nothing of the cluster is deleted.
    pub(super) lacks_one: bool,
    /// A dry run: one would be made.
    pub(super) would_make: bool,
}

/// Whether a new tier is to be made for `slot`: its period has none, and nothing newer stands. What a wrong clock dated later
/// than `now` covers its own period for that clock, and nothing for a clock that is right.
pub(super) fn is_due(
    rules: &Tiers,
    zone: &TimeZone,
    tiers: &[Tier],
    slot: Slot,
    now: Timestamp,
) -> bool {
    let finest = rules.finest();
    let period = |slot: Slot| finest.first_day(zone.to_datetime(slot.instant()).date());
    let is_later = |slot: Slot| slot.instant().duration_since(now) > CLOCK_MARGIN;
    let covers = |tier: &Tier| {
        let same = period(tier.slot) == period(slot);
        if is_later(tier.slot) && !(is_later(slot) && same) {
            return false;
        }
        let failed = matches!(tier.state, TierState::Failed { .. });
        tier.slot >= slot || (!failed && same)
    };
    !tiers.iter().any(covers)
}

/// Whether it is too late for a tick to begin the tier of a slot: what it made would be dated back, and something older would
/// go for it.
pub(super) fn is_too_late(slot: Slot, now: Timestamp) -> bool {
    now.duration_since(slot.instant()) > ITS_NIGHT
}

/// Ids of everything that is known of a tier.
pub(super) fn ids(tier: &Tier) -> Vec<String> {
    match &tier.state {
        TierState::Owned(Owned { backups, .. }) | TierState::Adopted { backups } => {
            backups.values().cloned().collect()
        }
        TierState::BeingMade { facts } => {
            let past = Pasts::of(facts, None).of_cluster(&tier.cluster);
            past.ids().cloned().collect()
        }
        TierState::Failed { .. } => Vec::new(),
    }
}

impl Tended<'_> {
    /// Backups and copies that are there now, and were not before.
    pub(super) fn made(&self) -> u64 {
        let there = self.lines.iter().filter(|line| line.state == "available");
        u64::try_from(there.count()).unwrap_or(u64::MAX)
    }

    /// The size of a backup, if this invocation saw it.
    fn bytes_of(&self, backup: Option<&String>) -> u64 {
        let mut lines = self.lines.iter();
        let line = lines.find(|line| backup.is_some() && line.backup.as_ref() == backup);
        line.map_or(0, |line| line.bytes_written)
    }

    /// What a run's history keeps of the tier of its slot.
    pub(super) fn history(&self, slot: Slot) -> Vec<JobLine> {
        let of_slot = self.tiers.iter().find(|tier| tier.slot == slot);
        let Some(tier) = of_slot else {
            return Vec::new();
        };
        let line = |region: &str, backup: Option<&String>, why: Option<&String>| {
            let state = if why.is_some() { "failed" } else { "available" };
            JobLine {
                backup: backup.cloned(),
                bytes_written: self.bytes_of(backup),
                started_at: Some(slot.instant()),
                progress: Some("a tier".into()),
                error: why.map(|_| "no_tier".to_owned()),
                message: why.cloned(),
                ..JobLine::of(region, region, &tier.cluster, state)
            }
        };
        let home = self.cluster.region_id.clone().unwrap_or_default();
        match &tier.state {
            TierState::BeingMade { .. } => Vec::new(),
            TierState::Owned(owned) => {
                let there = owned.backups.iter();
                let there = there.map(|(region, backup)| line(region, Some(backup), None));
                let lacking = lacking(owned).map(|(region, why)| line(region, None, Some(why)));
                there.chain(lacking).collect()
            }
            TierState::Adopted { backups } => {
                let there = backups.iter();
                there
                    .map(|(region, backup)| line(region, Some(backup), None))
                    .collect()
            }
            TierState::Failed { why } => vec![line(&home, None, Some(why))],
        }
    }
}

impl<'a, 'c, T: Transport> Making<'a, 'c, T> {
    /// Settles what is open, oldest first, and then makes the one that is due.
    pub(super) async fn tend(&self, tiers: Vec<Tier>) -> Tended<'c> {
        let mut tended = Tended {
            cluster: self.cluster,
            tiers: Vec::new(),
            lines: Vec::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
            is_open: false,
            lacks_one: false,
            would_make: false,
        };
        if self.cluster.region_id.is_none() {
            let message = "the service does not say its region, so its tiers are left alone";
            tended.failures.push((None, "no_region", message.into()));
            (tended.tiers, tended.lacks_one) = (tiers, true);
            return tended;
        }
        for tier in tiers {
            if tier.is_being_made() && (self.dry_run || !self.makes) {
                let of = tier.slot.instant();
                let told = format!("the tier of {of} is being made; `resume` looks again");
                tended.warnings.push(told);
                tended.is_open = true;
                tended.tiers.push(tier);
            } else if self.is_a_later_nights(&tier) {
                tended.tiers.push(tier);
            } else if tier.is_being_made() {
                let record = self.record(Some(tier));
                self.work_at(record, &mut tended).boxed_local().await;
            } else if self.is_over(&tier) {
                self.forget(tier, &mut tended).await;
            } else {
                self.tell_failed(&tier, &mut tended);
                tended.tiers.push(tier);
            }
        }
        let Some(rules) = &self.plan.tiers else {
            return tended;
        };
        let (zone, now) = (&self.plan.zone, self.client.now());
        let is_due = !tended.is_open && is_due(rules, zone, &tended.tiers, self.slot, now);
        if is_due && self.makes && self.is_too_late() {
            self.give_up(&mut tended).await;
        } else if is_due && self.makes {
            let record = self.record(None);
            self.work_at(record, &mut tended).boxed_local().await;
        } else if is_due {
            // As in a night whose own failed: what is to come might fail, too.
            tended.lacks_one = true;
            let told = "the present period has no tier yet, so none of its tiers is deleted; the next `backup` makes one";
            tended.warnings.push(told.into());
        }
        tended.tiers.sort_by_key(|tier| tier.slot);
        tended
    }

    /// Of which nothing was asked for yet, so that its own night's run may still do so.
    fn is_a_later_nights(&self, tier: &Tier) -> bool {
        let TierState::BeingMade { facts } = &tier.state else {
            return false;
        };
        let past = Pasts::of(facts, None).of_cluster(&tier.cluster);
        let is_asked_for = past.intent.is_some() || past.begun.is_some();
        tier.slot > self.slot && !self.is_ahead(tier.slot) && !is_asked_for
    }

    /// Whether only a wrong clock can have named a slot.
    fn is_ahead(&self, slot: Slot) -> bool {
        slot.instant().duration_since(self.client.now()) > CLOCK_MARGIN
    }

    /// Whether a tick comes too late to ask for the tier of its run.
    fn is_too_late(&self) -> bool {
        self.resumes && is_too_late(self.slot, self.client.now())
    }

    /// Tells of a tier that never had its turn.
    async fn give_up(&self, tended: &mut Tended<'_>) {
        tended.lacks_one = true;
        let of = self.slot.instant();
        let message = format!(
            "the tier of {of} was not made: for a day it could not be asked for; the next event asks for one"
        );
        let told = self.told_once(vec![(None, "no_tier", message)]).await;
        tended.failures.extend(told);
    }

    /// What became of a night's own tier is told however often its event comes again; `resume` leaves that to the run's last
    /// word. A night without any lets nothing go.
    fn tell_failed(&self, tier: &Tier, tended: &mut Tended<'_>) {
        if tier.slot < self.slot {
            return;
        }
        let of = tier.slot.instant();
        let told: Vec<Failure> = match &tier.state {
            TierState::Failed { why } => {
                tended.lacks_one = true;
                let message =
                    format!("the tier of {of} was not made, and the next event tries again: {why}");
                vec![(None, "no_tier", message)]
            }
            TierState::Owned(owned) if tier.slot == self.slot => {
                let told = lacking(owned).map(|(region, why)| {
                    let message = format!("the tier of {of} has no copy here: {why}");
                    (Some(region.clone()), "no_tier", message)
                });
                told.collect()
            }
            _ => Vec::new(),
        };
        if !self.resumes {
            tended.failures.extend(told);
        }
    }

    /// Whether only a failure is left of it, which kept its own slot from a second request.
    fn is_over(&self, tier: &Tier) -> bool {
        let failed = matches!(tier.state, TierState::Failed { .. });
        failed && tier.slot < self.slot && self.makes && !self.dry_run
    }

    async fn forget(&self, tier: Tier, tended: &mut Tended<'_>) {
        let record = self.record(Some(tier.clone()));
        if let Some(record) = record
            && record.forget().await.is_err()
        {
            tended.tiers.push(tier);
        }
    }

    /// The tier in the journal; `None` in a dry run.
    fn record(&self, stands: Option<Tier>) -> Option<Record<'a>> {
        let slot = stands.as_ref().map_or(self.slot, |tier| tier.slot);
        let new = Tier {
            plan: self.plan.name.clone(),
            cluster: self.cluster.cluster_id.clone(),
            slot,
            state: TierState::BeingMade { facts: Vec::new() },
        };
        let lease = self.run.lease.as_deref()?;
        Some(Record::of(self.journal, lease, new, stands))
    }

    /// Goes on with one tier as far as this invocation can.
    async fn work_at(&self, record: Option<Record<'a>>, tended: &mut Tended<'_>) {
        let Some(record) = record else {
            return self.foretell(tended).await;
        };
        let slot = record.slot();
        let past = record.past();
        let (of, resumes) = (ByHand::default(), self.resumes || record.tier().is_some());
        let asks = slot == self.slot && !self.is_too_late();
        let hand = self.hand(&of, Facts::Tier(&record), asks, resumes);
        let made = hand.make(past).boxed_local().await;
        let end = self.end(&record, &made).boxed_local().await;
        let open = made
            .failures
            .iter()
            .any(|(_, word, _)| *word == "being_made");
        let Made {
            lines,
            failures,
            // The last look at a tier tells all that failed of it among its failures.
            failed_before: _,
            warnings,
            is_refused,
        } = made;
        tended.lines.extend(lines);
        let failures = match (record.tier(), is_refused) {
            (None, true) => self.told_once(failures).await,
            _ => failures,
        };
        tended.failures.extend(failures);
        tended.warnings.extend(warnings);
        match end {
            Ok(End::Open) => {
                tended.is_open |= open || record.tier().is_some();
                tended.lacks_one = true;
            }
            Ok(End::Settled(warning)) => tended.warnings.extend(warning),
            Ok(End::Failed) => tended.lacks_one = true,
            Err(failure) => {
                tended.is_open = true;
                tended.failures.push(failure);
            }
        }
        if let Some(fault) = record.fault() {
            tended.is_open = true;
            let message = format!("what became of a tier could not be written down: {fault}");
            tended.failures.push((None, fault.word(), message));
        }
        tended.lacks_one |= tended.is_open;
        tended.tiers.extend(record.tier());
    }

    /// Where no tier keeps that, a tick leaves out what an earlier invocation of the run has told; the last word tells it again.
    async fn told_once(&self, failures: Vec<Failure>) -> Vec<Failure> {
        let mut new = Vec::new();
        for (region, word, message) in failures {
            let news = self.news(region.as_ref(), word, &message);
            let same = |told: &News| {
                (&told.cluster, &told.region, &told.error)
                    == (&news.cluster, &news.region, &news.error)
            };
            let is_new = !self.run.pasts.news.iter().any(same);
            if is_new {
                self.run.tell_at_last([news]).await;
            }
            if is_new || !self.resumes {
                new.push((region, word, message));
            }
        }
        new
    }

    fn news(&self, region: Option<&Region>, word: &str, message: &str) -> News {
        News {
            cluster: Some(self.cluster.cluster_id.clone()),
            region: region.cloned(),
            error: Some(word.to_owned()),
            message: message.to_owned(),
        }
    }

    fn hand<'h>(
        &'h self,
        of: &'h ByHand,
        facts: Facts<'h>,
        asks: bool,
        resumes: bool,
    ) -> Hand<'h, T> {
        Hand {
            plan: self.plan,
            client: self.client,
            clock: self.clock,
            facts,
            cluster: self.cluster,
            of,
            others: Others {
                ids: &NOBODYS,
                are_all: true,
            },
            asks,
            until: self.until,
            dry_run: self.dry_run,
            resumes,
            over_budget: self.over_budget,
        }
    }

    /// What a dry run says of the tier that would be made.
    async fn foretell(&self, tended: &mut Tended<'_>) {
        let of = ByHand::default();
        let nowhere = Journaled::default();
        let hand = self.hand(&of, Facts::Run(&nowhere), true, false);
        let made = hand.make(Past::default()).boxed_local().await;
        tended.would_make = made.failures.is_empty() && self.over_budget.is_none();
        tended.lacks_one |= self.over_budget.is_some();
        tended.lines.extend(made.lines);
        tended.failures.extend(made.failures);
    }

    /// Writes down how a tier ended, if it did.
    async fn end(&self, record: &Record<'_>, made: &Made) -> Result<End, Failure> {
        let past = record.past();
        if record.fault().is_some() || record.tier().is_none() || past.intent.is_some() {
            return Ok(End::Open);
        }
        let Some(begun) = past.begun else {
            if !made.is_refused {
                return Ok(End::Open);
            }
            let why = made.failures.first().map(|(_, _, why)| why.clone());
            return self.failed(record, made, why.unwrap_or_default()).await;
        };
        let ended = |line: &JobLine| matches!(line.state.as_str(), "available" | "failed");
        if made.lines.is_empty() || !made.lines.iter().all(ended) {
            return Ok(End::Open);
        }
        let original = made.lines.first().filter(|line| line.state == "failed");
        if let Some(original) = original {
            let why = original.message.clone().unwrap_or_default();
            return self.failed(record, made, why).await;
        }
        let described = self.described(&begun, &made.lines).await.map_err(|error| {
            self.unwritten(&begun, format!("the backup {} is there, and could not be read to be written down as the plan's own: {error}", begun.backup))
        })?;
        self.settle(record, made, &begun, &described).await
    }

    /// What is waited for. After longer than any backup takes, a person is told so by each event, and not by each tick.
    fn unwritten(&self, begun: &Begun, why: String) -> Failure {
        let is_stuck = self.client.now().duration_since(begun.at) > LONGEST && !self.resumes;
        (None, if is_stuck { "stuck" } else { "being_made" }, why)
    }

    async fn failed(&self, record: &Record<'_>, made: &Made, why: String) -> Result<End, Failure> {
        if !self.tell_at_last(made, None).await {
            return Ok(End::Open);
        }
        let slot = record.slot();
        let keeps_its_night = slot == self.slot || (slot > self.slot && !self.is_ahead(slot));
        let written = if keeps_its_night {
            record.turn_into(TierState::Failed { why }).await
        } else {
            record.forget().await
        };
        // What could not be written is told as the record's fault.
        Ok(if written.is_ok() {
            End::Failed
        } else {
            End::Open
        })
    }

    /// Makes what was surely made the plan's own; what was found after silence stays nobody's.
    async fn settle(
        &self,
        record: &Record<'_>,
        made: &Made,
        begun: &Begun,
        described: &[Backup],
    ) -> Result<End, Failure> {
        let home = self.cluster.region_id.as_deref().unwrap_or_default();
        let targets = self
            .plan
            .targets
            .iter()
            .map(|target| target.region.as_str());
        let backups = surely_made(&begun.backup, home, targets, described);
        if !backups.contains_key(home) {
            let why = format!(
                "the backup {} was there a moment ago, and is no more what it was",
                begun.backup
            );
            return Err(self.unwritten(begun, why));
        }
        let is_older = |backup: &Backup| {
            let made_at = backup.create_time;
            backup.backup_id == begun.backup
                && made_at.is_none_or(|at| at + CLOCK_MARGIN < begun.at)
        };
        if begun.adopted || described.iter().any(is_older) {
            let kept: Vec<&str> = backups.keys().map(String::as_str).collect();
            let warning = format!(
                "the backup {} was found after a request that was not answered, or is older than its request, so somebody else may have had it made: what there is of it ({}) is kept for ever; delete it by hand when nobody needs it",
                begun.backup,
                kept.join(", ")
            );
            if !self.tell_at_last(made, Some(&warning)).await {
                return Ok(End::Open);
            }
            let state = TierState::Adopted { backups };
            // What could not be written is told as the record's fault.
            let _ = record.turn_into(state).await;
            return Ok(End::Settled(Some(warning)));
        }
        let missing = missing(&made.lines, &backups);
        let unsure = made
            .lines
            .iter()
            .filter(|line| line.state == "available" && missing.contains_key(&line.region));
        let unsure: BTreeSet<Region> = unsure.map(|line| line.region.clone()).collect();
        let warning = (!unsure.is_empty()).then(|| {
            let regions: Vec<&str> = unsure.iter().map(String::as_str).collect();
            format!(
                "what was copied to {} is not surely the copy of {}, so the plan deletes neither",
                regions.join(", "),
                begun.backup
            )
        });
        if !self.tell_at_last(made, warning.as_ref()).await {
            return Ok(End::Open);
        }
        info!(backup = begun.backup, slot = %record.slot().instant(), copies = backups.len() - 1, "a tier was made, and is the plan's own");
        let owned = Owned {
            backups,
            missing,
            unsure,
            leaving: BTreeSet::new(),
        };
        let _ = record.turn_into(TierState::Owned(owned)).await;
        Ok(End::Settled(warning))
    }

    /// Writes down what is told of a tier that ends now: who looks after this finds an end, and nothing to tell.
    async fn tell_at_last(&self, made: &Made, warning: Option<&String>) -> bool {
        let failures = made.failures.iter();
        let failures =
            failures.map(|(region, word, message)| self.news(region.as_ref(), word, message));
        let warning = warning.map(|warning| News {
            cluster: Some(self.cluster.cluster_id.clone()),
            region: None,
            error: None,
            message: format!("{}: {warning}", self.cluster.shown()),
        });
        self.run.tell_at_last(failures.chain(warning)).await
    }

    /// Everything of the cluster that is no older than the original, with its region, and all that was followed.
    async fn described(
        &self,
        begun: &Begun,
        lines: &[JobLine],
    ) -> Result<Vec<Backup>, ZillizError> {
        let id = &self.cluster.cluster_id;
        let mut listed = self.client.backups(id).await?;
        let followed = lines.iter().filter_map(|line| line.backup.as_ref());
        let left_out = left_out(self.client, id, followed, &listed).await?;
        listed.extend(left_out);
        let original = listed
            .iter()
            .find(|backup| backup.backup_id == begun.backup)
            .map(|backup| (backup.create_time, backup.backup_name.clone()));
        let (made_at, name) = original.unwrap_or_default();
        listed.retain(|backup| {
            backup.create_time >= made_at || (name.is_some() && backup.backup_name == name)
        });
        let looks = listed
            .iter()
            .map(|backup| describe(self.client, id, backup));
        let described = join_all(looks).await.into_iter();
        Ok(described
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }
}

/// How one tier stands after this invocation.
enum End {
    /// It is not over, or could not be written down.
    Open,
    /// It is over; with what a person should know.
    Settled(Option<String>),
    /// Nothing came of it.
    Failed,
}

/// Regions in which a tier has no copy, and why. What is not surely its copy is there, and stays.
fn lacking(owned: &Owned) -> impl Iterator<Item = (&Region, &String)> {
    let missing = owned.missing.iter();
    missing.filter(|(region, _)| !owned.unsure.contains(*region))
}

/// Regions without a copy that is the plan's own, and why.
fn missing(lines: &[JobLine], backups: &BTreeMap<Region, String>) -> BTreeMap<Region, String> {
    let without = lines
        .iter()
        .filter(|line| !backups.contains_key(&line.region));
    let why = |line: &JobLine| {
        let why = line.message.clone();
        why.unwrap_or_else(|| "what was copied there is not surely this tier's copy".into())
    };
    without
        .map(|line| (line.region.clone(), why(line)))
        .collect()
}
