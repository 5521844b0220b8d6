//! The second connection to a server, on which the waiters of a client are woken: made when the first of them waits.

use std::time::Duration;

use fred::prelude::{
    Client, ClientLike as _, Error, EventInterface as _, PubsubInterface as _, Server, Value,
};
use fred::types::Message;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::connect::reconnect_policy;
use super::reply::in_words;
use crate::endpoint::Wake;
use crate::protocol::HandOver;
use crate::protocol::wire::decode_hand_over;

/// Wake-ups that may wait to be read, in fred and after it. More are lost, which is noticed.
const WAKES_LEN_MAX: usize = 256;
/// Between attempts to subscribe.
const SUBSCRIBE_RETRY: Duration = Duration::from_secs(5);

/// Starts to listen on a channel, over a connection made like that of `client`.
pub(super) fn listen(label: &str, client: &Client, channel: String) -> mpsc::Receiver<Wake> {
    let (sender, receiver) = mpsc::channel(WAKES_LEN_MAX);
    let mut performance = client.perf_config();
    performance.broadcast_channel_capacity = WAKES_LEN_MAX;
    let client = Client::new(
        client.client_config(),
        Some(performance),
        Some(client.connection_config().clone()),
        Some(reconnect_policy()),
    );
    // Subscribed to before connecting, so that no event is missed.
    let listener = Listener {
        label: label.to_owned(),
        channel,
        errors: client.error_rx(),
        reconnects: client.reconnect_rx(),
        messages: client.message_rx(),
        client,
        sender,
    };
    drop(listener.client.connect());
    tokio::spawn(listener.run());
    receiver
}

struct Listener {
    label: String,
    channel: String,
    client: Client,
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    reconnects: broadcast::Receiver<Server>,
    messages: broadcast::Receiver<Message>,
    sender: mpsc::Sender<Wake>,
}

/// What the connection has to say next.
enum Event {
    Connected,
    Disconnected,
    Message(Option<HandOver>),
    /// Messages came faster than they were read.
    Lost,
    /// A subscription that failed may be tried again.
    Retry,
    /// Nobody listens any more.
    End,
}

impl Listener {
    async fn run(mut self) {
        let (mut connected, mut subscribed) = (false, false);
        loop {
            let wake = match self.next(connected && !subscribed).await {
                Event::End => break,
                Event::Message(Some(word)) => Wake::HandedOver(word),
                Event::Message(None) => continue,
                Event::Lost => Wake::Heard,
                Event::Disconnected => {
                    (connected, subscribed) = (false, false);
                    Wake::Unheard
                }
                Event::Connected | Event::Retry => {
                    connected = true;
                    subscribed = self.subscribe().await;
                    if !subscribed {
                        continue;
                    }
                    Wake::Heard
                }
            };
            if self.sender.send(wake).await.is_err() {
                break;
            }
        }
        if let Err(error) = self.client.quit().await {
            tracing::debug!(%error, "closing a connection");
        }
    }

    async fn next(&mut self, retry: bool) -> Event {
        // Errors first, as for the other connection.
        tokio::select! {
            biased;
            () = self.sender.closed() => Event::End,
            event = self.errors.recv() => match event {
                Ok(_) | Err(RecvError::Lagged(_)) => Event::Disconnected,
                Err(RecvError::Closed) => Event::End,
            },
            event = self.reconnects.recv() => match event {
                Ok(_) | Err(RecvError::Lagged(_)) => Event::Connected,
                Err(RecvError::Closed) => Event::End,
            },
            message = self.messages.recv() => match message {
                Ok(message) => Event::Message(hand_over(&message.value)),
                Err(RecvError::Lagged(_)) => Event::Lost,
                Err(RecvError::Closed) => Event::End,
            },
            () = tokio::time::sleep(SUBSCRIBE_RETRY), if retry => Event::Retry,
        }
    }

    async fn subscribe(&self) -> bool {
        match self.client.subscribe(self.channel.as_str()).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    endpoint = self.label,
                    channel = self.channel,
                    reason = %in_words(&error),
                    "waiters are not woken and poll instead; the server's ACL must allow the channel"
                );
                false
            }
        }
    }
}

pub(super) fn hand_over(message: &Value) -> Option<HandOver> {
    decode_hand_over(&message.as_str()?).ok()
}
