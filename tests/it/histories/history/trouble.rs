//! What goes wrong, by chance: how long copies take, faults of the services, chances of the journal.

use std::time::Duration;

use serde_json::{Value, json};

use super::History;
use crate::faulty_store::Chances;
use crate::world::{OTHER_TARGET, SOURCE, TARGET};

/// Whatever the services may do to a request.
pub(in crate::histories) fn faults() -> [Value; 24] {
    [
        json!({"status": 500}),
        json!({"status": 503, "commit": "after"}),
        json!({"status": 429}),
        json!({"status": 429, "retry_after": 3}),
        json!({"status": 429, "retry_after": 60}),
        json!({"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}),
        json!({"reset": "before"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"latency_ms": 4_000}),
        json!({"status": 403}),
        json!({"lose_token": true}),
        json!({"fail_operation": true}),
        json!({"corrupt_copy": "drop_rows"}),
        json!({"corrupt_copy": "drop_attribute"}),
        json!({"corrupt_copy": "flip_vector_bit"}),
        json!({"stall_operation": true}),
        json!({"delete_lies": true}),
        json!({"clock_skew_seconds": 900}),
        json!({"clock_skew_seconds": -900}),
        json!({"drop_page": true}),
        json!({"repeat_page": true}),
        json!({"loop_cursor": true}),
        json!({"revoke_key": true}),
    ]
}

impl History {
    pub(super) fn copies_take(&mut self, night: i64) {
        let milliseconds = match self.dice.u32(0..16) {
            0 if night > 0 => self.dice.u64(1..8) * 3_600_000,
            1..3 => self.dice.u64(120_000..900_000),
            3..6 => self.dice.u64(10..60_000),
            _ => self.dice.u64(10..1_000),
        };
        self.world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = milliseconds);
    }

    pub(super) fn some_faults(&mut self) -> Vec<Value> {
        let operations = [
            "list",
            "metadata",
            "patch_metadata",
            "query",
            "start_copy",
            "poll",
            "delete",
            "any",
        ];
        let faults = faults();
        let rules = (0..self.dice.usize(0..5)).map(|_| {
            let fault = &faults[self.dice.usize(0..faults.len())];
            let named = fault.as_object().unwrap().keys().next().unwrap().clone();
            let operation = match named.as_str() {
                "drop_page" | "repeat_page" | "loop_cursor" => "list",
                "delete_lies" => "delete",
                "lose_token" | "fail_operation" | "corrupt_copy" | "stall_operation" => {
                    "start_copy"
                }
                _ => operations[self.dice.usize(0..operations.len())],
            };
            let mut when = json!({"operation": operation});
            if self.dice.u8(0..3) == 0 {
                when["region"] = json!([SOURCE, TARGET, OTHER_TARGET][self.dice.usize(0..3)]);
            }
            let probability = [0.05, 0.3, 1.0][self.dice.usize(0..3)];
            json!({"match": when, "fault": fault, "probability": probability, "times": self.dice.u64(1..200)})
        });
        rules.collect()
    }

    pub(super) fn has_fault(&self, named: &str) -> bool {
        self.tonight
            .iter()
            .any(|rule| rule["fault"].get(named).is_some())
    }

    pub(super) fn some_chances(&mut self) -> Chances {
        match self.dice.u8(0..4) {
            0 => Chances {
                fails_before: self.dice.u8(1..30),
                fails_after: self.dice.u8(1..20),
                longest_delay: Duration::from_millis(self.dice.u64(1..3_000)),
            },
            1 => Chances {
                longest_delay: Duration::from_secs(1),
                ..Chances::default()
            },
            _ => Chances::default(),
        }
    }
}
