//! One history: sources that come, change and go, nights with faults, kills, races and people, and a quiet end.

mod worst_day;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, pending};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::journal::Journal;
use lifeboat::name::Class;
use lifeboat::report::{Report, TargetReport};
use lifeboat::run::Refused;
use lifeboat_emulator::{Key, Standing};
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};

use super::rules::{self, DAY, Policy, Scene};
use super::tally::{Tally, Trace};
use super::{HOLDS_AND_PERIODS, LEASE_IS_CERTIFIED, NIGHTS};
use crate::faulty_store::{Chances, Fate, FaultyStore};
use crate::world::{Asked, Asks, BEGIN, OTHER_TARGET, Process, SOURCE, TARGET, World};
use worst_day::WorstDays;

/// Names that look like backups to somebody who looks only at their last ten characters.
const STRAYS: [&str; 8] = [
    "backup-acme-tenant-0012345678",
    "backup-acme-docs-1_2_3_4_56",
    "backup-acme-x--1234567890",
    "backup-acme-a-9999999999",
    "backup-acme-s0-9999999999",
    "backup-acme-",
    "backup-acme-s0-1234567890",
    "backup-globex-s0-1234567890",
];
const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);
const TICK: Duration = Duration::from_mins(5);
/// Ticks every five minutes; after them every hour, in which nothing else would happen.
const CLOSE_TICKS: usize = 8;
const CLOCKS_AGREE: i64 = 300;
/// Nights after which every run of before is closed or given up.
const GIVEN_UP_AFTER: i64 = 9;

/// A source over time.
#[derive(Debug, Default)]
struct Life {
    /// Since when it has had how many rows.
    versions: Vec<(i64, u64)>,
    live: bool,
    frozen: bool,
}

impl Life {
    fn rows(&self) -> u64 {
        self.versions.last().map_or(0, |version| version.1)
    }

    /// Whether it had that many rows, or passed through that many, between two seconds.
    fn may_have_had(&self, rows: u64, from: i64, to: i64) -> bool {
        let begin = self.versions.iter().rposition(|(at, _)| *at < from);
        let versions = self.versions[begin.unwrap_or(0)..]
            .iter()
            .filter(|(at, _)| *at <= to);
        let rows_of = versions.map(|(_, rows)| *rows);
        let (least, most) = rows_of.fold((u64::MAX, 0), |(least, most), rows| {
            (least.min(rows), most.max(rows))
        });
        (least..=most).contains(&rows)
    }
}

/// How one process is started, and what becomes of it.
#[derive(Clone, Debug)]
struct Start {
    request: Request,
    after: Duration,
    time_left: Duration,
    killed_after: Option<Duration>,
    journal_fates: Vec<Fate>,
    journal_chances: Chances,
    journal_gone_after: Option<Duration>,
    skew: SignedDuration,
}

impl Start {
    fn of(request: Request) -> Self {
        Self {
            request,
            after: Duration::ZERO,
            time_left: FOURTEEN_MINUTES,
            killed_after: None,
            journal_fates: Vec::new(),
            journal_chances: Chances::default(),
            journal_gone_after: None,
            skew: SignedDuration::ZERO,
        }
    }

    fn has_a_sound_journal(&self) -> bool {
        let Chances {
            fails_before,
            fails_after,
            ..
        } = self.journal_chances;
        self.journal_fates.is_empty()
            && (fails_before, fails_after) == (0, 0)
            && self.journal_gone_after.is_none()
    }
}

/// A process that has ended.
struct Ended {
    start: Start,
    invocation: u64,
    began: Timestamp,
    until: Timestamp,
    /// `None` when it was killed.
    answer: Option<Result<Report, Refused>>,
}

impl Ended {
    fn report(&self) -> Option<&Report> {
        self.answer.as_ref()?.as_ref().ok()
    }
}

pub(super) struct History {
    world: World,
    dice: fastrand::Rng,
    seed: u64,
    /// What outlives every process, when there is a journal.
    objects: Option<Arc<InMemory>>,
    /// The last processes' ways to it, with what may still arrive late.
    stores: Vec<FaultyStore>,
    invocations: u64,
    sources: BTreeMap<String, Life>,
    /// First and last instant at which a copy to this name was asked for.
    copies: BTreeMap<(&'static str, String), (i64, i64)>,
    /// Who last took a copy's flag away, to compare it first because its source is frozen.
    unsealed: BTreeMap<(&'static str, String), u64>,
    slots: BTreeSet<i64>,
    decoys: Vec<(&'static str, String)>,
    late_events: Vec<(i64, Timestamp)>,
    tonight: Vec<Value>,
    remote_skew: i64,
    first_slot: Timestamp,
    /// What each hash was shown to stand for.
    shown: BTreeMap<String, BTreeSet<String>>,
    /// What was overdue after the last quiet night.
    overdue: BTreeMap<&'static str, BTreeSet<String>>,
    looked_at: usize,
    /// Every fourth history with a journal has some.
    worst_days: Option<WorstDays>,
    trace: Trace,
    tally: Tally,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::new(seed, &[("SOURCE_EXCLUDE", "acme-scratch*")]);
        if dice.u8(0..3) == 0 {
            let mut second = world.plan.targets[0].clone();
            (second.name, second.region) = ("second".into(), OTHER_TARGET.into());
            world.plan.targets.push(second);
        }
        for target in &mut world.plan.targets {
            some_policy(&mut dice, &mut target.retention);
        }
        world.page_size = [1_000, 1_000, 7, 20][dice.usize(0..4)];
        let objects = (dice.u8(0..3) > 0).then(|| Arc::new(InMemory::new()));
        let begin: Timestamp = BEGIN.parse().unwrap();
        let first_slot = begin
            + SignedDuration::from_hours(24 * dice.i64(2..330))
            + SignedDuration::from_mins(dice.i64(0..24 * 60));
        world
            .emulator
            .update_settings(|settings| settings.half_copies_visible = dice.bool());
        let has_worst_days = objects.is_some() && seed.is_multiple_of(4);
        Self {
            world,
            dice,
            seed,
            objects,
            stores: Vec::new(),
            invocations: 0,
            sources: BTreeMap::new(),
            copies: BTreeMap::new(),
            unsealed: BTreeMap::new(),
            slots: BTreeSet::new(),
            decoys: Vec::new(),
            late_events: Vec::new(),
            tonight: Vec::new(),
            remote_skew: 0,
            first_slot,
            shown: BTreeMap::new(),
            overdue: BTreeMap::new(),
            looked_at: 0,
            worst_days: has_worst_days.then(|| WorstDays::new(seed)),
            trace: Trace::new(),
            tally: Tally::default(),
        }
    }

    pub(super) async fn play(mut self) -> (Tally, u64) {
        let begin = self.first_slot - SignedDuration::from_hours(20);
        self.world.sleep_until(begin).await;
        self.plant();
        for night in 0..NIGHTS {
            let slot = self.slot(night);
            self.change_sources(night);
            self.world.sleep_until(slot).await;
            self.tonight = self.some_faults();
            self.copies_take(night);
            self.night(slot).await;
            self.ticks(false).await;
            self.arrivals().await;
            self.worst_day(night).await;
        }
        self.end_worst_days().await;
        self.quiet_end().await;
        for (region, name) in &self.decoys {
            let stands = self
                .world
                .seen(region)
                .iter()
                .any(|seen| seen.name == *name);
            assert!(stands, "{name} in {region} was none of ours and is gone");
        }
        self.tally.add("histories", 1);
        (self.tally, self.trace.hash())
    }

    fn slot(&self, night: i64) -> Timestamp {
        self.first_slot + SignedDuration::from_hours(24 * night)
    }

    fn second(&self) -> i64 {
        self.world.now().as_second()
    }

    fn targets(&self) -> Vec<&'static str> {
        [TARGET, OTHER_TARGET][..self.world.plan.targets.len()].to_vec()
    }

    // What stands before the first night, and whose it is.

    /// Namespaces that are nobody's business of ours, some of them better disguised than others.
    fn plant(&mut self) {
        let now = self.second();
        for stray in STRAYS {
            self.decoy(TARGET, stray.to_owned());
        }
        for days in [1, 3, 5] {
            // By name and creation they could be ours, but they stand in another place or are not selected.
            let slot = now - days * DAY;
            self.decoy(SOURCE, format!("backup-acme-s0-{slot:010}"));
            self.decoy(TARGET, format!("backup-acme-scratch-1-{slot:010}"));
            self.decoy(TARGET, format!("backup-globex-s1-{slot:010}"));
            if self.targets().len() == 1 {
                self.decoy(OTHER_TARGET, format!("backup-acme-s0-{slot:010}"));
            }
        }
        for days in [8, 30] {
            let slot = now - days * DAY;
            self.decoy(TARGET, format!("backup-acme-s1-{slot:010}"));
        }
    }

    fn decoy(&mut self, region: &'static str, name: String) {
        self.world.write_rows(region, &name, 0..3);
        if self.dice.u8(0..4) > 0 {
            self.world.seal(region, &name, true);
        }
        self.decoys.push((region, name));
    }

    // Sources come, grow, freeze, thaw, go and come back.

    fn change_sources(&mut self, night: i64) {
        if night == 0 {
            self.write("acme-scratch-1", 5);
        }
        for index in 0..4 {
            let name = format!("acme-s{index}");
            let (live, frozen, rows) = self.sources.get(&name).map_or((false, false, 0), |life| {
                (life.live, life.frozen, life.rows())
            });
            match (live, frozen, self.dice.u32(0..48)) {
                (false, _, 0..20) => {
                    let rows = self.dice.u64(1..150);
                    self.write(&name, rows);
                }
                (true, false, 0..2) if night > 3 => {
                    self.world.delete(SOURCE, &name);
                    self.life(&name).live = false;
                }
                (true, false, 2..20) => self.write(&name, rows + 5),
                (true, false, 20) => {
                    self.world.seal(SOURCE, &name, true);
                    self.life(&name).frozen = true;
                }
                (true, true, 0..12) if self.is_whole(&name) => {
                    self.world.seal(SOURCE, &name, false);
                    self.life(&name).frozen = false;
                    self.tally.add("sources thawed", 1);
                }
                _ => {}
            }
        }
    }

    fn life(&mut self, source: &str) -> &mut Life {
        self.sources.entry(source.to_owned()).or_default()
    }

    fn write(&mut self, source: &str, rows: u64) {
        let now = self.second();
        let from = if self.life(source).live {
            self.life(source).rows()
        } else {
            0
        };
        self.world.write_rows(SOURCE, source, from..rows);
        let life = self.life(source);
        life.live = true;
        life.versions.push((now, rows));
    }

    /// Whether the last copy of a frozen source that anybody asked for was compared, so that thawing it can hide nothing
    /// (the known limit in README.md).
    fn is_whole(&self, source: &str) -> bool {
        let asked = self.copies.iter().filter(|((_, name), _)| {
            rules::read(name.trim_start_matches("manual-")).is_some_and(|(of, _)| of == source)
        });
        for ((region, name), _) in asked {
            let seen = self.world.seen(region);
            let seen = seen.iter().find(|seen| seen.name == *name);
            let deleted = self.was_deleted(name);
            let whole = seen.is_some_and(|seen| seen.read_only && !self.lies(region, seen));
            if !whole && !deleted {
                return false;
            }
        }
        true
    }

    fn was_deleted(&self, name: &str) -> bool {
        let asked = self.world.asked.lock().unwrap();
        asked
            .iter()
            .any(|asked| asked.what == Asks::Delete && asked.name == name)
    }

    /// Whether a read-only backup is not what its source was while it was made.
    fn lies(&self, region: &'static str, seen: &Standing) -> bool {
        let Some((from, to)) = self.copies.get(&(region, seen.name.clone())) else {
            return false;
        };
        let source = rules::read(seen.name.trim_start_matches("manual-"));
        let life = source.and_then(|(source, _)| self.sources.get(source));
        life.is_some_and(|life| !life.may_have_had(seen.rows, *from, *to + 2 * DAY))
    }

    // What goes wrong.

    fn copies_take(&mut self, night: i64) {
        let milliseconds = match self.dice.u32(0..16) {
            0 if night > 0 => self.dice.u64(1..8) * 3_600_000,
            1..3 => self.dice.u64(120_000..900_000),
            3..6 => self.dice.u64(10..60_000),
            _ => self.dice.u64(10..1_000),
        };
        self.world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = milliseconds);
    }

    fn some_faults(&mut self) -> Vec<Value> {
        let operations = [
            "list",
            "metadata",
            "patch_metadata",
            "query",
            "start_copy",
            "poll",
            "delete",
            "any",
        ];
        let faults = [
            json!({"status": 500}),
            json!({"status": 503, "commit": "after"}),
            json!({"status": 429, "retry_after": 3}),
            json!({"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}),
            json!({"reset": "before"}),
            json!({"reset": "after"}),
            json!({"truncate": true}),
            json!({"latency_ms": 4_000}),
            json!({"status": 403}),
            json!({"lose_token": true}),
            json!({"fail_operation": true}),
            json!({"corrupt_copy": "drop_rows"}),
            json!({"stall_operation": true}),
            json!({"delete_lies": true}),
            json!({"clock_skew_seconds": 900}),
            json!({"clock_skew_seconds": -900}),
            json!({"drop_page": true}),
            json!({"repeat_page": true}),
            json!({"loop_cursor": true}),
            json!({"revoke_key": true}),
        ];
        let rules = (0..self.dice.usize(0..5)).map(|_| {
            let fault = &faults[self.dice.usize(0..faults.len())];
            let named = fault.as_object().unwrap().keys().next().unwrap().clone();
            let operation = match named.as_str() {
                "drop_page" | "repeat_page" | "loop_cursor" => "list",
                "delete_lies" => "delete",
                "lose_token" | "fail_operation" | "corrupt_copy" | "stall_operation" => {
                    "start_copy"
                }
                _ => operations[self.dice.usize(0..operations.len())],
            };
            let mut when = json!({"operation": operation});
            if self.dice.u8(0..3) == 0 {
                when["region"] = json!([SOURCE, TARGET, OTHER_TARGET][self.dice.usize(0..3)]);
            }
            let probability = [0.05, 0.3, 1.0][self.dice.usize(0..3)];
            json!({"match": when, "fault": fault, "probability": probability, "times": self.dice.u64(1..200)})
        });
        rules.collect()
    }

    fn has_fault(&self, named: &str) -> bool {
        self.tonight
            .iter()
            .any(|rule| rule["fault"].get(named).is_some())
    }

    fn some_chances(&mut self) -> Chances {
        match self.dice.u8(0..4) {
            0 => Chances {
                fails_before: self.dice.u8(1..30),
                fails_after: self.dice.u8(1..20),
                longest_delay: Duration::from_millis(self.dice.u64(1..3_000)),
            },
            1 => Chances {
                longest_delay: Duration::from_secs(1),
                ..Chances::default()
            },
            _ => Chances::default(),
        }
    }

    // One night.

    fn backup(&mut self, slot: Timestamp) -> Start {
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

    async fn night(&mut self, slot: Timestamp) {
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
        let began = self.second();
        let said = self.event(vec![dry]).await;
        let did = self.event(vec![real]).await;
        self.compare_hashes(&said, &did, began, true);
    }

    async fn pruned_only(&mut self) {
        let slot = self.world.now();
        let dry = dry_run(Action::Prune, slot);
        let mut real = dry.clone();
        real.request.dry_run = false;
        let began = self.second();
        let said = self.event(vec![dry]).await;
        let did = self.event(vec![real]).await;
        self.compare_hashes(&said, &did, began, false);
    }

    fn compare_hashes(&mut self, said: &[Ended], did: &[Ended], began: i64, copies: bool) {
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
            let standing = self.world.seen(region);
            let scene = Scene {
                standing: &standing,
                policy: &policy,
                lies: &|_| false,
                now: self.second(),
            };
            if scene.something_falls_due(began, self.second()) {
                continue;
            }
            let (said, did) = (&said.targets[at], &did.targets[at]);
            if let (Some(said), Some(did)) = (&said.deletion_plan, &did.deletion_plan) {
                // What was deleted a moment ago is what was due, so the hashes are of the same list.
                assert_eq!(said, did, "a dry run's hash is not the run's");
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
    async fn arrivals(&mut self) {
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

    async fn approve_what_is_due(&mut self, at: usize) -> Vec<Ended> {
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

    fn live(&self) -> impl Iterator<Item = &str> {
        self.sources
            .iter()
            .filter(|(name, life)| life.live && rules::selected(name))
            .map(|(name, _)| name.as_str())
    }

    // Five-minute ticks while a run is open.

    /// Ticks until nothing is open; with patience until a stalled copy is given up, else only for a while.
    async fn ticks(&mut self, to_the_end: bool) {
        if self.objects.is_none() {
            return;
        }
        let most = if to_the_end {
            CLOSE_TICKS + 30
        } else {
            CLOSE_TICKS + 4
        };
        for tick in 0..most {
            let wait = if tick < CLOSE_TICKS { TICK } else { 12 * TICK };
            if self.open_runs().await.is_empty() {
                return;
            }
            tokio::time::sleep(wait).await;
            for (slot, manual) in self.open_runs().await {
                let mut start = self.backup(slot);
                start.request.action = Action::Resume;
                start.request.manual = manual;
                if to_the_end {
                    start = Start::of(start.request);
                } else if self.dice.u8(0..40) == 0 {
                    start.killed_after = Some(Duration::from_millis(self.dice.u64(1..5_000)));
                }
                self.tally.add("ticks", 1);
                self.event(vec![start]).await;
            }
        }
    }

    async fn open_runs(&mut self) -> Vec<(Timestamp, bool)> {
        let Some(objects) = &self.objects else {
            return Vec::new();
        };
        for store in std::mem::take(&mut self.stores) {
            store.deliver_late_puts().await;
        }
        let journal = Journal::on(Arc::clone(objects) as _, Path::from("lifeboat"));
        let open = journal.open_runs().await.unwrap();
        open.runs
            .iter()
            .map(|run| (run.key.slot.instant(), run.key.class == Class::Manual))
            .collect()
    }

    // One event: some processes at once, and then the rules.

    async fn event(&mut self, starts: Vec<Start>) -> Vec<Ended> {
        self.world.faults(Value::Array(self.tonight.clone()));
        let before = self.looked_at;
        let mut runs = Vec::new();
        for start in starts {
            self.invocations += 1;
            if let Some(slot) = start.request.scheduled_time {
                self.slots.insert(slot.as_second());
            }
            let store = self.objects.as_ref().map(|objects| {
                let store = FaultyStore::over(objects, self.dice.u64(..));
                store.chances(start.journal_chances);
                store.next_writes(start.journal_fates.iter().copied());
                store
            });
            runs.push((self.invocations, start, store));
        }
        let stores: Vec<FaultyStore> = runs
            .iter()
            .filter_map(|(_, _, store)| store.clone())
            .collect();
        let world = &self.world;
        let ended = join_all(runs.into_iter().map(|run| invoke(world, run))).await;
        self.count_faults(&stores);
        self.stores.extend(stores);
        self.world.faults(json!([]));
        self.world.emulator.set_keys(Vec::new());
        self.check(before, &ended);
        ended
    }

    fn count_faults(&mut self, stores: &[FaultyStore]) {
        let fired = self.world.emulator.faults_fired();
        for (rule, count) in self.tonight.iter().zip(fired) {
            let fault = rule["fault"].as_object().unwrap();
            let (kind, value) = fault.iter().next().unwrap();
            let kind = match fault.get("commit") {
                Some(_) => "status 503 after commit".to_owned(),
                None if value.is_boolean() => kind.clone(),
                None => format!("{kind} {value}"),
            };
            self.tally.add(&format!("fault: {kind}"), count);
        }
        for (fate, count) in stores.iter().flat_map(FaultyStore::met) {
            if fate == Fate::WipedFirst && count > 0 {
                self.journal_is_lost();
            }
            self.tally.add(&format!("journal fault: {fate:?}"), count);
        }
    }

    fn journal_is_lost(&mut self) {
        if let Some(days) = &mut self.worst_days {
            days.journal_is_lost();
        }
    }

    fn check(&mut self, before: usize, ended: &[Ended]) {
        let asked: Vec<Asked> = self.world.asked.lock().unwrap()[before..].to_vec();
        self.looked_at = before + asked.len();
        for one in &asked {
            let Some(of) = ended
                .iter()
                .find(|ended| ended.invocation == one.invocation)
            else {
                panic!("a process that had ended asked for {one:?}")
            };
            self.trace.note(&format!(
                "{} {} {:?} {} {}",
                one.at, one.invocation, one.what, one.region, one.name
            ));
            self.check_asked(one, of);
        }
        for one in ended {
            let of_this: Vec<&Asked> = asked
                .iter()
                .filter(|asked| asked.invocation == one.invocation)
                .collect();
            self.check_ended(one, &of_this, ended.len() > 1);
        }
        self.check_lease(&asked, ended);
    }

    /// The rules about one request.
    fn check_asked(&mut self, asked: &Asked, of: &Ended) {
        let request = &of.start.request;
        assert!(
            self.targets().contains(&asked.region),
            "{} was asked to change {}",
            asked.region,
            asked.name
        );
        assert!(!request.dry_run, "a dry run asked for {asked:?}");
        match asked.what {
            Asks::Copy => {
                let plain = asked.name.strip_prefix("manual-");
                assert_eq!(plain.is_some(), request.manual, "{}", asked.name);
                let (source, slot) = rules::read(plain.unwrap_or(&asked.name)).unwrap();
                assert!(rules::selected(source), "{source} was copied");
                assert!(
                    self.slots.contains(&slot),
                    "{} is of a slot that no event named",
                    asked.name
                );
                assert_ne!(request.action, Action::Prune, "a prune copied");
                let at = asked.at.as_second();
                let copy = (asked.region, asked.name.clone());
                self.copies.entry(copy).or_insert((at, at)).1 = at;
            }
            Asks::Seal => {
                let seen = asked.standing.iter().find(|seen| seen.name == asked.name);
                let made_here = self
                    .copies
                    .contains_key(&(asked.region, asked.name.clone()));
                assert!(made_here, "{} was sealed and is not ours", asked.name);
                if let Some(seen) = seen {
                    assert!(
                        !self.lies(asked.region, seen),
                        "{} was sealed with {} rows and is not what its source was",
                        asked.name,
                        seen.rows
                    );
                }
            }
            Asks::Unseal => {
                let copy = (asked.region, asked.name.clone());
                self.unsealed.insert(copy, asked.invocation);
            }
            Asks::Delete => self.check_deletion(asked, of),
        }
    }

    fn check_deletion(&mut self, asked: &Asked, of: &Ended) {
        let Some(seen) = asked.standing.iter().find(|seen| seen.name == asked.name) else {
            return; // asked once more after an answer that was lost
        };
        let apart = (of.start.skew.as_secs() - self.remote_skew).abs();
        assert!(
            apart <= CLOCKS_AGREE,
            "{} was deleted with clocks {apart} seconds apart",
            asked.name
        );
        assert!(!of.start.request.manual, "a manual run deleted");
        let days = self.worst_days.as_ref();
        assert!(
            !days.is_some_and(|days| days.needs(asked.region, &asked.name, asked.at)),
            "{} was deleted while it was being restored",
            asked.name
        );
        let standing = self.as_it_was_read(asked);
        self.check_successor(asked, &standing, of);
        if let (true, Some(gone)) = (LEASE_IS_CERTIFIED, of.start.journal_gone_after) {
            let lost = asked.at.duration_since(of.began)
                > SignedDuration::try_from(gone).unwrap() + SignedDuration::from_mins(3);
            assert!(
                !lost || self.objects.is_none(),
                "{} was deleted after its lease had ended",
                asked.name
            );
        }
        let at = self
            .targets()
            .iter()
            .position(|region| *region == asked.region);
        let policy = Policy::of(&self.world.plan.targets[at.unwrap()]);
        let region = asked.region;
        let scene = Scene {
            standing: &standing,
            policy: &policy,
            lies: &|seen| self.lies(region, seen),
            now: asked.at.as_second(),
        };
        if let Some(why) = scene.why_needed(seen) {
            panic!("{} was deleted at {} although {why}", asked.name, asked.at);
        }
        self.tally.add("deletions asked for", 1);
    }

    /// What stood when the process read it. Of two processes without a journal, one may have taken the flag of a frozen
    /// source's good copy away since, to compare it again.
    fn as_it_was_read(&self, asked: &Asked) -> Vec<Standing> {
        let mut standing = asked.standing.clone();
        for seen in &mut standing {
            let by = self.unsealed.get(&(asked.region, seen.name.clone()));
            let by_another = by.is_some_and(|by| *by != asked.invocation);
            seen.read_only |= by_another && !self.lies(asked.region, seen);
        }
        standing
    }

    /// A run deletes nothing of a source before its own backup of it is sealed.
    fn check_successor(&self, asked: &Asked, standing: &[Standing], of: &Ended) {
        let Request {
            action,
            scheduled_time,
            ..
        } = &of.start.request;
        let (Action::Backup | Action::Resume, Some(slot)) = (action, scheduled_time) else {
            return;
        };
        let (source, _) = rules::read(&asked.name).unwrap();
        let name = format!("backup-{source}-{:010}", slot.as_second());
        let sealed = |seen: &Standing| seen.name == name && seen.read_only;
        assert!(
            standing.iter().any(sealed) || self.was_deleted(&name),
            "{} was deleted before {name} was sealed",
            asked.name
        );
    }

    /// The rules about a process as a whole.
    fn check_ended(&mut self, ended: &Ended, asked: &[&Asked], in_a_race: bool) {
        self.tally.add("events", 1);
        self.check_brake(ended, asked);
        let Some(answer) = &ended.answer else {
            self.tally.add("kills", 1);
            self.trace
                .note(&format!("{} {} killed", ended.until, ended.invocation));
            return;
        };
        let took = ended
            .until
            .duration_since(ended.began + SignedDuration::try_from(ended.start.after).unwrap());
        let most =
            SignedDuration::try_from(ended.start.time_left).unwrap() + SignedDuration::from_mins(3);
        assert!(took <= most, "a run took {took:#}");
        let report = match answer {
            Ok(report) => report,
            Err(refused) => {
                assert!(asked.is_empty(), "refused, and yet {asked:?}");
                assert!(!refused.to_string().contains("tpuf_test"), "{refused}");
                return self.trace.note(&refused.to_string());
            }
        };
        let text = serde_json::to_string(report).unwrap();
        assert!(!text.contains("tpuf_test"), "the key is in {text}");
        self.trace.note(&text);
        self.check_told(ended, report, asked);
        self.check_approval(ended, report, asked);
        let soundly = ended.start.skew.is_zero()
            && self.remote_skew == 0
            && !self.has_fault("clock_skew_seconds")
            && ended.start.has_a_sound_journal();
        assert!(
            report.pruning.refused == 0 || in_a_race || !soundly,
            "the certificate had to stop the planner: {:#?}",
            report.failures.shown
        );
        self.tally.add(
            "near misses stopped by the certificate",
            report.pruning.refused,
        );
        self.tally.add("sealed", report.jobs.sealed);
        self.tally.add("lost answers adopted", report.jobs.adopted);
        self.tally.add("failed jobs", report.jobs.failed);
        self.tally.add("backups deleted", report.pruning.deleted);
        let braked = report
            .failures
            .shown
            .iter()
            .filter(|one| one.error == "braked");
        self.tally
            .add("lists braked", u64::try_from(braked.count()).unwrap());
    }

    /// More than a night explains and more than a quarter needs a person.
    fn check_brake(&self, ended: &Ended, asked: &[&Asked]) {
        for region in self.targets() {
            let of = |what: Asks| {
                let names = asked
                    .iter()
                    .filter(|asked| asked.region == region && asked.what == what);
                names
                    .map(|asked| &asked.name)
                    .collect::<BTreeSet<_>>()
                    .len()
            };
            let (deleted, sealed) = (of(Asks::Delete), of(Asks::Seal));
            let first = asked
                .iter()
                .find(|asked| asked.region == region && asked.what == Asks::Delete);
            let Some(first) = first else { continue };
            let policy = Policy::of(&self.world.plan.targets[0]);
            let scene = Scene {
                standing: &first.standing,
                policy: &policy,
                lies: &|_| false,
                now: 0,
            };
            let out_of_proportion = deleted > 2 * sealed + 10 && 4 * deleted > scene.backups();
            assert!(
                !out_of_proportion || ended.start.request.approve.is_some(),
                "{deleted} of {} backups were deleted without anybody's word",
                scene.backups()
            );
        }
    }

    /// The report tells of every deletion, and of none that did not happen.
    fn check_told(&self, ended: &Ended, report: &Report, asked: &[&Asked]) {
        let failed: BTreeSet<&str> = report
            .failures
            .shown
            .iter()
            .filter_map(|failure| failure.backup.as_deref())
            .collect();
        let told: BTreeSet<&str> = report.deleted.shown.iter().map(String::as_str).collect();
        for asked in asked.iter().filter(|asked| asked.what == Asks::Delete) {
            let name = asked.name.as_str();
            assert!(
                told.contains(name) || failed.contains(name),
                "{name} was deleted and nobody told"
            );
        }
        for target in &report.targets {
            assert!(
                target.deletion_stopped.is_none()
                    || target.pruning.deleted == 0
                    || self.clocks_may_differ(ended),
                "deletion was stopped and went on: {target:#?}"
            );
        }
        if self.targets().len() == 1 {
            let seen = self.world.seen(TARGET);
            for name in told {
                let stands = seen.iter().any(|seen| seen.name == name);
                assert!(!stands, "{name} was said to be deleted and stands");
            }
        }
    }

    fn clocks_may_differ(&self, ended: &Ended) -> bool {
        !ended.start.skew.is_zero()
            || self.remote_skew != 0
            || self.has_fault("clock_skew_seconds")
            || self.has_fault("latency_ms")
    }

    /// An approval deletes exactly what its hash was shown for, or nothing.
    fn check_approval(&mut self, ended: &Ended, report: &Report, asked: &[&Asked]) {
        if report.dry_run {
            let due = |target: &TargetReport| {
                let lines = report.decisions.shown.iter();
                let lines = lines.filter(|line| line.due && line.target == target.target);
                lines
                    .map(|line| line.backup.clone())
                    .collect::<BTreeSet<_>>()
            };
            for target in &report.targets {
                if let Some(hash) = &target.deletion_plan {
                    self.shown.insert(hash.to_string(), due(target));
                }
            }
        }
        let Some(approved) = &ended.start.request.approve else {
            return;
        };
        let empty = BTreeSet::new();
        let list = self.shown.get(approved).unwrap_or(&empty);
        for asked in asked.iter().filter(|asked| asked.what == Asks::Delete) {
            assert!(
                list.contains(&asked.name),
                "{} was deleted, and is not on the list of {approved}",
                asked.name
            );
        }
    }

    /// While the journal is sound, at most one process works on the plan at a time.
    fn check_lease(&self, asked: &[Asked], ended: &[Ended]) {
        let sound = ended.iter().all(|ended| ended.start.has_a_sound_journal());
        if self.objects.is_none() || !sound {
            return;
        }
        let span = |invocation: u64| {
            let mut of_this = asked.iter().filter(|asked| asked.invocation == invocation);
            let first = of_this.next()?.at;
            Some((first, of_this.next_back().map_or(first, |last| last.at)))
        };
        for (index, one) in ended.iter().enumerate() {
            for other in &ended[index + 1..] {
                if let (Some(one), Some(other)) = (span(one.invocation), span(other.invocation)) {
                    assert!(
                        one.1 < other.0 || other.1 < one.0,
                        "two invocations worked at once: {one:?} and {other:?}"
                    );
                }
            }
        }
    }

    // The quiet end.

    /// Faults stop, and every source must soon have a good backup, nothing be overdue and nothing open.
    async fn quiet_end(&mut self) {
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
                if !sealed {
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
                return Some(format!("{} still looks sealed", lies.name));
            }
        }
        None
    }
}

async fn invoke(world: &World, run: (u64, Start, Option<FaultyStore>)) -> Ended {
    let (invocation, start, store) = run;
    let began = world.now();
    tokio::time::sleep(start.after).await;
    let journal = store
        .clone()
        .map(|store| Journal::on(Arc::new(store) as _, Path::from("lifeboat")));
    let process = Process {
        invocation,
        journal: journal.as_ref(),
        skew: start.skew,
    };
    let run = world.run_in(&process, start.request.clone(), start.time_left);
    let killed = async {
        match start.killed_after {
            Some(after) => tokio::time::sleep(after).await,
            None => pending().await,
        }
    };
    let killed_at_a_write = async {
        match &store {
            Some(store) => store.died().await,
            None => pending().await,
        }
    };
    let journal_goes = async {
        if let (Some(store), Some(after)) = (&store, start.journal_gone_after) {
            tokio::time::sleep(after).await;
            // Every other one can still be read: then nothing but the lease, which can't be renewed, stops deletion.
            if after.as_secs().is_multiple_of(2) {
                store.next_writes(std::iter::repeat_n(Fate::FailsBefore, 10_000));
            } else {
                store.chances(Chances {
                    fails_before: 100,
                    ..Chances::default()
                });
            }
        }
        pending::<()>().await;
    };
    let answer = tokio::select! {
        biased;
        answer = run => Some(answer),
        () = killed => None,
        () = killed_at_a_write => None,
        () = journal_goes => None,
    };
    Ended {
        start,
        invocation,
        began,
        until: world.now(),
        answer,
    }
}

fn some_policy(dice: &mut fastrand::Rng, policy: &mut lifeboat::retention::Policy) {
    policy.days = NonZeroU32::new(dice.u32(0..10));
    policy.min = NonZeroU32::new(dice.u32(1..4)).unwrap();
    if !HOLDS_AND_PERIODS {
        return;
    }
    if dice.bool() {
        policy.periods.daily = dice.u32(0..8);
        policy.periods.weekly = dice.u32(0..4);
        policy.periods.monthly = dice.u32(0..3);
        policy.periods.yearly = dice.u32(0..2);
    }
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Pacific/Auckland",
        "Asia/Kathmandu",
    ];
    policy.zone = TimeZone::get(zones[dice.usize(0..zones.len())]).unwrap();
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
