//! `/etc/ld.so.cache`: where the dynamic linker itself would find a library. Read here, since a library is opened by
//! its path and the linker does not say which one it would take.

use std::path::PathBuf;

/// Where the cache is.
pub const PATH: &str = "/etc/ld.so.cache";

/// Begins the format of glibc 2.2 and later; older releases put a table of an older format before it.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Magic, two counts, five reserved words.
const HEADER: usize = 20 + 2 * 4 + 5 * 4;
/// Flags, name, path, a reserved word, eight bytes about hardware.
const ENTRY: usize = 24;
/// The flags' byte of the kind of machine: none for 32 bits on x86.
const MACHINE: u32 = 0xFF00;

/// Paths of the 64-bit libraries whose file name is wanted, in the cache's order; none where the cache cannot be read.
pub fn paths(cache: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Some(start) = cache.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else { return Vec::new() };
    // Offsets count from the header of this format.
    let cache = &cache[start..];
    let word = |at: usize| Some(u32::from_ne_bytes(cache.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let text = |at: u32| {
        let bytes = cache.get(at as usize..)?;
        std::str::from_utf8(&bytes[..bytes.iter().position(|&b| b == 0)?]).ok()
    };
    let count = word(MAGIC.len()).unwrap_or(0) as usize;
    let entry = |index: usize| {
        let at = HEADER + index * ENTRY;
        let (flags, name, path) = (word(at)?, text(word(at + 4)?)?, text(word(at + 8)?)?);
        (flags & MACHINE != 0 && wanted(name)).then(|| PathBuf::from(path))
    };
    // A count that the file cannot hold is a damaged file's.
    (0..count.min(cache.len() / ENTRY)).filter_map(entry).collect()
}

/// A cache of the given entries (flags, name, path), with the older format's table before it or without.
#[cfg(test)]
pub fn made(entries: &[(u32, &str, &str)], older: bool) -> Vec<u8> {
    let mut strings = Vec::new();
    let mut table = Vec::new();
    let base = HEADER + entries.len() * ENTRY;
    for (flags, name, path) in entries {
        table.extend(flags.to_ne_bytes());
        for text in [name, path] {
            table.extend(((base + strings.len()) as u32).to_ne_bytes());
            strings.extend(text.bytes().chain([0]));
        }
        table.extend([0; 12]);
    }
    let mut cache = if older { b"ld.so-1.7.0\0\0\0\0\0some older table".to_vec() } else { Vec::new() };
    cache.extend(MAGIC);
    cache.extend((entries.len() as u32).to_ne_bytes());
    cache.extend((strings.len() as u32).to_ne_bytes());
    cache.extend([0; 20]);
    cache.extend(table);
    cache.extend(strings);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_32_bits_left_out() {
        let entries = [
            (0x0003, "libcuda.so.1", "/usr/lib/i386-linux-gnu/libcuda.so.1"),
            (0x0303, "libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"),
            (0x0303, "libz.so.1", "/usr/lib/x86_64-linux-gnu/libz.so.1"),
        ];
        for older in [false, true] {
            let found = paths(&made(&entries, older), |name| name.starts_with("libcuda"));
            assert_eq!(found, [PathBuf::from("/usr/lib/x86_64-linux-gnu/libcuda.so.1")], "older: {older}");
        }
    }

    #[test]
    fn this_machines_own_cache_is_read() {
        let Ok(bytes) = std::fs::read(PATH) else { return };
        assert!(
            paths(&bytes, |name| name == "libc.so.6").iter().any(|p| p.exists()),
            "every glibc system has its libc there"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, count: u32, cut in 0usize..200) {
            let mut cache = made(&[(0x0303, "a", "/a"), (0x0303, "b", "/b")], false);
            cache[20..24].copy_from_slice(&count.to_ne_bytes());
            cache.truncate(cut);
            cache.extend(bytes);
            let _ = paths(&cache, |_| true);
        }
    }
}
