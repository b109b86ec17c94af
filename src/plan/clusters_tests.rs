//! What a document may say of clusters, and how every mistake in it is told.

use super::*;
use crate::plan::{Faults, Settings};
use crate::retention::Period;

const SMALL: &str = r#"[plans.prod]
provider = "zilliz"
clusters = ["in01-4be01c77d20a9f3"]
start = "02:00"
[[plans.prod.targets]]
region = "gcp-us-east4"
"#;

const WHOLE: &str = r#"[plans.prod]
provider = "zilliz"
clusters = ["prod-*", "in01-4be01c77d20a9f3"]
project = "proj-5d11"
region = "gcp-us-west1"
time_zone = "Europe/Berlin"
weekdays = ["thu", "mon"]
start = "22:30"
retention_days = 14
grace_hours = 12
drift = "report"
base_url = "http://127.0.0.1:7/zilliz/"
api_key_secret = "zilliz/backup"
api_key_secret_field = "key"
[[plans.prod.targets]]
region = "gcp-us-east4"
retention_days = 30
[[plans.prod.targets]]
region = "gcp-europe-west3"
[plans.nightly.source]
region = "aws-us-east-1"
prefixes = ["acme-"]
[[plans.nightly.targets]]
region = "aws-eu-central-1"
"#;

fn read_with(document: &str, more: &[(&str, &str)]) -> Result<Settings, Faults> {
    let environment = [
        ("LIFEBOAT_CONFIG", document),
        ("ZILLIZ_API_KEY", "zilliz-key"),
        ("TURBOPUFFER_API_KEY", "tpuf_abc"),
    ];
    let environment = environment.iter().chain(more);
    let environment: Vec<_> = environment
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::from_environment(&environment)
}

fn faults(document: &str) -> String {
    match read_with(document, &[]) {
        Ok(_) => String::new(),
        Err(faults) => {
            let faults: Vec<String> = faults
                .0
                .iter()
                .map(|fault| format!("{}: {}", fault.place, fault.message))
                .collect();
            faults.join("\n")
        }
    }
}

#[test]
fn every_key_is_read_beside_a_plan_of_turbopuffer() {
    let settings = read_with(WHOLE, &[]).unwrap();
    assert_eq!(
        settings
            .plans
            .iter()
            .map(|plan| plan.name.as_str())
            .collect::<Vec<_>>(),
        ["nightly"]
    );
    let [plan] = settings.clusters.as_slice() else {
        panic!("{:?}", settings.clusters)
    };
    assert_eq!(
        (plan.name.as_str(), plan.clusters.project()),
        ("prod", Some("proj-5d11"))
    );
    assert_eq!(
        (plan.region.as_deref(), plan.base_url.as_str()),
        (Some("gcp-us-west1"), "http://127.0.0.1:7/zilliz")
    );
    assert_eq!(plan.zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(plan.weekdays, BTreeSet::from([1, 4]));
    assert_eq!(
        (plan.start, plan.retention_days, plan.grace_hours),
        (Time::constant(22, 30, 0, 0), 14, 12)
    );
    assert_eq!(plan.drift, OnDrift::Report);
    let KeySource::Secret { id, field } = &plan.api_key else {
        panic!("a key from elsewhere")
    };
    assert_eq!(
        (id.as_str(), field.as_deref()),
        ("zilliz/backup", Some("key"))
    );
    let targets: Vec<_> = plan
        .targets
        .iter()
        .map(|target| (target.region.as_str(), target.retention_days))
        .collect();
    assert_eq!(targets, [("gcp-us-east4", 30), ("gcp-europe-west3", 7)]);
}

#[test]
fn what_is_left_out_has_a_default() {
    let settings = read_with(SMALL, &[]).unwrap();
    let plan = &settings.clusters[0];
    assert!(settings.plans.is_empty());
    assert_eq!(plan.weekdays.len(), 7);
    assert_eq!(
        (plan.retention_days, plan.grace_hours, plan.drift),
        (7, 6, OnDrift::Repair)
    );
    assert_eq!(plan.base_url, "https://api.cloud.zilliz.com");
    assert!(matches!(plan.api_key, KeySource::Given(_)));
    let china = SMALL.replace("gcp-us-east4", "ali-cn-hangzhou");
    assert_eq!(
        read_with(&china, &[]).unwrap().clusters[0].base_url,
        "https://api.cloud.zilliz.com.cn"
    );
    let elsewhere = read_with(
        SMALL,
        &[("ZILLIZ_BASE_URL", "http://127.0.0.1:7070/zilliz")],
    )
    .unwrap();
    assert_eq!(
        elsewhere.clusters[0].base_url,
        "http://127.0.0.1:7070/zilliz"
    );
}

#[test]
fn selection_is_by_id_or_by_name_within_a_project() {
    let plan = &read_with(WHOLE, &[]).unwrap().clusters[0];
    let selects =
        |id: &str, name: &str, project: &str| plan.clusters.selects(id, name, Some(project));
    assert!(selects("in01-x", "prod-orders", "proj-5d11"));
    assert!(selects("in01-4be01c77d20a9f3", "anything", "proj-5d11"));
    assert!(!selects("in01-x", "prod-orders", "proj-other"));
    assert!(!selects("in01-x", "test-orders", "proj-5d11"));
    let by_id = &read_with(SMALL, &[]).unwrap().clusters[0];
    assert!(by_id.clusters.selects("in01-4be01c77d20a9f3", "x", None));
    assert!(
        !by_id
            .clusters
            .selects("in01-other", "in01-4be01c77d20a9f3", None)
    );
}

const TARGET_LINE: &str = "region = \"gcp-us-east4\"";
const START_LINE: &str = "start = \"02:00\"";
const CLUSTERS: &str = "[\"in01-4be01c77d20a9f3\"]";
const TWICE: &str = "region = \"gcp-us-east4\"\n[[plans.prod.targets]]\nregion = \"gcp-us-east4\"";
const TWO_CLOUDS: &str =
    "region = \"gcp-us-east4\"\n[[plans.prod.targets]]\nregion = \"aws-us-east-1\"";

/// A line of the small document, what stands in its place, and what is said.
#[rustfmt::skip]
const WRONG: [(&str, &str, &str); 27] = [
    ("\"zilliz\"", "\"ziliz\"", "plans.prod.provider: `ziliz` is no provider; did you mean `zilliz`?"),
    (TARGET_LINE, "region = \"az-eastus\"", "plans.prod.targets[0].region: `az-eastus` is on Azure"),
    (TARGET_LINE, TWICE, "plans.prod.targets[1].region: `gcp-us-east4` is the region of plans.prod.targets[0], too"),
    (TARGET_LINE, TWO_CLOUDS, "plans.prod.targets[1].region: `aws-us-east-1` is on another cloud than gcp-us-east4"),
    (START_LINE, "start = \"02:00\"\nregion = \"gcp-us-east4\"", "plans.prod.targets[0].region: `gcp-us-east4` is the clusters' own region"),
    (START_LINE, "start = \"02:00\"\nregion = \"aws-us-east-1\"", "plans.prod.targets[0].region: `gcp-us-east4` is on another cloud than aws-us-east-1"),
    (TARGET_LINE, "region = \"gcp-us-east4\"\nretention_days = 31", "plans.prod.targets[0].retention_days: is the number `31`; it must be a whole number from 1 to 30"),
    (TARGET_LINE, "region = \"gcp-us-east4\"\nretention_days = 0", "plans.prod.targets[0].retention_days: is the number `0`"),
    (START_LINE, "start = \"02:00\"\nretention_days = \"7\"", "plans.prod.retention_days: is the text \"7\""),
    (START_LINE, "start = \"02:00\"\nweekdays = [\"mon\", \"tue\"]\nretention_days = 5", "plans.prod.retention_days: 5 is less than the 6 days"),
    (START_LINE, "start = \"2:00\"", "plans.prod.start: `2:00` is no time of day"),
    (START_LINE, "start = \"24:00\"", "plans.prod.start: `24:00` is no time of day"),
    (START_LINE, "", "plans.prod.start: is missing"),
    (START_LINE, "start = \"02:00\"\nweekdays = [\"monday\"]", "plans.prod.weekdays[0]: `monday` is no weekday; did you mean `mon`?"),
    (START_LINE, "start = \"02:00\"\nweekdays = []", "plans.prod.weekdays: is empty"),
    (START_LINE, "start = \"02:00\"\ntime_zone = \"Europe/Berln\"", "did you mean `Europe/Berlin`?"),
    (START_LINE, "start = \"02:00\"\ndrift = \"repare\"", "plans.prod.drift: `repare` is neither"),
    (START_LINE, "start = \"02:00\"\ngrace_hours = 0", "plans.prod.grace_hours"),
    (START_LINE, "start = \"02:00\"\nwekdays = [\"mon\"]", "plans.prod.wekdays: is not known; did you mean `weekdays`?"),
    (START_LINE, "start = \"02:00\"\ncopies = 3", "plans.prod.copies: is for plans of turbopuffer"),
    (START_LINE, "start = \"02:00\"\napi_key = \"zk\"", "plans.prod.api_key: is not read: keep keys out"),
    (TARGET_LINE, "region = \"gcp-us-east4\"\nprefix = \"backup-\"", "plans.prod.targets[0].prefix: is for plans of turbopuffer"),
    (TARGET_LINE, "region = \"gcp-us-east4\"\nweekdays = [\"mon\"]", "plans.prod.targets[0].weekdays: is not known here; it belongs to the plan"),
    (CLUSTERS, "[\"prod-*\"]", "plans.prod.clusters[0]: `prod-*` is no cluster's id; set `project`"),
    (CLUSTERS, "[]", "plans.prod.clusters: is empty"),
    (CLUSTERS, "[\"in01-a\", \"in01-a\"]", "plans.prod.clusters[1]: `in01-a` is there already"),
    (START_LINE, "start = \"02:00\"\nbase_url = \"https://api.cloud.zilliz.com/v2\"", "plans.prod.base_url: `https://api.cloud.zilliz.com/v2` is no address"),
];

#[test]
fn what_can_not_work_is_refused_with_its_path_and_a_remedy() {
    for (from, to, says) in WRONG {
        assert!(SMALL.contains(from), "{from}");
        let said = faults(&SMALL.replace(from, to));
        assert!(said.contains(says), "{says}\n  is not in\n{said}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let said = faults(
        &SMALL
            .replace("02:00", "25:00")
            .replace("gcp-us-east4", "az-eastus")
            .replace("clusters", "cluster"),
    );
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn the_words_of_these_plans_mean_nothing_to_turbopuffer() {
    let document = WHOLE.replace(
        "[plans.nightly.source]",
        "[plans.nightly]\nweekdays = [\"mon\"]\n[plans.nightly.source]",
    );
    assert!(
        faults(&document).contains("plans.nightly.weekdays: is for plans of Zilliz Cloud"),
        "{}",
        faults(&document)
    );
}

#[test]
fn a_key_is_needed() {
    let environment = [("LIFEBOAT_CONFIG".to_owned(), SMALL.to_owned())];
    let said = Settings::from_environment(&environment)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("plans.prod.api_key_secret: is missing, and no ZILLIZ_API_KEY_SECRET"),
        "{said}"
    );
}

#[test]
fn the_documentations_example_is_read() {
    let (_, example) = include_str!("../../docs/zilliz.md")
        .split_once("```toml\n")
        .unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let settings = read_with(example, &[]).unwrap();
    assert_eq!(settings.clusters[0].targets.len(), 2);
    // The lines that are comments are right, too.
    let all = example.replace("\n# ", "\n");
    assert!(all != example);
    let settings = read_with(&all, &[]).unwrap();
    assert_eq!(settings.clusters[0].region.as_deref(), Some("gcp-us-west1"));
}

#[test]
fn tiers_are_read_as_retention_is_and_what_asks_for_nothing_is_refused() {
    let journal = "journal = \"memory://\"\n";
    let read = |tiers: &str| {
        read_with(
            &format!("{journal}{SMALL}[plans.prod.tiers]\n{tiers}\n"),
            &[],
        )
    };
    let settings = read("weekly = 8\nyearly = 7\nmin = 2\nhold = [\"backup3_7\"]").unwrap();
    let tiers = settings.clusters[0].tiers.clone().unwrap();
    assert_eq!(tiers.in_words(), "weekly = 8, yearly = 7");
    assert_eq!((tiers.finest(), tiers.min.get()), (Period::Weekly, 2));
    assert!(tiers.hold.contains("backup3_7"));
    let without = read_with(SMALL, &[]).unwrap();
    assert_eq!(without.clusters[0].tiers, None);
    for (tiers, place, says) in [
        ("", "plans.prod.tiers", "asks for no backup"),
        ("min = 3", "plans.prod.tiers", "asks for no backup"),
        ("daily = 0", "plans.prod.tiers.daily", "from 1 to 36500"),
        (
            "monthly = -1",
            "plans.prod.tiers.monthly",
            "from 1 to 36500",
        ),
        (
            "monthly = \"12\"",
            "plans.prod.tiers.monthly",
            "without quotes",
        ),
        ("monthly = 12\nmin = 0", "plans.prod.tiers.min", "from 1 to"),
        (
            "monthly = 12\nhold = \"backup3_7\"",
            "plans.prod.tiers.hold",
            "a list",
        ),
        (
            "monthly = 12\nhold = [\"backup3_7\", \"\"]",
            "plans.prod.tiers.hold[1]",
            "is empty",
        ),
        (
            "monthly = 12\nhold = [\"backup3_7, backup3_8\"]",
            "plans.prod.tiers.hold[0]",
            "can't be the id",
        ),
        (
            "monthly = 12\nhold = [\"backup3_*\"]",
            "plans.prod.tiers.hold[0]",
            "can't be the id",
        ),
        (
            "montly = 12",
            "plans.prod.tiers.montly",
            "did you mean `monthly`",
        ),
        (
            "monthly = 12\ndays = 30",
            "plans.prod.tiers.days",
            "for plans of turbopuffer",
        ),
    ] {
        let told = faults(&format!("{journal}{SMALL}[plans.prod.tiers]\n{tiers}\n"));
        assert!(
            told.contains(&format!("{place}: ")) && told.contains(says),
            "{tiers}: {told}"
        );
    }
    let told = faults(&format!(
        "{journal}{}",
        SMALL.replace("start", "monthly = 12\nstart")
    ));
    assert!(told.contains("it belongs to `tiers`"), "{told}");
    let told = faults(&format!(
        "{journal}{}",
        SMALL.replace("start", "tiers = 12\nstart")
    ));
    assert!(
        told.contains("plans.prod.tiers: is the number `12`; it must be a table"),
        "{told}"
    );
}

#[test]
fn tiers_need_a_journal_and_that_is_told_beside_every_other_fault() {
    let tiers = "[plans.prod.tiers]\nmonthly = 12\n";
    let told = faults(&format!("{SMALL}{tiers}").replace("02:00", "2 o'clock"));
    assert!(told.contains("plans.prod.tiers: needs a journal"), "{told}");
    assert!(told.contains("plans.prod.start: "), "{told}");
    let journal = [("LIFEBOAT_JOURNAL", "memory://")];
    assert!(read_with(&format!("{SMALL}{tiers}"), &journal).is_ok());
}
