//! Months of nights by chance: faults, kills, races, repeated events, sources that come, go and change.
//!
//! After every event the target is compared with what stood before, against the rules written down a second time and
//! without any of the product's code. At the end the faults stop, and two quiet nights must leave every source with a
//! good backup and nothing overdue. A failure prints its seed; `LIFEBOAT_SEED=n` plays that history alone, and
//! `LIFEBOAT_HISTORIES=n` sets how many are played.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::report::{Outcome, Report};
use serde_json::{Value, json};

use crate::world::{SOURCE, TARGET, World};

const NIGHTS: i64 = 30;
const DAYS: i64 = 5;
const DAY_SECONDS: i64 = 86_400;
/// Names that look like backups to somebody who looks only at their last ten characters.
const STRAYS: [&str; 6] = [
    "backup-acme-tenant-0012345678",
    "backup-acme-docs-1_2_3_4_56",
    "backup-acme-x--1234567890",
    "backup-acme-a-9999999999",
    "backup-acme-",
    "backup-acme-s0-1234567890",
];

/// What stands in the target: name to (created at, sealed), in Unix seconds.
type Standing = BTreeMap<String, (i64, bool)>;

#[test]
fn no_history_loses_what_the_policy_needs() {
    let (first, count) = match std::env::var("LIFEBOAT_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (
            1,
            std::env::var("LIFEBOAT_HISTORIES").map_or(100, |count| count.parse().unwrap()),
        ),
    };
    let mut total = Tally::default();
    for seed in first..first + count {
        let played = std::panic::catch_unwind(|| play(seed));
        match played {
            Ok(tally) => total.add(&tally),
            Err(panic) => {
                eprintln!("history {seed} failed; play it alone with LIFEBOAT_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{count} histories of {NIGHTS} nights: {total:?}");
    // A simulation in which nothing happens proves nothing.
    assert!(
        count < 20
            || (total.deleted > 100
                && total.kills > 20
                && total.failed_jobs > 50
                && total.adopted > 20),
        "{total:?}"
    );
}

#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    sealed: u64,
    adopted: u64,
    failed_jobs: u64,
    deleted: u64,
    kills: u64,
    races: u64,
    repeats: u64,
    braked: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.sealed += other.sealed;
        self.adopted += other.adopted;
        self.failed_jobs += other.failed_jobs;
        self.deleted += other.deleted;
        self.kills += other.kills;
        self.races += other.races;
        self.repeats += other.repeats;
        self.braked += other.braked;
    }

    fn count(&mut self, report: &Report) {
        self.runs += 1;
        self.sealed += report.jobs.sealed;
        self.adopted += report.jobs.adopted;
        self.failed_jobs += report.jobs.failed;
    }
}

fn play(seed: u64) -> Tally {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(History::new(seed).play())
}

struct History {
    world: World,
    dice: fastrand::Rng,
    min: usize,
    tonight: Value,
    live: BTreeMap<String, u64>,
    /// Sources that are read-only from now on.
    frozen: BTreeSet<String>,
    /// Backups that are read-only without having been compared.
    inherited: BTreeSet<String>,
    tally: Tally,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let min = dice.usize(1..=3);
        let (days, min_text) = (DAYS.to_string(), min.to_string());
        let world = World::new(
            seed,
            &[("RETENTION_DAYS", &days), ("MIN_BACKUPS", &min_text)],
        );
        world.emulator.update_settings(|settings| {
            settings.half_copies_visible = dice.bool();
            settings.copy_overhead_ms = dice.u64(10..60_000);
        });
        Self {
            world,
            dice,
            min,
            tonight: json!([]),
            live: BTreeMap::new(),
            frozen: BTreeSet::new(),
            inherited: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    async fn play(mut self) -> Tally {
        for stray in STRAYS {
            self.world.plant(stray, self.dice.bool());
        }
        for night in 1..=NIGHTS {
            self.change_sources(night);
            let slot: Timestamp = "2026-01-01T02:00:00Z".parse().unwrap();
            let slot = slot + SignedDuration::from_hours(24 * night);
            self.world.sleep_until(slot).await;
            self.tonight = self.some_faults();
            self.events_of(slot).await;
        }
        self.quiet_end().await;
        self.tally
    }

    /// Sources come, grow, shrink, freeze and go.
    fn change_sources(&mut self, night: i64) {
        for index in 0..4 {
            let name = format!("acme-s{index}");
            let rows = self.live.get(&name).copied();
            match (rows, self.dice.u32(0..20)) {
                (None, 0..8) => {
                    let rows = self.dice.u64(1..150);
                    self.world.write_rows(SOURCE, &name, 0..rows);
                    self.live.insert(name, rows);
                }
                // A frozen source stays: what is lost with it, README.md says under "Known limits".
                (Some(_), 0) if night > 3 && !self.frozen.contains(&name) => {
                    self.world.delete(SOURCE, &name);
                    self.live.remove(&name);
                }
                (Some(rows), 1..10) if !self.frozen.contains(&name) => {
                    self.world.write_rows(SOURCE, &name, rows..rows + 5);
                    self.live.insert(name, rows + 5);
                }
                (Some(_), 10) => {
                    self.world.seal(SOURCE, &name, true);
                    self.frozen.insert(name);
                }
                _ => {}
            }
        }
    }

    fn some_faults(&mut self) -> Value {
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
        ];
        let rules = (0..self.dice.usize(0..4)).map(|_| {
            let operation = operations[self.dice.usize(0..operations.len())];
            let fault = &faults[self.dice.usize(0..faults.len())];
            let probability = [0.05, 0.3, 1.0][self.dice.usize(0..3)];
            json!({"match": {"operation": operation}, "fault": fault, "probability": probability, "times": self.dice.u64(1..200)})
        });
        rules.collect()
    }

    /// The slot's event: once, twice, twice at once, killed half-way, then retried.
    async fn events_of(&mut self, slot: Timestamp) {
        match self.dice.u32(0..10) {
            0 => {
                self.tally.kills += 1;
                let killed_after = Duration::from_millis(self.dice.u64(1..90_000));
                let before = self.begin();
                let request = Request {
                    scheduled_time: Some(slot),
                    ..Request::default()
                };
                let cut = tokio::time::timeout(
                    killed_after,
                    self.world.run(request, Duration::from_mins(14)),
                )
                .await;
                let after = self.end();
                self.check(&before, &after, cut.ok().and_then(Result::ok).as_ref());
            }
            1 => {
                self.tally.races += 1;
                let before = self.begin();
                let later = Duration::from_millis(self.dice.u64(0..2_000));
                let second = async {
                    tokio::time::sleep(later).await;
                    self.world.back_up(slot).await
                };
                let (one, two) = tokio::join!(self.world.back_up(slot), second);
                let after = self.end();
                self.check(&before, &after, None);
                self.tally.count(&one);
                self.tally.count(&two);
            }
            2 => {
                let before = self.begin();
                let report = self
                    .world
                    .run(
                        Request {
                            action: Action::Prune,
                            ..Request::default()
                        },
                        Duration::from_mins(14),
                    )
                    .await;
                let after = self.end();
                self.check(&before, &after, report.ok().as_ref());
            }
            3..=5 => {
                self.tally.repeats += 1;
                self.one_event(slot).await;
                tokio::time::sleep(Duration::from_mins(1)).await;
                self.one_event(slot).await;
            }
            _ => self.one_event(slot).await,
        }
    }

    async fn one_event(&mut self, slot: Timestamp) {
        let before = self.begin();
        let report = self.world.back_up(slot).await;
        let after = self.end();
        self.check(&before, &after, Some(&report));
        self.tally.count(&report);
    }

    /// What stands before an event, and then the night's faults.
    fn begin(&self) -> Standing {
        let before = self.standing();
        self.world.faults(self.tonight.clone());
        before
    }

    /// The end of the faults, and what stands then.
    fn end(&self) -> Standing {
        self.world.faults(json!([]));
        self.standing()
    }

    fn standing(&self) -> Standing {
        let seconds = |value: &Value| {
            value
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .unwrap()
                .as_second()
        };
        let entry = |(name, metadata): (String, Value)| {
            (
                name,
                (
                    seconds(&metadata["created_at"]),
                    metadata["read_only"] == true,
                ),
            )
        };
        self.world.standing(TARGET).into_iter().map(entry).collect()
    }

    /// The rules, written down a second time.
    fn check(&mut self, before: &Standing, after: &Standing, report: Option<&Report>) {
        let now = self.world.now().as_second();
        self.check_seals(before, after);
        let trusted: Standing = after
            .clone()
            .into_iter()
            .filter(|(name, _)| !self.inherited.contains(name))
            .collect();
        let deleted: Vec<&String> = before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .collect();
        for name in &deleted {
            let (created_at, sealed) = before[*name];
            let (source, slot) =
                read(name).unwrap_or_else(|| panic!("{name} is no backup and was deleted"));
            assert!(!STRAYS.contains(&name.as_str()), "{name} was deleted");
            assert!(sealed, "{name} was unsealed and was deleted");
            assert!(
                (slot - 300..=slot + 7 * DAY_SECONDS).contains(&created_at),
                "{name} is not ours and was deleted"
            );
            let newer = good(&trusted, now).filter(|(other, at, _)| *other == source && *at > slot);
            let newer: Vec<(String, i64, i64)> = newer.collect();
            let superseded = newer
                .iter()
                .any(|(_, at, created_at)| now - at.max(created_at) > DAYS * DAY_SECONDS);
            assert!(
                superseded,
                "{name} was needed to return into the window and was deleted; {newer:?} remain"
            );
            assert!(
                newer.len() >= self.min,
                "{name} was deleted below the floor of {}; {newer:?} remain",
                self.min
            );
        }
        self.tally.deleted += u64::try_from(deleted.len()).unwrap();
        if let Some(report) = report {
            let told: BTreeSet<&String> = report.deleted.shown.iter().collect();
            assert!(
                deleted.iter().all(|name| told.contains(*name)) || report.pruning.failed > 0,
                "{deleted:?} are gone, {told:?} were told"
            );
        }
    }

    /// Whatever was sealed in this event is what its source is.
    ///
    /// A copy of a frozen source is born read-only. While faults keep us from clearing that flag it counts for nothing
    /// here, so no deletion may have leaned on it; a quiet night must have cleared it.
    fn check_seals(&mut self, before: &Standing, after: &Standing) {
        let still_lies = |name: &String| {
            let (source, _) = read(name).unwrap();
            after.contains_key(name)
                && self.live.get(&source) != Some(&self.world.rows(TARGET, name))
        };
        self.inherited = self
            .inherited
            .iter()
            .filter(|name| still_lies(name))
            .cloned()
            .collect();
        for (name, (_, sealed)) in after {
            let was_sealed = before.get(name).is_some_and(|(_, sealed)| *sealed);
            if !*sealed || was_sealed || STRAYS.contains(&name.as_str()) {
                continue;
            }
            let (source, _) = read(name).unwrap();
            let copied = self.world.rows(TARGET, name);
            if Some(&copied) != self.live.get(&source) {
                assert!(
                    self.frozen.contains(&source),
                    "{name} was sealed with {copied} rows and is not what {source} is"
                );
                self.inherited.insert(name.clone());
            }
        }
    }

    /// Two quiet nights mend everything.
    async fn quiet_end(&mut self) {
        let slot: Timestamp = "2026-01-01T02:00:00Z".parse().unwrap();
        for night in [NIGHTS + 10, NIGHTS + 11] {
            let slot = slot + SignedDuration::from_hours(24 * night);
            self.world.sleep_until(slot).await;
            let before = self.standing();
            let mut report = self.world.back_up(slot).await;
            self.check(&before, &self.standing(), Some(&report));
            if self.live.is_empty() {
                return;
            }
            let sealed = report.jobs.sealed;
            if report
                .failures
                .shown
                .iter()
                .any(|failure| failure.error == "braked")
            {
                self.tally.braked += 1;
                assert_eq!(report.pruning.deleted, 0, "{report:#?}");
                let before = self.standing();
                report = self.world.approve(&report).await;
                self.check(&before, &self.standing(), Some(&report));
            }
            let only_unsealed = report
                .failures
                .shown
                .iter()
                .all(|failure| failure.error == "unsealed");
            assert!(
                report.outcome == Outcome::Succeeded || only_unsealed,
                "{report:#?}"
            );
            assert_eq!(report.pruning.deleted, report.pruning.due, "{report:#?}");
            assert_eq!(sealed, u64::try_from(self.live.len()).unwrap());
            let standing = self.standing();
            let lying = |name: &&String| {
                read(name).is_some_and(|(source, _)| self.frozen.contains(&source))
                    && standing.get(*name).is_some_and(|(_, sealed)| *sealed)
            };
            let lying: Vec<&String> = self.inherited.iter().filter(lying).collect();
            assert!(lying.is_empty(), "{lying:?} still look sealed");
        }
        for stray in STRAYS {
            assert!(self.standing().contains_key(stray), "{stray} is gone");
        }
    }
}

/// Source and slot of a name under the plan's prefix.
fn read(name: &str) -> Option<(String, i64)> {
    let (source, digits) = name.strip_prefix("backup-")?.rsplit_once('-')?;
    let exact = digits.len() == 10
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !source.is_empty();
    exact.then(|| (source.to_owned(), digits.parse().unwrap()))
}

/// Backups that are sealed and ours: source, slot, created at.
fn good(standing: &Standing, now: i64) -> impl Iterator<Item = (String, i64, i64)> {
    standing
        .iter()
        .filter_map(move |(name, (created_at, sealed))| {
            let (source, slot) = read(name)?;
            let ours = *sealed
                && slot <= now + 300
                && (slot - 300..=slot + 7 * DAY_SECONDS).contains(created_at);
            ours.then_some((source, slot, *created_at))
        })
}
