//! Collections of a backup that somebody brings into a cluster that exists, in a history of clusters: killed, repeated,
//! answered with faults, and carried on with while the nights go on.
//!
//! None is ever asked for twice, none while another one is at work, what is said to be restored is there, and the backup
//! stays for as long as it may be needed. Only every fourth history has these days, with dice of their own, so that all
//! others are played as if they did not exist.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lifeboat::journal::HOLD_TIME;
use lifeboat::restore::How;
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::restore::asked::Asked;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::History;
use crate::clusters::restoring::{Safe, asked, invoke};
use crate::clusters::{Account, CLUSTER, GB, HOME};

/// No plan selects it.
const INTO: &str = "in01-0000000000000009";
/// What is seven gigabytes takes minutes, and never as long as Lifeboat has patience.
const SLOW_BYTES_PER_SECOND: u64 = 12_000_000;
const FAST_BYTES_PER_SECOND: u64 = 350_000_000;
const TIME_LEFT: Duration = Duration::from_mins(4);
/// How much earlier than it says a hold may be taken for over: by as much as clocks may differ, twice.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(10);

/// Whatever the service may do to a request.
pub(super) fn faults() -> [Value; 7] {
    [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"status": 429}),
        json!({"reset": "before"}),
        json!({"lose_token": true}),
        json!({"latency_ms": 5_000}),
    ]
}

/// Collections that were asked for.
struct Coming {
    asked: Asked,
    backup: String,
    /// What they are to be called.
    names: Vec<String>,
}

pub(super) struct Bringing {
    dice: Rng,
    safe: Safe,
    stop: Notify,
    coming: Option<Coming>,
    begun: u32,
    /// Until when each backup is said to be held.
    held: BTreeMap<String, Timestamp>,
}

/// Whether a history has such days.
pub(super) fn is_played(seed: u64) -> bool {
    seed % 4 == 1
}

impl Bringing {
    pub(super) fn new(seed: u64, account: &Account) -> Self {
        let collections = json!([
            {"name": "orders", "bytes": 4 * GB, "loaded": true},
            {"database": "archive", "name": "old", "bytes": 3 * GB},
        ]);
        account.add_cluster(CLUSTER, "orders-prod", &json!({"collections": collections}));
        account.add_cluster(INTO, "back", &json!({"bytes": 0}));
        Self {
            dice: Rng::with_seed(seed.rotate_left(32)),
            safe: Safe::default(),
            stop: Notify::new(),
            coming: None,
            begun: 0,
            held: BTreeMap::new(),
        }
    }

    /// The backups that a restore says it needs now, or may need.
    pub(super) fn needs(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let held = self.held.iter().filter(move |(_, until)| now < **until);
        held.map(|(backup, _)| backup.clone())
    }

    /// Both collections of a backup, one, or the same once more under another name.
    fn some_of(&mut self, backup: &Value) -> Coming {
        self.begun += 1;
        let number = self.begun;
        let mut renames = vec![
            ("orders", format!("orders_{number}")),
            ("archive.old", format!("old_{number}")),
        ];
        if self.dice.u8(..4) == 0 {
            renames.truncate(1);
        }
        let collections = renames.iter().map(|(from, to)| format!("{from}={to}"));
        let collections: Vec<String> = collections.collect();
        let event = json!({"backup": backup["id"], "into": INTO, "collections": collections});
        Coming {
            asked: asked(event),
            backup: backup["id"].as_str().unwrap().to_owned(),
            names: renames.into_iter().map(|(_, to)| to).collect(),
        }
    }

    /// What goes wrong during one invocation.
    fn trouble(&mut self) -> Value {
        let any = [
            "restore_collection",
            "restore_collection",
            "describe_cluster",
            "describe_job",
            "list_backups",
            "describe_backup",
        ];
        let faults = faults();
        let rules = (0..self.dice.u8(..3)).map(|_| {
            let operation = format!("zilliz.{}", any[self.dice.usize(..any.len())]);
            let fault = &faults[usize::from(self.dice.u8(..7))];
            json!({"match": {"operation": operation}, "fault": fault, "times": self.dice.u8(1..4)})
        });
        rules.collect()
    }
}

impl History {
    /// Somebody brings collections, or carries on with it.
    pub(super) async fn bring(&mut self) {
        let Some(mut days) = self.bringing.take() else {
            return;
        };
        if days.coming.is_none() {
            self.begin_to_bring(&mut days);
        }
        for _ in 0..3 {
            self.carry_on_bringing(&mut days, true).await;
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
        self.bringing = Some(days);
    }

    /// Nobody is killed any more, and everything that was begun comes to its end.
    pub(super) async fn end_bringing(&mut self) {
        let Some(mut days) = self.bringing.take() else {
            return;
        };
        for _ in 0..100 {
            if days.coming.is_none() {
                break;
            }
            self.carry_on_bringing(&mut days, false).await;
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
        let open = days.coming.as_ref().map(|coming| &coming.names);
        assert_eq!(open, None, "collections did not come to an end");
        self.bringing = Some(days);
    }

    fn begin_to_bring(&mut self, days: &mut Bringing) {
        self.faults(json!([]));
        let mut standing = self.account.known("backups");
        standing.retain(|backup| {
            backup["status"] == "AVAILABLE"
                && backup["region"] == HOME
                && backup["cluster"] == CLUSTER
                && backup["collections"].as_array().unwrap().len() == 2
        });
        if standing.is_empty() {
            return;
        }
        let slowly = days.dice.bool();
        self.account.wire.emulator.update_settings(|settings| {
            settings.zilliz.restore_bytes_per_second = if slowly {
                SLOW_BYTES_PER_SECOND
            } else {
                FAST_BYTES_PER_SECOND
            };
        });
        let at = days.dice.usize(..standing.len());
        days.coming = Some(days.some_of(&standing[at]));
    }

    /// The same request once more, or the five-minute tick, if a restore is open; perhaps it is killed.
    async fn carry_on_bringing(&mut self, days: &mut Bringing, may_be_killed: bool) {
        let Some(asked) = days.coming.as_ref().map(|coming| coming.asked.clone()) else {
            return;
        };
        let is_known = self.journal_knows_a_restore().await;
        let how = if is_known && days.dice.bool() {
            How::OneMoreLook
        } else {
            How::Whole
        };
        let lives = if may_be_killed && days.dice.u8(..3) == 0 {
            Duration::from_millis(days.dice.u64(1..30_000))
        } else {
            2 * TIME_LEFT
        };
        if may_be_killed {
            let trouble = days.trouble();
            self.faults(trouble);
        }
        let (safe, stop) = (&days.safe, &days.stop);
        let invocation = invoke(&self.account, safe, stop, &asked, how, TIME_LEFT);
        let report = tokio::time::timeout(lives, invocation).await.ok();
        self.faults(json!([]));
        self.one_after_the_other();
        match report {
            Some(report) => self.check_brought(days, &report),
            None => self.tally.add("collections killed", 1),
        }
    }

    /// Of all collections that the service was ever asked to bring: each once, and each when the one before was over.
    fn one_after_the_other(&self) {
        let mut asked: Vec<(String, String, Option<Timestamp>)> = Vec::new();
        for job in self.account.known("jobs") {
            let brings = &job["work"]["restore_collections"];
            for one in brings["collections"].as_array().into_iter().flatten() {
                let name = one["name"].as_str().unwrap().to_owned();
                let ended = job["ended"].as_str().map(|at| at.parse().unwrap());
                asked.push((job["created"].as_str().unwrap().to_owned(), name, ended));
            }
        }
        asked.sort();
        for (one, next) in asked.iter().zip(asked.iter().skip(1)) {
            let begun: Timestamp = next.0.parse().unwrap();
            let is_over = one.2.is_some_and(|ended| ended <= begun);
            assert!(is_over, "{one:?} was at work when {next:?} was asked for");
        }
        let mut names: Vec<&String> = asked.iter().map(|(_, name, _)| name).collect();
        names.sort();
        let of_all = names.len();
        names.dedup();
        assert_eq!(names.len(), of_all, "asked for twice: {asked:?}");
    }

    fn check_brought(&mut self, days: &mut Bringing, report: &ClusterRestoreReport) {
        let Some(coming) = &days.coming else { return };
        let is_busy = |word: &str| word == "being_restored";
        let mut words = report.failures.shown.iter().map(|failure| failure.error);
        let is_open = report.stays_open || words.any(is_busy);
        let may_be_at_work = report.jobs.shown.iter().any(|line| {
            let error = line.error.as_deref();
            matches!(error, Some("unanswered" | "job_unknown" | "stuck"))
        });
        if report.held && (is_open || may_be_at_work) {
            let until = report.started_at + HOLD_TIME - FORGIVEN;
            days.held.insert(coming.backup.clone(), until);
            self.tally.add("collections held", 1);
        }
        if is_open {
            return;
        }
        if !may_be_at_work {
            days.held.remove(&coming.backup);
        }
        let clusters = self.account.known("clusters");
        let into = clusters.iter().find(|cluster| cluster["id"] == INTO);
        let there = into.unwrap()["collections"].as_array().unwrap();
        for line in &report.jobs.shown {
            let name = line.target.rsplit(['/', '.']).next().unwrap();
            assert!(coming.names.iter().any(|known| known == name), "{line:?}");
            let is_there = there.iter().any(|one| one["name"] == name);
            match (line.state.as_str(), line.error.as_deref()) {
                ("restored", _) => {
                    assert!(is_there, "{line:?}: {there:?}");
                    self.tally.add("collections restored", 1);
                }
                // Nobody can see what came of it.
                (_, Some("unanswered" | "job_unknown" | "stuck")) => {
                    self.tally.add("collections in doubt", 1);
                }
                _ => assert!(!is_there, "{line:?}: {there:?}"),
            }
        }
        // What was refused before anything was begun may be asked for again.
        let tried_again = report.jobs.shown.is_empty() && days.dice.bool();
        if !tried_again {
            days.coming = None;
        }
    }
}
