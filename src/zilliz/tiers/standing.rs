//! What the plan owns of a cluster in one region, and what of it is due: the planner's view, from the list of backups.
//!
//! Pure, over what was read. What is not in the list, or is there as something else than a tier, counts for nothing.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::certified::{PREFIX, Place};
use crate::journal::{Tier, TierState};
use crate::name::{BackupName, BackupPrefix, Class, Namespace};
use crate::plan::Tiers;
use crate::retention::{self, Backup, Evidence, Keep, Policy, Verdict};
use crate::slot::Slot;
use crate::zilliz::wire;

/// One backup that is the plan's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) name: BackupName,
    pub(super) slot: Slot,
    /// The service's id; none for one that a dry run pretends to have made.
    pub(super) id: Option<String>,
}

/// What stands of a cluster's tiers in one region, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// In the order of `backups`.
    pub(super) own: Vec<Own>,
    pub(super) backups: Vec<Backup>,
    /// What is the plan's own by the journal, and not in the list.
    pub(super) unlisted: Vec<Own>,
    /// The cluster's newest tier has no copy here, or the list does not show it, so nothing here is superfluous.
    pub(super) is_behind: bool,
}

/// What happens to one of them.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) own: Own,
    /// Why it stays; empty when it is due.
    pub(super) reasons: Vec<Keep>,
    pub(super) is_behind: bool,
    /// It is the original of copies that stand.
    pub(super) has_copies: bool,
}

impl Decided {
    pub(super) fn is_due(&self) -> bool {
        self.reasons.is_empty() && !self.is_behind && !self.has_copies
    }

    /// Why it stays, or that it is due.
    pub(super) fn why(&self) -> String {
        if self.is_due() {
            return "no rule keeps it".to_owned();
        }
        let behind = "the cluster's newest tier has no copy here";
        let copies = "copies of it stand, and go first";
        let reasons = in_words(&self.reasons);
        let all = [
            (self.is_behind, behind),
            (self.has_copies, copies),
            (!reasons.is_empty(), &reasons),
        ];
        let all = all.into_iter().filter(|(is_so, _)| *is_so);
        all.map(|(_, text)| text).collect::<Vec<_>>().join("; ")
    }
}

/// What planner and certificate call a tier; `None` for ids that make no name, which are then never deleted.
fn name_of(place: Place<'_>, slot: Slot) -> Option<BackupName> {
    let prefix = BackupPrefix::parse(PREFIX).ok()?;
    let source = Namespace::parse(&place.source())?;
    BackupName::of(&prefix, Class::Scheduled, &source, slot).ok()
}

impl Standing {
    /// Sorts what is the plan's own in a region. `tiers` are the cluster's, oldest first; `planned` is the slot of one that
    /// a dry run pretends to have made.
    pub(super) fn of(
        place: Place<'_>,
        tiers: &[Tier],
        listed: &[wire::Backup],
        planned: Option<(Slot, Timestamp)>,
    ) -> Self {
        let mut standing = Self::default();
        let is_adopted = |id: &String| tiers.iter().any(|tier| has_adopted(tier, id));
        for tier in tiers {
            let Some(owned) = tier.owned() else { continue };
            standing.is_behind = planned.is_none() && !owned.backups.contains_key(place.region);
            let id = owned.backups.get(place.region);
            let (Some(id), Some(name)) = (id, name_of(place, tier.slot)) else {
                continue;
            };
            if is_adopted(id) {
                continue;
            }
            let own = Own {
                name,
                slot: tier.slot,
                id: Some(id.clone()),
            };
            match listed.iter().find(|listed| listed.backup_id == *id) {
                Some(shown) => standing.add(own, evidence(shown, place)),
                None => {
                    standing.is_behind = planned.is_none();
                    standing.unlisted.push(own);
                }
            }
        }
        if let Some((slot, now)) = planned
            && let Some(name) = name_of(place, slot)
        {
            let evidence = Evidence {
                created_at: now,
                sealed: true,
            };
            let id = None;
            standing.add(Own { name, slot, id }, Some(evidence));
        }
        standing
    }

    fn add(&mut self, own: Own, evidence: Option<Evidence>) {
        let name = own.name.clone();
        self.backups.push(Backup { name, evidence });
        self.own.push(own);
    }

    /// Keep or due, for each with all reasons. `held` says what a restore reads.
    pub(super) fn decide(
        &self,
        rules: &Tiers,
        zone: &TimeZone,
        now: Timestamp,
        held: impl Fn(&str) -> Option<String>,
    ) -> Vec<Decided> {
        let policy = self.policy(rules, zone);
        let decisions = retention::plan(&self.backups, &policy, now);
        let own = self.own.iter().zip(decisions);
        own.map(|(own, decision)| {
            let mut reasons = match decision.verdict {
                Verdict::Keep(reasons) => reasons,
                Verdict::Due(_) => Vec::new(),
            };
            match &own.id {
                None => reasons = vec![Keep::Planned],
                Some(id) => {
                    reasons.extend(held(id).map(|restore| Keep::BeingRestored { restore }));
                }
            }
            Decided {
                own: own.clone(),
                reasons,
                is_behind: self.is_behind,
                has_copies: false,
            }
        })
        .collect()
    }

    /// The rules as the planner knows them.
    pub(super) fn policy(&self, rules: &Tiers, zone: &TimeZone) -> Policy {
        let is_held = |own: &&Own| own.id.as_ref().is_some_and(|id| rules.hold.contains(id));
        let held = self.own.iter().filter(is_held);
        Policy {
            days: None,
            periods: rules.periods,
            zone: zone.clone(),
            min: rules.min,
            hold: held.map(|own| own.name.to_string()).collect(),
        }
    }

    /// Those that make one superfluous, with their ids.
    pub(super) fn vouching(
        &self,
        due: &Own,
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<(String, String)> {
        let names = retention::vouching(&due.name, &self.backups, policy, now);
        let with_id = |name: &BackupName| {
            let own = self.own.iter().find(|own| own.name == *name)?;
            Some((name.to_string(), own.id.clone()?))
        };
        names.into_iter().filter_map(with_id).collect()
    }
}

/// Whether a tier was found to be this backup, which is then nobody's to delete, whatever had it made.
fn has_adopted(tier: &Tier, id: &String) -> bool {
    matches!(&tier.state, TierState::Adopted { backups } if backups.values().any(|adopted| adopted == id))
}

/// What the list says of a tier. It says no region: the certificate asks for that.
fn evidence(shown: &wire::Backup, place: Place<'_>) -> Option<Evidence> {
    let elsewhere = shown
        .region_id
        .as_ref()
        .is_some_and(|region| region != place.region);
    let of_another = shown.cluster_id.as_deref() != Some(place.cluster);
    let words = [
        shown.status.as_deref(),
        shown.creation_method.as_deref(),
        shown.backup_type.as_deref(),
    ];
    Some(Evidence {
        created_at: shown.create_time?,
        sealed: !elsewhere
            && !of_another
            && words == [Some("AVAILABLE"), Some("MANUAL"), Some("CLUSTER")],
    })
}

/// Reasons in the words of clusters' backups, which have no seal.
fn in_words(reasons: &[Keep]) -> String {
    let word = |keep: &Keep| match keep {
        Keep::Floor { min } => format!("among the {min} newest"),
        Keep::Period { period, of } => format!("the newest as of the {period} {of}"),
        Keep::Unsealed => "it is not, or not available as, what the plan had made".to_owned(),
        Keep::NewestUnsealed => "the newest tier is not known to be good".to_owned(),
        Keep::NotAsked => "the service does not say when it was made".to_owned(),
        Keep::NotOurs { created_at } => {
            format!("the service made it {created_at:.0}, which its slot can't explain")
        }
        other => other.to_string(),
    };
    reasons.iter().map(word).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::num::NonZeroU32;

    use super::*;
    use crate::journal::Owned;
    use crate::retention::Periods;

    const NOW: &str = "2026-11-22T12:00:00Z";

    /// Tiers of these days of November in the region, by `day` and what is odd about it: `l` not in the list, `a` automatic,
    /// `c` of collections, `b` being made, `o` of another cluster, `e` elsewhere, `t` made ten days late, `n` without a copy
    /// here, `u` of nobody.
    fn decided(told: &[&str], hold: &str, restored: &str) -> Vec<String> {
        let region = "far".to_owned();
        let place = Place {
            cluster: "in01-1",
            region: &region,
        };
        let (mut tiers, mut listed) = (Vec::new(), Vec::new());
        for told in told {
            let (day, odd) = told.split_at(2);
            let at: Timestamp = format!("2026-11-{day}T02:00:00Z").parse().unwrap();
            let id = format!("b{day}");
            let backups = BTreeMap::from([(region.clone(), id.clone())]);
            let owned = Owned {
                backups: if odd.contains('n') {
                    BTreeMap::new()
                } else {
                    backups.clone()
                },
                ..Owned::default()
            };
            tiers.push(Tier {
                plan: "prod".into(),
                cluster: "in01-1".into(),
                slot: Slot::of(at).unwrap(),
                state: if odd.contains('u') {
                    TierState::Adopted { backups }
                } else {
                    TierState::Owned(owned)
                },
            });
            let word = |flag: char, yes: &str, no: &str| {
                Some(if odd.contains(flag) { yes } else { no }.to_owned())
            };
            let late = if odd.contains('t') { 10 * 24 } else { 0 };
            listed.extend((!odd.contains('l')).then(|| wire::Backup {
                backup_id: id,
                cluster_id: word('o', "in01-2", "in01-1"),
                create_time: Some(at + jiff::SignedDuration::from_hours(late)),
                status: word('b', "CREATING", "AVAILABLE"),
                creation_method: word('a', "AUTO", "MANUAL"),
                backup_type: word('c', "COLLECTION", "CLUSTER"),
                region_id: odd.contains('e').then(|| "near".to_owned()),
                ..wire::Backup::default()
            }));
        }
        let rules = Tiers {
            periods: Periods {
                daily: 2,
                ..Periods::default()
            },
            min: NonZeroU32::MIN,
            hold: BTreeSet::from([hold.to_owned()]),
        };
        let standing = Standing::of(place, &tiers, &listed, None);
        let reads = |id: &str| (id == restored).then(|| "r".to_owned());
        let decided = standing.decide(&rules, &TimeZone::UTC, NOW.parse().unwrap(), reads);
        let due = decided.iter().filter(|decided| decided.is_due());
        due.filter_map(|decided| decided.own.id.clone()).collect()
    }

    #[test]
    fn only_what_is_surely_replaced_is_due() {
        for (told, due) in [
            (vec![], ""),
            (vec!["22"], ""),
            (vec!["19", "20", "21", "22"], "b19 b20"),
            // What replaces it must be good, and here.
            (vec!["20", "21", "22b"], ""),
            (vec!["20", "21", "22a"], ""),
            (vec!["20", "21", "22c"], ""),
            (vec!["20", "21", "22o"], ""),
            (vec!["20", "21", "22e"], ""),
            (vec!["20", "21", "22n"], ""),
            (vec!["20", "21", "22l"], ""),
            // What is set aside, not in the list, or nobody's replaces nothing and is never due.
            (vec!["20", "21", "22u"], "b20"),
            (vec!["20", "21u", "22"], ""),
            (vec!["19u", "20", "21", "22"], "b20"),
            (vec!["19l", "20", "21", "22"], "b20"),
            (vec!["19b", "20", "21", "22"], "b20"),
            (vec!["05t", "20", "21", "22"], "b20"),
            (vec!["19n", "20", "21", "22"], "b20"),
        ] {
            assert_eq!(decided(&told, "", "").join(" "), due, "{told:?}");
        }
        let told = ["18", "19", "20", "21", "22"];
        assert_eq!(decided(&told, "b19", "").join(" "), "b18 b20");
        assert_eq!(decided(&told, "", "b18").join(" "), "b19 b20");
    }
}
