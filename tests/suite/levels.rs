//! Enforces the module levels of ARCHITECTURE.md: a module imports only from strictly lower levels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// Level of every top-level module. Modules of one level do not know each other.
const LEVELS: &[(u32, &[&str])] = &[
    (0, &["ids", "problem", "rng", "sys", "text", "units"]),
    (1, &["config"]),
    (2, &["data", "graph", "journal", "literature", "llm", "plot", "record", "slurm"]),
    (3, &["analysis", "cost", "failure", "gpu", "knowledge"]),
    (4, &["engine", "exec", "planner"]),
    (5, &["campaign", "train"]),
    (6, &["agent", "bench", "bundle", "contest", "figures", "review", "worker"]),
    (7, &["paper", "report", "verify"]),
    (8, &["cli"]),
];

/// Only these may know tensors (candle), and none of them may know the planning side.
const TENSOR_MODULES: &[&str] = &["graph", "data", "engine", "train", "worker", "bench"];
const PLANNING_MODULES: &[&str] = &["planner", "campaign", "exec"];

/// Level-0 modules may lean on these two, which know nothing themselves.
const BASICS: &[&str] = &["problem", "units", "ids"];

#[derive(Default)]
struct Imports {
    modules: BTreeSet<String>,
    crates: BTreeSet<String>,
}

impl Imports {
    fn note(&mut self, first: &str, second: Option<String>) {
        match first {
            "crate" => self.modules.extend(second),
            _ => {
                self.crates.insert(first.to_string());
            }
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) if path.ident == "crate" => match &*path.tree {
                syn::UseTree::Group(group) => {
                    for item in &group.items {
                        self.modules.extend(head(item));
                    }
                }
                other => self.modules.extend(head(other)),
            },
            syn::UseTree::Group(group) => group.items.iter().for_each(|t| self.use_tree(t)),
            other => {
                if let Some(name) = head(other) {
                    self.note(&name, None);
                }
            }
        }
    }
}

fn head(tree: &syn::UseTree) -> Option<String> {
    match tree {
        syn::UseTree::Path(p) => Some(p.ident.to_string()),
        syn::UseTree::Name(n) => Some(n.ident.to_string()),
        syn::UseTree::Rename(r) => Some(r.ident.to_string()),
        _ => None,
    }
}

impl<'a> Visit<'a> for Imports {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.use_tree(&item.tree);
    }
    fn visit_path(&mut self, path: &'a syn::Path) {
        let mut names = path.segments.iter().map(|s| s.ident.to_string());
        if let Some(first) = names.next() {
            let second = names.next();
            if first == "crate" || second.is_some() {
                self.note(&first, second);
            }
        }
        visit::visit_path(self, path);
    }
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        // Tests may look wherever they like.
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("cfg")
            && a.parse_args::<syn::Expr>().is_ok_and(|e| matches!(e, syn::Expr::Path(p) if p.path.is_ident("test")))
    })
}

/// Files of `#[cfg(test)] mod NAME;` declarations, which are no part of the program.
fn test_files(file: &Path, ast: &syn::File) -> Vec<PathBuf> {
    let stem = file.file_stem().unwrap().to_string_lossy();
    let folder = file.parent().unwrap();
    let folder = if stem == "mod" || stem == "lib" { folder.to_path_buf() } else { folder.join(&*stem) };
    ast.items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Mod(m) if m.content.is_none() && is_test(&m.attrs) => Some(m.ident.to_string()),
            _ => None,
        })
        .flat_map(|name| [folder.join(format!("{name}.rs")), folder.join(name)])
        .collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn modules_import_only_from_lower_levels() {
    let level: BTreeMap<&str, u32> = LEVELS.iter().flat_map(|(l, names)| names.iter().map(move |n| (*n, *l))).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let parsed: Vec<(PathBuf, syn::File)> = files
        .into_iter()
        .map(|f| {
            let ast = syn::parse_file(&std::fs::read_to_string(&f).unwrap()).unwrap_or_else(|e| panic!("{f:?}: {e}"));
            (f, ast)
        })
        .collect();
    let tests: Vec<PathBuf> = parsed.iter().flat_map(|(f, ast)| test_files(f, ast)).collect();

    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, ast) in &parsed {
        if tests.iter().any(|t| file.starts_with(t)) {
            continue;
        }
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(&own) = level.get(module.as_str()) else {
            faults.push(format!(
                "{}: module `{module}` has no level; add it to ARCHITECTURE.md and here",
                relative.display()
            ));
            continue;
        };
        seen.insert(module.clone());
        let mut imports = Imports::default();
        imports.visit_file(ast);
        for other in imports.modules.iter().filter(|m| **m != module) {
            let Some(&theirs) = level.get(other.as_str()) else { continue };
            let basic = own == 0 && BASICS.contains(&other.as_str()) && !BASICS.contains(&module.as_str());
            if theirs >= own && !basic {
                faults.push(format!("{}: level {own} imports `{other}` of level {theirs}", relative.display()));
            }
            if TENSOR_MODULES.contains(&module.as_str()) && PLANNING_MODULES.contains(&other.as_str()) {
                faults.push(format!("{}: a tensor module imports `{other}`", relative.display()));
            }
        }
        if imports.crates.iter().any(|c| c.starts_with("candle")) && !TENSOR_MODULES.contains(&module.as_str()) {
            faults.push(format!("{}: only {TENSOR_MODULES:?} may know tensors", relative.display()));
        }
        for (banned, owner) in [("tokio", "sys"), ("reqwest", "sys"), ("libloading", "gpu"), ("nvml_wrapper", "gpu")] {
            if imports.crates.contains(banned) && module != owner {
                faults.push(format!("{}: `{banned}` is for {owner} alone", relative.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(
        seen.len(),
        level.len(),
        "a module of the table has no sources: {:?}",
        level.keys().filter(|m| !seen.contains(**m)).collect::<Vec<_>>()
    );
}

/// The check itself must be able to fail.
#[test]
fn the_import_reader_sees_every_form() {
    let ast: syn::File = syn::parse_str(
        "use crate::a::B; use crate::{c, d::E}; fn f() -> crate::g::H { crate::i::j(); candle_core::k() } #[cfg(test)] mod tests { use crate::t; }",
    )
    .unwrap();
    let mut imports = Imports::default();
    imports.visit_file(&ast);
    assert_eq!(imports.modules.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "c", "d", "g", "i"]);
    assert!(imports.crates.contains("candle_core"));
}
