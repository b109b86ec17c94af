//! The quiet end: faults stop, and what every history must come to.

use std::cell::Cell;
use std::collections::BTreeSet;

use jiff::Timestamp;
use lifeboat::event::Request;
use lifeboat_emulator::Standing;

use super::{Ended, History, Start};
use crate::histories::NIGHTS;
use crate::histories::rules::{self, Policy, Scene};

/// Nights after which every run of before is closed or given up.
const GIVEN_UP_AFTER: i64 = 9;

impl History {
    /// Faults stop, and every source must soon have a good backup, nothing be overdue and nothing open.
    pub(super) async fn quiet_end(&mut self) {
        let quiet_since = self.world.now();
        self.tonight.clear();
        self.late_events.clear();
        self.world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 200);
        let mut converged = None;
        for night in (NIGHTS..NIGHTS + 4).chain([NIGHTS + GIVEN_UP_AFTER]) {
            let slot = self.slot(night);
            self.world.sleep_until(slot).await;
            let start = Start::of(Request {
                scheduled_time: Some(slot),
                ..Request::default()
            });
            let ended = self.event(vec![start]).await;
            self.check_strays(&ended[0]);
            self.ticks(true).await;
            self.approve_what_is_braked(&ended).await;
            let wrong = self.what_is_wrong(slot).await;
            match (wrong, converged) {
                (None, None) => converged = Some(self.world.now().duration_since(quiet_since)),
                (None, Some(_)) => {}
                (Some(wrong), _) => {
                    let last = night >= NIGHTS + 3 || converged.is_some();
                    assert!(
                        !last,
                        "a quiet night ended and {wrong}: {:#?}",
                        ended[0].report()
                    );
                }
            }
        }
        let copies = self.live().count() * self.targets().len();
        let copies = u64::try_from(copies).unwrap();
        self.tally
            .add("copies that had to stand at the end, and do", copies);
        self.tally.converged(self.seed, converged.unwrap());
    }

    /// What is no backup by the exact grammar is told apart, even where its creation would save it from deletion.
    fn check_strays(&mut self, ended: &Ended) {
        let Some(report) = ended.report().filter(|report| report.failures.is_empty()) else {
            return;
        };
        for (at, region) in self.targets().into_iter().enumerate() {
            let standing = self.world.seen(region);
            let is_stray = |seen: &&Standing| {
                seen.name.starts_with("backup-acme-")
                    && rules::read(&seen.name).is_none_or(|(source, _)| !rules::selected(source))
            };
            let strays = u64::try_from(standing.iter().filter(is_stray).count()).unwrap();
            let told = report.targets[at].pruning.strays;
            assert_eq!(told, strays, "strays in {region}");
            self.tally.add("strays told apart", strays);
        }
    }

    async fn approve_what_is_braked(&mut self, ended: &[Ended]) {
        let Some(report) = ended[0].report() else {
            return;
        };
        let braked: Vec<usize> = report
            .targets
            .iter()
            .enumerate()
            .filter(|(_, target)| {
                let stopped = target.deletion_stopped.as_deref().unwrap_or_default();
                stopped.contains("brake")
            })
            .map(|(at, _)| at)
            .collect();
        for at in braked {
            self.approve_what_is_due(at).await;
        }
    }

    async fn what_is_wrong(&mut self, slot: Timestamp) -> Option<String> {
        let mut open = self.open_runs().await;
        // A copy that the service never ends is waited for until its run is a week old.
        open.retain(|(open, _)| {
            *open >= self.slot(NIGHTS) || slot >= self.slot(NIGHTS + GIVEN_UP_AFTER)
        });
        if !open.is_empty() {
            return Some(format!("{open:?} are open"));
        }
        for (at, region) in self.targets().into_iter().enumerate() {
            let standing = self.world.seen(region);
            for source in self.live() {
                let name = format!("backup-{source}-{:010}", slot.as_second());
                let sealed = standing
                    .iter()
                    .any(|seen| seen.name == name && seen.read_only && !self.lies(region, seen));
                if !sealed && !self.covers(source, &standing) {
                    return Some(format!("{name} is not sealed in {region}"));
                }
            }
            let policy = Policy::of(&self.world.plan.targets[at]);
            let now = self.second();
            let doubtful = Cell::new(false);
            let scene = Scene {
                standing: &standing,
                policy: &policy,
                lies: &|seen| {
                    let lies = self.lies(region, seen);
                    doubtful.set(doubtful.get() || lies);
                    lies
                },
                now,
            };
            let overdue: BTreeSet<String> = scene
                .overdue()
                .into_iter()
                .filter(|name| {
                    rules::read(name).is_some_and(|(source, _)| {
                        self.sources.get(source).is_some_and(|life| life.live)
                    })
                })
                .collect();
            // What became due by last night's deletions has until tonight.
            let since = self.overdue.insert(region, overdue.clone());
            let still: Vec<_> = overdue
                .intersection(&since.unwrap_or_default())
                .cloned()
                .collect();
            if !still.is_empty() && !doubtful.get() {
                return Some(format!("{still:?} are overdue in {region}"));
            }
            let frozen_lies = standing.iter().find(|seen| {
                let source = rules::read(&seen.name).map(|(source, _)| source);
                let frozen = source.and_then(|source| self.sources.get(source));
                frozen.is_some_and(|life| life.live && life.frozen)
                    && seen.read_only
                    && self.lies(region, seen)
            });
            if let Some(lies) = frozen_lies {
                return Some(format!(
                    "{} still looks sealed with {} rows; {:?}",
                    lies.name, lies.rows, self.sources
                ));
            }
        }
        None
    }
}
