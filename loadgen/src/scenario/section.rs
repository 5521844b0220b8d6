//! One table of a scenario file: its keys, their values, and the lines where they stand.

use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Set;
use super::file::{ScenarioError, Source};
use super::text;

/// Below this likeness a known word is no guess at what was meant.
const LIKENESS_MIN: f64 = 0.6;

/// A table, whose keys are known.
pub(super) struct Section<'t> {
    source: &'t Source<'t>,
    table: &'t DeTable<'t>,
    /// What it is, for messages: `[load]`, `a partition`.
    what: &'t str,
}

type Found<T> = Result<Option<T>, ScenarioError>;

impl<'t> Section<'t> {
    /// Fails at the first key that is not one of these.
    pub(super) fn new(
        source: &'t Source<'t>,
        table: &'t DeTable<'t>,
        what: &'t str,
        known: &[&str],
    ) -> Result<Self, ScenarioError> {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let complaint = format!("unknown key {name:?} in {what}; {}", suggestion(name, known));
                return Err(source.error(key.span().start, complaint));
            }
        }
        Ok(Self { source, table, what })
    }

    /// A time.
    pub(super) fn duration(&self, key: &str) -> Found<Duration> {
        self.text(key, text::duration)
    }

    /// A text of one of the forms that a type reads.
    pub(super) fn parsed<T: FromStr>(&self, key: &str) -> Found<T>
    where
        T::Err: std::fmt::Display,
    {
        self.text(key, |text| text.parse::<T>().map_err(|error| error.to_string()))
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Found<T> {
        self.text(key, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            found.map(|(_, value)| *value).ok_or_else(|| suggestion(text, &known))
        })
    }

    /// A text.
    pub(super) fn text<T>(&self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Found<T> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a text in quotes"));
        };
        read(text).map(Some).map_err(|because| self.wrong(key, value, &because))
    }

    /// A whole number within these bounds.
    pub(super) fn whole(&self, key: &str, min: u64, max: u64) -> Found<u64> {
        let expected = || format!("expected a whole number from {min} to {max}");
        self.value(key, |value| {
            let number = whole(value).filter(|number| (min..=max).contains(number));
            number.ok_or_else(expected)
        })
    }

    /// A number.
    pub(super) fn number(&self, key: &str, check: impl FnOnce(f64) -> Result<f64, String>) -> Found<f64> {
        self.value(key, |value| {
            let text = match value {
                DeValue::Integer(number) => number.as_str(),
                DeValue::Float(number) => number.as_str(),
                _ => return Err("expected a number".to_owned()),
            };
            check(text.parse().map_err(|_| "expected a number".to_owned())?)
        })
    }

    /// A set, as a text or as a list of numbers.
    pub(super) fn set(&self, key: &str) -> Found<Set> {
        self.value(key, |value| match value {
            DeValue::String(text) => text.parse::<Set>().map_err(|error| error.to_string()),
            DeValue::Array(list) => {
                let members =
                    list.iter().map(|member| whole(member.get_ref()).and_then(|n| u32::try_from(n).ok()));
                let members = members.collect::<Option<Vec<u32>>>().unwrap_or_default();
                Set::of(members).map_err(|error| error.to_string())
            }
            _ => Err(super::set::SetError.to_string()),
        })
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &str) -> Found<&'t DeTable<'t>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Table(table) => Ok(Some(table)),
            _ => Err(self.wrong(key, value, &format!("expected a table, written [{key}]"))),
        }
    }

    /// The tables of a list, each with where it begins.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<(usize, &'t DeTable<'t>)>, ScenarioError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong = |value| self.wrong(key, value, &format!("expected tables, each written [[{key}]]"));
        let DeValue::Array(list) = value.get_ref() else { return Err(wrong(value)) };
        let table = |item: &'t Spanned<DeValue<'t>>| match item.get_ref() {
            DeValue::Table(table) => Ok((item.span().start, table)),
            _ => Err(wrong(item)),
        };
        list.iter().map(table).collect()
    }

    /// What goes wrong with the value of a key that is there.
    pub(super) fn refuse(&self, key: &str, because: &str) -> ScenarioError {
        match self.table.get(key) {
            Some(value) => self.wrong(key, value, because),
            None => self.source.error(0, format!("{key} of {}: {because}", self.what)),
        }
    }

    fn value<T>(&self, key: &str, read: impl FnOnce(&DeValue<'_>) -> Result<T, String>) -> Found<T> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        read(value.get_ref()).map(Some).map_err(|because| self.wrong(key, value, &because))
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, because: &str) -> ScenarioError {
        self.source.error(value.span().start, format!("{key:?} in {}: {because}", self.what))
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let DeValue::Integer(number) = value else { return None };
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The nearest word of those that are known, if any is near, and all of them.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let likeness = |known: &&str| strsim::jaro_winkler(word, known);
    let nearest =
        known.iter().copied().map(|known| (likeness(&known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let all = known.join(", ");
    match nearest {
        Some((likeness, nearest)) if likeness >= LIKENESS_MIN => {
            format!("did you mean {nearest:?}? (there are {all})")
        }
        _ => format!("there are {all}"),
    }
}
