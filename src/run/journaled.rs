//! What a run has to do with the journal: the plan's lease, carrying on, and how it ended.
//!
//! A journal that can't be used stops deletion and fails the run; copying goes on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::timeout_at;
use tracing::error;

use super::sides::{Live, Side};
use super::{Run, class};
use crate::backup::JobState;
use crate::event::Action;
use crate::journal::{Entry, JobLine, LeaseError, RunKey, RunLog, RunRecord, give_back};
use crate::name::{BackupName, Namespace};
use crate::plan::Target;
use crate::report::of_the_whole;
use crate::resume::{Notes, Past, Pasts};
use crate::service::{Progress, Service};
use crate::witness::says_more;

/// Jobs by target and source.
type LastLines = BTreeMap<(String, String), JobLine>;

fn job_of(line: &JobLine) -> (String, String) {
    (line.target.clone(), line.source.clone())
}

fn has_failed(line: &JobLine) -> bool {
    line.state == JobState::Failed.word()
}

fn failed_of(jobs: &LastLines) -> LastLines {
    let failed = jobs.iter().filter(|(_, line)| has_failed(line));
    failed
        .map(|(job, line)| (job.clone(), line.clone()))
        .collect()
}

impl<S: Service> Run<'_, '_, S> {
    /// Takes the plan's lease and opens the run in the journal. `false` when another invocation is at work.
    pub(super) async fn open(&mut self) -> bool {
        let changes = match self.request.action {
            Action::Backup | Action::Prune | Action::Seal | Action::Discard => {
                !self.request.dry_run
            }
            Action::Resume => true,
            Action::List
            | Action::Jobs
            | Action::Check
            | Action::Estimate
            | Action::Verify
            | Action::Restore
            | Action::Drill => false,
        };
        let (Some(journal), true) = (self.world.journal, changes) else {
            return true;
        };
        let now = self.clock.now();
        let lease = journal.acquire(&self.world.plan.name, &self.report.run_id, now);
        let opened = match lease.await {
            Ok(lease) => {
                let lease = self.lease.insert(Arc::new(lease));
                if !matches!(self.request.action, Action::Backup | Action::Resume) {
                    return true;
                }
                let key = RunKey {
                    plan: self.world.plan.name.clone(),
                    slot: self.slot,
                    class: class(self.request),
                };
                journal.open_run(lease, &key, now).await
            }
            Err(held @ LeaseError::Held { .. }) => {
                self.report.fail(held.word(), held.to_string());
                for at in 0..self.world.targets.len() {
                    self.stop_deletion_at(at, "another invocation has the plan's lease");
                }
                return false;
            }
            Err(error) => {
                self.doubt_the_journal(error.word(), error.to_string());
                return true;
            }
        };
        match opened {
            Ok(log) => {
                self.pasts = Pasts::of(log.entries());
                self.notes = Notes::new(Some(log));
            }
            Err(error) => self.doubt_the_journal(error.word(), error.to_string()),
        }
        true
    }

    /// Copying goes on without a journal; but nobody knows now who else is at work, so nothing is deleted.
    fn doubt_the_journal(&mut self, word: &'static str, message: String) {
        error!(error = word, detail = message, "the journal can't be used");
        self.report.fail(word, message);
        for at in 0..self.world.targets.len() {
            self.stop_deletion_at(at, "the journal can't be used");
        }
    }

    pub(super) fn abandon(&mut self) {
        self.given_up = true;
        let slot = self.slot.instant();
        self.report.fail("abandoned", format!(
            "the run of {slot} was not finished within seven days and is given up; what it sealed stands, and the next run copies the rest"
        ));
    }

    /// Whether nothing is left to do but wait for copies, and none has ended. Costs one question for each of them.
    pub(super) async fn only_waits(&mut self) -> bool {
        if !(self.pasts.only_copies_are_left && self.pasts.all_have_tokens()) {
            return false;
        }
        let world = self.world;
        let mut waiting = Vec::new();
        for (at, (target, service)) in world.plan.targets.iter().zip(world.targets).enumerate() {
            for (source, token) in self.pasts.copying(&target.name) {
                let Ok(name) =
                    BackupName::of(&target.prefix, class(self.request), &source, self.slot)
                else {
                    continue;
                };
                let asked = service.poll_copy(name.namespace(), token);
                match timeout_at(self.until, asked).await {
                    Ok(Ok(Progress::Running(progress))) => waiting.push((at, name, progress)),
                    _ => return false,
                }
            }
        }
        for (at, name, progress) in &waiting {
            self.report.add_waiting(*at, name, progress.as_deref());
        }
        !waiting.is_empty()
    }

    /// The sources that are listed, and those of which an earlier invocation began a copy and nobody saw its end.
    pub(super) fn live_and_begun(&self, live: &Live) -> Live {
        let begun = self
            .pasts
            .open()
            .filter_map(|(_, source)| Namespace::parse(source));
        live.iter().cloned().chain(begun).collect()
    }

    /// Whether there is a job of a source in a target for this invocation.
    pub(super) fn has_its_turn(&self, source: &Namespace, side: &Side<'_, S>, live: &Live) -> bool {
        if live.contains(source) {
            return !self.failed_before(source, side.target);
        }
        // A source that is gone ends its job as such.
        let target = &side.target.name;
        let past = self.pasts.of_job(target, source);
        past.is_some_and(Past::is_open) && self.is_of_the_plan(target, source.as_str())
    }

    /// Whether the job of a source failed for good in an earlier invocation. A tick does not begin it anew: while one copy
    /// keeps a run open for days, every other would be paid for every five minutes.
    pub(super) fn failed_before(&self, source: &Namespace, target: &Target) -> bool {
        let past = self.pasts.of_job(&target.name, source);
        let ended = past.and_then(|past| past.ended.as_ref());
        self.request.action == Action::Resume
            && ended.is_some_and(|line| line.state == JobState::Failed.word())
    }

    fn is_of_the_plan(&self, target: &str, source: &str) -> bool {
        let plan = self.world.plan;
        plan.targets.iter().any(|known| known.name == target)
            && plan.source.selectors.selects(source)
    }

    /// Whether something that an earlier invocation began, or left to this one, has no end yet and can still have one.
    fn leaves_something(&self, lines: &[JobLine]) -> bool {
        let ended: BTreeSet<(&str, &str)> = lines
            .iter()
            .map(|line| (line.target.as_str(), line.source.as_str()))
            .collect();
        let mut open = self.pasts.open();
        let begun = open.any(|job| !ended.contains(&job) && self.is_of_the_plan(job.0, job.1));
        begun || (self.unlisted && self.request.action == Action::Resume)
    }

    /// What a night without a journal can't do, as `check` says it too.
    fn warn_about_no_journal(&mut self) {
        let backs_up = self.request.action == Action::Backup && !self.request.dry_run;
        if backs_up && self.world.journal.is_none() {
            self.report.warn("no journal is configured: a copy that outlives this invocation waits for the next night, nothing remembers this run, and nothing keeps two runs, or a run and a restore, apart; set LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`".to_owned());
        }
    }

    /// Leaves the run open for the next invocation, or files it as finished; then gives the lease back.
    pub(super) async fn close_journal(&mut self) {
        self.warn_about_no_journal();
        if let Some(fault) = self.notes.fault() {
            self.report.fail(fault.word(), fault.to_string());
        }
        let sound = self.notes.fault().is_none();
        let (log, lines) = std::mem::take(&mut self.notes).into_parts();
        let left = self.leaves_something(&lines);
        let stays_open = !self.given_up && (left || self.report.incomplete_jobs() > 0);
        let (jobs, failed) = self.last_lines(log.as_ref(), &lines);
        if !stays_open {
            self.tell_what_failed_earlier(failed, &lines);
        }
        let closed = match (log, self.world.journal) {
            (Some(log), _) if stays_open => {
                self.report.stays_open = true;
                if !left && self.report.only_copies_are_left() {
                    log.append(&Entry::Waiting).await
                } else {
                    Ok(())
                }
            }
            (Some(log), Some(journal)) if sound => {
                let record = self.record(&log, jobs);
                journal.close_run(log, record).await
            }
            _ => Ok(()),
        };
        let released = give_back(self.lease.take()).await;
        if let Err(error) = closed.and(released) {
            error!(error = error.word(), detail = %error, "the journal was not closed");
            self.report.fail(error.word(), error.to_string());
        }
    }

    /// The run's last word names what failed in an earlier invocation and was not tried again. Whoever saw it first may have
    /// died before it told.
    fn tell_what_failed_earlier(&mut self, mut failed: LastLines, lines: &[JobLine]) {
        for told in lines.iter().filter(|line| has_failed(line)) {
            failed.remove(&job_of(told));
        }
        for job in failed.values() {
            self.report.fail_earlier(job);
        }
    }

    /// The last line of every job, whichever invocation wrote it, unless an earlier one said more of the backup; and of each
    /// that failed, the line that says so.
    fn last_lines(&self, log: Option<&RunLog>, lines: &[JobLine]) -> (LastLines, LastLines) {
        let by_job = |line: &JobLine| (job_of(line), line.clone());
        let mut jobs: LastLines = self.pasts.lines().chain(lines).map(by_job).collect();
        let mut failed = failed_of(&jobs);
        // Of an event that came once more.
        let earlier = log.and_then(RunLog::earlier);
        for earlier in earlier.iter().flat_map(|earlier| &earlier.jobs) {
            let later = jobs.get_mut(&job_of(earlier));
            if let Some(later) = later.filter(|later| says_more(earlier, later)) {
                let words = has_failed(later).then(|| (later.error.take(), later.message.take()));
                *later = earlier.clone();
                if let Some((error, message)) = words {
                    (later.error, later.message) = (error, message);
                }
            }
        }
        // What an earlier event sealed failed all the same if this one failed with it.
        failed.extend(failed_of(&jobs));
        (jobs, failed)
    }

    /// What history keeps of this run.
    fn record(&self, log: &RunLog, jobs: LastLines) -> RunRecord {
        let targets = self.report.targets.iter();
        RunRecord {
            key: RunKey {
                plan: self.world.plan.name.clone(),
                slot: self.slot,
                class: class(self.request),
            },
            run_id: self.report.run_id.clone(),
            outcome: self.report.outcome_so_far().word().to_owned(),
            reason: of_the_whole(&self.report.failures),
            opened_at: log.opened_at(),
            closed_at: Some(self.clock.now()),
            asked: None,
            jobs: jobs.into_values().collect(),
            deleted: targets.map(|target| target.pruning.deleted).sum(),
        }
    }
}
