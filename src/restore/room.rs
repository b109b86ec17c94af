//! Whether there is room for what is restored: every destination is named and looked at before anything is started.
//!
//! What it must never do: let anything be started while something stands in the way of any part of it.

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::choose::Taken;
use super::destination::{Conflict, name_all};
use super::job::Order;
use super::{Restore, in_flight};
use crate::name::Namespace;
use crate::service::Service;

impl<S: Service> Restore<'_, '_, S> {
    /// Names what will be restored, and looks whether it stands already. `None` when anything is in the way of anything.
    pub(super) async fn find_room(&mut self, taken: Vec<Taken>) -> Option<Vec<Order>> {
        let sources = taken.iter().map(|taken| taken.backup.source());
        let region = self.world.destination.region();
        let named = name_all(&self.asked.template, sources, self.world.plans, region);
        let (destination, until) = (self.world.destination, self.until);
        let looks = stream::iter(named)
            .map(|(_, named)| look(destination, named, until).boxed_local())
            .buffered(in_flight(self.world.plan.concurrency))
            .collect::<Vec<_>>();
        let looks = looks.await;
        let (mut orders, mut done) = (Vec::new(), Vec::new());
        let mut in_the_way = Vec::new();
        for (taken, look) in taken.iter().zip(looks) {
            let order = |destination| Order {
                backup: taken.backup.clone(),
                sealed: taken.sealed,
                passed_over: taken.passed_over,
                destination,
            };
            match (look, self.restored_earlier(&taken.backup)) {
                (Look::Free(name), _) => orders.push(order(name)),
                (Look::Stands(name), Some(line)) => done.push((order(name), line.clone())),
                (Look::Stands(name), None) => {
                    let (name, region) = (name.to_string(), region.to_owned());
                    let exists = Conflict::Exists { name, region };
                    in_the_way.push((taken, exists.word(), exists.to_string()));
                }
                (Look::No(error, message), _) => in_the_way.push((taken, error, message)),
            }
        }
        for (order, line) in &done {
            self.report.add_earlier(order, line, true);
        }
        if in_the_way.is_empty() {
            return Some(orders);
        }
        for (taken, error, message) in in_the_way {
            let message = format!("{message}; nothing was started");
            self.report
                .fail_source(taken.backup.source(), error, message);
        }
        None
    }
}

/// What stands under a name.
enum Look {
    /// Nothing.
    Free(Namespace),
    /// Something.
    Stands(Namespace),
    /// The name can't be used, or it can't be seen what stands there: a stable word and a sentence.
    No(&'static str, String),
}

async fn look<S: Service>(service: &S, named: Result<Namespace, Conflict>, until: Instant) -> Look {
    let name = match named {
        Ok(name) => name,
        Err(conflict) => return Look::No(conflict.word(), conflict.to_string()),
    };
    match timeout_at(until, service.metadata(&name)).await {
        Ok(Ok(None)) => Look::Free(name),
        Ok(Ok(Some(_))) => Look::Stands(name),
        Ok(Err(error)) => Look::No(
            error.word(),
            format!("whether `{name}` stands already can't be seen: {error}"),
        ),
        Err(_) => Look::No(
            "out_of_time",
            format!("time ran out before it was seen whether `{name}` stands"),
        ),
    }
}
