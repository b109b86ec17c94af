//! A clock of ours that is wrong: backups go on by the service's, deletion stops, what is open is carried on with, and what is
//! restored stays held.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::report::Outcome;
use lifeboat::restore::How;
use lifeboat::zilliz::restore::being_restored;
use serde_json::json;

use super::by_hand::{ALL, by_hand, exactly_one_of_each, jobs};
use super::restoring::{Safe, asked, invoke};
use super::tiers::tiered;
use super::{Account, HOME, MINUTES, failures};

/// How wrong a clock may be, in minutes: a little, an hour, days, and more than any slot may be old.
const WRONG: [i64; 8] = [
    -6,
    6,
    -60,
    60,
    -3 * 24 * 60,
    3 * 24 * 60,
    -10 * 24 * 60,
    10 * 24 * 60,
];

fn of_slot(slot: Timestamp, manual: bool) -> Request {
    Request {
        scheduled_time: Some(slot),
        manual,
        ..Request::default()
    }
}

#[tokio::test(start_paused = true)]
async fn however_wrong_the_local_clock_is_the_night_backs_up_and_deletes_nothing() {
    for minutes in WRONG {
        let mut account = Account::with(&tiered("daily = 1")).with_journal();
        for _ in 0..2 {
            account.back_up().await;
            account.sleep(24).await;
        }
        let (made, deleted) = (
            account.calls("zilliz.create_backup"),
            account.calls("zilliz.delete_backup"),
        );
        account.ahead = SignedDuration::from_mins(minutes);
        let slot = account.wire.now();
        let report = account.try_within(of_slot(slot, false), MINUTES).await;
        let report = report.unwrap_or_else(|refused| panic!("{minutes} minutes: {refused}"));
        assert_eq!(report.counts.protected, 3, "{minutes} minutes: {report:#?}");
        assert_eq!(failures(&report), "clocks_disagree", "{minutes} minutes");
        assert_eq!(account.calls("zilliz.create_backup"), made + 1, "{minutes}");
        assert_eq!(account.calls("zilliz.delete_backup"), deleted, "{minutes}");
        let report = account.try_within(of_slot(slot, true), MINUTES).await;
        assert_eq!(jobs(&report.unwrap()), ALL, "{minutes} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_wrong_by_the_services_clock_too_is_refused_whatever_ours_says() {
    for minutes in [0].into_iter().chain(WRONG) {
        let mut account = Account::new().with_journal();
        account.ahead = SignedDuration::from_mins(minutes);
        for hours in [24 * 12, -24 * 18] {
            let slot = account.wire.now() + SignedDuration::from_hours(hours);
            let refused = account.try_within(of_slot(slot, true), MINUTES).await;
            assert!(refused.is_err(), "{minutes}, {hours}");
        }
        assert_eq!(account.calls("zilliz.create_backup"), 0);
    }
}

/// Where the service does not say what time it is, nothing could be asked of it either.
#[tokio::test(start_paused = true)]
async fn a_slot_that_only_our_clock_refuses_is_refused_while_the_service_says_nothing() {
    let mut account = Account::new().with_journal();
    account.ahead = SignedDuration::from_hours(-1);
    for fault in [json!({"status": 503}), json!({"latency_ms": 55_000})] {
        account.faults(json!([{"fault": fault}]));
        let begun = account.wire.now();
        let minute = Duration::from_mins(1);
        let refused = account.try_within(of_slot(begun, false), minute).await;
        assert!(refused.is_err(), "{fault}");
        let took = account.wire.now().duration_since(begun);
        assert!(took.unsigned_abs() <= minute / 2, "{fault} {took}");
    }
    account.faults(json!([]));
    let slot = account.wire.now();
    let report = account.try_within(of_slot(slot, false), MINUTES).await;
    assert_eq!(report.unwrap().counts.policies_set, 1);
}

/// A wrong clock gives no run up: the service's own says how old it is.
#[tokio::test(start_paused = true)]
async fn a_wrong_local_clock_gives_no_open_run_up() {
    for minutes in [-600, -10, 10, 9 * 24 * 60] {
        let mut account = Account::new().with_journal();
        account.wire.emulator.update_settings(|settings| {
            settings.zilliz.copy_bytes_per_second = 1_000_000;
        });
        let slot = account.wire.now();
        assert!(account.run(of_slot(slot, true)).await.stays_open);
        account.ahead = SignedDuration::from_mins(minutes);
        account.sleep(1).await;
        let report = account.resume().await;
        assert!(report.stays_open, "{minutes} minutes: {report:#?}");
        account.ahead = SignedDuration::ZERO;
        account.sleep(3).await;
        let report = account.resume().await;
        assert_eq!(jobs(&report), ALL, "{minutes} minutes");
        assert_eq!(report.outcome, Outcome::Succeeded);
    }
}

/// A restore on a machine whose clock is days off keeps its backup, for whoever reads the holds, and is not given up.
#[tokio::test(start_paused = true)]
async fn a_restore_on_a_machine_whose_clock_is_wrong_is_held_and_carried_on_with() {
    for days in [-3, 9] {
        for first in [true, false] {
            let mut account = Account::new().with_journal();
            account.back_up().await;
            account.sleep(1).await;
            account.wire.emulator.update_settings(|settings| {
                settings.zilliz.restore_bytes_per_second = 500_000;
            });
            let (safe, stop) = (Safe::default(), tokio::sync::Notify::new());
            let event = json!({"cluster": "orders-prod", "new_cluster": "orders-back", "cu_size": 2, "password_secret": super::restoring::SECRET});
            let event = asked(event);
            let wrong = SignedDuration::from_hours(days * 24);
            if first {
                account.ahead = wrong;
            }
            let cut = Duration::from_mins(2);
            let report = invoke(&account, &safe, &stop, &event, How::Whole, cut).await;
            assert!(report.stays_open && report.held, "{report:#?}");
            account.ahead = wrong;
            tokio::time::sleep(Duration::from_mins(5)).await;
            let carried_on = invoke(&account, &safe, &stop, &event, How::OneMoreLook, cut);
            let report = carried_on.await;
            assert!(
                report.stays_open && report.held,
                "{days} {first} {report:#?}"
            );
            let journal = account.whole_journal().unwrap();
            let now = account.wire.now() + SignedDuration::from_hours(20);
            let held = being_restored(&journal, now).await.unwrap();
            assert_eq!(
                held.len(),
                1,
                "{days} {first}: said to be held, and nobody sees it"
            );
        }
    }
}

/// A key that was revoked for good: its refusals are dated, too.
#[tokio::test(start_paused = true)]
async fn what_is_long_over_is_given_up_by_the_date_of_a_refusal() {
    let account = Account::new().with_journal();
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 1;
    });
    let slot = account.wire.now();
    assert!(account.run(of_slot(slot, true)).await.stays_open);
    account.faults(json!([{"match": {"operation": "any"}, "fault": {"status": 403}}]));
    account.sleep(24).await;
    assert!(account.resume().await.stays_open, "it is not long over yet");
    account.sleep(8 * 24).await;
    assert_eq!(failures(&account.resume().await), "abandoned");
}

#[tokio::test(start_paused = true)]
async fn what_is_long_over_by_both_clocks_is_given_up() {
    let account = Account::new().with_journal();
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 1;
    });
    assert!(
        account
            .run(of_slot(account.wire.now(), true))
            .await
            .stays_open
    );
    account.sleep(8 * 24).await;
    let report = account.resume().await;
    assert_eq!(failures(&report), "abandoned");
    let request = Request {
        action: Action::Backup,
        ..of_slot(account.wire.now(), false)
    };
    assert_eq!(account.run(request).await.regions.shown[0].region, HOME);
}

/// `Date` and `createTime` need not come from one clock. An answer is lost, too.
#[tokio::test(start_paused = true)]
async fn a_service_whose_own_clocks_differ_makes_one_original_and_its_copies_are_found() {
    for seconds in [30, 240, -30, -240] {
        for loses in [false, true] {
            let account = Account::new().with_journal();
            let create = json!({"operation": "zilliz.create_backup"});
            let reset = if loses { json!("after") } else { json!(null) };
            account.faults(json!([
                {"match": create, "fault": {"reset": reset, "clock_skew_seconds": seconds}, "times": 1},
                {"fault": {"clock_skew_seconds": seconds}},
            ]));
            let report = account.run(by_hand()).await;
            assert_eq!(
                (report.outcome, jobs(&report).as_str()),
                (Outcome::Succeeded, ALL),
                "{seconds} {loses} {report:#?}"
            );
            assert_eq!(account.calls("zilliz.create_backup"), 1, "{seconds}");
            exactly_one_of_each(&account);
        }
    }
}
