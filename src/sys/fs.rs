//! Files that are whole or absent: atomic replacement, exclusive creation, synced appends, advisory locks.

use crate::problem::{Problem, Result};
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

/// Cuts a file to `length` bytes and syncs it.
pub fn truncate(path: &Path, length: u64) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|f| f.set_len(length).and_then(|()| f.sync_all()))
        .map_err(|e| Problem::io("truncate the file", path, &e))
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
    _file: File,
}

impl Lock {
    /// Takes the lock, or returns `None` at once if another process holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
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
            return Ok(Some(Lock { _file: file }));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() == ErrorKind::WouldBlock {
            return Ok(None);
        }
        Err(Problem::io("lock the file", path, &error))
    }
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
