//! Time: a wall clock for people and journals, a monotonic one for durations.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock {
    /// Seconds since the Unix epoch.
    fn unix(&self) -> f64;
    /// Seconds since an arbitrary start; never goes back.
    fn monotonic(&self) -> f64;
    /// Waits.
    fn sleep(&self, seconds: f64);
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
    }
    fn monotonic(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
    fn sleep(&self, seconds: f64) {
        std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
    }
}

/// A clock that only moves when it is told to, or when somebody sleeps on it.
#[derive(Debug, Default)]
pub struct FakeClock {
    now: Cell<f64>,
}

impl FakeClock {
    /// Moves time forward.
    pub fn advance(&self, seconds: f64) {
        self.now.set(self.now.get() + seconds);
    }
}

impl Clock for FakeClock {
    fn unix(&self) -> f64 {
        1.7e9 + self.now.get()
    }
    fn monotonic(&self) -> f64 {
        self.now.get()
    }
    fn sleep(&self, seconds: f64) {
        self.advance(seconds);
    }
}

/// A running duration measurement, for code that only ever needs the real clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }
    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// `unix` seconds as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(unix: f64) -> String {
    let stamp = jiff::Timestamp::from_millisecond((unix * 1e3) as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The day of an RFC 3339 time in words, as written in UTC: `26 November 2026`. None where it is no time.
pub fn day_in_words(time: &str) -> Option<String> {
    let stamp: jiff::Timestamp = time.parse().ok()?;
    Some(stamp.strftime("%-d %B %Y").to_string())
}
