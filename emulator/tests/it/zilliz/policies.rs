//! Automatic backups: what a policy says, when it runs, and when its backups and copies expire.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use lifeboat_emulator::Settings;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Account, BACKED_UP, CLUSTER, COPIED, FAR, GB, HOME, NEAR, PROJECT, text};

const DAY: Duration = Duration::from_hours(24);

fn path() -> String {
    format!("clusters/{CLUSTER}/backups/policy")
}

fn policy(frequency: &str, window: &str, days: u64) -> Value {
    json!({"enabled": true, "frequency": frequency, "startTime": window, "retentionDays": days,
        "crossRegionCopies": []})
}

/// When automatic backups began, copies apart, oldest first.
fn begun(account: &Account) -> Vec<Timestamp> {
    let known = account.known("backups");
    let originals = known.iter().filter(|backup| backup["original"].is_null());
    let mut begun: Vec<Timestamp> = originals
        .map(|backup| text(&backup["created"]).parse().unwrap())
        .collect();
    begun.sort();
    begun
}

#[test]
fn a_policy_is_shown_as_it_was_set() {
    let account = Account::new();
    let off = json!({"clusterId": CLUSTER, "status": "DISABLED", "startTime": null, "frequency": null,
        "retentionDays": 0, "crossRegionCopies": []});
    assert_eq!(account.get(&path()), off);
    let copies =
        json!([{"regionId": NEAR, "retentionDays": 5}, {"regionId": FAR, "retentionDays": 30}]);
    let set = json!({"enabled": true, "frequency": "2,5", "startTime": "01:00-03:00", "retentionDays": 14,
        "crossRegionCopies": copies});
    assert_eq!(
        account.post(&path(), &set),
        json!({"clusterId": CLUSTER, "status": "ENABLED"})
    );
    assert_eq!(
        account.get(&path()),
        json!({"clusterId": CLUSTER, "status": "ENABLED", "startTime": "01:00-03:00", "frequency": "2,5",
        "retentionDays": 14, "crossRegionCopies": [
            {"regionId": NEAR, "retentionDays": 5, "region": "us-east4"},
            {"regionId": FAR, "retentionDays": 30, "region": "europe-west3"},
        ]})
    );
    // As the official Terraform provider switches it off.
    let bare = json!({"frequency": "", "startTime": "", "retentionDays": 0, "enabled": false,
        "crossRegionCopies": null});
    assert_eq!(account.post(&path(), &bare)["status"], "DISABLED");
    assert_eq!(account.get(&path()), off);
}

#[test]
fn leaving_the_copies_out_clears_them() {
    let account = Account::new();
    let mut set = policy("1", "01:00-03:00", 7);
    set["crossRegionCopies"] = json!([{"regionId": NEAR, "retentionDays": 5}]);
    account.post(&path(), &set);
    set["crossRegionCopies"] = Value::Null;
    account.post(&path(), &set);
    assert_eq!(account.get(&path())["crossRegionCopies"], json!([]));
}

#[test]
fn enabling_backs_up_at_once_and_changing_does_not() {
    let account = Account::new();
    account.post(&path(), &policy("1", "01:00-03:00", 7));
    assert_eq!(begun(&account), [account.0.emulator.now()]);
    account.pass(BACKED_UP);
    account.post(&path(), &policy("2", "01:00-03:00", 7));
    assert_eq!(begun(&account).len(), 1);
    account.post(&path(), &json!({"enabled": false}));
    account.post(&path(), &policy("2", "01:00-03:00", 7));
    assert_eq!(begun(&account).len(), 2);
}

#[test]
fn a_cluster_that_grows_keeps_its_policy() {
    let account = Account::new();
    account.post(&path(), &policy("1,2,3,4,5,6,7", "05:00-07:00", 7));
    account.seed(
        "clusters",
        &json!([{"id": CLUSTER, "name": "orders-prod", "project": PROJECT, "region": HOME, "bytes": 9 * GB}]),
    );
    account.pass(DAY);
    let mut sizes: Vec<u64> = account
        .backups()
        .iter()
        .map(|backup| backup["size"].as_u64().unwrap())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [7 * GB, 9 * GB]);
}

#[test]
fn only_the_last_policy_runs_and_a_disabled_one_never() {
    let account = Account::new();
    // The clock stands on a Saturday.
    account.post(&path(), &policy("7", "01:00-03:00", 30));
    account.post(&path(), &policy("1", "01:00-03:00", 30));
    account.pass(2 * DAY + DAY / 2);
    let days: Vec<String> = begun(&account)
        .iter()
        .map(|at| at.strftime("%a").to_string())
        .collect();
    assert_eq!(days, ["Sat", "Mon"]);
    account.post(&path(), &json!({"enabled": false}));
    account.pass(14 * DAY);
    assert_eq!(begun(&account).len(), 2);
}

#[test]
fn the_original_and_each_copy_expire_on_their_own_day() {
    let account = Account::new();
    let mut set = policy("5", "01:00-03:00", 2);
    set["crossRegionCopies"] =
        json!([{"regionId": NEAR, "retentionDays": 1}, {"regionId": FAR, "retentionDays": 4}]);
    account.post(&path(), &set);
    account.pass(BACKED_UP + COPIED);
    let shown: Vec<Value> = account
        .backups()
        .iter()
        .map(|backup| account.describe(&text(&backup["backupId"])))
        .collect();
    assert_eq!(shown.len(), 3);
    for backup in &shown {
        let time = |field: &str| text(&backup[field]).parse::<Timestamp>().unwrap();
        let kept = time("expireTime").duration_since(time("createTime"));
        let days = match backup["regionId"].as_str().unwrap() {
            NEAR => 1,
            FAR => 4,
            _ => 2,
        };
        assert_eq!(kept.as_hours(), 24 * days, "{backup}");
        assert_eq!(backup["creationMethod"], "AUTO");
    }
    let mut left = Vec::new();
    for _ in 0..4 {
        account.pass(DAY);
        left.push(account.backups().len());
    }
    assert_eq!(left, [2, 1, 1, 0]);
}

#[test]
fn automatic_backups_start_whatever_runs_and_manual_ones_wait_for_them() {
    let account = Account::new();
    account.back_up(&[]);
    account.post(&path(), &policy("1", "01:00-03:00", 7));
    assert_eq!(account.backups().len(), 2, "both at once");
    account.pass(BACKED_UP);
    account.post(&path(), &json!({"enabled": false}));
    account.post(&path(), &policy("1", "01:00-03:00", 7));
    let create = format!("clusters/{CLUSTER}/backups/create");
    let whole = json!({"backupType": "CLUSTER"});
    assert_eq!(account.refused_post(&create, &whole), 96038);
    account.pass(BACKED_UP);
    account.post(&create, &whole);
}

#[test]
fn one_seed_makes_one_history_however_often_it_is_looked_at() {
    let history = |seed, steps: u32| {
        let account = Account::with(Settings {
            seed,
            ..Settings::default()
        });
        account.post(&path(), &policy("1,3,6", "23:00-01:00", 3));
        for _ in 0..steps {
            account.pass(DAY * 30 / steps);
        }
        begun(&account)
    };
    assert_eq!(history(1, 1), history(1, 30));
    assert_ne!(history(1, 1), history(2, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Weeks of a policy, counted again by jiff's calendar: one backup in each named window, none outside.
    #[test]
    fn a_policy_runs_once_in_every_named_window(
        days in prop::collection::btree_set(1_i8..=7, 1..7),
        hour in 0_i8..24,
        lasts in 1_i64..40,
        seed: u64,
    ) {
        let account = Account::with(Settings { seed, ..Settings::default() });
        let named: Vec<String> = days.iter().map(i8::to_string).collect();
        let window = format!("{hour:02}:00-{:02}:00", (hour + 2) % 24);
        account.post(&path(), &policy(&named.join(","), &window, 1));
        let enabled = account.0.emulator.now();
        let end = enabled.checked_add((lasts * 24).hours()).unwrap();
        account.0.emulator.set_now(end);

        let mut windows = Vec::new();
        let mut day = enabled.to_zoned(TimeZone::UTC).date();
        loop {
            let begin = day.at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
            if begin > end {
                break;
            }
            if begin > enabled && days.contains(&day.weekday().to_monday_one_offset()) {
                windows.push(begin);
            }
            day = day.tomorrow().unwrap();
        }
        let runs = begun(&account);
        prop_assert_eq!(runs[0], enabled);
        // The last window may still be open.
        prop_assert!(runs.len() - 1 == windows.len() || runs.len() == windows.len());
        for (run, begin) in runs[1..].iter().zip(&windows) {
            let late = run.duration_since(*begin).as_secs();
            prop_assert!((0..7_200).contains(&late), "{run} in the window from {begin}");
        }
    }
}
