//! What a run found is told, wherever the process that found it died: killed before and after every write to the journal.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat::event::{Action, Request};
use lifeboat::journal::{Journal, RunRecord};
use lifeboat::name::Class;
use lifeboat::zilliz::ClusterReport;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::faulty_store::{Fate, FaultyStore};

use super::protection::unlisted;
use super::tiers::{delete, night, standing, tiered, with_tiers};
use super::{Account, CLUSTER, FAR, GB, PLAN};

/// An account in which something is about to be found, and a word of what is then to be told.
type Scene = (Account, &'static str);

/// Everything that a report fails with or warns of.
fn said(report: &ClusterReport) -> String {
    let failures = report.failures.shown.iter();
    let failures = failures.map(|one| format!("{} {:?} {}\n", one.error, one.target, one.message));
    let warnings = report.warnings.shown.iter();
    let warnings = warnings.map(|one| format!("{one}\n"));
    failures.chain(warnings).collect()
}

/// What the schedule's ticks say until no run is open any more.
async fn tick_to_the_end(account: &Account) -> String {
    let mut told = String::new();
    for _ in 0..200 {
        let open = account.open_runs().await;
        if open.is_empty() {
            return told;
        }
        for open in open {
            let request = Request {
                action: Action::Resume,
                scheduled_time: Some(open.key.slot.instant()),
                manual: open.key.class == Class::Manual,
                ..Request::default()
            };
            told.push_str(&said(&account.run(request).await));
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
    }
    panic!("it never ended: {told}")
}

async fn filed(account: &Account, slot: Timestamp) -> Option<RunRecord> {
    let journal = account.journal.as_ref().unwrap();
    let mut records = journal.history("prod", 10).await.unwrap().into_iter();
    records.find(|record| record.key.slot.instant() == slot)
}

/// Sends an event, and lets its process die at one of its writes to the journal. What whoever carried on said then, after a
/// tick or, where `repeats`, the event itself again; `None` when it outlived all of its writes.
async fn told_though_killed(
    account: &mut Account,
    (writes, fate): (usize, Fate),
    repeats: bool,
) -> Option<String> {
    let objects = account.wire.objects.clone().unwrap();
    let store = FaultyStore::over(&objects, 1);
    store.next_writes(std::iter::repeat_n(Fate::Passes, writes));
    store.next_writes([fate]);
    let slot = Timestamp::from_second(account.wire.now().as_second()).unwrap();
    let event = Request {
        scheduled_time: Some(slot),
        ..Request::default()
    };
    let healthy = account.journal.take();
    let dying = Journal::on(Arc::new(store.clone()), Path::from("journal"));
    account.journal = Some(dying.of_clusters());
    let outlived = tokio::select! {
        _ = account.run(event.clone()) => true,
        () = store.died() => false,
    };
    account.journal = healthy;
    if outlived {
        return None;
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let filed = filed(account, slot).await;
    let mut told = String::new();
    if repeats || (account.open_runs().await.is_empty() && filed.is_none()) {
        told = said(&account.run(event).await);
    }
    told.push_str(&tick_to_the_end(account).await);
    // Between the record and the answer there is nothing but the record.
    let outcome = filed.map(|record| format!("filed as {}", record.outcome));
    told.extend(outcome);
    Some(told)
}

async fn is_told_wherever_it_dies(scene: impl AsyncFn() -> Scene, fails: bool) {
    for repeats in [false, true] {
        is_told(&scene, fails, repeats).await;
    }
}

/// Kills the event of a scene at each of its writes, and sees to it that its word is said; or filed, where it `fails`. How
/// often it was only filed.
async fn is_told(scene: &impl AsyncFn() -> Scene, fails: bool, repeats: bool) -> usize {
    let mut filed = 0;
    for fate in [Fate::KilledBefore, Fate::KilledAfter] {
        for writes in 0.. {
            let (mut account, word) = scene().await;
            let at = (writes, fate);
            let Some(told) = told_though_killed(&mut account, at, repeats).await else {
                assert!(writes > 5, "{writes}");
                break;
            };
            let how = if fails {
                "filed as failed"
            } else {
                "filed as "
            };
            let is_said = told.contains(word);
            assert!(
                is_said || told.contains(how),
                "{at:?}, repeated {repeats}: no {word} in: {told}"
            );
            filed += usize::from(!is_said);
        }
    }
    filed
}

/// A night is over, and in the next one this goes wrong.
async fn second_night(rules: &str, faults: Value) -> Account {
    let account = with_tiers(rules);
    night(&account).await;
    account.sleep(24).await;
    account.faults(faults);
    account
}

#[tokio::test(start_paused = true)]
async fn a_tier_whose_copy_failed() {
    let scene = async || {
        let copy = json!({"operation": "zilliz.copy", "region": FAR});
        let fails = json!([{"match": copy, "fault": {"fail_operation": true}}]);
        (second_night("daily = 1", fails).await, "copy_")
    };
    is_told_wherever_it_dies(scene, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_failed() {
    let scene = async || {
        let create = json!({"operation": "zilliz.create_backup"});
        let fails =
            json!([{"match": create, "fault": {"fail_operation": true, "reason": "disk full"}}]);
        (second_night("daily = 2", fails).await, "disk full")
    };
    is_told_wherever_it_dies(scene, true).await;
}

/// Its own run was never carried on with, and the next night's run sees its end.
#[tokio::test(start_paused = true)]
async fn a_tier_of_an_older_run_that_failed() {
    let scene = async || {
        let create = json!({"operation": "zilliz.create_backup"});
        let fails = json!([{"match": create, "fault": {"fail_operation": true, "reason": "disk full"}, "times": 1}]);
        let account = second_night("daily = 2", fails).await;
        account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 2_000 * GB}));
        assert!(account.back_up().await.stays_open);
        account.add_cluster(CLUSTER, "orders-prod", &json!({}));
        account.sleep(24).await;
        (account, "disk full")
    };
    is_told_wherever_it_dies(scene, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_was_found_after_silence() {
    let scene = async || {
        let create = json!({"operation": "zilliz.create_backup"});
        let lost = json!([{"match": create, "fault": {"reset": "after"}, "times": 1}]);
        let account = second_night("daily = 2", lost).await;
        (account, "somebody else may have had it made")
    };
    is_told_wherever_it_dies(scene, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_somebody_deleted() {
    let scene = async || {
        let account = second_night("daily = 3", json!([])).await;
        let copy = standing(&account)[FAR].keys().next().unwrap().clone();
        delete(&account, &copy);
        (account, "vanished")
    };
    is_told_wherever_it_dies(scene, false).await;
}

/// What somebody else makes of the policy.
fn drift(account: &Account) {
    account.set_policy(CLUSTER, &json!({"enabled": false, "crossRegionCopies": []}));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_another_one_beside_a_tier() {
    let scene = async || {
        let mut account = second_night("daily = 2", json!([])).await;
        drift(&account);
        let reports = tiered("daily = 2").replace("start =", "drift = \"report\"\nstart =");
        account.plans = super::plans(&reports);
        (account, "its policy is not the plan's")
    };
    is_told_wherever_it_dies(scene, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_was_repaired() {
    for with_tier in [true, false] {
        let scene = async || {
            let mut account = second_night("daily = 2", json!([])).await;
            drift(&account);
            if !with_tier {
                account.plans = super::plans(PLAN);
            }
            (account, "another policy")
        };
        is_told_wherever_it_dies(scene, false).await;
    }
}

/// After a long silence, windows are told that no later run would look at.
#[tokio::test(start_paused = true)]
async fn windows_of_a_long_silence() {
    let scene = async || {
        let account = Account::new().with_journal();
        account.back_up().await;
        account.sleep(1).await;
        account.resume().await;
        account.sleep(23).await;
        account.back_up().await;
        let automatic = json!({"operation": "zilliz.automatic_backup"});
        account.faults(json!([{"match": automatic, "fault": {"fail_operation": true}}]));
        account.sleep(24).await;
        account.faults(json!([]));
        account.sleep(3 * 24).await;
        (account, "2026-11-24T02:00:00Z")
    };
    is_told(&scene, true, false).await;
    // After the watch was written, the lease is given back, and nothing else.
    assert_eq!(is_told(&scene, true, true).await, 3);
}

/// The first backup is not in the list yet, and whoever has switched the policy on need not have lived to say so.
#[tokio::test(start_paused = true)]
async fn a_first_backup_is_awaited_whoever_switched_the_policy_on() {
    for repeats in [false, true] {
        for fate in [Fate::KilledBefore, Fate::KilledAfter] {
            for writes in 0.. {
                let mut account = Account::new().with_journal();
                account.faults(unlisted());
                let wire = account.wire.clone();
                let listed = async {
                    tokio::time::sleep(Duration::from_mins(7)).await;
                    wire.emulator.set_faults(Vec::new());
                };
                let killed = told_though_killed(&mut account, (writes, fate), repeats);
                let (told, ()) = tokio::join!(killed, listed);
                let Some(told) = told else { break };
                assert!(!told.contains("missing"), "{writes} {fate:?}: {told}");
            }
        }
    }
}
