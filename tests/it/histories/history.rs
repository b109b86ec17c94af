//! One history: sources that come, change and go, nights with faults, kills, races and people, and a quiet end.
//!
//! `sources` stand, `trouble` comes, a `night` sends each `event`, `checks` look at what it did, `worst_day` restores, and
//! the `quiet_end` asks whether all came right.

mod checks;
mod event;
mod night;
mod quiet_end;
mod sources;
mod telling;
mod trouble;
mod worst_day;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifeboat::coverage::SkipUnchanged;
use lifeboat::event::Request;
use lifeboat::plan::Plan;
use lifeboat::report::Report;
use lifeboat::run::Refused;
use object_store::memory::InMemory;
use serde_json::Value;

use super::tally::{Tally, Trace};
use super::{HOLDS_AND_PERIODS, NIGHTS};
use crate::faulty_store::{Chances, Fate, FaultyStore};
use crate::world::{BEGIN, OTHER_TARGET, TARGET, World};
use telling::AllIsWell;
pub(super) use trouble::faults;
use worst_day::WorstDays;

const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);
const TICK: Duration = Duration::from_mins(5);

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
    all_is_well: AllIsWell,
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
        some_care(seed, &mut world.plan);
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
            all_is_well: AllIsWell::default(),
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
        self.whatever_failed_was_told().await;
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
}

/// How closely copies are compared, and whether unchanged sources are copied at all. Of a dice of its own.
fn some_care(seed: u64, plan: &mut Plan) {
    let mut dice = fastrand::Rng::with_seed(!seed);
    let levels = ["count", "count", "metadata", "sample:20", "full"];
    plan.verify = levels[dice.usize(0..levels.len())].parse().unwrap();
    if dice.u8(0..4) == 0 {
        plan.skip_unchanged = SkipUnchanged::until_days_old(dice.u32(1..12));
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
