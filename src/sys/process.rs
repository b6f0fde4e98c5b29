//! Processes: starting workers apart from the controller, and telling whether a given process still lives.

use crate::problem::{Problem, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number.
    pub pid: u32,
    /// Start time in clock ticks since boot, from `/proc/PID/stat`; 0 where that is not known.
    pub start: u64,
}

impl ProcessId {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        ProcessId { pid, start: start_ticks(pid).unwrap_or(0) }
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn alive(self) -> bool {
        match stat(self.pid) {
            Some((state, start)) => state != 'Z' && state != 'X' && (self.start == 0 || start == self.start),
            None => false,
        }
    }

    /// Seconds since it started; none where its start is not known.
    pub fn age_seconds(self) -> Option<f64> {
        let text = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = text.split_whitespace().next()?.parse().ok()?;
        // SAFETY: sysconf reads a constant.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        (self.start > 0 && ticks > 0).then(|| (uptime - self.start as f64 / ticks as f64).max(0.0))
    }

    /// Sends a signal, if it is still this very process.
    pub fn signal(self, signal: i32) -> io::Result<()> {
        if !self.alive() {
            return Ok(());
        }
        // SAFETY: plain kill(2).
        if unsafe { libc::kill(self.pid as i32, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Where process numbers mean something: a hash of the kernel's boot and the process namespace. Equal ids: a process
/// number can be looked up here. It says nothing about who or where the host is.
pub fn host_id() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let hash = blake3::hash(format!("{}|{}", boot.trim(), namespace.display()).as_bytes());
    hash.to_hex()[..16].to_string()
}

/// (state, start ticks) of a process.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold anything, so fields are counted after its closing parenthesis.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid).map(|(_, start)| start)
}

/// Resident and peak resident memory of this process, in bytes.
pub fn resident_memory() -> (u64, u64) {
    let [now, peak] = status_bytes(["VmRSS:", "VmHWM:"]);
    (now, peak)
}

/// Resident memory that shows files, the program itself among them, in bytes: part of [`resident_memory`]. The system can drop it, and
/// how much of a program is resident depends on what else has read it.
pub fn resident_files() -> u64 {
    status_bytes(["RssFile:"])[0]
}

fn status_bytes<const N: usize>(keys: [&str; N]) -> [u64; N] {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    keys.map(|key| {
        text.lines()
            .find(|l| l.starts_with(key))
            .and_then(|l| l.split_whitespace().nth(1))
            .and_then(|v| v.parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    })
}

/// Gives the system back what the allocator keeps of freed memory. Worth its call (some microseconds, and a page fault for
/// each page that is needed again) after something large that does not come again, as the values that a run starts from.
pub fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it changes no allocation that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Processor time of this process so far, all its threads, user and system, in seconds; 0 where it cannot be told.
pub fn processor_seconds() -> f64 {
    processor_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the calling thread so far, in seconds; 0 where it cannot be told.
pub fn thread_processor_seconds() -> f64 {
    processor_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn processor_clock(clock: libc::clockid_t) -> f64 {
    // SAFETY: the call fills a struct that this function owns.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        if libc::clock_gettime(clock, &mut time) != 0 {
            return 0.0;
        }
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
}

/// Makes the peak that [`resident_memory`] tells begin anew with what is resident now; `false` where the kernel cannot.
pub fn reset_peak_memory() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Memory this process could still get, in bytes: what the kernel calls available, what its control group (a container, a
/// job) has left, or what its limit on address space leaves, whichever is least. `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let host = line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024;
    [Some(host), control_group_memory(), address_space_left()].into_iter().flatten().min()
}

/// What the limit on this process's address space (`ulimit -v`) leaves, in bytes; `None` where there is no such limit.
/// Beyond it allocations fail, however much memory the machine has.
pub fn address_space_left() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills a struct that this function owns.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    if !told || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmSize:"))?;
    let used = line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024;
    Some(limit.rlim_cur.saturating_sub(used))
}

/// What the control group (version 2) has left; cached files can be dropped and do not count as used.
fn control_group_memory() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = Path::new("/sys/fs/cgroup").join(own.lines().find_map(|l| l.strip_prefix("0::/"))?);
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let statistics = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = statistics.lines().find_map(|l| l.strip_prefix("inactive_file ")?.parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// The path of this program.
pub fn current_exe() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Problem::failed(format!("this program cannot be found: {e}")))
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
}

/// A child in a session of its own: it outlives the controller, and Ctrl-C in the controller's terminal does not reach it.
#[derive(Debug)]
pub struct DetachedChild {
    child: Child,
}

impl DetachedChild {
    /// Starts `program` with `arguments`, stdin closed, stdout and stderr appended to `log`.
    pub fn spawn(program: &Path, arguments: &[&std::ffi::OsStr], log: &Path) -> io::Result<Self> {
        Self::spawn_with(program, arguments, log, &[])
    }

    /// As [`spawn`](Self::spawn), in this process's environment with some variables set (`Some`) or taken out (`None`).
    pub fn spawn_with(
        program: &Path,
        arguments: &[&std::ffi::OsStr],
        log: &Path,
        environment: &[(String, Option<String>)],
    ) -> io::Result<Self> {
        let log = File::options().append(true).create(true).open(log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // SAFETY: setsid and signal are async-signal-safe and touch nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                // A terminal that goes away is nothing to it, whoever sends that word on.
                libc::signal(libc::SIGHUP, libc::SIG_IGN);
                Ok(())
            });
        }
        Ok(DetachedChild { child: command.spawn()? })
    }

    /// Its identity.
    pub fn id(&self) -> ProcessId {
        ProcessId { pid: self.child.id(), start: start_ticks(self.child.id()).unwrap_or(0) }
    }

    /// Whether it has ended, and how; never blocks.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        Ok(self.child.try_wait()?.map(|s| Exit { code: s.code(), signal: s.signal() }))
    }
}

/// A command's whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Exit code; none where it was killed, did not end in time or could not be started.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// A command under way whose answer is waited for by somebody who does not block.
#[derive(Debug)]
pub struct Asked {
    answer: std::sync::mpsc::Receiver<Answer>,
}

impl Asked {
    /// Starts `program` in this process's environment as far as `keep` says, with `set` in addition, and kills it after
    /// `seconds`. What it had printed by then is in the answer.
    pub fn start(
        program: &str,
        arguments: &[String],
        keep: fn(&str) -> bool,
        set: &[(&str, &str)],
        seconds: f64,
    ) -> Self {
        let kept = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(keep));
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(kept).envs(set.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (sender, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Nobody may be listening any more.
            let _ = sender.send(answer_of(command, seconds));
        });
        Asked { answer }
    }

    /// Waits for the answer.
    pub fn wait(self) -> Answer {
        self.answer.recv().unwrap_or_default()
    }

    /// The answer, once it is there; then never again.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }
}

fn answer_of(mut command: Command, seconds: f64) -> Answer {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Answer { stderr: format!("it cannot be started: {e}"), ..Answer::default() },
    };
    let stdout = child.stdout.take().map(read_apart);
    let stderr = child.stderr.take().map(read_apart);
    let started = std::time::Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if started.elapsed().as_secs_f64() < seconds => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = reader.and_then(|r| r.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Answer { code: status.and_then(|s| s.code()), stdout: text(stdout), stderr: text(stderr) }
}

/// Reads to the end in a thread of its own, so that a full pipe stops nobody.
fn read_apart(mut from: impl io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Ends this process at once with an exit code, without unwinding; for a watchdog that found a limit passed.
pub fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
