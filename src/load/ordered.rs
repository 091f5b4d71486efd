//! Ordered pipeline: jobs run in parallel on the threads of rayon's pool, and one thread takes
//! their results in order.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// The results of jobs, taken in the order in which the jobs were begun.
pub(crate) struct Ordered<T> {
    sender: Sender<(usize, Option<T>)>,
    /// Its owner alone uses it. A receiver itself is not `Sync`.
    receiver: Mutex<Receiver<(usize, Option<T>)>>,
    /// Results that wait for an earlier one.
    early: BTreeMap<usize, T>,
    /// Jobs that were begun, that have ended, and whose results were taken.
    begun: usize,
    ended: usize,
    taken: usize,
}

/// The way of one job's result to [`Ordered`]. A job that panics drops it and has no result.
pub(crate) struct Ticket<T> {
    number: usize,
    /// `None` after the result was sent.
    sender: Option<Sender<(usize, Option<T>)>>,
}

impl<T> Ticket<T> {
    /// Ends the job with its result.
    pub(crate) fn send(mut self, result: T) {
        self.end(Some(result));
    }

    fn end(&mut self, result: Option<T>) {
        if let Some(sender) = self.sender.take() {
            // Fails only if the receiver was dropped.
            let _ = sender.send((self.number, result));
        }
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<T> Ordered<T> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel();
        let receiver = Mutex::new(receiver);
        Ordered { sender, receiver, early: BTreeMap::new(), begun: 0, ended: 0, taken: 0 }
    }

    /// Counts a job that begins, and returns its ticket.
    pub(crate) fn begin(&mut self) -> Ticket<T> {
        self.begun += 1;
        Ticket { number: self.begun - 1, sender: Some(self.sender.clone()) }
    }

    /// Returns the number of jobs that have not ended.
    pub(crate) fn running(&self) -> usize {
        self.begun - self.ended
    }

    /// Returns the number of jobs whose results were not taken.
    fn in_flight(&self) -> usize {
        self.begun - self.taken
    }

    /// Receives the result of a job that has ended, and waits for one if `wait`. Returns whether
    /// there was one.
    pub(crate) fn receive(&mut self, wait: bool) -> bool {
        let running = self.running();
        let receiver = self.receiver.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            let received = receiver.try_recv().ok();
            if received.is_none() && (!wait || running == 0) {
                return false;
            }
            // A thread of the pool must help: the job that it waits for may be its own.
            let received = received.or_else(|| match rayon::yield_now() {
                None => receiver.recv().ok(),
                Some(rayon::Yield::Executed) => None,
                Some(rayon::Yield::Idle) => {
                    std::thread::yield_now();
                    None
                }
            });
            if let Some((number, result)) = received {
                self.ended += 1;
                self.early.extend(result.map(|result| (number, result)));
                return true;
            }
        }
    }

    /// Gives up the results of jobs that were begun before a fork, in the child.
    ///
    /// A job may have been about to send. The drop of the receiver would wait for it.
    #[cfg(feature = "storage")]
    pub(crate) fn abandon(&mut self) {
        let (sender, receiver) = channel();
        self.sender = sender;
        std::mem::forget(std::mem::replace(&mut self.receiver, Mutex::new(receiver)));
    }

    /// Returns the next result in order, if it was received.
    pub(crate) fn next(&mut self) -> Option<T> {
        let result = self.early.remove(&self.taken)?;
        self.taken += 1;
        Some(result)
    }
}

/// Runs `make` in parallel and passes the results to `take` in the order of `inputs`, on this
/// thread, which also steps `inputs`.
///
/// At most `4 * threads` results are in memory, so they are still in cache when they are taken.
pub(crate) fn ordered_parallel<I: Send, T: Send, E>(
    inputs: impl IntoIterator<Item = I>,
    threads: usize,
    make: impl Fn(I) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    debug_assert!(threads > 0);
    let (make, mut inputs, mut results) = (&make, inputs.into_iter(), Ordered::new());
    rayon::in_place_scope_fifo(|scope| {
        loop {
            while results.in_flight() < 4 * threads
                && let Some(input) = inputs.next()
            {
                let ticket = results.begin();
                scope.spawn_fifo(move |_| ticket.send(make(input)));
            }
            match results.next() {
                Some(result) => take(result)?,
                // No job is left, or one has panicked, which the scope passes on.
                None if !results.receive(true) => return Ok(()),
                None => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_and_all_of_them() {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for numbers in [0..0, 5..6, 3..100] {
                let take_all = || {
                    let mut taken = Vec::new();
                    ordered_parallel(
                        numbers.clone(),
                        threads,
                        |i| i * i,
                        |square| {
                            taken.push(square);
                            Ok::<(), ()>(())
                        },
                    )
                    .unwrap();
                    taken
                };
                assert!(pool.install(take_all).into_iter().eq(numbers.clone().map(|i| i * i)));
                assert!(take_all().into_iter().eq(numbers.clone().map(|i| i * i)));
            }
            let mut left = 10;
            let stop = pool.install(|| {
                ordered_parallel(
                    0..1000,
                    threads,
                    |i| i,
                    |i| {
                        left -= 1;
                        if left == 0 { Err(i) } else { Ok(()) }
                    },
                )
            });
            assert_eq!(stop, Err(9));
        }
    }
}
