//! Months of nights by chance: faults, kills, races, repeated, late and wrong events, people, and clocks that are off.
//!
//! Every request that would change something is checked at the moment it is sent, against `rules`, which were written
//! down a second time and without any of the product's code. At the end the faults stop, and quiet nights must leave
//! every source with a good backup, nothing overdue and nothing open. A history follows from its seed alone: a failure
//! prints it, `LIFEBOAT_SEED=n` plays it once more (with `LIFEBOAT_TRACE=1` aloud), and `LIFEBOAT_HISTORIES=n` sets how
//! many are played. `LIFEBOAT_PLAYED=n` leaves out the first ones; `LIFEBOAT_MINUTES=n` lets none begin later than that,
//! once there were a hundred, and the test says how many there were.

mod every_await;
mod history;
mod rules;
mod tally;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use history::History;
pub(crate) use tally::Tally;

const NIGHTS: i64 = 30;
/// Whether plans have calendar periods and holds.
const HOLDS_AND_PERIODS: bool = true;
/// Whether the certificate looks at the lease.
const LEASE_IS_CERTIFIED: bool = true;
/// Without a word from the environment, and however little time there is.
const HISTORIES: u64 = 100;

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.replace('_', "").parse().unwrap())
}

/// Plays a story in virtual time; everything in it follows from the seed.
pub(crate) fn play<T>(seed: u64, story: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // From here on virtual time stands at whole milliseconds, whenever the machine began.
        tokio::time::sleep(Duration::from_millis(1)).await;
        story.await
    })
}

fn play_history(seed: u64) -> (Tally, u64) {
    play(seed, async { History::new(seed).play().await })
}

/// Plays seeds on every core until all are played, the time is over or one fails. Gives how many were.
#[expect(clippy::print_stderr, reason = "a long simulation says how far it is")]
pub(crate) fn play_all(first: u64, count: u64, play: impl Fn(u64) -> Tally + Sync) -> (Tally, u64) {
    let (next, total, began) = (
        AtomicU64::new(first),
        Mutex::new((Tally::default(), 0)),
        Instant::now(),
    );
    let minutes = number("LIFEBOAT_MINUTES").map(Duration::from_mins);
    let failed = Mutex::new(None::<u64>);
    let told = Mutex::new(Instant::now());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let late = minutes.is_some_and(|minutes| began.elapsed() > minutes);
            let enough = seed >= first + if late { count.min(HISTORIES) } else { count };
            if enough || failed.lock().unwrap().is_some() {
                return;
            }
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(seed)));
            match played {
                Ok(tally) => {
                    let mut total = total.lock().unwrap();
                    total.0.merge(&tally);
                    total.1 += 1;
                }
                Err(_) => *failed.lock().unwrap() = Some(seed),
            }
            let mut told = told.lock().unwrap();
            if told.elapsed() > Duration::from_secs(30) {
                *told = Instant::now();
                eprintln!(
                    "{} of {count} after {:.0?}",
                    seed - first + 1,
                    began.elapsed()
                );
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    if let Some(seed) = failed {
        panic!(
            "seed {seed} failed, the {}th; play it alone with LIFEBOAT_SEED={seed}",
            seed - first + 1
        );
    }
    total.into_inner().unwrap()
}

#[test]
fn no_history_loses_what_the_policy_needs() {
    let (first, count) = match number("LIFEBOAT_SEED") {
        Some(seed) => (seed, 1),
        None => {
            let played = number("LIFEBOAT_PLAYED").unwrap_or(0);
            let all = number("LIFEBOAT_HISTORIES").unwrap_or(HISTORIES);
            (played + 1, all.saturating_sub(played))
        }
    };
    let began = Instant::now();
    let (tally, count) = play_all(first, count, |seed| play_history(seed).0);
    let took = began.elapsed();
    println!(
        "{count} histories of {NIGHTS} nights and more, seeds from {first}, in {took:.1?}:\n{tally}"
    );
    // A simulation in which nothing happens proves nothing.
    if count >= 100 {
        for (what, least) in [
            ("kills", 2),
            ("races", 1),
            ("duplicates", 1),
            ("backups deleted", 50),
            ("failed jobs", 10),
            ("lost answers adopted", 1),
            ("ticks", 10),
        ] {
            assert!(tally.of(what) >= least * count, "{what}: {tally}");
        }
        for what in [
            "lists braked",
            "approvals",
            "approvals of old or foreign hashes",
            "late and out of order",
            "dry runs that foretold the run",
            "manual events",
            "sources thawed",
            "one bad source",
            "slots refused",
            "journal wiped",
            "local clock wrong",
            "services' clock wrong",
            "nights without a key",
            "backups held",
            "journal fault: FailsBefore",
            "journal fault: FailsAfter",
            "journal fault: ComesLate",
            "journal fault: WipedFirst",
            "journal fault: KilledBefore",
            "journal fault: KilledAfter",
            "restores killed",
            "restores left open and held",
            "namespaces restored",
        ] {
            assert!(tally.of(what) > 0, "{what}: {tally}");
        }
        tally.has_applied_all(&history::faults());
    }
}

#[test]
fn one_seed_plays_one_history() {
    for seed in 1..=4 {
        let (once, again) = (play_history(seed).1, play_history(seed).1);
        assert_eq!(once, again, "seed {seed} did not play the same twice");
    }
}
