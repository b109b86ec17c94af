//! Opens, drives and closes a restore of Zilliz Cloud: of a whole backup as a new cluster, or of collections into a cluster
//! that exists.
//!
//! What it must never do: begin anything while something is in the way of any part of it, send a request again without
//! having looked, or let the one-time password go anywhere but to its place. What a request may have begun is written down
//! before it is sent and followed to its end, across invocations. Every restore ends in exactly one report.
//!
//! [`asked`] is the request, [`mod@choose`] the backup, `in_the_way` what is, [`contents`] what no backup has,
//! [`password`] the one-time password's way, [`notes`] and `journaled` what outlives an invocation, `making` a new cluster,
//! `bringing` collections, `following` both to their end by what [`follow`] says how far they are, [`report`] what is said
//! of it.

pub mod asked;
mod bringing;
pub mod choose;
pub mod contents;
mod door;
pub mod follow;
mod following;
mod in_the_way;
mod journaled;
mod making;
pub mod notes;
pub mod password;
pub mod report;

use std::cell::Cell;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, info, info_span, warn};

pub(super) use door::refuse_elsewhere;
pub use journaled::{being_restored, of_restores};
pub use notes::RestoreNote;
pub use report::ClusterRestoreReport;

use self::asked::{Asked, Destination};
use self::bringing::never_again;
use self::choose::choose;
use self::contents::not_in_a_backup;
use self::journaled::{Journaled, Opened};
use self::notes::{Chosen, FAILED, INCOMPLETE, Item, PasswordFate, RESTORED, Way, has_ended};
use self::password::{Place, Vault};
use super::client::Client;
use super::timing::services_time;
use super::transport::Transport;
use crate::clock::Clock;
use crate::journal::{JobLine, is_alone, renew, renew_hold};
use crate::plan::ClusterPlan;
use crate::report::Size;
use crate::restore::{How, Kept};
use crate::service::Pace;
use crate::slot::{CLOCK_MARGIN, LATEST_START, Slot, SlotError};

/// From one look to the next.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a `resume` looks after what an earlier invocation began: once more, and not until its end.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request and its password need so long at most; with less time left, none is sent.
const ROOM_FOR_A_REQUEST: Duration = Duration::from_secs(90);
/// How long the clusters are looked at for what an unanswered request may have made, before it is taken for lost.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(90);
/// Requests for one item in one invocation, each after the last was seen to have begun nothing.
const MOST_REQUESTS: u32 = 3;

/// What a restore works with.
pub struct World<'a, T, V> {
    /// The plan: its key, and which clusters are meant where the request says none.
    pub plan: &'a ClusterPlan,
    /// The control plane with the plan's key.
    pub client: &'a Client<T>,
    /// Where passwords are kept.
    pub vault: &'a V,
    /// Where the restore is remembered; without one, it has one invocation.
    pub kept: Option<Kept<'a>>,
    /// The local clock.
    pub clock: Clock,
    /// How long the report may be.
    pub report: Size,
    /// Told when the restore is to be left as it is, in order.
    pub stop: &'a Notify,
}

/// Carries a restore out, or on. `time_left` is how long it may work.
///
/// # Errors
/// When the local clock shows a time that no journal can name; then nothing was done.
pub async fn restore<T: Transport, V: Vault>(
    asked: &Asked,
    world: &World<'_, T, V>,
    how: How,
    run_id: String,
    time_left: Duration,
) -> Result<ClusterRestoreReport, SlotError> {
    let begun_at = world.clock.now();
    let slot = Slot::of(begun_at)?;
    let (plan, dry_run) = (&world.plan.name, how == How::DryRun);
    let report =
        ClusterRestoreReport::begin(asked, plan, dry_run, run_id.clone(), begun_at, world.report);
    let ends = Instant::now() + time_left.saturating_sub(time_left / 20);
    let mut restore = Restore {
        asked,
        world,
        how,
        ends,
        until: match how {
            How::OneMoreLook => ends.min(Instant::now() + PATIENCE),
            _ => ends,
        },
        journaled: Journaled::default(),
        lines: Vec::new(),
        stopped: Cell::new(false),
        unsettled: false,
        report,
    };
    let before = world.client.attempts();
    let span = info_span!("restore", run_id, plan, restore = restore.report.restore);
    let work = async {
        let now = world.clock.now();
        let mut journaled = Journaled::default();
        let opened = journaled.open(world.kept, how, slot, now, &mut restore.report);
        let opened = opened.boxed_local().await;
        restore.journaled = journaled;
        let is_open = match opened {
            Opened::Yes => {
                let renewals = renew(restore.journaled.lease.clone(), || world.client.latest());
                tokio::select! {
                    biased;
                    () = restore.work().boxed_local() => {}
                    never = renewals.boxed_local() => match never {},
                }
                restore.is_open()
            }
            Opened::Nothing => false,
            Opened::Busy(why) => {
                restore.report.fail(None, "being_restored", why);
                restore.report.stays_open = true;
                true
            }
        };
        restore.close(slot, is_open, before).await
    };
    Ok(work.instrument(span).await)
}

pub(super) struct Restore<'a, 'w, T, V> {
    asked: &'a Asked,
    world: &'a World<'w, T, V>,
    how: How,
    /// When this invocation ends.
    ends: Instant,
    /// Until when it waits for what is going on.
    until: Instant,
    journaled: Journaled,
    /// What is told of each item, in their order.
    lines: Vec<JobLine>,
    /// Somebody wants it left as it is.
    stopped: Cell<bool>,
    /// A request was not answered, may be at work, and nothing remembers it.
    unsettled: bool,
    report: ClusterRestoreReport,
}

/// What became of one item in this invocation.
enum Ended {
    /// It is there.
    Restored(JobLine),
    /// It did not come back.
    Failed(JobLine, &'static str, String),
    /// It goes on, or is not begun; with what to show.
    Waits(JobLine, String),
}

impl<T: Transport, V: Vault> Restore<'_, '_, T, V> {
    async fn work(&mut self) {
        if self.is_too_old().boxed_local().await {
            return self.give_up();
        }
        let carried_on = self.journaled.past.begun().cloned();
        if carried_on.is_none() && self.was_done_earlier().boxed_local().await {
            return;
        }
        let begun = carried_on.is_some();
        let chosen = match carried_on {
            Some(chosen) => chosen,
            None => match self.choose().boxed_local().await {
                Some(chosen) => chosen,
                None => return,
            },
        };
        self.tell_what_is_missing(&chosen);
        self.report.chosen = Some(chosen.clone());
        if self.how == How::DryRun {
            return self.show_the_plan(&chosen);
        }
        if !begun {
            self.say_what_is_missing();
            if !self.is_ready(&chosen).boxed_local().await {
                return;
            }
        }
        // A hold that is still needed for what an earlier one may have begun is not moved to another backup.
        let asks = |item: Item<'_>| self.journaled.told_earlier(&chosen.line(item)).is_none();
        let is_new = matches!(chosen.way, Way::NewCluster { .. });
        let hold = if is_new || chosen.items().into_iter().any(asks) {
            let now = self.lasting_from(begun).boxed_local().await;
            let hold = self
                .journaled
                .hold(self.world.kept, &chosen, now, &mut self.report);
            hold.boxed_local().await
        } else {
            None
        };
        let client = self.world.client;
        tokio::select! {
            biased;
            () = self.drive(&chosen).boxed_local() => {}
            never = renew_hold(hold.as_ref(), || client.latest()).boxed_local() => match never {},
        }
    }

    /// Whether it was begun too long ago. It was not while only our clock says so.
    async fn is_too_old(&self) -> bool {
        let Some(opened_at) = self.journaled.opened_at() else {
            return false;
        };
        let is_old = |now: Timestamp| now.duration_since(opened_at) > LATEST_START;
        if !is_old(self.world.clock.now()) {
            return false;
        }
        let told = services_time(self.world.client, ROOM_FOR_A_REQUEST).await;
        told.is_some_and(is_old)
    }

    /// From when on a hold lasts. Whoever carries on has asked the service nothing yet, so its time is asked for.
    async fn lasting_from(&self, carries_on: bool) -> Timestamp {
        if carries_on {
            services_time(self.world.client, PATIENCE).await;
        }
        self.world.client.latest()
    }

    fn give_up(&mut self) {
        for (at, mut line) in self.journaled.past.lines().into_iter().enumerate() {
            if !has_ended(&line) {
                FAILED.clone_into(&mut line.state);
                let past = self.journaled.past.item(at);
                let may_be_there = past.intent.is_some() || past.begun.is_some();
                let error = if may_be_there { "stuck" } else { "abandoned" };
                line.error = Some(error.to_owned());
                line.message = Some(
                    "it was not finished within seven days; look in the console what became of it"
                        .to_owned(),
                );
            }
            self.lines.push(line);
        }
        self.report.fail(None, "abandoned", "this restore was not finished within seven days and is given up; look in the console what became of it".to_owned());
    }

    /// Whether the same request has done its work before, and that still stands; then it is told, and nothing is begun.
    async fn was_done_earlier(&mut self) -> bool {
        let earlier = &self.journaled.earlier;
        if earlier.is_empty() || earlier.iter().any(|line| line.state != RESTORED) {
            return false;
        }
        if let (Destination::NewCluster(_), Some(line)) = (&self.asked.destination, earlier.first())
        {
            match self.world.client.cluster(&line.target).await {
                // The cluster that it made was dropped, so it is made anew.
                Ok(None) => return false,
                Ok(Some(cluster))
                    if matches!(cluster.status.as_deref(), Some("DELETED" | "DELETING")) =>
                {
                    return false;
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    self.report.fail(None, error.word(), error.to_string());
                    return true;
                }
            }
        }
        self.lines.clone_from(&self.journaled.earlier);
        self.report.warn("this very request was carried out before, so nothing was begun; to restore once more, say another `at` or name".to_owned());
        true
    }

    /// Chooses the backup, or tells everything that is in the way.
    async fn choose(&mut self) -> Option<Chosen> {
        let looking = choose(self.asked, self.world.plan, self.world.client);
        let looked = match timeout_at(self.ends, looking).boxed_local().await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => {
                self.report.fail(None, error.word(), error.to_string());
                return None;
            }
            Err(_) => {
                self.report.fail(
                    None,
                    "out_of_time",
                    "time ran out before a backup was chosen; nothing was begun".to_owned(),
                );
                return None;
            }
        };
        for note in looked.notes {
            self.report.warn(note);
        }
        for conflict in looked.conflicts {
            self.report.fail(None, conflict.word, conflict.message);
        }
        looked.chosen
    }

    fn tell_what_is_missing(&mut self, chosen: &Chosen) {
        let cu_sizes = (chosen.backup.cu_size, chosen.way.cu_size());
        self.report.not_in_backup = not_in_a_backup(&self.asked.destination, cu_sizes);
    }

    /// Says it before anything is begun, for whoever has agreed beforehand. The report says it afterwards.
    fn say_what_is_missing(&self) {
        for missing in &self.report.not_in_backup {
            warn!("will not come back by itself: {missing}");
        }
    }

    fn show_the_plan(&mut self, chosen: &Chosen) {
        if let Way::NewCluster { password, .. } = &chosen.way {
            self.report.password_went = Some(match password {
                Place::Secret(secret) => PasswordFate::ForSecret {
                    secret: secret.clone(),
                },
                Place::Terminal => PasswordFate::ForTheTerminal,
            });
        }
        for (at, item) in chosen.items().into_iter().enumerate() {
            let past = self.journaled.past.item(at);
            self.lines
                .push(past.line.unwrap_or_else(|| chosen.line(item)));
        }
    }

    /// Writes the choice down and proves the password's place, before anything is begun.
    async fn is_ready(&mut self, chosen: &Chosen) -> bool {
        if let Way::NewCluster { password, .. } = &chosen.way {
            if let (Place::Terminal, How::OneMoreLook) = (password, self.how) {
                self.report.fail(None, "abandoned", "the terminal that was to show the password has gone before anything was begun; give its command again".to_owned());
                return false;
            }
            if let Place::Secret(secret) = password
                && let Err(error) = self.world.vault.prove(secret).boxed_local().await
            {
                self.report.fail(
                    None,
                    "password_place",
                    format!("{error}; nothing was begun"),
                );
                return false;
            }
        }
        let asked = RestoreNote::Asked {
            plan: self.world.plan.name.clone(),
            asked: Box::new(self.asked.clone()),
        };
        self.journaled.write(asked).await;
        let chosen = Box::new(chosen.clone());
        self.journaled.write(RestoreNote::Chosen { chosen }).await;
        true
    }

    /// One request after the other, each followed to its end: the service takes one at a time (contract section 6).
    async fn drive(&mut self, chosen: &Chosen) {
        for (at, item) in chosen.items().into_iter().enumerate() {
            let past = self.journaled.past.item(at);
            if let Some(line) = past.ended() {
                self.lines.push(line.clone());
                continue;
            }
            let line = chosen.line(item);
            if let (Some(earlier), Way::Into { .. }) =
                (self.journaled.told_earlier(&line).cloned(), &chosen.way)
            {
                self.tell_again(earlier);
                continue;
            }
            let ended = match item {
                Item::Cluster => self.make(chosen, past, line).boxed_local().await,
                item => {
                    self.bring(chosen, (at, item), past, line)
                        .boxed_local()
                        .await
                }
            };
            if !self.tell(at, ended).await {
                return self.leave(chosen, at + 1);
            }
        }
    }

    /// Tells once more how an item ended when the same request came earlier.
    fn tell_again(&mut self, line: JobLine) {
        if let Some(word) = never_again(&line) {
            let message = line.message.clone().unwrap_or_default();
            self.report.fail(Some(&line), word, message);
        }
        self.lines.push(line);
    }

    /// Tells what became of an item, and writes it down; `false` when nothing more is to be begun.
    async fn tell(&mut self, item: usize, ended: Ended) -> bool {
        let now = self.world.client.now();
        let (line, goes_on) = match ended {
            Ended::Restored(line) => {
                let line = JobLine {
                    state: RESTORED.to_owned(),
                    ended_at: Some(now),
                    progress: None,
                    ..line
                };
                (line, true)
            }
            Ended::Failed(line, word, message) => {
                self.report.fail(Some(&line), word, message.clone());
                let line = JobLine {
                    state: FAILED.to_owned(),
                    ended_at: Some(now),
                    progress: None,
                    error: Some(word.to_owned()),
                    message: Some(message),
                    ..line
                };
                (line, true)
            }
            Ended::Waits(line, shown) => {
                self.report.fail(Some(&line), "being_restored", format!("not done yet ({shown}); `resume`, or the same request once more, carries on"));
                let line = JobLine {
                    state: INCOMPLETE.to_owned(),
                    progress: Some(shown),
                    ..line
                };
                (line, false)
            }
        };
        info!(
            target = line.target,
            source = line.source,
            state = line.state,
            "told of a restore"
        );
        self.journaled
            .write(RestoreNote::Told {
                item,
                line: line.clone(),
            })
            .await;
        self.lines.push(line);
        goes_on
    }

    /// What comes after something that is not done yet is not begun.
    fn leave(&mut self, chosen: &Chosen, from: usize) {
        for (at, item) in chosen.items().into_iter().enumerate().skip(from) {
            let past = self.journaled.past.item(at);
            let waits = || JobLine {
                state: INCOMPLETE.to_owned(),
                progress: Some("not begun yet".to_owned()),
                ..chosen.line(item)
            };
            self.lines.push(past.ended().cloned().unwrap_or_else(waits));
        }
    }

    fn is_open(&self) -> bool {
        self.how != How::DryRun && self.lines.iter().any(|line| !has_ended(line))
    }

    /// Waits, if that fits into this invocation and nobody wants it left.
    async fn wait(&self, long: Duration) -> bool {
        if self.stopped.get() || Instant::now() + long > self.until {
            return false;
        }
        tokio::select! {
            biased;
            () = self.world.stop.notified() => {
                self.stopped.set(true);
                false
            }
            () = sleep(long) => true,
        }
    }

    /// Whether a request may be sent now: there must be time for its answer, and for the password that comes with it.
    async fn may_send(&self) -> Result<(), String> {
        if self.stopped.get() || self.world.stop.notified().now_or_never().is_some() {
            self.stopped.set(true);
            return Err("interrupted before it was begun".to_owned());
        }
        if Instant::now() + ROOM_FOR_A_REQUEST > self.ends {
            return Err("time ran out before it was begun".to_owned());
        }
        let (local, service) = (self.world.clock.now(), self.world.client.now());
        if !is_alone(self.journaled.lease.as_deref(), local, service).await {
            return Err("another invocation has this restore now".to_owned());
        }
        Ok(())
    }

    async fn close(
        mut self,
        slot: Slot,
        is_open: bool,
        before: (u64, u64),
    ) -> ClusterRestoreReport {
        for line in &self.lines {
            self.report.jobs.push(line.clone());
        }
        let now = self.world.clock.now();
        let lines = (!is_open).then_some(self.lines);
        let closed = self
            .journaled
            .close(self.world.kept, lines, (slot, now), &mut self.report);
        closed.boxed_local().await;
        let attempts = self.world.client.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.finish(self.world.clock.now());
        info!(outcome = ?self.report.outcome, "restore ended");
        self.report
    }
}

/// Waits for the next look; what is asked about may have been begun a moment ago.
fn pace() -> Pace {
    Pace::new(FIRST_LOOK, LONGEST_WAIT)
}

/// Whether something was made at or after an intent, as far as can be told: `Date` and `createTime` need not come from one
/// clock.
fn is_since(made: Option<Timestamp>, intent: Timestamp) -> bool {
    made.is_none_or(|made| made + CLOCK_MARGIN >= intent)
}
