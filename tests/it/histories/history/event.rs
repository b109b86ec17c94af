//! One event: some processes at once, and then the rules; and the five-minute ticks while a run is open.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, pending};
use jiff::Timestamp;
use lifeboat::event::Action;
use lifeboat::journal::Journal;
use lifeboat::name::Class;
use object_store::path::Path;
use serde_json::{Value, json};

use super::{Ended, History, Start, TICK};
use crate::faulty_store::{Chances, Fate, FaultyStore};
use crate::world::{Process, World};

/// Ticks every five minutes; after them every hour, in which nothing else would happen.
const CLOSE_TICKS: usize = 8;

impl History {
    /// Ticks until nothing is open; with patience until a stalled copy is given up, else only for a while.
    pub(super) async fn ticks(&mut self, to_the_end: bool) {
        if self.objects.is_none() {
            return;
        }
        let most = if to_the_end {
            CLOSE_TICKS + 30
        } else {
            CLOSE_TICKS + 4
        };
        for tick in 0..most {
            let wait = if tick < CLOSE_TICKS { TICK } else { 12 * TICK };
            if self.open_runs().await.is_empty() {
                return;
            }
            tokio::time::sleep(wait).await;
            for (slot, manual) in self.open_runs().await {
                let mut start = self.backup(slot);
                start.request.action = Action::Resume;
                start.request.manual = manual;
                if to_the_end {
                    start = Start::of(start.request);
                } else if self.dice.u8(0..40) == 0 {
                    start.killed_after = Some(Duration::from_millis(self.dice.u64(1..5_000)));
                }
                self.tally.add("ticks", 1);
                self.event(vec![start]).await;
            }
        }
    }

    pub(super) async fn open_runs(&mut self) -> Vec<(Timestamp, bool)> {
        let Some(objects) = &self.objects else {
            return Vec::new();
        };
        for store in std::mem::take(&mut self.stores) {
            store.deliver_late_puts().await;
        }
        let journal = Journal::on(Arc::clone(objects) as _, Path::from("lifeboat"));
        let open = journal.open_runs().await.unwrap();
        open.runs
            .iter()
            .map(|run| (run.key.slot.instant(), run.key.class == Class::Manual))
            .collect()
    }

    pub(super) async fn event(&mut self, starts: Vec<Start>) -> Vec<Ended> {
        self.world.faults(Value::Array(self.tonight.clone()));
        let before = self.looked_at;
        let mut runs = Vec::new();
        for start in starts {
            self.invocations += 1;
            if let Some(slot) = start.request.scheduled_time {
                self.slots.insert(slot.as_second());
            }
            let store = self.objects.as_ref().map(|objects| {
                let store = FaultyStore::over(objects, self.dice.u64(..));
                store.chances(start.journal_chances);
                store.next_writes(start.journal_fates.iter().copied());
                store
            });
            runs.push((self.invocations, start, store));
        }
        let stores: Vec<FaultyStore> = runs
            .iter()
            .filter_map(|(_, _, store)| store.clone())
            .collect();
        let world = &self.world;
        let ended = join_all(runs.into_iter().map(|run| invoke(world, run))).await;
        self.count_faults(&stores);
        self.stores.extend(stores);
        self.world.faults(json!([]));
        self.world.emulator.set_keys(Vec::new());
        self.check(before, &ended);
        ended
    }

    fn count_faults(&mut self, stores: &[FaultyStore]) {
        let fired = self.world.emulator.faults_fired();
        self.tally.add_faults(&self.tonight, &fired);
        for (fate, count) in stores.iter().flat_map(FaultyStore::met) {
            if fate == Fate::WipedFirst && count > 0 {
                self.journal_is_lost();
            }
            self.tally.add(&format!("journal fault: {fate:?}"), count);
        }
    }

    pub(super) fn journal_is_lost(&mut self) {
        if let Some(days) = &mut self.worst_days {
            days.journal_is_lost();
        }
    }
}

async fn invoke(world: &World, run: (u64, Start, Option<FaultyStore>)) -> Ended {
    let (invocation, start, store) = run;
    let began = world.now();
    tokio::time::sleep(start.after).await;
    let journal = store
        .clone()
        .map(|store| Journal::on(Arc::new(store) as _, Path::from("lifeboat")));
    let process = Process {
        invocation,
        journal: journal.as_ref(),
        skew: start.skew,
        requests: Arc::default(),
    };
    let run = world.run_in(&process, start.request.clone(), start.time_left);
    let killed = async {
        match start.killed_after {
            Some(after) => tokio::time::sleep(after).await,
            None => pending().await,
        }
    };
    let killed_at_a_write = async {
        match &store {
            Some(store) => store.died().await,
            None => pending().await,
        }
    };
    let journal_goes = async {
        if let (Some(store), Some(after)) = (&store, start.journal_gone_after) {
            tokio::time::sleep(after).await;
            // Every other one can still be read: then nothing but the lease, which can't be renewed, stops deletion.
            if after.as_secs().is_multiple_of(2) {
                store.next_writes(std::iter::repeat_n(Fate::FailsBefore, 10_000));
            } else {
                store.chances(Chances {
                    fails_before: 100,
                    ..Chances::default()
                });
            }
        }
        pending::<()>().await;
    };
    let answer = tokio::select! {
        biased;
        answer = run => Some(answer),
        () = killed => None,
        () = killed_at_a_write => None,
        () = journal_goes => None,
    };
    Ended {
        start,
        invocation,
        began,
        until: world.now(),
        answer,
    }
}
