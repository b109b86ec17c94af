//! Short words for calls.

use std::time::Duration;

use jiff::Timestamp;
use lifeboat_emulator::{Answer, Call, ClockMode, Delivery, Emulator, Method, Settings};
use serde_json::{Value, json};

pub(crate) const EAST: &str = "aws-us-east-1";
pub(crate) const WEST: &str = "aws-us-west-2";
pub(crate) const START: &str = "2026-11-21T02:00:00Z";

/// An emulator on a manual clock, and what it answered.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) key: &'static str,
}

/// An answer in one piece.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) delay: Duration,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let start: Timestamp = START.parse().unwrap();
        Self {
            emulator: Emulator::new(Settings {
                clock: ClockMode::Manual(start),
                ..settings
            }),
            key: "tpuf_test_key_0001",
        }
    }

    pub(crate) fn raw(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.raw_with(method, path, body, &[])
    }

    pub(crate) fn raw_with(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut all = vec![("authorization".to_owned(), format!("Bearer {}", self.key))];
        all.extend(
            headers
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        self.emulator.call(Call {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: all,
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
        })
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: &Value) -> Got {
        whole(self.raw(method, path, body))
    }

    pub(crate) fn get(&self, path: &str) -> Got {
        self.call(Method::Get, path, &Value::Null)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Got {
        self.call(Method::Post, path, body)
    }

    pub(crate) fn delete(&self, path: &str) -> Got {
        self.call(Method::Delete, path, &Value::Null)
    }

    /// Writes `rows` small documents.
    pub(crate) fn fill(&self, region: &str, name: &str, rows: u64) {
        let rows: Vec<Value> = (0..rows)
            .map(|id| json!({"id": id, "title": format!("row {id}"), "vector": [id, 0.5]}))
            .collect();
        let got = self.post(
            &format!("/{region}/v2/namespaces/{name}"),
            &json!({"upsert_rows": rows}),
        );
        assert_eq!(got.status, 200, "{got:?}");
    }

    pub(crate) fn metadata(&self, region: &str, name: &str) -> Got {
        self.get(&format!("/{region}/v2/namespaces/{name}/metadata"))
    }

    /// All documents, as they are shown.
    pub(crate) fn rows(&self, region: &str, name: &str) -> Vec<Value> {
        let query = json!({"rank_by": ["id", "asc"], "limit": 10_000, "include_attributes": true});
        let got = self.post(&format!("/{region}/v2/namespaces/{name}/query"), &query);
        got.body["rows"].as_array().unwrap().clone()
    }
}

pub(crate) fn whole(answer: Answer) -> Got {
    let Delivery::Whole(response) = answer.delivery else {
        panic!("no whole answer: {answer:?}");
    };
    Got {
        status: response.status,
        body: serde_json::from_slice(&response.body).unwrap_or(Value::Null),
        headers: response
            .headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        delay: answer.delay,
    }
}
