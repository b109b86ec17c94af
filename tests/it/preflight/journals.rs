//! What `check --online` finds of the journal, which stops a night's deletion when it is out of order.

use std::sync::Arc;

use futures_util::TryStreamExt;
use lifeboat::journal::{Journal, JournalUrl};
use lifeboat::plan::{ClusterPlan, Plan, Settings};
use lifeboat::preflight::journal::{WhoseJournal, look_at_journal};
use lifeboat::preflight::{Finding, Verdict};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{bad, lines};
use crate::carrying_on::journaled;
use crate::faulty_store::{FaultyStore, Refusal};
use crate::stories::NIGHT;
use crate::world::{SOURCE, World};

const TIERED: &str = r#"journal = "memory://"
[plans.prod]
provider = "zilliz"
clusters = ["*"]
project = "proj-5d11c0aa94e27b60f3c9de"
start = "02:00"
[[plans.prod.targets]]
region = "gcp-us-east4"
[plans.prod.tiers]
monthly = 3
"#;

async fn names(objects: &InMemory) -> Vec<Path> {
    let all: Vec<_> = objects.list(None).try_collect().await.unwrap();
    all.into_iter().map(|meta| meta.location).collect()
}

fn clusters() -> Vec<ClusterPlan> {
    let variables = [("LIFEBOAT_CONFIG", TIERED), ("ZILLIZ_API_KEY", "key")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::from_environment(&variables).unwrap().clusters
}

async fn look(plans: &[Plan], clusters: &[ClusterPlan], journal: Option<&Journal>) -> Vec<Finding> {
    let world = World::new(1, &[]);
    let clusters: Vec<&ClusterPlan> = clusters.iter().collect();
    let whose = WhoseJournal {
        journal,
        configured: journal.is_some(),
        plans,
        clusters: &clusters,
    };
    look_at_journal(whose, &world.local_clock()).await
}

fn at(url: &str) -> Journal {
    Journal::open(&url.parse::<JournalUrl>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_can_be_read_is_good_and_is_left_as_it_is() {
    let (world, objects) = journaled(&[]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    world.night(NIGHT).await;
    let before = names(&objects).await;
    let plans = std::slice::from_ref(&world.plan);
    let found = look(plans, &clusters(), world.journal.as_ref()).await;
    insta::assert_snapshot!(lines(&found), @r"
note  journal memory://: it is forgotten with its process, so no other one carries on, and nothing keeps two runs apart
ok    journal memory://: it can be listed and read, and nothing in it is corrupt
note  journal memory://: whether it may be written can't be tried without writing; the first run shows it
");
    assert_eq!(names(&objects).await, before);
    let found = look(plans, &[], None).await;
    assert_eq!(found.len(), 1);
    assert!(
        found[0].verdict == Verdict::Note && found[0].message.contains("set LIFEBOAT_JOURNAL"),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_missing_is_told_with_what_to_do() {
    let world = World::new(1, &[]);
    let store = FaultyStore::over(&Arc::new(InMemory::new()), 1);
    store.refuse(Refusal::Missing);
    let journal = Journal::on(Arc::new(store), Path::from("lifeboat"));
    for (plans, clusters) in [(vec![world.plan.clone()], vec![]), (vec![], clusters())] {
        let found = look(&plans, &clusters, Some(&journal)).await;
        let bad = bad(&found);
        assert!(
            bad.len() == 1 && bad[0].contains("there is no bucket") && bad[0].contains("create it"),
            "{found:?}"
        );
        assert!(!lines(&found).contains("ok  "), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_corrupt_in_it_is_named() {
    for (object, of_clusters, says) in [
        (
            "leases/default.json",
            false,
            "where the plan's lease should be",
        ),
        ("holds/r.json", false, "so no backup is deleted"),
        (
            "clusters/leases/prod.json",
            true,
            "where the plan's lease should be",
        ),
        ("clusters/holds/r.json", true, "so no backup is deleted"),
        (
            "clusters/watch/prod.json",
            true,
            "which clusters the plan looked after",
        ),
        (
            "clusters/tiers/prod/x-1.json",
            true,
            "no tier is made or deleted",
        ),
    ] {
        let (world, objects) = journaled(&[]);
        let path = Path::from(format!("lifeboat/{object}"));
        objects.put(&path, "not JSON".into()).await.unwrap();
        let (plans, clusters) = if of_clusters {
            (vec![], clusters())
        } else {
            (vec![world.plan.clone()], vec![])
        };
        let found = look(&plans, &clusters, world.journal.as_ref()).await;
        let bad = bad(&found);
        assert!(
            bad.len() == 1
                && bad[0].contains(object)
                && bad[0].contains(says)
                && bad[0].contains("delete it"),
            "{found:?}"
        );
        assert!(!lines(&found).contains("ok  "), "{found:?}");
        // It is nothing to those of the other service.
        let others = if of_clusters {
            look(
                std::slice::from_ref(&world.plan),
                &[],
                world.journal.as_ref(),
            )
            .await
        } else {
            look(&[], &self::clusters(), world.journal.as_ref()).await
        };
        assert_eq!(super::bad(&others), Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_among_the_open_runs_and_is_none_is_worth_knowing() {
    for object in [
        "open/runs/default/1767319200.json",
        "open/drills/x.json",
        "open/restores/x.json",
    ] {
        let (world, objects) = journaled(&[]);
        let path = Path::from(format!("lifeboat/{object}"));
        objects.put(&path, "not JSON".into()).await.unwrap();
        let plans = std::slice::from_ref(&world.plan);
        let found = look(plans, &[], world.journal.as_ref()).await;
        assert_eq!(bad(&found), Vec::<&str>::new(), "{found:?}");
        let told = lines(&found);
        assert!(
            told.contains(object) && told.contains("look what it is"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_directory_is_not_made_and_a_file_in_its_place_is_bad() {
    let world = World::new(1, &[]);
    let plans = std::slice::from_ref(&world.plan);
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("file"), "somebody's").unwrap();
    std::fs::create_dir(home.join("made")).unwrap();
    let url = |name: &str| format!("file://{}", home.join(name).display());

    for name in ["file", "file/journal", "file/far/below"] {
        let found = look(plans, &[], Some(&at(&url(name)))).await;
        let bad = bad(&found);
        assert!(
            bad.len() == 1 && bad[0].contains(&url(name)) && bad[0].contains("choose another"),
            "{found:?}"
        );
    }
    let found = look(plans, &[], Some(&at(&url("new/journal")))).await;
    assert_eq!(bad(&found), Vec::<&str>::new(), "{found:?}");
    assert!(lines(&found).contains("the directory is not there yet"));
    let found = look(plans, &[], Some(&at(&url("made")))).await;
    assert_eq!(bad(&found), Vec::<&str>::new(), "{found:?}");
    assert!(lines(&found).contains("ok    journal file://"), "{found:?}");

    let mut names: Vec<_> = std::fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["file", "made"]);
    assert_eq!(std::fs::read_dir(home.join("made")).unwrap().count(), 0);
}
