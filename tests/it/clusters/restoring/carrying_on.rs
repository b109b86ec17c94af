//! Nothing is begun twice, whatever happens: answers lost, invocations killed, events repeated, jobs that fail or take hours.

use std::time::Duration;

use jiff::SignedDuration;
use lifeboat::report::Outcome;
use lifeboat::restore::How;
use lifeboat::zilliz::restore::notes::PasswordFate;
use lifeboat::zilliz::restore::{being_restored, of_restores};
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Desk, USERS, anew, asked, errors, failures, is_kept, states};
use crate::clusters::{FAR, HOME, NEAR};

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_adopted_and_its_password_said_to_be_lost() {
    for fault in [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"latency_ms": 60_000}),
    ] {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{fault} {report:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1, "{fault}");
        desk.one_is_back(HOME);
        assert_eq!(report.password_went, Some(PasswordFate::Lost));
        assert!(
            report
                .warnings
                .shown
                .iter()
                .any(|warning| warning.contains("reset db_admin's password")),
            "{report:#?}"
        );
        assert_eq!(desk.safe.cluster(), None);
    }
}

/// `Date` and `createTime` need not come from one clock.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_adopted_although_the_services_own_clocks_differ() {
    for seconds in [30, 240, -30] {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(json!([
            {"match": {"operation": "zilliz.restore_cluster"}, "fault": {"reset": "after"}, "times": 1},
            {"fault": {"clock_skew_seconds": seconds}},
        ]));
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{seconds} {report:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1);
        desk.one_is_back(HOME);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_sent_again_after_a_look() {
    for fault in [
        json!({"status": 503}),
        json!({"reset": "before"}),
        json!({"status": 429}),
    ] {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, is_kept(&report)),
            (Outcome::Succeeded, true),
            "{fault} {report:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_cluster"), 2, "{fault}");
        desk.one_is_back(HOME);
    }
    let desk = Desk::new().await;
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"status": 503}}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "no_cluster")
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 3);
}

/// A request of a collection that was not answered is never sent again, however often the event comes: nobody can look what
/// came of it. No other is sent while it may be at work, and its backup stays held.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_about_a_collection_is_told_and_the_others_come_back() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"reset": "after"}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    let begun = desk.account.wire.now();
    let first = desk.restore(event.clone()).await;
    assert_eq!(states(&first), "incomplete incomplete", "{first:#?}");
    let report = desk.carried_on(first).await;
    assert_eq!(
        (errors(&report).as_str(), states(&report).as_str()),
        ("unanswered -", "failed restored"),
        "{report:#?}"
    );
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    assert_eq!(desk.collections(USERS), "/orders archive/old");
    let second = report.jobs.shown[1].started_at.unwrap();
    // Restores take minutes to hours, and this one has seven gigabytes.
    assert!(second.duration_since(begun).as_mins() >= 71, "{second}");
    // Lambda sends an event again whose answer was an error. Meanwhile there is a newer backup, which is not the one at work.
    let at_work = report.chosen.unwrap().backup.id;
    desk.back_up("CLUSTER", &[], &[NEAR, FAR]).await;
    for _ in 0..2 {
        let again = desk.restore(event.clone()).await;
        assert_eq!(
            (failures(&again).as_str(), states(&again).as_str()),
            ("unanswered", "failed restored"),
            "{again:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    }
    // A delivery that could do nothing forgets nothing.
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.list_clusters"}, "fault": {"status": 500}}]),
    );
    assert_eq!(states(&desk.restore(event.clone()).await), "");
    desk.account.faults(json!([]));
    let again = desk.restore(event.clone()).await;
    assert_eq!(states(&again), "failed restored", "{again:#?}");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    let journal = desk.account.journal.as_ref().unwrap();
    let held = being_restored(journal, desk.account.wire.now())
        .await
        .unwrap();
    let held: Vec<String> = held.into_iter().collect();
    assert_eq!(held, [at_work], "what may be at work keeps its backup");
    desk.account.sleep(25).await;
    let held = being_restored(journal, desk.account.wire.now())
        .await
        .unwrap();
    assert_eq!(held.len(), 0);
}

/// With little time, the rest is left to the tick, which sends nothing while the unanswered one may be at work.
#[tokio::test(start_paused = true)]
async fn an_unanswered_collection_keeps_the_others_waiting_across_invocations() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"truncate": true}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    let event = asked(event);
    let first = desk.restore_within(&event, How::Whole, Duration::from_mins(2));
    let report = first.await;
    assert_eq!(states(&report), "incomplete incomplete", "{report:#?}");
    assert!(report.stays_open, "{report:#?}");
    let mut waited = 0;
    let report = loop {
        assert_eq!(desk.account.calls("zilliz.restore_collection"), 1);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let report = desk.tick().await;
        if states(&report) != "incomplete incomplete" {
            break report;
        }
        waited += 1;
    };
    assert!(waited > 60, "{waited}");
    assert_eq!(
        failures(&report).split(' ').next(),
        Some("unanswered"),
        "{report:#?}"
    );
    let report = desk.carried_on(report).await;
    assert_eq!(states(&report), "failed restored", "{report:#?}");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
}

/// A job that the service forgets may be at work like one that was never told; then it is told as what it is, and not asked
/// for once more, either.
#[tokio::test(start_paused = true)]
async fn a_forgotten_job_of_a_collection_is_told_again_and_nothing_is_sent() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.describe_job"}, "fault": {"lose_token": true}}]),
    );
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    let begun = desk.account.wire.now();
    let first = desk.restore(event.clone()).await;
    assert_eq!(states(&first), "incomplete incomplete", "{first:#?}");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 1);
    let report = desk.carried_on(first).await;
    assert_eq!(errors(&report), "job_unknown job_unknown");
    let second = report.jobs.shown[1].started_at.unwrap();
    assert!(second.duration_since(begun).as_mins() >= 71, "{second}");
    for _ in 0..3 {
        let report = desk.restore(event.clone()).await;
        assert_eq!(failures(&report), "job_unknown job_unknown");
        assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    }
}

/// Killed after every so many milliseconds, with slow answers, so that it dies at each request and between them.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_and_carried_on_there_is_one_cluster() {
    let mut lost = 0;
    for after in (0..80).map(|step| Duration::from_millis(step * 250)) {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let killed = tokio::time::timeout(after, desk.restore(anew())).await;
        assert!(killed.is_err(), "{after:?}: it was not cut short");
        // The dead one's lease runs out; then the tick finds it, or the same request comes again.
        desk.account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let knows = async {
            let journal = of_restores(desk.account.journal.as_ref().unwrap());
            let open = journal.open_runs().await.unwrap().runs;
            match open.first() {
                Some(open) => !journal.entries(&open.key).await.unwrap().is_empty(),
                None => false,
            }
        };
        let mut report = if knows.await {
            desk.tick().await
        } else {
            desk.restore(anew()).await
        };
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = desk.tick().await;
        }
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{after:?} {report:#?}"
        );
        desk.one_is_back(HOME);
        // The password is where the report says, or was lost and the report says that.
        match report.password_went {
            Some(PasswordFate::InSecret { .. }) => {
                assert!(desk.safe.cluster().is_some(), "{after:?}");
            }
            Some(PasswordFate::Lost) => lost += 1,
            other => panic!("{after:?}: {other:?}"),
        }
        assert!(!desk.is_open().await);
    }
    assert!((1..40).contains(&lost), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn killed_while_collections_come_back_none_is_asked_for_twice() {
    let event = || json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    for after in (0..100).map(|step| Duration::from_millis(step * 300)) {
        let desk = Desk::new().await.with_journal();
        desk.add_users();
        desk.account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let _ = tokio::time::timeout(after, desk.restore(event())).await;
        desk.account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = desk.restore(event()).await;
        let report = desk.carried_on(report).await;
        assert!(
            desk.account.calls("zilliz.restore_collection") <= 2,
            "{after:?}"
        );
        // What was asked for and not answered is told; everything else is there.
        let unanswered = failures(&report);
        assert!(
            ["", "unanswered"].contains(&unanswered.as_str()),
            "{after:?} {report:#?}"
        );
        if unanswered.is_empty() {
            assert_eq!(desk.collections(USERS), "/orders archive/old", "{after:?}");
        }
        assert!(!desk.is_open().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_begins_nothing_while_the_cluster_stands() {
    let desk = Desk::new().await.with_journal();
    desk.restore(anew()).await;
    let again = desk.restore(anew()).await;
    assert_eq!(
        (again.outcome, states(&again).as_str()),
        (Outcome::Succeeded, "restored"),
        "{again:#?}"
    );
    let message = again.jobs.shown[0].message.as_deref();
    assert_eq!(
        message,
        Some("its password went into the secret lifeboat/orders-back")
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1);
    let mut other = anew();
    other["cu_size"] = json!(4);
    assert_eq!(failures(&desk.restore(other).await), "name_taken");
    // Once it was dropped, the same request is meant again.
    let cluster = desk.safe.cluster().unwrap();
    desk.service(
        Method::Delete,
        &format!("clusters/{cluster}/drop"),
        &Value::Null,
    );
    assert_eq!(desk.restore(anew()).await.outcome, Outcome::Succeeded);
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 2);
}

#[tokio::test(start_paused = true)]
async fn two_invocations_of_one_event_make_one_cluster() {
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"fault": {"latency_ms": 300}}]));
    let (one, other) = tokio::join!(desk.restore(anew()), desk.restore(anew()));
    let mut words = [failures(&one), failures(&other)];
    words.sort();
    assert_eq!(words, ["", "being_restored"]);
    desk.one_is_back(HOME);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_gives_its_reason_and_one_that_is_forgotten_is_followed_by_the_cluster() {
    let desk = Desk::new().await.with_journal();
    let fails = json!({"fail_operation": true, "reason": "no capacity in the region"});
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fails, "times": 1}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (failures(&report).as_str(), states(&report).as_str()),
        ("job_failed", "failed")
    );
    assert!(
        report.failures.shown[0]
            .message
            .contains("no capacity in the region")
    );
    let desk = Desk::new().await.with_journal();
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.describe_job"}, "fault": {"lose_token": true}}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true),
        "{report:#?}"
    );
    // The control plane shows no collections: without the job nobody can tell.
    desk.add_users();
    let report = desk
        .restore(json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders"]}))
        .await;
    let report = desk.carried_on(report).await;
    assert_eq!(failures(&report), "job_unknown");
}

/// A machine whose clock is days behind keeps its backup all the same, whoever carries on.
#[tokio::test(start_paused = true)]
async fn a_hold_from_a_clock_that_is_far_behind_lasts_for_whoever_reads_it() {
    let behind = SignedDuration::from_hours(-3 * 24);
    for first in [true, false] {
        let mut desk = Desk::new().await.with_journal();
        desk.account
            .wire
            .emulator
            .update_settings(|settings| settings.zilliz.restore_bytes_per_second = 1_000_000);
        if first {
            desk.account.ahead = behind;
        }
        let report = desk.restore(anew()).await;
        assert!(report.stays_open && report.held, "{report:#?}");
        desk.account.ahead = behind;
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = desk.tick().await;
        assert!(report.stays_open && report.held, "{report:#?}");
        let journal = desk.account.journal.as_ref().unwrap();
        let held = being_restored(journal, desk.account.wire.now()).await;
        assert_eq!(
            held.unwrap().len(),
            1,
            "said to be held, and nobody sees it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_of_hours_is_followed_across_invocations_and_its_backup_held() {
    let desk = Desk::new().await.with_journal();
    desk.account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.restore_bytes_per_second = 1_000_000);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, true),
        "{report:#?}"
    );
    assert!(is_kept(&report), "the password waits for nobody");
    let journal = desk.account.journal.as_ref().unwrap();
    let backup = report.chosen.unwrap().backup.id;
    let held = being_restored(journal, desk.account.wire.now())
        .await
        .unwrap();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [backup]);
    let mut ticks = 0;
    let report = loop {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let before = desk.account.wire.now();
        let report = desk.tick().await;
        assert!(
            desk.account.wire.now().duration_since(before).as_secs() < 20,
            "a tick is one look"
        );
        ticks += 1;
        if !report.stays_open {
            break report;
        }
        assert!(
            report.jobs.shown[0]
                .progress
                .as_ref()
                .unwrap()
                .contains('%'),
            "{report:#?}"
        );
    };
    assert!((18..30).contains(&ticks), "{ticks}");
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true)
    );
    assert!(
        being_restored(journal, desk.account.wire.now())
            .await
            .unwrap()
            .is_empty()
    );
    desk.one_is_back(HOME);
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_was_left_for_a_week_is_given_up() {
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"stall_operation": true}}]));
    assert!(desk.restore(anew()).await.stays_open);
    desk.account.sleep(24 * 7 + 1).await;
    let report = desk.tick().await;
    assert_eq!(
        (
            failures(&report).as_str(),
            states(&report).as_str(),
            report.stays_open
        ),
        ("abandoned", "failed", false)
    );
}

/// What may have come is told as that after a week, too, and the same request brings only the rest.
#[tokio::test(start_paused = true)]
async fn collections_that_were_left_for_a_week_are_given_up_and_never_asked_for_twice() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"stall_operation": true}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    assert!(desk.restore(event.clone()).await.stays_open);
    desk.account.sleep(24 * 7 + 1).await;
    let report = desk.tick().await;
    assert_eq!(failures(&report), "abandoned");
    assert_eq!(errors(&report), "stuck abandoned", "{report:#?}");
    let again = desk.restore(event).await;
    assert_eq!(
        (errors(&again).as_str(), states(&again).as_str()),
        ("stuck -", "failed restored"),
        "{again:#?}"
    );
    assert_eq!(failures(&again), "stuck");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    assert_eq!(desk.collections(USERS), "archive/old");
}

/// Where nothing is remembered, nothing more is begun that the one at work could meet.
#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_is_begun_after_a_collection_that_was_not_answered() {
    let desk = Desk::new().await;
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"reset": "after"}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    let report = desk.restore(event).await;
    assert_eq!(
        (errors(&report).as_str(), states(&report).as_str()),
        ("unanswered not_begun", "failed failed"),
        "{report:#?}"
    );
    assert_eq!(failures(&report), "unanswered not_begun");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 1);
}

/// While the cluster itself says that it restores, it is believed, but no longer than any restore takes.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_says_that_it_restores_is_waited_for_and_not_for_ever() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"reset": "before"}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    assert!(desk.restore(event).await.stays_open);
    let restores = json!({"bytes": 0, "status": "RESTORE_BACKUP"});
    desk.account.add_cluster(USERS, "users-prod", &restores);
    for hours in [10, 61] {
        desk.account.sleep(hours).await;
        let report = desk.tick().await;
        assert_eq!(states(&report), "incomplete incomplete", "{hours}");
    }
    desk.account.sleep(1).await;
    assert_eq!(
        failures(&desk.tick().await).split(' ').next(),
        Some("unanswered")
    );
}
