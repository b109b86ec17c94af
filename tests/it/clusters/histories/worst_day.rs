//! Worst days in a history of clusters: somebody has a cluster made of a backup while the nights go on, is killed, and
//! carries on.
//!
//! However often, it is one cluster, its password is where the report says, and what is being restored stays. These days have
//! dice of their own, so that a history without them is played as if they did not exist.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lifeboat::journal::HOLD_TIME;
use lifeboat::report::Outcome;
use lifeboat::restore::How;
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::restore::asked::Asked;
use lifeboat::zilliz::restore::notes::PasswordFate;
use lifeboat::zilliz::restore::of_restores;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::History;
use crate::clusters::restoring::{SECRET, Safe, asked, invoke};

/// Seven gigabytes take more than a day, so that nights go by.
const SLOW_BYTES_PER_SECOND: u64 = 70_000;
const FAST_BYTES_PER_SECOND: u64 = 350_000_000;
/// Long enough for a request and whatever becomes of it.
const TIME_LEFT: Duration = Duration::from_mins(4);
/// How much earlier than it says a hold may be taken for over: by as much as clocks may differ, twice.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(10);

/// Whatever the service may do to a request.
pub(super) fn faults() -> [Value; 6] {
    [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"status": 429}),
        json!({"reset": "before"}),
        json!({"latency_ms": 5_000}),
    ]
}

/// A restore that was asked for and has not ended.
struct Coming {
    asked: Asked,
    /// What the new cluster is to be called.
    name: String,
    backup: String,
    held_until: Timestamp,
}

pub(super) struct WorstDays {
    dice: Rng,
    safe: Safe,
    stop: Notify,
    coming: Option<Coming>,
    begun: u32,
}

impl WorstDays {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Rng::with_seed(!seed),
            safe: Safe::default(),
            stop: Notify::new(),
            coming: None,
            begun: 0,
        }
    }

    /// The backup that a restore says it needs now.
    pub(super) fn needs(&self, now: Timestamp) -> Option<String> {
        let coming = self.coming.iter();
        let held = coming.filter(|coming| now < coming.held_until);
        held.map(|coming| coming.backup.clone()).next()
    }

    /// A cluster of any backup that stands.
    fn some_restore(&mut self, standing: &[Value], now: Timestamp) -> Coming {
        self.begun += 1;
        let name = format!("back-{}", self.begun);
        let backup = &standing[self.dice.usize(..standing.len())];
        let event = json!({
            "backup": backup["id"], "new_cluster": name, "cu_size": 2, "password_secret": SECRET,
        });
        Coming {
            asked: asked(event),
            name,
            backup: backup["id"].as_str().unwrap().to_owned(),
            held_until: now,
        }
    }

    /// What goes wrong during one invocation.
    fn trouble(&mut self) -> Value {
        let any = [
            "restore_cluster",
            "list_clusters",
            "describe_job",
            "list_backups",
            "describe_backup",
        ];
        let faults = faults();
        let rules = (0..self.dice.u8(..3)).map(|_| {
            let operation = format!("zilliz.{}", any[self.dice.usize(..any.len())]);
            let fault = &faults[usize::from(self.dice.u8(..6))];
            json!({"match": {"operation": operation}, "fault": fault, "times": self.dice.u8(1..4)})
        });
        rules.collect()
    }
}

impl History {
    /// Somebody restores, or carries on with it.
    pub(super) async fn worst_day(&mut self) {
        let Some(mut days) = self.worst_days.take() else {
            return;
        };
        if days.coming.is_none() && days.dice.u8(..2) == 0 {
            self.begin(&mut days);
        }
        for _ in 0..3 {
            self.carry_on(&mut days, true).await;
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
        self.worst_days = Some(days);
    }

    /// Nobody is killed any more, and every restore comes to its end.
    pub(super) async fn end_worst_days(&mut self) {
        let Some(mut days) = self.worst_days.take() else {
            return;
        };
        for _ in 0..60 {
            if days.coming.is_none() {
                break;
            }
            self.carry_on(&mut days, false).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        let open = days.coming.as_ref().map(|coming| &coming.name);
        assert_eq!(open, None, "a restore did not end");
        self.worst_days = Some(days);
    }

    fn begin(&mut self, days: &mut WorstDays) {
        self.faults(json!([]));
        let mut standing = self.account.known("backups");
        standing.retain(|backup| backup["status"] == "AVAILABLE");
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
        days.coming = Some(days.some_restore(&standing, self.account.wire.now()));
    }

    /// The same request once more, or the five-minute tick, if a restore is open; perhaps it is killed.
    async fn carry_on(&mut self, days: &mut WorstDays, may_be_killed: bool) {
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
        let invocation = invoke(
            &self.account,
            &days.safe,
            &days.stop,
            &asked,
            how,
            TIME_LEFT,
        );
        let report = tokio::time::timeout(lives, invocation).await.ok();
        self.faults(json!([]));
        let made = self.made(days);
        assert!(made.len() <= 1, "made twice: {made:?}");
        match report {
            Some(report) => self.check_restored(days, &made, &report),
            None => self.tally.add("restores killed", 1),
        }
    }

    /// Whether the tick would find one.
    pub(super) async fn journal_knows_a_restore(&self) -> bool {
        let journal = of_restores(&self.account.whole_journal().unwrap());
        match journal.open_runs().await.unwrap().runs.first() {
            Some(open) => !journal.entries(&open.key).await.unwrap().is_empty(),
            None => false,
        }
    }

    /// The clusters that the restore under way has made.
    fn made(&self, days: &WorstDays) -> Vec<Value> {
        let mut made = self.account.known("clusters");
        let name = days.coming.as_ref().map(|coming| coming.name.as_str());
        made.retain(|cluster| cluster["name"].as_str() == name);
        made
    }

    fn check_restored(
        &mut self,
        days: &mut WorstDays,
        made: &[Value],
        report: &ClusterRestoreReport,
    ) {
        let is_busy = |word: &str| word == "being_restored";
        let mut words = report.failures.shown.iter().map(|failure| failure.error);
        if report.stays_open || words.any(is_busy) {
            let held = report.started_at + HOLD_TIME - FORGIVEN;
            if let Some(coming) = days.coming.as_mut().filter(|_| report.held) {
                coming.held_until = held;
                self.tally.add("restores left open and held", 1);
            }
            return;
        }
        days.coming = None;
        if report.outcome != Outcome::Succeeded {
            assert!(made.is_empty(), "{made:?} was made, and {report:#?}");
            return self.tally.add("restores failed", 1);
        }
        let [made] = made else {
            panic!("{made:?}: {report:#?}")
        };
        assert_eq!(made["status"], "RUNNING", "{report:#?}");
        self.tally.add("clusters restored", 1);
        match &report.password_went {
            Some(PasswordFate::InSecret { .. }) => {
                assert_eq!(days.safe.cluster().as_deref(), made["id"].as_str());
            }
            Some(PasswordFate::Lost) => self.tally.add("passwords lost", 1),
            other => panic!("{other:?}: {report:#?}"),
        }
    }
}
