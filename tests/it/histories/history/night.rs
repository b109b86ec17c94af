//! One night, of some two dozen kinds: killed, raced, repeated, late, by hand, cut short, with clocks or keys or slots that
//! are wrong.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::report::Report;
use lifeboat::run::Refused;
use lifeboat_emulator::{Key, Standing};
use serde_json::json;

use super::{Ended, FOURTEEN_MINUTES, History, Start};
use crate::faulty_store::{Chances, Fate, FaultyStore};
use crate::histories::HOLDS_AND_PERIODS;
use crate::histories::rules::{Policy, Scene};
use crate::world::TARGET;

/// When a dry run began, and what stood in each target then.
struct Before {
    second: i64,
    standing: Vec<Vec<Standing>>,
}

impl History {
    pub(super) fn backup(&mut self, slot: Timestamp) -> Start {
        let request = Request {
            scheduled_time: Some(slot),
            ..Request::default()
        };
        let mut start = Start::of(request);
        start.journal_chances = self.some_chances();
        if self.dice.u8(0..12) == 0 {
            start.time_left = Duration::from_secs(self.dice.u64(5..240));
        }
        start
    }

    pub(super) async fn night(&mut self, slot: Timestamp) {
        match self.dice.u32(0..26) {
            0 | 1 => self.killed(slot, false).await,
            2 | 3 => self.killed(slot, true).await,
            4 => self.race(slot, 2).await,
            5 => self.race(slot, 3).await,
            6 | 7 => self.repeated(slot).await,
            8 => self.dry_run_first(slot).await,
            9 => self.pruned_only().await,
            10 => self.approved_wrongly(slot).await,
            11 => self.comes_late(slot),
            12 => self.by_hand(slot).await,
            13 => self.policy_cut(slot).await,
            14 => self.clock_off(slot, 200).await,
            15 => self.clock_off(slot, 900).await,
            16 => self.services_clock_off(slot).await,
            17 => self.key_revoked(slot).await,
            18 => self.journal_out_of_order(slot).await,
            19 => self.one_bad_source(slot).await,
            20 => self.wrong_slots(slot).await,
            21 => self.hold_one(slot).await,
            _ => {
                let start = self.backup(slot);
                self.event(vec![start]).await;
            }
        }
    }

    async fn killed(&mut self, slot: Timestamp, at_a_write: bool) {
        let mut start = self.backup(slot);
        let after = Duration::from_millis(self.dice.u64(1..90_000));
        if at_a_write && self.objects.is_some() {
            let writes = self.dice.usize(0..20);
            let fate = [Fate::KilledBefore, Fate::KilledAfter][self.dice.usize(0..2)];
            start.journal_fates = vec![Fate::Passes; writes];
            start.journal_fates.push(fate);
        } else {
            start.killed_after = Some(after);
        }
        self.event(vec![start]).await;
        if self.dice.bool() {
            let again = self.backup(slot);
            tokio::time::sleep(Duration::from_secs(self.dice.u64(1..400))).await;
            self.event(vec![again]).await;
        }
    }

    async fn race(&mut self, slot: Timestamp, invocations: usize) {
        let sound = self.dice.bool();
        let mut starts = Vec::new();
        for _ in 0..invocations {
            let mut start = self.backup(slot);
            start.after = Duration::from_millis(self.dice.u64(0..3_000));
            if sound {
                start.journal_chances = Chances::default();
            }
            starts.push(start);
        }
        let last = starts.last_mut().unwrap();
        match self.dice.u8(0..4) {
            0 => last.request.action = Action::Prune,
            1 if self.objects.is_some() => last.request.action = Action::Resume,
            2 => last.killed_after = Some(Duration::from_millis(self.dice.u64(1..20_000))),
            _ => {}
        }
        self.tally.add("races", 1);
        self.event(starts).await;
    }

    async fn repeated(&mut self, slot: Timestamp) {
        for _ in 0..2 {
            let start = self.backup(slot);
            self.event(vec![start]).await;
            tokio::time::sleep(Duration::from_secs(self.dice.u64(1..120))).await;
        }
        self.tally.add("duplicates", 1);
    }

    /// What a dry run says must be what the run then does, unless something else came between.
    async fn dry_run_first(&mut self, slot: Timestamp) {
        if self.dice.bool() {
            self.tonight.clear();
        }
        let (dry, real) = (dry_run(Action::Backup, slot), self.backup(slot));
        let before = self.before();
        let said = self.event(vec![dry]).await;
        let did = self.event(vec![real]).await;
        self.compare_hashes(&said, &did, &before, true);
    }

    async fn pruned_only(&mut self) {
        let slot = self.world.now();
        let dry = dry_run(Action::Prune, slot);
        let mut real = dry.clone();
        real.request.dry_run = false;
        let before = self.before();
        let said = self.event(vec![dry]).await;
        let did = self.event(vec![real]).await;
        self.compare_hashes(&said, &did, &before, false);
    }

    fn before(&self) -> Before {
        let targets = self.targets().into_iter();
        Before {
            second: self.second(),
            standing: targets.map(|region| self.world.seen(region)).collect(),
        }
    }

    fn compare_hashes(&mut self, said: &[Ended], did: &[Ended], before: &Before, copies: bool) {
        let (Some(said), Some(did)) = (said[0].report(), did[0].report()) else {
            return;
        };
        let jobs = said.sources * u64::try_from(said.targets.len()).unwrap();
        let as_foreseen = !copies || (did.jobs.sealed == jobs && did.failures.is_empty());
        if !self.tonight.is_empty() || !as_foreseen || !said.failures.is_empty() {
            return;
        }
        for (at, region) in self.targets().into_iter().enumerate() {
            let policy = Policy::of(&self.world.plan.targets[at]);
            // What fell due meanwhile may be gone by now, and so may what superseded it.
            let mut standing = before.standing[at].clone();
            standing.extend(self.world.seen(region));
            let scene = Scene {
                standing: &standing,
                policy: &policy,
                lies: &|_| false,
                now: self.second(),
            };
            if scene.something_falls_due(before.second, self.second()) {
                continue;
            }
            let (said, did) = (&said.targets[at], &did.targets[at]);
            let stopped = (&said.deletion_stopped, &did.deletion_stopped);
            if let (Some(said), Some(did)) = (&said.deletion_plan, &did.deletion_plan) {
                // What was deleted a moment ago is what was due, so the hashes are of the same list.
                assert_eq!(
                    said, did,
                    "a dry run's hash is not the run's; {region} by {policy:?}"
                );
                assert_eq!(
                    stopped.0, stopped.1,
                    "a dry run does not foretell what stops deletion"
                );
                self.tally.add("dry runs that foretold the run", 1);
            }
        }
    }

    async fn approved_wrongly(&mut self, slot: Timestamp) {
        let old = self.shown.keys().next().cloned();
        let hash = match old {
            Some(old) if self.dice.bool() => old,
            _ => "0123456789abcdef".to_owned(),
        };
        let mut start = self.backup(slot);
        start.request.approve = Some(hash);
        self.tally.add("approvals of old or foreign hashes", 1);
        self.event(vec![start]).await;
    }

    fn comes_late(&mut self, slot: Timestamp) {
        let hours = self.dice.i64(1..200);
        let at = slot + SignedDuration::from_hours(hours);
        self.late_events.push((at.as_second(), slot));
    }

    /// Events whose time has come, some of them a week late, some while the next night's run is still open.
    pub(super) async fn arrivals(&mut self) {
        let now = self.second();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late_events)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late_events = later;
        for (_, slot) in due {
            self.tally.add("late and out of order", 1);
            let start = self.backup(slot);
            self.event(vec![start]).await;
        }
    }

    async fn by_hand(&mut self, slot: Timestamp) {
        let mut start = self.backup(slot + SignedDuration::from_secs(1));
        start.request.manual = true;
        self.tally.add("manual events", 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.event(vec![start]).await;
        let start = self.backup(slot);
        self.event(vec![start]).await;
    }

    /// Somebody shortens the window; the brake may hold, and a person reads the list and approves it, or doesn't.
    async fn policy_cut(&mut self, slot: Timestamp) {
        let at = self.dice.usize(0..self.world.plan.targets.len());
        self.world.plan.targets[at].retention.days = NonZeroU32::new(1);
        let start = self.backup(slot);
        self.event(vec![start]).await;
        if self.dice.bool() {
            self.approve_what_is_due(at).await;
        }
    }

    pub(super) async fn approve_what_is_due(&mut self, at: usize) -> Vec<Ended> {
        let dry = dry_run(Action::Prune, self.world.now());
        let said = self.event(vec![dry]).await;
        let hash = said[0]
            .report()
            .and_then(|report| report.targets[at].deletion_plan.clone());
        let Some(hash) = hash else {
            return Vec::new();
        };
        let approve = Start::of(Request {
            action: Action::Prune,
            approve: Some(hash.to_string()),
            ..Request::default()
        });
        self.tally.add("approvals", 1);
        self.event(vec![approve]).await
    }

    async fn clock_off(&mut self, slot: Timestamp, by: i64) {
        let by = if self.dice.bool() { by } else { -by };
        // Nobody can tell two clocks that are wrong alike from two that are right.
        self.tonight
            .retain(|rule| rule["fault"].get("clock_skew_seconds").is_none());
        let mut start = self.backup(slot);
        start.skew = SignedDuration::from_secs(by);
        self.tally.add("local clock wrong", 1);
        self.event(vec![start]).await;
    }

    async fn services_clock_off(&mut self, slot: Timestamp) {
        self.remote_skew = [-900, -250, 250, 900][self.dice.usize(0..4)];
        self.set_remote_skew();
        self.tally.add("services' clock wrong", 1);
        let start = self.backup(slot);
        self.event(vec![start]).await;
        self.remote_skew = 0;
        self.set_remote_skew();
    }

    fn set_remote_skew(&self) {
        let skew = self.remote_skew;
        self.world
            .emulator
            .update_settings(|settings| settings.clock_skew_seconds = skew);
    }

    async fn key_revoked(&mut self, slot: Timestamp) {
        let other = Key {
            key: "tpuf_another".into(),
            organisation: "default".into(),
            permissions: Vec::new(),
        };
        self.world.emulator.set_keys(vec![other]);
        self.tally.add("nights without a key", 1);
        let start = self.backup(slot);
        self.event(vec![start]).await;
    }

    async fn journal_out_of_order(&mut self, slot: Timestamp) {
        let mut start = self.backup(slot);
        let fates = [
            Fate::FailsBefore,
            Fate::FailsAfter,
            Fate::ComesLate,
            Fate::WipedFirst,
        ];
        match self.dice.u8(0..3) {
            0 => start.journal_gone_after = Some(Duration::from_secs(self.dice.u64(0..120))),
            1 => {
                start.journal_fates = (0..self.dice.usize(1..20))
                    .map(|_| fates[self.dice.usize(0..fates.len())])
                    .collect();
            }
            _ => {
                if let Some(objects) = &self.objects {
                    FaultyStore::over(objects, 0).wipe().await;
                    self.tally.add("journal wiped", 1);
                    self.journal_is_lost();
                }
            }
        }
        self.event(vec![start]).await;
    }

    /// One source's requests all fail; the others must not notice.
    async fn one_bad_source(&mut self, slot: Timestamp) {
        self.tonight = vec![
            json!({"match": {"namespace_prefix": "backup-acme-s0-"}, "fault": {"status": 500}}),
        ];
        self.world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 100);
        let start = Start {
            time_left: FOURTEEN_MINUTES,
            journal_chances: Chances::default(),
            ..self.backup(slot)
        };
        let ended = self.event(vec![start]).await;
        let held = |report: &Report| {
            report
                .failures
                .shown
                .iter()
                .any(|one| one.error == "lease_held")
        };
        if ended[0].report().is_none_or(held) {
            return;
        }
        self.tally.add("one bad source", 1);
        for region in self.targets() {
            for source in self.live().filter(|source| *source != "acme-s0") {
                let name = format!("backup-{source}-{:010}", slot.as_second());
                let seen = self.world.seen(region);
                let sealed = seen.iter().any(|seen| seen.name == name && seen.read_only);
                let sealed = sealed || self.covers(source, &seen);
                assert!(sealed, "{name} suffered from another source");
            }
        }
    }

    /// Slots of tomorrow and of long ago are refused, and do nothing.
    async fn wrong_slots(&mut self, slot: Timestamp) {
        for hours in [24, -8 * 24] {
            let start = self.backup(slot + SignedDuration::from_hours(hours));
            let ended = self.event(vec![start]).await;
            assert!(matches!(ended[0].answer, Some(Err(Refused::Slot(_)))));
        }
        self.tally.add("slots refused", 2);
    }

    async fn hold_one(&mut self, slot: Timestamp) {
        if HOLDS_AND_PERIODS {
            let sealed = self.world.seen(TARGET).into_iter().find(|seen| {
                seen.read_only && self.copies.contains_key(&(TARGET, seen.name.clone()))
            });
            if let Some(sealed) = sealed {
                self.world.plan.targets[0]
                    .retention
                    .hold
                    .insert(sealed.name);
                self.tally.add("backups held", 1);
            }
        }
        let start = self.backup(slot);
        self.event(vec![start]).await;
    }
}

/// What would be done, without doing it.
fn dry_run(action: Action, slot: Timestamp) -> Start {
    Start::of(Request {
        action,
        dry_run: true,
        scheduled_time: (action == Action::Backup).then_some(slot),
        ..Request::default()
    })
}
