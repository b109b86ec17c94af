//! An emulator of the turbopuffer API for every region, and of the Zilliz Cloud control plane: in memory, on one clock
//! of its own, with faults.
//!
//! Hand it calls with [`Emulator::call`], which neither waits, nor reads a clock or a source of chance that it was
//! not given; or serve it over HTTP with [`serve`]. Regions are path prefixes: `http://HOST/{region}/v2/namespaces/…`;
//! Zilliz Cloud has one, `http://HOST/zilliz/v2/…`. What an account there holds is seeded under `/_emulator/zilliz/…`.
//! What it promises is that the official clients can't tell it from the service where the contract says how the
//! service behaves; where that is unknown, a [`Settings`] field decides.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | `call`, `http` | calls and answers; carrying them over HTTP |
//! | `request`, `route` | reading a call |
//! | `state` | the way of a call through clock, faults, keys, operation, log |
//! | `list`, `metadata`, `write`, `copy`, `operation`, `query` | the operations |
//! | `rows`, `filter`, `rank`, `aggregate` | their parts |
//! | `store`, `schema`, `kind`, `value`, `vector`, `encryption` | namespaces and what is in them |
//! | `fault`, `corrupt`, `random` | what goes wrong |
//! | `zilliz` | Zilliz Cloud, with a map of its own; clock, faults, log and settings are shared |
//! | `keys`, `bill`, `log`, `clock`, `settings`, `control` | the rest, and the control plane `/_emulator` |

mod aggregate;
mod bill;
mod call;
mod clock;
mod control;
mod copy;
mod corrupt;
mod encryption;
mod error;
mod fault;
mod filter;
mod http;
mod keys;
mod kind;
mod list;
mod log;
mod metadata;
mod operation;
mod query;
mod random;
mod rank;
mod request;
mod route;
mod rows;
mod schema;
mod seed;
mod settings;
mod state;
mod store;
mod value;
mod vector;
mod write;
mod zilliz;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use crate::call::{Answer, Call, Delivery, Method, Response};
pub use crate::clock::ClockMode;
pub use crate::fault::{Corruption, Fault, Match, Moment, Rule};
pub use crate::http::serve;
pub use crate::keys::{Key, Permission};
pub use crate::settings::{AsyncErrors, AsyncHint, CopySnapshot, Settings};
pub use crate::store::Standing;
pub use crate::zilliz::{
    Continent, PermanentExpiry, Prices, StoragePrice, TransferPrice, ZillizSettings,
};

use crate::request::Request;
use crate::state::State;

/// A handle to an emulator; clones share it.
#[derive(Debug, Clone)]
pub struct Emulator {
    state: Arc<Mutex<State>>,
}

impl Emulator {
    /// An empty emulator.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(settings))),
        }
    }

    /// Answers one call, to one of the two services or to the control plane under `/_emulator`.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a call is used up; callers build one each time"
    )]
    pub fn call(&self, call: Call) -> Answer {
        if call.path.starts_with(control::PREFIX) {
            return control::control(&mut self.lock(), &call);
        }
        if call.path.starts_with(zilliz::PREFIX) {
            return self.lock().serve_zilliz(&call);
        }
        let request = Request::read(&call); // the costly part of a write, done before the lock is taken
        self.lock().serve(&call, request)
    }

    /// The time on the emulator's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().clock.now()
    }

    /// Sets the clock, finishing operations that are due by then.
    pub fn set_now(&self, to: Timestamp) {
        let mut state = self.lock();
        state.clock.set(to);
        let now = state.clock.now();
        state.settle(now);
    }

    /// Moves the clock on, finishing operations that are due by then.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.clock.advance(by);
        let now = state.clock.now();
        state.settle(now);
    }

    /// Replaces the fault rules.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.lock().faults.set(rules);
    }

    /// How often each fault rule has fired since the rules were set, in their order.
    #[must_use]
    pub fn faults_fired(&self) -> Vec<u64> {
        self.lock().faults.fired()
    }

    /// What stands in a region, in every organisation, by name. Costs no call, meets no fault and leaves no trace.
    #[must_use]
    pub fn standing(&self, region: &str) -> Vec<Standing> {
        self.lock().store.standing(region)
    }

    /// Replaces the table of keys. With an empty table every non-empty key is an admin of organisation `default`.
    pub fn set_keys(&self, keys: Vec<Key>) {
        self.lock().keys.set(keys);
    }

    /// Changes the settings; the seed and the clock mode stay as they were.
    pub fn update_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// Makes many namespaces of organisation `default` without HTTP. They share `rows` documents, each with a
    /// `title`, a `number` and a `vector` of four, and each says it holds `bytes` logical bytes. Existing ones of
    /// these names are replaced.
    pub fn seed_namespaces(
        &self,
        region: &str,
        names: impl Iterator<Item = String>,
        rows: u64,
        bytes: u64,
    ) {
        self.lock().seed(region, names, rows, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere can't leave half a write behind that would matter to a test; go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
