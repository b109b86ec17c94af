//! Follows what was begun: looks how far it is, waits, and looks again, until it ended or this invocation must.
//!
//! It only reads. What it must never do: call something restored or failed that it could not see.

use futures_util::FutureExt;
use jiff::SignedDuration;

use super::follow::{self, Progress};
use super::notes::Begun;
use super::password::Vault;
use super::{Ended, Restore, pace};
use crate::journal::JobLine;
use crate::zilliz::client::ZillizError;
use crate::zilliz::transport::Transport;

/// What is followed; it decides which of job and cluster tells how far it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Followed {
    /// A cluster that is made.
    NewCluster,
    /// Collections that come into a cluster, and may be at work for so long where nothing shows it.
    Collections { at_work_for: SignedDuration },
}

impl<T: Transport, V: Vault> Restore<'_, '_, T, V> {
    /// Looks until it is there, it failed, or this invocation ends.
    pub(super) async fn follow(&self, what: Followed, begun: &Begun, line: JobLine) -> Ended {
        let line = JobLine {
            started_at: Some(begun.at),
            ..line
        };
        let mut pace = pace();
        loop {
            let shown = match self.look_at(what, begun).boxed_local().await {
                Ok(Progress::Restored) => return Ended::Restored(line),
                Ok(Progress::Failed(word, message)) => return Ended::Failed(line, word, message),
                Ok(Progress::Going(shown)) => shown,
                Err(error) if error.passes() => unseen(&error),
                Err(error) => return Ended::Waits(line, unseen(&error)),
            };
            if !self.wait(pace.next()).await {
                return Ended::Waits(line, shown);
            }
        }
    }

    async fn look_at(&self, what: Followed, begun: &Begun) -> Result<Progress, ZillizError> {
        let client = self.world.client;
        let job = match &begun.job {
            Some(job) => client.job(job).await?,
            None => None,
        };
        // The cluster that receives collections was there before, so it tells something only where the job does not.
        let cluster = match (what, &job) {
            (Followed::Collections { .. }, Some(_)) => None,
            _ => client.cluster(&begun.cluster).await?,
        };
        let (job, cluster) = (job.as_ref(), cluster.as_ref());
        let age = follow::age(begun.at, client.now());
        Ok(match what {
            Followed::NewCluster => follow::of_cluster(job, cluster, age),
            Followed::Collections { at_work_for } => {
                follow::of_collections(job, cluster, age, at_work_for)
            }
        })
    }
}

/// What is told while nothing can be asked.
fn unseen(error: &ZillizError) -> String {
    format!("begun; how far it is could not be asked: {error}")
}
