//! Work in waves: things are made in parallel, and taken in order by one thread while the next ones are made.

#![forbid(unsafe_code)]

use rayon::prelude::*;
use std::ops::Range;

/// Makes one thing for each number, by the threads of rayon's pool, and hands them out in order on this thread. At most four for each of so many threads are
/// there at a time: the fewer, the better are they still in a processor's cache when they are taken.
pub(crate) fn ordered_parallel<T: Send, E>(
    numbers: Range<usize>,
    threads: usize,
    make: impl Fn(usize) -> T + Sync,
    take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    debug_assert!(threads > 0);
    let wave = 2 * threads;
    let made = |from: usize| {
        (from..numbers.end.min(from.saturating_add(wave)))
            .into_par_iter()
            .map(&make)
            .collect::<Vec<T>>()
    };
    let (mut from, mut take, mut now) = (numbers.start, take, made(numbers.start));
    while !now.is_empty() {
        from += now.len();
        let mut next = Vec::new();
        // Who takes stays on this thread.
        let result = rayon::in_place_scope(|scope| {
            scope.spawn(|_| next = made(from));
            now.into_iter().try_for_each(&mut take)
        });
        result?;
        now = next;
    }
    Ok(())
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
