//! A simulated pause, for workers that are threads: a closed gate blocks the thread, and with it all that runs on it.

use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::locked;

/// Open at first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    called: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        *locked(&self.closed) = true;
        self.called.notify_one();
    }

    pub(crate) fn open(&self) {
        *locked(&self.closed) = false;
        self.opened.notify_all();
    }

    /// Runs as a task on the worker's only thread: whenever the gate closes, it holds that thread until it opens.
    pub(crate) async fn keep(&self) {
        loop {
            self.called.notified().await;
            let closed = locked(&self.closed);
            drop(self.opened.wait_while(closed, |closed| *closed).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_closed_gate_blocks_everything_on_its_thread() {
        let gate = Arc::new(Gate::default());
        let (said, heard) = channel();
        let inner = Arc::clone(&gate);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                tokio::spawn(async move { inner.keep().await });
                while said.send(()).is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        });
        let patience = Duration::from_secs(5);
        heard.recv_timeout(patience).expect("runs while the gate is open");
        gate.close();
        // It may say a little more before the task that keeps the gate has its turn.
        let silence = Duration::from_millis(100);
        while heard.recv_timeout(silence).is_ok() {}
        assert!(heard.recv_timeout(silence).is_err(), "silent while the gate is closed");
        gate.open();
        heard.recv_timeout(patience).expect("runs on once the gate is open");
    }
}
