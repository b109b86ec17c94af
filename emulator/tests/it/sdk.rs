//! The official Rust client, unmodified.

use std::time::Duration;

use lifeboat_emulator::{AsyncHint, Emulator};
use turbopuffer::Client;
use turbopuffer::types::{
    AggregateBy, CopyFromNamespaceOperation, CopyFromNamespaceOperationResult, Encryption, Filter,
    RankBy, Row, Vector,
};

use crate::http::served;
use crate::world::{EAST, WEST};

fn client(address: &str, region: &str) -> Client {
    Client::builder()
        .api_key("tpuf_key")
        .base_url(format!("http://{address}/{region}"))
        .build()
        .unwrap()
}

async fn filled(address: &str) -> Client {
    let east = client(address, EAST);
    let rows = (1..=2_500_u64).map(|id| {
        let vector = vec![0.1_f32, 1.0_f32 / 3.0];
        Row::new(id)
            .vector(vector)
            .insert("title", format!("row {id}"))
            .insert("n", id % 10)
    });
    let written = east
        .namespace("orders")
        .write()
        .upsert_rows(rows)
        .send()
        .await
        .unwrap();
    assert_eq!(written.rows_upserted, Some(2_500));
    east
}

#[tokio::test]
async fn reads_what_it_wrote() {
    served(|_, address| async move {
        let east = filled(&address).await;
        let orders = east.namespace("orders");
        let mut last = 0;
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let page = orders
                .query()
                .rank_by(RankBy::attribute("id", "asc"))
                .filters(Filter::gt("id", last))
                .limit(1_000)
                .include_attributes(true)
                .send()
                .await
                .unwrap();
            let page = page.rows.clone();
            if page.is_empty() {
                break;
            }
            rows.extend(page);
            last += 1_000;
        }
        assert_eq!(rows.len(), 2_500);
        let Some(Vector::Array(vector)) = &rows[0].vector else {
            panic!("{:?}", rows[0]);
        };
        assert_eq!(vector, &[0.1_f32, 1.0_f32 / 3.0]);
        let count = orders
            .query()
            .aggregate_by([("n", AggregateBy::count())])
            .filters(Filter::eq("n", 3))
            .send()
            .await
            .unwrap();
        assert_eq!(count.aggregations["n"], 250);
        let metadata = orders.metadata().send().await.unwrap();
        assert_eq!(
            (metadata.approx_row_count, metadata.read_only),
            (2_500, None)
        );
        let patched = orders
            .update_metadata()
            .read_only(true)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (patched.read_only, &patched.encryption),
            (Some(true), &Encryption::Default)
        );
        orders.delete_all().send().await.unwrap();
        assert!(orders.metadata().send().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn copies_by_every_door() {
    served(|emulator: Emulator, address| async move {
        let east = filled(&address).await;
        let west = client(&address, WEST);
        emulator.update_settings(|settings| settings.copy_overhead_ms = 20);
        let copied = west.namespace("a").copy_from("orders").source_region(EAST).send().await.unwrap();
        assert_eq!(copied.rows_affected, 2_500);
        emulator.update_settings(|settings| settings.async_hint = AsyncHint::Always);
        let hinted = west.namespace("b").copy_from("orders").source_region(EAST).send().await.unwrap();
        assert_eq!(hinted.rows_affected, 2_500);
        emulator.update_settings(|settings| settings.copy_overhead_ms = 60_000);
        let explicit = west.namespace("c");
        let token = explicit.start_copy_from("orders").source_region(EAST).send().await.unwrap().token.clone();
        let running = explicit.poll_copy_from(token.as_str()).send().await.unwrap();
        assert!(matches!(&running, CopyFromNamespaceOperation::Running(_)), "{running:?}");
        emulator.advance(Duration::from_mins(2));
        let finished = explicit.poll_copy_from(token.as_str()).send().await.unwrap();
        let CopyFromNamespaceOperation::Finished(finished) = &finished else {
            panic!("{finished:?}");
        };
        assert!(matches!(&finished.result, CopyFromNamespaceOperationResult::Success(result) if result.rows_affected == 2_500));
        let branch = east.namespace("branch").branch_from("orders").send().await.unwrap();
        assert_eq!(branch.message, "namespace branch successful");
        let mut names = Vec::new();
        let mut page = west.namespaces().page_size(2).send().await.unwrap();
        loop {
            names.extend(page.items().iter().map(|item| item.id.clone()));
            if !page.has_next_page() {
                break;
            }
            page = page.next_page().await.unwrap().unwrap();
        }
        assert_eq!(names, ["a", "b", "c"]);
    })
    .await;
}
