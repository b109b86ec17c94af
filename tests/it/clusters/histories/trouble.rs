//! What goes wrong in a history of clusters: faults of the service, and somebody who changes policies.

use serde_json::{Value, json};

use super::History;
use crate::clusters::{CLUSTER, FAR, NEAR};

/// Whatever the service may do to a request.
pub(super) fn faults() -> [Value; 7] {
    [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"status": 429}),
        json!({"reset": "before"}),
        json!({"latency_ms": 45_000}),
        json!({"latency_ms": 700}),
    ]
}

/// Whatever may become of the service's own work: how often, of what, and how many times.
pub(super) fn rare() -> [(u8, Value, u8, Value); 3] {
    let copy = json!({"operation": "zilliz.copy", "region": FAR});
    let deletion = json!({"operation": "zilliz.delete_backup"});
    let automatic = json!({"operation": "zilliz.automatic_backup"});
    [
        (5, copy, 1, json!({"fail_operation": true})),
        (5, deletion, 2, json!({"delete_lies": true})),
        (8, automatic, 1, json!({"fail_operation": true})),
    ]
}

impl History {
    /// From now on these are the service's faults; those before are counted.
    pub(super) fn faults(&mut self, rules: Value) {
        let Value::Array(next) = &rules else {
            panic!("{rules}")
        };
        let emulator = &self.account.wire.emulator;
        // What is due happens before, with the faults there were.
        emulator.set_now(self.account.wire.now());
        self.tally.add_faults(&self.rules, &emulator.faults_fired());
        self.rules.clone_from(next);
        self.account.faults(rules);
    }

    /// What goes wrong from now on.
    pub(super) fn trouble(&mut self) {
        let any = [
            "create_backup",
            "set_policy",
            "list_backups",
            "describe_backup",
            "describe_policy",
            "list_clusters",
            "describe_job",
            "delete_backup",
        ];
        let faults = faults();
        let mut rules = Vec::new();
        for _ in 0..self.random.u8(..4) {
            self.tally.add("faults drawn", 1);
            let operation = format!("zilliz.{}", any[self.random.usize(..any.len())]);
            let fault = &faults[usize::from(self.random.u8(..7))];
            rules.push(json!({"match": {"operation": operation}, "fault": fault, "times": self.random.u8(1..9)}));
        }
        for (one_in, what, times, fault) in rare() {
            if self.random.u8(..one_in) == 0 {
                rules.push(json!({"match": what, "fault": fault, "times": times}));
            }
        }
        self.faults(json!(rules));
    }

    pub(super) fn somebody_drifts(&mut self) {
        self.tally.add("drifts", 1);
        self.faults(json!([]));
        let policy = match self.random.u8(..3) {
            0 => json!({"enabled": false, "crossRegionCopies": []}),
            1 => {
                json!({"enabled": true, "frequency": "1", "startTime": "20:00-22:00", "retentionDays": 7, "crossRegionCopies": []})
            }
            _ => {
                json!({"enabled": true, "frequency": "1,2,3,4,5,6,7", "startTime": "02:00-04:00", "retentionDays": 7,
                "crossRegionCopies": [{"regionId": NEAR, "retentionDays": 30}]})
            }
        };
        self.account.set_policy(CLUSTER, &policy);
    }
}
