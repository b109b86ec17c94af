//! What a person reads where nothing could be decided.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::event::{Action, Request};
use lifeboat::journal::Journal;
use lifeboat::report::{Outcome, Report};
use lifeboat::terminal;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;

use crate::approvals::{a_policy_cut_by_mistake, errors, prune};
use crate::world::{SOURCE, World};

/// The first thing to type on the worst day. What can't be asked is told, and hides nothing else.
#[tokio::test(start_paused = true)]
async fn a_list_shows_what_stands_where_the_sources_region_or_the_journal_is_out_of_reach() {
    let mut world = a_policy_cut_by_mistake().await;
    let objects = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = objects.clone();
    world.journal = Some(Journal::on(store, Path::from("lifeboat")));
    let list = || Request {
        action: Action::List,
        ..Request::default()
    };
    let whole = world.run(list(), FOURTEEN_MINUTES).await.unwrap();
    assert_eq!(
        (whole.outcome, whole.decisions.len()),
        (Outcome::Succeeded, 70)
    );
    let shows_all = async |world: &World, error: &str, says: &str| {
        let report = world.run(list(), FOURTEEN_MINUTES).await.unwrap();
        assert_eq!(
            (report.outcome, errors(&report)),
            (Outcome::Failed, vec![error])
        );
        assert_eq!(report.decisions.shown, whole.decisions.shown);
        let text = as_text(&report);
        assert!(
            text.contains(says) && text.contains("backup-acme-0-"),
            "{text}"
        );
    };
    for fault in [json!({"status": 503}), json!({"status": 403})] {
        world.faults(json!([{"match": {"operation": "list", "region": SOURCE}, "fault": fault}]));
        let error = if fault["status"] == 503 {
            "unavailable"
        } else {
            "forbidden"
        };
        shows_all(&world, error, "nobody knows which of them still live").await;
    }
    world.faults(json!([]));
    let path = Path::from("lifeboat/holds/r.json");
    objects.put(&path, "not JSON".into()).await.unwrap();
    shows_all(&world, "journal_unreadable", "holds/r.json").await;
}

const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);

/// What a person reads of a report.
fn as_text(report: &Report) -> String {
    let mut text = Vec::new();
    terminal::write_report(&mut text, report).unwrap();
    String::from_utf8(text).unwrap()
}

/// The hash of an empty list would approve nothing; and none due is not what was found.
#[tokio::test(start_paused = true)]
async fn where_nothing_could_be_decided_no_list_has_a_hash_and_the_report_says_why() {
    for (object, dry_run, error, why) in [
        (
            "holds/r.json",
            true,
            "journal_unreadable",
            "what is being restored could not be read",
        ),
        (
            "holds/r.json",
            false,
            "journal_unreadable",
            "what is being restored could not be read",
        ),
        (
            "leases/default.json",
            false,
            "lease_corrupt",
            "the journal can't be used",
        ),
    ] {
        let mut world = a_policy_cut_by_mistake().await;
        let objects = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = objects.clone();
        world.journal = Some(Journal::on(store, Path::from("lifeboat")));
        let path = Path::from(format!("lifeboat/{object}"));
        objects.put(&path, "not JSON".into()).await.unwrap();
        for approve in [None, Some("0123456789abcdef".to_owned())] {
            if dry_run && approve.is_some() {
                continue;
            }
            let report = prune(&world, dry_run, approve).await;
            assert_eq!(errors(&report), [error], "{report:#?}");
            let target = &report.targets[0];
            assert_eq!(target.deletion_plan, None, "{object}");
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["targets"][0]["undecided"], why, "{object}");
            let text = as_text(&report);
            assert!(
                text.contains(&format!("not decided which backups are due, because {why}")),
                "{text}"
            );
            assert!(!text.contains(" 0 due") && !text.contains("hash"), "{text}");
        }
        objects.delete(&path).await.unwrap();
        let report = prune(&world, true, None).await;
        assert_eq!(report.targets[0].undecided, None);
        assert!(as_text(&report).contains("55 due"), "{}", as_text(&report));
    }
}
