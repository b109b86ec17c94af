//! What a person reads where nothing could be decided.

use std::sync::Arc;

use lifeboat::journal::Journal;
use lifeboat::report::Report;
use lifeboat::terminal;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::approvals::{a_policy_cut_by_mistake, errors, prune};

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
