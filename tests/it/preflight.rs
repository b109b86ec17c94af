//! What `lifeboat check --online` finds before the first night.

mod journals;

use jiff::SignedDuration;
use lifeboat::preflight::{Finding, Verdict, look_at};
use serde_json::json;

use crate::stories::{NIGHT, two_sources};
use crate::world::{SOURCE, TARGET, World};

async fn look(world: &World) -> Vec<Finding> {
    let (source, target) = (world.region(SOURCE), world.region(TARGET));
    look_at(&world.plan, &source, &[target], &world.local_clock()).await
}

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What is bad, without the plan and the region.
fn bad(findings: &[Finding]) -> Vec<&str> {
    let bad = findings
        .iter()
        .filter(|found| found.verdict == Verdict::Bad);
    bad.map(|found| found.message.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_world_in_which_all_is_well_has_only_good_findings_and_what_cant_be_known() {
    let world = two_sources(&[("SOURCE_EXCLUDE", "acme-users")]);
    insta::assert_snapshot!(lines(&look(&world).await), @r#"
ok    default, source aws-us-east-1: the key lists; namespaces selected: 1
ok    default, source aws-us-east-1: the key reads
ok    default, source aws-us-east-1: the clocks agree (0 seconds apart)
ok    default, target aws-eu-west-1: the key lists
note  default, target aws-eu-west-1: there is nothing to read yet, so reading and the clocks could not be tried
note  default, target aws-eu-west-1: whether the key may write, seal and delete can't be tried without writing; the first backup shows it
"#);
    world.night(NIGHT).await;
    insta::assert_snapshot!(lines(&look(&world).await), @r#"
ok    default, source aws-us-east-1: the key lists; namespaces selected: 1
ok    default, source aws-us-east-1: the key reads
ok    default, source aws-us-east-1: the clocks agree (0 seconds apart)
ok    default, target aws-eu-west-1: the key lists
ok    default, target aws-eu-west-1: the key reads
ok    default, target aws-eu-west-1: the clocks agree (0 seconds apart)
note  default, target aws-eu-west-1: whether the key may write, seal and delete can't be tried without writing; the first backup shows it
"#);
    assert_eq!(world.calls("start_copy"), 1);
}

#[tokio::test(start_paused = true)]
async fn preflight_changes_nothing() {
    let world = two_sources(&[]);
    world.night(NIGHT).await;
    let before = (world.standing(SOURCE), world.standing(TARGET));
    look(&world).await;
    assert_eq!((world.standing(SOURCE), world.standing(TARGET)), before);
}

#[tokio::test(start_paused = true)]
async fn names_that_leave_no_room_and_prefixes_that_select_nothing_are_bad() {
    let world = two_sources(&[("SOURCE_PREFIX", "acme-,globex-")]);
    let fits = format!("acme-{}", "x".repeat(128 - 5 - 7 - 11));
    let long = format!("acme-{}", "y".repeat(128 - 5 - 7 - 10));
    for name in [&fits, &long] {
        world.write_rows(SOURCE, name, 0..1);
    }
    let findings = look(&world).await;
    let bad = bad(&findings);
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(
        bad[0].starts_with("no namespace that begins with `globex-` is selected"),
        "{bad:?}"
    );
    assert!(
        bad[1].starts_with(&format!("`{long}` can't be backed up to {TARGET}: "))
            && bad[1].contains("129 bytes"),
        "{bad:?}"
    );
    assert!(lines(&findings).contains("namespaces selected: 4"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_list_or_read_is_told_in_the_services_words() {
    let world = two_sources(&[]);
    world.night(NIGHT).await;
    for (operation, status, region, says) in [
        (
            "list",
            401,
            SOURCE,
            "listing `acme-*` failed: aws-us-east-1 refused the API key (401)",
        ),
        (
            "list",
            403,
            TARGET,
            "listing `backup-*` failed: the API key may not do this in aws-eu-west-1 (403)",
        ),
        (
            "metadata",
            403,
            SOURCE,
            "the metadata of `acme-orders` can't be read: the API key may not do this in aws-us-east-1 (403)",
        ),
        (
            "metadata",
            403,
            TARGET,
            "can't be read: the API key may not do this in aws-eu-west-1 (403)",
        ),
        (
            "list",
            503,
            TARGET,
            "listing `backup-*` failed: aws-eu-west-1 is in trouble (503)",
        ),
    ] {
        world.faults(json!([{"match": {"operation": operation, "region": region}, "fault": {"status": status}}]));
        let findings = look(&world).await;
        let bad = bad(&findings);
        assert!(bad.len() == 1 && bad[0].contains(says), "{bad:?}");
        // The other region is asked all the same.
        let other = if region == SOURCE { "target" } else { "source" };
        assert!(findings.iter().any(|found| found.about.contains(other) && found.message.contains("the key reads")));
    }
}

/// As each night would find it: deletion stops in a target whose `hold` names nothing.
#[tokio::test(start_paused = true)]
async fn a_name_in_hold_that_no_backup_has_is_bad_and_the_nearest_is_told() {
    let mut world = two_sources(&[]);
    world.night(NIGHT).await;
    let oldest = world.standing(TARGET).into_keys().next().unwrap();
    world.plan.targets[0].retention.hold = [oldest.clone()].into();
    assert_eq!(bad(&look(&world).await), [""; 0]);

    let mistyped = oldest.replace("orders", "ordesr");
    assert_ne!(mistyped, oldest);
    world.plan.targets[0].retention.hold = [mistyped.clone()].into();
    let found = look(&world).await;
    let [message] = bad(&found)[..] else {
        panic!("{}", lines(&found))
    };
    for name in [mistyped, oldest] {
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_loops_is_bad() {
    let world = two_sources(&[]);
    world.faults(
        json!([{"match": {"operation": "list", "region": SOURCE}, "fault": {"repeat_page": true}}]),
    );
    for name in 0..1_500 {
        world.write_rows(SOURCE, &format!("acme-{name:04}"), 0..1);
    }
    let findings = look(&world).await;
    assert!(bad(&findings)[0].contains("is not usable"), "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_bad_and_a_little_difference_is_not() {
    let mut world = two_sources(&[]);
    world.skew_local_clock(SignedDuration::from_secs(290));
    assert_eq!(bad(&look(&world).await), Vec::<&str>::new());
    world.skew_local_clock(SignedDuration::from_mins(-6));
    let findings = look(&world).await;
    assert!(
        bad(&findings)[0].starts_with("the local clock is 360 seconds behind the service's"),
        "{findings:?}"
    );
}
