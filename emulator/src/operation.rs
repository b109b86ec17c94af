//! Operations: copies that run in the background, their tokens, and polling.
//!
//! Nothing ticks: an operation is due at a time that is known when it starts, and is finished by the first call (or
//! turn of the clock) after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::call::Response;
use crate::clock;
use crate::copy::{self, Plan};
use crate::error::{ApiError, Result};
use crate::route::Op;
use crate::state::{Context, Reply, State};
use crate::store::Key;

#[derive(Debug)]
struct Operation {
    destination: Key,
    start: Timestamp,
    work: Work,
    /// Polls get 404.
    lost: bool,
}

#[derive(Debug)]
enum Work {
    /// Until then, or for ever.
    Running {
        plan: Box<Plan>,
        due: Option<Timestamp>,
        fails: bool,
        /// The destination was made visible at the start.
        visible: bool,
    },
    /// Refused, but that is only told in the result.
    Refused {
        error: ApiError,
        due: Timestamp,
    },
    Finished {
        at: Timestamp,
        result: Json,
    },
}

impl Work {
    fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Running { due, .. } => *due,
            Self::Refused { due, .. } => Some(*due),
            Self::Finished { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Operations {
    by_token: BTreeMap<String, Operation>,
    due: BTreeSet<(Timestamp, String)>,
    reserved: BTreeSet<Key>,
}

impl Operations {
    pub(crate) fn reserve(&mut self, destination: &Key) {
        self.reserved.insert(destination.clone());
    }

    /// Whether a copy to this name is running.
    pub(crate) fn is_reserved(&self, key: &Key) -> bool {
        !self.reserved.is_empty() && self.reserved.contains(key)
    }

    fn next_due(&mut self, now: Timestamp) -> Option<(Timestamp, String)> {
        if self.due.first().is_none_or(|(due, _)| *due > now) {
            return None;
        }
        self.due.pop_first()
    }
}

impl State {
    /// Starts an operation and gives its token.
    pub(crate) fn start(&mut self, context: &Context<'_>, plan: Result<Plan>) -> Reply {
        let fault = context.fault;
        let work = match plan {
            Err(error) => {
                let overhead = Duration::from_millis(self.settings.copy_overhead_ms);
                let due = clock::after(context.now, overhead);
                Work::Refused { error, due }
            }
            Ok(plan) => {
                self.operations.reserve(&plan.destination);
                let visible = self.settings.half_copies_visible;
                if visible {
                    let half = copy::half(&plan);
                    let organisation = &plan.destination.organisation;
                    self.bill
                        .stored(organisation, 0, half.data.bytes, context.now);
                    self.store.put(&plan.destination, half);
                }
                let takes = if fault.fail_operation {
                    plan.duration / 2
                } else {
                    plan.duration
                };
                let due = (!fault.stall_operation).then(|| clock::after(context.now, takes));
                let plan = Box::new(plan);
                Work::Running {
                    plan,
                    due,
                    fails: fault.fail_operation,
                    visible,
                }
            }
        };
        let token = format!("tpuf-{:016x}", self.random.next());
        if let Some(due) = work.due() {
            self.operations.due.insert((due, token.clone()));
        }
        let operation = Operation {
            destination: context.key.clone(),
            start: context.now,
            work,
            lost: fault.lose_token,
        };
        self.operations.by_token.insert(token.clone(), operation);
        accepted(context, &token)
    }

    /// Finishes what is due, in the order it is due.
    pub(crate) fn finish_operations(&mut self, now: Timestamp) {
        while let Some((at, token)) = self.operations.next_due(now) {
            let Some(mut operation) = self.operations.by_token.remove(&token) else {
                continue;
            };
            let outcome = match &operation.work {
                Work::Running {
                    plan,
                    fails,
                    visible,
                    ..
                } => self.conclude(plan, (*fails, *visible), at),
                Work::Refused { error, .. } => Err(error.clone()),
                Work::Finished { .. } => continue,
            };
            let result = match outcome {
                Ok(success) => json!({"success": success}),
                Err(error) => {
                    json!({"error": {"status_code": error.status, "detail": error.body()}})
                }
            };
            operation.work = Work::Finished { at, result };
            self.operations.by_token.insert(token, operation);
        }
    }

    fn conclude(
        &mut self,
        plan: &Plan,
        (fails, visible): (bool, bool),
        at: Timestamp,
    ) -> Result<Json> {
        self.operations.reserved.remove(&plan.destination);
        let deleted = visible && self.store.get(&plan.destination).is_none();
        if fails {
            return Err(copy::failed()); // a visible half stays
        }
        if deleted {
            return Err(ApiError::missing(&plan.destination.name));
        }
        copy::finish(self, plan, at)
    }

    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Result<Reply> {
        let unknown = || {
            ApiError::new(
                404,
                format!("🤷 operation '{}' was not found", context.token),
            )
        };
        let operation = self
            .operations
            .by_token
            .get_mut(context.token)
            .ok_or_else(unknown)?;
        operation.lost |= context.fault.lose_token;
        if operation.lost || operation.destination != context.key {
            return Err(unknown());
        }
        Ok(Reply::ok(&operation.view(context.now)))
    }
}

impl Operation {
    fn view(&self, now: Timestamp) -> Json {
        match &self.work {
            Work::Finished { at, result } => json!({
                "status": "finished", "start_time": self.start, "finish_time": at, "result": result,
            }),
            work => {
                json!({"status": "running", "start_time": self.start, "progress": self.progress(work, now)})
            }
        }
    }

    fn progress(&self, work: &Work, now: Timestamp) -> String {
        let takes = match work {
            Work::Running { plan, .. } => plan.duration.as_millis().max(1),
            _ => 1,
        };
        let passed = now
            .duration_since(self.start)
            .as_millis()
            .max(0)
            .unsigned_abs();
        format!("{}%", (passed * 100 / takes).min(99))
    }
}

/// Only a hint that was taken up is said to be: clients follow such an answer to its end, while whoever used `/async`
/// wants the token.
fn accepted(context: &Context<'_>, token: &str) -> Reply {
    let response = Response::json(202, &json!({"token": token}));
    if context.op == Op::StartCopy {
        return response.into();
    }
    let prefix = match context.path_region {
        "" => String::new(),
        region => format!("/{region}"),
    };
    let name = &context.key.name;
    let location = format!("{prefix}/v1/namespaces/{name}/operations/{token}");
    response
        .with("preference-applied", "respond-async")
        .with("location", location)
        .into()
}
