//! The stories that Lifeboat must survive, a module each. One binary, so that it links once.
//!
//! `world` is the service: the emulator's core in this process, under virtual time. `stories` are told by hand,
//! `attacks` by somebody who wanted to break it, `histories` by chance: years of nights with faults, kills, races and repeated events, each night checked against the
//! rules written down a second time. `restoring` brings it all back, `drilling` tries whether it would. `testimony` is what the journal knows against a backup. `preflight` asks before the first night, `estimating` what the next thirty cost, `budgets` what may not be spent. `fleet` is about size.
//! `clusters` are Zilliz Cloud's, a world of their own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the assertion"
)]

/// The histories allocate much and die soon; with this one they are played a quarter faster, those of clusters two fifths.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod approvals;
mod attacks;
mod budgets;
mod carrying_on;
mod clocks;
mod clusters;
mod comparing;
mod deciding_anew;
mod drilling;
mod estimating;
mod faulty_store;
mod fleet;
mod histories;
mod journals;
mod preflight;
mod restoring;
mod skipping;
mod staying_open;
mod stories;
mod testimony;
mod two_clocks;
#[cfg(feature = "terminal")]
mod undecided;
mod verifying;
mod world;
