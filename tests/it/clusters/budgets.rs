//! What a budget stops of clusters' backups, and that nothing is ever disabled, changed or deleted for one.

use std::time::Duration;

use lifeboat::budget::{Budget, State};
use lifeboat::event::Request;
use lifeboat::price::{MicroDollars, Prices};
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use serde_json::json;

use super::{Account, CLUSTER, FAR, HOME, failures, states};

/// The plan's policy, as the service shows it.
const POLICY: &str = "1,2,3,4,5,6,7 02:00-04:00 7 gcp-europe-west3:7 gcp-us-east4:30";

pub(super) fn limit(account: &mut Account, soft: Option<u64>, hard: Option<u64>) {
    let dollars = |amount: Option<u64>| amount.map(|dollars| MicroDollars(dollars * 1_000_000));
    account.plans[0].budget = Budget::of(dollars(soft), dollars(hard)).ok();
}

fn state(report: &ClusterReport) -> State {
    report.budget.as_ref().unwrap().state
}

/// A cluster whose first backups, of 7 GB, stand everywhere: a month costs about 22 dollars.
async fn protected() -> Account {
    let account = Account::new().with_journal();
    account.back_up().await;
    account.sleep(3).await;
    let report = account.resume().await;
    assert_eq!(states(&report), "protected protected protected");
    account
}

fn by_hand() -> Request {
    Request {
        manual: true,
        scheduled_time: Some(super::BEGIN.parse().unwrap()),
        ..Request::default()
    }
}

#[tokio::test(start_paused = true)]
async fn over_the_soft_budget_everything_goes_on_with_a_warning() {
    let mut account = protected().await;
    limit(&mut account, Some(5), Some(1_000));
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, state(&report)),
        (Outcome::Succeeded, State::OverSoft)
    );
    assert!(
        report.warnings.shown[0].contains("the soft budget is $5.00"),
        "{:?}",
        report.warnings
    );
}

#[tokio::test(start_paused = true)]
async fn over_the_hard_budget_policies_are_left_as_they_are_and_the_run_fails() {
    let mut account = protected().await;
    limit(&mut account, None, Some(5));
    let set = account.calls("zilliz.set_policy");
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, failures(&report).as_str(), state(&report)),
        (Outcome::Failed, "over_budget", State::OverHard)
    );
    assert_eq!(states(&report), "protected protected protected");
    let message = &report.failures.shown[0].message;
    assert!(
        message.contains("more than the hard budget of $5.00") && message.contains("`hard_usd`"),
        "{message}"
    );
    assert_eq!(account.policy(CLUSTER), POLICY);

    // One that drifts stays as somebody made it: no new copy is asked for.
    account.set_policy(
        CLUSTER,
        &json!({"enabled": true, "frequency": "1", "startTime": "02:00-04:00", "retentionDays": 7, "crossRegionCopies": []}),
    );
    let report = account.back_up().await;
    assert_eq!(failures(&report), "over_budget over_budget");
    assert_eq!(report.policies.shown[0].state.word(), "over_budget");
    assert_eq!(report.counts.policies_drifted, 1);
    assert_eq!(account.policy(CLUSTER), "1 02:00-04:00 7");
    assert_eq!(
        account.calls("zilliz.set_policy"),
        set + 1,
        "somebody else's"
    );

    limit(&mut account, None, Some(1_000));
    let report = account.back_up().await;
    assert_eq!(
        (report.counts.policies_set, failures(&report)),
        (1, String::new())
    );
    assert_eq!(account.policy(CLUSTER), POLICY);
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}

#[tokio::test(start_paused = true)]
async fn over_the_hard_budget_no_backup_is_made_by_hand_and_one_that_was_begun_is_followed() {
    let mut account = protected().await;
    limit(&mut account, None, Some(5));
    let planned = account
        .run(Request {
            dry_run: true,
            ..by_hand()
        })
        .await;
    assert!(
        planned.jobs.shown[0]
            .progress
            .as_deref()
            .unwrap()
            .starts_with("would not be made"),
        "{:?}",
        planned.jobs
    );
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "over_budget")
    );
    assert_eq!(account.calls("zilliz.create_backup"), 0);

    assert!(!report.stays_open);

    limit(&mut account, None, None);
    let report = account.run_within(by_hand(), Duration::from_secs(3)).await;
    assert!(report.stays_open, "{:?}", report.failures);
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    limit(&mut account, None, Some(5));
    account.sleep(1).await;
    let report = account.resume().await;
    assert_eq!(
        (report.outcome, report.counts.made),
        (Outcome::Succeeded, 3),
        "{:?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.create_backup"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_costs_nobody_knows_how_much_goes_on() {
    // Neither a backup nor the service tells its size.
    let mut account = Account::new();
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 0}));
    limit(&mut account, Some(1), Some(1));
    let report = account.back_up().await;
    assert_eq!(
        (report.counts.policies_set, state(&report)),
        (1, State::Unknown)
    );
    assert!(report.warnings.shown[0].contains("the budget can't be judged"));

    let mut account = protected().await;
    account.prices = Prices::parse("as_of = \"2026-11-20\"").unwrap();
    limit(&mut account, Some(1), Some(1));
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, state(&report)),
        (Outcome::Succeeded, State::Unknown)
    );
}

/// What is known may be too much already, whatever the rest weighs.
#[tokio::test(start_paused = true)]
async fn a_cluster_of_unknown_size_never_makes_it_cheaper() {
    let mut account = protected().await;
    account.add_cluster("in01-0000", "new", &json!({"bytes": 0}));
    limit(&mut account, None, Some(5));
    let report = account.back_up().await;
    assert_eq!(state(&report), State::OverHard);
    limit(&mut account, None, Some(1_000));
    let report = account.back_up().await;
    assert_eq!(state(&report), State::Unknown);
}

/// What a cluster stores is no backup's size: it may pass a budget, and is never certain to.
#[tokio::test(start_paused = true)]
async fn before_the_first_backup_a_budget_warns_and_stops_nothing() {
    for (hard, judged) in [(5, State::PerhapsOverHard), (1_000, State::Within)] {
        let mut account = Account::new();
        limit(&mut account, None, Some(hard));
        let report = account.back_up().await;
        assert_eq!((report.counts.policies_set, state(&report)), (1, judged));
        assert_eq!(report.warnings.is_empty(), judged == State::Within);
    }
    let mut account = Account::new();
    limit(&mut account, None, Some(1));
    let report = account.run(by_hand()).await;
    assert_eq!(state(&report), State::PerhapsOverHard);
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    // Beside one whose backups tell what they weigh, it never makes the certain part smaller.
    let mut account = protected().await;
    account.add_cluster("in01-0000", "new", &json!({}));
    limit(&mut account, None, Some(5));
    assert_eq!(state(&account.back_up().await), State::OverHard);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_what_thirty_days_cost_and_changes_nothing() {
    let mut account = protected().await;
    limit(&mut account, None, Some(5));
    let set = account.calls("zilliz.set_policy");
    let dry_run = Request {
        dry_run: true,
        ..Request::default()
    };
    let report = account.run(dry_run).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    let estimate = report.estimate.unwrap();
    let regions: Vec<&str> = estimate
        .regions
        .iter()
        .map(|line| line.region.as_str())
        .collect();
    assert!(regions.contains(&HOME) && regions.contains(&FAR));
    assert_eq!(estimate.budget, report.budget);
    assert!(estimate.total.unwrap().least > MicroDollars(5_000_000));
    assert!(
        report.warnings.shown[0].starts_with("no policy would be set and no backup asked for: "),
        "{:?}",
        report.warnings
    );
    assert_eq!(account.calls("zilliz.set_policy"), set);
}

/// Seven gigabytes, of which each copy is sent once, and all three are kept for thirty days.
#[tokio::test(start_paused = true)]
async fn a_dry_run_by_hand_shows_what_its_backups_cost_in_every_region() {
    let account = protected().await;
    let planned = |collections: &[&str]| {
        let mut request = by_hand();
        request.dry_run = true;
        request.by_hand.collections = collections.iter().map(|one| (*one).to_owned()).collect();
        account.run(request)
    };
    let estimate = planned(&[]).await.estimate.unwrap();
    let whole = estimate.by_hand.unwrap();
    assert_eq!((whole.backups, whole.at_most), (1, false));
    let told: Vec<(&str, u64, u64)> = whole
        .regions
        .iter()
        .map(|at| (at.region.as_str(), at.sent_bytes, at.stored_bytes))
        .collect();
    let bytes = 7 * super::GB;
    assert_eq!(
        told,
        [
            (FAR, bytes, bytes),
            (super::NEAR, bytes, bytes),
            (HOME, 0, bytes)
        ]
    );
    let parts = whole.regions.iter().map(|at| {
        let (sending, storing) = (at.sending.unwrap(), at.storing.unwrap());
        sending.plus(storing)
    });
    assert_eq!(whole.total, parts.reduce(lifeboat::price::Between::plus));
    assert!(whole.total.unwrap().least > MicroDollars(400_000));
    // How big collections are, nobody tells.
    let some = planned(&["orders"])
        .await
        .estimate
        .unwrap()
        .by_hand
        .unwrap();
    assert!(some.at_most, "{some:?}");
    assert_eq!(some.total.unwrap().most, whole.total.unwrap().most);
    assert_eq!(some.total.unwrap().least, MicroDollars(0));
    let scheduled = Request {
        dry_run: true,
        ..Request::default()
    };
    let estimate = account.run(scheduled).await.estimate.unwrap();
    assert_eq!(estimate.by_hand, None);
}

/// A budget that the policy keeps is passed by what a person asks for beside it.
#[tokio::test(start_paused = true)]
async fn a_hard_budget_counts_the_backup_that_is_about_to_be_made_by_hand() {
    let mut account = protected().await;
    // Known exactly: a hard budget stops only what is certain to pass it.
    let prices = "as_of = \"2026-11-20\"\n[zilliz.stored_gb_month]\ngcp = \"0.02\"\n\
        [zilliz.sent_gb.gcp-na]\ngcp-na = \"0.02\"\ngcp-eu = \"0.08\"\n[zilliz.parts]\n\
        gcp-na = [\"gcp-us-west1\", \"gcp-us-east4\"]\ngcp-eu = [\"gcp-europe-west3\"]";
    account.prices = Prices::parse(prices).unwrap();
    let big = json!({"bytes": 1_000_000_000_000_u64});
    account.add_cluster("in01-big", "big", &big);
    account.back_up().await;
    account.sleep(24).await;
    let dry_run = Request {
        dry_run: true,
        ..Request::default()
    };
    let month = account.run(dry_run).await.estimate.unwrap().total.unwrap();
    limit(&mut account, None, Some(month.most.0.div_ceil(1_000_000)));
    assert_ne!(state(&account.back_up().await), State::OverHard);
    let asked = |cluster: &str| {
        let mut request = by_hand();
        request.scheduled_time = None;
        request.by_hand.cluster = Some(cluster.to_owned());
        request
    };
    let report = account.run(asked("big")).await;
    assert_eq!(failures(&report), "over_budget", "{report:#?}");
    assert_eq!(account.calls("zilliz.create_backup"), 0);
    assert_eq!(state(&report), State::OverHard);
    // The small one alone is counted where it alone is meant.
    let mut small = asked("orders-prod");
    small.dry_run = true;
    let told = account.run(small).await.estimate.unwrap().by_hand.unwrap();
    assert_eq!(told.backups, 1);
    assert_eq!(told.regions[0].sent_bytes, 7 * super::GB);
}
