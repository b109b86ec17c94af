//! The whole state behind one lock, and the way of a call through it: clock, faults, key, operation, answer, log.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use crate::bill::Bill;
use crate::call::{Answer, Call, Delivery, Response};
use crate::clock::{self, Clock};
use crate::error::{ApiError, Result};
use crate::fault::{Fault, Faults, Moment};
use crate::keys::{self, Keys, Permission};
use crate::log::{Entry, Log};
use crate::operation::Operations;
use crate::random::Random;
use crate::request::Request;
use crate::route::{Op, parameter};
use crate::settings::Settings;
use crate::store::{Key, Store};
use crate::zilliz::Zilliz;
use crate::{copy, list, metadata, query, write};

/// Everything an emulator knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) store: Store,
    pub(crate) operations: Operations,
    pub(crate) faults: Faults,
    pub(crate) keys: Keys,
    pub(crate) bill: Bill,
    pub(crate) log: Log,
    pub(crate) zilliz: Zilliz,
    /// What a reset goes back to.
    initial: Settings,
}

/// What an operation needs to know of the call.
pub(crate) struct Context<'a> {
    pub(crate) op: Op,
    /// Whose namespace, where, and which (empty for a listing).
    pub(crate) key: Key,
    pub(crate) token: &'a str,
    pub(crate) v1: bool,
    pub(crate) now: Timestamp,
    pub(crate) fault: &'a Fault,
    pub(crate) call: &'a Call,
    /// The region as it stood in the path, to build locations of the same shape.
    pub(crate) path_region: &'a str,
    pub(crate) api_key: &'a str,
}

/// A response and how long the operation took.
pub(crate) struct Reply {
    pub(crate) response: Response,
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn ok(body: &impl serde::Serialize) -> Self {
        Self::from(Response::json(200, body))
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self {
            response,
            delay: Duration::ZERO,
        }
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::from(Response::json(error.status, &error.body()))
    }
}

/// What a call comes to; no response closes the connection.
#[derive(Default)]
pub(crate) struct Outcome {
    response: Option<Response>,
    delay: Duration,
}

impl From<Reply> for Outcome {
    fn from(Reply { response, delay }: Reply) -> Self {
        Self {
            response: Some(response),
            delay,
        }
    }
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            clock: Clock::new(settings.clock),
            random: Random::new(settings.seed),
            store: Store::default(),
            operations: Operations::default(),
            faults: Faults::default(),
            keys: Keys::default(),
            bill: Bill::default(),
            log: Log::default(),
            zilliz: Zilliz::new(settings.seed),
            initial: settings.clone(),
            settings,
        }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.initial.clone());
    }

    /// Makes everything happen that is due by `now`, on both services.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.finish_operations(now);
        self.settle_zilliz(now);
    }

    /// Answers one call to turbopuffer's data plane.
    pub(crate) fn serve(&mut self, call: &Call, request: Result<Request<'_>>) -> Answer {
        let now = self.clock.now();
        self.settle(now);
        let mut request = match request {
            Ok(request) => request,
            Err(error) => {
                let reply = Reply::from(error);
                return self.answer(call, ("none", ""), &Fault::default(), reply.into());
            }
        };
        let who = (request.route.op.name(), request.key);
        let path_region = std::mem::take(&mut request.route.region);
        let region = match &*path_region {
            "" => self.settings.default_region.clone(),
            region => region.to_owned(),
        };
        if self.settings.is_unknown(&region) {
            // Its host name would not resolve; a closed connection is the nearest thing.
            return self.answer(call, who, &Fault::default(), Outcome::default());
        }
        let fault = self.fault(call, &request, &region);
        let outcome = self.meet(&fault, ApiError::injected, |state| {
            let body = std::mem::replace(&mut request.body, Ok(Json::Null));
            let context = state.authorise(call, &request, &fault, now, (&region, &path_region));
            let reply = context.and_then(|context| state.perform(&context, body));
            reply.unwrap_or_else(Reply::from)
        });
        self.answer(call, who, &fault, outcome)
    }

    /// What a call comes to that meets this fault: forced before it takes effect, or after, or its own reply.
    pub(crate) fn meet(
        &mut self,
        fault: &Fault,
        refusal: fn(u16) -> Json,
        perform: impl FnOnce(&mut Self) -> Reply,
    ) -> Outcome {
        if let ControlFlow::Break(response) = forced(fault, Moment::Before, refusal) {
            return Outcome {
                response,
                delay: Duration::ZERO,
            };
        }
        let Reply { response, delay } = perform(self);
        // What took effect took its time, whatever is answered.
        match forced(fault, Moment::After, refusal) {
            ControlFlow::Break(response) => Outcome { response, delay },
            ControlFlow::Continue(()) => Outcome {
                response: Some(response),
                delay,
            },
        }
    }

    fn fault(&mut self, call: &Call, request: &Request<'_>, region: &str) -> Fault {
        let prefix = parameter(&call.query, "prefix").unwrap_or_default();
        let has_cursor = parameter(&call.query, "cursor").is_some_and(|cursor| !cursor.is_empty());
        let subject = request.subject(region, &prefix, has_cursor);
        let fault = self.faults.pick(&subject, &mut self.random);
        if fault.revoke_key {
            self.keys.revoke(request.key);
        }
        fault
    }

    fn authorise<'a>(
        &mut self,
        call: &'a Call,
        request: &'a Request<'_>,
        fault: &'a Fault,
        now: Timestamp,
        (region, path_region): (&str, &'a str),
    ) -> Result<Context<'a>> {
        let organisation = self.keys.check(request.key, permission(request.route.op))?;
        let key = Key {
            organisation: organisation.to_owned(),
            region: region.to_owned(),
            name: request.route.namespace.to_string(),
        };
        self.bill.request(&key.organisation, request.route.op);
        if request.route.op != Op::List {
            check_name(&key.name)?;
        }
        Ok(Context {
            op: request.route.op,
            key,
            token: &request.route.token,
            v1: request.route.v1,
            now,
            fault,
            call,
            path_region,
            api_key: request.key,
        })
    }

    fn perform(&mut self, context: &Context<'_>, body: Result<Json>) -> Result<Reply> {
        let body = body?;
        match context.op {
            Op::List => list::list(self, context),
            Op::Metadata => metadata::show(self, context),
            Op::PatchMetadata => metadata::patch(self, context, &body),
            Op::Schema => metadata::schema(self, context),
            Op::UpdateSchema => metadata::update_schema(self, context, &body),
            Op::Exists => metadata::exists(self, context),
            Op::CacheWarm => metadata::warm(self, context),
            Op::Query => query::query(self, context, &body),
            Op::ExplainQuery => query::explain(self, context),
            Op::Recall => query::recall(self, context),
            Op::Write => write::write(self, context, body),
            Op::Copy | Op::Branch | Op::StartCopy => copy::copy(self, context, &body),
            Op::Poll => self.poll(context),
            Op::Delete => metadata::delete(self, context),
        }
    }

    /// Writes the log and puts the finishing touches to an answer; no response means a closed connection.
    pub(crate) fn answer(
        &mut self,
        call: &Call,
        (operation, key): (&'static str, &str),
        fault: &Fault,
        outcome: Outcome,
    ) -> Answer {
        let now = self.clock.now();
        let entry = Entry {
            time: now,
            method: call.method.name(),
            path: call.path.as_str().into(),
            status: outcome
                .response
                .as_ref()
                .map_or(0, |response| response.status),
            operation,
            key_suffix: keys::suffix(key).into(),
        };
        self.log.push(entry);
        let latency = Duration::from_millis(fault.latency_ms.unwrap_or(0));
        let delay = latency.saturating_add(outcome.delay);
        let Some(response) = outcome.response else {
            return Answer {
                delay,
                delivery: Delivery::Reset,
            };
        };
        let skew = fault
            .clock_skew_seconds
            .unwrap_or(self.settings.clock_skew_seconds);
        let mut response = response.with(
            "date",
            clock::http_date(clock::shift(now, SignedDuration::from_secs(skew))),
        );
        if let Some(id) = call.header("x-request-id") {
            response = response.with("x-request-id", id.to_owned());
        }
        let delivery = if fault.truncate {
            Delivery::Truncated(response)
        } else {
            Delivery::Whole(response)
        };
        Answer { delay, delivery }
    }
}

/// The response a fault forces at this moment, if it does; none closes the connection.
fn forced(
    fault: &Fault,
    moment: Moment,
    refusal: fn(u16) -> Json,
) -> ControlFlow<Option<Response>> {
    if fault.reset == Some(moment) {
        return ControlFlow::Break(None);
    }
    let Some(status) = fault.status.filter(|_| fault.commit == moment) else {
        return ControlFlow::Continue(());
    };
    let mut response = match &fault.body {
        Some(body) => Response {
            status,
            headers: vec![(
                "content-type",
                match &fault.content_type {
                    Some(other) => other.clone().into(),
                    None => "application/json".into(),
                },
            )],
            body: body.clone().into_bytes(),
        },
        None => Response::json(status, &refusal(status)),
    };
    if let Some(seconds) = fault.retry_after {
        response = response.with("retry-after", seconds.to_string());
    }
    if let Some(milliseconds) = fault.retry_after_ms {
        response = response.with("retry-after-ms", milliseconds.to_string());
    }
    if let Some(retry) = fault.should_retry {
        response = response.with("x-should-retry", retry.to_string());
    }
    ControlFlow::Break(Some(response))
}

fn permission(op: Op) -> Permission {
    match op {
        Op::List => Permission::List,
        Op::Metadata
        | Op::Schema
        | Op::Query
        | Op::ExplainQuery
        | Op::Recall
        | Op::CacheWarm
        | Op::Exists => Permission::Read,
        Op::PatchMetadata
        | Op::UpdateSchema
        | Op::Write
        | Op::Copy
        | Op::Branch
        | Op::StartCopy
        | Op::Delete
        | Op::Poll => Permission::Write,
    }
}

fn check_name(name: &str) -> Result<()> {
    let valid = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if valid {
        return Ok(());
    }
    Err(ApiError::bad(format!(
        "invalid namespace name '{name}': must match [A-Za-z0-9-_.]{{1,128}}"
    )))
}
