//! The control plane under `/_emulator`: clock, faults, keys, settings, bill, log, reset. It needs no key.
//!
//! Keys are turbopuffer's; what the Zilliz account holds is under `/_emulator/zilliz` ([`crate::zilliz::seed`]).

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::call::{Answer, Call, Delivery, Method, Response};
use crate::fault::Rule;
use crate::keys::Key;
use crate::route::parameter;
use crate::state::State;
use crate::zilliz;

/// Where the control plane begins.
pub(crate) const PREFIX: &str = "/_emulator";

/// What POST `/_emulator/clock` takes: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    now: Option<Timestamp>,
    advance_seconds: Option<f64>,
}

/// What a control gives, or a status and a sentence.
pub(crate) type Outcome = Result<Json, (u16, String)>;

/// Answers a call to the control plane.
pub(crate) fn control(state: &mut State, call: &Call) -> Answer {
    let response = match dispatch(state, call) {
        Ok(body) => Response::json(200, &body),
        Err((status, error)) => Response::json(status, &json!({"status": "error", "error": error})),
    };
    let date = crate::clock::http_date(state.clock.now());
    Answer {
        delay: Duration::ZERO,
        delivery: Delivery::Whole(response.with("date", date)),
    }
}

fn dispatch(state: &mut State, call: &Call) -> Outcome {
    let name = call.path.strip_prefix(PREFIX).unwrap_or_default();
    let name = name.trim_matches('/');
    if let Some(name) = name.strip_prefix("zilliz/") {
        return zilliz::seed::control(state, call, name);
    }
    match (call.method, name) {
        (Method::Get, "clock") => Ok(clock(state)),
        (Method::Post, "clock") => turn(state, &body(call)?),
        (Method::Get, "faults") => Ok(state.faults.view()),
        (Method::Post, "faults") => {
            state.faults.set(body::<Vec<Rule>>(call)?);
            Ok(state.faults.view())
        }
        (Method::Delete, "faults") => {
            state.faults.set(Vec::new());
            Ok(state.faults.view())
        }
        (Method::Get, "keys") => Ok(state.keys.view()),
        (Method::Post, "keys") => {
            state.keys.set(body::<Vec<Key>>(call)?);
            Ok(state.keys.view())
        }
        (Method::Get, "settings") => Ok(json!(state.settings)),
        (Method::Post, "settings") => {
            let patched = state.settings.patched(&body(call)?);
            state.settings = patched.map_err(|error| (400, error))?;
            Ok(json!(state.settings))
        }
        (Method::Get, "bill") => {
            let now = state.clock.now();
            let mut bill = state.bill.view(now);
            if let Json::Object(fields) = &mut bill {
                let zilliz = state.zilliz.bill.view(&state.settings.zilliz, now);
                fields.insert("zilliz".to_owned(), zilliz);
            }
            Ok(bill)
        }
        (Method::Get, "log") if parameter(&call.query, "summary").is_some() => {
            Ok(state.log.summary())
        }
        (Method::Get, "log") => Ok(state.log.view()),
        (Method::Delete, "log") => {
            state.log = crate::log::Log::default();
            Ok(json!({"status": "OK"}))
        }
        (Method::Post, "reset") => {
            state.reset();
            Ok(json!({"status": "OK"}))
        }
        (Method::Get, "") => Ok(json!({"status": "OK", "version": env!("CARGO_PKG_VERSION")})),
        (_, other) => Err((
            404,
            format!("no control `{other}` for {}", call.method.name()),
        )),
    }
}

/// The body as what the control takes.
pub(crate) fn body<T: DeserializeOwned>(call: &Call) -> Result<T, (u16, String)> {
    serde_json::from_slice(&call.body).map_err(|error| (400, error.to_string()))
}

fn clock(state: &State) -> Json {
    json!({"now": state.clock.now()})
}

fn turn(state: &mut State, turn: &Turn) -> Outcome {
    match (turn.now, turn.advance_seconds) {
        (Some(now), None) => state.clock.set(now),
        (None, Some(seconds)) => {
            let by =
                Duration::try_from_secs_f64(seconds).map_err(|error| (400, error.to_string()))?;
            state.clock.advance(by);
        }
        _ => return Err((400, "give either `now` or `advance_seconds`".to_owned())),
    }
    let now = state.clock.now();
    state.settle(now);
    Ok(clock(state))
}
