//! The part of a document that says what a plan may cost: `[plans.NAME.budget]`, of either service.

use toml::de::DeValue;

use super::Reported;
use super::walk::{Section, Table, Walk};
use crate::budget::{Budget, BudgetError};
use crate::price::MicroDollars;

pub(super) const BUDGET: Table = ("`budget`", &["soft_usd", "hard_usd"]);

/// Dollars in a budget are fewer.
const TOO_MANY: u64 = 1_000_000_000;
const WANTED: &str = "dollars for thirty days: a whole number such as 50, or in quotes such as \"100.50\", with six digits after the point at most";

impl Walk<'_, '_> {
    /// What the plan may cost; `None` if the document doesn't say.
    pub(super) fn budget(&mut self, plan: &Section<'_>) -> Result<Option<Budget>, Reported> {
        let Some(value) = plan.get("budget") else {
            return Ok(None);
        };
        let path = plan.at("budget");
        let DeValue::Table(table) = value else {
            return Err(self.wrong(&path, value, "a table, such as `{ soft_usd = 50 }`"));
        };
        let budget = Section { path, table };
        self.refuse_unknown(&budget, BUDGET);
        let soft = self.dollars(&budget, "soft_usd");
        let hard = self.dollars(&budget, "hard_usd");
        let of = Budget::of(soft?, hard?);
        of.map(Some).map_err(|error| {
            let place = match error {
                BudgetError::Empty | BudgetError::Nothing => budget.path.clone(),
                BudgetError::SoftAboveHard { .. } => budget.at("soft_usd"),
            };
            self.fault(&place, error.to_string())
        })
    }

    /// An amount, exactly as it is written: a number with a point in it would be another one already.
    fn dollars(
        &mut self,
        budget: &Section<'_>,
        key: &str,
    ) -> Result<Option<MicroDollars>, Reported> {
        let Some(value) = budget.get(key) else {
            return Ok(None);
        };
        let amount = match value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|dollars| *dollars < TOO_MANY)
                .map(|dollars| MicroDollars(dollars * 1_000_000)),
            DeValue::String(text) => MicroDollars::parse(text),
            _ => None,
        };
        match amount {
            Some(MicroDollars(0)) => {
                Err(self.fault(&budget.at(key), BudgetError::Nothing.to_string()))
            }
            Some(amount) => Ok(Some(amount)),
            None => Err(self.wrong(&budget.at(key), value, WANTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Faults, Settings};
    use crate::price::MicroDollars;

    const TURBOPUFFER: &str = "[plans.p.source]\nregion = \"aws-us-east-1\"\nprefixes = [\"acme-\"]\n[[plans.p.targets]]\nregion = \"aws-eu-central-1\"\n";
    const ZILLIZ: &str = "[plans.p]\nprovider = \"zilliz\"\nclusters = [\"in01-4be01c77d20a9f3\"]\nstart = \"02:00\"\n[[plans.p.targets]]\nregion = \"gcp-us-east4\"\n";

    fn read(plan: &str, budget: &str) -> Result<Settings, Faults> {
        let document = format!("{plan}{budget}");
        let environment = [
            ("LIFEBOAT_CONFIG", document.as_str()),
            ("ZILLIZ_API_KEY", "key"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::from_environment(&environment)
    }

    /// Millionths of the soft and of the hard budget.
    fn amounts(plan: &str, budget: &str) -> (Option<u64>, Option<u64>) {
        let settings = read(plan, budget).unwrap();
        let of_namespaces = settings.plans.iter().map(|plan| plan.budget);
        let of_clusters = settings.clusters.iter().map(|plan| plan.budget);
        let budget = of_namespaces.chain(of_clusters).next().unwrap();
        let micro = |amount: Option<MicroDollars>| amount.map(|amount| amount.0);
        budget.map_or((None, None), |budget| {
            (micro(budget.soft()), micro(budget.hard()))
        })
    }

    #[test]
    fn amounts_are_read_exactly_for_plans_of_both_services() {
        for plan in [TURBOPUFFER, ZILLIZ] {
            for (budget, soft, hard) in [
                ("", None, None),
                ("[plans.p.budget]\nsoft_usd = 50", Some(50_000_000), None),
                (
                    "[plans.p.budget]\nhard_usd = \"100.50\"",
                    None,
                    Some(100_500_000),
                ),
                (
                    "[plans.p.budget]\nsoft_usd = \"0.000001\"\nhard_usd = 999_999_999",
                    Some(1),
                    Some(999_999_999_000_000),
                ),
                (
                    "[plans.p.budget]\nsoft_usd = \"0.1\"\nhard_usd = \"0.10\"",
                    Some(100_000),
                    Some(100_000),
                ),
            ] {
                assert_eq!(amounts(plan, budget), (soft, hard), "{budget}");
            }
        }
    }

    #[test]
    fn every_mistake_has_its_place_and_its_remedy() {
        for (budget, says) in [
            (
                "budget = 50",
                "plans.p.budget: is the number `50`; it must be a table",
            ),
            (
                "budget = {}",
                "plans.p.budget: is empty; set `soft_usd`, `hard_usd` or both",
            ),
            (
                "budget.soft_usd = 0",
                "plans.p.budget.soft_usd: is nothing, which every copy costs more than",
            ),
            (
                "budget.hard_usd = \"0.00\"",
                "plans.p.budget.hard_usd: is nothing",
            ),
            (
                "budget.hard_usd = -5",
                "plans.p.budget.hard_usd: is the number `-5`; it must be dollars",
            ),
            (
                "budget.hard_usd = \"-5\"",
                "plans.p.budget.hard_usd: is the text \"-5\"; it must be dollars",
            ),
            (
                "budget.hard_usd = 100.5",
                "plans.p.budget.hard_usd: is the number `100.5`; it must be dollars for thirty days: a whole number such as 50, or in quotes such as \"100.50\"",
            ),
            (
                "budget.hard_usd = \"$50\"",
                "plans.p.budget.hard_usd: is the text \"$50\"; it must be",
            ),
            (
                "budget.hard_usd = \"0.0000001\"",
                "plans.p.budget.hard_usd: is the text \"0.0000001\"; it must be",
            ),
            (
                "budget.hard_usd = 1000000000",
                "plans.p.budget.hard_usd: is the number `1000000000`; it must be",
            ),
            (
                "budget.soft_usd = 60\nbudget.hard_usd = \"59.99\"",
                "plans.p.budget.soft_usd: $60.00 is more than `hard_usd`, $59.99, so copies would stop before anybody is warned; lower it",
            ),
            (
                "budget.hard = 60",
                "plans.p.budget.hard: is not known; did you mean `hard_usd`?",
            ),
            (
                "hard_usd = 60",
                "plans.p.hard_usd: is not known here; it belongs to `budget`",
            ),
        ] {
            for plan in [TURBOPUFFER, ZILLIZ] {
                let plan = plan.replacen("[plans.p]\n", "", 1);
                let said = read(&format!("[plans.p]\n{budget}\n{plan}"), "").map(|_| ());
                let said = said.unwrap_err().to_string();
                assert!(said.contains(says), "{budget}: {said}");
            }
        }
    }
}
