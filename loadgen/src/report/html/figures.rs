//! Figures of `run.json` in a page: each is looked up by its name there, and bears it.

use maud::{Markup, html};
use serde_json::Value;

use super::super::run_json::Run;
use super::super::table::{decimal, ms, percent, whole};

/// The figures of one run, by their names in `run.json`.
#[derive(Debug)]
pub(super) struct Figures(Value);

impl Figures {
    pub(super) fn of(run: &Run) -> Result<Self, serde_json::Error> {
        serde_json::to_value(run).map(Self)
    }

    /// Microseconds, shown as milliseconds.
    pub(super) fn ms(&self, name: &str) -> Markup {
        self.show(name, |number| ms(number.as_f64()))
    }

    /// The same with its unit, for a place that does not name it.
    pub(super) fn ms_unit(&self, name: &str) -> Markup {
        html! { (self.ms(name)) @if self.has(name) { " ms" } }
    }

    /// A number of things.
    pub(super) fn whole(&self, name: &str) -> Markup {
        self.show(name, |number| number.as_u64().map_or_else(|| number.to_string(), whole))
    }

    /// A share of one, shown in per cent.
    pub(super) fn percent(&self, name: &str) -> Markup {
        self.show(name, |number| percent(number.as_f64()))
    }

    /// Any other number.
    pub(super) fn decimal(&self, name: &str) -> Markup {
        self.show(name, |number| number.as_f64().map_or_else(|| number.to_string(), decimal))
    }

    /// Whether there is such a figure.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.look_up(name).is_null()
    }

    /// Whether there is such a figure, and it is not zero.
    pub(super) fn above_zero(&self, name: &str) -> bool {
        self.look_up(name).as_f64().is_some_and(|number| number > 0.0)
    }

    fn look_up(&self, name: &str) -> &Value {
        name.split('.').fold(&self.0, |value, part| &value[part])
    }

    fn show(&self, name: &str, text: impl Fn(&serde_json::Number) -> String) -> Markup {
        match self.look_up(name) {
            Value::Number(number) => html! {
                data value=(number) data-field=(name) { (text(number)) }
            },
            _ => html! { span.nothing data-field=(name) { "–" } },
        }
    }
}
