//! What a history's reports have told of nights that were lost, and what there was to tell, by rules that are written down a
//! second time: each night's window begins at two in the morning, UTC, and has until ten.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifeboat::zilliz::ClusterReport;
use lifeboat::zilliz::recovery::Protection;
use lifeboat::zilliz::report::PolicyState;
use serde_json::Value;

use crate::clusters::{FAR, HOME, NEAR};

/// Where something was told to be lacking, and with which words.
type Told = BTreeMap<(String, String), String>;

#[derive(Default)]
pub(super) struct LostNights {
    /// Since when a cluster's policy was told to be in force.
    since: BTreeMap<String, Timestamp>,
    told: Told,
    /// Where it was told on which day that nothing of the policy's stands at all, which tells of that night, too.
    nothing: BTreeSet<(String, String, Date)>,
    /// What was there at some time: cluster, region, and of a copy its original.
    stood: BTreeMap<String, Value>,
    last: Option<Timestamp>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl LostNights {
    /// Takes in what stands now.
    pub(super) fn look(&mut self, backups: &[Value]) {
        for backup in backups {
            if backup["status"] == "AVAILABLE" {
                self.stood.insert(text(&backup["id"]), backup.clone());
            }
        }
    }

    /// Takes in what a run has told: what it judged itself, and what its last word says that an earlier invocation found.
    pub(super) fn read(&mut self, report: &ClusterReport) {
        for failure in &report.failures.shown {
            if let (Some(cluster), Some(region)) = (&failure.source, &failure.target) {
                let told = self.told.entry((cluster.clone(), region.clone()));
                let told = told.or_default();
                told.push_str(&failure.message);
                told.push('\n');
            }
        }
        if report.regions.is_empty() {
            return;
        }
        self.last = Some(report.started_at);
        for policy in &report.policies.shown {
            let is_set = matches!(
                policy.state,
                PolicyState::InForce | PolicyState::Applied | PolicyState::Repaired
            );
            if is_set {
                let since = self.since.entry(policy.cluster.clone());
                since.or_insert(report.finished_at);
            }
        }
        let day = report.started_at.to_zoned(TimeZone::UTC).date();
        for line in &report.regions.shown {
            if line.state == Protection::Missing {
                self.nothing
                    .insert((line.cluster.clone(), line.region.clone(), day));
            }
        }
    }

    /// Every night since the policy was in force that had its time when the last run judged: what it lacked was told. How
    /// many there were.
    pub(super) fn all_were_told(&self) -> u64 {
        let newest = self.last.unwrap();
        let mut lost = 0;
        for (cluster, since) in &self.since {
            let first = since.to_zoned(TimeZone::UTC).date().tomorrow().unwrap();
            let nights = first.series(jiff::Span::new().days(1));
            for night in nights.take_while(|night| at(*night, 10) <= newest) {
                lost += self.was_told(cluster, night);
            }
        }
        lost
    }

    fn was_told(&self, cluster: &str, night: Date) -> u64 {
        let begins = at(night, 2);
        let in_window = |backup: &&Value| {
            let created: Timestamp = text(&backup["created"]).parse().unwrap();
            begins - SignedDuration::from_hours(1) <= created && created < at(night, 10)
        };
        let made: Vec<&Value> = self
            .stood
            .values()
            .filter(|backup| backup["method"] == "AUTO" && backup["cluster"] == cluster)
            .filter(|backup| backup["region"] == HOME)
            .filter(in_window)
            .collect();
        let told = |region: &str, what: &str| {
            let there = (cluster.to_owned(), region.to_owned());
            let told = self.told.get(&there);
            let is_told = told.is_some_and(|told| told.contains(what))
                || self.nothing.contains(&(there.0, there.1, night));
            assert!(
                is_told,
                "{cluster} in {region}: nobody told of {what}: {told:?}"
            );
        };
        if made.is_empty() {
            told(HOME, &begins.to_string());
            return 1;
        }
        let ids: BTreeSet<String> = made.iter().map(|backup| text(&backup["id"])).collect();
        let has_copy = |region: &str| {
            let mut copies = self.stood.values().filter(|copy| copy["region"] == region);
            copies.any(|copy| ids.contains(&text(&copy["original"])))
        };
        let mut lost = 0;
        for region in [NEAR, FAR] {
            if !has_copy(region) {
                let told_of = |id: &&String| {
                    let told = self.told.get(&(cluster.to_owned(), region.to_owned()));
                    told.is_some_and(|told| told.contains(id.as_str()))
                };
                let shown = ids.iter().find(told_of).or(ids.first());
                told(region, shown.unwrap());
                lost += 1;
            }
        }
        lost
    }
}

fn at(day: Date, hour: i8) -> Timestamp {
    day.at(hour, 0, 0, 0)
        .to_zoned(TimeZone::UTC)
        .unwrap()
        .timestamp()
}
