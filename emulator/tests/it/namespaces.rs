//! Writes, queries and metadata.

use std::time::Duration;

use lifeboat_emulator::Method;
use serde_json::json;

use crate::world::{EAST, World};

const ORDERS: &str = "/aws-us-east-1/v2/namespaces/orders";

#[test]
fn metadata_has_every_required_field() {
    let world = World::new();
    world.post(
        ORDERS,
        &json!({"upsert_rows": [{"id": 1, "vector": [0.1, 0.2], "title": "x"}], "distance_metric": "euclidean_squared"}),
    );
    assert_eq!(
        world.metadata(EAST, "orders").body,
        json!({
            "schema": {
                "id": {"type": "uint"}, "title": {"type": "string", "filterable": true},
                "vector": {"type": "[2]f32", "filterable": false, "ann": {"distance_metric": "euclidean_squared"}},
            },
            "approx_row_count": 1, "approx_logical_bytes": 17, "encryption": {"mode": "default"},
            "created_at": "2026-11-21T02:00:00Z", "updated_at": "2026-11-21T02:00:00Z",
            "last_write_at": "2026-11-21T02:00:00.000000000Z", "index": {"status": "up-to-date"},
        })
    );
    let v1 = world.get(&format!("/{EAST}/v1/namespaces/orders/metadata"));
    assert_eq!(v1.body["encryption"], json!({"sse": true}));
}

#[test]
fn times_move_with_what_changes() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    let times = || {
        let body = world.metadata(EAST, "orders").body;
        let minute = |name: &str| body[name].as_str().unwrap()[14..16].to_owned();
        (
            minute("created_at"),
            minute("updated_at"),
            minute("last_write_at"),
        )
    };
    let expect = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    world.emulator.advance(Duration::from_mins(1));
    world.post(
        &format!("/{EAST}/v1/namespaces/orders/schema"),
        &json!({"extra": "int"}),
    );
    assert_eq!(times(), expect("00", "01", "00"));
    world.emulator.advance(Duration::from_mins(1));
    world.post(ORDERS, &json!({"deletes": [1]}));
    assert_eq!(times(), expect("00", "02", "02"));
    world.emulator.advance(Duration::from_mins(1));
    world.call(
        Method::Patch,
        &format!("/{EAST}/v1/namespaces/orders/metadata"),
        &json!({"read_only": true}),
    );
    assert_eq!(times(), expect("00", "02", "02"));
}

#[test]
fn read_only_stops_writes_but_not_deletes() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    let patch = |body| {
        world.call(
            Method::Patch,
            &format!("/{EAST}/v1/namespaces/orders/metadata"),
            &body,
        )
    };
    assert_eq!(patch(json!({"read_only": "yes"})).status, 422);
    assert_eq!(patch(json!({"read_only": true})).body["read_only"], true);
    let got = world.post(ORDERS, &json!({"deletes": [1]}));
    assert_eq!(got.status, 400);
    assert_eq!(
        got.body["error"],
        "💔 Writes not permitted. This namespace is read-only."
    );
    assert_eq!(
        world
            .post(
                &format!("/{EAST}/v1/namespaces/orders/schema"),
                &json!({"x": "int"})
            )
            .status,
        400
    );
    assert_eq!(world.delete(ORDERS).body, json!({"status": "OK"}));
    assert_eq!(world.delete(ORDERS).status, 404);
}

#[test]
fn writes_are_refused_whole() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    for (body, status) in [
        (json!({}), 400),
        (json!({"upsert_rows": [{"id": 5}, {"id": 5}]}), 400),
        (json!({"upsert_rows": [{"id": 5}, {"id": "x"}]}), 400),
        (json!({"upsert_rows": [{"id": 5, "title": 5}]}), 400),
        (
            json!({"upsert_rows": [{"id": 5, "vector": [1, 2, 3]}]}),
            400,
        ),
        (json!({"upsert_rows": [{"title": "x"}]}), 422),
        (json!({"upsert_rows": 5}), 422),
        (json!({"patch_rows": [{"id": 1, "vector": [1, 2]}]}), 400),
        (json!({"upsert_rows": [{"id": 5}], "deletes": ["x"]}), 400),
    ] {
        assert_eq!(world.post(ORDERS, &body).status, status, "{body}");
        assert_eq!(world.rows(EAST, "orders").len(), 2, "{body}");
    }
    let nowhere = format!("/{EAST}/v2/namespaces/nowhere");
    assert_eq!(world.post(&nowhere, &json!({"deletes": [1]})).status, 404);
    assert_eq!(
        world
            .post(
                &nowhere,
                &json!({"create_namespace": false, "upsert_rows": [{"id": 1}]})
            )
            .status,
        404
    );
    assert_eq!(
        world
            .post(&nowhere, &json!({"create_namespace": true}))
            .status,
        400
    );
    let created = world.post(
        &nowhere,
        &json!({"create_namespace": true, "schema": {"id": "uuid"}}),
    );
    assert_eq!(created.status, 200, "{created:?}");
    assert_eq!(world.metadata(EAST, "nowhere").body["approx_row_count"], 0);
    assert_eq!(
        world
            .post(&format!("/{EAST}/v2/namespaces/a%20b"), &json!({}))
            .status,
        400
    );
}

#[test]
fn affected_rows_are_counted_by_kind() {
    let world = World::new();
    world.fill(EAST, "orders", 5);
    let got = world.post(
        ORDERS,
        &json!({"upsert_rows": [{"id": 9}], "patch_rows": [{"id": 1, "title": null}, {"id": 77, "title": "x"}],
            "deletes": [2, 99], "return_affected_ids": true}),
    );
    assert_eq!(got.body["rows_upserted"], 1);
    assert_eq!(got.body["rows_patched"], 1);
    assert_eq!(got.body["rows_deleted"], 2);
    assert_eq!(got.body["rows_affected"], 4);
    assert_eq!(got.body["deleted_ids"], json!([2, 99]));
    let got = world.post(
        ORDERS,
        &json!({"delete_by_filter": ["title", "Glob", "row *"]}),
    );
    assert_eq!(
        (&got.body["rows_deleted"], &got.body["rows_remaining"]),
        (&json!(3), &json!(false))
    );
    let kept = json!({"upsert_rows": [{"id": 9, "title": "new"}], "upsert_condition": ["title", "NotEq", null]});
    assert_eq!(world.post(ORDERS, &kept).body["rows_upserted"], 0);
}

#[test]
fn queries_page_count_and_refuse() {
    let world = World::new();
    world.fill(EAST, "orders", 25);
    let query = |body| world.post(&format!("{ORDERS}/query"), &body);
    let page = query(json!({"rank_by": ["id", "asc"], "filters": ["id", "Gt", 9], "limit": 10}));
    assert_eq!(page.body["rows"][0], json!({"id": 10}));
    assert_eq!(page.body["rows"].as_array().unwrap().len(), 10);
    assert_eq!(page.body["performance"]["approx_namespace_size"], 25);
    assert_eq!(
        page.body["billing"]["billable_logical_bytes_queried"],
        1_280_000_000
    );
    let last = query(
        json!({"rank_by": ["id", "desc"], "top_k": 1, "offset": 1, "include_attributes": ["vector"],
        "vector_encoding": "base64"}),
    );
    assert_eq!(
        last.body["rows"],
        json!([{"id": 23, "vector": "AAC4QQAAAD8="}])
    );
    let count = query(
        json!({"queries": [{"aggregate_by": {"n": ["Count"]}, "filters": ["title", "In", ["row 1"]]},
        {"rank_by": ["title", "desc"], "limit": 1}]}),
    );
    assert_eq!(
        count.body["results"],
        json!([{"aggregations": {"n": 1}}, {"rows": [{"id": 9}]}])
    );
    for (body, status) in [
        (json!({}), 400),
        (json!({"rank_by": ["id", "asc"], "limit": 10_001}), 400),
        (
            json!({"rank_by": ["id", "asc"], "aggregate_by": {"n": ["Count"]}}),
            422,
        ),
        (
            json!({"rank_by": ["id", "asc"], "filters": ["vector", "Eq", [1, 2]]}),
            400,
        ),
    ] {
        assert_eq!(query(body).status, status);
    }
    assert_eq!(
        world
            .post("/aws-us-east-1/v2/namespaces/none/query", &json!({}))
            .status,
        404
    );
}
