//! What goes wrong on purpose: statuses, failing jobs and copies, lost jobs, vanishing backups; the log, and resets.

use std::time::Duration;

use lifeboat_emulator::{Delivery, Fault, Match, Method, Moment, Rule, Settings};
use serde_json::{Value, json};

use super::{Account, BACKED_UP, CLUSTER, COPIED, FAR, HOME, NEAR, text};

fn status(status: u16, commit: Moment) -> Fault {
    Fault {
        status: Some(status),
        commit,
        ..Fault::default()
    }
}

#[test]
fn statuses_come_in_the_services_envelope() {
    let account = Account::new();
    for code in [429, 500, 503] {
        account.fault("zilliz.list_clusters", status(code, Moment::Before));
        let got = account.call(Method::Get, "clusters", &Value::Null);
        assert_eq!((got.status, &got.body["code"]), (code, &json!(code)));
        let told = got.body["message"].as_str().unwrap();
        assert_eq!(told.contains("rate limit"), code == 429, "{told}");
    }
}

/// Off unless it is switched on: the official command line does not wait between its requests.
#[test]
fn more_than_the_limit_in_a_second_is_refused_by_key_and_endpoint() {
    let account = Account::new();
    let ask = |what: &str| account.call(Method::Get, what, &Value::Null).status;
    assert!((0..50).all(|_| ask("projects") == 200));

    let got = account.0.post(
        "/_emulator/settings",
        &json!({"zilliz": {"rate_limit": 20}}),
    );
    assert_eq!(got.status, 200, "{got:?}");
    account.pass(Duration::from_secs(1));
    assert!((0..20).all(|_| ask("projects") == 200));
    let refused = account.call(Method::Get, "projects", &Value::Null);
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!(429)));
    assert_eq!(ask("clusters"), 200, "another endpoint counts apart");
    account.pass(Duration::from_millis(999));
    assert_eq!(ask("projects"), 429);
    account.pass(Duration::from_millis(1));
    assert!((0..20).all(|_| ask("projects") == 200));
}

#[test]
fn a_create_that_was_slow_or_failed_may_have_happened() {
    let account = Account::new();
    let create = format!("clusters/{CLUSTER}/backups/create");
    let whole = json!({"backupType": "CLUSTER"});
    account.fault("zilliz.create_backup", status(503, Moment::After));
    assert_eq!(account.call(Method::Post, &create, &whole).status, 503);
    account.0.emulator.set_faults(Vec::new());
    assert_eq!(account.backups().len(), 1);
    assert_eq!(
        account.refused_post(&create, &whole),
        96038,
        "the client's second try"
    );

    account.pass(BACKED_UP);
    let slow = Fault {
        latency_ms: Some(31_000),
        ..Fault::default()
    };
    account.fault("zilliz.create_backup", slow);
    let got = account.call(Method::Post, &create, &whole);
    assert_eq!(got.delay, Duration::from_secs(31));
    assert_eq!(account.backups().len(), 2);
}

#[test]
fn a_failed_backup_says_why_and_leaves_neither_record_nor_copies() {
    let account = Account::new();
    let fault = Fault {
        fail_operation: true,
        reason: Some("disk full".to_owned()),
        ..Fault::default()
    };
    account.fault("zilliz.create_backup", fault);
    let (backup, job) = account.back_up(&[NEAR]);
    assert_eq!(account.job(&job)["reason"], "", "not yet");
    account.pass(BACKED_UP);
    let shown = account.job(&job);
    assert_eq!(
        (&shown["status"], &shown["reason"]),
        (&json!("FAILED"), &json!("disk full"))
    );
    assert!(account.backups().is_empty());
    assert_eq!(
        account.refused_get(&format!("clusters/{CLUSTER}/backups/{backup}")),
        96038
    );
    assert_eq!(account.known("jobs").len(), 1);
    assert!(
        account.0.get("/_emulator/bill").body["zilliz"]["organisations"]["default"]["storage"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one_copy_fails_and_the_other_does_not_notice() {
    let account = Account::new();
    let when = Match {
        region: Some(FAR.to_owned()),
        ..Match::operation("zilliz.copy")
    };
    let fault = Fault {
        fail_operation: true,
        reason: Some("no quota there".to_owned()),
        ..Fault::default()
    };
    account.0.emulator.set_faults(vec![Rule::new(when, fault)]);
    account.backed_up(&[NEAR, FAR]);
    let mut regions: Vec<String> = account
        .backups()
        .iter()
        .map(|backup| text(&account.describe(&text(&backup["backupId"]))["regionId"]))
        .collect();
    regions.sort();
    assert_eq!(regions, [NEAR, HOME]);
    let failed: Vec<String> = account
        .known("jobs")
        .iter()
        .map(|job| account.job(&text(&job["id"])))
        .filter(|job| job["status"] == "FAILED")
        .map(|job| text(&job["reason"]))
        .collect();
    assert_eq!(failed, ["no quota there"]);
    assert_eq!(account.0.emulator.faults_fired(), [1]);
}

#[test]
fn rules_about_everything_leave_the_background_alone() {
    let account = Account::new();
    let failing = Fault {
        fail_operation: true,
        ..Fault::default()
    };
    let (_, job) = account.back_up(&[NEAR]);
    let everything = vec![
        Rule::new(Match::default(), failing.clone()),
        Rule::new(Match::operation("any"), failing),
    ];
    account.0.emulator.set_faults(everything);
    account.pass(BACKED_UP);
    account.pass(COPIED);
    assert_eq!(account.0.emulator.faults_fired(), [0, 0]);
    assert_eq!(account.job(&job)["status"], "SUCCESSFUL");
    assert_eq!(account.backups().len(), 2);
}

#[test]
fn an_automatic_backup_fails_and_the_next_one_runs() {
    let account = Account::new();
    let failing = Fault {
        fail_operation: true,
        ..Fault::default()
    };
    let rule = Rule::new(Match::operation("zilliz.automatic_backup"), failing).times(1);
    account.0.emulator.set_faults(vec![rule]);
    account.post(
        &format!("clusters/{CLUSTER}/backups/policy"),
        &json!({"enabled": true, "frequency": "1,2,3,4,5,6,7", "startTime": "05:00-07:00", "retentionDays": 7}),
    );
    account.pass(Duration::from_mins(30));
    assert!(account.backups().is_empty());
    account.pass(Duration::from_hours(6));
    assert_eq!(account.backups().len(), 1);
}

#[test]
fn jobs_stall_and_get_lost() {
    let account = Account::new();
    let stalling = Fault {
        stall_operation: true,
        ..Fault::default()
    };
    account.fault("zilliz.create_backup", stalling);
    let (_, job) = account.back_up(&[]);
    account.pass(Duration::from_hours(100));
    let shown = account.job(&job);
    assert_eq!(
        (&shown["status"], &shown["progress"]),
        (&json!("IN_PROGRESS"), &json!("99"))
    );
    let losing = Fault {
        lose_token: true,
        ..Fault::default()
    };
    account.fault("zilliz.describe_job", losing);
    assert_eq!(account.refused_get(&format!("jobs/{job}")), 96026);
    account.0.emulator.set_faults(Vec::new());
    assert_eq!(
        account.refused_get(&format!("jobs/{job}")),
        96026,
        "for good"
    );
    let account = Account::new();
    let losing = Fault {
        lose_token: true,
        ..Fault::default()
    };
    account.fault("zilliz.create_backup", losing);
    let (backup, job) = account.back_up(&[]);
    account.pass(BACKED_UP);
    assert_eq!(account.refused_get(&format!("jobs/{job}")), 96026);
    assert_eq!(account.describe(&backup)["status"], "AVAILABLE");
}

#[test]
fn a_backup_vanishes_between_listing_and_describing() {
    let account = Account::new();
    account.backed_up(&[]);
    let listed = text(&account.backups()[0]["backupId"]);
    let vanishing = Fault {
        vanish: true,
        ..Fault::default()
    };
    account.fault("zilliz.describe_backup", vanishing);
    let path = format!("clusters/{CLUSTER}/backups/{listed}");
    assert_eq!(account.refused_get(&path), 96038);
    assert!(account.backups().is_empty());
}

#[test]
fn deletes_lie_and_pages_repeat_or_are_missing() {
    let account = Account::new();
    let backup = account.backed_up(&[]);
    let lying = Fault {
        delete_lies: true,
        ..Fault::default()
    };
    account.fault("zilliz.delete_backup", lying);
    account.delete(&format!("clusters/{CLUSTER}/backups/{backup}"));
    assert_eq!(account.backups().len(), 1);
    account.0.emulator.set_faults(Vec::new());
    account.backed_up(&[]);
    let ids = |page: u8| {
        let page = account.get(&format!("backups?pageSize=1&currentPage={page}"));
        assert_eq!(page["count"], 2);
        page["backups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|backup| text(&backup["backupId"]))
            .collect::<Vec<_>>()
    };
    let (first, second) = (ids(1), ids(2));
    assert_ne!(first, second);
    let repeating = Fault {
        repeat_page: true,
        ..Fault::default()
    };
    account.fault("zilliz.list_backups", repeating);
    assert_eq!((ids(1), ids(2)), (first, ids(2)));
    assert_ne!(ids(2), second);
    let dropping = Fault {
        drop_page: true,
        ..Fault::default()
    };
    account.fault("zilliz.list_backups", dropping);
    assert_eq!((ids(1), ids(2)), (second, Vec::new()));
}

#[test]
fn keys_die_connections_break_and_dates_are_off() {
    let account = Account::new();
    let revoking = Fault {
        revoke_key: true,
        ..Fault::default()
    };
    account.fault("zilliz.list_clusters", revoking);
    assert_eq!(
        account.call(Method::Get, "clusters", &Value::Null).status,
        401
    );
    account.0.emulator.set_faults(Vec::new());
    assert_eq!(
        account.call(Method::Get, "projects", &Value::Null).status,
        401
    );
    let account = Account::new();
    let breaking = Fault {
        reset: Some(Moment::After),
        ..Fault::default()
    };
    account.fault("zilliz.create_backup", breaking);
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/backups/create");
    let answer = account
        .0
        .raw(Method::Post, &path, &json!({"backupType": "CLUSTER"}));
    assert!(matches!(answer.delivery, Delivery::Reset));
    assert_eq!(account.backups().len(), 1);
    let skewed = Fault {
        clock_skew_seconds: Some(3600),
        ..Fault::default()
    };
    account.fault("zilliz.list_projects", skewed);
    let got = account.call(Method::Get, "projects", &Value::Null);
    assert_eq!(got.header("date"), Some("Sat, 21 Nov 2026 03:00:00 GMT"));
    assert!(got.header("requestid").is_some());
}

#[test]
fn rules_about_a_cluster_or_a_region_leave_the_others_alone() {
    let account = Account::new();
    for when in [
        json!({"namespace_prefix": "in01-4be"}),
        json!({"region": HOME}),
        json!({"source": "backup1_0"}),
    ] {
        let rule = json!([{"match": when, "fault": {"status": 500}}]);
        account.0.post("/_emulator/faults", &rule);
        let ask = |path: &str| account.call(Method::Get, path, &Value::Null).status;
        let path = format!("clusters/{CLUSTER}/backups/backup1_0");
        assert_eq!(ask(&path), 500, "{when}");
        assert_eq!(ask("clusters/in01-other/backups/backup2_0"), 200, "{when}");
        assert_eq!(ask("projects"), 200, "{when}");
    }
}

#[test]
fn calls_are_logged_by_name_and_a_reset_empties_the_account() {
    let account = Account::new();
    account.back_up(&[NEAR]);
    account.call(Method::Get, "clusters/in01-none", &Value::Null);
    let log = account.0.get("/_emulator/log").body;
    assert_eq!(
        log["calls"][0],
        json!({"time": "2026-11-21T02:00:00Z", "method": "POST", "status": 200,
            "path": format!("/zilliz/v2/clusters/{CLUSTER}/backups/create"),
            "operation": "zilliz.create_backup", "key_suffix": "0001"})
    );
    let summary = account.0.get("/_emulator/log?summary=1").body;
    assert_eq!(
        summary["operations"],
        json!({"zilliz.create_backup": {"200": 1}, "zilliz.describe_cluster": {"200": 1}})
    );
    account.0.post("/_emulator/reset", &json!({}));
    assert_eq!(account.get("clusters")["count"], 0);
    assert!(account.known("backups").is_empty());
    let bad = account.0.post(
        "/_emulator/zilliz/clusters",
        &json!([{"name": "x", "project": "proj-none", "region": HOME}]),
    );
    assert_eq!(bad.status, 400);
    let bad = account.0.post("/_emulator/zilliz/nothing", &json!([]));
    assert_eq!(bad.status, 404);
}

#[test]
fn one_seed_makes_one_history() {
    let history = |seed, looks| {
        let account = Account::with(Settings {
            seed,
            ..Settings::default()
        });
        for _ in 0..looks {
            account.get("clusters");
        }
        account.backed_up(&[NEAR, FAR]);
        (account.known("backups"), account.known("jobs"))
    };
    assert_eq!(history(1, 0), history(1, 0));
    assert_ne!(history(1, 0), history(2, 0));
    assert_eq!(
        history(1, 0),
        history(1, 3),
        "looking on changes nothing that comes after"
    );
}
