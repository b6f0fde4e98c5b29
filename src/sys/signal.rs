//! Signals as flags that a loop looks at between its steps; nothing ever happens inside a handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Ignores SIGXFSZ, so that a write beyond the limit on a file's size is an error with words instead of the process's end.
pub fn survive_file_size_limit() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Requests to stop that have arrived so far.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    checkpoint: Arc<AtomicBool>,
    interrupts: Arc<AtomicUsize>,
    limit: Arc<AtomicBool>,
}

impl StopFlag {
    /// A flag that no signal ever sets (tests set it by hand).
    pub fn inert() -> Self {
        Self::default()
    }

    /// SIGUSR2 and SIGTERM ask for a checkpoint; for workers.
    pub fn for_worker() -> std::io::Result<Self> {
        let flag = Self::default();
        signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&flag.checkpoint))?;
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&flag.checkpoint))?;
        Ok(flag)
    }

    /// As for a worker, and Ctrl-C asks for a checkpoint too; a second Ctrl-C ends the process at once. For a person's
    /// own training in a terminal.
    pub fn for_terminal() -> std::io::Result<Self> {
        let flag = Self::for_worker()?;
        // Order matters: the first handler acts only if an earlier SIGINT has set the flag.
        let interrupt = signal_hook::consts::SIGINT;
        signal_hook::flag::register_conditional_default(interrupt, Arc::clone(&flag.checkpoint))?;
        signal_hook::flag::register(interrupt, Arc::clone(&flag.checkpoint))?;
        Ok(flag)
    }

    /// SIGINT is counted, SIGTERM asks to leave, and so does SIGUSR2, which comes ahead of a job's limit; for controllers.
    pub fn for_controller() -> std::io::Result<Self> {
        let flag = Self::default();
        let interrupts = Arc::clone(&flag.interrupts);
        // SAFETY: the handler only adds to an atomic.
        unsafe {
            signal_hook::low_level::register(signal_hook::consts::SIGINT, move || {
                interrupts.fetch_add(1, Ordering::SeqCst);
            })?;
        }
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&flag.checkpoint))?;
        signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&flag.limit))?;
        signal_hook::flag::register(signal_hook::consts::SIGUSR2, Arc::clone(&flag.checkpoint))?;
        Ok(flag)
    }

    /// Whether the word to leave was that a job's limit is near.
    pub fn near_limit(&self) -> bool {
        self.limit.load(Ordering::SeqCst)
    }

    /// Asks for a checkpoint, as the signals do.
    pub fn request(&self) {
        self.checkpoint.store(true, Ordering::SeqCst);
    }

    /// Whether a checkpoint (worker) or leaving (controller, SIGTERM) was asked for.
    pub fn requested(&self) -> bool {
        self.checkpoint.load(Ordering::SeqCst)
    }

    /// How often Ctrl-C was pressed.
    pub fn interrupts(&self) -> usize {
        self.interrupts.load(Ordering::SeqCst)
    }
}
