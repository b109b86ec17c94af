//! What a document may say, how every mistake in it is told, and that the README's examples are read.

use std::fmt::Write as _;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::plan::Faults;
use crate::plan::Settings;

const README: &str = include_str!("../../README.md");

/// A small document in which every key of every table is used, one value a line.
const WHOLE: &str = r#"journal = "s3://bucket/lifeboat"

[plans.nightly]
provider = "turbopuffer"
time_zone = "Europe/Berlin"
concurrency = 16
copies = 8
verify = "sample:50"
max_age_days = 30

[plans.nightly.budget]
soft_usd = 50
hard_usd = "100.50"

[plans.nightly.source]
region = "aws-us-east-1"
base_url = "https://private.us-east-1.example"
prefixes = ["acme-"]
exclude = ["acme-tmp-*"]
api_key_secret = "turbopuffer/prod"
api_key_secret_field = "key"

[[plans.nightly.targets]]
name = "frankfurt"
region = "aws-eu-central-1"
base_url = "https://private.eu-central-1.example"
prefix = "backup-"
encryption_key = "default"
api_key_env = "OTHER_KEY"

[plans.nightly.targets.retention]
days = 7
daily = 1
weekly = 4
monthly = 12
yearly = 3
min = 2
hold = ["backup-acme-x-1763690400"]
"#;

const SMALL: &str = r#"
[plans.nightly.source]
region = "aws-us-east-1"
prefixes = ["acme-"]

[[plans.nightly.targets]]
region = "aws-eu-central-1"
"#;

fn read_with(variables: &[(&str, &str)]) -> Result<Settings, Faults> {
    let variables = variables.iter().copied();
    let environment: Vec<_> = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Settings::from_environment(&environment)
}

fn read(document: &str) -> Result<Settings, Faults> {
    read_with(&[
        ("LIFEBOAT_CONFIG", document),
        ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ("OTHER_KEY", "tpuf_other"),
    ])
}

fn said(settings: Result<Settings, Faults>) -> Vec<String> {
    let faults = settings.map(|settings| facts(&settings)).unwrap_err().0;
    faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.place, fault.message))
        .collect()
}

fn faults(document: &str) -> Vec<String> {
    said(read(document))
}

/// Everything that settings say, keys included, so that two of them can be compared.
fn facts(settings: &Settings) -> String {
    let key = |key: &KeySource| match key {
        KeySource::Given(key) => format!("given {}", key.expose_secret()),
        KeySource::Secret { id, field } => format!("secret {id} {field:?}"),
    };
    let mut facts = format!("{:?}\n", settings.journal.as_ref().map(ToString::to_string));
    for plan in &settings.plans {
        let (source, selectors) = (&plan.source, &plan.source.selectors);
        let (prefixes, exclusions) = (selectors.prefixes(), selectors.exclusions());
        writeln!(
            facts,
            "{} {} {} {} {:?}\n{} {} {} {prefixes:?} {exclusions:?}",
            plan.name,
            plan.concurrency,
            plan.copies,
            plan.verify,
            plan.skip_unchanged,
            source.region,
            source.base_url,
            key(&source.api_key)
        )
        .unwrap();
        for target in &plan.targets {
            let own_key = target.api_key.as_ref().map(key);
            writeln!(
                facts,
                "{} {} {} {:?} {:?} {own_key:?} {:?}",
                target.name,
                target.region,
                target.base_url,
                target.prefix,
                target.encryption,
                target.retention
            )
            .unwrap();
        }
    }
    facts
}

fn retention(table: &str) -> Policy {
    let document = format!("{SMALL}retention = {{ {table} }}");
    read(&document)
        .unwrap()
        .plans
        .remove(0)
        .targets
        .remove(0)
        .retention
}

#[test]
fn every_key_is_read() {
    let settings = read(WHOLE).unwrap();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let plan = &settings.plans[0];
    assert_eq!(
        settings
            .journal
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("s3://bucket/lifeboat")
    );
    assert_eq!((plan.concurrency, plan.copies), (16, 8));
    assert_eq!(plan.skip_unchanged, SkipUnchanged::until_days_old(30));
    assert_eq!(plan.verify.to_string(), "sample:50");
    assert_eq!(
        plan.targets[0].retention,
        Policy {
            days: NonZeroU32::new(7),
            periods: Periods {
                daily: 1,
                weekly: 4,
                monthly: 12,
                yearly: 3
            },
            zone: berlin,
            min: NonZeroU32::new(2).unwrap(),
            hold: ["backup-acme-x-1763690400".to_owned()].into(),
        }
    );
    insta::assert_snapshot!(facts(&settings).replace(&format!("{:?}", plan.targets[0].retention), "(retention)"), @r#"
Some("s3://bucket/lifeboat")
nightly 16 8 sample:50 Some(SkipUnchanged { max_age_days: 30 })
aws-us-east-1 https://private.us-east-1.example secret turbopuffer/prod Some("key") ["acme-"] ["acme-tmp-*"]
frankfurt aws-eu-central-1 https://private.eu-central-1.example BackupPrefix("backup-") Some(Default) Some("given tpuf_other") (retention)
"#);
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = read(SMALL).unwrap();
    let target = &settings.plans[0].targets[0];
    assert_eq!(target.name, "aws-eu-central-1");
    assert_eq!(target.retention, retention(""));
    insta::assert_snapshot!(facts(&settings).replace(&format!("{:?}", target.retention), "(retention)"), @r#"
None
nightly 32 64 count None
aws-us-east-1 https://aws-us-east-1.turbopuffer.com given tpuf_abc ["acme-"] []
aws-eu-central-1 aws-eu-central-1 https://aws-eu-central-1.turbopuffer.com BackupPrefix("backup-") None None (retention)
"#);
}

#[test]
fn the_readmes_example_is_read() {
    let (_, example) = README.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let settings = read(example).unwrap();
    let names: Vec<_> = settings
        .plans
        .iter()
        .flat_map(|plan| {
            plan.targets
                .iter()
                .map(|target| (plan.name.as_str(), target.name.as_str()))
        })
        .collect();
    assert_eq!(
        names,
        [
            ("nightly", "frankfurt"),
            ("nightly", "gcp-europe-west3"),
            ("yearly", "aws-us-east-1")
        ]
    );
    // The lines that are comments are right, too.
    let with_field = example
        .replace("# api_key_secret_field", "api_key_secret_field")
        .replace("# base_url", "base_url");
    assert!(with_field != example && read(&with_field).is_ok());
}

#[test]
fn a_document_is_a_text_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lifeboat.toml");
    std::fs::write(&path, WHOLE).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(facts(&read(path).unwrap()), facts(&read(WHOLE).unwrap()));
    assert_eq!(
        facts(&read(&format!(" {path} ")).unwrap()),
        facts(&read(WHOLE).unwrap())
    );
    let faults = faults("/nowhere/lifeboat.toml");
    assert!(
        faults.len() == 1
            && faults[0].starts_with(
                "LIFEBOAT_CONFIG: the file `/nowhere/lifeboat.toml` can't be read: No such file"
            ),
        "{faults:?}"
    );
    assert!(self::faults(" ")[0].contains("is set and empty"));
}

#[test]
fn retention_keeps_everything_unless_a_rule_says_how_much_is_enough() {
    let everything = retention("");
    assert_eq!(
        (everything.days, everything.periods, everything.min.get()),
        (None, Periods::default(), 1)
    );
    assert_eq!(
        read(SMALL).unwrap().plans[0].targets[0].retention,
        everything
    );
    for zero in [
        "daily = 0",
        "days = 0",
        "days = 0, weekly = 0",
        "min = 1",
        "hold = []",
    ] {
        assert_eq!(retention(zero), everything, "{zero}");
    }
    assert_eq!(retention("weekly = 4").periods.weekly, 4);
    assert_eq!(retention("days = 0x10").days, NonZeroU32::new(16));
}

/// What stands in [`WHOLE`], and what somebody might write instead.
const MISTAKES: &[(&str, &str)] = &[
    ("days = 7", "days = -1"),
    ("days = 7", "days = 7.5"),
    ("days = 7", "days = \"7\""),
    ("days = 7", "days = 36501"),
    ("days = 7", "days = 99999999999999999999"),
    ("days = 7", "days = true"),
    ("days = 7", "days = 2026-11-21"),
    ("days = 7", "days = [7]"),
    ("days = 7", "days = 0"),
    ("days = 7", "day = 7"),
    ("days = 7", "Days = 7"),
    ("days = 7", "region = \"aws-us-east-1\""),
    ("weekly = 4", "weekly = -4"),
    ("min = 2", "min = 0"),
    ("min = 2", "min = 10001"),
    (
        "hold = [\"backup-acme-x-1763690400\"]",
        "hold = \"backup-acme-x-1763690400\"",
    ),
    ("backup-acme-x-1763690400", "backup-acme-x"),
    ("backup-acme-x-1763690400", "backup-globex-x-1763690400"),
    ("backup-acme-x-1763690400", "other-acme-x-1763690400"),
    (
        "[plans.nightly.targets.retention]",
        "[plans.nightly.targets.retenton]",
    ),
    (
        "[plans.nightly.targets.retention]",
        "[plans.nightly.retention]",
    ),
    (
        "time_zone = \"Europe/Berlin\"",
        "time_zone = \"Europe/Berln\"",
    ),
    ("time_zone = \"Europe/Berlin\"", "time_zone = 1"),
    ("time_zone = \"Europe/Berlin\"", "time_zone = \"\""),
    ("concurrency = 16", "concurrency = 0"),
    ("copies = 8", "copies = 10001"),
    ("max_age_days = 30", "max_age_days = -1"),
    ("verify = \"sample:50\"", "verify = \"metadata\""),
    ("verify = \"sample:50\"", "verify = \"everything\""),
    ("verify = \"sample:50\"", "verify = 500"),
    ("region = \"aws-us-east-1\"", "region = \"US East\""),
    ("region = \"aws-us-east-1\"", "region = \"tpuf_abc123\""),
    ("region = \"aws-us-east-1\"", ""),
    ("prefixes = [\"acme-\"]", "prefixes = \"acme-\""),
    ("prefixes = [\"acme-\"]", "prefixes = []"),
    ("prefixes = [\"acme-\"]", "prefixes = [\"acme-\", 7]"),
    ("prefixes = [\"acme-\"]", "prefixes = [\"acme-*\"]"),
    ("prefixes = [\"acme-\"]", "prefixes = [\"acme-\", \"*\"]"),
    ("prefixes = [\"acme-\"]", "prefixes = [\"\"]"),
    ("prefixes = [\"acme-\"]", ""),
    ("exclude = [\"acme-tmp-*\"]", "exclude = [\"[\"]"),
    (
        "api_key_secret = \"turbopuffer/prod\"",
        "api_key_secret = \"tpuf_abc123\"",
    ),
    (
        "api_key_secret = \"turbopuffer/prod\"",
        "api_key = \"tpuf_abc123\"",
    ),
    (
        "api_key_secret = \"turbopuffer/prod\"",
        "api_key_env = \"OTHER_KEY\"",
    ),
    (
        "api_key_secret_field = \"key\"",
        "api_key_env = \"OTHER_KEY\"",
    ),
    ("api_key_env = \"OTHER_KEY\"", "api_key_env = \"NO_KEY\""),
    (
        "api_key_env = \"OTHER_KEY\"",
        "api_key_env = \"tpuf_abc123\"",
    ),
    (
        "base_url = \"https://private.us-east-1.example\"",
        "base_url = \"private.us-east-1.example\"",
    ),
    (
        "base_url = \"https://private.us-east-1.example\"",
        "base_url = \"https://PRIVATE.eu-central-1.example/\"",
    ),
    ("name = \"frankfurt\"", "name = \"Frankfurt am Main\""),
    ("prefix = \"backup-\"", "prefix = \"\""),
    ("prefix = \"backup-\"", "prefix = \"manual-\""),
    ("prefix = \"backup-\"", "prefix = \" backup-\""),
    ("[[plans.nightly.targets]]", "[plans.nightly.targets]"),
    (
        "journal = \"s3://bucket/lifeboat\"",
        "journal = \"bucket/lifeboat\"",
    ),
    ("journal = \"s3://bucket/lifeboat\"", "journal = \"\""),
    (
        "journal = \"s3://bucket/lifeboat\"",
        "jornal = \"s3://bucket/lifeboat\"",
    ),
    ("journal = \"s3://bucket/lifeboat\"", "journal = s3"),
    ("[plans.nightly.source]", "[plans.nightly.source"),
    (
        "prefixes = [\"acme-\"]",
        "prefixes = [\"acme-\"]\nprefixes = [\"globex-\"]",
    ),
];

/// All that is said of each mistake.
#[test]
fn every_fault_has_its_path_its_value_and_the_remedy() {
    let at = |line: &str, replacement: &str| {
        let changed = WHOLE.replacen(line, replacement, 1);
        assert_ne!(changed, WHOLE, "{line}");
        changed
    };
    let mut all = String::new();
    for (line, replacement) in MISTAKES {
        for fault in faults(&at(line, replacement)) {
            assert!(!fault.contains("abc123"), "{fault}");
            writeln!(all, "{fault}").unwrap();
        }
    }
    insta::assert_snapshot!(all, @r#"
plans.nightly.targets[0].retention.days: is the number `-1`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is the number `7.5`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is the text "7"; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is the number `36501`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is the number `99999999999999999999`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is `true`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is the time `2026-11-21`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: is a list; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.days: `0` keeps everything, which leaves the other rules without effect; leave it out
plans.nightly.targets[0].retention.day: is not known; did you mean `days`? Known here: days, daily, weekly, monthly, yearly, min, hold
plans.nightly.targets[0].retention.Days: is not known; did you mean `days`? Known here: days, daily, weekly, monthly, yearly, min, hold
plans.nightly.targets[0].retention.region: is not known here; it belongs to `source` or `targets`
plans.nightly.targets[0].retention.weekly: is the number `-4`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.targets[0].retention.min: is the number `0`; it must be a whole number from 1 to 10000, without quotes
plans.nightly.targets[0].retention.min: is the number `10001`; it must be a whole number from 1 to 10000, without quotes
plans.nightly.targets[0].retention.hold: is the text "backup-acme-x-1763690400"; it must be a list, also of one: `["backup-acme-x-1763690400"]`
plans.nightly.targets[0].retention.hold[0]: `backup-acme-x` is no backup of this plan's sources in this target; use a whole name such as `backup-acme-orders-1763690400`, as `lifeboat list` shows it
plans.nightly.targets[0].retention.hold[0]: `backup-globex-x-1763690400` is no backup of this plan's sources in this target; use a whole name such as `backup-acme-orders-1763690400`, as `lifeboat list` shows it
plans.nightly.targets[0].retention.hold[0]: `other-acme-x-1763690400` is no backup of this plan's sources in this target; use a whole name such as `backup-acme-orders-1763690400`, as `lifeboat list` shows it
plans.nightly.targets[0].retenton: is not known; did you mean `retention`? Known here: name, region, base_url, prefix, encryption_key, api_key_secret, api_key_secret_field, api_key_env, retention
plans.nightly.retention: is not known here; it belongs to `targets`
plans.nightly.time_zone: `Europe/Berln` is no time zone; did you mean `Europe/Berlin`?
plans.nightly.time_zone: is the number `1`; it must be a text in quotes
plans.nightly.time_zone: is empty; leave it out, or set it to what is meant
plans.nightly.concurrency: is the number `0`; it must be a whole number from 1 to 1000, without quotes
plans.nightly.copies: is the number `10001`; it must be a whole number from 1 to 10000, without quotes
plans.nightly.max_age_days: is the number `-1`; it must be a whole number from 0 to 36500, without quotes
plans.nightly.verify: `metadata` counts no row, which is too little to seal a backup on; use count, sample:N or full
plans.nightly.verify: `everything` is no verification level; use metadata, count, sample, sample:N (such as sample:5000) or full
plans.nightly.verify: is the number `500`; it must be a text in quotes
plans.nightly.source.region: `US East` is no region; use lower-case letters, digits and `-`, such as `aws-us-east-1`
plans.nightly.source.region: `tpuf_…` is no region; use lower-case letters, digits and `-`, such as `aws-us-east-1`
plans.nightly.source.region: is missing; set it to a region such as `aws-us-east-1`
plans.nightly.source.prefixes: is the text "acme-"; it must be a list, also of one: `["acme-"]`
plans.nightly.source.prefixes: is empty; set it to what your namespaces' names begin with, such as `["acme-"]`, or `["*"]` for all of them
plans.nightly.source.prefixes[1]: is the number `7`; it must be a text in quotes
plans.nightly.source.prefixes[0]: `acme-*` is no prefix of a namespace's name; use letters, digits, `-`, `_` and `.` (or `*` alone for every namespace)
plans.nightly.source.prefixes[1]: `*` is every namespace, which leaves the other prefixes without effect; leave it or them out
plans.nightly.source.prefixes[0]: is empty; leave it out, or set it to what is meant
plans.nightly.source.prefixes: is missing; set it to what your namespaces' names begin with, such as `["acme-"]`, or `["*"]` for all of them
plans.nightly.source.exclude: error parsing glob '[': unclosed character class; missing ']'; use globs such as `scratch-*`
plans.nightly.source.api_key_secret: looks like a key itself; keep keys out of the document: put it into Secrets Manager and write the secret's name here
plans.nightly.source.api_key: is not read: keep keys out of the document; write the name of a secret that holds it as `api_key_secret`
plans.nightly.source.api_key_secret_field: is the field of a secret, and `api_key_secret` is not set; set it, or leave the field out
plans.nightly.source.api_key_secret_field: is the field of a secret, and `api_key_secret` is not set; set it, or leave the field out
plans.nightly.source.api_key_env: is set and so is `api_key_secret`; leave out the one that is not meant
plans.nightly.targets[0].api_key_env: the variable `NO_KEY` is not set; set it to the API key, or use `api_key_secret`
plans.nightly.targets[0].api_key_env: looks like a key itself; keep keys out of the document: put it into Secrets Manager and write the secret's name here
plans.nightly.source.base_url: `private.us-east-1.example` is no URL; use one such as `https://{region}.turbopuffer.com`
plans.nightly.targets[0].base_url: leads to `https://PRIVATE.eu-central-1.example/` for aws-eu-central-1, and so does plans.nightly.source for aws-us-east-1; give each region its own address
plans.nightly.targets[0].name: "Frankfurt am Main" is no name; use 1 to 64 letters, digits, `-` and `_`
plans.nightly.targets[0].prefix: is empty; leave it out, or set it to what is meant
plans.nightly.targets[0].prefix: `manual-` would make manual backups (`manual-…`) look like scheduled ones; use another beginning
plans.nightly.targets[0].prefix: the text " backup-" has blanks around it or control characters in it; take them away
plans.nightly.targets: is a table; it must be one or more tables `[[plans.nightly.targets]]`
journal: `bucket/lifeboat` is not a URL; use s3://bucket/prefix, file:///directory or memory://
journal: is empty; leave it out, or set it to what is meant
jornal: is not known; did you mean `journal`? Known here: journal, plans
LIFEBOAT_CONFIG: line 1, column 11: string values must be quoted, expected literal string; this is not TOML
LIFEBOAT_CONFIG: line 15, column 22: unclosed table, expected `]`; this is not TOML
LIFEBOAT_CONFIG: line 19, column 1: duplicate key; this is not TOML
"#);
}

#[test]
fn whole_documents_that_are_no_configuration() {
    for (document, says) in [
        (
            "plans = []",
            "plans: is a list; it must be a table for each plan",
        ),
        (
            "[plans] # =",
            "plans: is empty; there must be a table for each plan",
        ),
        (
            "journal = \"memory://\"",
            "plans: is missing; there must be a table for each plan",
        ),
        (
            "plans.nightly = 7",
            "plans.nightly: is the number `7`; it must be a table",
        ),
        ("[plans.\"a b\"] # =", "plans.\"a b\": \"a b\" is no name"),
        (
            "[plans.nightly] # =",
            "plans.nightly.source: is missing; add the table `[plans.nightly.source]`",
        ),
        (
            "[plans.nightly]\ntargets = []",
            "plans.nightly.targets: is empty; there must be one or more tables `[[plans.nightly.targets]]`",
        ),
        (
            "[plans.nightly]\ntargets = [7]",
            "plans.nightly.targets[0]: is the number `7`; it must be a table",
        ),
        ("a = 1\nb = 2\r\n=", "LIFEBOAT_CONFIG: line 3, column 1: "),
    ] {
        let faults = faults(document);
        assert!(
            faults.iter().any(|fault| fault.starts_with(says)),
            "{faults:?}"
        );
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let document = r#"
journal = "x"
[plans.nightly]
concurrency = 0
[plans.nightly.source]
region = "aws-us-east-1"
prefixes = ["*"]
exclude = ["["]
[[plans.nightly.targets]]
region = "aws-eu-central-1"
retention = { days = "x", min = 0 }
[plans.weekly.source]
region = "aws-eu-central-1"
prefixes = ["*"]
[[plans.weekly.targets]]
region = "aws-eu-west-1"
retention = { weekly = -1 }
[[plans.weekly.targets]]
region = "aws-eu-west-1"
"#;
    let faults = faults(document);
    let places: Vec<_> = faults
        .iter()
        .map(|fault| fault.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "journal",
            "plans.nightly.concurrency",
            "plans.nightly.source.exclude",
            "plans.nightly.targets[0].retention.days",
            "plans.nightly.targets[0].retention.min",
            "plans.weekly.targets[0].retention.weekly",
            "plans.weekly.targets[1].name",
            "plans.weekly.targets[1].prefix",
        ]
    );
}

fn two_plans(first: [&str; 4], second: [&str; 4]) -> String {
    let mut document = String::new();
    for (name, [from, prefixes, to, rest]) in [("a", first), ("b", second)] {
        writeln!(
            document,
            "[plans.{name}.source]\nregion = {from:?}\nprefixes = {prefixes}\n[[plans.{name}.targets]]\nregion = {to:?}\n{rest}"
        )
        .unwrap();
    }
    document
}

#[test]
fn plans_that_could_own_the_same_backups_are_refused_with_both_paths() {
    let east = ["aws-us-east-1", "[\"acme-\"]", "gcp-europe-west3", ""];
    let west = ["aws-us-west-2", "[\"acme-eu-\"]", "gcp-europe-west3", ""];
    assert_eq!(
        faults(&two_plans(east, west)),
        [
            "plans.b.targets[0].prefix: makes names that plans.a.targets[0] makes in gcp-europe-west3, too, such as `backup-acme-eu-…`, so each would take the other's backups for its own; give each target a `prefix` of its own"
        ]
    );
    let with = |rest| [west[0], west[1], west[2], rest];
    assert!(read(&two_plans(east, with("prefix = \"west-\""))).is_ok());
    // Another key or address is no excuse, and the manual backups of one may be the scheduled ones of the other.
    for rest in [
        "api_key_env = \"OTHER_KEY\"",
        "base_url = \"https://private.example\"",
        "prefix = \"manual-backup-\"",
    ] {
        assert_eq!(faults(&two_plans(east, with(rest))).len(), 1, "{rest}");
    }
    let one_plan = format!(
        "{SMALL}[[plans.nightly.targets]]\nregion = \"aws-eu-central-1\"\nname = \"second\""
    );
    assert!(
        faults(&one_plan)[0].starts_with(
            "plans.nightly.targets[1].prefix: makes names that plans.nightly.targets[0]"
        )
    );
    assert!(read(&format!("{one_plan}\nprefix = \"second-\"")).is_ok());
}

#[test]
fn a_source_that_would_take_in_another_plans_backups_is_refused() {
    let there = ["aws-us-east-1", "[\"*\"]", "aws-eu-west-1", ""];
    let back = ["aws-eu-west-1", "[\"*\"]", "aws-us-east-1", ""];
    let faults = faults(&two_plans(there, back));
    assert_eq!(
        faults,
        [
            "plans.a.source.prefixes: selects the backups of plans.b.targets[0], which stand in aws-us-east-1, too, so backups would be backed up; use another region, or add `backup-*` and `manual-backup-*` to `exclude`",
            "plans.b.source.prefixes: selects the backups of plans.a.targets[0], which stand in aws-eu-west-1, too, so backups would be backed up; use another region, or add `backup-*` and `manual-backup-*` to `exclude`",
        ]
    );
    let document = two_plans(there, back).replace(
        "prefixes = [\"*\"]",
        "prefixes = [\"*\"]\nexclude = [\"backup-*\", \"manual-backup-*\"]",
    );
    assert!(read(&document).is_ok());
}

#[test]
fn two_regions_at_one_address_are_refused() {
    let document = format!("{SMALL}base_url = \"https://aws-us-east-1.turbopuffer.com/\"");
    assert_eq!(
        faults(&document),
        [
            "plans.nightly.targets[0].base_url: leads to `https://aws-us-east-1.turbopuffer.com` for aws-eu-central-1, and so does plans.nightly.source for aws-us-east-1; give each region its own address"
        ]
    );
    let document = document.replace(
        "prefixes = [\"acme-\"]",
        "prefixes = [\"acme-\"]\nbase_url = \"https://proxy.example/tpuf\"",
    );
    let document = document.replace("aws-us-east-1.turbopuffer.com/", "PROXY.example:443/tpuf/");
    assert_eq!(faults(&document).len(), 1, "{document}");
}

#[test]
fn the_environment_gives_addresses_keys_and_the_journal() {
    let settings = read_with(&[
        ("LIFEBOAT_CONFIG", SMALL),
        ("LIFEBOAT_JOURNAL", "file:///var/lifeboat"),
        ("LIFEBOAT_LOG", "debug"),
        ("TURBOPUFFER_API_KEY_SECRET", "prod"),
        ("TURBOPUFFER_BASE_URL", "http://127.0.0.1:7070/{region}"),
        (
            "TURBOPUFFER_BASE_URL_AWS_EU_CENTRAL_1",
            "https://private.example",
        ),
    ]);
    let settings = settings.unwrap();
    let plan = &settings.plans[0];
    assert_eq!(
        settings
            .journal
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("file:///var/lifeboat")
    );
    assert_eq!(plan.source.base_url, "http://127.0.0.1:7070/aws-us-east-1");
    assert_eq!(plan.targets[0].base_url, "https://private.example");
    assert!(matches!(&plan.source.api_key, KeySource::Secret { id, .. } if id == "prod"));
    assert!(plan.targets[0].api_key.is_none());
}

#[test]
fn what_the_environment_says_in_vain_is_refused() {
    let key = ("TURBOPUFFER_API_KEY", "tpuf_abc");
    let with = |document: &str, variable: (&str, &str)| {
        said(read_with(&[("LIFEBOAT_CONFIG", document), key, variable]))
    };
    for (document, variable, says) in [
        (
            SMALL,
            ("RETENTION_DAYS", "90"),
            "LIFEBOAT_CONFIG: is set, so nothing reads RETENTION_DAYS; ",
        ),
        (
            SMALL,
            ("RETENTION_DAYS", ""),
            "LIFEBOAT_CONFIG: is set, so nothing reads RETENTION_DAYS; ",
        ),
        (
            SMALL,
            ("BACKUP_API_KEY", "tpuf_other"),
            "LIFEBOAT_CONFIG: is set, so nothing reads BACKUP_API_KEY; ",
        ),
        (
            SMALL,
            ("RETENTION_DAY", "90"),
            "RETENTION_DAY: is not read; did you mean RETENTION_DAYS?",
        ),
        (
            SMALL,
            ("LIFEBOAT_CONFG", "x"),
            "LIFEBOAT_CONFG: is not read; did you mean LIFEBOAT_CONFIG?",
        ),
        (
            SMALL,
            ("LIFEBOAT_JOURNAL_URL", "x"),
            "LIFEBOAT_JOURNAL_URL: is not read; did you mean LIFEBOAT_JOURNAL?",
        ),
        (
            SMALL,
            ("LIFEBOAT_JOURNAL", ""),
            "LIFEBOAT_JOURNAL: is set and empty; ",
        ),
        (
            SMALL,
            ("LIFEBOAT_JOURNAL", "/tmp/x"),
            "LIFEBOAT_JOURNAL: `/tmp/x` is not a URL",
        ),
        (
            WHOLE,
            ("LIFEBOAT_JOURNAL", "memory://"),
            "journal: is set and so is LIFEBOAT_JOURNAL; ",
        ),
        (
            SMALL,
            ("TURBOPUFFER_API_KEY_SECRET", "x"),
            "TURBOPUFFER_API_KEY: is set and so is TURBOPUFFER_API_KEY_SECRET; ",
        ),
        (
            SMALL,
            ("TURBOPUFFER_BASE_URL", "https://x"),
            "TURBOPUFFER_BASE_URL: `https://x` has no {region} in it",
        ),
    ] {
        let faults = with(document, variable);
        assert!(
            faults.iter().any(|fault| fault.starts_with(says)),
            "{faults:?}"
        );
    }
    let no_key = said(read_with(&[("LIFEBOAT_CONFIG", SMALL)]));
    assert!(
        no_key.len() == 1
            && no_key[0].starts_with("plans.nightly.source.api_key_secret: is missing"),
        "{no_key:?}"
    );
}

#[test]
fn a_key_that_is_not_toml_is_not_shown_with_the_line_it_stands_in() {
    let faults = faults("[plans.nightly.source]\napi_key = tpuf_abc123\n[plans");
    assert!(
        faults[0].starts_with("LIFEBOAT_CONFIG: line 2, column 11: "),
        "{faults:?}"
    );
    assert!(!faults.concat().contains("abc123"), "{faults:?}");
}

/// Each of the walk's keys is really read: a value that can't be meant is a fault at that key.
#[test]
fn no_known_key_is_ignored() {
    for line in WHOLE.lines().filter(|line| line.contains(" = ")) {
        let (key, _) = line.split_once(" = ").unwrap();
        let changed = WHOLE.replacen(line, &format!("{key} = {{}}"), 1);
        let faults = faults(&changed);
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains(&format!("{key}: is a table; "))),
            "{line}: {faults:?}"
        );
    }
    let used = |key: &str| {
        WHOLE.contains(&format!("\n{key} = "))
            || WHOLE.contains(&format!(".{key}]"))
            || WHOLE.starts_with(key)
    };
    for key in TABLES.iter().flat_map(|(_, keys)| *keys) {
        assert!(used(key) || *key == "plans", "{key} is not in this test");
    }
}

fn toml_list(items: &[String]) -> String {
    format!("{items:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn five_variables_and_the_same_document_are_the_same_settings(
        from in "[a-z]{2,4}-[0-9]", to in "[a-z]{2,4}-[0-9]",
        prefixes in prop::collection::vec("[a-z]{1,3}-|\\*", 1..3), exclusions in prop::collection::vec("[a-z]{1,3}\\*", 0..3),
        prefix in "[a-z]{1,5}-", days in 0_u32..40_000, min in 0_u32..4, concurrency in 0_u32..1_100, copies in 1_u32..100,
        key in prop::option::of("[a-z/]{1,9}"), encryption in prop::option::of("default|arn:[a-z]{1,5}"),
        verify in "count|full|sample:[0-9]|metadata", max_age in 0_u32..40_000,
    ) {
        let (days_text, min_text) = (days.to_string(), min.to_string());
        let (concurrency_text, copies_text) = (concurrency.to_string(), copies.to_string());
        let max_age_text = max_age.to_string();
        let (prefixes_text, exclusions_text) = (prefixes.join(","), exclusions.join(", "));
        let mut variables = vec![
            ("TURBOPUFFER_API_KEY", "tpuf_abc"), ("SOURCE_REGION", &from), ("BACKUP_REGION", &to), ("SOURCE_PREFIX", &prefixes_text),
            ("SOURCE_EXCLUDE", &exclusions_text), ("BACKUP_PREFIX", &prefix), ("RETENTION_DAYS", &days_text),
            ("MIN_BACKUPS", &min_text), ("CONCURRENCY", &concurrency_text), ("COPIES", &copies_text),
            ("VERIFY_LEVEL", &verify), ("MAX_AGE_DAYS", &max_age_text),
        ];
        let mut document = format!(
            "[plans.default]\nconcurrency = {concurrency}\ncopies = {copies}\nverify = {verify:?}\nmax_age_days = {max_age}\n\
             [plans.default.source]\nregion = {from:?}\nprefixes = {}\nexclude = {}\n\
             [[plans.default.targets]]\nregion = {to:?}\nprefix = {prefix:?}\nretention = {{ days = {days}, min = {min} }}\n",
            toml_list(&prefixes), toml_list(&exclusions),
        );
        if let Some(key) = &key {
            variables.push(("BACKUP_API_KEY_SECRET", key));
            writeln!(document, "api_key_secret = {key:?}").unwrap();
        }
        if let Some(encryption) = &encryption {
            variables.push(("BACKUP_ENCRYPTION_KEY", encryption));
            writeln!(document, "encryption_key = {encryption:?}").unwrap();
        }
        // The one difference: the document refuses what `*` leaves without effect.
        let star_among_others = prefixes.len() > 1 && prefixes.iter().any(|prefix| prefix == "*");
        match (read_with(&variables), read(&document)) {
            (Ok(variables), Ok(document)) => prop_assert_eq!(facts(&variables), facts(&document)),
            (Err(variables), Err(document)) => prop_assert!(
                star_among_others || variables.0.len() == document.0.len(), "{}\n{}", variables, document
            ),
            (Ok(_), Err(faults)) => prop_assert!(star_among_others, "{}", faults),
            (Err(faults), Ok(_)) => prop_assert!(false, "{}", faults),
        }
    }

    #[test]
    fn a_document_with_bytes_changed_is_refused_or_differs_only_in_what_was_changed(
        changes in prop::collection::vec((0..WHOLE.len(), "[ -~\\n]"), 1..4),
    ) {
        let mut changed = WHOLE.to_owned();
        for (at, byte) in &changes {
            changed.replace_range(*at..=*at, byte);
        }
        let Ok(settings) = read(&changed) else { return Ok(()) };
        let before = read(WHOLE).unwrap();
        let only_values = changes.iter().all(|(at, byte)| byte != "#" && !in_value(*at));
        // Outside of values, no change goes unnoticed: it is harmless space, or a fault. (A `#` takes a line away, as it should.)
        prop_assert!(!only_values || facts(&settings) == facts(&before), "{changed}");
    }

    #[test]
    fn a_key_mistyped_anywhere_is_a_fault(line in 0..WHOLE.lines().count(), at: prop::sample::Index, letter in "[A-Za-z0-9_-]") {
        let lines: Vec<&str> = WHOLE.lines().collect();
        let Some((key, value)) = lines[line].split_once(" = ") else { return Ok(()) };
        let mut mistyped = key.to_owned();
        let at = at.index(key.len());
        mistyped.replace_range(at..=at, &letter);
        if mistyped == key {
            return Ok(());
        }
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        lines[line] = format!("{mistyped} = {value}");
        prop_assert!(read(&lines.join("\n")).is_err(), "{}", mistyped);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\[|\\]|\\{|\\}|plans|\\.|a|=|\"|\n| |source|targets|retention|days|7|-|,|\u{e9}|\\\\){0,40}") {
        let _ = read(&text);
    }
}

/// Whether a byte of [`WHOLE`] belongs to a value, where another one may be meant.
fn in_value(at: usize) -> bool {
    let begins = WHOLE[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = WHOLE[begins..].lines().next().unwrap();
    line.find(" = ")
        .is_some_and(|equals| at > begins + equals + 1)
}
