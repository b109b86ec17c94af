//! Whether there is room for what is restored: every destination is named and looked at before anything is started.
//!
//! What it must never do: let anything be started while something stands in the way of any part of it.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::timeout_at;

use super::choose::Taken;
use super::destination::{Conflict, name_all};
use super::order::Order;
use super::{Restore, in_flight};
use crate::journal::JobLine;
use crate::name::Namespace;
use crate::service::Service;
use crate::slot::CLOCK_MARGIN;

impl<S: Service> Restore<'_, '_, S> {
    /// Looks what stands under the names that these sources would get.
    pub(super) async fn look_around(&self, sources: &[Namespace]) -> BTreeMap<Namespace, Look> {
        let names = self.name_all(sources.iter());
        let looks = names
            .into_iter()
            .filter_map(|(_, named)| named.ok())
            .map(|name| self.look(name).boxed_local());
        stream::iter(looks)
            .buffer_unordered(in_flight(self.world.plan.concurrency))
            .collect()
            .await
    }

    fn name_all<'n>(
        &self,
        sources: impl Iterator<Item = &'n Namespace>,
    ) -> Vec<(&'n Namespace, Result<Namespace, Conflict>)> {
        let region = self.world.destination.region();
        name_all(&self.asked.template, sources, self.world.plans, region)
    }

    async fn look(&self, name: Namespace) -> (Namespace, Look) {
        let look = match timeout_at(self.until, self.world.destination.metadata(&name)).await {
            Ok(Ok(None)) => Look::Free,
            Ok(Ok(Some(shown))) => Look::Stands {
                created_at: shown.created_at,
                updated_at: shown.updated_at,
            },
            Ok(Err(error)) => Look::No(
                error.word(),
                format!("whether `{name}` stands already can't be seen: {error}"),
            ),
            Err(_) => Look::No(
                "out_of_time",
                format!("time ran out before it was seen whether `{name}` stands"),
            ),
        };
        (name, look)
    }

    /// Names what will be restored, with what was seen of those names. `None` when anything is in the way of anything.
    pub(super) fn find_room(
        &mut self,
        taken: &[Taken],
        seen: &BTreeMap<Namespace, Look>,
    ) -> Option<Vec<Order>> {
        let region = self.world.destination.region();
        let names = self.name_all(taken.iter().map(|taken| taken.backup.source()));
        let (mut orders, mut done) = (Vec::new(), Vec::new());
        let mut in_the_way = Vec::new();
        for (taken, (_, named)) in taken.iter().zip(names) {
            let order = |destination| Order::of(taken.clone(), destination);
            let name = match named {
                Ok(name) => name,
                Err(conflict) => {
                    in_the_way.push((taken, conflict.word(), conflict.to_string()));
                    continue;
                }
            };
            match seen.get(&name) {
                Some(Look::Free) => orders.push(order(name)),
                Some(Look::Stands {
                    created_at,
                    updated_at,
                }) => match self.restored_earlier(&taken.backup, *created_at) {
                    Some(line) => done.push((order(name), line.clone(), *updated_at)),
                    None => {
                        let (name, region) = (name.to_string(), region.to_owned());
                        let exists = Conflict::Exists { name, region };
                        in_the_way.push((taken, exists.word(), exists.to_string()));
                    }
                },
                Some(Look::No(error, message)) => {
                    in_the_way.push((taken, *error, message.clone()));
                }
                None => {
                    in_the_way.push((
                        taken,
                        "not_looked_at",
                        format!("nobody looked whether `{name}` stands already; ask again"),
                    ));
                }
            }
        }
        for (order, line, updated_at) in &done {
            self.report.add_restored_earlier(order, line);
            self.warn_if_written_since(order, line, *updated_at);
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

impl<S> Restore<'_, '_, S> {
    /// What was restored is the user's, and nothing is restored into it again; but nobody should take it for untouched.
    fn warn_if_written_since(&mut self, order: &Order, line: &JobLine, updated_at: Timestamp) {
        let Some(restored_at) = line.ended_at else {
            return;
        };
        let written_since = match &line.handed_over {
            Some(handed_over) => updated_at > handed_over.updated_at,
            None => updated_at.duration_since(restored_at) > CLOCK_MARGIN,
        };
        if written_since {
            self.report.warn(format!(
                "`{}` was restored by this same request at {restored_at} and has been written since, at {updated_at}; nothing was done to it. To have the backup once more, restore it under another name with --as, or delete `{}` first",
                order.destination, order.destination
            ));
        }
    }
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing.
    Free,
    /// Something.
    Stands {
        /// When it was created, by the service's clock.
        created_at: Timestamp,
        /// When it was last written.
        updated_at: Timestamp,
    },
    /// It can't be seen: a stable word and a sentence.
    No(&'static str, String),
}
