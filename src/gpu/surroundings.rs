//! What the search for libraries sees of a machine: variables and folders. A test has a made-up tree in their place.

use crate::sys::{env, fs};
use std::path::{Path, PathBuf};

/// A view of an environment and a file system.
pub trait Surroundings {
    /// A variable that is set and not empty.
    fn var(&self, name: &str) -> Option<String>;
    /// The entries of a folder, sorted; none where it cannot be read.
    fn entries(&self, folder: &Path) -> Vec<PathBuf>;
    /// The content of a file, if it can be read.
    fn read(&self, file: &Path) -> Option<Vec<u8>>;
    /// The path without symbolic links; as it is where there is nothing.
    fn resolved(&self, path: &Path) -> PathBuf;
    /// The processor, as Rust names it: `x86_64`, `aarch64`.
    fn architecture(&self) -> &str;
}

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn var(&self, name: &str) -> Option<String> {
        env::var(name)
    }
    fn entries(&self, folder: &Path) -> Vec<PathBuf> {
        fs::entries(folder)
    }
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        fs::read_if_there(file).ok().flatten()
    }
    fn resolved(&self, path: &Path) -> PathBuf {
        fs::resolved(path)
    }
    fn architecture(&self) -> &str {
        std::env::consts::ARCH
    }
}

/// A made-up machine.
#[cfg(test)]
pub mod fake {
    use super::Surroundings;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    /// Variables, files and links, all in memory.
    #[derive(Debug, Clone, Default)]
    pub struct Tree {
        variables: BTreeMap<String, String>,
        files: BTreeMap<PathBuf, Vec<u8>>,
        /// Link to target; a folder's link stands for everything below it.
        links: BTreeMap<PathBuf, PathBuf>,
    }

    impl Tree {
        /// Empty files in a folder.
        pub fn files(mut self, folder: &str, names: &[&str]) -> Self {
            for name in names {
                self.files.insert(Path::new(folder).join(name), Vec::new());
            }
            self
        }
        /// A file with a content.
        pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
            self.files.insert(path.into(), content.into());
            self
        }
        /// A symbolic link.
        pub fn link(mut self, path: &str, target: &str) -> Self {
            self.links.insert(path.into(), target.into());
            self
        }
        /// A variable.
        pub fn var(mut self, name: &str, value: &str) -> Self {
            self.variables.insert(name.into(), value.into());
            self
        }
    }

    impl Surroundings for Tree {
        fn var(&self, name: &str) -> Option<String> {
            self.variables.get(name).cloned().filter(|v| !v.is_empty())
        }
        fn entries(&self, folder: &Path) -> Vec<PathBuf> {
            let folder_there = self.resolved(folder);
            let mut found: Vec<PathBuf> = self
                .files
                .keys()
                .chain(self.links.keys())
                .filter_map(|path| path.strip_prefix(&folder_there).ok()?.components().next().map(|c| folder.join(c)))
                .collect();
            found.sort();
            found.dedup();
            found
        }
        fn read(&self, file: &Path) -> Option<Vec<u8>> {
            self.files.get(&self.resolved(file)).cloned()
        }
        fn resolved(&self, path: &Path) -> PathBuf {
            let link = self.links.iter().find_map(|(link, target)| Some(target.join(path.strip_prefix(link).ok()?)));
            match link {
                // Joining with nothing leaves a slash at the end, which is no part of a path's equality.
                Some(target) => self.resolved(&target.components().collect::<PathBuf>()),
                None => path.to_path_buf(),
            }
        }
        fn architecture(&self) -> &str {
            self.variables.get("ARCH").map_or("x86_64", String::as_str)
        }
    }
}
