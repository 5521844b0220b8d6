//! From a scenario file to a scenario, or to a message that names file, line, key and remedy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::fault::{ClockChange, Data, Effect, Fault, FaultKind, Links, Pick, Way, When};
use super::load::{Arrivals, Load, Profile, Skew};
use super::section::{Section, suggestion};
use super::{Delay, Scenario, Set, text};

/// What is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// Something in it.
    #[error("{file}:{line}: {complaint}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The key, what is wrong with it, and what would be right.
        complaint: String,
    },
    /// It cannot be read.
    #[error("cannot read the scenario {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// Neither a file nor the name of a scenario that ships.
    #[error("no scenario and no file is called {name:?}; {remedy}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        remedy: String,
    },
}

/// A table of a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// `[load]`.
    Load,
    /// The `[[fault]]` in this place, counted from 0.
    Fault(usize),
}

/// A text and the file that it is from.
pub(super) struct Source<'t> {
    file: &'t str,
    text: &'t str,
}

impl Source<'_> {
    pub(super) fn error(&self, at: usize, complaint: String) -> ScenarioError {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        ScenarioError::Line { file: self.file.to_owned(), line, complaint }
    }
}

const TIMES: [&str; 7] = ["kind", "start", "length", "every", "count", "jitter", "pick"];

/// The kinds of faults, and the keys that each has beside those of every fault.
const KINDS: [(&str, &[&str]); 12] = [
    ("pause-node", &["nodes"]),
    ("pause-endpoint", &["endpoints"]),
    ("kill-endpoint", &["endpoints", "data"]),
    ("flush", &["endpoints"]),
    ("clock", &["endpoints", "rate", "jump"]),
    ("partition", &["nodes", "endpoints", "way"]),
    ("latency", &["nodes", "endpoints", "way", "delay"]),
    ("half-open", &["nodes", "endpoints"]),
    ("lose-reply", &["nodes", "endpoints", "share"]),
    ("reset", &["nodes", "endpoints"]),
    ("throttle", &["nodes", "endpoints", "way", "bytes_per_s"]),
    ("stall", &["nodes", "endpoints", "way"]),
];

impl Scenario {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { file: file.clone(), reason: error.to_string() })?;
        let name = path.file_stem().map_or_else(|| file.clone(), |stem| stem.to_string_lossy().into_owned());
        Self::parse(&name, &file, &text)
    }

    /// Reads a text; `file` is what messages call it.
    pub(crate) fn parse(name: &str, file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = Source { file, text };
        let parsed = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            source.error(at, format!("this is no TOML: {}", error.message()))
        })?;
        let all = Section::new(&source, parsed.get_ref(), "a scenario", &["about", "load", "fault"])?;
        let about = all.text("about", |text| Ok(text.to_owned()))?.unwrap_or_default();
        let load = all.table("load")?.map(|table| load(&source, table)).transpose()?.unwrap_or_default();
        let faults = all.tables("fault")?;
        let faults = faults.into_iter().map(|(at, table)| fault(&source, at, table));
        Ok(Self {
            name: name.to_owned(),
            about,
            load,
            faults: faults.collect::<Result<_, _>>()?,
            file: file.to_owned(),
            text: text.to_owned(),
        })
    }

    /// An error about a key of it, for those who cannot do what it says.
    pub(crate) fn refuse(&self, place: Place, key: &str, because: &str) -> ScenarioError {
        let parsed = DeTable::parse(&self.text).ok();
        let at = parsed.and_then(|parsed| position(parsed.get_ref(), place, key));
        let source = Source { file: &self.file, text: &self.text };
        let what = match place {
            Place::Load => "[load]".to_owned(),
            Place::Fault(fault) => {
                format!("a fault of kind {}", self.faults.get(fault).map_or("", |fault| fault.kind.name()))
            }
        };
        source.error(at.unwrap_or(0), format!("{key:?} in {what}: {because}"))
    }
}

/// Where a key's value stands.
fn position(all: &DeTable<'_>, place: Place, key: &str) -> Option<usize> {
    let table = match place {
        Place::Load => all.get("load")?.get_ref(),
        Place::Fault(fault) => match all.get("fault")?.get_ref() {
            DeValue::Array(faults) => faults.get(fault)?.get_ref(),
            _ => return None,
        },
    };
    match table {
        DeValue::Table(table) => Some(table.get(key)?.span().start),
        _ => None,
    }
}

fn load(source: &Source<'_>, table: &DeTable<'_>) -> Result<Load, ScenarioError> {
    let keys = [
        "nodes",
        "rate",
        "profile",
        "arrivals",
        "keys",
        "skew",
        "hold",
        "ttl",
        "wait",
        "think",
        "warm_up",
        "duration",
        "cool_down",
    ];
    let section = Section::new(source, table, "[load]", &keys)?;
    let usual = Load::default();
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let arrivals = [("poisson", Arrivals::Poisson), ("constant", Arrivals::Constant)];
    Ok(Load {
        nodes: section.whole("nodes", 1, 1_000)?.map_or(usual.nodes, narrow),
        rate_per_s: section.number("rate", text::in_range)?.unwrap_or(usual.rate_per_s),
        profile: section.parsed::<Profile>("profile")?.unwrap_or(usual.profile),
        arrivals: section.word("arrivals", &arrivals)?.unwrap_or(usual.arrivals),
        keys: section.whole("keys", 1, 1_000_000)?.map_or(usual.keys, narrow),
        skew: section.parsed::<Skew>("skew")?.unwrap_or(usual.skew),
        hold: section.duration("hold")?.unwrap_or(usual.hold),
        ttl: section.duration("ttl")?.unwrap_or(usual.ttl),
        wait: section.duration("wait")?.unwrap_or(usual.wait),
        think: section.duration("think")?.unwrap_or(usual.think),
        warm_up: section.duration("warm_up")?.unwrap_or(usual.warm_up),
        duration: section.duration("duration")?.unwrap_or(usual.duration),
        cool_down: section.duration("cool_down")?.unwrap_or(usual.cool_down),
    })
}

fn fault(source: &Source<'_>, at: usize, table: &DeTable<'_>) -> Result<Fault, ScenarioError> {
    let (kind, own) = kind_of(source, at, table)?;
    let what = format!("a fault of kind {kind}");
    let keys: Vec<&str> = TIMES.iter().chain(own).copied().collect();
    let entry = Entry { source, at, kind, section: Section::new(source, table, &what, &keys)? };
    Ok(Fault { kind: entry.fault_kind()?, when: entry.when()? })
}

fn kind_of<'k>(
    source: &Source<'_>,
    at: usize,
    table: &DeTable<'_>,
) -> Result<(&'k str, &'k [&'k str]), ScenarioError> {
    let known = KINDS.map(|(kind, _)| kind);
    let Some(value) = table.get("kind") else {
        return Err(source.error(at, format!("a fault without a kind; there are {}", known.join(", "))));
    };
    let DeValue::String(given) = value.get_ref() else {
        return Err(
            source.error(value.span().start, "\"kind\" of a fault: expected a text in quotes".to_owned())
        );
    };
    let found = KINDS.into_iter().find(|(kind, _)| kind == given);
    found.ok_or_else(|| {
        let complaint = format!("unknown kind {given:?} of a fault; {}", suggestion(given, &known));
        source.error(value.span().start, complaint)
    })
}

/// A `[[fault]]` whose kind is known.
struct Entry<'t> {
    source: &'t Source<'t>,
    at: usize,
    kind: &'t str,
    section: Section<'t>,
}

impl Entry<'_> {
    fn fault_kind(&self) -> Result<FaultKind, ScenarioError> {
        let section = &self.section;
        Ok(match self.kind {
            "pause-node" => FaultKind::PauseNode { nodes: self.needed("nodes", section.set("nodes")?)? },
            "pause-endpoint" => FaultKind::PauseEndpoint { endpoints: self.endpoints()? },
            "kill-endpoint" => {
                let words = [("keep", Data::Keep), ("discard", Data::Discard)];
                let data = self.needed("data", section.word("data", &words)?)?;
                FaultKind::KillEndpoint { endpoints: self.endpoints()?, data }
            }
            "flush" => FaultKind::Flush { endpoints: self.endpoints()? },
            "clock" => FaultKind::Clock { endpoints: self.endpoints()?, change: self.clock()? },
            _ => FaultKind::Network { links: self.links()?, effect: self.effect()? },
        })
    }

    fn endpoints(&self) -> Result<Set, ScenarioError> {
        self.needed("endpoints", self.section.set("endpoints")?)
    }

    fn links(&self) -> Result<Links, ScenarioError> {
        let ways = [Way::Both, Way::ToEndpoint, Way::ToNode].map(|way| (way.name(), way));
        Ok(Links {
            nodes: self.section.set("nodes")?.unwrap_or(Set::All),
            endpoints: self.section.set("endpoints")?.unwrap_or(Set::All),
            way: self.section.word("way", &ways)?.unwrap_or(Way::Both),
        })
    }

    fn effect(&self) -> Result<Effect, ScenarioError> {
        let section = &self.section;
        Ok(match self.kind {
            "latency" => Effect::Latency(self.needed("delay", section.parsed::<Delay>("delay")?)?),
            "half-open" => Effect::HalfOpen,
            "lose-reply" => {
                let share = section.number("share", |share| {
                    let inside = share > 0.0 && share <= 1.0;
                    if inside { Ok(share) } else { Err("expected a share over 0, at most 1".to_owned()) }
                })?;
                Effect::LoseReply { share: self.needed("share", share)? }
            }
            "reset" => Effect::Reset,
            "throttle" => {
                let bytes_per_s = section.whole("bytes_per_s", 1, 1 << 40)?;
                Effect::Throttle { bytes_per_s: self.needed("bytes_per_s", bytes_per_s)? }
            }
            "stall" => Effect::Stall,
            _ => Effect::Partition,
        })
    }

    fn clock(&self) -> Result<ClockChange, ScenarioError> {
        let rate = self.section.number("rate", |rate| {
            let inside = (0.1..=10.0).contains(&rate);
            if inside { Ok(rate) } else { Err("expected 0.1 to 10 times its speed".to_owned()) }
        })?;
        let jump = self.section.text("jump", |text| {
            let jump: Result<jiff::SignedDuration, _> = text.trim_start_matches('+').parse();
            jump.map_err(|_| "expected a time such as \"5s\" or \"-5s\"".to_owned())
        })?;
        match (rate, jump) {
            (Some(rate), None) => Ok(ClockChange::Rate(rate)),
            (None, Some(jump)) => {
                Ok(ClockChange::JumpMs(i64::try_from(jump.as_millis()).unwrap_or(i64::MAX)))
            }
            (None, None) => Err(self.error("a fault of kind clock needs \"rate\" or \"jump\"".to_owned())),
            (Some(_), Some(_)) => {
                Err(self.section.refuse("jump", "a clock has \"rate\" or \"jump\", not both"))
            }
        }
    }

    fn when(&self) -> Result<When, ScenarioError> {
        let section = &self.section;
        let every = section.duration("every")?.filter(|every| !every.is_zero());
        let picks =
            [("all", Pick::All), ("spread", Pick::Spread), ("turn", Pick::Turn), ("random", Pick::Random)];
        let when = When {
            start: section.duration("start")?.unwrap_or_default(),
            length: self.length(section.duration("length")?)?,
            every,
            count: section.whole("count", 1, 1_000_000)?.and_then(|count| u32::try_from(count).ok()),
            jitter: section.duration("jitter")?.unwrap_or_default(),
            pick: section.word("pick", &picks)?.unwrap_or(Pick::All),
        };
        if when.every.is_none() {
            for key in ["count", "pick"] {
                let given = if key == "count" { when.count.is_some() } else { when.pick == Pick::Spread };
                if given {
                    return Err(section.refuse(key, "this needs \"every\": from one time to the next"));
                }
            }
        }
        let longest = when.length.unwrap_or_default() + when.jitter;
        if when.every.is_some_and(|every| longest >= every) {
            return Err(section.refuse("every", "it must be longer than \"length\" and \"jitter\" together"));
        }
        Ok(when)
    }

    /// What happens at one moment has none; what can last for ever may leave it out.
    fn length(&self, given: Option<Duration>) -> Result<Option<Duration>, ScenarioError> {
        match (self.kind, given) {
            ("flush", Some(_)) => Err(self.section.refuse("length", "a flush has no length")),
            ("flush" | "reset", None) => Ok(Some(Duration::ZERO)),
            ("clock", None) => Ok(None),
            (_, None) => Err(self.error(format!("a fault of kind {} needs a \"length\"", self.kind))),
            (_, given) => Ok(given),
        }
    }

    fn needed<T>(&self, key: &str, found: Option<T>) -> Result<T, ScenarioError> {
        found.ok_or_else(|| self.error(format!("a fault of kind {} needs {key:?}", self.kind)))
    }

    fn error(&self, complaint: String) -> ScenarioError {
        self.source.error(self.at, complaint)
    }
}
