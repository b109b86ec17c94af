//! Cases by chance, for properties: how many, from which seed, and how one of them is played again.
//!
//! A failure prints its seed: `LIFEBOAT_SEED=n` plays that case alone. `LIFEBOAT_CASES=n` sets how many every property
//! plays; without it each has a number of its own, which takes seconds. A release is given ten million.

use std::env::var;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Plays a property, `count` times unless the environment says otherwise.
pub(crate) fn play(property: &str, count: u64, case: impl Fn(&mut fastrand::Rng)) {
    let number = |name| var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cases = number("LIFEBOAT_CASES").unwrap_or(count);
    let (first, cases) = number("LIFEBOAT_SEED").map_or((1, cases), |seed| (seed, 1));
    for seed in first..first + cases {
        let mut dice = fastrand::Rng::with_seed(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut dice))) {
            eprintln!("{property}: case {seed} failed; play it alone with LIFEBOAT_SEED={seed}");
            resume_unwind(panic);
        }
    }
    println!("{property}: {cases} cases from seed {first}");
}

/// Whether something that happens once in `n` cases happens.
pub(crate) fn once_in(dice: &mut fastrand::Rng, n: u32) -> bool {
    dice.u32(..n) == 0
}

/// One of several.
pub(crate) fn one_of<'a, T>(dice: &mut fastrand::Rng, all: &'a [T]) -> &'a T {
    &all[dice.usize(..all.len())]
}
