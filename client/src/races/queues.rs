//! The queue before an endpoint: every request gets one answer, whatever happens to the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::scene::{dawdle, scenes, servers, spawn};
use crate::dispatcher::{Dispatcher, Entry, Party};
use crate::protocol::operation::{Action, Operation, Reply, Request, Round};
use crate::protocol::{ClientId, LeaseName, OwnerId, Quorum};

#[derive(Default)]
struct Asker {
    wants_no_more: AtomicBool,
    answers: AtomicU32,
}

impl Party for Asker {
    fn wants(&self, _: &Request) -> bool {
        !self.wants_no_more.load(Ordering::SeqCst)
    }

    fn deliver(self: Arc<Self>, _: &Request, _: Reply) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends everything that comes, until the queue is closed.
async fn empty(dispatcher: Arc<Dispatcher>) {
    let mut batch = Vec::new();
    while dispatcher.collect(&mut batch).is_some() {
        if batch.is_empty() {
            dispatcher.filled().await;
            continue;
        }
        dawdle(1).await;
        dispatcher.drop_unwanted(&mut batch);
        for entry in batch.drain(..) {
            dispatcher.deliver(entry, Reply::Released);
        }
    }
}

scenes! {
    async fn filled_emptied_and_closed() {
        let clock = servers().clock().clone();
        let id = Quorum::new(3).unwrap().ids().next().unwrap();
        let dispatcher = Arc::new(Dispatcher::new(id, &clock));
        let askers: Vec<Arc<Asker>> = (0..3).map(|_| Arc::default()).collect();
        let ask = |asker: &Arc<Asker>| {
            let (asker, dispatcher) = (Arc::clone(asker), Arc::clone(&dispatcher));
            let expires = clock.now().plus_ms(1_000);
            spawn(async move {
                let operation = Operation {
                    name: LeaseName::new("a").unwrap(),
                    owner: OwnerId::of(ClientId::new(1), 1),
                    action: Action::Validate,
                };
                let party: Arc<dyn Party> = Arc::clone(&asker) as _;
                dispatcher.push(Entry {
                    party,
                    round: Round::default(),
                    operation,
                    expires,
                    timeout_ms: 100,
                });
                dawdle(1).await;
                asker.wants_no_more.store(true, Ordering::SeqCst);
            })
        };
        let asking: Vec<_> = askers.iter().map(ask).collect();
        let emptying = spawn(empty(Arc::clone(&dispatcher)));
        dispatcher.close();
        for task in asking {
            task.await.unwrap();
        }
        emptying.await.unwrap();
        for asker in askers {
            assert_eq!(asker.answers.load(Ordering::SeqCst), 1);
        }
    }
}
