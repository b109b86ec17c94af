//! What a `resume` costs when nothing is open, and that one that is refused stops nothing behind it.

use std::sync::Arc;

use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::*;
use crate::clock::Clock;
use crate::drill;
use crate::journal::tests::faulty_store::{Counts, FaultyStore};
use crate::journal::{Entry, Journal, RunKey};
use crate::plan::Settings;
use crate::restore::{Asked, Which};
use crate::slot::Slot;

const TURBOPUFFER: &str = r#"
[plans.default.source]
region = "aws-us-east-1"
prefixes = ["acme-"]
[[plans.default.targets]]
region = "aws-eu-west-1"
"#;
const ZILLIZ: &str = r#"
[plans.prod]
provider = "zilliz"
clusters = ["in01-4be01c77d20a9f3"]
start = "02:00"
[[plans.prod.targets]]
region = "gcp-us-east4"
"#;

fn lifeboat(plans: &str) -> (Lifeboat, FaultyStore) {
    let environment = [
        ("LIFEBOAT_CONFIG", plans),
        ("TURBOPUFFER_API_KEY", "tpuf_test"),
        ("ZILLIZ_API_KEY", "zilliz_test"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::from_environment(&environment);
    let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
    let mut lifeboat = Lifeboat::connect(settings, Clock::system()).unwrap();
    let store = FaultyStore::over(&Arc::new(InMemory::new()), 1);
    lifeboat.journal = Some(Journal::on(Arc::new(store.clone()), Path::from("root")));
    (lifeboat, store)
}

async fn resume(lifeboat: &Lifeboat, plan: Option<&str>) -> Resumed {
    let request = Request {
        action: Action::Resume,
        plan: plan.map(str::to_owned),
        ..Request::default()
    };
    let (minute, id) = (Duration::from_mins(1), "test".to_owned());
    let resumed = lifeboat.resume(&request, id, minute, Size::Whole, &|_| ());
    resumed.await.unwrap()
}

#[tokio::test]
async fn an_idle_resume_asks_the_journal_one_question() {
    let both = format!("{TURBOPUFFER}{ZILLIZ}");
    for plans in [TURBOPUFFER, ZILLIZ, &*both] {
        let (lifeboat, store) = lifeboat(plans);
        let resumed = resume(&lifeboat, None).await;
        assert_eq!(resumed.open_runs + resumed.failures.len(), 0);
        let one = Counts {
            lists: 1,
            ..Counts::default()
        };
        assert_eq!(store.counts(), one, "{plans}");
    }
}

/// Opens something as an invocation does that died right after.
async fn left_open(journal: &Journal, name: &str, entry: Option<Entry>) {
    let now = Clock::system().now();
    let key = RunKey {
        plan: name.to_owned(),
        slot: Slot::of(now).unwrap(),
        class: Class::Scheduled,
    };
    let lease = journal.acquire(name, "earlier", now).await.unwrap();
    let log = journal.open_run(&lease, &key, now).await.unwrap();
    if let Some(entry) = entry {
        log.append(&entry).await.unwrap();
    }
    lease.release().await.unwrap();
}

/// From a target that the plan no longer has, so it is refused.
fn restore_from_nowhere(plan: &str) -> Entry {
    let asked = Asked {
        target: Some("nowhere".into()),
        ..Asked::of(Which::All)
    };
    Entry::RestoreAsked {
        plan: plan.to_owned(),
        asked: Box::new(asked),
        at: Timestamp::UNIX_EPOCH,
        regions: None,
    }
}

fn drill_from_nowhere() -> Entry {
    let asked = drill::Asked {
        target: Some("nowhere".into()),
        ..drill::Asked::default()
    };
    Entry::DrillAsked {
        asked: Box::new(asked),
        sources: 1,
        regions: None,
    }
}

#[tokio::test]
async fn one_that_is_refused_stops_nothing_behind_it_and_each_is_told() {
    let (lifeboat, _) = lifeboat(TURBOPUFFER);
    let journal = lifeboat.journal.clone().unwrap();
    let (restores, drills) = (journal.of_restores(), journal.of_drills());
    for restore in ["default.1", "default.2"] {
        left_open(&restores, restore, Some(restore_from_nowhere("default"))).await;
    }
    left_open(&drills, "default", Some(drill_from_nowhere())).await;
    let resumed = resume(&lifeboat, None).await;
    assert_eq!((resumed.open_restores, resumed.open_drills), (2, 1));
    let whats: Vec<&str> = resumed
        .failures
        .iter()
        .map(|failure| failure.what.split_once(" of 2").unwrap().0)
        .collect();
    assert_eq!(
        whats,
        [
            "the restore of plan `default`",
            "the restore of plan `default`",
            "the drill of plan `default`"
        ]
    );
    for failure in &resumed.failures {
        assert_eq!(failure.error, "BadEvent");
        assert!(failure.message.contains("nowhere"), "{failure:?}");
    }
    assert!(resumed.left.is_empty());
}

#[tokio::test]
async fn what_is_open_of_a_plan_that_is_not_configured_is_told_unless_another_was_asked_for() {
    let (lifeboat, _) = lifeboat(&format!("{TURBOPUFFER}{ZILLIZ}"));
    let journal = lifeboat.journal.clone().unwrap();
    let clusters = journal.of_clusters();
    left_open(&journal, "gone", None).await;
    left_open(
        &journal.of_restores(),
        "gone.3",
        Some(restore_from_nowhere("gone")),
    )
    .await;
    left_open(&journal.of_drills(), "gone", Some(drill_from_nowhere())).await;
    left_open(&clusters, "gone", None).await;
    let resumed = resume(&lifeboat, None).await;
    assert_eq!(resumed.left.len(), 4, "{:?}", resumed.left);
    assert!(resumed.failures.is_empty(), "{:?}", resumed.failures);
    for left in &resumed.left {
        assert!(left.contains("plan `gone`") && left.contains("configure it again"));
    }
    let resumed = resume(&lifeboat, Some("default")).await;
    assert!(resumed.left.is_empty(), "{:?}", resumed.left);
}
