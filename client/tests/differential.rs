//! The store behind endpoints in memory and the script on a real server say the same and keep the same, through long random
//! histories of operations, admissions, restarts, promotions, flushes, hands that meddle, and passing time.
//!
//! The real server goes by a clock of its own, which is stepped where time is to pass; the store is told that clock's time, as
//! it stands in the server's replies. Of what a key has left, only the time a call took may differ.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/script.rs"]
mod script;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use leasehold::memory::store::{Left, Role, Store, Value};
use leasehold::protocol::call::Admission;
use leasehold::protocol::wire::{AdmitReply, BatchReply, decode_admit, decode_batch};
use leasehold::protocol::{Action, Fence, LeaseName, Operation, OwnerId, Reply};
use leasehold::scripts::Settings;
use leasehold_trio::{self as trio, Data, Fsync, Persistence, Server, ServerOptions};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use script::{alike, fields, run_batch, tolerance_ms};

/// Histories, and the most steps of one.
const HISTORIES: u32 = 40;
const STEPS_MAX: usize = 60;

/// How near a key's end may be when something is asked of it: nearer, and who asked first would be luck.
const MARGIN_MS: u64 = 400;

#[derive(Clone, Debug)]
enum Step {
    Run {
        operations: Vec<Operation>,
        member: usize,
        settings: usize,
    },
    Admit {
        admission: Admission,
        set: &'static str,
        settings: usize,
    },
    Pass {
        ms: u32,
    },
    Flush,
    Restart {
        data: Data,
    },
    /// Follows a master that is not there, is asked, and is a master again.
    Promote {
        operations: Vec<Operation>,
    },
    Write {
        key: String,
        text: String,
        ttl_ms: Option<u64>,
    },
    WriteOtherType {
        key: String,
    },
    Delete {
        key: String,
    },
}

fn settings(index: usize) -> Settings {
    let ttl_ms_max = [30_000, 20_000][index];
    Settings { namespace: "lh".to_owned(), database: 0, endpoints: 3, ttl_ms_max }
}

/// Few names, two of which draw from one stripe, so that operations meet.
fn names() -> Vec<&'static str> {
    vec!["job", "other", "n2383"]
}

fn owners() -> Vec<OwnerId> {
    vec![OwnerId::new(1), OwnerId::new(u128::MAX), OwnerId::new(0xa11ce)]
}

fn action() -> impl Strategy<Value = Action> {
    let ttl_ms = || prop::sample::select(vec![1_000, 5_000, 12_000, 20_001, 30_000, 30_001]);
    let fence = || {
        let last = (1 << 53) - 1;
        prop::sample::select(vec![1, 9, 1_000_000, 1_800_000_000_000_001, last - 1, last])
            .prop_map(Fence::new)
    };
    // Proposals are counted from the server's clock, or stand as they are.
    let proposal = prop::sample::select(vec![0, u64::MAX, 1_704_067_200_000_000, 4_102_444_800_000_001]);
    prop_oneof![
        6 => (ttl_ms(), proposal).prop_map(|(ttl_ms, proposal)| Action::Acquire { ttl_ms, proposal }),
        4 => (ttl_ms(), fence()).prop_map(|(ttl_ms, fence)| Action::Extend { ttl_ms, fence }),
        4 => (ttl_ms(), fence()).prop_map(|(ttl_ms, fence)| Action::Heal { ttl_ms, fence }),
        3 => fence().prop_map(|fence| Action::Raise { fence }),
        3 => ttl_ms().prop_map(|ttl_ms| Action::Shadow { ttl_ms }),
        2 => Just(Action::Validate),
        3 => Just(Action::Release),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let (name, owner) = (prop::sample::select(names()), prop::sample::select(owners()));
    (name, owner, action()).prop_map(|(name, owner, action)| Operation {
        name: LeaseName::new(name).unwrap(),
        owner,
        action,
    })
}

fn key() -> impl Strategy<Value = String> {
    let fence = |name: &str| format!("lh:fence:{}", LeaseName::new(name).unwrap().stripe());
    let mut keys = vec!["lh:shadows".to_owned(), "lh:quarantine".to_owned()];
    for name in names() {
        keys.extend([format!("lh:lock:{name}"), format!("lh:shadow:{name}"), fence(name)]);
    }
    prop::sample::select(keys)
}

fn text() -> impl Strategy<Value = String> {
    let mut texts = vec!["somebody".to_owned(), "7".to_owned(), "1800000000000000".to_owned()];
    for owner in owners() {
        texts.extend([format!("{owner}"), format!("{owner}:8"), format!("{owner}:")]);
    }
    prop::sample::select(texts)
}

fn step() -> impl Strategy<Value = Step> {
    let operations = || prop::collection::vec(operation(), 1..8);
    let admission = || {
        prop_oneof![
            8 => Just(Admission::Member),
            1 => Just(Admission::Distrust),
            2 => Just(Admission::Fresh),
            1 => Just(Admission::Reconfigure),
            2 => Just(Admission::Durable),
        ]
    };
    let set = || prop::sample::select(vec!["-", "-", "set", "set", "other"]);
    let ttl_ms = || prop::option::of(prop::sample::select(vec![2_000u64, 15_000, 60_000]));
    prop_oneof![
        40 => (operations(), prop_oneof![12 => Just(0), 1 => 1..4usize], prop::bool::weighted(0.05))
            .prop_map(|(operations, member, second)| Step::Run { operations, member, settings: second.into() }),
        10 => (admission(), set(), prop::bool::weighted(0.15))
            .prop_map(|(admission, set, second)| Step::Admit { admission, set, settings: second.into() }),
        15 => prop::sample::select(vec![10, 10, 700, 4_000, 11_000, 31_000]).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|keep| Step::Restart { data: if keep { Data::Keep } else { Data::Discard } }),
        1 => operations().prop_map(|operations| Step::Promote { operations }),
        4 => (key(), text(), ttl_ms()).prop_map(|(key, text, ttl_ms)| Step::Write { key, text, ttl_ms }),
        1 => key().prop_map(|key| Step::WriteOtherType { key }),
        4 => key().prop_map(|key| Step::Delete { key }),
    ]
}

/// The two, side by side.
struct Pair {
    server: Server,
    store: Store,
    incarnation: u64,
    /// Records of admission, as each of the two told them: the newest last.
    members: Vec<(String, String)>,
    /// From before the look by which the store was last set right: within a script the server's `TIME` goes on, and what a key has
    /// left is of the script's beginning, so the two may be apart by what that look took.
    since: Instant,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    steps: u64,
    operations: u64,
    grants: u64,
    admissions: u64,
    /// What was kept was compared so often, key by key.
    keys: u64,
    /// A key ended during a call, and the store was set right by hand.
    set_right: u64,
}

/// What a server keeps, at a time of its clock.
struct Dump {
    time_us: u64,
    entries: Vec<(String, Value, Left)>,
}

const DUMP: &str = "
local time, keys = redis.call('TIME'), redis.call('KEYS', '*')
table.sort(keys)
local dump = {time[1] .. string.format('%06d', time[2])}
for _, key in ipairs(keys) do
  local is_text = redis.call('TYPE', key).ok == 'string'
  for _, part in ipairs({key, is_text and 1 or 0, is_text and redis.call('GET', key) or '', redis.call('PTTL', key)}) do
    dump[#dump + 1] = part
  end
end
return dump";

impl Pair {
    fn new() -> Self {
        let persistence = Persistence::AppendOnly(Fsync::Always);
        let server =
            Server::start(ServerOptions { persistence, own_clock: true, ..ServerOptions::default() });
        let server = server.unwrap();
        let mut store = Store::new(1);
        store.set_append_only(true);
        Self {
            server,
            store,
            incarnation: 1,
            members: Vec::new(),
            since: Instant::now(),
            counts: Counts::default(),
        }
    }

    fn command(&self, args: &[&str]) -> trio::Reply {
        self.server.command(args).unwrap()
    }

    fn dump(&self) -> Dump {
        let trio::Reply::Array(parts) = self.command(&["EVAL", DUMP, "0"]) else { panic!("no dump") };
        let time_us = parts[0].text().unwrap().parse().unwrap();
        let entries = parts[1..].chunks_exact(4).map(|part| {
            let value = match part[1].integer() {
                Some(1) => Value::Text(part[2].text().unwrap().to_owned()),
                _ => Value::OtherType,
            };
            let left = match part[3].integer().unwrap() {
                -1 => Left::Forever,
                left_ms => Left::Ms(left_ms.unsigned_abs()),
            };
            (part[0].text().unwrap().to_owned(), value, left)
        });
        Dump { time_us, entries: entries.collect() }
    }

    /// Lets time pass until no key is about to end.
    fn settle(&mut self) {
        for _ in 0..100 {
            let dump = self.dump();
            let near = |(_, _, left): &(String, Value, Left)| matches!(left, Left::Ms(ms) if *ms < MARGIN_MS);
            if !dump.entries.iter().any(near) {
                return;
            }
            self.server.step_clock(2 * MARGIN_MS.cast_signed()).unwrap();
        }
        panic!("something is always about to end");
    }

    /// Carries a step out on both, and compares what they say and what they keep.
    fn take(&mut self, step: &Step) {
        self.counts.steps += 1;
        self.settle();
        // What is written by hand is dated by this look.
        let before = self.dump().time_us;
        match step {
            Step::Run { operations, member, settings: index } => {
                let members = self.members.iter().rev().nth(*member).cloned();
                let (real, ours) = members.unwrap_or_else(|| ("none".to_owned(), "none".to_owned()));
                self.run(&settings(*index), &real, &ours, operations);
            }
            Step::Admit { admission, set, settings: index } => {
                self.admit(&settings(*index), *admission, set);
            }
            Step::Pass { ms } => self.server.step_clock(i64::from(*ms)).unwrap(),
            Step::Flush => {
                self.command(&["FLUSHALL"]);
                self.store.flush();
            }
            Step::Restart { data } => self.restart(*data),
            Step::Promote { operations } => self.promote(operations),
            Step::Write { key, text, ttl_ms } => {
                let ttl = ttl_ms.map(|ms| ms.to_string());
                let px = ttl.iter().flat_map(|ttl| ["PX", ttl.as_str()]);
                let args: Vec<&str> = ["SET", key, text].into_iter().chain(px).collect();
                self.command(&args);
                self.store.set(key, Value::Text(text.clone()), *ttl_ms, before);
            }
            Step::WriteOtherType { key } => {
                self.command(&["DEL", key]);
                self.command(&["RPUSH", key, "a"]);
                self.store.set(key, Value::OtherType, None, before);
            }
            Step::Delete { key } => {
                self.command(&["DEL", key]);
                self.store.del(key, before);
            }
        }
        self.compare_kept(before);
    }

    fn run(&mut self, settings: &Settings, real: &str, ours: &str, operations: &[Operation]) {
        let reply = run_batch(&self.server, &settings.script(), real, operations);
        let took_ms = tolerance_ms(self.since);
        let fields = fields(&reply);
        let reply = decode_batch(fields.iter().copied(), operations.len()).unwrap();
        let now_us = match &reply {
            BatchReply::Done { server_time_us, .. } => *server_time_us,
            BatchReply::NotAdmitted(_) => self.dump().time_us,
        };
        let answer = self.store.run(settings, ours, operations, now_us);
        match (&reply, &answer) {
            (BatchReply::Done { replies, .. }, BatchReply::Done { replies: answers, .. }) => {
                self.counts.operations += operations.len() as u64;
                for ((reply, answer), operation) in replies.iter().zip(answers).zip(operations) {
                    self.counts.grants += u64::from(matches!(reply, Reply::Granted { .. }));
                    assert!(
                        alike(reply, answer, took_ms),
                        "to {operation:?} the server says {reply:?}, the store {answer:?}"
                    );
                }
            }
            _ => assert_eq!(reply, answer),
        }
    }

    fn admit(&mut self, settings: &Settings, admission: Admission, set: &str) {
        self.counts.admissions += 1;
        let mode = match admission {
            Admission::Member => "admit",
            Admission::Distrust => "distrust",
            Admission::Fresh => "fresh",
            Admission::Reconfigure => "reconfigure",
            Admission::Durable => "durable",
        };
        let reply = self.command(&["EVAL", &settings.script(), "0", mode, set]);
        let took_ms = tolerance_ms(self.since);
        let reply = decode_admit(fields(&reply).into_iter()).unwrap();
        let now_us = match &reply {
            AdmitReply::Admitted { server_time_us, .. } => *server_time_us,
            AdmitReply::Refused(_) => self.dump().time_us,
        };
        let answer = self.store.admit(settings, admission, set, now_us);
        match (&reply, &answer) {
            (
                AdmitReply::Admitted { member: real, quarantined_ms: one, .. },
                AdmitReply::Admitted { member: ours, quarantined_ms: two, .. },
            ) => {
                assert_eq!(masked(real), masked(ours));
                assert!(one.abs_diff(*two) <= took_ms, "quarantine: {one} and {two} ms");
                self.members.push((real.to_string(), ours.to_string()));
            }
            (AdmitReply::Refused(real), AdmitReply::Refused(ours)) => assert_eq!(masked(real), masked(ours)),
            _ => panic!("the server says {reply:?}, the store {answer:?}"),
        }
    }

    fn restart(&mut self, data: Data) {
        self.server.restart(data).unwrap();
        self.incarnation += 1;
        match data {
            Data::Keep => self.store.restart(self.incarnation),
            Data::Discard => self.store.restart_empty(self.incarnation),
        }
    }

    fn promote(&mut self, operations: &[Operation]) {
        let (real, ours) =
            self.members.last().cloned().unwrap_or_else(|| ("none".to_owned(), "none".to_owned()));
        self.command(&["REPLICAOF", "127.0.0.1", "1"]);
        self.store.set_role(Role::Replica);
        self.run(&settings(0), &real, &ours, operations);
        self.admit(&settings(0), Admission::Member, "-");
        self.command(&["REPLICAOF", "NO", "ONE"]);
        self.incarnation += 1;
        self.store.promote(self.incarnation);
    }

    /// Compares every key, its value, and what it has left. Then the store is told what the server has left to the
    /// millisecond, so that what differs by the time of a call does not add up.
    fn compare_kept(&mut self, before: u64) {
        let begun = Instant::now();
        let dump = self.dump();
        let tolerance_ms = tolerance_ms(self.since);
        let ends = |(_, _, left): (&str, &Value, Left)| matches!(left, Left::Ms(0..=MARGIN_MS));
        if self.since.elapsed() > Duration::from_millis(MARGIN_MS / 2)
            || self.store.iter(dump.time_us).any(ends)
        {
            // This process or the server stood still so long that a key may have ended between two looks at it.
            self.counts.set_right += 1;
        } else {
            let kept: Vec<_> = self.store.iter(dump.time_us).collect();
            let keys = |entries: &[(String, Value, Left)]| -> Vec<String> {
                entries.iter().map(|(key, ..)| key.clone()).collect()
            };
            let ours: Vec<String> = kept.iter().map(|(key, ..)| (*key).to_owned()).collect();
            assert_eq!(keys(&dump.entries), ours, "keys, after time {before}");
            for ((key, value, left), (_, our_value, our_left)) in dump.entries.iter().zip(kept) {
                self.counts.keys += 1;
                let masked = |value: &Value| masked(&value.to_string());
                assert_eq!(masked(value), masked(our_value), "{key}");
                let near = match (left, our_left) {
                    (Left::Ms(one), Left::Ms(two)) => one.abs_diff(two) <= tolerance_ms,
                    (one, two) => *one == two,
                };
                assert!(near, "{key} has {left:?} left on the server, {our_left:?} in the store");
            }
        }
        self.set_right(dump);
        self.since = begun;
    }

    fn set_right(&mut self, dump: Dump) {
        let ours: Vec<String> = self.store.iter(dump.time_us).map(|(key, ..)| key.to_owned()).collect();
        for key in ours.iter().filter(|key| !dump.entries.iter().any(|(other, ..)| other == *key)) {
            self.store.del(key, dump.time_us);
        }
        for (key, value, left) in dump.entries {
            if let Left::Ms(left_ms) = left {
                self.store.set(&key, value, Some(left_ms), dump.time_us);
            }
        }
    }
}

/// A text without the ids of servers: forty digits each.
fn masked(text: &str) -> String {
    let is_id = |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut masked = text.to_owned();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id) {
        masked = masked.replace(word, "#");
    }
    masked
}

#[test]
fn the_store_and_the_script_say_the_same_and_keep_the_same() {
    let first = LeaseName::new("job").unwrap().stripe();
    assert!(names().iter().filter(|name| LeaseName::new(name).unwrap().stripe() == first).count() > 1);
    let pair = RefCell::new(Pair::new());
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(HISTORIES);
    let found = FileFailurePersistence::Direct("tests/proptest-regressions/differential.txt");
    let config = Config { cases, failure_persistence: Some(Box::new(found)), ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..STEPS_MAX), |history| {
        let mut pair = pair.borrow_mut();
        pair.take(&Step::Flush);
        pair.members.clear();
        pair.take(&Step::Admit { admission: Admission::Fresh, set: "set", settings: 0 });
        history.iter().for_each(|step| pair.take(step));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let counts = &pair.borrow().counts;
    println!("{counts:#?}");
    assert!(counts.grants > 0 && counts.keys > 0);
    assert!(counts.set_right * 2 < counts.steps, "this machine stood still too often: {counts:?}");
}
