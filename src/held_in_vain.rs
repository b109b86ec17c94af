//! Names in a target's `hold` that keep nothing, because nothing there is called so: mistyped, or deleted by somebody.
//!
//! What it must never do: let a backup be deleted that such a name may have meant.

use std::collections::BTreeSet;

use crate::event::nearest;
use crate::name::MANUAL;
use crate::prune::Inventory;

/// What is to be said of each of them.
#[must_use]
pub(crate) fn held_in_vain(hold: &BTreeSet<String>, standing: &Inventory) -> Vec<String> {
    if hold.is_empty() {
        return Vec::new();
    }
    let backups = standing.sources().flat_map(|(_, backups)| backups);
    let known: BTreeSet<&str> = backups
        .map(|backup| backup.name.namespace().as_str())
        .collect();
    let listed: Vec<&str> = known.iter().copied().collect();
    // What was made by hand stays for ever, held or not, and is not listed by a run.
    let in_vain = hold
        .iter()
        .filter(|name| !name.starts_with(MANUAL) && !known.contains(name.as_str()));
    in_vain
        .map(|name| {
            let nearest = nearest(name, &listed)
                .map(|near| format!("; the nearest name of a backup is `{near}`"));
            format!(
                "`hold` names `{name}`, and no backup here is called so, so nobody knows which it shall keep, and none is deleted; correct it, or take it off the list{}",
                nearest.unwrap_or_default()
            )
        })
        .collect()
}
