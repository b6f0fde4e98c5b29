//! The environment and what kind of terminal there is, read once at the edge.

use std::io::IsTerminal;
use std::path::PathBuf;

/// A variable that is set and not empty.
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// A variable that is set, be it empty: for variables in which empty means something (`CUDA_VISIBLE_DEVICES`).
pub fn var_even_empty(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The current folder; `.` where it cannot be told.
pub fn current_dir() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// The folder for things that can be made again: `$XDG_CACHE_HOME/nanoresearch` or `~/.cache/nanoresearch`.
pub fn cache_dir() -> PathBuf {
    let base = var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("nanoresearch")
}

/// A folder for short-lived files: the cache folder, or the system's where that cannot be made or written to.
pub fn scratch_dir() -> PathBuf {
    let cache = cache_dir();
    let probe = cache.join(format!(".probe-{}", std::process::id()));
    let writable = std::fs::create_dir_all(&cache).and_then(|()| std::fs::File::create(&probe)).is_ok();
    let _ = std::fs::remove_file(probe);
    if writable { cache } else { std::env::temp_dir() }
}

/// The folder of downloaded datasets: `NANORESEARCH_DATA`, else `data` in the cache folder.
pub fn data_dir() -> PathBuf {
    var("NANORESEARCH_DATA").map_or_else(|| cache_dir().join("data"), PathBuf::from)
}

/// Whether stderr is a terminal that wants progress bars.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether stdout may be coloured: a terminal, and NO_COLOR unset.
pub fn stdout_colour() -> bool {
    std::io::stdout().is_terminal() && var("NO_COLOR").is_none()
}

/// The variable that tells a process which shares its machine with others how many cores are its part.
pub const CORES: &str = "NANORESEARCH_CORES";

/// Cores this process may use: what the system grants it, or fewer where [`CORES`] says so.
pub fn cores() -> usize {
    let granted = std::thread::available_parallelism().map_or(1, |n| n.get());
    let part = var(CORES).and_then(|text| text.parse::<usize>().ok());
    part.map_or(granted, |part| part.clamp(1, granted))
}

/// Facts about the host for a manifest: CPU model, cores, memory, kernel; never its name.
pub fn host_facts() -> Vec<(&'static str, String)> {
    let field = |file: &str, key: &str| {
        std::fs::read_to_string(file).ok().and_then(|text| {
            text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split(':').nth(1)).map(|v| v.trim().to_string())
        })
    };
    let mut facts = vec![("cores", cores().to_string())];
    facts.extend(field("/proc/cpuinfo", "model name").map(|v| ("cpu", v)));
    facts.extend(field("/proc/meminfo", "MemTotal").map(|v| ("memory", v)));
    facts.extend(std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|v| ("kernel", v.trim().to_string())));
    facts
}

/// Values of variables that are secrets by their names, to look for them where they must not be.
pub fn secrets() -> Vec<String> {
    const NAMES: [&str; 6] = ["API_KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PRIVATE_KEY"];
    let secret = |name: &str| NAMES.iter().any(|end| name.to_uppercase().ends_with(end));
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter_map(|(name, value)| (secret(&name) && !value.is_empty()).then_some(value))
        .collect()
}

/// What names this machine and its user, each with what it is, to say where it is named.
pub fn own_names() -> Vec<(String, &'static str)> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_string());
    let found = [
        (var("HOME"), "the home folder"),
        (Some(current_dir().display().to_string()), "the current folder"),
        (host, "the host's name"),
        (var("USER").or_else(|| var("LOGNAME")), "the user's name"),
    ];
    // Short ones, and the name of every machine's administrator, are words like any other.
    let telling = |name: &String| name.len() >= 5 && !["/root", "localhost"].contains(&name.as_str());
    found.into_iter().filter_map(|(name, what)| Some((name.filter(telling)?, what))).collect()
}

/// Sets a variable of this process, if the process has only one thread; `false` where it has more and nothing was done.
/// For libraries that take their settings from nowhere else.
pub fn set_while_single_threaded(name: &str, value: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.count());
    if threads != 1 {
        return false;
    }
    // SAFETY: no other thread exists that could read the environment at the same time.
    unsafe { std::env::set_var(name, value) };
    true
}
