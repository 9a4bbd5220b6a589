//! Imports between files: floors inside a folder, and no cycles anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{code, files, report, shown};

/// Floors inside one folder, from the ground up. Its own `mod.rs`, `lib.rs` and `main.rs` stand above all of them.
struct Floored {
    /// The folder, and how its files name it in imports.
    folder: &'static str,
    path: &'static str,
    /// Modules by floor; neighbours never import each other. Empty: not arranged yet.
    floors: &'static [&'static [&'static str]],
}

const FLOORED: &[Floored] = &[
    // The three sides of a shard: only `shard/mod.rs` sees two of them.
    Floored {
        folder: "src/shard",
        path: "crate::shard::",
        floors: &[&["context", "jobs"], &["pipeline"], &["guilds", "home", "users"], &["door", "turn"]],
    },
    Floored {
        folder: "bench/src",
        path: "crate::",
        floors: &[
            &["base"],
            &["model"],
            &["wire"],
            &["verify"],
            &["generate"],
            &["baseline"],
            &["report"],
            &["runs"],
            &["cli"],
        ],
    },
];

/// Imports that close a cycle today, as `importer -> imported`. A cycle that needs none of them is not allowed.
const CYCLES: &[&str] = &[];

/// Files by their path without `.rs` and `/mod`, and the files that each imports.
///
/// A folder's `mod.rs` and the files below it are one module in several files, so a file may import its own ancestors.
fn graph(root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let name = |path: &Path| {
        let path = shown(path);
        let path = path.trim_end_matches(".rs");
        path.trim_end_matches("/mod").trim_end_matches("/lib").to_owned()
    };
    let paths: Vec<_> = files(root).into_iter().filter(|path| !path.ends_with("tests.rs")).collect();
    let all: BTreeSet<String> = paths.iter().map(|path| name(path)).collect();
    let mut found = BTreeMap::new();
    for path in &paths {
        let me = name(path);
        let text: String = code(path).into_iter().map(|(_, line)| line + "\n").collect();
        let imported = imported(&text, root, &me).into_iter().filter_map(|mut path| {
            while !all.contains(&path) {
                path.truncate(path.rfind('/')?);
            }
            Some(path)
        });
        let foreign = imported.filter(|path| *path != me && !me.starts_with(&format!("{path}/")));
        found.insert(me.clone(), foreign.collect());
    }
    found
}

/// Every path that a file names: from `crate::`, `super::`, `self::`, or a module of its own.
fn imported(text: &str, root: &str, me: &str) -> Vec<String> {
    let parent = |path: &str| path.rsplit_once('/').map_or(path, |(parent, _)| parent).to_owned();
    let mut starts: Vec<(String, String)> =
        vec![("crate::".to_owned(), root.to_owned()), ("self::".to_owned(), me.to_owned())];
    starts.push(("super::".to_owned(), parent(me)));
    for line in text.lines() {
        let line = line.trim().trim_end_matches(';');
        if let Some(child) = line.rsplit_once("mod ").map(|(_, child)| child).filter(|child| !child.contains(' ')) {
            starts.push((format!("{child}::"), format!("{me}/{child}")));
        }
    }
    let mut found = Vec::new();
    for (start, base) in starts {
        for (at, _) in text.match_indices(&start) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | ':' | '$')) {
                continue;
            }
            let (mut rest, mut base) = (&text[at + start.len()..], base.clone());
            while let Some(higher) = rest.strip_prefix("super::") {
                (rest, base) = (higher, parent(&base));
            }
            paths(rest, &base, &mut found);
        }
    }
    found
}

/// Puts what a path such as `a::{b, c::D}` leads to under `base`. Returns what follows it.
fn paths<'a>(text: &'a str, base: &str, found: &mut Vec<String>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|next: char| next.is_whitespace() || next == ',');
            match rest.strip_prefix('}') {
                Some(rest) => return rest,
                None if rest.is_empty() => return rest,
                None => {}
            }
            let after = paths(rest, base, found);
            // The rest, such as `*` or the name behind `as`, is no path.
            let end = after.find([',', '}', '{']).unwrap_or(after.len());
            rest = if after.len() == rest.len() && end == 0 { &after[1..] } else { &after[end..] };
        }
    }
    let end = text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = if word.is_empty() || word == "self" { base.to_owned() } else { format!("{base}/{word}") };
    match rest.strip_prefix("::") {
        Some(rest) => paths(rest, &path, found),
        None => {
            found.push(path);
            rest
        }
    }
}

/// What can be reached from a file, itself only if it is on a cycle.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = graph.get(from).into_iter().flatten().collect();
    while let Some(path) = next.pop() {
        if found.insert(path.clone()) {
            next.extend(graph.get(path).into_iter().flatten());
        }
    }
    found
}

#[test]
fn no_files_import_each_other() {
    let mut graph = graph("src");
    graph.extend(self::graph("bench/src"));
    let allowed: Vec<(&str, &str)> = CYCLES.iter().map(|edge| edge.split_once(" -> ").expect("two files")).collect();
    let below = |path: &str, folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
    let mut without = graph.clone();
    for (importer, imported) in &allowed {
        without.entry((*importer).to_owned()).or_default().retain(|path| !below(path, imported));
    }
    let cycles: Vec<String> = without.keys().filter(|path| reached(&without, path).contains(*path)).cloned().collect();
    report("files that import each other, directly or through others, are one file or want a third", &cycles);
    let unneeded = allowed.iter().filter(|(importer, imported)| {
        let edges = graph.get(*importer).into_iter().flatten().filter(|path| below(path, imported));
        !edges.into_iter().any(|path| reached(&graph, path).contains(*importer))
    });
    let unneeded: Vec<String> = unneeded.map(|(importer, imported)| format!("{importer} -> {imported}")).collect();
    report("these closed a cycle once: take them off the list", &unneeded);
}

#[test]
fn imports_inside_folders_run_downward() {
    let mut found = Vec::new();
    for Floored { folder, path, floors } in FLOORED.iter().filter(|floored| !floored.floors.is_empty()) {
        let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
        for file in files(folder) {
            let inside = shown(&file);
            let inside = inside[folder.len() + 1..].trim_end_matches(".rs");
            let importer = inside.split('/').next().expect("it has a name");
            if matches!(importer, "mod" | "lib" | "main") {
                continue;
            }
            let Some(upper) = floor(importer) else {
                found.push(format!("{folder}: {importer} is on no floor: give it one"));
                continue;
            };
            for (number, line) in code(&file) {
                for rest in line.split(path).skip(1) {
                    let end = rest.find(|next: char| !next.is_ascii_lowercase() && next != '_').unwrap_or(rest.len());
                    let imported = &rest[..end];
                    if imported != importer && floor(imported).is_some_and(|lower| lower >= upper) {
                        found.push(format!("{}:{number}: {importer} imports {imported}", shown(&file)));
                    }
                }
            }
        }
    }
    report("imports inside a folder run downward, never to a neighbour", &found);
}
