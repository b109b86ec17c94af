//! What happens as time passes: jobs start and end, automatic backups begin, backups expire.
//!
//! Nothing ticks. Each event has its time, and the first call or turn of the clock after it makes it happen, in order
//! and as of its own time, however late.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clock;
use crate::fault::{Fault, Subject};
use crate::state::State;
use crate::zilliz::backup::{Backup, Status};
use crate::zilliz::cluster::{DELETED, RUNNING};
use crate::zilliz::create;
use crate::zilliz::job::{Ending, Job, Work};
use crate::zilliz::policy;

#[derive(Debug)]
pub(crate) enum Event {
    /// Of a job.
    Start(String),
    /// Of a job.
    End(String),
    /// Of a backup.
    Expire(String),
    /// The automatic backup of a cluster, in the window that begins then, unless its policy was replaced.
    Automatic {
        cluster: String,
        policy: u64,
        begin: Timestamp,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// By time, then in the order they were added.
    events: BTreeMap<(Timestamp, u64), Event>,
    added: u64,
}

impl Timeline {
    pub(crate) fn add(&mut self, at: Timestamp, event: Event) {
        self.added += 1;
        self.events.insert((at, self.added), event);
    }

    fn next_due(&mut self, now: Timestamp) -> Option<(Timestamp, Event)> {
        let first = self.events.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let ((at, _), event) = first.remove_entry();
        Some((at, event))
    }
}

impl State {
    /// Makes everything happen that is due by `now`.
    pub(crate) fn settle_zilliz(&mut self, now: Timestamp) {
        while let Some((at, event)) = self.zilliz.timeline.next_due(now) {
            match event {
                Event::Start(job) => self.job_starts(&job, at),
                Event::End(job) => self.job_ends(&job, at),
                Event::Expire(backup) => self.zilliz.delete(&backup, at),
                Event::Automatic {
                    cluster,
                    policy,
                    begin,
                } => policy::run(self, &cluster, policy, begin, at),
            }
        }
    }

    fn job_starts(&mut self, id: &str, at: Timestamp) {
        let Some(job) = self.zilliz.jobs.get_mut(id) else {
            return;
        };
        job.started = Some(at);
        let takes = match job.ending {
            Ending::Success => job.takes,
            Ending::Failure => job.takes / 2,
            Ending::Never => return,
        };
        let ends = clock::after(at, takes);
        self.zilliz.timeline.add(ends, Event::End(id.to_owned()));
    }

    fn job_ends(&mut self, id: &str, at: Timestamp) {
        let Some(mut job) = self.zilliz.jobs.remove(id) else {
            return;
        };
        job.ended = Some(at);
        if job.ending == Ending::Success && !self.complete(&job.work, at) {
            job.ending = Ending::Failure;
            "The backup or cluster was deleted meanwhile.".clone_into(&mut job.reason);
        }
        if job.ending == Ending::Failure {
            self.undo(&job, at);
        }
        self.zilliz.jobs.insert(id.to_owned(), job);
    }

    /// Does what the job is for; not, if what it is for is gone.
    fn complete(&mut self, work: &Work, at: Timestamp) -> bool {
        match work {
            Work::Backup { backup, targets } => {
                let Some(original) = self.available(backup, at) else {
                    return false;
                };
                create::begin_copies(self, &original, targets, at);
                true
            }
            Work::Copy { backup, from } => {
                let Some(copy) = self.available(backup, at) else {
                    return false;
                };
                let bill = &mut self.zilliz.bill;
                bill.transferred(&copy.organisation, (from, &copy.region), copy.bytes);
                true
            }
            Work::Export { .. } => true,
            Work::RestoreCluster { cluster } => {
                let live = self.zilliz.clusters.get_mut(cluster);
                let Some(cluster) = live.filter(|cluster| cluster.is_live()) else {
                    return false;
                };
                RUNNING.clone_into(&mut cluster.status);
                true
            }
            Work::RestoreCollections {
                cluster,
                collections,
            } => {
                let live = self.zilliz.clusters.get_mut(cluster);
                let Some(cluster) = live.filter(|cluster| cluster.is_live()) else {
                    return false;
                };
                for collection in collections {
                    cluster.bytes = cluster.bytes.saturating_add(collection.bytes);
                    cluster.collections.push(collection.clone());
                }
                true
            }
        }
    }

    /// The backup, now AVAILABLE and paid for, if it was not deleted.
    fn available(&mut self, id: &str, at: Timestamp) -> Option<Backup> {
        let backup = self.zilliz.backups.get_mut(id)?;
        if !backup.is_there() {
            return None;
        }
        backup.status = Status::Available;
        let backup = backup.clone();
        self.zilliz.bill.stored(&backup, at);
        Some(backup)
    }

    /// Takes away what a failed job had begun. Inferred: there is no state for failed backups, and nothing is said of
    /// clusters whose restore failed.
    fn undo(&mut self, job: &Job, at: Timestamp) {
        match &job.work {
            Work::Backup { backup, .. } | Work::Copy { backup, .. } => {
                self.zilliz.delete(backup, at);
            }
            Work::RestoreCluster { cluster } => {
                if let Some(cluster) = self.zilliz.clusters.get_mut(cluster) {
                    DELETED.clone_into(&mut cluster.status);
                }
            }
            Work::Export { .. } | Work::RestoreCollections { .. } => {}
        }
    }

    /// The fault that something meets which no call asks for: only rules that name it count.
    pub(crate) fn background_fault(
        &mut self,
        operation: &str,
        region: &str,
        about: &Backup,
    ) -> Fault {
        let subject = Subject {
            operation,
            region,
            namespace: &about.cluster,
            source: Some(&about.id),
            has_cursor: false,
            in_background: true,
        };
        self.faults.pick(&subject, &mut self.random)
    }
}
