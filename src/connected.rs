//! The regions of each plan, and who may be shown which key: the source's, the targets', and those that a restore leads to.
//!
//! What it must never do: show an organisation's key to another one, unless a copy between the two needs it.

use std::sync::Arc;

use crate::Lifeboat;
use crate::event::{EventError, Request};
use crate::plan::{Encryption, Plan, Target};
use crate::secret::{ApiKey, KeySource};
use crate::service::turbopuffer::{CopySource, Turbopuffer, customer_managed};
use crate::service::{Patient, Region};

/// The regions of one plan.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) source: Patient<Turbopuffer>,
    pub(crate) targets: Vec<Patient<Turbopuffer>>,
}

/// Builds the clients of one plan; sends nothing yet.
pub(crate) fn connect(plan: &Plan, http: &reqwest::Client) -> Result<Connected, String> {
    let source_key = Arc::new(ApiKey::new(plan.source.api_key.clone()));
    let region = |region: &str, base_url: &str, key, copies| {
        let (region, base_url) = (region.to_owned(), base_url.to_owned());
        let service = Turbopuffer::new(region, base_url, http.clone(), key, copies);
        Patient::new(service, plan.concurrency)
    };
    let targets = plan.targets.iter().map(|target| {
        // A key of its own means that the backups stand in another organisation, which must be shown the source's.
        let (key, shown_key) = match &target.api_key {
            Some(own) => (
                Arc::new(ApiKey::new(own.clone())),
                Some(Arc::clone(&source_key)),
            ),
            None => (Arc::clone(&source_key), None),
        };
        let copies = CopySource {
            region: plan.source.region.clone(),
            api_key: shown_key,
            encryption: match &target.encryption {
                None => None,
                Some(Encryption::Default) => Some(turbopuffer::types::Encryption::Default),
                Some(Encryption::CustomerManaged(key)) => Some(customer_managed(key)?),
            },
        };
        Ok(region(&target.region, &target.base_url, key, Some(copies)))
    });
    let targets = targets.collect::<Result<_, String>>()?;
    let source = &plan.source;
    Ok(Connected {
        source: region(&source.region, &source.base_url, source_key, None),
        targets,
    })
}

impl Lifeboat {
    /// The regions of a plan.
    pub(crate) fn connected(&self, plan: &Plan) -> &Connected {
        let Some(connected) = self.connected.get(&plan.name) else {
            unreachable!("every plan was connected")
        };
        connected
    }

    /// The target that is meant, and its region.
    pub(crate) fn target<'a>(
        &'a self,
        asked: Option<&String>,
        plan: &'a Plan,
    ) -> Result<(&'a Target, &'a Patient<Turbopuffer>), EventError> {
        let connected = self.connected(plan);
        let at = Request::target_of(asked, plan)?;
        let (Some(target), Some(backups)) = (plan.targets.get(at), connected.targets.get(at))
        else {
            unreachable!("the target is one of the plan's")
        };
        Ok((target, backups))
    }

    /// The region that receives what is restored, reached with a key that is or is not of the backups' organisation.
    pub(crate) fn destination(
        &self,
        (plan, target): (&Plan, &Target),
        region: &Region,
        (key, apart): (KeySource, bool),
        encryption: Option<&str>,
    ) -> Result<Patient<Turbopuffer>, EventError> {
        let base_url = self.settings.address(plan, region);
        let base_url = base_url.map_err(|faults| EventError::Destination(faults.to_string()))?;
        let of_backups = target.api_key.as_ref().unwrap_or(&plan.source.api_key);
        let encryption = match encryption {
            None => None,
            Some("default") => Some(turbopuffer::types::Encryption::Default),
            Some(key) => Some(customer_managed(key).map_err(EventError::Destination)?),
        };
        let copies = CopySource {
            region: target.region.clone(),
            api_key: apart.then(|| Arc::new(ApiKey::new(of_backups.clone()))),
            encryption,
        };
        let service = Turbopuffer::new(
            region.clone(),
            base_url,
            self.http.clone(),
            Arc::new(ApiKey::new(key)),
            Some(copies),
        );
        Ok(Patient::new(service, plan.concurrency))
    }
}
