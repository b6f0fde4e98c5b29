//! The folders in which NVIDIA's libraries may lie, in the order in which they count.

use super::linker_cache;
use super::surroundings::Surroundings;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Folders to look through, best first, each once; those that are not there are left out. `wanted` says which names of
/// the dynamic linker's cache matter.
pub fn places(around: &dyn Surroundings, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut folders = paths_in(around.var("LD_LIBRARY_PATH"));
    // The names that NVIDIA's own tools, module files and EasyBuild use for a toolkit's folder.
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "EBROOTCUDA"] {
        folders.extend(paths_in(around.var(variable)).iter().flat_map(|home| toolkit(around, home)));
    }
    folders.extend(toolkits(around, Path::new("/usr/local")).iter().flat_map(|home| toolkit(around, home)));
    // Where container runtimes and node images put the driver's libraries.
    folders.extend(["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"].map(PathBuf::from));
    if let Some(cache) = around.read(Path::new(linker_cache::PATH)) {
        let paths = linker_cache::paths(&cache, wanted);
        folders.extend(paths.iter().filter_map(|path| path.parent().map(Path::to_path_buf)));
    }
    folders.extend(system(around));
    folders.extend(python(around));
    let mut seen = HashSet::new();
    folders
        .into_iter()
        .filter(|folder| !is_stubs(folder) && !around.entries(folder).is_empty())
        .filter(|folder| seen.insert(around.resolved(folder)))
        .collect()
}

/// Libraries there are for linking on machines without a driver: they load and do nothing.
fn is_stubs(folder: &Path) -> bool {
    folder.components().any(|c| c.as_os_str() == "stubs")
}

/// The absolute paths of a list; an empty entry means the current folder to the linker, and nothing here.
fn paths_in(list: Option<String>) -> Vec<PathBuf> {
    let list = list.unwrap_or_default();
    list.split([':', ';']).map(PathBuf::from).filter(|path| path.is_absolute()).collect()
}

/// Where a toolkit keeps its libraries.
fn toolkit(around: &dyn Surroundings, home: &Path) -> Vec<PathBuf> {
    let target = if around.architecture() == "aarch64" { "sbsa-linux" } else { "x86_64-linux" };
    vec![home.join("lib64"), home.join("lib"), home.join("targets").join(target).join("lib")]
}

/// `cuda` first, which is the one that was chosen for the machine, then the newest.
fn toolkits(around: &dyn Surroundings, folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = around
        .entries(folder)
        .into_iter()
        .filter_map(|path| {
            let rest = path.file_name()?.to_str()?.strip_prefix("cuda")?;
            let version = match rest.strip_prefix('-') {
                Some(version) => version.split('.').map(|part| part.parse().unwrap_or(0)).collect(),
                None if rest.is_empty() => vec![u32::MAX],
                None => vec![0],
            };
            Some((version, path))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Folders of distributions, WSL and NixOS.
fn system(around: &dyn Surroundings) -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", around.architecture());
    let nvidia = format!("{multiarch}/nvidia/current");
    let mut folders = vec![multiarch, nvidia];
    let usual = ["/usr/lib64", "/usr/lib64/nvidia", "/usr/lib", "/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"];
    folders.extend(usual.map(str::to_string));
    folders.extend(["/usr/local/lib", "/opt/cuda/lib64"].map(str::to_string));
    folders.into_iter().map(PathBuf::from).collect()
}

/// The libraries that pip and conda install: of the active environment, else of the `python3` that PATH names. Found by
/// paths alone; no Python is run.
fn python(around: &dyn Surroundings) -> Vec<PathBuf> {
    let mut prefixes = Vec::new();
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        prefixes.extend(paths_in(around.var(variable)));
    }
    let mut folders: Vec<PathBuf> =
        paths_in(around.var("CONDA_PREFIX")).iter().flat_map(|p| toolkit(around, p)).collect();
    let bins = paths_in(around.var("PATH"));
    if let Some(python) = bins.iter().map(|bin| bin.join("python3")).find(|p| is_there(around, p)) {
        prefixes.extend(python_prefixes(around, &python));
    }
    if let Some(home) = around.var("HOME") {
        prefixes.push(PathBuf::from(home).join(".local"));
    }
    folders.extend(prefixes.iter().flat_map(|prefix| site_packages(around, prefix)).flat_map(|site| {
        let parts = around.entries(&site.join("nvidia"));
        parts.into_iter().map(|part| part.join("lib"))
    }));
    folders
}

fn is_there(around: &dyn Surroundings, path: &Path) -> bool {
    path.parent().is_some_and(|folder| around.entries(folder).iter().any(|entry| entry == path))
}

/// The prefixes of a Python: a virtual environment's own, with its base where it says that it uses that too; otherwise
/// the folder above `bin`, of the name and of what it links to.
fn python_prefixes(around: &dyn Surroundings, python: &Path) -> Vec<PathBuf> {
    let above = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_path_buf);
    let Some(prefix) = above(python) else { return Vec::new() };
    let Some(config) = around.read(&prefix.join("pyvenv.cfg")) else {
        return [Some(prefix), above(&around.resolved(python))].into_iter().flatten().collect();
    };
    let config = String::from_utf8_lossy(&config).into_owned();
    let value = |key: &str| {
        config
            .lines()
            .filter_map(|l| l.split_once('='))
            .find(|(k, _)| k.trim() == key)
            .map(|(_, v)| v.trim().to_string())
    };
    let mut prefixes = vec![prefix];
    if value("include-system-site-packages").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        // `home` is the folder of the base's executable.
        prefixes.extend(value("home").and_then(|home| Path::new(&home).parent().map(Path::to_path_buf)));
    }
    prefixes
}

/// `lib/python3.11/site-packages` and its like (Debian says `dist-packages`), newest first.
fn site_packages(around: &dyn Surroundings, prefix: &Path) -> Vec<PathBuf> {
    let version = |path: &Path| -> Option<u32> {
        let rest = path.file_name()?.to_str()?.strip_prefix("python3")?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('.')?.trim_end_matches('t').parse().ok() }
    };
    let mut pythons: Vec<(u32, PathBuf)> = Vec::new();
    for lib in ["lib", "lib64"] {
        pythons.extend(around.entries(&prefix.join(lib)).into_iter().filter_map(|path| Some((version(&path)?, path))));
    }
    pythons.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    pythons.iter().flat_map(|(_, path)| ["site-packages", "dist-packages"].map(|name| path.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::surroundings::fake::Tree;
    use super::*;

    fn found(tree: &Tree) -> Vec<String> {
        places(tree, &|name| name.starts_with("libcu")).iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn places_count_in_this_order() {
        let cache = linker_cache::made(
            &[(0x0303, "libcuda.so.1", "/weird/libcuda.so.1"), (0x0303, "libz.so.1", "/z/libz.so.1")],
            false,
        );
        let tree = Tree::default()
            .var("LD_LIBRARY_PATH", "/first::relative:/second:/nowhere:/x/stubs")
            .var("CUDA_HOME", "/opt/mod/cuda")
            .var("VIRTUAL_ENV", "/venv")
            .var("PATH", "/none:/py/bin")
            .var("HOME", "/home/u")
            .files("/first", &["a"])
            .files("/second", &["a"])
            .files("/x/stubs", &["libcuda.so.1"])
            .files("/opt/mod/cuda/lib64", &["a"])
            .files("/opt/mod/cuda/targets/x86_64-linux/lib", &["a"])
            .files("/usr/local/cuda-12.9/lib64", &["a"])
            .files("/usr/local/cuda-13.0/lib64", &["a"])
            .files("/usr/local/cuda-9/lib64", &["a"])
            .link("/usr/local/cuda", "/usr/local/cuda-12.9")
            .files("/usr/local/nvidia/lib64", &["a"])
            .file("/etc/ld.so.cache", cache)
            .files("/weird", &["libcuda.so.1"])
            .files("/z", &["libz.so.1"])
            .files("/usr/lib/x86_64-linux-gnu", &["a"])
            .files("/venv/lib/python3.11/site-packages/nvidia/cublas/lib", &["a"])
            .files("/py/bin", &["python3"])
            .files("/py/lib/python3.9/site-packages/nvidia/cu13/lib", &["a"])
            .files("/py/lib/python3.12/site-packages/nvidia/cu13/lib", &["a"])
            .files("/home/u/.local/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib", &["a"]);
        let expected = [
            "/first",
            "/second",
            "/opt/mod/cuda/lib64",
            "/opt/mod/cuda/targets/x86_64-linux/lib",
            "/usr/local/cuda/lib64",
            "/usr/local/cuda-13.0/lib64",
            "/usr/local/cuda-9/lib64",
            "/usr/local/nvidia/lib64",
            "/weird",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib",
            "/venv/lib/python3.11/site-packages/nvidia/cublas/lib",
            "/py/lib/python3.12/site-packages/nvidia/cu13/lib",
            "/py/lib/python3.9/site-packages/nvidia/cu13/lib",
            "/home/u/.local/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib",
        ];
        assert_eq!(found(&tree), expected);
        assert_eq!(found(&Tree::default()), [""; 0]);
    }

    /// A virtual environment sees its base only if it says so; a plain Python is followed through its links.
    #[test]
    fn python_is_understood_by_its_paths() {
        let tree = |config: Option<&str>| {
            let tree = Tree::default()
                .var("PATH", "/v/bin")
                .link("/v/bin/python3", "/base/bin/python3.11")
                .files("/base/bin", &["python3.11"])
                .files("/v/lib/python3.11/site-packages/nvidia/cu13/lib", &["a"])
                .files("/base/lib/python3.11/site-packages/nvidia/cublas/lib", &["a"]);
            match config {
                Some(text) => tree.file("/v/pyvenv.cfg", text),
                None => tree,
            }
        };
        let own = "/v/lib/python3.11/site-packages/nvidia/cu13/lib".to_string();
        let base = "/base/lib/python3.11/site-packages/nvidia/cublas/lib".to_string();
        let closed = "home = /base/bin\ninclude-system-site-packages = false\n";
        assert_eq!(found(&tree(Some(closed))), std::slice::from_ref(&own));
        assert_eq!(found(&tree(Some(&closed.replace("false", "true")))), [own.clone(), base.clone()]);
        assert_eq!(found(&tree(None)), [own, base]);
    }

    #[test]
    fn arm_servers_have_their_own_target() {
        let tree = Tree::default()
            .var("ARCH", "aarch64")
            .files("/usr/local/cuda/targets/sbsa-linux/lib", &["a"])
            .files("/usr/lib/aarch64-linux-gnu", &["a"])
            .files("/usr/lib/x86_64-linux-gnu", &["a"]);
        assert_eq!(found(&tree), ["/usr/local/cuda/targets/sbsa-linux/lib", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]);
    }
}
