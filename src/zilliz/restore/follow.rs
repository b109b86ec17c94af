//! How far a restore is, told from its job and from the cluster itself. Pure, over what was read.

use jiff::{SignedDuration, Timestamp};

use crate::zilliz::wire::{Cluster, Job};

/// What was just begun may not be told of yet.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// No restore takes as long; what is still not there then never will be.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(72);
/// What a restore may take that is not its bytes: to be begun, and to make a place for them.
const AT_WORK_AT_LEAST: SignedDuration = SignedDuration::from_hours(1);
/// Bytes a second of a slow one: a seventieth of what a backup does. How fast restores are is unknown.
const SLOWLY: u64 = 10_000_000;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is there.
    Restored,
    /// Not yet; with what to show.
    Going(String),
    /// It will never be: a short, stable word, and what happened.
    Failed(&'static str, String),
}

/// How far a new cluster is. `job` is `None` when it is unknown or the service knows it no more; then the cluster tells.
#[must_use]
pub fn of_cluster(job: Option<&Job>, cluster: Option<&Cluster>, age: SignedDuration) -> Progress {
    if let Some(failed) = failed(job) {
        return failed;
    }
    let told = job.and_then(|job| job.status.as_deref());
    let status = cluster.map(|cluster| cluster.status.as_deref().unwrap_or("unknown"));
    // What is not there yet while its job waits its turn, nobody has dropped.
    let is_to_come = status.is_none() && matches!(told, Some("PENDING" | "IN_PROGRESS"));
    match (told, status) {
        (Some("SUCCESSFUL") | None, Some("RUNNING")) => Progress::Restored,
        (_, None | Some("DELETED" | "DELETING")) if age > TOLD_WITHIN && !is_to_come => Progress::Failed(
            "vanished",
            "the new cluster was begun, and is not there any more; somebody dropped it, or the service took it back".into(),
        ),
        _ if age > LONGEST => Progress::Failed(
            "stuck",
            format!("it is still not there after {} hours; look at the project's jobs in the console", age.as_hours()),
        ),
        (_, status) => {
            let percent = job.and_then(|job| job.progress);
            let percent = percent.or(cluster.and_then(|cluster| cluster.create_progress));
            Progress::Going(shown(percent, status.unwrap_or("not listed yet")))
        }
    }
}

/// How long collections of a backup of so many bytes may be at work where nothing shows it: an unanswered request, or a job
/// that the service has forgotten.
///
/// Unknown: how long restores take. Documented are minutes to hours (contract section 7). Nothing but patience is lost
/// where this is too long, and where it is too short, the next request meets one that is at work; so it is never less than
/// an hour, and of a backup that does not tell its size as long as any restore takes.
#[must_use]
pub fn at_work_for(bytes: Option<u64>) -> SignedDuration {
    let Some(bytes) = bytes else { return LONGEST };
    let slowly = SignedDuration::from_secs(i64::try_from(bytes / SLOWLY).unwrap_or(i64::MAX));
    LONGEST.min(AT_WORK_AT_LEAST.saturating_add(slowly))
}

/// How far collections are that may be at work for so long at most. The control plane shows no collections, so without the
/// job nobody can tell whether they came (contract section 6); while the cluster says that it is restoring, they are coming.
#[must_use]
pub fn of_collections(
    job: Option<&Job>,
    cluster: Option<&Cluster>,
    age: SignedDuration,
    at_work_for: SignedDuration,
) -> Progress {
    if let Some(failed) = failed(job) {
        return failed;
    }
    let told = job.and_then(|job| job.status.as_deref());
    let status = cluster.and_then(|cluster| cluster.status.as_deref());
    match (told, status) {
        (Some("SUCCESSFUL"), _) => Progress::Restored,
        _ if age > LONGEST => Progress::Failed(
            "stuck",
            format!("it is still not there after {} hours; look at the project's jobs in the console", age.as_hours()),
        ),
        (Some(told), _) => Progress::Going(shown(job.and_then(|job| job.progress), told)),
        (None, Some("RESTORE_BACKUP")) => Progress::Going("the cluster says that it restores".into()),
        (None, _) if age <= TOLD_WITHIN => Progress::Going("not listed yet".into()),
        (None, None) => Progress::Failed(
            "vanished",
            "the service knows neither the job nor the cluster any more".into(),
        ),
        (None, Some(_)) if age <= at_work_for => Progress::Going(
            "the service does not know the job any more, and it may still be at work".into(),
        ),
        (None, Some(_)) => Progress::Failed(
            "job_unknown",
            "the service does not know the job any more, and its API shows no collections, so whether it came back can't be told; look at it in the cluster, and ask again with another destination name if it is not there".into(),
        ),
    }
}

fn failed(job: Option<&Job>) -> Option<Progress> {
    let job = job?;
    let what = match job.status.as_deref()? {
        "FAILED" => "failed",
        "CANCELED" => "was cancelled",
        _ => return None,
    };
    let reason = job
        .reason
        .as_deref()
        .unwrap_or("the service gives no reason");
    Some(Progress::Failed(
        "job_failed",
        format!("the restore's job {what}: {reason}"),
    ))
}

fn shown(percent: Option<u64>, status: &str) -> String {
    match percent {
        Some(percent) => format!("{percent} %, {status}"),
        None => status.to_owned(),
    }
}

/// How long ago something was begun, by the service's clock.
#[must_use]
pub fn age(begun_at: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(begun_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str) -> Job {
        Job {
            status: Some(status.into()),
            progress: Some(40),
            reason: Some("quota".into()).filter(|_| status == "FAILED"),
        }
    }

    fn word(progress: Progress) -> String {
        match progress {
            Progress::Restored => "restored".into(),
            Progress::Going(shown) => shown,
            Progress::Failed(word, message) => {
                format!("{word} {message}").chars().take(60).collect()
            }
        }
    }

    type Told = (
        Option<&'static str>,
        Option<&'static str>,
        i64,
        &'static str,
    );

    fn look(
        tell: impl Fn(Option<&Job>, Option<&Cluster>, SignedDuration) -> Progress,
        told: &[Told],
    ) {
        for (status, cluster, minutes, expected) in told {
            let (job, cluster_now) = (
                status.map(job),
                cluster.map(|status| Cluster {
                    status: Some(status.into()),
                    ..Cluster::default()
                }),
            );
            let progress = tell(
                job.as_ref(),
                cluster_now.as_ref(),
                SignedDuration::from_mins(*minutes),
            );
            let progress = word(progress);
            assert!(
                progress.starts_with(expected),
                "{status:?} {cluster:?} {minutes}: {progress}"
            );
        }
    }

    #[test]
    fn a_new_cluster_is_there_when_job_and_cluster_say_so() {
        look(
            of_cluster,
            &[
                (Some("SUCCESSFUL"), Some("RUNNING"), 5, "restored"),
                (Some("SUCCESSFUL"), Some("CREATING"), 5, "40 %, CREATING"),
                (Some("IN_PROGRESS"), Some("RUNNING"), 5, "40 %, RUNNING"),
                (Some("PENDING"), None, 1, "40 %, not listed yet"),
                // While its job waits its turn, nobody has dropped what is not there yet.
                (Some("PENDING"), None, 5, "40 %, not listed yet"),
                (Some("IN_PROGRESS"), None, 5, "40 %, not listed yet"),
                (Some("PENDING"), None, 73 * 60, "stuck"),
                (Some("IN_PROGRESS"), Some("DELETED"), 5, "vanished"),
                (Some("SUCCESSFUL"), None, 5, "vanished"),
                (
                    Some("FAILED"),
                    Some("CREATING"),
                    5,
                    "job_failed the restore's job failed: quota",
                ),
                (
                    Some("CANCELED"),
                    None,
                    5,
                    "job_failed the restore's job was cancelled: the service",
                ),
                // A job that is known no more: the cluster tells.
                (None, Some("RUNNING"), 5, "restored"),
                (None, Some("RESTORE_BACKUP"), 5, "RESTORE_BACKUP"),
                (None, None, 1, "not listed yet"),
                (None, None, 5, "vanished"),
                (None, Some("DELETED"), 5, "vanished"),
                (Some("IN_PROGRESS"), Some("CREATING"), 73 * 60, "stuck"),
            ],
        );
    }

    #[test]
    fn collections_are_there_when_their_job_says_so() {
        let tell = |job: Option<&Job>, cluster: Option<&Cluster>, age| {
            of_collections(job, cluster, age, SignedDuration::from_mins(70))
        };
        look(
            tell,
            &[
                (Some("SUCCESSFUL"), None, 5, "restored"),
                (Some("IN_PROGRESS"), Some("RUNNING"), 5, "40 %, IN_PROGRESS"),
                (
                    Some("FAILED"),
                    Some("RUNNING"),
                    5,
                    "job_failed the restore's job failed: quota",
                ),
                (None, Some("RUNNING"), 1, "not listed yet"),
                (
                    None,
                    Some("RUNNING"),
                    5,
                    "the service does not know the job",
                ),
                (
                    None,
                    Some("RUNNING"),
                    70,
                    "the service does not know the job",
                ),
                (None, Some("RUNNING"), 71, "job_unknown"),
                (None, Some("RESTORE_BACKUP"), 5, "the cluster says"),
                (None, None, 5, "vanished"),
                (Some("PENDING"), Some("RUNNING"), 73 * 60, "stuck"),
            ],
        );
    }

    #[test]
    fn nothing_is_taken_to_be_over_within_the_documented_minutes_to_hours() {
        for (bytes, minutes) in [
            (Some(0), 60),
            (Some(7_000_000_000), 71),
            (Some(1_000_000_000_000), 60 + 1_666),
            (Some(100_000_000_000_000), 72 * 60),
            (Some(u64::MAX), 72 * 60),
            (None, 72 * 60),
        ] {
            assert_eq!(at_work_for(bytes).as_mins(), minutes, "{bytes:?}");
        }
    }
}
