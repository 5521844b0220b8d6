//! What a comparison comes to, in the words that stand at its head: first what locks promise, then what no lock can
//! prevent, and only where nothing of that happened how long they take.

use super::super::comparison::{Group, Metric, counted};
use super::scale::time;
use crate::referee::Count;

/// So many groups have room for all their counts.
const FEW: usize = 2;

/// The first sentence is the headline.
pub(in crate::report) fn headline(groups: &[Group<'_>]) -> Vec<String> {
    if groups.iter().all(|group| group.runs.is_empty()) {
        return vec![
            "None of these runs may be used; what each of them is not fit for stands at its name.".to_owned(),
        ];
    }
    let by_contract = Doubles::of("contract_overlaps", groups);
    let in_acting = Doubles::of("double_acquisition", groups);
    let mut sentences = vec![
        by_contract.sentence("Two leases valid at once", "No two leases valid at once"),
        in_acting.sentence("Two holders acting at once", "No two holders acting at once"),
    ];
    if !by_contract.any() && !in_acting.any() {
        sentences.extend(latency(groups));
    }
    sentences
}

/// How often two of a kind met, for each group that has runs to tell of.
struct Doubles<'a>(Vec<(&'a str, Count)>);

impl<'a> Doubles<'a> {
    fn of(metric: &str, groups: &'a [Group<'_>]) -> Self {
        let metric = named(metric);
        let pooled = groups.iter().filter_map(|group| Some((group.label.as_str(), group.pooled(&metric?)?)));
        Self(pooled.collect())
    }

    fn any(&self) -> bool {
        self.0.iter().any(|(_, count)| count.count > 0)
    }

    /// Those that have some before those that have none. Of few groups a zero is told with what it bounds; of many that
    /// would be read by nobody, and stands among the figures.
    fn sentence(&self, some: &str, none: &str) -> String {
        let (met, apart): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, count)| count.count > 0);
        let few = self.0.len() <= FEW;
        let names = apart.iter().map(|(label, _)| *label).collect::<Vec<_>>().join(", ");
        let with_count = |(label, count): &&(&str, Count)| format!("{label} {}", counted(count));
        let mut told: Vec<_> = met.iter().map(with_count).collect();
        match (few, met.is_empty()) {
            (true, _) => told.extend(apart.iter().map(with_count)),
            (false, true) => return format!("{none}, under {names}."),
            (false, false) if apart.is_empty() => {}
            (false, false) => told.push(format!("none seen under {names}")),
        }
        format!("{}: {}.", if met.is_empty() { none } else { some }, told.join("; "))
    }
}

fn latency(groups: &[Group<'_>]) -> Option<String> {
    let metric = named("p99")?;
    let medians = groups
        .iter()
        .filter_map(|group| Some(format!("{} {}", group.label, time(group.value(&metric)? * 1e3))));
    let medians: Vec<_> = medians.collect();
    (!medians.is_empty()).then(|| format!("p99 of acquire: {}.", medians.join(", ")))
}

fn named(name: &str) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| metric.name == name)
}
