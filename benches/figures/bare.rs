//! The same requests as a run of the product, sent with the bare official client: no limits, no retries, no decisions,
//! no logs. What the product costs above this is what its care costs.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use lifeboat::service::turbopuffer::http_client;
use serde::{Deserialize, Serialize};
use turbopuffer::Client;
use turbopuffer::types::{AggregateBy, Filter, Id, RankBy, RankByAttributeOrder, VectorEncoding};

use crate::product::Run;
use crate::service::Service;
use crate::service::{API_KEY, BACKUP_PREFIX, BACKUP_REGION, SOURCE_PREFIX, SOURCE_REGION};
use crate::{child, service, usage};

/// As many jobs at once as the product has by default.
const JOBS_AT_ONCE: usize = 64;

/// Where to send them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Setup {
    base_url: String,
}

/// Runs the bare loop once.
pub(crate) fn run(service: &Service) -> Run {
    let base_url = service.base_url.clone();
    child::result("bare", &Setup { base_url })
}

/// Reads the service's first source once, page after page of `rows`, and looks at nothing.
pub(crate) fn read_all(service: &Service) -> Run {
    let base_url = service.base_url.clone();
    child::result("reader", &Setup { base_url })
}

fn client(setup: &Setup, region: &str) -> Client {
    Client::builder()
        .api_key(API_KEY)
        .base_url(&setup.base_url)
        .region(region)
        .http_client(http_client().unwrap())
        .max_retries(0)
        .telemetry(false)
        .build()
        .unwrap()
}

/// The reader's own process.
pub(crate) fn read(setup: &Setup) -> Run {
    let source = client(setup, SOURCE_REGION).namespace(service::source(0));
    let (begun, cpu) = (Instant::now(), usage::cpu_seconds());
    let (mut requests, mut rows, mut last) = (0, 0, None::<Id>);
    child::one_thread().block_on(async {
        loop {
            let query = source
                .query()
                .rank_by(RankBy::attribute("id", RankByAttributeOrder::Asc))
                .include_attributes(true)
                .vector_encoding(VectorEncoding::Base64)
                .limit(1_000_u64);
            let page = match &last {
                None => query.send().await,
                Some(last) => query.filters(Filter::gt("id", last)).send().await,
            };
            let page = page.unwrap().rows;
            requests += 1;
            rows += u64::try_from(page.len()).unwrap();
            let Some(newest) = page.last() else { return };
            last = Some(newest.id.clone());
        }
    });
    Run {
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: usage::cpu_seconds() - cpu,
        peak_mib: usage::peak_mib(),
        requests,
        jobs: rows,
    }
}

/// The loop's own process.
pub(crate) fn play(setup: &Setup) -> Run {
    let (source, target) = (client(setup, SOURCE_REGION), client(setup, BACKUP_REGION));
    let (begun, cpu) = (Instant::now(), usage::cpu_seconds());
    let (jobs, requests) = child::one_thread().block_on(async {
        let (names, pages) = list(&source, SOURCE_PREFIX).await;
        let (_, more_pages) = list(&target, BACKUP_PREFIX).await;
        let jobs = u64::try_from(names.len()).unwrap();
        let work = names.iter().map(|name| job(&source, &target, name));
        let requests: Vec<u64> = stream::iter(work)
            .buffer_unordered(JOBS_AT_ONCE)
            .collect()
            .await;
        (jobs, pages + more_pages + requests.iter().sum::<u64>())
    });
    Run {
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: usage::cpu_seconds() - cpu,
        peak_mib: usage::peak_mib(),
        requests,
        jobs,
    }
}

/// All names, and the pages they came on.
async fn list(client: &Client, prefix: &str) -> (Vec<String>, u64) {
    let (mut names, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let mut request = client.namespaces().prefix(prefix).page_size(1_000);
        if let Some(cursor) = &cursor {
            request = request.cursor(cursor);
        }
        let page = request.send().await.unwrap();
        pages += 1;
        cursor = page
            .next_cursor()
            .filter(|cursor| !cursor.is_empty())
            .map(str::to_owned);
        names.extend(page.into_items().into_iter().map(|summary| summary.id));
        if cursor.is_none() {
            return (names, pages);
        }
    }
}

/// The seven requests of one job; copies take no time here, so one question about each is enough.
async fn job(source: &Client, target: &Client, name: &str) -> u64 {
    let rows = || BTreeMap::from([("rows".to_owned(), AggregateBy::count())]);
    let original = source.namespace(name);
    let backup = target.namespace(format!("{BACKUP_PREFIX}{name}-2000000000"));
    original.metadata().send().await.unwrap();
    original.query().aggregate_by(rows()).send().await.unwrap();
    let copy = backup.start_copy_from(name).source_region(SOURCE_REGION);
    let started = copy.send().await.unwrap();
    backup.poll_copy_from(&started.token).send().await.unwrap();
    backup.metadata().send().await.unwrap();
    backup.query().aggregate_by(rows()).send().await.unwrap();
    backup
        .update_metadata()
        .read_only(true)
        .send()
        .await
        .unwrap();
    7
}
