//! The `.tar.gz`: plain files below one folder, of no owner and one time, so that equal content gives equal bytes.

use crate::problem::{Problem, Result};
use crate::sys::fs::Staged;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::path::Path;

/// An archive that grows; it is there, whole, when it is finished.
pub(super) struct Archive {
    inner: tar::Builder<GzEncoder<Sink>>,
    /// Seconds since the Unix epoch that all files are of.
    time: u64,
}

/// Where compressed bytes go; keeps the problem that an [`io::Error`] cannot carry.
struct Sink(Staged);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|problem| io::Error::other(problem.what))?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Archive {
    /// Begins an archive that will be at `path`.
    pub fn create(path: &Path, time: u64) -> Result<Self> {
        let gzip = GzEncoder::new(Sink(Staged::create(path)?), Compression::default());
        Ok(Archive { inner: tar::Builder::new(gzip), time })
    }

    /// Adds a file; `name` with `/` between folders.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        self.inner.append_data(&mut header, name, bytes).map_err(|e| failed(&e, name))
    }

    /// Ends it and gives it its name.
    pub fn finish(self) -> Result<()> {
        let gzip = self.inner.into_inner().map_err(|e| failed(&e, "the end"))?;
        let Sink(staged) = gzip.finish().map_err(|e| failed(&e, "the end"))?;
        staged.commit()
    }
}

fn failed(error: &io::Error, name: &str) -> Problem {
    Problem::failed(format!("cannot put {name} into the archive: {error}"))
        .remedy("free some space there, or choose another place with -o; nothing is left of it")
}
