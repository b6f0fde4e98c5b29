//! Files that are whole or absent: atomic replacement, exclusive creation, synced appends, advisory locks.

use crate::problem::{Class, Problem, Result};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Problem::io("read the file", path, &e))
}

/// Reads a whole UTF-8 file.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|e| {
        Problem::usage(format!("not UTF-8 text (byte {} is not)", e.utf8_error().valid_up_to()))
            .at(path.display().to_string())
            .remedy("convert the file to UTF-8, or check that this is the file you meant")
    })
}

/// Reads a file that may be absent.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Problem::io("read the file", path, &e)),
    }
}

/// Makes a folder and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Problem::io("make the folder", path, &e))
}

/// The same for a path that a person gave: a file that stands there is for them to leave alone, so the class is usage.
pub fn create_named_dir(path: &Path) -> Result<()> {
    let in_the_way = path.ancestors().find(|p| p.symlink_metadata().is_ok()).is_some_and(|p| !p.is_dir());
    create_dir(path).map_err(|problem| if in_the_way { problem.class(Class::Usage) } else { problem })
}

/// Flushes a folder's entries to disk, so that a rename or creation in it survives a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| Problem::io("sync the folder", path, &e))
}

/// Replaces a file: readers see the old content or the new, never a part, even after a crash.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        Problem::io("write the file", path, &e)
    })?;
    sync_dir(folder)
}

/// As [`write_atomic`], of a program: everybody may read and run it, nobody change it.
pub fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let staged = path.with_extension("new");
    write_atomic(&staged, bytes)?;
    let mode = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(&staged, mode).map_err(|e| Problem::io("make the program executable", &staged, &e))?;
    rename(&staged, path)
}

/// Writes a new file and waits until its content is on disk, without any care for readers in between: for files of a
/// folder that is renamed into place as a whole.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| Problem::io("write the file", path, &e))
}

/// A file that grows under a temporary name and appears under its own, whole, when committed; dropped, it leaves nothing.
#[derive(Debug)]
pub struct Staged {
    file: File,
    temporary: std::path::PathBuf,
    path: std::path::PathBuf,
}

impl Staged {
    /// Starts a file that will be at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = folder.join(format!(".{name}.{}.part", std::process::id()));
        let file = File::create(&temporary).map_err(|e| Problem::io("write the file", path, &e))?;
        Ok(Staged { file, temporary, path: path.to_path_buf() })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Problem::io("write the file", &self.path, &e))
    }

    /// Syncs it and gives it its name.
    pub fn commit(self) -> Result<()> {
        self.file.sync_all().map_err(|e| Problem::io("write the file", &self.path, &e))?;
        rename(&self.temporary, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit the temporary name is gone and this does nothing.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Renames a file or a whole folder and syncs the parent, so that the new name survives a crash.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|e| Problem::io("rename", from, &e))?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Creates a file that must not exist yet, with its content in place from the first moment it is visible.
/// `false`: somebody else was first, and their file is untouched.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.new", std::process::id()));
    let attempt = || -> std::io::Result<bool> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A hard link fails if the name exists: atomic on every POSIX filesystem, NFS included.
        match std::fs::hard_link(&temporary, path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    };
    let result = attempt().map_err(|e| Problem::io("create the file", path, &e));
    let _ = std::fs::remove_file(&temporary);
    if matches!(result, Ok(true)) {
        sync_dir(folder)?;
    }
    result
}

/// A file opened for appending, with the choice of syncing each record.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: std::path::PathBuf,
}

impl Appender {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| Problem::io("open the file for appending", path, &e))?;
        Ok(Appender { file, path: path.to_path_buf() })
    }

    /// Appends bytes in one write.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Problem::io("append to the file", &self.path, &e))
    }

    /// Waits until everything appended is on disk.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| Problem::io("sync the file", &self.path, &e))
    }
}

/// Length of a file in bytes.
pub fn length(path: &Path) -> Result<u64> {
    std::fs::metadata(path).map(|m| m.len()).map_err(|e| Problem::io("look at the file", path, &e))
}

/// When a file or folder was last changed, in seconds since the Unix epoch by its filesystem's clock.
pub fn modified(path: &Path) -> Option<f64> {
    let time = std::fs::metadata(path).and_then(|m| m.modified()).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|d| d.as_secs_f64())
}

/// The entries of a folder, sorted; empty where it cannot be read.
pub fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    found.sort();
    found
}

/// A path without symbolic links; as it is where it cannot be told.
pub fn resolved(path: &Path) -> std::path::PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Whether a path lies on a filesystem that only one kernel at a time can have mounted, where an advisory lock is the
/// whole truth. `false` for network and unknown filesystems.
pub fn is_local(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    // The magic numbers of statfs(2): ext2/3/4, XFS, Btrfs, tmpfs, overlayfs, F2FS, ZFS, bcachefs.
    const LOCAL: [i64; 8] =
        [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E];
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: statfs fills a struct that this function owns, from a path that ends in a zero byte.
    let kind = unsafe {
        let mut facts: libc::statfs = std::mem::zeroed();
        if libc::statfs(path.as_ptr(), &mut facts) != 0 {
            return false;
        }
        facts.f_type as i64
    };
    LOCAL.contains(&(kind & 0xFFFF_FFFF))
}

/// Cuts a file to `length` bytes and syncs it.
pub fn truncate(path: &Path, length: u64) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|f| f.set_len(length).and_then(|()| f.sync_all()))
        .map_err(|e| Problem::io("truncate the file", path, &e))
}

/// Removes a file; an absent one is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Problem::io("remove the file", path, &e)),
        _ => Ok(()),
    }
}

/// Removes a folder and what is in it; an absent one is fine.
pub fn remove_dir(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Problem::io("remove the folder", path, &e)),
        _ => Ok(()),
    }
}

/// An exclusive advisory lock on a file, held until dropped or the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing would not do: a child that another thread is starting right now holds a copy of the descriptor until it
    /// runs its own program, and the lock with it.
    fn drop(&mut self) {
        // SAFETY: flock on a descriptor this value owns.
        unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Locking {
    /// It is ours.
    Taken(Lock),
    /// Another open file holds it, in this process or another.
    Held,
    /// The filesystem has no such locks.
    Unsupported,
}

impl Lock {
    /// Takes the lock, or returns `None` at once if another process holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        match Self::attempt(path)? {
            Locking::Taken(lock) => Ok(Some(lock)),
            Locking::Held => Ok(None),
            Locking::Unsupported => {
                Err(Problem::io("lock the file", path, &std::io::Error::from(ErrorKind::Unsupported)))
            }
        }
    }

    /// Asks for the lock without waiting, telling a filesystem without locks apart from one where it is held.
    pub fn attempt(path: &Path) -> Result<Locking> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| Problem::io("open the lock file", path, &e))?;
        // SAFETY: flock on a descriptor this function owns.
        let got = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if got == 0 {
            return Ok(Locking::Taken(Lock { file }));
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => Ok(Locking::Held),
            Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL) => Ok(Locking::Unsupported),
            _ => Err(Problem::io("lock the file", path, &error)),
        }
    }
}

/// What a file holds beyond its first `from` bytes; nothing where there is no more, or no file that can be read.
pub fn read_from(path: &Path, from: u64) -> Vec<u8> {
    use std::io::{Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}

/// The last `limit` bytes of a text file, cut at a line, invalid UTF-8 replaced; empty where there is no file.
pub fn tail(path: &Path, limit: u64) -> String {
    use std::io::{Seek, SeekFrom};
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let start = length.saturating_sub(limit);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(if start == 0 { text } else { text.split_once('\n').map_or(text.clone(), |(_, rest)| rest.to_string()) })
    };
    read().unwrap_or_default()
}

/// The way from the folder `from` to `to`, both existing: what is stored in files, so that a folder can be moved together
/// with what it refers to, and names no machine's paths.
pub fn relative(from: &Path, to: &Path) -> Result<std::path::PathBuf> {
    let whole = |path: &Path| path.canonicalize().map_err(|e| Problem::io("find the folder", path, &e));
    let (from, to) = (whole(from)?, whole(to)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    let way: std::path::PathBuf = up.chain(to.components().skip(shared)).collect();
    Ok(if way.as_os_str().is_empty() { ".".into() } else { way })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["a/b/c", "a/d"] {
            create_dir(&root.path().join(folder)).unwrap();
        }
        let way = |from: &str, to: &str| relative(&root.path().join(from), &root.path().join(to)).unwrap();
        assert_eq!(way("a/b/c", "a/d"), Path::new("../../d"));
        assert_eq!(way("a", "a/b/c"), Path::new("b/c"));
        assert_eq!(way("a/b", "a/b"), Path::new("."));
        assert!(relative(root.path(), &root.path().join("nowhere")).is_err());
    }
}
