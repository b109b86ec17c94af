//! What a run writes down for the invocation that carries on, and what that one reads.
//!
//! Writing never fails a job: without a journal, or with one that is out of order, the same work is done within one
//! invocation, and the first fault is remembered for the report. What was read is a hint where to look, never evidence:
//! every copy is compared again, and no deletion rests on it.

mod open;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::sleep;

use crate::backup::{JobRecord, JobState};
use crate::journal::{Entry, JobLine, JournalError, RunLog, SourceBefore};
use crate::name::Namespace;
use crate::service::Metadata;
use crate::verify::{Milestone, Observation, Way};

pub(crate) use open::open_records;

/// How often it is written down how far a comparison is: a kill costs no more than this of it, and eleven hours of reading
/// cost 660 small objects, for each that goes on at once.
pub(crate) const MILESTONES_EVERY: Duration = Duration::from_mins(1);

/// What earlier invocations of this run wrote down about one job.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The source as it was before the copy was started.
    pub before: Option<SourceBefore>,
    /// What to ask the service with, if a copy was started.
    pub token: Option<String>,
    /// Whether a restored namespace was found to be what its backup is.
    pub found_equal: bool,
    /// How far its copy was compared row by row, and nothing differed.
    pub compared: Option<Milestone>,
    /// How the job ended when it was last worked at.
    pub ended: Option<JobLine>,
}

impl Past {
    /// Whether the job's backup was compared and sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        let sealed = [JobState::Sealed.word(), JobState::AlreadySealed.word()];
        self.ended
            .as_ref()
            .is_some_and(|line| sealed.contains(&line.state.as_str()))
    }

    /// Whether the job was begun and nobody saw its end.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let waits = |line: &JobLine| line.state == JobState::Incomplete.word();
        self.ended.as_ref().is_none_or(waits)
    }

    /// Whether a copy was asked for whose end somebody has to see: by its token, or, of a frozen source, because a copy
    /// that began unheard is born read-only and looks sealed.
    #[must_use]
    pub fn was_begun(&self) -> bool {
        let frozen = self.before.as_ref().is_some_and(|before| before.read_only);
        self.is_open() && (self.token.is_some() || frozen)
    }

    /// The token of a copy that nobody saw end.
    #[must_use]
    pub fn copying(&self) -> Option<&str> {
        self.token.as_deref().filter(|_| self.is_open())
    }
}

/// Everything earlier invocations of a run wrote down.
#[derive(Debug, Default)]
pub struct Pasts {
    /// Sorted, so that a run asks in the same order whenever it is played.
    jobs: BTreeMap<(String, String), Past>,
    /// The last invocation ended in order, and left nothing to do but wait for copies.
    pub only_copies_are_left: bool,
}

impl Pasts {
    /// Reads the entries in their order; a later one about the same thing counts.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut pasts = Self::default();
        for entry in entries {
            pasts.only_copies_are_left = matches!(entry, Entry::Waiting);
            match entry {
                Entry::Intended {
                    target,
                    source,
                    before,
                } => {
                    *pasts.at(target, source) = Past {
                        before: Some(before.clone()),
                        ..Past::default()
                    };
                }
                Entry::Started {
                    target,
                    source,
                    token,
                } => pasts.at(target, source).token = Some(token.clone()),
                Entry::Compared {
                    target,
                    source,
                    up_to,
                } => pasts.at(target, source).compared = Some(up_to.clone()),
                Entry::Ended { job } => {
                    pasts.at(&job.target, &job.source).ended = Some(job.clone());
                }
                Entry::RestoreCompared { target, source } => {
                    pasts.at(target, source).found_equal = true;
                }
                Entry::Waiting
                | Entry::RestoreAsked { .. }
                | Entry::RestoreChosen { .. }
                | Entry::RestoreMissing { .. }
                | Entry::RestoreBegun
                | Entry::Cluster { .. }
                | Entry::ClusterRestore { .. }
                | Entry::DrillAsked { .. }
                | Entry::DrillLeft => {}
            }
        }
        pasts
    }

    fn at(&mut self, target: &str, source: &str) -> &mut Past {
        let job = (target.to_owned(), source.to_owned());
        self.jobs.entry(job).or_default()
    }

    /// What is known of one job.
    #[must_use]
    pub fn of_job(&self, target: &str, source: &Namespace) -> Option<&Past> {
        self.jobs
            .get(&(target.to_owned(), source.as_str().to_owned()))
    }

    /// Jobs of a target whose copies were started and not seen to end: source and token.
    pub fn copying<'a>(&'a self, target: &'a str) -> impl Iterator<Item = (Namespace, &'a str)> {
        self.jobs.iter().filter_map(move |((of, source), past)| {
            let token = past.copying().filter(|_| of == target)?;
            Some((Namespace::parse(source)?, token))
        })
    }

    /// The jobs that were begun and of which nobody saw the end: target and source.
    pub fn open(&self) -> impl Iterator<Item = (&str, &str)> {
        let open = self.jobs.iter().filter(|(_, past)| past.is_open());
        open.map(|((target, source), _)| (target.as_str(), source.as_str()))
    }

    /// Whether every job that is open can be asked after by its token.
    #[must_use]
    pub fn all_have_tokens(&self) -> bool {
        let mut open = self.jobs.values().filter(|past| past.is_open());
        open.all(|past| past.token.is_some())
    }

    /// The last line of every job.
    pub fn lines(&self) -> impl Iterator<Item = &JobLine> {
        self.jobs.values().filter_map(|past| past.ended.as_ref())
    }
}

/// Where the jobs of a run write down what must outlive this invocation.
#[derive(Debug, Default)]
pub struct Notes {
    log: Option<RunLog>,
    fault: OnceLock<JournalError>,
    lines: Mutex<Vec<JobLine>>,
    /// Of the jobs that are at work, by target and source.
    ways: Mutex<BTreeMap<(String, String), Walked>>,
}

/// How far a job's copy is compared, and what of that is written down.
#[derive(Debug)]
struct Walked {
    way: Arc<Way>,
    written: Option<Milestone>,
}

impl Notes {
    /// In a run's log, or nowhere.
    #[must_use]
    pub fn new(log: Option<RunLog>) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }

    /// Writes an entry down and waits until it is durable; after a fault nothing more is written.
    pub async fn write(&self, entry: Entry) {
        if let (Some(log), None) = (&self.log, self.fault.get())
            && let Err(error) = log.append(&entry).await
        {
            tracing::warn!(error = error.word(), detail = %error, "the journal was not written; the run goes on without it");
            // An Err means that another job met a fault a moment before.
            let _ = self.fault.set(error);
        }
    }

    /// The way of a job's comparison, from where an earlier invocation left it. Until the job has ended, how far it comes is
    /// remembered here.
    pub fn way_of(&self, target: &str, source: &Namespace, past: Option<&Past>) -> Arc<Way> {
        let written = past.and_then(|past| past.compared.clone());
        let way = Arc::new(Way::from(written.clone()));
        let walked = Walked {
            way: Arc::clone(&way),
            written,
        };
        self.ways()
            .insert((target.to_owned(), source.to_string()), walked);
        way
    }

    fn ways(&self) -> MutexGuard<'_, BTreeMap<(String, String), Walked>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a job's comparison out, and writes down from time to time how far it is, so that a kill loses little.
    pub async fn keeping_milestones<T>(
        &self,
        (target, source): (&str, &Namespace),
        comparison: impl Future<Output = T>,
    ) -> T {
        let job = (target.to_owned(), source.to_string());
        tokio::select! {
            biased;
            compared = comparison => compared,
            never = self.write_milestones_of(&job) => match never {},
        }
    }

    async fn write_milestones_of(&self, job: &(String, String)) -> Infallible {
        loop {
            sleep(MILESTONES_EVERY).await;
            let moved = self
                .ways()
                .get_mut(job)
                .and_then(|walked| milestone_of((job, walked)));
            if let Some(milestone) = moved {
                self.hint(milestone).await;
            }
        }
    }

    /// Writes down how far every comparison is that went on since that was last written.
    pub async fn write_milestones(&self) {
        let moved: Vec<Entry> = self.ways().iter_mut().filter_map(milestone_of).collect();
        join_all(moved.into_iter().map(|entry| self.hint(entry))).await;
    }

    /// Writes down what saves time and nothing rests on, so a journal that fails for the moment is no fault of the run.
    async fn hint(&self, entry: Entry) {
        if let (Some(log), None) = (&self.log, self.fault.get())
            && let Err(error) = log.append(&entry).await
        {
            tracing::warn!(error = error.word(), detail = %error, "how far a comparison came was not written down");
        }
    }

    /// Writes down how a job ended; of one that is left, how far its comparison is, too.
    pub async fn ended(&self, line: JobLine) {
        let job = (line.target.clone(), line.source.clone());
        let walked = self.ways().remove_entry(&job);
        if self.log.is_none() {
            return;
        }
        if line.state == JobState::Incomplete.word()
            && let Some((job, mut walked)) = walked
            && let Some(milestone) = milestone_of((&job, &mut walked))
        {
            self.hint(milestone).await;
        }
        self.write(Entry::Ended { job: line.clone() }).await;
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    /// Whether what is written can be read by a later invocation.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.log.is_some() && self.fault.get().is_none()
    }

    /// The first thing that could not be written.
    #[must_use]
    pub fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    /// The log, and the lines of the jobs that ended in this invocation.
    #[must_use]
    pub fn into_parts(self) -> (Option<RunLog>, Vec<JobLine>) {
        let lines = self
            .lines
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (self.log, lines)
    }
}

/// What is to be written of a comparison that went on since that was last done.
fn milestone_of(((target, source), walked): (&(String, String), &mut Walked)) -> Option<Entry> {
    let up_to = walked.way.reached()?;
    if walked.written.replace(up_to.clone()).as_ref() == Some(&up_to) {
        return None;
    }
    Some(Entry::Compared {
        target: target.clone(),
        source: source.clone(),
        up_to,
    })
}

/// A job as the journal keeps it.
#[must_use]
pub fn line(
    target: &str,
    region: &str,
    job: &JobRecord,
    started_at: Timestamp,
    now: Timestamp,
) -> JobLine {
    JobLine {
        target: target.to_owned(),
        region: region.to_owned(),
        source: job.source.to_string(),
        backup: job.backup.as_ref().map(ToString::to_string),
        state: job.state.word().to_owned(),
        rows: job.copied.rows,
        bytes_written: job.copied.bytes_written,
        bytes_returned: job.copied.bytes_returned,
        started_at: Some(started_at),
        ended_at: (job.state != JobState::Incomplete).then_some(now),
        progress: job.progress.clone(),
        error: job.error.as_ref().map(|error| error.word().to_owned()),
        message: job.error.as_ref().map(ToString::to_string),
        handed_over: None,
    }
}

/// A source as it is written down before it is copied.
#[must_use]
pub fn written_down(observation: &Observation, looked_at: Timestamp) -> SourceBefore {
    let metadata = &observation.metadata;
    SourceBefore {
        looked_at,
        created_at: metadata.created_at,
        updated_at: metadata.updated_at,
        rows: observation.rows,
        read_only: metadata.read_only,
        schema: metadata.schema.clone(),
    }
}

/// A source as it was when it was written down.
#[must_use]
pub fn as_observed(before: &SourceBefore) -> Observation {
    Observation {
        metadata: Metadata {
            created_at: before.created_at,
            updated_at: before.updated_at,
            read_only: before.read_only,
            schema: before.schema.clone(),
            approx_rows: before.rows,
            approx_bytes: 0,
            answered_at: Some(before.looked_at),
        },
        rows: before.rows,
    }
}
