//! What endpoints store, what is under way, and what clients believe. A state has no heap, so that many fit.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Endpoints, of which two are a majority.
pub const ENDPOINTS: usize = 3;
/// As many clients as a slice may have.
pub const CLIENTS: usize = 3;
/// Rounds of one client that may be under way.
pub const ROUNDS: usize = 3;
/// Requests to one endpoint whose answers one client does not wait for.
pub const STRAYS: usize = 8;
/// Times that an attempt in line may ask.
pub const ASKS: usize = 2;
/// Place of an attempt's first round: it asks.
pub const VOTE: usize = 0;
/// Place of the round that settles its token.
pub const RAISE: usize = 1;
/// Place of the round in which it asks again, where it waits in line.
pub const AGAIN: usize = 2;
/// Token units that a clock runs in a tick: more than draws of one stripe in that time.
pub const UNITS: u8 = 4;

/// Who a lock belongs to: a client and one of its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Place of the client.
    pub client: u8,
    /// Number of the attempt.
    pub attempt: u8,
}

/// A lock as an endpoint stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// Whose it is.
    pub owner: Owner,
    /// The token of this vote.
    pub token: u8,
    /// Ticks until it ends.
    pub left: u8,
}

/// An acquire that waits in line to be given the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parked {
    /// What was asked.
    pub request: Request,
    /// Ticks until it is forgotten.
    pub left: u8,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The lock.
    pub lock: Option<Lock>,
    /// The shadow: its token means nothing.
    pub shadow: Option<Lock>,
    /// Who waits in line, by client; who is first among them is left open.
    pub line: [Option<Parked>; CLIENTS],
    /// The largest token drawn here.
    pub stripe: u8,
    /// Ticks until it gives votes again.
    pub quarantine: u8,
    /// How far its clock is ahead of the slowest there may be.
    pub skew: u8,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as in the script")]
pub enum Op {
    Acquire,
    Wait,
    WaitAgain,
    Extend,
    Heal,
    Raise,
    Shadow,
    Release,
    /// Not in the script: the control that writes the stripe late.
    Lift,
}

/// A request that has not been executed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// What is asked for.
    pub op: Op,
    /// On whose behalf.
    pub owner: Owner,
    /// The lease's token; of an acquire, the proposal.
    pub token: u8,
    /// For how long.
    pub ttl: u8,
}

/// What an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as in the script")]
pub enum Answer {
    Granted(u8),
    Held,
    Waiting,
    Missing,
    Superseded,
    Quarantined,
}

/// One request of one round to one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Nothing was asked.
    #[default]
    Idle,
    /// On its way there.
    Sent(Request),
    /// Executed; the answer is on its way back.
    Answered(Answer),
    /// The answer has arrived.
    Counted(Answer),
}

/// Everything between one client and one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// One per round of the client, in its order.
    pub slots: [Slot; ROUNDS],
    /// Requests whose answers do not matter any more, in order of size.
    pub strays: [Option<Request>; STRAYS],
    /// Word of hand-overs that is on its way, by the time of asking that it answers: the token drawn.
    pub words: [Option<u8>; ASKS],
    /// Whether what counts came as word, by the same; told apart only where what is given stands for less than what is taken.
    pub told: [bool; ASKS],
    /// Whether the client counts this endpoint among its lease's voters.
    pub voter: bool,
}

/// One endpoint with all that is under way to and from it. Endpoints are alike: a state is the same whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Column {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// One per client.
    pub wires: [Wire; CLIENTS],
}

/// What a client is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Has nothing, and asks for nothing.
    #[default]
    Idle,
    /// Waits for the first M votes.
    Voting,
    /// Has them, and waits until M hold its token.
    Raising,
    /// Holds the lease, or has held it and does not know yet that it is over.
    Held,
}

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as in the client")]
pub enum Purpose {
    Vote,
    Raise,
    Renew,
    Shadow,
    Grow,
}

/// What the vote that decided an attempt was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Won {
    /// An answer.
    #[default]
    Asked,
    /// Word of a hand-over.
    Told,
    /// An answer to the second time of asking, where word of a hand-over had not come.
    Unheard,
}

/// A round under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// What for.
    pub purpose: Purpose,
    /// What was asked for.
    pub ttl: u8,
    /// Ticks until the deadline that its own beginning gives.
    pub left: u8,
}

/// One client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it is about.
    pub phase: Phase,
    /// How many attempts it has made.
    pub attempt: u8,
    /// The lease's token.
    pub token: u8,
    /// Ticks until its deadline. At zero nothing is valid any more, whether the client knows it or not.
    pub left: u8,
    /// The largest token that had been handed out when its attempt began.
    pub floor: u8,
    /// Its rounds, oldest first.
    pub rounds: [Option<Round>; ROUNDS],
    /// Rounds of renewal begun.
    pub renewals: u8,
    /// How it came to the lease.
    pub won: Won,
    /// Whether it lives on shadows.
    pub degraded: bool,
    /// Whether it has grown, or need not.
    pub grown: bool,
    /// Whether it is stopped.
    pub paused: bool,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The endpoints.
    pub columns: [Column; ENDPOINTS],
    /// The clients.
    pub clients: [Client; CLIENTS],
    /// Tokens handed out, a bit each.
    pub handed_out: u64,
    /// Whether a token was handed out twice, or against the order of time.
    pub out_of_order: bool,
    /// Who was granted the lease last, while anybody holds it or believes so.
    pub last: Option<u8>,
    /// Ticks since the beginning, where clocks count.
    pub now: u8,
    /// Faults so far: losses of data, restarts without loss, clocks apart, requests twice.
    pub faults: [u8; 4],
}

impl Op {
    /// Whether it asks for the lock.
    #[must_use]
    pub const fn asks(self) -> bool {
        matches!(self, Self::Acquire | Self::Wait | Self::WaitAgain)
    }
}

impl Client {
    /// How many rounds are under way.
    #[must_use]
    pub fn rounds_len(&self) -> usize {
        self.rounds.iter().flatten().count()
    }

    /// Whether it holds the lease by its own clock.
    #[must_use]
    pub fn believes(&self) -> bool {
        self.phase == Phase::Held && self.left > 0
    }
}

impl Wire {
    /// Leaves a request to itself.
    ///
    /// # Panics
    /// When there are more than the state has room for: the slice's bounds are too wide then.
    pub fn stray(&mut self, request: Request) {
        let len = self.strays.iter().flatten().count();
        assert!(len < STRAYS, "a slice keeps within the room for strays");
        let place = self.strays[..len].partition_point(|stray| *stray < Some(request));
        self.strays[len] = Some(request);
        self.strays[place..=len].rotate_right(1);
    }

    /// Takes the stray of this place.
    pub fn take_stray(&mut self, place: usize) -> Option<Request> {
        let taken = self.strays[place].take();
        self.strays[place..].rotate_left(1);
        taken
    }

    /// Nobody waits for this slot any more.
    pub fn abandon(&mut self, round: usize) {
        if let Slot::Sent(request) = self.slots[round] {
            self.stray(request);
        }
        self.slots[round] = Slot::Idle;
    }
}

impl Column {
    /// Drops strays that can never do anything: their owner has nothing here, nor anything under way that could place it.
    pub fn drop_dead(&mut self) {
        let Self { endpoint, wires } = self;
        let stands = |owner| {
            let parked = endpoint.line.iter().flatten().any(|parked| parked.request.owner == owner);
            parked || [endpoint.lock, endpoint.shadow].iter().flatten().any(|lock| lock.owner == owner)
        };
        for wire in wires {
            let Wire { slots, strays, .. } = *wire;
            let places = |request: Request, owner| {
                request.owner == owner && (request.op.asks() || matches!(request.op, Op::Heal | Op::Shadow))
            };
            let may_come = |owner| {
                let sent =
                    slots.iter().any(|slot| matches!(slot, Slot::Sent(request) if places(*request, owner)));
                sent || strays.iter().flatten().any(|stray| places(*stray, owner))
            };
            for place in (0..STRAYS).rev() {
                let Some(stray) = strays[place] else { continue };
                if stray.op != Op::Lift && !stands(stray.owner) && !may_come(stray.owner) {
                    wire.take_stray(place);
                }
            }
        }
    }
}

impl Hash for Wire {
    /// Most wires are idle.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let strays = self.strays.iter().flatten().count();
        let rounds = self.slots.iter().rposition(|slot| *slot != Slot::Idle).map_or(0, |last| last + 1);
        let words = (self.words, self.told) != ([None; ASKS], [false; ASKS]);
        let flags = u8::from(self.voter) | u8::from(words) << 7;
        hasher.write_u8(u8::try_from((strays << 3) + (rounds << 1)).unwrap_or(u8::MAX) | flags);
        if words {
            (self.words, self.told).hash(hasher);
        }
        self.slots[..rounds].iter().for_each(|slot| slot.hash(hasher));
        self.strays[..strays].iter().flatten().for_each(|stray| stray.hash(hasher));
    }
}

impl Hash for State {
    /// The same for all orders of the endpoints.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut columns = self.columns.map(|column| {
            let mut bytes = Bytes::default();
            column.hash(&mut bytes);
            bytes.finish()
        });
        columns.sort_unstable();
        let mut rest = Bytes::default();
        (self.clients, self.handed_out, self.out_of_order, self.last, self.now, self.faults).hash(&mut rest);
        (columns, rest.finish()).hash(hasher);
    }
}

/// Collects small numbers, and hashes them in one go: one by one they would cost most of the search.
struct Bytes {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }
}

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn write_u8(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Which variant of an enum: there are few.
    fn write_isize(&mut self, variant: isize) {
        self.write_u8(u8::try_from(variant).unwrap_or(u8::MAX));
    }

    /// How long an array is: always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.bytes[..self.len]);
        hasher.finish()
    }
}
