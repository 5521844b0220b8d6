//! The frame of every page: one file, nothing fetched, light or dark as the reader's system is.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page with this title; `body` begins with its heading.
pub(super) fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("loadgen ", env!("CARGO_PKG_VERSION")));
                // No request for an icon either.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { "Made by " code { "loadgen " (env!("CARGO_PKG_VERSION")) } ". Figures are those of " code { "run.json" } "; pictures are drawn from " code { "intervals.hlog" } ", " code { "faults.jsonl" } " and " code { "violations.json" } " beside it." }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// A part of a page, by its heading.
pub(super) fn section(id: &str, heading: &str, contents: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby=(format!("{id}-h")) {
            h2 id=(format!("{id}-h")) { (heading) }
            (contents)
        }
    }
}

/// One figure that is seen first.
pub(super) fn tile(label: &str, figure: &Markup, unit: &str) -> Markup {
    html! {
        div.tile { span.label { (label) } span.figure { (figure) @if !unit.is_empty() { " " small { (unit) } } } }
    }
}
