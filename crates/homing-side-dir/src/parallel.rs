//! Work on many files, by a few threads, until it is done or cancelled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Set when the future that waits for the work was dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to stop at the next item.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether the work should stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// More threads than this gain nothing on one disk.
const MAX_THREADS: usize = 4;

/// So many tasks must wait before a second thread is worth its start.
const TASKS_PER_THREAD: usize = 4;

/// Tasks that may bring forth more tasks.
pub(crate) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    ready: Condvar,
}

struct QueueState<T> {
    tasks: Vec<T>,
    busy: usize,
}

impl<T: Send> Queue<T> {
    /// Adds a task; the last one added is the first one done.
    pub(crate) fn push(&self, task: T) {
        self.lock().tasks.push(task);
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task; `None` when there is none left and nobody is busy with one that could bring forth more.
    fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop() {
                state.busy += 1;
                return Some(task);
            }
            if state.busy == 0 {
                return None;
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Counts its task as done, also when the work panicked, so that the other threads do not wait for ever.
struct Busy<'a, T: Send>(&'a Queue<T>);

impl<T: Send> Drop for Busy<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.busy == 0 {
            self.0.ready.notify_all();
        }
    }
}

/// Does all `tasks` and those that they push, and returns what each thread gathered.
pub(crate) fn drain<T: Send, A: Default + Send>(
    tasks: Vec<T>,
    step: impl Fn(T, &mut A, &Queue<T>) + Sync,
) -> Vec<A> {
    let queue = Queue {
        state: Mutex::new(QueueState { tasks, busy: 0 }),
        ready: Condvar::new(),
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS);
    let work = || {
        let mut gathered = A::default();
        while let Some(task) = queue.take() {
            let _busy = Busy(&queue);
            step(task, &mut gathered, &queue);
        }
        gathered
    };
    thread::scope(|scope| {
        let mut helpers = Vec::new();
        let mut gathered = A::default();
        while let Some(task) = queue.take() {
            // Most runs see a handful of files; starting a thread takes longer than they do.
            if helpers.is_empty() && threads > 1 && queue.lock().tasks.len() >= TASKS_PER_THREAD {
                helpers.extend((1..threads).map(|_| scope.spawn(work)));
            }
            let _busy = Busy(&queue);
            step(task, &mut gathered, &queue);
        }
        let mut all = vec![gathered];
        for helper in helpers {
            match helper.join() {
                Ok(gathered) => all.push(gathered),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Does `work` with every one of `items` and returns the results, in no particular order.
pub(crate) fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    struct Gathered<R>(Vec<R>);
    impl<R> Default for Gathered<R> {
        fn default() -> Self {
            Self(Vec::new())
        }
    }
    drain(items, |item, gathered: &mut Gathered<R>, _| {
        gathered.0.push(work(item));
    })
    .into_iter()
    .flat_map(|gathered| gathered.0)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_bring_forth_tasks_and_all_are_done() {
        let sums = drain(vec![12_u32], |task, sum: &mut u32, queue| {
            *sum += 1;
            if task > 0 {
                queue.push(task - 1);
                queue.push(task - 1);
            }
        });
        assert_eq!(sums.into_iter().sum::<u32>(), (1 << 13) - 1);
    }

    #[test]
    fn every_item_has_its_result() {
        let mut results = each((0..100).collect(), |number: u32| number * 2);
        results.sort_unstable();
        assert_eq!(
            results,
            (0..100).map(|number| number * 2).collect::<Vec<_>>()
        );
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_is_passed_on() {
        each((0..50).collect(), |number: u32| {
            assert!(number != 25, "on purpose");
        });
    }
}
