//! The script does the usual case of an acquire, of an extend and of a release by a shortcut. Two real servers, one of which has it taken
//! away, say the same and keep the same through random histories in which lines, hand-overs, shadows and quarantines come and go.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use leasehold::protocol::wire::{BatchReply, decode_batch};
use leasehold::protocol::{Action, ClientId, Fence, LeaseName, Operation, OwnerId, Reply};
use leasehold::scripts::Settings;
use leasehold_trio::{self as trio, Server, ServerOptions};
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::script::{alike, fields, run_batch, tolerance_ms};

const HISTORIES: u32 = 120;
const BATCHES_MAX: usize = 25;

/// Nothing that stands in a history ends before the history does.
const TTL_MS: u32 = 30_000;

const SHORTCUT: &str = "local usual = plain or ";
const NO_SHORTCUT: &str = "local usual = false and ";

/// Bounds that no history reaches, so that it does not matter which server is asked later: how far a
/// ticket and a proposal may be from the server's clock.
const BOUNDS: [(&str, &str); 2] = [
    ("TICKET_AGE_US_MAX = 500000,", "TICKET_AGE_US_MAX = 3600000000,"),
    ("local PROPOSAL_SLACK_US = 4000000", "local PROPOSAL_SLACK_US = 3600000000"),
];

#[derive(Clone, Debug)]
enum Step {
    Run(Vec<Operation>),
    /// A key is written, or taken away, by hand.
    Write(String, &'static str),
    Delete(String),
}

fn settings() -> Settings {
    Settings { namespace: "lh".to_owned(), database: 0, endpoints: 3, ttl_ms_max: TTL_MS }
}

/// Two of them draw from one stripe.
fn names() -> Vec<&'static str> {
    vec!["job", "other", "n2383"]
}

/// The last one hears nothing and is passed over in line.
fn owners() -> Vec<OwnerId> {
    (1..=4).map(|client| OwnerId::of(ClientId::new(client), 7)).collect()
}

fn action(now_us: u64) -> impl Strategy<Value = Action> {
    // Few, so that an extend often names the token that stands.
    let at = move || (0..6u64).prop_map(move |step| now_us + step * 50_000);
    let ttl_ms = || prop::sample::select(vec![TTL_MS / 2, TTL_MS]);
    let waited = prop_oneof![1 => Just(0), 2 => 1..100_000_000u64];
    let fence = move || at().prop_map(Fence::new);
    prop_oneof![
        6 => (ttl_ms(), at()).prop_map(|(ttl_ms, proposal)| Action::Acquire { ttl_ms, proposal }),
        9 => (at(), waited).prop_map(|(proposal, waited_us)| {
            Action::AcquireOrWait { ttl_ms: TTL_MS, proposal, ticket: proposal - waited_us }
        }),
        9 => Just(Action::Release),
        9 => (ttl_ms(), fence()).prop_map(|(ttl_ms, fence)| Action::Extend { ttl_ms, fence }),
        1 => fence().prop_map(|fence| Action::Extend { ttl_ms: TTL_MS + 1, fence }),
        1 => fence().prop_map(|fence| Action::Heal { ttl_ms: TTL_MS, fence }),
        1 => fence().prop_map(|fence| Action::Raise { fence }),
        1 => Just(Action::Shadow { ttl_ms: TTL_MS }),
        1 => Just(Action::Acquire { ttl_ms: TTL_MS + 1, proposal: now_us }),
    ]
}

fn step(now_us: u64) -> impl Strategy<Value = Step> {
    let operation = (prop::sample::select(names()), prop::sample::select(owners()), action(now_us))
        .prop_map(|(name, owner, action)| Operation { name: LeaseName::new(name).unwrap(), owner, action });
    let fence = |name| format!("lh:fence:{}", LeaseName::new(name).unwrap().stripe());
    let fences = prop::sample::select(names()).prop_map(fence);
    let key = prop::sample::select(names()).prop_flat_map(move |name| {
        let fence = fence(name);
        let of = |kind: &str| format!("lh:{kind}:{name}");
        prop::sample::select(vec![of("lock"), of("wait"), of("shadow"), fence])
    });
    let mark = prop::sample::select(vec!["lh:shadows", "lh:waiters", "lh:quarantine"]).prop_map(String::from);
    let text = prop::sample::select(vec!["7", "somebody", "4102444800000000"]);
    prop_oneof![
        20 => prop::collection::vec(operation, 1..6).prop_map(Step::Run),
        1 => (key.clone(), text).prop_map(|(key, text)| Step::Write(key, text)),
        1 => mark.clone().prop_map(|key| Step::Write(key, "1")),
        2 => prop_oneof![key, mark].prop_map(Step::Delete),
        2 => fences.clone().prop_map(Step::Delete),
        2 => fences.prop_map(|key| Step::Write(key, "7")),
    ]
}

/// A server, what it is asked with, and the clients that hear it.
struct Side {
    server: Server,
    script: String,
    member: String,
    _ears: TcpStream,
}

impl Side {
    fn new(script: String) -> Self {
        let server = Server::start(ServerOptions::default()).unwrap();
        let ears = listen(&server);
        let mut side = Self { server, script, member: String::new(), _ears: ears };
        side.clear();
        side
    }

    /// As new, and admitted.
    fn clear(&mut self) {
        self.command(&["FLUSHALL"]);
        let trio::Reply::Array(reply) = self.command(&["EVAL", &self.script, "0", "fresh", "set"]) else {
            panic!("not admitted")
        };
        reply[1].text().unwrap().clone_into(&mut self.member);
    }

    fn command(&self, args: &[&str]) -> trio::Reply {
        self.server.command(args).unwrap()
    }

    fn run(&self, operations: &[Operation]) -> Vec<Reply> {
        let reply = run_batch(&self.server, &self.script, &self.member, operations);
        match decode_batch(fields(&reply).into_iter(), operations.len()).unwrap() {
            BatchReply::Done { replies, .. } => replies,
            BatchReply::NotAdmitted(why) => panic!("not admitted: {why}"),
        }
    }

    /// Every key, what it holds, and what it has left in milliseconds.
    fn kept(&self) -> Vec<(String, i64)> {
        let trio::Reply::Array(parts) = self.command(&["EVAL", DUMP, "0"]) else { panic!("no dump") };
        let pair = |pair: &[trio::Reply]| (pair[0].text().unwrap().to_owned(), pair[1].integer().unwrap());
        parts.chunks_exact(2).map(pair).collect()
    }
}

const DUMP: &str = "
local keys, dump = redis.call('KEYS', '*'), {}
table.sort(keys)
for _, key in ipairs(keys) do
  local held
  if key == 'lh:member' then held = ''
  elseif redis.call('TYPE', key).ok == 'string' then held = redis.call('GET', key)
  else held = table.concat(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), ' ') end
  dump[#dump + 1] = key .. ' = ' .. held
  dump[#dump + 1] = redis.call('PTTL', key)
end
return dump";

/// A connection on which all owners but the last hear that they are woken.
fn listen(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let owners = owners();
    let heard = &owners[..owners.len() - 1];
    let channels: Vec<String> = heard.iter().map(|owner| settings().wake_channel(owner.client())).collect();
    stream.write_all(format!("SUBSCRIBE {}\r\n", channels.join(" ")).as_bytes()).unwrap();
    // Each channel is confirmed in six lines.
    let confirmed = BufReader::new(stream.try_clone().unwrap()).lines().take(6 * channels.len());
    assert_eq!(confirmed.map_while(Result::ok).count(), 6 * channels.len());
    stream
}

/// How often what was to be seen was seen.
#[derive(Debug, Default)]
struct Counts {
    grants: u32,
    waiting: u32,
    /// An operation was done while somebody might wait, but not for its name.
    beside_a_line: u32,
}

fn compare(sides: &mut [Side; 2], history: &[Step], counts: &mut Counts) {
    sides.iter_mut().for_each(Side::clear);
    let begun = Instant::now();
    for step in history {
        match step {
            Step::Run(operations) => {
                let lined = !sides[0].command(&["GET", "lh:waiters"]).is_nil();
                let [replies, full] = [sides[0].run(operations), sides[1].run(operations)];
                let tolerance_ms = tolerance_ms(begun);
                for ((reply, full), operation) in replies.iter().zip(&full).zip(operations) {
                    assert!(
                        alike(reply, full, tolerance_ms),
                        "{operation:?}: {reply:?}, and in full {full:?}"
                    );
                    let granted = matches!(reply, Reply::Granted { .. });
                    counts.grants += u32::from(granted);
                    counts.waiting += u32::from(matches!(reply, Reply::Waiting { .. }));
                    counts.beside_a_line += u32::from(granted && lined);
                }
            }
            Step::Write(key, text) => sides.iter().for_each(|side| {
                side.command(&["SET", key, text]);
                // Stripes are for ever.
                if !key.starts_with("lh:fence:") {
                    side.command(&["PEXPIRE", key, &TTL_MS.to_string()]);
                }
            }),
            Step::Delete(key) => sides.iter().for_each(|side| {
                side.command(&["DEL", key]);
            }),
        }
        let [kept, full] = [sides[0].kept(), sides[1].kept()];
        let tolerance_ms = tolerance_ms(begun);
        let held = |kept: &[(String, i64)]| kept.iter().map(|(held, _)| held.clone()).collect::<Vec<_>>();
        assert_eq!(held(&kept), held(&full), "after {step:?}");
        for ((held, left), (_, full)) in kept.iter().zip(&full) {
            assert!(left.abs_diff(*full) <= tolerance_ms, "{held}: {left} and {full} ms are left");
        }
    }
}

#[test]
fn a_shortcut_says_and_keeps_what_the_full_script_does() {
    let mut script = settings().script();
    assert_eq!(script.matches(SHORTCUT).count(), 1);
    for (bound, instead) in BOUNDS {
        assert!(script.contains(bound), "{bound}");
        script = script.replace(bound, instead);
    }
    let sides = [script.clone(), script.replace(SHORTCUT, NO_SHORTCUT)].map(Side::new);

    let state = std::cell::RefCell::new((sides, Counts::default()));
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let histories = prop::collection::vec(step(now_us()), 1..BATCHES_MAX);
    let outcome = TestRunner::new(config).run(&histories, |history| {
        let (sides, counts) = &mut *state.borrow_mut();
        compare(sides, &history, counts);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (_, counts) = state.into_inner();
    assert!(counts.grants > 50 && counts.waiting > 50 && counts.beside_a_line > 20, "{counts:?}");
}

fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}
