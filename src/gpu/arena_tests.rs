//! Arenas over a made-up driver that knows what it gave.

use super::*;
use crate::rng::{Sequence, Stream};
use std::cell::RefCell;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;
const OUT_OF_MEMORY: Code = 2;
const INVALID: Code = 1;

/// Memory of a device: (size, whether in a stream's order) by address, and what was called.
#[derive(Default)]
struct Made {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    given: BTreeMap<u64, (u64, bool)>,
    next: u64,
    room: u64,
    waited: Vec<usize>,
    calls: usize,
    wrong: usize,
}

impl Made {
    fn with(room: u64) -> Self {
        Made { state: Mutex::new(State { room, next: 1 << 40, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn live(&self) -> u64 {
        self.state().given.values().map(|(size, _)| size).sum()
    }

    fn get(&self, bytes: u64, ordered: bool) -> Result<u64, Code> {
        let live = self.live();
        let mut state = self.state();
        state.calls += 1;
        match bytes {
            0 => Err(INVALID),
            _ if live + bytes > state.room => Err(OUT_OF_MEMORY),
            _ => {
                let at = state.next;
                state.next += bytes.next_multiple_of(2 * MIB);
                state.given.insert(at, (bytes, ordered));
                Ok(at)
            }
        }
    }

    fn put(&self, address: u64, ordered: bool) -> Code {
        let mut state = self.state();
        state.calls += 1;
        match state.given.get(&address) {
            Some((_, was)) if *was == ordered => {
                state.given.remove(&address);
                0
            }
            _ => {
                state.wrong += 1;
                INVALID
            }
        }
    }
}

impl Driver for Made {
    fn take(&self, bytes: u64) -> Result<u64, Code> {
        self.get(bytes, false)
    }
    fn give(&self, base: u64, context: usize, stream: usize) -> Code {
        assert_eq!(context, 77);
        self.wait(stream);
        self.put(base, false)
    }
    fn context(&self) -> usize {
        77
    }
    fn allocate(&self, bytes: u64, _: usize) -> Result<u64, Code> {
        self.get(bytes, true)
    }
    fn free(&self, address: u64, _: usize) -> Code {
        self.put(address, true)
    }
    fn wait(&self, stream: usize) -> Code {
        self.state().waited.push(stream);
        0
    }
}

#[test]
fn what_fits_is_placed_and_what_does_not_is_the_drivers() {
    let (driver, arenas) = (Made::with(100 * MIB), Arenas::new());
    // Before there is an arena.
    let early = arenas.allocate(&driver, 3 * MIB, 5).unwrap();
    let id = arenas.open(&driver, 5, &Layout::of(16 * MIB)).unwrap();
    let calls = driver.state().calls;
    let a = arenas.allocate(&driver, 10 * MIB, 5).unwrap();
    let b = arenas.allocate(&driver, 100, 5).unwrap();
    assert_eq!(driver.state().calls, calls, "the driver is not asked");
    let outside = arenas.allocate(&driver, 8 * MIB, 5).unwrap();
    let elsewhere = arenas.allocate(&driver, MIB, 6).unwrap();
    assert_eq!(driver.live(), 3 * MIB + 16 * MIB + 8 * MIB + MIB);
    assert_eq!(arenas.allocate(&driver, 0, 6), Err(INVALID), "as the driver does it");
    let none = arenas.allocate(&driver, 0, 5).unwrap();
    assert_eq!(arenas.free(&driver, none, 5), 0, "a piece like others");
    assert_eq!(arenas.allocate(&driver, 90 * MIB, 5), Err(OUT_OF_MEMORY));
    let counts = arenas.counts(id).unwrap();
    let live = 18 * MIB + 512;
    let peak = live + 512;
    let told = ArenaCounts { block: 16 * MIB, peak, live, outside: 8 * MIB, placed: 3 };
    assert_eq!(counts, told);
    for (address, stream) in [(outside, 5), (elsewhere, 6), (early, 5)] {
        assert_eq!(arenas.free(&driver, address, stream), 0);
    }
    assert_eq!(driver.live(), 16 * MIB);
    assert_eq!(arenas.free(&driver, 12345, 5), INVALID, "nobody's address is the driver's to refuse");
    assert_eq!((arenas.free(&driver, a, 5), arenas.free(&driver, b, 5)), (0, 0));
    assert_eq!(arenas.free(&driver, a, 5), INVALID, "freed twice");
    assert_eq!(arenas.counts(id).map(|c| (c.live, c.peak, c.outside)), Some((0, peak, 8 * MIB)));
    assert!(driver.state().waited.is_empty());
    arenas.end(&driver, id);
    assert_eq!((driver.live(), driver.state().wrong), (0, 2));
    assert_eq!((arenas.counts(id), driver.state().waited.clone()), (None, vec![5]));
}

#[test]
fn a_block_goes_back_with_the_last_that_lies_in_it() {
    let (driver, arenas) = (Made::with(100 * MIB), Arenas::new());
    let first = arenas.open(&driver, 5, &Layout::of(16 * MIB)).unwrap();
    let kept = arenas.allocate(&driver, 2 * MIB, 5).unwrap();
    arenas.end(&driver, first);
    assert_eq!(driver.live(), 16 * MIB);
    // The next engine's stream may have the old one's handle.
    let second = arenas.open(&driver, 5, &Layout::of(4 * MIB)).unwrap();
    let new = arenas.allocate(&driver, 3 * MIB, 5).unwrap();
    assert_eq!(arenas.counts(second).map(|c| (c.placed, c.outside)), Some((1, 0)), "placed in the new one");
    assert_eq!(arenas.free(&driver, kept, 5), 0);
    assert_eq!(driver.live(), 4 * MIB);
    assert_eq!(arenas.free(&driver, new, 5), 0);
    arenas.end(&driver, second);
    assert_eq!((driver.live(), driver.state().wrong), (0, 0));
    // Afterwards everything is the driver's again.
    let after = arenas.allocate(&driver, 1, 5).unwrap();
    assert_eq!((arenas.free(&driver, after, 5), driver.live()), (0, 0));
}

/// A driver as one thread sees it: which blocks that thread has given back.
struct Seen<'a> {
    driver: &'a Made,
    given: Mutex<Vec<(u64, usize)>>,
}

impl Driver for Seen<'_> {
    fn take(&self, bytes: u64) -> Result<u64, Code> {
        self.driver.take(bytes)
    }
    fn give(&self, base: u64, context: usize, stream: usize) -> Code {
        self.given.lock().unwrap().push((base, stream));
        self.driver.give(base, context, stream)
    }
    fn context(&self) -> usize {
        self.driver.context()
    }
    fn allocate(&self, bytes: u64, stream: usize) -> Result<u64, Code> {
        self.driver.allocate(bytes, stream)
    }
    fn free(&self, address: u64, stream: usize) -> Code {
        self.driver.free(address, stream)
    }
    fn wait(&self, stream: usize) -> Code {
        self.driver.wait(stream)
    }
}

/// Each thread gives back its own engine's block: another's stream may be destroyed by the time that it is waited for.
#[test]
fn a_block_goes_back_by_who_emptied_it() {
    let (made, arenas) = (Made::with(1 << 40), Arenas::new());
    std::thread::scope(|scope| {
        for stream in 1..9usize {
            let (made, arenas) = (&made, &arenas);
            scope.spawn(move || {
                let driver = Seen { driver: made, given: Mutex::default() };
                for _ in 0..20000 {
                    let id = arenas.open(&driver, stream, &Layout::of(MIB)).unwrap();
                    let at = arenas.allocate(&driver, 1000, stream).unwrap();
                    arenas.end(&driver, id);
                    assert_eq!(arenas.free(&driver, at, stream), 0);
                    let given = std::mem::take(&mut *driver.given.lock().unwrap());
                    assert_eq!(given.iter().map(|(_, of)| *of).collect::<Vec<_>>(), [stream]);
                }
            });
        }
    });
    assert_eq!((made.live(), made.state().wrong), (0, 0));
}

#[test]
fn freed_on_another_stream_it_is_waited_for() {
    let (driver, arenas) = (Made::with(100 * MIB), Arenas::new());
    let id = arenas.open(&driver, 5, &Layout::of(16 * MIB)).unwrap();
    let a = arenas.allocate(&driver, 2 * MIB, 5).unwrap();
    assert_eq!(arenas.free(&driver, a, 9), 0);
    assert_eq!(driver.state().waited, vec![9]);
    arenas.end(&driver, id);
}

#[test]
fn a_block_that_is_not_to_be_had_leaves_nothing_behind() {
    let (driver, arenas) = (Made::with(10 * MIB), Arenas::new());
    assert_eq!(arenas.open(&driver, 5, &Layout::of(16 * MIB)), Err(OUT_OF_MEMORY));
    assert_eq!(arenas.number.load(Ordering::Acquire), 0);
    let a = arenas.allocate(&driver, MIB, 5).unwrap();
    assert_eq!((arenas.free(&driver, a, 5), driver.live()), (0, 0));
}

/// Several engines at once, each on its own stream and thread, one after the other on each; some are dropped by another
/// thread with arrays still in them.
#[test]
fn engines_on_many_threads_do_not_meet() {
    let (driver, arenas) = (Made::with(1 << 40), Arenas::new());
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (driver, arenas) = (&driver, &arenas);
            scope.spawn(move || {
                let random = RefCell::new(Sequence::new(thread as u64, Stream::Data, 0, 0));
                let next = |below: u32| random.borrow_mut().next_u32() % below;
                for round in 0..20 {
                    let stream = 100 * thread + round;
                    let id = arenas.open(driver, stream, &Layout::of(8 * MIB)).unwrap();
                    let mut living: Vec<(u64, u64)> = Vec::new();
                    for _ in 0..200 {
                        if living.is_empty() || next(5) < 3 {
                            let bytes = u64::from(next(2 << 20)) + 1;
                            let at = arenas.allocate(driver, bytes, stream).unwrap();
                            assert!(living.iter().all(|(a, n)| at + bytes <= *a || a + n <= at));
                            living.push((at, bytes));
                        } else {
                            let (at, _) = living.swap_remove(next(living.len() as u32) as usize);
                            assert_eq!(arenas.free(driver, at, stream), 0);
                        }
                    }
                    let counts = arenas.counts(id).unwrap();
                    assert!(counts.outside > 0 && counts.placed > 10, "{counts:?}");
                    scope.spawn(move || {
                        arenas.end(driver, id);
                        living.iter().for_each(|(at, _)| assert_eq!(arenas.free(driver, *at, stream), 0));
                    });
                }
            });
        }
    });
    assert_eq!((driver.live(), driver.state().wrong), (0, 0));
    assert_eq!(arenas.number.load(Ordering::Acquire), 0);
}
