//! Copies, branches and operations.

use std::time::Duration;

use lifeboat_emulator::{AsyncErrors, AsyncHint, CopySnapshot, Method, Settings};
use serde_json::{Value, json};

use crate::world::{EAST, START, WEST, World, whole};

fn start(world: &World, source: &str, destination: &str) -> String {
    let from = json!({"copy_from_namespace": {"source_namespace": source, "source_region": EAST}});
    let got = world.post(&format!("/{WEST}/v2/namespaces/{destination}/async"), &from);
    assert_eq!(got.status, 202, "{got:?}");
    assert_eq!(got.header("preference-applied"), None);
    got.body["token"].as_str().unwrap().to_owned()
}

fn poll(world: &World, destination: &str, token: &str) -> Value {
    world
        .get(&format!(
            "/{WEST}/v1/namespaces/{destination}/operations/{token}"
        ))
        .body
}

#[test]
fn a_synchronous_copy_is_done_at_once_and_answered_later() {
    let world = World::new();
    world
        .emulator
        .seed_namespaces(EAST, ["big".to_owned()].into_iter(), 3, 500_000_000);
    let from = json!({"copy_from_namespace": {"source_namespace": "big", "source_region": EAST}});
    let got = world.post(&format!("/{WEST}/v2/namespaces/copy"), &from);
    assert_eq!(got.delay, Duration::from_millis(10_200)); // 50 MB/s and the overhead
    assert_eq!(
        got.body,
        json!({
            "status": "OK", "message": "namespace cloned successfully", "rows_affected": 3,
            "billing": {"billable_logical_bytes_written": 250_000_000, "query": {
                "billable_logical_bytes_queried": 0, "billable_logical_bytes_returned": 500_000_000}},
            "performance": {"server_total_ms": 10_200},
        })
    );
    assert_eq!(world.rows(WEST, "copy"), world.rows(EAST, "big"));
    let same = json!({"copy_from_namespace": "copy"});
    let got = world.post(&format!("/{WEST}/v2/namespaces/copy-2"), &same);
    assert_eq!(got.body["billing"].get("query"), None);
}

#[test]
fn an_operation_runs_for_its_time_and_is_invisible_until_done() {
    let world = World::new();
    world
        .emulator
        .seed_namespaces(EAST, ["big".to_owned()].into_iter(), 3, 490_000_000);
    world.emulator.advance(Duration::from_mins(1));
    let token = start(&world, "big", "copy");
    world.emulator.advance(Duration::from_secs(5));
    assert_eq!(
        poll(&world, "copy", &token),
        json!({"status": "running", "start_time": "2026-11-21T02:01:00Z", "progress": "50%"})
    );
    assert_eq!(world.metadata(WEST, "copy").status, 404);
    let again = json!({"copy_from_namespace": {"source_namespace": "big", "source_region": EAST}});
    let again = world.post(&format!("/{WEST}/v2/namespaces/copy"), &again);
    assert_eq!(again.status, 400);
    assert_eq!(
        again.body["error"],
        "💔 Destination namespace `copy` already exists"
    );
    world.emulator.advance(Duration::from_mins(1));
    let done = poll(&world, "copy", &token);
    assert_eq!(done["finish_time"], "2026-11-21T02:01:10Z");
    assert_eq!(done["result"]["success"]["rows_affected"], 3);
    let metadata = world.metadata(WEST, "copy").body;
    assert_eq!(metadata["created_at"], "2026-11-21T02:01:00Z");
    assert_eq!(metadata["last_write_at"], "2026-11-21T02:00:00.000000000Z");
}

#[test]
fn half_copies_can_be_made_visible() {
    let world = World::with(Settings {
        half_copies_visible: true,
        ..Settings::default()
    });
    world.fill(EAST, "orders", 10);
    let token = start(&world, "orders", "copy");
    assert_eq!(world.rows(WEST, "copy").len(), 5);
    assert_eq!(
        world.metadata(WEST, "copy").body["index"]["status"],
        "updating"
    );
    world.emulator.advance(Duration::from_secs(1));
    assert_eq!(poll(&world, "copy", &token)["status"], "finished");
    assert_eq!(world.rows(WEST, "copy").len(), 10);
}

#[test]
fn a_copy_holds_the_source_of_its_start_or_of_its_finish() {
    for (snapshot, expected) in [(CopySnapshot::AtStart, 10), (CopySnapshot::AtFinish, 20)] {
        let world = World::with(Settings {
            copy_snapshot: snapshot,
            ..Settings::default()
        });
        world.fill(EAST, "orders", 10);
        start(&world, "orders", "copy");
        world.fill(EAST, "orders", 20);
        world.emulator.advance(Duration::from_secs(1));
        assert_eq!(world.rows(WEST, "copy").len(), expected);
    }
}

#[test]
fn a_hint_is_taken_up_when_the_settings_say_so() {
    let world = World::with(Settings {
        async_hint: AsyncHint::AboveRows(5),
        ..Settings::default()
    });
    world.fill(EAST, "small", 5);
    world.fill(EAST, "large", 6);
    let ask = |source: &str, headers: &[(&str, &str)]| {
        let body = json!({"copy_from_namespace": source});
        let path = format!("/{EAST}/v2/namespaces/{source}-copy");
        whole(world.raw_with(Method::Post, &path, &body, headers))
    };
    let hint = [("prefer", "respond-async")];
    assert_eq!(ask("small", &hint).status, 200);
    let got = ask("large", &hint);
    assert_eq!(got.status, 202);
    assert_eq!(got.header("preference-applied"), Some("respond-async"));
    let token = got.body["token"].as_str().unwrap();
    let location = format!("/{EAST}/v1/namespaces/large-copy/operations/{token}");
    assert_eq!(got.header("location"), Some(location.as_str()));
    world.emulator.advance(Duration::from_secs(1));
    assert_eq!(world.get(&location).body["status"], "finished");
    world.delete(&format!("/{EAST}/v2/namespaces/large-copy"));
    assert_eq!(ask("large", &[]).status, 200);
}

#[test]
fn refusals_read_as_the_service_s() {
    let world = World::with(Settings {
        unknown_regions: vec!["mars".to_owned()],
        ..Settings::default()
    });
    world.fill(EAST, "orders", 1);
    let cases = [
        (
            json!("orders"),
            "orders",
            400,
            "💔 Source and destination namespace can't be the same",
        ),
        (
            json!("nope"),
            "copy",
            404,
            "🤷 namespace 'nope' was not found",
        ),
        (
            json!(5),
            "copy",
            422,
            "Failed to deserialize the JSON body into the target type: ",
        ),
        (
            json!({"source_namespace": "orders", "source_region": "mars"}),
            "copy",
            400,
            "💔 region 'mars' is not available for cross-region copy_from_namespace. available regions: aws-",
        ),
    ];
    for (from, destination, status, error) in cases {
        let path = format!("/{EAST}/v2/namespaces/{destination}");
        let got = world.post(&path, &json!({"copy_from_namespace": from}));
        assert_eq!(got.status, status, "{got:?}");
        assert!(
            got.body["error"].as_str().unwrap().starts_with(error),
            "{got:?}"
        );
        assert_eq!(got.body["status"], "error");
    }
    let mixed = json!({"copy_from_namespace": "orders", "deletes": [1]});
    let got = world.post(&format!("/{EAST}/v2/namespaces/copy"), &mixed);
    assert_eq!(
        got.body["error"],
        "💔 copy_from_namespace cannot be used with other write request fields"
    );
}

#[test]
fn refusals_of_operations_come_at_once_or_in_the_result() {
    let world = World::new();
    let from = json!({"copy_from_namespace": "nope"});
    let path = format!("/{WEST}/v2/namespaces/copy/async");
    assert_eq!(world.post(&path, &from).status, 404);
    world
        .emulator
        .update_settings(|settings| settings.async_errors = AsyncErrors::InResult);
    let got = world.post(&path, &from);
    assert_eq!(got.status, 202);
    world.emulator.advance(Duration::from_secs(1));
    let result = poll(&world, "copy", got.body["token"].as_str().unwrap())["result"].clone();
    let error = json!({"status": "error", "error": "🤷 namespace 'nope' was not found"});
    assert_eq!(
        result,
        json!({"error": {"status_code": 404, "detail": error}})
    );
}

#[test]
fn copies_inherit_what_they_should() {
    let world = World::new();
    let key = json!({"mode": "customer-managed", "key_name": "arn:a"});
    let path = format!("/{EAST}/v2/namespaces/secret");
    world.post(
        &path,
        &json!({"upsert_rows": [{"id": 1}], "encryption": key, "sharding": {"num_shards": 4}}),
    );
    let frozen = json!({"read_only": true, "pinning": true});
    let got = world.call(
        Method::Patch,
        &format!("/{EAST}/v1/namespaces/secret/metadata"),
        &frozen,
    );
    assert_eq!(
        got.body["encryption"],
        json!({"cmek": {"key_name": "arn:a"}})
    );
    assert_eq!(got.body["pinning"]["replicas"], 1);
    let crossing = json!({"source_namespace": "secret", "source_region": EAST});
    let got = world.post(
        &format!("/{WEST}/v2/namespaces/c"),
        &json!({"copy_from_namespace": crossing}),
    );
    assert_eq!(
        got.status, 400,
        "a customer's key does not cross regions by itself"
    );
    world.post(
        &format!("/{EAST}/v2/namespaces/c"),
        &json!({"copy_from_namespace": "secret"}),
    );
    let copy = world.metadata(EAST, "c").body;
    assert_eq!(
        (&copy["encryption"], &copy["read_only"]),
        (&key, &json!(true))
    );
    assert_eq!(
        (copy.get("pinning"), &copy["sharding"]),
        (None, &json!({"num_shards": 4}))
    );
    let default = json!({"source_namespace": "secret", "source_region": EAST, "dest_encryption": {"mode": "default"}});
    world.post(
        &format!("/{WEST}/v2/namespaces/d"),
        &json!({"copy_from_namespace": default}),
    );
    assert_eq!(
        world.metadata(WEST, "d").body["encryption"],
        json!({"mode": "default"})
    );
    let branch = json!({"branch_from_namespace": {"source_namespace": "secret"}});
    assert_eq!(
        world
            .post(&format!("/{EAST}/v2/namespaces/b"), &branch)
            .status,
        400,
        "sharded"
    );
}

#[test]
fn branches_share_rows_and_nothing_else() {
    let world = World::new();
    world.fill(EAST, "orders", 3);
    let path = format!("/{EAST}/v2/namespaces/branch");
    let got = world.post(&path, &json!({"branch_from_namespace": "orders"}));
    assert_eq!(got.body["message"], "namespace branch successful");
    assert_eq!(got.body["rows_affected"], 0);
    world.post(&path, &json!({"deletes": [0]}));
    assert_eq!(
        (
            world.rows(EAST, "orders").len(),
            world.rows(EAST, "branch").len()
        ),
        (3, 2)
    );
    world.delete(&format!("/{EAST}/v2/namespaces/orders"));
    assert_eq!(world.rows(EAST, "branch").len(), 2);
    assert_eq!(world.metadata(EAST, "branch").body["created_at"], START);
}

#[test]
fn other_organisations_are_reached_with_their_key_only() {
    let mut world = World::new();
    let key = |key: &str, organisation: &str, permissions: Value| json!({"key": key, "organisation": organisation, "permissions": permissions});
    let table = json!([
        key("tpuf_prod_admin", "prod", json!(["admin"])),
        key("tpuf_prod_read", "prod", json!(["read"])),
        key("tpuf_backup", "backup", json!(["read", "write"])),
    ]);
    assert_eq!(world.post("/_emulator/keys", &table).status, 200);
    world.key = "tpuf_prod_admin";
    world.fill(EAST, "orders", 1);
    world.key = "tpuf_backup";
    let copy = |api_key: Option<&str>| {
        let from =
            json!({"source_namespace": "orders", "source_region": EAST, "source_api_key": api_key});
        world
            .post(
                &format!("/{WEST}/v2/namespaces/copy"),
                &json!({"copy_from_namespace": from}),
            )
            .status
    };
    assert_eq!(copy(None), 404);
    assert_eq!(copy(Some("tpuf_wrong")), 401);
    assert_eq!(copy(Some("tpuf_prod_read")), 200);
    assert_eq!(world.get(&format!("/{WEST}/v1/namespaces")).status, 403);
    world.key = "tpuf_prod_admin";
    assert_eq!(world.metadata(WEST, "copy").status, 404);
}
