//! What `hold` names is kept, or somebody is told: an id that nothing has stops deletion, because a tier was meant by it.

use lifeboat::event::{Action, Request};
use lifeboat::report::Outcome;
use serde_json::{Value, json};

use super::tiers::{delete, night, standing, tiered, with_tiers};
use super::{Account, FAR, HOME, NEAR, failures, plans};

/// Two nights of a plan that keeps the last one, with a list of held ids from the second on.
async fn second_night(hold: impl Fn(&str) -> String) -> (Account, String) {
    let mut account = with_tiers("daily = 1");
    night(&account).await;
    let in_far = standing(&account).remove(FAR).unwrap();
    let first = in_far.into_keys().next().unwrap();
    held(&mut account, &hold(&first));
    account.sleep(24).await;
    (account, first)
}

fn held(account: &mut Account, id: &str) {
    account.plans = plans(&tiered(&format!("daily = 1\nhold = [\"{id}\"]")));
}

fn there(account: &Account) -> [usize; 3] {
    let standing = standing(account);
    [HOME, NEAR, FAR].map(|region| standing[region].len())
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_id_stops_deletion_and_not_the_copies_until_it_is_put_right() {
    let (mut account, first) = second_night(|first| first[..first.len() - 1].to_owned()).await;
    let report = night(&account).await;
    assert_eq!(failures(&report), "hold_unknown", "{:?}", report.failures);
    assert_eq!((report.outcome, report.tiers.deleted), (Outcome::Failed, 0));
    let message = &report.failures.shown[0].message;
    assert!(
        message.contains("none is deleted") && message.ends_with(&format!("`{first}`")),
        "{message}"
    );
    assert_eq!(there(&account), [2; 3], "the night's own was made");
    assert_eq!(account.calls("zilliz.delete_backup"), 0);

    // Whoever looks before sees it, too, and no approval of the list passes it by.
    let asked = |dry_run, approve: Option<String>| Request {
        action: Action::Prune,
        dry_run,
        approve,
        ..Request::default()
    };
    let shown = account.run(asked(true, None)).await;
    assert_eq!(failures(&shown), "hold_unknown");
    assert_eq!(shown.tiers.regions.len(), 3);
    for due in &shown.tiers.regions {
        assert_eq!(due.stopped, Some("what `hold` names is not known"));
    }
    let hash = shown.tiers.regions[0].hash.to_string();
    let approved = account.run(asked(false, Some(hash))).await;
    assert_eq!(failures(&approved), "hold_unknown");
    assert_eq!(account.calls("zilliz.delete_backup"), 0);

    held(&mut account, &first);
    account.sleep(24).await;
    let report = night(&account).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    assert!(standing(&account)[FAR].contains_key(&first));
    assert!(report.tiers.deleted > 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_is_held_in_vain_until_it_is_taken_off_the_list() {
    let (mut account, first) = second_night(str::to_owned).await;
    delete(&account, &first);
    assert_eq!(failures(&night(&account).await), "vanished");
    account.sleep(24).await;
    let report = night(&account).await;
    assert_eq!(failures(&report), "hold_unknown");
    assert!(
        report.failures.shown[0]
            .message
            .contains("take it off the list"),
        "{:?}",
        report.failures
    );
    account.plans = plans(&tiered("daily = 1"));
    account.sleep(24).await;
    let report = night(&account).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    assert_eq!(there(&account), [1; 3]);
}

/// The policy's backups stand in the same list, and go when they expire, whatever `hold` says.
#[tokio::test(start_paused = true)]
async fn a_backup_that_is_no_tier_is_warned_of_and_stops_nothing() {
    let (mut account, _) = second_night(str::to_owned).await;
    let backups = account.known("backups");
    let is_automatic = |backup: &&Value| backup["method"] == "AUTO";
    let automatic = backups.iter().find(is_automatic).unwrap();
    let id = automatic["id"].as_str().unwrap().to_owned();
    held(&mut account, &id);
    let report = night(&account).await;
    assert_eq!(
        (report.outcome, report.tiers.deleted),
        (Outcome::Succeeded, 3),
        "{:?}",
        report.failures
    );
    let told = report.warnings.shown.join("\n");
    assert!(told.contains(&format!("`{id}`, which is none")), "{told}");
}

/// Where all backups can't be listed, nobody knows what `hold` names, though each cluster's list is there.
#[tokio::test(start_paused = true)]
async fn where_what_stands_can_not_be_read_nothing_is_deleted() {
    let (account, _) = second_night(|_| "backup9_elsewhere".to_owned()).await;
    night(&account).await;
    let refused = json!({"status": 200, "body": "{\"code\":80002,\"message\":\"no\"}"});
    account.faults(
        json!([{"match": {"operation": "zilliz.list_backups"}, "fault": refused, "times": 1}]),
    );
    let prune = Request {
        action: Action::Prune,
        ..Request::default()
    };
    let report = account.run(prune).await;
    let failure = &report.failures.shown[0];
    assert!(
        failure.message.contains("could not be read") && failure.error != "hold_unknown",
        "{failure:?}"
    );
    assert_eq!((report.tiers.due, report.tiers.deleted), (3, 0));
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}
