//! Events that are understood, and those that are refused with the remedy.
use serde_json::{Value, json};

use super::*;

fn read(event: &Value) -> Result<Request, String> {
    Request::from_event(&event.clone().into()).map_err(|error| error.to_string())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn an_empty_event_backs_up_the_default_plan() {
    assert_eq!(read(&json!({})), Ok(Request::default()));
}

#[test]
fn a_schedulers_input_is_read() {
    let event = json!({"action": "prune", "plan": "default", "scheduled_time": "2026-11-21T02:00:00Z", "dry_run": true});
    let request = Request {
        action: Action::Prune,
        plan: Some("default".into()),
        dry_run: true,
        scheduled_time: Some(at("2026-11-21T02:00:00Z")),
        ..Request::default()
    };
    assert_eq!(read(&event), Ok(request));
    let berlin = json!({"scheduled_time": "2026-11-21T03:00:00+01:00"});
    assert_eq!(
        read(&berlin).unwrap().scheduled_time,
        Some(at("2026-11-21T02:00:00Z"))
    );
}

#[test]
fn the_classic_envelope_gives_its_time_as_the_slot() {
    for detail in [json!({}), json!("{}"), json!("")] {
        let event = json!({
            "version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": "2026-11-21T02:00:00Z", "region": "us-east-1",
            "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"], "detail": detail
        });
        assert_eq!(
            read(&event).unwrap().scheduled_time,
            Some(at("2026-11-21T02:00:00Z"))
        );
    }
}

#[test]
fn what_is_not_understood_is_refused_with_the_nearest_word() {
    for (event, says) in [
        (json!(null), "null"),
        (json!([]), "a list"),
        (json!("{}"), "a text"),
        (json!({"dryrun": true}), "did you mean `dry_run`"),
        (
            json!({"scheduledTime": "2026-11-21T02:00:00Z"}),
            "did you mean `scheduled_time`",
        ),
        (json!({"action": "bakcup"}), "did you mean `backup`"),
        (json!({"action": 7}), "`action` is 7"),
        (json!({"plan": null}), "`plan` is null"),
        (json!({"dry_run": "true"}), "without quotes"),
        (json!({"scheduled_time": "yesterday"}), "with its zone"),
        (
            json!({"scheduled_time": "2026-11-21T02:00:00"}),
            "with its zone",
        ),
        (
            json!({"scheduled_time": 1_763_690_400}),
            "it should be a time",
        ),
        (
            json!({"scheduled_time": "<aws.scheduler.scheduled-time>"}),
            "EventBridge Scheduler fills this in",
        ),
        (
            json!({"detail-type": "Object Created", "source": "aws.s3"}),
            "`Object Created` of `aws.s3`",
        ),
        (
            json!({"detail-type": "Scheduled Event", "detail": "nonsense"}),
            "JSON object",
        ),
        (
            json!({"detail-type": "Scheduled Event", "detail": {"dryrun": true}}),
            "did you mean `dry_run`",
        ),
    ] {
        let said = read(&event).unwrap_err();
        assert!(said.contains(says), "{event}: {said}");
    }
}

#[test]
fn what_would_be_ignored_is_refused() {
    let twice: Event = serde_json::from_str(r#"{"dry_run": true, "dry_run": false}"#).unwrap();
    assert!(
        Request::from_event(&twice)
            .unwrap_err()
            .to_string()
            .contains("given twice")
    );
    let beside = json!({"detail-type": "Scheduled Event", "detail": {}, "dry_run": true});
    assert!(read(&beside).unwrap_err().contains("inside `detail`"));
}

#[test]
fn what_an_action_would_ignore_is_refused() {
    for (event, says) in [
        (json!({"action": "prune", "manual": true}), "`manual`"),
        (json!({"action": "list", "approve": "0123"}), "`approve`"),
        (json!({"manual": true, "approve": "0123"}), "`approve`"),
        (json!({"approve": "0123", "dry_run": true}), "`approve`"),
        (json!({"action": "resume", "dry_run": true}), "`dry_run`"),
        (json!({"approve": ""}), "hash"),
        (json!({"approve": 7}), "hash"),
        (
            json!({"action": "backup", "as": "x"}),
            "only for the action `restore`",
        ),
        (
            json!({"action": "backup", "all": true}),
            "that pick backups",
        ),
        (
            json!({"action": "restore", "all": true, "yes": true}),
            "not for the action `restore`",
        ),
        (
            json!({"action": "restore", "all": true, "manual": true}),
            "`manual`",
        ),
        (
            json!({"action": "restore", "all": true, "approve": "01"}),
            "`approve`",
        ),
        (
            json!({"action": "restore", "all": true, "scheduled_time": "2026-11-21T02:00:00Z"}),
            "`at`",
        ),
    ] {
        let said = read(&event).unwrap_err();
        assert!(said.contains(says), "{event}: {said}");
    }
}

#[test]
fn an_unnamed_plan_is_the_only_one_or_the_default() {
    let named = |name: &str| {
        let environment = [
            ("SOURCE_REGION", "aws-us-east-1"),
            ("BACKUP_REGION", "aws-eu-west-1"),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut plan = crate::plan::Settings::from_environment(&environment)
            .unwrap()
            .plans
            .remove(0);
        plan.name = name.into();
        plan
    };
    let choose = |plan: Option<&str>, plans: &[Plan]| {
        let request = Request {
            plan: plan.map(str::to_owned),
            ..Request::default()
        };
        request
            .choose(plans)
            .map(|plan| plan.name.clone())
            .map_err(|error| error.to_string())
    };
    let (one, three) = (
        [named("nightly")],
        [named("nightly"), named("default"), named("weekly")],
    );
    assert_eq!(choose(None, &one), Ok("nightly".into()));
    assert_eq!(choose(None, &three), Ok("default".into()));
    assert_eq!(choose(Some("weekly"), &three), Ok("weekly".into()));
    assert!(
        choose(Some("weakly"), &three)
            .unwrap_err()
            .contains("`weekly`")
    );
    assert!(
        choose(None, &[named("a"), named("b")])
            .unwrap_err()
            .contains("a, b")
    );
    let of_target = Request {
        picked: Picked {
            target: Some("third".into()),
            ..Picked::default()
        },
        ..Request::default()
    };
    assert_eq!(
        of_target
            .choose(&one)
            .map(|plan| &plan.name)
            .unwrap_err()
            .to_string(),
        "plan `nightly` has no target `third`; its targets are: aws-eu-west-1"
    );
}
