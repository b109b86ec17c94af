//! Events that come again: one event is one backup, a new original has no old one's copies, and nothing is adopted in silence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lifeboat::Lifeboat;
use lifeboat::clock::Clock;
use lifeboat::event::{Action, ByHand, Request};
use lifeboat::journal::Journal;
use lifeboat::plan::Settings;
use lifeboat::report::Outcome;
use lifeboat_emulator::Method;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::json;

use crate::faulty_store::{Fate, FaultyStore};

use super::by_hand::{ALL, by_hand, exactly_one_of_each, jobs, made};
use super::tiers::{by_somebody_else, family, tiered};
use super::{Account, CLUSTER, HOME, KEY, PLAN, failures};

/// Lambda repeats an event whose run failed, a minute and two minutes later, with the request id that it had.
#[tokio::test(start_paused = true)]
async fn an_event_without_a_scheduled_time_that_comes_again_is_the_same_backup() {
    let account = Account::new().with_journal();
    let environment = [
        ("LIFEBOAT_CONFIG", PLAN),
        ("LIFEBOAT_JOURNAL", "memory://"),
        ("ZILLIZ_API_KEY", KEY),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::from_environment(&environment).unwrap();
    let wire = account.wire.clone();
    let door = Lifeboat::connect(settings, Clock::new(move || wire.now())).unwrap();
    let event = || Request {
        manual: true,
        ..Request::default()
    };
    for _ in 0..3 {
        let request = door.as_first_delivered(event(), "8f5e-1").await.unwrap();
        let report = account.run(request).await;
        assert_eq!(
            (report.outcome, jobs(&report).as_str()),
            (Outcome::Succeeded, ALL)
        );
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    exactly_one_of_each(&account);
    // Another event is another backup.
    let request = door.as_first_delivered(event(), "8f5e-2").await.unwrap();
    account.run(request).await;
    assert_eq!(made(&account).len(), 6);
    // What says its time is of that time, and what makes nothing is of the moment at which it is asked for.
    let said = Some(account.wire.now());
    let dry_run = Request {
        dry_run: true,
        ..event()
    };
    for (request, time) in [
        (event(), Some(super::BEGIN.parse().unwrap())),
        (
            Request {
                scheduled_time: said,
                ..event()
            },
            said,
        ),
        (dry_run, None),
        (
            Request {
                action: Action::Prune,
                ..Request::default()
            },
            None,
        ),
        (
            Request {
                action: Action::Restore,
                ..Request::default()
            },
            None,
        ),
    ] {
        let told = door.as_first_delivered(request.clone(), "8f5e-1").await;
        assert_eq!(told.unwrap().scheduled_time, time, "{request:?}");
    }
}

/// A backup by hand stays for ever, so none is made while nobody can tell whether its event came before.
#[tokio::test(start_paused = true)]
async fn a_journal_that_can_not_tell_whether_an_event_came_before_stops_backups_by_hand_and_no_others()
 {
    let folder = tempfile::tempdir().unwrap();
    let journal = format!("file://{}", folder.path().display());
    let environment = [
        ("LIFEBOAT_CONFIG", PLAN),
        ("LIFEBOAT_JOURNAL", journal.as_str()),
        ("ZILLIZ_API_KEY", KEY),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::from_environment(&environment).unwrap();
    let account = Account::new();
    let wire = account.wire.clone();
    let door = Lifeboat::connect(settings, Clock::new(move || wire.now())).unwrap();
    // Where events are to be remembered, there is something else.
    std::fs::write(folder.path().join("events"), "a file").unwrap();
    for manual in [true, false] {
        let request = Request {
            manual,
            ..Request::default()
        };
        let told = door.as_first_delivered(request, "8f5e-1").await;
        assert_eq!(told.is_err(), manual, "{told:?}");
        if let Ok(request) = told {
            assert_eq!(request.scheduled_time, None);
        }
    }
}

/// The original of the first event was deleted after it had been copied; the event comes again.
#[tokio::test(start_paused = true)]
async fn a_new_original_has_none_of_the_old_ones_copies() {
    let account = Account::new().with_journal();
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 2_000_000;
    });
    let report = account.run(by_hand()).await;
    assert!(report.stays_open, "{report:#?}");
    let old = report.jobs.shown[0].backup.clone().unwrap();
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/backups/{old}");
    let _ = account
        .wire
        .call(Method::Delete, &path, "", KEY, Vec::new());
    account.sleep(3).await;
    let ended = account.resume().await;
    assert_eq!(
        (failures(&ended).as_str(), ended.stays_open),
        ("vanished", false)
    );
    let again = account.run(by_hand()).await;
    assert!(again.stays_open, "its copies take their time: {again:#?}");
    account.sleep(3).await;
    let ended = account.resume().await;
    assert_eq!(
        (ended.outcome, jobs(&ended).as_str()),
        (Outcome::Succeeded, ALL),
        "{ended:#?}"
    );
    let told: BTreeSet<String> = ended
        .jobs
        .shown
        .iter()
        .filter_map(|job| job.backup.clone())
        .collect();
    let new = ended.jobs.shown[0].backup.clone().unwrap();
    assert_ne!(new, old);
    assert_eq!(told, family(&account, &new));
}

/// Without the journal of the nightly runs, nobody knows whether what is found after silence is one of their tiers.
#[tokio::test(start_paused = true)]
async fn what_is_found_after_silence_is_told_and_on_a_laptop_nobody_says_that_it_is_kept() {
    for is_shared in [true, false] {
        let mut account = Account::with(&tiered("daily = 2")).with_journal();
        account.is_shared = is_shared;
        account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"reset": "before"}, "times": 1}]));
        let theirs = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            by_somebody_else(&account).unwrap()
        };
        let (report, theirs) = tokio::join!(account.run(by_hand()), theirs);
        assert_eq!(
            report.jobs.shown[0].backup.as_ref(),
            Some(&theirs),
            "{report:#?}"
        );
        let told: Vec<&String> = report
            .warnings
            .shown
            .iter()
            .filter(|told| told.contains(&theirs))
            .collect();
        assert_eq!(told.len(), 1, "{:?}", report.warnings);
        assert!(
            told[0].contains("somebody else may have had it made"),
            "{}",
            told[0]
        );
        let in_doubt = told[0].contains("only the journal of the nightly runs knows");
        assert_eq!(in_doubt, !is_shared, "{}", told[0]);
        let list = account.list().await;
        let line = list
            .backups
            .shown
            .iter()
            .find(|line| line.backup == theirs)
            .unwrap();
        assert_eq!(line.region.as_deref(), Some(HOME));
        assert_eq!(
            line.why.contains("kept for ever"),
            is_shared,
            "{}",
            line.why
        );
        // The event again tells the same.
        let again = account.run(by_hand()).await;
        assert!(
            again
                .warnings
                .shown
                .iter()
                .any(|told| told.contains(&theirs)),
            "{:?}",
            again.warnings
        );
    }
}

/// The same while its copies are still being made, and nothing is in history yet.
#[tokio::test(start_paused = true)]
async fn what_is_found_after_silence_is_in_doubt_on_a_laptop_while_its_run_is_open_too() {
    let mut account = Account::with(&tiered("daily = 2")).with_journal();
    account.is_shared = false;
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 1_000_000;
    });
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"reset": "before"}, "times": 1}]));
    let theirs = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        by_somebody_else(&account).unwrap()
    };
    let (report, theirs) = tokio::join!(account.run(by_hand()), theirs);
    assert!(report.stays_open, "{report:#?}");
    let list = account.list().await;
    let mut lines = list.backups.shown.iter();
    let line = lines.find(|line| line.backup == theirs).unwrap();
    assert!(
        line.why
            .contains("only the journal of the nightly runs knows"),
        "{}",
        line.why
    );
}

/// Copies of somebody else's backup begin in the very second in which ours is asked for.
#[tokio::test(start_paused = true)]
async fn copies_of_the_backup_before_are_not_taken_for_its_own() {
    let account = Account::new().with_journal();
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 70_000_000_000_u64}),
    );
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 5_000_000_000;
    });
    let theirs = by_somebody_else(&account).unwrap();
    while family(&account, &theirs).len() < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = account.run(by_hand()).await;
    let jobs = report.jobs.shown.iter();
    let told: BTreeSet<String> = jobs.filter_map(|job| job.backup.clone()).collect();
    let ours = report.jobs.shown[0].backup.as_ref().unwrap();
    assert_eq!(told, family(&account, ours), "{report:#?}");
    assert!(!told.contains(&theirs));
}

/// Two schedules fire at the same time, for collections of two databases of one cluster.
#[tokio::test(start_paused = true)]
async fn another_request_of_the_same_time_is_refused_and_leaves_the_first_one_as_it_is() {
    for is_open in [true, false] {
        let account = Account::new().with_journal();
        account.add_cluster(
            CLUSTER,
            "orders-prod",
            &json!({"collections": [
                {"database": "a", "name": "x", "bytes": 7_000_000_000_u64},
                {"database": "b", "name": "y", "bytes": 7_000_000_000_u64},
            ]}),
        );
        if is_open {
            account.wire.emulator.update_settings(|settings| {
                settings.zilliz.copy_bytes_per_second = 2_000_000;
            });
        }
        let of = |collection: &str| Request {
            by_hand: ByHand {
                cluster: None,
                collections: vec![collection.to_owned()],
            },
            ..by_hand()
        };
        let history = async || {
            let journal = account.journal.as_ref().unwrap();
            journal.history("prod", 9).await.unwrap()
        };
        let first = account.run(of("a.x")).await;
        assert_eq!(first.stays_open, is_open, "{first:#?}");
        let before = history().await;
        for other in [of("b.y"), by_hand()] {
            let other = account.run(other).await;
            assert_eq!(
                (other.outcome, failures(&other).as_str(), jobs(&other)),
                (Outcome::Failed, "another_request", String::new()),
                "{other:#?}"
            );
            let message = &other.failures.shown[0].message;
            assert!(message.contains("`scheduled_time`"), "{message}");
            assert!(!other.stays_open, "nothing of it is open: {other:#?}");
            assert_eq!(account.open_runs().await.len(), usize::from(is_open));
        }
        assert_eq!(history().await, before, "the first one's record stands");
        if is_open {
            account.sleep(3).await;
            let ended = account.resume().await;
            assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:#?}");
        }
        let again = account.run(of("a.x")).await;
        assert_eq!(
            (again.outcome, jobs(&again).as_str()),
            (Outcome::Succeeded, ALL),
            "{again:#?}"
        );
        assert_eq!(account.calls("zilliz.create_backup"), 1);
        // A second later it is made.
        let later = of("b.y").scheduled_time.unwrap() + SignedDuration::from_secs(1);
        let later = Request {
            scheduled_time: Some(later),
            ..of("b.y")
        };
        let other = account.run(later).await;
        assert_eq!(other.counts.made, if is_open { 1 } else { 3 }, "{other:#?}");
        assert_eq!(account.calls("zilliz.create_backup"), 2);
    }
}

/// Killed at each write while it was refused, and found by a tick: the first one's record is its own for ever.
#[tokio::test(start_paused = true)]
async fn another_request_that_dies_while_it_is_refused_never_passes_for_the_first_one() {
    let of = |cluster: &str| Request {
        by_hand: ByHand {
            cluster: Some(cluster.to_owned()),
            collections: Vec::new(),
        },
        ..by_hand()
    };
    for passing in 0..6 {
        let objects = Arc::new(InMemory::new());
        let mut account = Account::new().with_journal_in(&objects);
        account.run(of(CLUSTER)).await;
        let sound = account.journal.take();
        let dies = FaultyStore::over(&objects, 1);
        dies.next_writes(std::iter::repeat_n(Fate::Passes, passing));
        dies.next_writes([Fate::KilledBefore]);
        let whole = Journal::on(Arc::new(dies), Path::from("journal"));
        account.journal = Some(whole.of_clusters());
        let dying = account.run(of("orders-prod"));
        let _ = tokio::time::timeout(Duration::from_mins(1), dying).await;
        account.journal = sound;
        tokio::time::sleep(Duration::from_mins(5)).await;
        if !account.open_runs().await.is_empty() {
            account.resume().await;
        }
        let other = account.run(of("orders-prod")).await;
        assert_eq!(failures(&other), "another_request", "{passing}");
        let again = account.run(of(CLUSTER)).await;
        assert_eq!(
            (again.outcome, jobs(&again).as_str()),
            (Outcome::Succeeded, ALL),
            "{passing} {again:#?}"
        );
        exactly_one_of_each(&account);
    }
}
