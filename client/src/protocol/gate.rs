//! The gate before one endpoint: it must have been admitted before it is asked, and it is admitted anew whenever it may not
//! be the server it was.

use std::fmt;
use std::sync::Arc;

use super::call::{Admission, CallError, Connection};
use super::clock_watch::{ClockWatch, Pace};
use super::operation::Reply;
use super::peers::Peers;
use super::quorum::EndpointId;
use super::time::Moment;
use super::wire::{AdmitReply, BatchReply};

/// Between attempts to admit an endpoint.
pub const ADMIT_RETRY_MS: u64 = 250;
/// Between attempts to use a connection that is said to be down.
const DOWN_RETRY_MS: u64 = 1_000;
/// How often one batch is tried when the endpoint is found changed under it.
const RUNS_PER_BATCH: u32 = 2;

/// What a client knows of an endpoint, as of its last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    Connecting,
    /// It answers and belongs to the set.
    Admitted {
        /// The record of its admission.
        member: Arc<str>,
        /// Until when it gives no votes; in the past if it does.
        quarantined_until: Moment,
    },
    /// It does not answer; what was seen last.
    Unreachable(Arc<str>),
    /// It must not be asked; why, and what to change.
    Refused(Arc<str>),
}

impl Standing {
    /// Whether the endpoint answers and belongs to the set, voting or not.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }

    /// Whether what comes with this record of admission comes from the endpoint as it was admitted.
    #[must_use]
    pub fn vouches_for(&self, word: &str) -> bool {
        matches!(self, Self::Admitted { member, .. } if **member == *word)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("no answer yet"),
            Self::Admitted { .. } => f.write_str("admitted"),
            Self::Unreachable(reason) => write!(f, "unreachable: {reason}"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// What is to be done next for the batch at the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Admit the endpoint in this way, then call [`Gate::handle_admission`].
    Admit(Admission),
    /// Send the batch as this member, then call [`Gate::handle_run`].
    Run(Arc<str>),
    /// Wait until the clocks of the others have been looked at, or no longer than an answer may take; then call
    /// [`Gate::handle_verdict`].
    AwaitVerdict,
    /// The batch ran: its replies, in order.
    Replies(Vec<Reply>),
    /// It did not, or nobody knows: the answer to each of its requests.
    Answer(Reply),
}

/// Where the batch at the gate stands.
#[derive(Clone, Debug)]
enum Errand {
    /// It may be sent once the endpoint is admitted.
    Open { runs: u32, refusal: Reply },
    /// It ran, but the endpoint's clock is off, or the client's own.
    Suspect { replies: Vec<Reply> },
    /// It is the endpoint's clock: that is written down there.
    Accusing { replies: Vec<Reply> },
    /// It ran.
    Done(Vec<Reply>),
    /// There is nothing more to do.
    Answered(Reply),
}

/// The machine of one client's way to one endpoint. One batch is at the gate at a time.
///
/// For each: [`handle_connection`](Self::handle_connection), [`begin`](Self::begin), then
/// [`poll_step`](Self::poll_step) and the input it names, until the step is an answer. A step that is not carried out changes
/// nothing.
#[derive(Debug)]
pub struct Gate {
    endpoint: EndpointId,
    connection: Connection,
    /// The connection in use.
    epoch: Option<u64>,
    /// The record under which the endpoint was admitted on this connection; every batch names it.
    member: Option<Arc<str>>,
    quarantined_until: Moment,
    /// Whether its clock was found off, and that could not be written down there yet.
    distrusted: bool,
    /// Not before this moment is a failed admission tried again.
    admit_at: Moment,
    /// Not before this moment is a connection used that is said to be down.
    probe_at: Moment,
    watch: ClockWatch,
    standing: Standing,
    errand: Errand,
}

impl Gate {
    /// A closed gate: nothing is known of the endpoint.
    #[must_use]
    pub fn new(now: Moment, endpoint: EndpointId) -> Self {
        Self {
            endpoint,
            connection: Connection::Connecting,
            epoch: None,
            member: None,
            quarantined_until: Moment::default(),
            distrusted: false,
            admit_at: Moment::default(),
            probe_at: now.plus_ms(DOWN_RETRY_MS),
            watch: ClockWatch::default(),
            standing: Standing::Connecting,
            errand: Errand::Answered(Reply::NotSent("nothing was asked".into())),
        }
    }

    /// Whether a batch goes as it is, without an admission before it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.member.is_some()
    }

    /// What is known of the endpoint.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes note of the connection. On a new one the endpoint is admitted anew: behind it may be another server.
    pub fn handle_connection(&mut self, connection: Connection, peers: &mut Peers) {
        match &connection {
            Connection::Up { epoch } if self.epoch != Some(*epoch) => {
                self.epoch = Some(*epoch);
                self.forget(peers);
                self.watch.reset();
                self.admit_at = Moment::default();
            }
            Connection::Down(reason) => self.standing = Standing::Unreachable(Arc::clone(reason)),
            Connection::Up { .. } | Connection::Connecting => {}
        }
        self.connection = connection;
    }

    /// A batch comes to the gate. Over a connection that is said to be down it is tried all the same from time to time: that
    /// word may be out of date.
    pub fn begin(&mut self, now: Moment) {
        self.errand = match &self.connection {
            Connection::Connecting | Connection::Down(_) if now < self.probe_at => {
                Errand::Answered(Reply::NotSent(match &self.connection {
                    Connection::Down(reason) => Arc::clone(reason),
                    _ => "the connection is being set up".into(),
                }))
            }
            connection => {
                if !matches!(connection, Connection::Up { .. }) {
                    self.probe_at = now.plus_ms(DOWN_RETRY_MS);
                }
                Errand::Open { runs: 0, refusal: Reply::NotSent("not admitted".into()) }
            }
        };
    }

    /// What is to be done next. Replies are given once.
    pub fn poll_step(&mut self, now: Moment) -> Step {
        match &mut self.errand {
            Errand::Answered(reply) => Step::Answer(reply.clone()),
            Errand::Done(replies) => Step::Replies(std::mem::take(replies)),
            Errand::Suspect { .. } => Step::AwaitVerdict,
            Errand::Accusing { .. } => Step::Admit(Admission::Distrust),
            Errand::Open { runs, refusal } if *runs >= RUNS_PER_BATCH => Step::Answer(refusal.clone()),
            Errand::Open { .. } => match &self.member {
                Some(member) => Step::Run(Arc::clone(member)),
                None if now < self.admit_at => Step::Answer(Reply::NotSent(self.standing.to_string().into())),
                None if self.distrusted => Step::Admit(Admission::Distrust),
                None => Step::Admit(Admission::Member),
            },
        }
    }

    /// Takes the answer to an admission.
    pub fn handle_admission(
        &mut self,
        now: Moment,
        answer: Result<AdmitReply, CallError>,
        peers: &mut Peers,
    ) {
        let (standing, reply) = match answer {
            Ok(AdmitReply::Admitted { member, quarantined_ms, .. }) => {
                match peers.join(now, self.endpoint, &member) {
                    Ok(()) => {
                        self.member = Some(member);
                        self.quarantined_until = now.plus_ms(quarantined_ms);
                        self.distrusted = false;
                        self.record_membership();
                        self.conclude();
                        return;
                    }
                    Err(misfit) => {
                        let reason: Arc<str> = misfit.to_string().into();
                        (Standing::Refused(Arc::clone(&reason)), Reply::Refused(reason))
                    }
                }
            }
            Ok(AdmitReply::Refused(reason)) => {
                (Standing::Refused(Arc::clone(&reason)), Reply::Refused(reason))
            }
            Err(error) => (self.unreachable(&error), self.reply_to(&error)),
        };
        // Also where a doubt about its clock could not be written down: not one vote before it is.
        self.forget(peers);
        self.standing = standing;
        self.admit_at = now.plus_ms(ADMIT_RETRY_MS);
        if matches!(self.errand, Errand::Open { .. }) {
            self.errand = Errand::Answered(reply);
        }
        self.conclude();
    }

    /// Takes the answer to a batch that was sent at `sent`, and looks at the clock in it.
    pub fn handle_run(
        &mut self,
        sent: Moment,
        now: Moment,
        answer: Result<BatchReply, CallError>,
        peers: &mut Peers,
    ) {
        match answer {
            Ok(BatchReply::Done { server_time_us, replies }) => {
                let pace = self.watch.handle_sample(sent, now, server_time_us);
                peers.clock_seen(now, self.endpoint, pace != Pace::Steady);
                // Another client may have been the one that found its data gone.
                if let Some(left_ms) = replies.iter().filter_map(quarantine_left_ms).max() {
                    self.quarantined_until = now.plus_ms(left_ms);
                }
                self.record_membership();
                self.errand = match pace {
                    Pace::Steady => Errand::Done(replies),
                    // Votes given by a clock that is off do not count.
                    Pace::Off { .. } => {
                        Errand::Suspect { replies: replies.into_iter().map(uncounted).collect() }
                    }
                };
            }
            Ok(BatchReply::NotAdmitted(reason)) => self.run_again(Reply::Refused(reason), peers),
            Err(CallError::NoScript) => self.run_again(Reply::NotSent("not admitted".into()), peers),
            Err(error) => {
                self.standing = self.unreachable(&error);
                self.errand = Errand::Answered(self.reply_to(&error));
            }
        }
    }

    /// Whose clock is off? Says whether it is the client's own: then all it holds is over, and nothing is written. Whoever has
    /// not answered by now accuses nobody.
    pub fn handle_verdict(&mut self, peers: &Peers) -> bool {
        let own_is_off = peers.clocks().own_is_off() == Some(true);
        if let Errand::Suspect { replies } = &mut self.errand {
            let replies = std::mem::take(replies);
            self.distrusted |= !own_is_off;
            self.errand = if own_is_off { Errand::Done(replies) } else { Errand::Accusing { replies } };
        }
        own_is_off
    }

    /// The endpoint changed under the batch: nothing of it ran. It is admitted anew first.
    fn run_again(&mut self, why: Reply, peers: &mut Peers) {
        self.forget(peers);
        if let Errand::Open { runs, refusal } = &mut self.errand {
            *runs += 1;
            *refusal = why;
        }
    }

    /// After an accusation, written down or not, there is nothing more to do for the batch.
    fn conclude(&mut self) {
        if let Errand::Accusing { replies } = &mut self.errand {
            self.errand = Errand::Done(std::mem::take(replies));
        }
    }

    fn forget(&mut self, peers: &mut Peers) {
        self.member = None;
        peers.leave(self.endpoint);
    }

    /// The standing of an endpoint that gave no answer. What its connection went down with says more than the silence that
    /// follows.
    fn unreachable(&self, silence: &CallError) -> Standing {
        Standing::Unreachable(match &self.connection {
            Connection::Down(reason) => Arc::clone(reason),
            Connection::Connecting | Connection::Up { .. } => silence.reason(),
        })
    }

    /// The answer to a request whose call had none, in the same words.
    fn reply_to(&self, silence: &CallError) -> Reply {
        match (silence, &self.connection) {
            (CallError::Unknown(_), Connection::Down(reason)) => Reply::Unknown(Arc::clone(reason)),
            _ => silence.reply(),
        }
    }

    fn record_membership(&mut self) {
        if let Some(member) = self.member.clone() {
            self.standing = Standing::Admitted { member, quarantined_until: self.quarantined_until };
        }
    }
}

/// How long an endpoint gives no votes, if this answer says that it gives none.
const fn quarantine_left_ms(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Quarantined { left_ms } => Some(*left_ms),
        _ => None,
    }
}

/// A yes that does not count. The lock may stand there all the same, so it must be undone as one that nobody knows of.
fn uncounted(reply: Reply) -> Reply {
    match reply {
        Reply::Granted { .. } => Reply::Unknown("its clock, or this machine's, was found off".into()),
        other => other,
    }
}
