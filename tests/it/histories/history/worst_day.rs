//! Worst days in a history: somebody restores while the nights go on, is killed, and carries on.
//!
//! What is being restored must stay for as long as the restore holds it, and what comes back must be what was backed up.
//! These days have dice of their own, so that a history without them is played as if they did not exist.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::journal::{HOLD_TIME, Journal};
use lifeboat::restore::{Asked, How, RestoreReport, RestoreState, Which};
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{FOURTEEN_MINUTES, History, TICK};
use crate::histories::NIGHTS;
use crate::histories::rules::DAY;
use crate::world::{self, Asks, SOURCE, TARGET};

/// Longer than from one night to the next deletion.
const LONG_COPY: Duration = Duration::from_hours(26);
/// A restore whose copy hangs is given up after seven days.
const GIVEN_UP_AFTER_HOURS: u32 = 7 * 24;
/// How much earlier than it says a hold may be taken for over: by as much as clocks may differ, twice.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(10);

/// A restore that was asked for and has not ended.
#[derive(Debug)]
struct Coming {
    asked: Asked,
    /// Backups that copies were asked for of.
    reads: BTreeSet<String>,
    held_until: Timestamp,
}

#[derive(Debug)]
pub(super) struct WorstDays {
    dice: fastrand::Rng,
    coming: Option<Coming>,
    begun: u64,
}

impl WorstDays {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(!seed),
            coming: None,
            begun: 0,
        }
    }

    /// Whether a restore says that it needs this backup.
    pub(super) fn needs(&self, region: &str, backup: &str, now: Timestamp) -> bool {
        region == TARGET
            && self
                .coming
                .as_ref()
                .is_some_and(|coming| coming.reads.contains(backup) && now < coming.held_until)
    }

    /// The journal is gone, and with it everything that it knew of restores.
    pub(super) fn journal_is_lost(&mut self) {
        self.coming = None;
    }

    /// What somebody wants back: all of it or a source, as it was some nights ago.
    fn some_restore(&mut self, slots: &[Timestamp]) -> Asked {
        self.begun += 1;
        let which = match self.dice.u8(0..3) {
            0 => Which::Names(vec![format!("acme-s{}", self.dice.u8(0..4))]),
            _ => Which::All,
        };
        Asked {
            at: Some(slots[self.dice.usize(0..slots.len())]),
            template: format!("recovered-{}-{{source}}", self.begun)
                .parse()
                .unwrap(),
            ..Asked::of(which)
        }
    }
}

impl History {
    /// Somebody restores, or carries on with it.
    pub(super) async fn worst_day(&mut self, night: i64) {
        if self.worst_days.is_none() {
            return;
        }
        if !self.restore_is_open() && (3..NIGHTS - 2).contains(&night) {
            self.perhaps_restore(night);
        }
        for _ in 0..3 {
            self.carry_on_restoring(How::Whole, true).await;
            tokio::time::sleep(TICK).await;
        }
    }

    /// Nobody is killed any more, and every restore comes to its end.
    pub(super) async fn end_worst_days(&mut self) {
        for _ in 0..GIVEN_UP_AFTER_HOURS + 2 {
            if !self.restore_is_open() {
                return;
            }
            self.carry_on_restoring(How::OneMoreLook, false).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        panic!("a restore did not end: {:?}", self.worst_days);
    }

    fn restore_is_open(&self) -> bool {
        let days = self.worst_days.as_ref();
        days.is_some_and(|days| days.coming.is_some())
    }

    fn perhaps_restore(&mut self, night: i64) {
        let slots: Vec<Timestamp> = (0.max(night - 9)..night).map(|at| self.slot(at)).collect();
        let now = self.world.now();
        let Some(days) = &mut self.worst_days else {
            return;
        };
        if days.dice.u8(0..3) > 0 {
            return;
        }
        let long = days.dice.bool();
        let asked = days.some_restore(&slots);
        days.coming = Some(Coming {
            asked,
            reads: BTreeSet::new(),
            held_until: now,
        });
        self.tally.add("restores", 1);
        if long {
            self.world.emulator.update_settings(|settings| {
                settings.copy_overhead_ms = u64::try_from(LONG_COPY.as_millis()).unwrap();
            });
        }
    }

    /// One invocation of the restore that is open, if one is.
    async fn carry_on_restoring(&mut self, how: How, may_be_killed: bool) {
        let Some(days) = &mut self.worst_days else {
            return;
        };
        let Some(asked) = days.coming.as_ref().map(|coming| coming.asked.clone()) else {
            return;
        };
        let (kills, faults) = (days.dice.u8(0..3) == 0, days.dice.bool());
        let killed_after = if kills && may_be_killed {
            Duration::from_millis(days.dice.u64(1..20_000))
        } else {
            2 * FOURTEEN_MINUTES
        };
        if faults && may_be_killed {
            self.world.faults(Value::Array(self.tonight.clone()));
        }
        let objects = self.objects.clone().unwrap();
        let journal = Journal::on(objects as _, Path::from("lifeboat"));
        let (began, stop) = (self.world.now(), Notify::new());
        let restore =
            self.world
                .restore_in(Some(&journal), &stop, &asked, how, FOURTEEN_MINUTES / 2);
        let report = tokio::time::timeout(killed_after, restore).await.ok();
        self.world.faults(json!([]));
        self.world.emulator.set_keys(Vec::new());
        self.check_restoring(began);
        match report {
            Some(report) => self.check_restored(&report),
            None => self.tally.add("restores killed", 1),
        }
    }

    /// A restore makes namespaces of its own and hands them over, and does nothing else.
    fn check_restoring(&mut self, began: Timestamp) {
        let asked: Vec<world::Asked> = self.world.asked.lock().unwrap()[self.looked_at..].to_vec();
        self.looked_at += asked.len();
        for one in asked {
            self.trace.note(&format!(
                "{} {:?} {} {}",
                one.at, one.what, one.region, one.name
            ));
            assert!(
                one.region == SOURCE && one.name.starts_with("recovered-"),
                "a restore asked for {one:?}"
            );
            assert!(
                matches!(one.what, Asks::Copy | Asks::Unseal),
                "a restore asked for {one:?}"
            );
            let days = self.worst_days.as_mut();
            if let Some(coming) = days.and_then(|days| days.coming.as_mut()) {
                coming.reads.extend(one.of);
                coming.held_until = began + HOLD_TIME - FORGIVEN;
            }
        }
    }

    fn check_restored(&mut self, report: &RestoreReport) {
        self.trace.note(&serde_json::to_string(report).unwrap());
        let standing = self.world.seen(SOURCE);
        for line in &report.restored.shown {
            if line.state != RestoreState::Restored {
                continue;
            }
            let seen = standing.iter().find(|seen| seen.name == line.destination);
            let seen = seen.unwrap_or_else(|| panic!("{line:?} does not stand"));
            let source = self.sources.get(&line.source);
            let made = self.copies.get(&(TARGET, line.backup.clone()));
            // Of one that was never verified the report says so, and promises nothing.
            if let (true, Some(life), Some((from, to))) = (line.verified, source, made) {
                assert!(
                    life.may_have_had(seen.rows, *from, *to + 2 * DAY),
                    "{line:?} has {} rows",
                    seen.rows
                );
            }
            assert!(!seen.read_only, "{line:?} can't be written");
            self.tally.add("namespaces restored", 1);
        }
        let Some(days) = &mut self.worst_days else {
            return;
        };
        if report.stays_open {
            let coming = days.coming.as_mut();
            let held = report.started_at + HOLD_TIME - FORGIVEN;
            if let Some(coming) = coming.filter(|_| report.held) {
                coming.held_until = held;
                self.tally.add("restores left open and held", 1);
            }
        } else {
            days.coming = None;
        }
    }
}
