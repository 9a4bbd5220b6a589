//! The rules that a machine can check: where things may be, what they may import, what they may never do.
//!
//! `tidy/imports.rs` has cycles and floors inside folders; `tidy/sizes.rs` has lengths, columns and names. Their lists
//! of exceptions only shrink: an entry that no offender needs is an error.
//!
//! Each rule says why. A rule that stands in the way of a better structure is changed here, together with the
//! structure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/sizes.rs"]
mod sizes;

/// The floors of `src/lib.rs`, from the ground up. Imports only run downward, never to a neighbour on the same floor.
const FLOORS: &[&[&str]] = &[
    &["base", "limits"],
    &["mesh", "net"],
    &["model"],
    &["wire"],
    &["store"],
    &["mail"],
    &["guild", "session", "user"],
    &["relay"],
    &["shard"],
    &["desk"],
    &["gateway", "rest"],
    &["observe", "operate"],
    &["boot"],
];

/// Names that say nothing.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc", "stuff", "shared"];

/// Every Rust file under a folder, except what was built or installed there.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no files: the check would check nothing");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string()
}

/// The lines of code with their numbers: no comments, and nothing from the unit tests at the end of a file on.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).expect("sources are text");
    let begin = ["mod tests {", "pub(super) mod tests {"].map(|tests| text.find(&format!("#[cfg(test)]\n{tests}")));
    let end = begin.into_iter().flatten().min().unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect()
}

/// The top-level module of a file under `src/`.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("a file of src");
    let first = inside.components().next().expect("it has a name").as_os_str().to_str().expect("names are UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Every `crate::x` in a line.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|next: char| !next.is_ascii_lowercase() && next != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn imports_run_downward() {
    let mut found = Vec::new();
    for path in files("src") {
        let importer = module(&path);
        let Some(upper) = floor(&importer) else {
            assert!(matches!(importer.as_str(), "lib" | "main"), "{importer} is on no floor: give it one");
            continue;
        };
        for (number, line) in code(&path) {
            for imported in imports(&line) {
                let lower = floor(imported);
                if imported != importer && lower.is_none_or(|lower| lower >= upper) {
                    found.push(format!("{}:{number}: {importer} imports {imported}", shown(&path)));
                }
            }
        }
    }
    report("imports run downward, never to a neighbour (src/lib.rs is the plan)", &found);
}

#[test]
fn the_floors_are_those_of_the_plan() {
    let plan = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("it is there");
    let modules: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let floors: Vec<usize> = modules
        .iter()
        .map(|module| floor(module).unwrap_or_else(|| panic!("{module} is on no floor: give it one")))
        .collect();
    assert!(floors.is_sorted_by(|above, below| above >= below), "src/lib.rs lists the floors from the top down");
    assert_eq!(modules.len(), FLOORS.iter().map(|floor| floor.len()).sum::<usize>(), "and all of them");
}

#[test]
fn every_file_says_what_it_is() {
    let mut found = Vec::new();
    for path in files("src").into_iter().chain(files("bench")).chain(files("tests")) {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if header.is_empty() {
            found.push(format!("{}: no header", shown(&path)));
        }
        let of_the_server = shown(&path).starts_with("src/") && !matches!(module(&path).as_str(), "lib" | "main");
        // A module that only lists its parts is where its parts are.
        let only_lists = code(&path).iter().all(|(_, line)| line.trim().is_empty() || line.starts_with("pub mod"));
        if of_the_server && !only_lists && !header.iter().any(|line| line.starts_with("//! Lives on: ")) {
            found.push(format!("{}: no `Lives on:` line", shown(&path)));
        }
    }
    report("a file's header says what it is and on which cores it lives", &found);
}

#[test]
fn names_say_something() {
    let mut found = Vec::new();
    for path in files("src").into_iter().chain(files("bench")).chain(files("tests")) {
        let inside = shown(&path);
        for part in inside.trim_end_matches(".rs").split('/') {
            if part.split('_').any(|word| BANNED_NAMES.contains(&word)) {
                found.push(format!("{inside}: {part}"));
            }
        }
    }
    report("modules are nouns of the domain", &found);
}

#[test]
fn every_file_is_reached() {
    let mut found = Vec::new();
    for (folder, roots) in [
        ("src", &["src/lib.rs", "src/main.rs"][..]),
        ("bench/src", &["bench/src/lib.rs", "bench/src/main.rs"]),
        ("tests/sim", &["tests/sim/main.rs"]),
        ("tests/conformance/src", &["tests/conformance/src/lib.rs"]),
    ] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut reached = BTreeSet::new();
        let mut next: Vec<PathBuf> = roots.iter().map(|path| root.join(path)).filter(|path| path.exists()).collect();
        while let Some(path) = next.pop() {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("names are UTF-8");
            let parent = path.parent().expect("a file is in a folder");
            let inside = if matches!(stem, "mod" | "lib" | "main") { parent.to_path_buf() } else { parent.join(stem) };
            for (_, line) in code(&path) {
                let line = line.trim().trim_start_matches("pub").trim_start();
                let line = line.strip_prefix("(super)").or(line.strip_prefix("(crate)")).unwrap_or(line).trim_start();
                if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                    let candidates = [inside.join(format!("{name}.rs")), inside.join(name).join("mod.rs")];
                    next.extend(candidates.into_iter().filter(|path| path.exists()));
                }
            }
            reached.insert(path);
        }
        found.extend(files(folder).iter().filter(|path| !reached.contains(*path)).map(|path| shown(path)));
    }
    report("a file that no `mod` names is dead", &found);
}

/// A word that may only stand in some places, and why.
struct Confined {
    words: &'static [&'static str],
    to: &'static [&'static str],
    why: &'static str,
}

const CONFINED: &[Confined] = &[
    Confined {
        words: &["async ", ".await;", ".await)", ".await?", ".await "],
        to: &["boot/", "operate/raw_send.rs", "gateway/", "rest/", "desk/", "mesh/", "net/", "store/service.rs"],
        why: "below the doors nothing awaits: that is what makes the simulator possible",
    },
    Confined {
        words: &["Instant::now", "SystemTime::now"],
        to: &["base/clock.rs", "net/hyper_io.rs"],
        why: "time is told, not asked (hyper's timer trait has no other clock)",
    },
    Confined {
        words: &["unsafe "],
        to: &["boot/", "mesh/", "net/"],
        why: "descriptors are handed about there and nowhere else",
    },
    Confined {
        words: &["Mutex", "RwLock", "RefCell", "Atomic"],
        to: &[
            "boot/",            // the process: descriptor tables are shared by its threads
            "operate/",         // the control socket has a thread of its own
            "desk/",            // one core's doors share its shard: RefCell
            "gateway/",         // and its sockets
            "rest/",            // and its rate limits
            "mesh/",            // a lane's waiting letters
            "session/",         // a journal is shared by the sessions that read it, all on one core
            "relay/",           // and by the relay that writes it
            "store/service.rs", // the store's threads say whether they are alive
            "store/scratch.rs", // temporary folders of unit tests
        ],
        why: "state has one owner",
    },
    Confined {
        words: &["thread::spawn", "thread::Builder"],
        to: &["boot/", "operate/control.rs", "observe/recording/", "store/service.rs"],
        why: "threads are the process's and the store's",
    },
    Confined {
        words: &["OsRng", "thread_rng", "RandomState", "getrandom", "rand::random"],
        to: &["store/", "boot/"],
        why: "below the doors randomness is seeded (the store draws its secret and salts)",
    },
    Confined {
        words: &["desk.shard()"],
        to: &["boot/", "desk/", "gateway/door.rs"],
        why: "the shard itself is for the core's turn, and for the raw send test of `gateway/door.rs`; doors use the desk's verbs",
    },
    Confined {
        words: &["desk.with("],
        to: &["boot/", "desk/", "gateway/"],
        why: "the gateway acts on the connections that the shard holds; REST asks owners",
    },
    Confined {
        words: &["dyn "],
        to: &["boot/", "operate/", "observe/", "mesh/", "net/", "rest/", "store/", "base/"],
        why: "no dyn on the fan-out path",
    },
];

#[test]
fn words_stay_where_they_belong() {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files("src") {
        let inside = path.strip_prefix(&root).expect("a file of src").display().to_string();
        for rule in CONFINED.iter().filter(|rule| !rule.to.iter().any(|place| inside.starts_with(place))) {
            for (number, line) in code(&path) {
                for word in rule.words.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("src/{inside}:{number}: `{}` ({})", word.trim(), rule.why));
                }
            }
        }
    }
    report("some words are confined", &found);
}

#[test]
fn letters_and_opcodes_are_matched_one_by_one() {
    let mut found = Vec::new();
    for path in files("src") {
        let lines = code(&path);
        // From a `match` that names a letter or an opcode to its end, by indentation.
        for (index, (_, line)) in lines.iter().enumerate() {
            let Some(indent) = line.find("match ").filter(|_| line.trim_end().ends_with('{')) else { continue };
            let indent = line[..indent].chars().take_while(|space| *space == ' ').count();
            let end = |line: &str| line.len() > indent && line.starts_with(&format!("{}}}", " ".repeat(indent)));
            let arms: Vec<&(usize, String)> = lines[index + 1..].iter().take_while(|(_, line)| !end(line)).collect();
            let own =
                |line: &str| line.starts_with(&" ".repeat(indent + 4)) && !line.starts_with(&" ".repeat(indent + 5));
            // In the pattern, that is: turning numbers into opcodes needs a rest.
            let pattern = |line: &str| line.split("=>").next().unwrap_or_default().to_owned();
            let grows = |line: &str| pattern(line).contains("Letter::") || pattern(line).contains("Opcode::");
            let heads: Vec<_> = arms.iter().filter(|(_, line)| own(line)).collect();
            if heads.iter().filter(|(_, line)| grows(line) && line.contains("=>")).count() < 3 {
                continue;
            }
            found.extend(
                heads
                    .iter()
                    .filter(|(_, line)| line.trim_start().starts_with("_ =>"))
                    .map(|(number, _)| format!("{}:{number}", shown(&path))),
            );
        }
    }
    report("no wildcard where the protocol may grow", &found);
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut documents = vec![root.join("README.md"), root.join("bench/README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the docs are there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("documents are text");
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "bench/", "scripts/", "tests/", "docs/"].iter().any(|top| name.starts_with(top))
                && !name.contains(|odd: char| odd.is_whitespace() || "<>*{}…".contains(odd));
            if is_path && !root.join(name.split(['#', ':']).next().unwrap_or(name)).exists() {
                found.push(format!("{}: {name}", shown(&document)));
            }
        }
    }
    report("documents name files that exist", &found);
}

#[test]
fn bounds_are_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let limits = root.join("limits.rs");
    let mut uses: BTreeMap<String, usize> = code(&limits)
        .iter()
        .filter_map(|(_, line)| line.strip_prefix("pub const ")?.split(':').next().map(|name| (name.to_owned(), 0)))
        .collect();
    for path in files("src").into_iter().filter(|path| *path != limits) {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        for (name, count) in &mut uses {
            let whole = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
            *count += text.split(name.as_str()).skip(1).filter(|rest| whole(rest)).count();
        }
    }
    let unused: Vec<String> = uses.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
    report("a bound that nothing keeps is not a bound", &unused);
}
