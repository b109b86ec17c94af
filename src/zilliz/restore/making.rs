//! A new cluster of a backup: asked for once, looked for when the answer is lost, followed to its end.
//!
//! A cluster's name can be had once in a project, and it was unused before: whatever is called so afterwards came of our
//! request. The password comes with the answer and goes to its place before anything else is done.

use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::{info, warn};

use super::following::Followed;
use super::notes::{Begun, Chosen, PasswordFate, PastItem, RestoreNote, Way};
use super::password::{OneTime, Place, Vault};
use super::{Ended, MOST_REQUESTS, Restore, SETTLED_AFTER, is_since, pace};
use crate::journal::JobLine;
use crate::restore::How;
use crate::zilliz::client::ZillizError;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Cluster, RestoredCluster, SentRestore};

/// The only item of such a restore.
const ITEM: usize = 0;
/// A password that its place refuses is offered so often.
const OFFERS: u32 = 4;

/// What came of asking for the cluster.
enum Asked {
    Begun(Begun),
    Waits(String),
    Failed(&'static str, String),
}

/// What came of one request.
enum Sent {
    Begun(Begun),
    /// It has certainly begun nothing.
    Refused(ZillizError),
    /// It may have begun something.
    Unanswered(Timestamp),
}

/// What is asked for, taken apart.
struct Wanted<'a> {
    name: &'a str,
    project: &'a str,
    place: &'a Place,
    sent: SentRestore,
}

impl Wanted<'_> {
    fn of(chosen: &Chosen) -> Option<Wanted<'_>> {
        let Way::NewCluster {
            name,
            project,
            cu_size,
            loads,
            version,
            password,
        } = &chosen.way
        else {
            return None;
        };
        let sent = SentRestore {
            project_id: project.clone(),
            cluster_name: name.clone(),
            cu_size: *cu_size,
            collection_status: loads.sent(),
            restore_version_policy: version.map(super::asked::Version::sent),
        };
        Some(Wanted {
            name,
            project,
            place: password,
            sent,
        })
    }
}

impl<T: Transport, V: Vault> Restore<'_, '_, T, V> {
    /// Makes the cluster, or goes on with it.
    pub(super) async fn make(&mut self, chosen: &Chosen, past: PastItem, line: JobLine) -> Ended {
        let Some(wanted) = Wanted::of(chosen) else {
            return Ended::Failed(line, "rejected", "collections make no cluster".to_owned());
        };
        let begun = match past.begun {
            Some(begun) => {
                self.tell_where_the_password_went(&begun, wanted.place);
                Asked::Begun(begun)
            }
            None => {
                self.ask_for_cluster(chosen, &wanted, past.intent)
                    .boxed_local()
                    .await
            }
        };
        match begun {
            Asked::Begun(begun) => self.follow_cluster(&begun, line).boxed_local().await,
            Asked::Waits(why) => Ended::Waits(line, why),
            Asked::Failed(word, message) => Ended::Failed(line, word, message),
        }
    }

    /// An earlier invocation had the answer.
    fn tell_where_the_password_went(&mut self, begun: &Begun, place: &Place) {
        self.report.password_went.clone_from(&begun.password);
        if *place == Place::Terminal && begun.password == Some(PasswordFate::ForTheTerminal) {
            self.report.warn("the password was for the terminal that began this restore; if it was not shown there, reset db_admin's password in Zilliz Cloud's console".to_owned());
        }
        if begun.password == Some(PasswordFate::Lost) {
            self.warn_that_it_is_lost();
        }
    }

    fn warn_that_it_is_lost(&mut self) {
        self.report.warn("the new cluster's password was lost with the answer that told it; reset db_admin's password in Zilliz Cloud's console".to_owned());
    }

    /// Sees to it that there is one cluster, and no second one.
    async fn ask_for_cluster(
        &mut self,
        chosen: &Chosen,
        wanted: &Wanted<'_>,
        mut intent: Option<Timestamp>,
    ) -> Asked {
        let mut pace = pace();
        let (mut requests, mut first_intent) = (0, intent);
        loop {
            if let Some(at) = intent.take()
                && let Some(asked) = self.look_for(chosen, wanted, at).boxed_local().await
            {
                return asked;
            }
            if let Err(asked) = self.may_ask(wanted, requests).await {
                return asked;
            }
            requests += 1;
            match self.send(chosen, wanted).boxed_local().await {
                Sent::Begun(begun) => return Asked::Begun(begun),
                Sent::Unanswered(at) => {
                    first_intent.get_or_insert(at);
                    intent = Some(at);
                }
                Sent::Refused(error) if error.is_a_no() => {
                    // Its own earlier request may have been slower than anybody waited, and have the name now.
                    if let Some(at) = first_intent
                        && let Ok(Some(found)) = self.find(chosen, wanted, at).boxed_local().await
                    {
                        return Asked::Begun(self.adopt(found, at).await);
                    }
                    return Asked::Failed(error.word(), error.to_string());
                }
                Sent::Refused(error) if requests == MOST_REQUESTS => {
                    return Asked::Failed(error.word(), error.to_string());
                }
                Sent::Refused(error) => {
                    if !self.wait(pace.next()).await {
                        return Asked::Waits(format!("not begun yet: {error}"));
                    }
                }
            }
        }
    }

    /// Looks for what an unanswered request may have begun, until it is found or settled that it has begun nothing (`None`).
    async fn look_for(
        &mut self,
        chosen: &Chosen,
        wanted: &Wanted<'_>,
        at: Timestamp,
    ) -> Option<Asked> {
        let mut pace = pace();
        loop {
            match self.find(chosen, wanted, at).boxed_local().await {
                Err(error) => {
                    return Some(Asked::Waits(format!(
                        "the request was not answered, and what came of it can't be seen: {error}"
                    )));
                }
                Ok(Some(found)) => return Some(Asked::Begun(self.adopt(found, at).await)),
                Ok(None) if self.world.client.now().duration_since(at) < SETTLED_AFTER => {
                    if !self.wait(pace.next()).await {
                        return Some(Asked::Waits("the request was not answered; its cluster is looked for before another is sent".into()));
                    }
                }
                Ok(None) => {
                    let warning =
                        "a request for the cluster was not answered and had begun nothing";
                    self.report.warn(warning.to_owned());
                    self.journaled
                        .write(RestoreNote::Refused { item: ITEM })
                        .await;
                    return None;
                }
            }
        }
    }

    /// Whether one more request may be sent now.
    async fn may_ask(&self, wanted: &Wanted<'_>, requests: u32) -> Result<(), Asked> {
        if self.how == How::OneMoreLook && *wanted.place == Place::Terminal {
            return Err(Asked::Failed("abandoned", "the terminal that was to show the password has gone, and nothing was begun; give its command again".into()));
        }
        if requests == MOST_REQUESTS {
            let message = format!(
                "{requests} requests for the cluster have begun none; try again later, and look at the project's jobs in the console"
            );
            return Err(Asked::Failed("no_cluster", message));
        }
        self.may_send().await.map_err(Asked::Waits)
    }

    /// Writes down what is about to be asked for, asks for it once, and brings the password to its place.
    async fn send(&mut self, chosen: &Chosen, wanted: &Wanted<'_>) -> Sent {
        let at = self.world.client.now();
        self.journaled
            .write(RestoreNote::Intended { item: ITEM, at })
            .await;
        let backup = (chosen.backup.cluster.as_str(), chosen.backup.id.as_str());
        match self
            .world
            .client
            .restore_cluster(backup, &wanted.sent)
            .await
        {
            Ok(restored) => Sent::Begun(self.begun(restored, wanted.place, at).boxed_local().await),
            Err(error) if error.may_have_happened() => {
                warn!(error = error.word(), detail = %error, "the request for a restore was not answered; its cluster is looked for");
                Sent::Unanswered(at)
            }
            Err(error) => {
                self.journaled
                    .write(RestoreNote::Refused { item: ITEM })
                    .await;
                Sent::Refused(error)
            }
        }
    }

    /// The password first: it is the only thing that can't be asked for again.
    async fn begun(&mut self, restored: RestoredCluster, place: &Place, at: Timestamp) -> Begun {
        let RestoredCluster {
            cluster_id,
            username,
            password,
            job_id,
        } = restored;
        let fate = match password {
            Some(password) => {
                let told = OneTime {
                    cluster: cluster_id.clone(),
                    username,
                    password,
                };
                self.keep(told, place).boxed_local().await
            }
            None => {
                self.report.fail(None, "password_lost", "the service's answer had no password in it; reset db_admin's password in Zilliz Cloud's console".to_owned());
                PasswordFate::Lost
            }
        };
        let begun = Begun {
            cluster: cluster_id,
            job: job_id,
            at,
            password: Some(fate),
        };
        self.write_begun(&begun).await;
        begun
    }

    async fn write_begun(&mut self, begun: &Begun) {
        self.report.password_went.clone_from(&begun.password);
        let begun = begun.clone();
        self.journaled
            .write(RestoreNote::Begun { item: ITEM, begun })
            .await;
    }

    async fn keep(&mut self, told: OneTime, place: &Place) -> PasswordFate {
        let Place::Secret(secret) = place else {
            self.report.one_time = Some(told);
            return PasswordFate::ForTheTerminal;
        };
        let mut waits = pace();
        for offer in 1..=OFFERS {
            match self.world.vault.keep(secret, &told).boxed_local().await {
                Ok(()) => {
                    info!(secret, "the new cluster's password was written");
                    return PasswordFate::InSecret {
                        secret: secret.clone(),
                    };
                }
                Err(error) if offer == OFFERS => {
                    self.report.fail(None, "password_lost", format!(
                        "the new cluster's password could not be written, though it could be a moment before, and is lost: {error}; reset db_admin's password in Zilliz Cloud's console"
                    ));
                }
                Err(error) => {
                    warn!(detail = %error, "the password was not written; it is offered again");
                    tokio::time::sleep(waits.next()).await;
                }
            }
        }
        PasswordFate::Lost
    }

    /// What an unanswered request has made: the cluster of that name, in the backup's region, made since.
    async fn find(
        &self,
        chosen: &Chosen,
        wanted: &Wanted<'_>,
        intent: Timestamp,
    ) -> Result<Option<Cluster>, ZillizError> {
        let clusters = self.world.client.clusters().await?;
        let ours = clusters.into_iter().find(|cluster| {
            cluster.cluster_name.as_deref() == Some(wanted.name)
                && cluster.project_id.as_deref() == Some(wanted.project)
                && cluster.region_id.as_deref() == Some(&chosen.backup.region)
                && is_since(cluster.create_time, intent)
        });
        Ok(ours)
    }

    async fn adopt(&mut self, found: Cluster, at: Timestamp) -> Begun {
        info!(
            cluster = found.cluster_id,
            "an unanswered request had begun a cluster, which is adopted"
        );
        self.warn_that_it_is_lost();
        let begun = Begun {
            cluster: found.cluster_id,
            job: None,
            at,
            password: Some(PasswordFate::Lost),
        };
        self.write_begun(&begun).await;
        begun
    }

    /// Follows the cluster to its end, and tells with it where its password is.
    async fn follow_cluster(&self, begun: &Begun, line: JobLine) -> Ended {
        let line = JobLine {
            target: begun.cluster.clone(),
            ..line
        };
        match self.follow(Followed::NewCluster, begun, line).await {
            Ended::Restored(line) => Ended::Restored(JobLine {
                message: begun.password.as_ref().map(where_it_went),
                ..line
            }),
            ended => ended,
        }
    }
}

/// What is remembered of a password, for whoever asks again.
fn where_it_went(fate: &PasswordFate) -> String {
    match fate {
        PasswordFate::InSecret { secret } | PasswordFate::ForSecret { secret } => {
            format!("its password went into the secret {secret}")
        }
        PasswordFate::ForTheTerminal => {
            "its password was for the terminal that began it".to_owned()
        }
        PasswordFate::Lost => {
            "its password was lost; reset db_admin's password in Zilliz Cloud's console".to_owned()
        }
    }
}
