//! Asks for one backup of a cluster, and for no second one: what the request may have made is written down before it is sent.
//!
//! What it must never do: send another while nobody has looked for what the last one made, or while the journal can't take it.

use jiff::SignedDuration;
use tracing::{info, warn};

use super::{FIRST_LOOK, Hand, LONGEST_WAIT};
use crate::budget::OverBudget;
use crate::journal::{JobLine, is_alone};
use crate::service::Pace;
use crate::zilliz::client::ZillizError;
use crate::zilliz::copies::{LISTED_WITHIN, LONGEST};
use crate::zilliz::facts::Facts;
use crate::zilliz::notes::{Begun, Intent, Note};
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Backup, SentBackup, SentCollections, SentCopy};

/// How long the list is asked for what an unanswered request may have made, before it is taken for lost.
/// A list may lag behind, and an attempt that nobody waits for any more may still arrive.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(LISTED_WITHIN.as_secs() + 60);
/// Requests that make a backup, in one invocation and for one cluster, each after the last was seen to have made nothing.
const MOST_REQUESTS: u32 = 3;

/// What came of asking for a backup.
pub(super) enum Asked {
    Begun(Begun),
    /// It could not be asked for yet.
    Waits(String),
    /// What a dry run says.
    Planned(String),
    Failed(&'static str, String),
    /// The same, and asking again in this run would come to the same.
    Refused(&'static str, String),
}

/// Words for what was refused.
const REFUSED: [&str; 6] = [
    NONE_MADE,
    OVER_BUDGET,
    STUCK,
    "rejected",
    "forbidden",
    "not_found",
];
const NONE_MADE: &str = "no_backup";
const OVER_BUDGET: &str = "over_budget";
const STUCK: &str = "stuck";

/// The word with which a refusal was written down.
pub(super) fn word_of(line: &JobLine) -> &'static str {
    let mut words = REFUSED.into_iter();
    let known = words.find(|word| line.error.as_deref() == Some(word));
    known.unwrap_or(NONE_MADE)
}

/// What came of one request for a backup.
enum Sent {
    /// It is clear what.
    Answered(Asked),
    /// It was refused, because another backup had begun a moment before.
    Raced,
    /// It may have made a backup.
    Unanswered(Intent),
}

impl<T: Transport> Hand<'_, T> {
    /// Sees to it that there is one backup, and no second one, for this cluster and slot.
    pub(super) async fn ask(
        &self,
        mut intent: Option<Intent>,
        warnings: &mut Vec<String>,
    ) -> Asked {
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_WAIT);
        let mut requests = 0;
        loop {
            if !self.asks && intent.is_none() {
                let message = "nothing came of the request for it, and no other is sent any more";
                return Asked::Refused(NONE_MADE, message.into());
            }
            let listed = match self.client.backups(&self.cluster.cluster_id).await {
                Ok(listed) => listed,
                Err(error) => return self.in_doubt(intent.is_some(), &error),
            };
            if let Some(lost) = &intent {
                match self.find(lost, &listed).await {
                    Err(error) => return self.in_doubt(true, &error),
                    Ok(Some(found)) => return Asked::Begun(self.adopted(found).await),
                    Ok(None) if self.client.now().duration_since(lost.at) < SETTLED_AFTER => {
                        if !self.wait(pace.next()).await {
                            return Asked::Waits("the request for the backup was not answered; it is looked for before another is sent".into());
                        }
                        continue;
                    }
                    Ok(None) => {
                        warnings.push(
                            "a request for the backup was not answered and had made nothing".into(),
                        );
                        self.refused().await;
                        intent = None;
                    }
                }
            }
            // Nothing came of what was asked for.
            if !self.asks {
                continue;
            }
            // What a request has made is followed; what none was sent for is not begun.
            if let (Some(over), false) = (self.over_budget, self.dry_run) {
                let message = format!("no backup was asked for: {over}");
                return Asked::Refused(OVER_BUDGET, message);
            }
            match (self.busy(&listed).await, self.dry_run) {
                (Err(error), _) => return self.in_doubt(false, &error),
                (Ok(other), true) => return planned(other, self.over_budget),
                (Ok(Some(other)), false) => {
                    if let Some(stuck) = self.stuck_behind(&other) {
                        return stuck;
                    }
                    if !self.wait(pace.next()).await {
                        let other = shown(&other);
                        return Asked::Waits(format!(
                            "another backup of the cluster is being made ({other}), and there is one at a time; this one begins when it is done"
                        ));
                    }
                    continue;
                }
                (Ok(None), false) => {}
            }
            if requests == MOST_REQUESTS {
                return Asked::Refused(
                    NONE_MADE,
                    format!(
                        "{requests} requests for the backup have made none; try again later, and look at the project's jobs in the console"
                    ),
                );
            }
            requests += 1;
            match self.send(&listed).await {
                Sent::Answered(asked) => return asked,
                Sent::Raced => {
                    requests -= 1;
                    if !self.wait(pace.next()).await {
                        return Asked::Waits(
                            "another backup of the cluster began a moment before; this one begins when it is done".into(),
                        );
                    }
                }
                Sent::Unanswered(next) => intent = Some(next),
            }
        }
    }

    /// What to say of a backup that has been being made for longer than any takes.
    fn stuck_behind(&self, other: &Backup) -> Option<Asked> {
        let begun = other.create_time?;
        if self.client.now().duration_since(begun) <= LONGEST {
            return None;
        }
        let message = format!(
            "no backup was asked for: there is one of a cluster at a time, and another one ({}), begun at {begun}, is still not there; look at the project's jobs in the console",
            shown(other)
        );
        Some(Asked::Refused(STUCK, message))
    }

    /// A look that failed. While a request may have made a backup, nothing is over: the run stays open, so that no repeated
    /// event sends another. A tier, which nobody stands beside, is given up only where more time is no remedy.
    fn in_doubt(&self, unanswered: bool, error: &ZillizError) -> Asked {
        if unanswered {
            return Asked::Waits(format!(
                "the request for the backup was not answered, and what came of it can't be seen: {error}"
            ));
        }
        match self.facts {
            Facts::Run(_) => failed(error),
            Facts::Tier(_) if is_refused(error) => Asked::Refused(error.word(), error.to_string()),
            Facts::Tier(_) => Asked::Waits(format!(
                "whether another backup is being made can't be seen, so none was asked for yet: {error}"
            )),
        }
    }

    async fn is_alone(&self) -> bool {
        is_alone(self.facts.lease(), self.clock.now(), self.client.now()).await
    }

    /// Writes down what is about to be asked for, and asks for it, once.
    async fn send(&self, listed: &[Backup]) -> Sent {
        if !self.is_alone().await {
            let message = "another invocation has the plan's lease now, so no backup was asked for";
            return Sent::Answered(Asked::Failed("lease_lost", message.into()));
        }
        let cluster = &self.cluster.cluster_id;
        let intent = self.intent(listed);
        let note = Note::Intended {
            cluster: cluster.clone(),
            intent: intent.clone(),
        };
        self.facts.write(note).await;
        if let Some(fault) = self.facts.fault() {
            return Sent::Answered(Asked::Failed(
                fault.word(),
                format!(
                    "no backup was asked for, because the journal could not be written, and the same event would make a second one: {fault}"
                ),
            ));
        }
        if !self.is_alone().await {
            let message = "the plan's lease ran out while the journal was written, so no backup was asked for";
            return Sent::Answered(Asked::Failed("lease_lost", message.into()));
        }
        match self.client.create(cluster, &self.wanted()).await {
            Ok(created) => {
                let begun = Begun {
                    // What stood there before can't be what this request made, whatever the answer says.
                    adopted: listed
                        .iter()
                        .any(|backup| backup.backup_id == created.backup_id),
                    backup: created.backup_id,
                    job: created.job_id,
                    at: intent.at,
                };
                Sent::Answered(Asked::Begun(self.begun(begun).await))
            }
            Err(error) if error.is_a_no() => {
                self.refused().await;
                // Somebody may have been faster by a moment; then it is waited for.
                if matches!(error, ZillizError::Refused { .. }) {
                    match self.is_busy_now().await {
                        Ok(true) => return Sent::Raced,
                        Err(unseen) => {
                            return Sent::Answered(Asked::Waits(format!(
                                "the request was refused ({error}), and whether another backup is being made could not be read: {unseen}; it is asked for again"
                            )));
                        }
                        Ok(false) => {}
                    }
                }
                Sent::Answered(if is_refused(&error) {
                    Asked::Refused(error.word(), error.to_string())
                } else {
                    failed(&error)
                })
            }
            Err(error) => {
                warn!(error = error.word(), detail = %error, "the request for a backup was not answered; it is looked for");
                Sent::Unanswered(intent)
            }
        }
    }

    async fn refused(&self) {
        let cluster = self.cluster.cluster_id.clone();
        self.facts.write(Note::Refused { cluster }).await;
    }

    async fn adopted(&self, found: Begun) -> Begun {
        info!(
            backup = found.backup,
            "an unanswered request had made a backup, which is adopted"
        );
        self.begun(found).await
    }

    async fn begun(&self, begun: Begun) -> Begun {
        let note = Note::Begun {
            cluster: self.cluster.cluster_id.clone(),
            begun: begun.clone(),
        };
        self.facts.write(note).await;
        begun
    }

    pub(super) fn wanted(&self) -> SentBackup {
        let copies = self.plan.targets.iter().map(|target| SentCopy {
            region_id: target.region.clone(),
            retention_days: None,
        });
        let collections = self
            .of
            .in_database()
            .map(|(database, names)| SentCollections {
                db_name: database.map(str::to_owned),
                collection_names: names.into_iter().map(str::to_owned).collect(),
            });
        SentBackup {
            backup_type: if collections.is_some() {
                "COLLECTION"
            } else {
                "CLUSTER"
            },
            db_collections: collections.map(|one| vec![one]),
            cross_region_copies: copies.collect(),
        }
    }
}

/// Whether the service itself has said no. A key that could not be had may be there in five minutes.
fn is_refused(error: &ZillizError) -> bool {
    matches!(
        error,
        ZillizError::Refused { .. } | ZillizError::Forbidden { .. } | ZillizError::NoCluster { .. }
    )
}

fn failed(error: &ZillizError) -> Asked {
    Asked::Failed(error.word(), error.to_string())
}

/// A backup that is being made, and who had it made.
fn shown(other: &Backup) -> String {
    let how = other.creation_method.as_deref().unwrap_or("unknown");
    format!("{}, {how}", other.backup_id)
}

fn planned(other: Option<Backup>, over: Option<&OverBudget>) -> Asked {
    Asked::Planned(match other {
        _ if over.is_some() => "would not be made, as the budget is used up".into(),
        Some(other) => {
            let other = shown(&other);
            format!("would wait for the backup that is being made ({other})")
        }
        None => "would be made now".into(),
    })
}
