//! What an ordered set with ranks costs: `cargo bench --bench ranked`.
//!
//! The question: how long does it take to insert a member into a list of 250 thousand, 1 and 16 million online members,
//! to remove one, and to find its rank? Beside it, with the same keys, a `BTreeSet` (which knows no ranks) and a sorted
//! vector (which cannot insert). Discord gives 3.7 µs as the worst case of its own sorted set at a million entries.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use guildhall::base::id::UserId;
use guildhall::base::prng::Prng;
use guildhall::base::ranked::Ranked;
use guildhall::guild::list::name_key::NameKey;
use hdrhistogram::Histogram;

const SIZES: [u64; 3] = [250_000, 1_000_000, 16_000_000];
/// Operations of each kind.
const COUNT: usize = 200_000;

/// Members with even numbers are there from the beginning, those with odd ones come and go.
fn line(number: u64) -> NameKey {
    NameKey::new(&format!("person-{number:09}"), UserId::new(number + 1))
}

struct Row {
    set: &'static str,
    size: u64,
    operation: &'static str,
    times: Histogram<u64>,
}

fn measure(
    operation: &'static str,
    set: &'static str,
    size: u64,
    keys: &[NameKey],
    mut act: impl FnMut(&NameKey),
) -> Row {
    let mut times = Histogram::new(3).expect("three digits are allowed");
    for key in keys {
        let began = Instant::now();
        act(black_box(key));
        times.record(began.elapsed().as_nanos() as u64).expect("a histogram that grows takes everything");
    }
    Row { set, size, operation, times }
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Makes a set; returns its time and its bytes per entry. In a process of its own, where nothing was freed before.
fn make(what: &str, size: u64) -> String {
    let (began, before) = (Instant::now(), resident_bytes());
    let ascending = (0..size).map(|number| line(2 * number));
    match what {
        "ranked, from ascending lines" => std::mem::forget(black_box(Ranked::<NameKey>::from_ascending(ascending))),
        "BTreeSet, from ascending lines" => std::mem::forget(black_box(ascending.collect::<BTreeSet<NameKey>>())),
        "sorted vector, from ascending lines" => std::mem::forget(black_box(ascending.collect::<Vec<NameKey>>())),
        "ranked, one by one in random order" => {
            let mut grown: Ranked<NameKey> = Ranked::default();
            // An odd multiplier visits each number below a power of two once.
            let round = size.next_power_of_two();
            for number in (0..round).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % round).filter(|n| *n < size) {
                grown.insert(line(2 * number));
            }
            std::mem::forget(black_box(grown));
        }
        other => panic!("{other}"),
    }
    let bytes = resident_bytes().saturating_sub(before) as f64 / size as f64;
    format!("{size:>10}  {what:<36} {:>8.2}  {bytes:>11.1}", began.elapsed().as_secs_f64())
}

fn made(what: &str, size: u64) {
    let program = std::env::current_exe().expect("a bench knows its program");
    let output = std::process::Command::new(program).args(["--make", what, &size.to_string()]).output();
    print!("{}", String::from_utf8_lossy(&output.expect("it runs itself").stdout));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, make, what, size] = arguments.as_slice()
        && make == "--make"
    {
        println!("{}", self::make(what, size.parse().expect("a number")));
        return;
    }
    println!("{:>10}  {:<36} {:>8}  {:>11}", "entries", "made", "seconds", "bytes/entry");
    for size in SIZES {
        for what in
            ["ranked, from ascending lines", "BTreeSet, from ascending lines", "sorted vector, from ascending lines"]
        {
            made(what, size);
        }
        if size <= 1_000_000 {
            made("ranked, one by one in random order", size);
        }
    }
    let mut rows = Vec::new();
    for size in SIZES {
        let mut prng = Prng::new(size);
        let mut numbers: Vec<u64> = (0..COUNT).map(|_| 2 * prng.below(size) + 1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for at in (1..numbers.len()).rev() {
            numbers.swap(at, prng.below(at as u64 + 1) as usize);
        }
        let keys: Vec<NameKey> = numbers.iter().map(|number| line(*number)).collect();
        let mut ranked: Ranked<NameKey> = Ranked::from_ascending((0..size).map(|number| line(2 * number)));
        rows.push(measure("insert", "ranked", size, &keys, |key| assert!(ranked.insert(key.clone()))));
        rows.push(measure("rank", "ranked", size, &keys, |key| assert!(ranked.rank(key).is_ok())));
        rows.push(measure("100 from a rank", "ranked", size, &keys, |key| {
            let from = key.user().get() as usize / 2;
            black_box(ranked.from(from).take(100).fold(0, |sum, line| sum ^ line.user().get()));
        }));
        rows.push(measure("remove", "ranked", size, &keys, |key| assert!(ranked.remove(key))));
        drop(ranked);

        let mut tree: BTreeSet<NameKey> = (0..size).map(|number| line(2 * number)).collect();
        rows.push(measure("insert", "BTreeSet", size, &keys, |key| assert!(tree.insert(key.clone()))));
        rows.push(measure("remove", "BTreeSet", size, &keys, |key| assert!(tree.remove(key))));
        drop(tree);

        let mut sorted: Vec<NameKey> = (0..size).map(|number| line(2 * number)).collect();
        rows.push(measure("rank", "sorted vector", size, &keys, |key| {
            black_box(sorted.binary_search(key).is_ok());
        }));
        // It moves half of the vector each time; a few are enough to see it.
        let few = &keys[..200];
        rows.push(measure("insert", "sorted vector", size, few, |key| {
            let at = sorted.binary_search(key).expect_err("it is not there");
            sorted.insert(at, key.clone());
        }));
        drop(sorted);
    }

    println!();
    println!(
        "{:>10}  {:<16} {:<14} {:>8} {:>8} {:>8} {:>9} {:>9}  {:>9}",
        "entries", "operation", "set", "mean ns", "p50 ns", "p99 ns", "p99.9 ns", "max ns", "to ranked"
    );
    rows.sort_by_key(|row| (row.size, row.operation));
    for row in &rows {
        let same = |other: &&Row| other.size == row.size && other.operation == row.operation && other.set == "ranked";
        let ours = rows.iter().find(same).map_or(f64::NAN, |row| row.times.mean());
        let at = |quantile| row.times.value_at_quantile(quantile);
        println!(
            "{:>10}  {:<16} {:<14} {:>8.0} {:>8} {:>8} {:>9} {:>9}  {:>8.2}x",
            row.size,
            row.operation,
            row.set,
            row.times.mean(),
            at(0.5),
            at(0.99),
            at(0.999),
            row.times.max(),
            row.times.mean() / ours,
        );
    }
}
