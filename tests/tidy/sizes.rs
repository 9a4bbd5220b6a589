//! What stays small or single: functions, comments, and the number of types with one name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{code, files, report, shown};

/// Lines of a function.
const FUNCTION_LINES: usize = 80;
/// Columns of a comment line; rustfmt does not wrap comments.
const COMMENT_COLUMNS: usize = 120;
/// Stands in a comment right above a function that is a table: one arm or row for each of many things.
const TABLE: &str = "// A table: ";

/// Functions that are longer and wait to be split.
const LONG_FUNCTIONS: &[&str] = &[];

/// Folders with comment lines that are longer and wait to be wrapped.
const LONG_COMMENTS: &[&str] = &[];

/// Names that several types have and that wait to become one type's.
const SHARED_NAMES: &[&str] = &[];

/// Words that hide a comment's subject.
const HIDING_WORDS: &[&str] = &["whoever", "nobody", "somebody", "is told", "are told"];

/// Folders whose comments still have them.
const HIDDEN_SUBJECTS: &[&str] = &[];

/// Compares what was found, each with where it is, with what is allowed.
fn compare(rule: &str, found: &BTreeMap<String, Vec<String>>, allowed: &[&str], matches: impl Fn(&str, &str) -> bool) {
    let new = found.iter().filter(|(name, _)| !allowed.iter().any(|entry| matches(name, entry)));
    report(rule, &new.flat_map(|(_, places)| places.iter().cloned()).collect::<Vec<_>>());
    let unneeded = allowed.iter().filter(|entry| !found.keys().any(|name| matches(name, entry)));
    let unneeded: Vec<String> = unneeded.map(|entry| (*entry).to_owned()).collect();
    report(&format!("{rule}; no exception is needed any more for"), &unneeded);
}

#[test]
fn functions_are_short_or_tables() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files("src").into_iter().chain(files("bench/src")).filter(|path| !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        let raw: Vec<&str> = text.lines().collect();
        let lines = code(&path);
        for (index, (number, line)) in lines.iter().enumerate() {
            let Some(name) = function(line) else { continue };
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = lines[index..].iter().position(|(_, line)| line.trim_end() == format!("{indent}}}"));
            // A declaration without a body, or one on a single line.
            let Some(end) = end.filter(|_| !line.trim_end().ends_with([';', '}'])) else { continue };
            let above = raw[..index].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#']));
            if end + 1 > FUNCTION_LINES && !above.into_iter().any(|line| line.contains(TABLE)) {
                let place = format!("{}:{number}: {name} has {} lines", shown(&path), end + 1);
                found.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    let rule = format!("a function has {FUNCTION_LINES} lines at most, or `{TABLE}…` above it");
    compare(&rule, &found, LONG_FUNCTIONS, |name, entry| name == entry);
}

/// The name of the function that begins on a line.
fn function(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub", "(super)", "(crate)", "const", "async", "unsafe"] {
        rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
    }
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

#[test]
fn comment_lines_fit() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files("src").into_iter().chain(files("bench")).chain(files("tests")) {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") && line.chars().count() > COMMENT_COLUMNS {
                let place = format!("{}:{}", shown(&path), index + 1);
                found.entry(shown(&path)).or_default().push(place);
            }
        }
    }
    let rule = format!("a comment line has {COMMENT_COLUMNS} columns at most");
    compare(&rule, &found, LONG_COMMENTS, |path, folder| path.starts_with(folder));
}

#[test]
fn comments_name_their_subject() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files("src") {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        for (index, line) in text.lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//").unwrap_or_default().to_lowercase();
            for word in HIDING_WORDS.iter().filter(|word| comment.contains(**word)) {
                found.entry(shown(&path)).or_default().push(format!("{}:{}: {word}", shown(&path), index + 1));
            }
        }
    }
    compare("a comment names its subject", &found, HIDDEN_SUBJECTS, |path, folder| path.starts_with(folder));
}

#[test]
fn a_type_name_is_defined_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files("src").into_iter().filter(|path| !path.ends_with("tests.rs")) {
        for (number, line) in code(&path) {
            if let Some(name) = type_name(&line) {
                places.entry(name.to_owned()).or_default().push(format!("{}:{number}: {name}", shown(&path)));
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    compare("a type's name is its own in all of src/", &places, SHARED_NAMES, |name, entry| name == entry);
}

/// The name of the type that a line defines. Associated types are none, and stand indented.
fn type_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub", "(super)", "(crate)"] {
        rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
    }
    let kinds: &[&str] =
        if line.starts_with(' ') { &["struct ", "enum ", "trait "] } else { &["struct ", "enum ", "trait ", "type "] };
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

#[test]
fn exceptions_are_listed_once() {
    for list in [LONG_FUNCTIONS, LONG_COMMENTS, SHARED_NAMES, HIDDEN_SUBJECTS] {
        assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "{list:?}");
    }
}
