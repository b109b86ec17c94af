//! Pages: reading `pageSize` and `currentPage`, and cutting a page out of everything there is.

use serde_json::{Value as Json, json};

use crate::fault::Fault;
use crate::route::parameter;
use crate::zilliz::envelope::{Refusal, Result, code};

const LARGEST: usize = 100;

/// Which part of a listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    size: usize,
    /// From 1.
    current: usize,
}

impl Page {
    /// Ten and one where absent. Documented for clusters; inferred for backups.
    pub(crate) fn read(query: &str) -> Result<Self> {
        Self::read_with(query, 10)
    }

    /// As [`Page::read`], with another size where absent.
    pub(crate) fn read_with(query: &str, default: usize) -> Result<Self> {
        let number = |name, absent| match parameter(query, name) {
            Some(text) => text.parse().ok(),
            None => Some(absent),
        };
        let size = number("pageSize", default)
            .filter(|size| (1..=LARGEST).contains(size))
            .ok_or_else(|| Refusal::new(code::PAGE_SIZE, "pageSize must be 1 to 100."))?;
        let current = number("currentPage", 1)
            .filter(|current| *current > 0)
            .ok_or_else(|| Refusal::new(code::CURRENT_PAGE, "currentPage must be 1 or more."))?;
        Ok(Self { size, current })
    }

    /// Whether it is not the first one.
    pub(crate) fn is_later(query: &str) -> bool {
        parameter(query, "currentPage").is_some_and(|page| !matches!(&*page, "" | "0" | "1"))
    }

    /// The items of this page, or of its neighbour where the fault says so.
    pub(crate) fn cut<'a, T>(&self, all: &'a [T], fault: &Fault) -> &'a [T] {
        let before = self.current.saturating_sub(1);
        let pages = if fault.drop_page {
            before.saturating_add(1)
        } else if fault.repeat_page {
            before.saturating_sub(1)
        } else {
            before
        };
        let rest = all
            .get(pages.saturating_mul(self.size)..)
            .unwrap_or_default();
        rest.get(..self.size).unwrap_or(rest)
    }

    /// What goes under `data`; `count` is of all pages.
    pub(crate) fn answer(
        &self,
        name: &str,
        count: usize,
        items: impl Iterator<Item = Json>,
    ) -> Json {
        // Not all within one `json!`, which would copy every item.
        let data = [
            ("count", json!(count)),
            ("currentPage", json!(self.current)),
            ("pageSize", json!(self.size)),
            (name, items.collect()),
        ];
        data.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(query: &str) -> u32 {
        Page::read(query).unwrap_err().code
    }

    #[test]
    fn sizes_and_numbers_outside_their_range_are_refused() {
        for bad in ["pageSize=0", "pageSize=101", "pageSize=x", "pageSize="] {
            assert_eq!(refused(bad), 96008, "{bad}");
        }
        for bad in ["currentPage=0", "currentPage=-1", "currentPage=x"] {
            assert_eq!(refused(bad), 96009, "{bad}");
        }
        let defaults = Page {
            size: 10,
            current: 1,
        };
        assert_eq!(Page::read(""), Ok(defaults));
    }

    proptest! {
        #[test]
        fn pages_hold_everything_once_and_in_order(count in 0_usize..350, size in 1_usize..=100) {
            let all: Vec<usize> = (0..count).collect();
            let mut seen = Vec::new();
            let mut current = 1;
            loop {
                let page = Page::read(&format!("pageSize={size}&currentPage={current}")).unwrap();
                let items = page.cut(&all, &Fault::default());
                if items.is_empty() {
                    break;
                }
                seen.extend_from_slice(items);
                current += 1;
            }
            prop_assert_eq!(current - 1, count.div_ceil(size));
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn pages_past_the_end_are_empty_however_far(
            size in 1_usize..=100,
            current in prop_oneof![1_usize..5, 1_usize.., Just((1 << 63) + 1)],
        ) {
            let all = [1, 2, 3];
            let expected = all.chunks(size).nth(current - 1).unwrap_or_default();
            let page = Page { size, current };
            prop_assert_eq!(page.cut(&all, &Fault::default()), expected);
        }
    }
}
