//! What will happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::At;

/// Events in the order of their time; those of one time in the order in which they were planned.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(At, u64, usize)>>,
    /// The events themselves, so that the heap moves small things.
    events: Vec<Option<E>>,
    free: Vec<usize>,
    planned: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }
}

impl<E> Queue<E> {
    /// Plans an event.
    pub fn plan(&mut self, at: At, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, place)));
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(At, E)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }
}
