//! A run killed at every await, and before and after every request that it sends; answers lost and events repeated by the
//! thousand.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::journal::Journal;
use lifeboat::report::Report;
use lifeboat::run::Refused;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::json;

use super::rules::{Policy, Scene};
use super::{Tally, number, play, play_all};
use crate::faulty_store::{DiesAt, FaultyStore, Requests};
use crate::world::{Asks, OTHER_TARGET, Process, SOURCE, TARGET, World};

const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);
/// Nights before the one that is killed, so that it has something to delete.
const BEFORE: i64 = 4;
/// Lost answers and repeated events, without a word from the environment.
const REPEATS: u64 = 1_000;

/// A future that is polled so many times and then never again.
struct Polled<'a, F> {
    inner: Pin<Box<F>>,
    left: usize,
    polls: &'a Cell<usize>,
}

impl<F: Future> Future for Polled<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.polls.set(self.polls.get() + 1);
        self.inner.as_mut().poll(context).map(Some)
    }
}

/// Two targets, some sources, and a journal that outlives every process.
struct Bench {
    world: World,
    objects: Arc<InMemory>,
    sources: usize,
    slots: BTreeSet<i64>,
}

impl Bench {
    fn new(seed: u64, sources: usize) -> Self {
        let mut world = World::new(seed, &[("RETENTION_DAYS", "1")]);
        let mut second = world.plan.targets[0].clone();
        (second.name, second.region) = ("second".into(), OTHER_TARGET.into());
        world.plan.targets.push(second);
        for source in 0..sources {
            world.write_rows(SOURCE, &format!("acme-s{source}"), 0..5);
        }
        Self {
            world,
            objects: Arc::new(InMemory::new()),
            sources,
            slots: BTreeSet::new(),
        }
    }

    fn store(&self) -> FaultyStore {
        FaultyStore::over(&self.objects, 1)
    }

    async fn run(
        &self,
        store: &FaultyStore,
        request: Request,
        polls: (usize, &Cell<usize>),
        requests: &Arc<Requests>,
    ) -> Option<Result<Report, Refused>> {
        let store = store.clone().used_by(requests);
        let journal = Journal::on(Arc::new(store.clone()) as _, Path::from("lifeboat"));
        let process = Process {
            invocation: 1,
            journal: Some(&journal),
            skew: SignedDuration::ZERO,
            requests: Arc::clone(requests),
        };
        let run = Polled {
            inner: Box::pin(self.world.run_in(&process, request, FOURTEEN_MINUTES)),
            left: polls.0,
            polls: polls.1,
        };
        tokio::select! {
            biased;
            answer = run => answer,
            () = requests.died() => None,
        }
    }

    async fn whole(&self, request: Request) -> Report {
        let polls = (usize::MAX, &Cell::new(0));
        let (store, requests) = (self.store(), Arc::default());
        let answer = self.run(&store, request, polls, &requests).await;
        answer.unwrap().unwrap()
    }

    async fn wait_for(&mut self, night: i64) -> Request {
        let first: Timestamp = "2026-01-02T02:00:00Z".parse().unwrap();
        let slot = first + SignedDuration::from_hours(24 * night);
        self.world.sleep_until(slot).await;
        self.slots.insert(slot.as_second());
        Request {
            scheduled_time: Some(slot),
            ..Request::default()
        }
    }

    async fn nights_before(&mut self) {
        for night in 0..BEFORE {
            let request = self.wait_for(night).await;
            self.whole(request).await;
        }
    }

    async fn open_runs(&self) -> Vec<Timestamp> {
        let journal = Journal::on(Arc::clone(&self.objects) as _, Path::from("lifeboat"));
        let open = journal.open_runs().await.unwrap();
        open.runs.iter().map(|run| run.key.slot.instant()).collect()
    }

    /// What a schedule does after a kill: ticks every five minutes; and the event once more, as Lambda's retry sends it.
    async fn carry_on(&self, request: &Request) {
        for tick in 0..12 {
            tokio::time::sleep(Duration::from_mins(5)).await;
            for slot in self.open_runs().await {
                let resume = Request {
                    action: Action::Resume,
                    scheduled_time: Some(slot),
                    ..Request::default()
                };
                self.whole(resume).await;
            }
            if tick == 1 {
                self.whole(request.clone()).await;
            }
        }
    }

    /// One sealed backup of every source in every target for this slot, one copy each, and no rule broken.
    fn check(&self, request: &Request, how: &str) {
        let slot = request.scheduled_time.unwrap().as_second();
        for region in [TARGET, OTHER_TARGET] {
            let standing = self.world.seen(region);
            for source in 0..self.sources {
                let name = format!("backup-acme-s{source}-{slot:010}");
                let seen = standing.iter().find(|seen| seen.name == name);
                let whole = seen.is_some_and(|seen| seen.read_only && seen.rows == 5);
                assert!(whole, "{how}: {name} in {region} is {seen:?}");
            }
        }
        let copies = self.slots.len() * self.sources * 2;
        assert_eq!(
            self.world.accepted("start_copy"),
            u64::try_from(copies).unwrap(),
            "{how}: copies for {} slots",
            self.slots.len()
        );
        for asked in self.world.asked.lock().unwrap().iter() {
            let stands = asked.standing.iter().find(|seen| seen.name == asked.name);
            let (Asks::Delete, Some(stands)) = (asked.what, stands) else {
                continue;
            };
            let scene = Scene {
                standing: &asked.standing,
                policy: &Policy::of(&self.world.plan.targets[0]),
                lies: &|_| false,
                now: asked.at.as_second(),
            };
            assert_eq!(scene.why_needed(stands), None, "{how}: {}", asked.name);
        }
    }
}

/// How a run is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    AfterPolls(usize),
    /// Those to the journal are requests, too.
    AtRequest(DiesAt),
    Never,
}

/// What the killed run came to.
struct Came {
    polls: usize,
    requests: Arc<Requests>,
}

impl Came {
    /// Every kill of a run that was not killed.
    fn kills(&self) -> Vec<Kill> {
        let polls = (0..self.polls - 1).map(Kill::AfterPolls);
        let before = (0..self.requests.sent()).map(DiesAt::Before);
        let after = self.requests.changes().into_iter().map(DiesAt::After);
        polls
            .chain(before.chain(after).map(Kill::AtRequest))
            .collect()
    }
}

/// Plays the nights before, a night that is killed, what carries on, and one more night.
async fn killed(sources: usize, kill: Kill) -> Came {
    let mut bench = Bench::new(7, sources);
    bench.nights_before().await;
    let request = bench.wait_for(BEFORE).await;
    let (store, polls, mut requests) = (bench.store(), Cell::new(0), Requests::default());
    let mut most = usize::MAX;
    match kill {
        Kill::AfterPolls(polls) => most = polls,
        Kill::AtRequest(dies) => requests = Requests::until(dies),
        Kill::Never => {}
    }
    let requests = Arc::new(requests);
    let run = bench.run(&store, request.clone(), (most, &polls), &requests);
    assert_eq!(run.await.is_some(), matches!(kill, Kill::Never), "{kill:?}");
    bench.carry_on(&request).await;
    let how = format!("{sources} sources, {kill:?}");
    assert_eq!(bench.open_runs().await, [], "{how}");
    bench.check(&request, &how);
    let next = bench.wait_for(BEFORE + 1).await;
    bench.whole(next.clone()).await;
    bench.check(&next, &how);
    Came {
        polls: polls.get(),
        requests,
    }
}

#[test]
fn a_kill_at_any_await_or_request_costs_nothing() {
    let (mut awaits, mut requests) = (0, 0);
    for sources in 1..=4 {
        let kills = play(7, killed(sources, Kill::Never)).kills();
        let at_requests = kills
            .iter()
            .filter(|kill| matches!(kill, Kill::AtRequest(_)));
        let at_requests = at_requests.count();
        (awaits, requests) = (awaits + kills.len() - at_requests, requests + at_requests);
        let count = u64::try_from(kills.len()).unwrap();
        let _ = play_all(0, count, |kill| {
            let kill = kills[usize::try_from(kill).unwrap()];
            play(7, killed(sources, kill));
            Tally::default()
        });
    }
    println!(
        "killed at every one of {awaits} awaits, and before and after every request ({requests} kills)"
    );
}

/// Sources in a world of lost answers.
const WIDE: u64 = 25;

#[test]
fn an_answer_lost_after_the_copy_began_is_adopted() {
    let worlds = number("LIFEBOAT_REPEATS").unwrap_or(REPEATS).div_ceil(WIDE);
    let (tally, _) = play_all(1, worlds, |seed| play(seed, lost_answers(seed)));
    let adopted = tally.of("adopted");
    assert_eq!(adopted, worlds * WIDE);
    println!("{adopted} lost answers adopted, each with one copy");
}

async fn lost_answers(seed: u64) -> Tally {
    let world = World::new(seed, &[]);
    let fault = [
        json!({"reset": "after"}),
        json!({"status": 503, "commit": "after"}),
        json!({"truncate": true}),
    ][usize::try_from(seed % 3).unwrap()]
    .clone();
    world.emulator.update_settings(|settings| {
        settings.half_copies_visible = seed.is_multiple_of(2);
        settings.copy_overhead_ms = seed % 7 * 1_500;
    });
    for source in 0..WIDE {
        world.write_rows(SOURCE, &format!("acme-{source:02}"), 0..1 + source);
    }
    world.faults(json!([{"match": {"operation": "start_copy"}, "fault": fault}]));
    let report = world.night("2026-01-02T02:00:00Z").await;
    assert_eq!(report.jobs.sealed, WIDE, "seed {seed}: {report:#?}");
    assert_eq!(world.calls("start_copy"), WIDE, "seed {seed}");
    let sealed = world.seen(TARGET);
    assert!(sealed.iter().all(|seen| seen.read_only));
    let mut tally = Tally::default();
    tally.add("adopted", report.jobs.adopted);
    tally
}

/// Slots in a world of repeated events, and how often each is repeated.
const SLOTS: i64 = 10;
const TIMES: u64 = 5;

#[test]
fn an_event_that_comes_again_makes_nothing_new() {
    let each = TIMES * u64::try_from(SLOTS).unwrap();
    let worlds = number("LIFEBOAT_REPEATS").unwrap_or(REPEATS).div_ceil(each);
    let (tally, _) = play_all(1, worlds, |seed| play(seed, repeated(seed)));
    assert_eq!(tally.of("repeated"), worlds * each);
    println!("{} duplicate events made nothing new", worlds * each);
}

async fn repeated(seed: u64) -> Tally {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut bench = Bench::new(seed, 2);
    let mut tally = Tally::default();
    for night in 0..SLOTS {
        let request = bench.wait_for(night).await;
        let mut delays = vec![0];
        delays.extend((0..TIMES).map(|_| [dice.u64(0..3), dice.u64(0..4_000)][dice.usize(0..2)]));
        let events = delays.into_iter().map(|after| {
            let (bench, request) = (&bench, request.clone());
            async move {
                tokio::time::sleep(Duration::from_secs(after)).await;
                bench.whole(request).await
            }
        });
        let reports = futures_util::future::join_all(events).await;
        let sealed: u64 = reports.iter().map(|report| report.jobs.sealed).sum();
        assert_eq!(sealed, 4, "seed {seed}, night {night}");
        tally.add("repeated", TIMES);
        bench.check(&request, &format!("seed {seed}, night {night}"));
    }
    tally
}
