//! Ids in `hold` that keep nothing: one that nothing has was mistyped, or what had it is gone.
//!
//! What it must never do: let a tier be deleted that a mistyped id may have meant.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use tokio::time::timeout_at;

use super::making;
use crate::event::nearest;
use crate::journal::Tier;
use crate::plan::Tiers;
use crate::zilliz::client::{Client, ZillizError};
use crate::zilliz::run::Run;
use crate::zilliz::transport::Transport;

/// What is to be said of ids that are no tier's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::zilliz) struct HeldInVain {
    /// Of each that nothing has. Which tier was meant is not known, so none may be deleted.
    pub(in crate::zilliz) unknown: Vec<String>,
    /// Of each that is a backup's which the plan never deletes.
    pub(in crate::zilliz) of_others: Vec<String>,
}

/// The ids of everything that is known to be a tier.
pub(in crate::zilliz) fn ids_of(tiers: &[Tier]) -> BTreeSet<String> {
    tiers.iter().flat_map(making::ids).collect()
}

/// Looks for what `hold` names. The service is asked only where an id is none of the tiers'.
///
/// # Errors
/// When the service's backups can't be read to the end.
pub(in crate::zilliz) async fn held_in_vain<T: Transport>(
    rules: &Tiers,
    tiers: &BTreeSet<String>,
    client: &Client<T>,
) -> Result<HeldInVain, ZillizError> {
    if rules.hold.is_subset(tiers) {
        return Ok(HeldInVain::default());
    }
    let listed = client.all_backups().await?;
    let stands = |id: &str| listed.iter().any(|backup| backup.backup_id == id);
    Ok(sorted(&rules.hold, tiers, stands))
}

fn sorted(
    hold: &BTreeSet<String>,
    tiers: &BTreeSet<String>,
    stands: impl Fn(&str) -> bool,
) -> HeldInVain {
    let mut in_vain = HeldInVain::default();
    let known: Vec<&str> = tiers.iter().map(String::as_str).collect();
    for id in hold.difference(tiers) {
        if stands(id) {
            in_vain.of_others.push(format!(
                "`hold` names `{id}`, which is none of the plan's tiers: this plan never deletes it, and `hold` keeps nobody else from that, nor the service when it expires; take it off the list, or name a tier"
            ));
            continue;
        }
        let nearest =
            nearest(id, &known).map(|near| format!("; the nearest id of a tier is `{near}`"));
        in_vain.unknown.push(format!(
            "`hold` names `{id}`, and neither a tier of the plan nor any other backup has this id, so nobody knows which tier it shall keep, and none is deleted; correct it, or take it off the list{}",
            nearest.unwrap_or_default()
        ));
    }
    in_vain
}

impl<T: Transport> Run<'_, '_, T> {
    /// Whether every id in `hold` is known to keep what it names; what is not is told, and then no tier may be deleted.
    pub(super) async fn look_at_holds(&mut self, rules: &Tiers, tiers: &BTreeSet<String>) -> bool {
        let looked = held_in_vain(rules, tiers, self.world.client).boxed_local();
        let in_vain = match timeout_at(self.until, looked).await {
            Ok(Ok(in_vain)) => in_vain,
            Ok(Err(error)) => {
                let message = format!(
                    "whether what `hold` names is there could not be read, so no tier was deleted: {error}"
                );
                self.report.fail(None, None, error.word(), message);
                return false;
            }
            Err(_) => {
                self.out_of_time(None);
                return false;
            }
        };
        for message in in_vain.of_others {
            self.report.warn(message);
        }
        let are_known = in_vain.unknown.is_empty();
        for message in in_vain.unknown {
            self.report.fail(None, None, "hold_unknown", message);
        }
        are_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn only_what_nothing_has_is_unknown_and_the_nearest_tier_is_named() {
        let tiers = set(&["backup1_aaaa", "backup5_72107219aaa4b03"]);
        let stands = |id: &str| id == "backup9_auto";
        let said = |hold: &[&str]| sorted(&set(hold), &tiers, stands);
        assert_eq!(said(&["backup1_aaaa"]), HeldInVain::default());
        let foreign = said(&["backup9_auto"]);
        assert!(foreign.unknown.is_empty() && foreign.of_others[0].contains("`backup9_auto`"));
        let mistyped = said(&["backup1_aaaa", "backup5_72107219aaa4b0", "backup9_auto"]);
        let [message] = mistyped.unknown.as_slice() else {
            panic!("{mistyped:?}")
        };
        assert!(
            message.contains("`backup5_72107219aaa4b0`,")
                && message.ends_with("is `backup5_72107219aaa4b03`"),
            "{message}"
        );
        let of_nothing = sorted(&set(&["x"]), &BTreeSet::new(), |_| false);
        assert!(of_nothing.unknown[0].ends_with("take it off the list"));
    }
}
