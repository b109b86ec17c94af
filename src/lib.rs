//! Lifeboat: scheduled, verified, cross-region backups for vector databases.
//!
//! The product is trust: the copy is there, it is complete, nothing needed was deleted, it comes back.
//!
//! # Layout
//! What is asked for, and what is answered:
//! - [`event`] an event becomes a request; [`plan`] the environment becomes a plan; [`report`] what a run says of itself.
//!
//! Deciding, without network or clock:
//! - [`slot`] the scheduled instant; [`name`] the codec of backup names; [`retention`] what is due and why the rest stays;
//!   [`certificate`] the second opinion before each DELETE; [`limiter`] requests in flight.
//!
//! Doing:
//! - [`mod@run`] drives [`listing`], [`backup`] (copy, compare, seal), [`verify`] and [`prune`].
//! - [`journal`] what a later invocation must know of a run, who works on a plan, how runs ended.
//! - [`service`] what a vector database must offer, and turbopuffer; [`secret`] API keys; [`clock`] and [`telemetry`].
//!
//! The doors are `main.rs` (Lambda) and `bin/lifeboat.rs` (a terminal); both build the same [`event::Request`] and hand
//! it to [`Lifeboat`].

pub mod backup;
pub mod certificate;
pub mod clock;
pub mod event;
pub mod journal;
pub mod limiter;
pub mod listing;
pub mod name;
pub mod plan;
pub mod prune;
pub mod report;
pub mod retention;
pub mod run;
pub mod secret;
pub mod service;
pub mod slot;
pub mod telemetry;
pub mod verify;

#[cfg(feature = "terminal")]
pub mod demo;
#[cfg(feature = "terminal")]
pub mod terminal;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::clock::Clock;
use crate::event::Request;
use crate::plan::{Encryption, Settings};
use crate::report::{Report, Size};
use crate::run::{Refused, Step, World, run};
use crate::secret::{ApiKey, KeySource};
use crate::service::Patient;
use crate::service::turbopuffer::{CopySource, Turbopuffer, customer_managed, http_client};

/// Both regions of a plan, connected once per process.
#[derive(Debug)]
pub struct Lifeboat {
    settings: Settings,
    source: Patient<Turbopuffer>,
    target: Patient<Turbopuffer>,
    clock: Clock,
}

impl Lifeboat {
    /// Builds the clients; sends nothing yet.
    pub fn connect(settings: Settings, clock: Clock) -> Result<Self, String> {
        let http = http_client()?;
        let key = |source: &KeySource| Arc::new(ApiKey::new(source.clone()));
        let plan = &settings.plan;
        let source_key = key(&settings.api_key);
        // A key of their own means that the backups stand in another organisation, which must be shown the source's.
        let (target_key, shown_key) = match &settings.backup_api_key {
            Some(own) => (key(own), Some(Arc::clone(&source_key))),
            None => (Arc::clone(&source_key), None),
        };
        let copies = CopySource {
            region: plan.source.region.clone(),
            api_key: shown_key,
            encryption: match &plan.target.encryption {
                None => None,
                Some(Encryption::Default) => Some(turbopuffer::types::Encryption::Default),
                Some(Encryption::CustomerManaged(key)) => Some(customer_managed(key)?),
            },
        };
        let source = Turbopuffer::new(
            plan.source.region.clone(),
            plan.source.base_url.clone(),
            http.clone(),
            source_key,
            None,
        );
        let target = Turbopuffer::new(
            plan.target.region.clone(),
            plan.target.base_url.clone(),
            http,
            target_key,
            Some(copies),
        );
        let concurrency = plan.concurrency;
        Ok(Self {
            source: Patient::new(source, concurrency),
            target: Patient::new(target, concurrency),
            settings,
            clock,
        })
    }

    /// Carries a request out within `time_left`, and calls `watch` with what happens.
    pub async fn handle(
        &self,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Report, Refused> {
        let plan = &self.settings.plan;
        let world = World {
            plan,
            source: &self.source,
            target: &self.target,
            clock: self.clock.clone(),
            report: size,
            watch,
        };
        // Boxed, so that a door's future does not hold the whole depth of a run's.
        run(request, &world, run_id, time_left).boxed_local().await
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
