//! Two reports side by side: what changed, and what got worse by more than noise.
//!
//! Two runs of the same server never have the same numbers. A difference counts only if it is more than the number's
//! noise, a share of the first run's value, and more than a least difference that is worth a word. What must be 0 has
//! no noise.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::times::Times;
use crate::report::chart::{Area, Axis, BLUE, Chart, Failed, Line, ListSubscription, ORANGE, Writing, picture, put};
use crate::report::folder::{ALL, last_file, latency_file};
use crate::report::hgrm;
use crate::report::hgrm::Step;
use crate::report::run::{RunReport, name};
use crate::report::units::{Table, rounded};

/// The noise of medians and 99th percentiles between two runs on a quiet machine.
const PERCENTILE_NOISE: f64 = 0.15;
/// The noise of the rarest values: a single hiccup of the machine makes them.
const TAIL_NOISE: f64 = 0.3;
/// The noise of CPU times.
const CPU_NOISE: f64 = 0.05;
/// The noise of the server's memory.
const MEMORY_NOISE: f64 = 0.03;
/// The noise of the kernel's memory, which is the whole machine's.
const KERNEL_NOISE: f64 = 0.1;
/// The noise of rates.
const RATE_NOISE: f64 = 0.05;
/// Latencies that differ by less are the same, in milliseconds.
const TIME_WORTH: f64 = 1.0;

/// Sets two runs side by side.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The run before: its folder, or its report.json.
    a: PathBuf,
    /// The run after.
    b: PathBuf,
    /// Draws the percentile curves of both, as SVG. The histograms are taken from the reports' folders.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Compares what the command line says, and prints it.
pub fn run(args: &CompareArgs) -> Result<(), String> {
    let comparison = Comparison { a: RunReport::read(&args.a)?, b: RunReport::read(&args.b)? };
    if let Some(page) = &args.page {
        let svg = comparison.page(&Curves::read(&args.a)?, &Curves::read(&args.b)?)?;
        std::fs::write(page, svg).map_err(|error| format!("{}: {error}", page.display()))?;
    }
    println!("{comparison}");
    Ok(())
}

/// Two reports.
#[derive(Debug)]
pub struct Comparison {
    /// Before.
    pub a: RunReport,
    /// After.
    pub b: RunReport,
}

/// Which way a number should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    /// It says what the run was, not how good.
    Neither,
}

/// Whether a number's change is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Within the noise, or neither good nor bad.
    None,
    /// Beyond the noise, for the better.
    Better,
    /// Beyond the noise, for the worse.
    Worse,
}

/// A number that is compared.
#[derive(Debug, Clone)]
pub struct Number {
    /// What it is, with its unit.
    pub name: String,
    /// Before; absent if not known.
    pub a: Option<f64>,
    /// After.
    pub b: Option<f64>,
    better: Better,
    /// The share of the value before that a change must exceed.
    noise: f64,
    /// And the least change that is worth a word.
    worth: f64,
}

impl Number {
    /// Whether it changed.
    pub fn change(&self) -> Change {
        let (Some(a), Some(b)) = (self.a, self.b) else { return Change::None };
        let difference = b - a;
        if difference.abs() <= (self.noise * a.abs()).max(self.worth) {
            return Change::None;
        }
        match (self.better, difference > 0.0) {
            (Better::Neither, _) => Change::None,
            (Better::Less, true) | (Better::More, false) => Change::Worse,
            (Better::Less, false) | (Better::More, true) => Change::Better,
        }
    }
}

/// The numbers of a comparison, as they are added.
struct Numbers<'a> {
    reports: &'a Comparison,
    all: Vec<Number>,
}

impl Numbers<'_> {
    fn add(
        &mut self,
        name: impl Into<String>,
        better: Better,
        (noise, worth): (f64, f64),
        of: impl Fn(&RunReport) -> Option<f64>,
    ) {
        let finite = |report| of(report).filter(|value| value.is_finite());
        let (a, b) = (finite(&self.reports.a), finite(&self.reports.b));
        // What neither run knows is not worth a row.
        if a.is_some() || b.is_some() {
            self.all.push(Number { name: name.into(), a, b, better, noise, worth });
        }
    }

    /// A count that should be 0: any more is worse.
    fn add_fault(&mut self, name: &str, of: impl Fn(&RunReport) -> u64) {
        self.add(name, Better::Less, (0.0, 0.0), |report| Some(of(report) as f64));
    }

    /// Median and 99th percentile, of what was measured at all.
    fn add_times(&mut self, name: &str, of: impl Fn(&RunReport) -> Option<Times>) {
        let usual = (PERCENTILE_NOISE, TIME_WORTH);
        let times = |report: &RunReport| of(report).filter(|times| times.count > 0);
        self.add(format!("{name} p50, ms"), Better::Less, usual, |report| Some(times(report)?.p50));
        self.add(format!("{name} p99, ms"), Better::Less, usual, |report| Some(times(report)?.p99));
    }

    /// What is rarer than that.
    fn add_tail(&mut self, name: &str, of: impl Fn(&RunReport) -> Option<Times>) {
        let rare = (TAIL_NOISE, TIME_WORTH);
        let times = |report: &RunReport| of(report).filter(|times| times.count > 0);
        self.add(format!("{name} p99.9, ms"), Better::Less, rare, |report| Some(times(report)?.p999));
        self.add(format!("{name} max, ms"), Better::Less, rare, |report| Some(times(report)?.max));
    }
}

impl Comparison {
    /// The main numbers.
    pub fn numbers(&self) -> Vec<Number> {
        let mut numbers = Numbers { reports: self, all: Vec::new() };
        numbers.add("sessions live", Better::More, (0.0, 0.0), |report| Some(f64::from(report.arrival.live)));
        // How fast sessions come is what was asked for, unless the server is slower.
        numbers
            .add("identifies/s", Better::More, (RATE_NOISE, 0.0), |report| Some(report.arrival.identifies_per_second));
        numbers.add_times("identify", |report| Some(report.arrival.identify_ms));
        numbers.add_times("resume", |report| Some(report.arrival.resume_ms));

        numbers.add("deliveries expected", Better::Neither, (0.0, 0.0), |report| Some(report.all.expected as f64));
        numbers.add("deliveries received", Better::Neither, (0.0, 0.0), |report| Some(report.all.received as f64));
        // A late delivery is no fault; a share of one in a thousand is worth a word.
        let late =
            |report: &RunReport| (report.all.received > 0).then(|| report.all.late as f64 / report.all.received as f64);
        numbers.add("late, % of received", Better::Less, (TAIL_NOISE, 0.1), |report| Some(late(report)? * 100.0));
        numbers.add_fault("lost", |report| report.all.lost);
        numbers.add_fault("not yet", |report| report.all.not_yet);
        numbers.add_fault("duplicated", |report| report.all.duplicated);
        numbers.add_fault("out of order", |report| report.all.out_of_order);
        numbers.add_fault("leaked", |report| report.all.leaked);
        numbers.add_fault("sequence faults", |report| {
            report.sequence.missing + report.sequence.duplicates + report.sequence.late
        });
        numbers.add_fault("sessions invalidated", |report| report.connections.invalidated);
        numbers.add_fault("sessions given up", |report| report.connections.dead);
        numbers.add_fault("connections ended unasked", |report| report.connections.disconnects);
        numbers.add_fault("requests failed", |report| report.rest.errors());

        let rate = (RATE_NOISE, 0.0);
        numbers.add("deliveries/s", Better::More, rate, |report| Some(report.traffic.deliveries_per_second));
        numbers
            .add("peak deliveries/s", Better::Neither, rate, |report| Some(report.traffic.peak_deliveries_per_second));
        numbers.add("bytes per delivery", Better::Less, (0.01, 0.0), |report| Some(report.traffic.bytes_per_delivery));
        numbers.add_times("latency", |report| Some(report.all.latency_ms));
        numbers.add_tail("latency", |report| Some(report.all.latency_ms));
        numbers.add_times("last session", |report| Some(report.all.last_session_ms));
        // With one kind, the sum says it all.
        if self.a.kinds.len() > 1 || self.b.kinds.len() > 1 {
            for kind in self.a.kinds.keys().chain(self.b.kinds.keys()).collect::<BTreeSet<_>>() {
                numbers.add_times(name(*kind), |report| Some(report.kinds.get(kind)?.latency_ms));
            }
        }
        for route in self.a.rest.routes.keys().chain(self.b.rest.routes.keys()).collect::<BTreeSet<_>>() {
            numbers.add_times(&format!("answer to {route}"), |report| Some(report.rest.routes.get(route)?.answer_ms));
        }
        numbers.add_times("driver's own lag", |report| Some(report.rest.lag_ms));

        let cpu = (CPU_NOISE, 0.0);
        numbers.add("server CPU per delivery, µs", Better::Less, cpu, |report| report.server.cpu_us_per_delivery);
        numbers.add("server CPU per identify, µs", Better::Less, cpu, |report| report.server.cpu_us_per_identify);
        numbers.add("server CPUs", Better::Less, cpu, |report| report.server.cpus);
        numbers.add("server's busiest thread, %", Better::Neither, cpu, |report| {
            Some(report.server.busiest?.wanted() * 100.0)
        });
        let memory = (MEMORY_NOISE, 0.0);
        numbers.add("server bytes per session", Better::Less, memory, |report| report.server.bytes_per_session);
        let kernel = (KERNEL_NOISE, 0.0);
        numbers.add("kernel bytes per session", Better::Less, kernel, |report| report.server.kernel_bytes_per_session);
        numbers.add("client's busiest thread, %", Better::Neither, cpu, |report| Some(report.client.busiest() * 100.0));
        numbers.all
    }

    /// Why the two may not be comparable.
    pub fn warnings(&self) -> Vec<String> {
        let (a, b) = (&self.a, &self.b);
        let (from, to) = (&a.header, &b.header);
        let mut warnings = Vec::new();
        let told = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
        let mut differ = |what: &str, a: String, b: String| {
            if a != b {
                warnings.push(format!("{what} differ: {a} and {b}"));
            }
        };
        differ("the scenarios", from.name.clone(), to.name.clone());
        differ("the seeds", told(from.seed.map(|seed| seed.to_string())), told(to.seed.map(|seed| seed.to_string())));
        let scale = |scale: Option<f64>| told(scale.map(|scale| scale.to_string()));
        differ("the scales", scale(from.scale), scale(to.scale));
        differ("the speeds", from.speed.to_string(), to.speed.to_string());
        differ("the machines", from.machine.to_string(), to.machine.to_string());
        differ("the numbers of sessions", a.arrival.asked.to_string(), b.arrival.asked.to_string());
        differ("the limits of late", a.traffic.late_after_ms.to_string(), b.traffic.late_after_ms.to_string());
        for (letter, report) in [("A", a), ("B", b)] {
            if !report.valid {
                warnings.push(format!("{letter} is INVALID as a measurement: the load generator was the limit"));
            }
            if !report.sound {
                warnings.push(format!("{letter} is FAULTY"));
            }
        }
        warnings
    }

    fn page(&self, a: &Curves, b: &Curves) -> Result<String, String> {
        /// Latency, and time until the last session has it.
        const COLUMNS: usize = 2;
        const SIZE: (u32, u32) = (700, 330);
        const HEAD: u32 = 92;
        let mut pairs = Vec::new();
        let steps = |curves: &[(&'static str, Vec<Step>)], kind| {
            let found = curves.iter().find(|(name, _)| *name == kind);
            found.map(|(_, steps)| steps.clone()).filter(|steps| !steps.is_empty())
        };
        // A row for each kind.
        for kind in kinds() {
            let latency = (steps(&a.latency, kind), steps(&b.latency, kind));
            let last = (steps(&a.last, kind), steps(&b.last, kind));
            if [&latency.0, &latency.1, &last.0, &last.1].into_iter().any(Option::is_some) {
                pairs.push((format!("Latency: {kind}"), latency));
                pairs.push((format!("Until the last session has it: {kind}"), last));
            }
        }
        let rows = pairs.len().div_ceil(COLUMNS).max(1) as u32;
        let (before, after) = (ListSubscription::plain(ORANGE), ListSubscription::plain(BLUE));
        let width = SIZE.0 * COLUMNS as u32;
        picture((width, HEAD + rows * SIZE.1 + 10), |page| {
            let (head, body) = page.split_vertically(HEAD);
            let room = width as i32 - 48;
            for (letter, report, look, y) in [("A", &self.a, before, 28), ("B", &self.b, after, 60)] {
                crate::report::chart::swatch(&head, look, (24, y), 26)?;
                put(&head, letter, (60, y), &Writing::bold(18))?;
                let writing = Writing::plain(14);
                let flaw = if report.valid { "" } else { "INVALID: the load generator was the limit · " };
                put(&head, &writing.fit(&format!("{flaw}{}", report.header), room - 66), (90, y), &writing)?;
            }
            if pairs.is_empty() {
                return put(&body, "Neither has histograms.", (24, 20), &Writing::plain(16));
            }
            for ((title, (a, b)), area) in pairs.iter().zip(body.split_evenly((rows as usize, COLUMNS))) {
                draw_pair(&area, title, [(a, before), (b, after)])?;
            }
            Ok(())
        })
        .map_err(|error| error.to_string())
    }
}

fn draw_pair(area: &Area<'_>, title: &str, pair: [(&Option<Vec<Step>>, ListSubscription); 2]) -> Result<(), Failed> {
    let line =
        |(steps, look): (&Option<Vec<Step>>, ListSubscription)| steps.as_ref().map(|steps| Line::of_steps(look, steps));
    let lines: Vec<Line> = pair.into_iter().filter_map(line).collect();
    let (width, height) = area.dim_in_pixel();
    let x = Axis::percentiles(&lines, width - Chart::LEFT - Chart::RIGHT);
    let y = Axis::times(&lines, Chart::inner_height(height));
    Chart { title, x, y, lines: &lines, legend: &[("A", pair[0].1), ("B", pair[1].1)] }.draw(area)
}

/// The names of the histograms' files.
fn kinds() -> impl Iterator<Item = &'static str> {
    [ALL].into_iter().chain(crate::model::script::Kind::ALL.into_iter().map(name))
}

/// The curves of a run, by name.
struct Curves {
    latency: Vec<(&'static str, Vec<Step>)>,
    last: Vec<(&'static str, Vec<Step>)>,
}

impl Curves {
    /// Those in a report's folder.
    fn read(report: &Path) -> Result<Curves, String> {
        let folder = if report.is_dir() { report } else { report.parent().unwrap_or(Path::new("")) };
        let read = |file: fn(&str) -> String| -> Result<Vec<_>, String> {
            let mut curves = Vec::new();
            for kind in kinds() {
                let path = folder.join(file(kind));
                match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        let steps = hgrm::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
                        curves.push((kind, steps));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(format!("{}: {error}", path.display())),
                }
            }
            Ok(curves)
        };
        Ok(Curves { latency: read(latency_file)?, last: read(last_file)? })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "A  {}\nB  {}", self.a.header, self.b.header)?;
        for warning in self.warnings() {
            writeln!(f, "warning: {warning}")?;
        }
        let numbers = self.numbers();
        let mut table = Table::new(&["", "A", "B", "difference", "B/A", ""]);
        for number in &numbers {
            let both = number.a.zip(number.b);
            let difference = both.map_or("-".into(), |(a, b)| signed(b - a));
            let ratio = both.filter(|(a, _)| *a != 0.0).map_or("-".into(), |(a, b)| format!("{:.2}", b / a));
            let mark = match number.change() {
                Change::None => "",
                Change::Better => "better",
                Change::Worse => "WORSE",
            };
            table.push(vec![number.name.clone(), cell(number.a), cell(number.b), difference, ratio, mark.into()]);
        }
        writeln!(f, "\n{table}")?;
        let count = |change| numbers.iter().filter(|number| number.change() == change).count();
        write!(f, "beyond the noise: {} worse, {} better", count(Change::Worse), count(Change::Better))
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or("-".into(), shown)
}

fn signed(value: f64) -> String {
    let text = shown(value.abs());
    if text.chars().all(|next| matches!(next, '0' | '.')) {
        return "0".into();
    }
    format!("{}{text}", if value < 0.0 { "-" } else { "+" })
}

/// Whole numbers whole, small ones with two digits after the point.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 10_000.0 { rounded(value) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn change(comparison: &Comparison, name: &str) -> Change {
        let numbers = comparison.numbers();
        let number = numbers.iter().find(|number| number.name == name);
        number.unwrap_or_else(|| panic!("{name} is not compared")).change()
    }

    #[test]
    fn what_is_slower_is_worse_and_the_other_way_round_better() {
        let (fast, slow) = (sample::findings(1.0, 3).report, sample::findings(1.5, 3).report);
        let worse = Comparison { a: fast.clone(), b: slow.clone() };
        let better = Comparison { a: slow, b: fast };
        let slower =
            ["latency p50, ms", "latency p99, ms", "last session p99, ms", "edit p99, ms", "answer to history p99, ms"];
        for name in slower.into_iter().chain(["server CPU per delivery, µs"]) {
            assert_eq!((change(&worse, name), change(&better, name)), (Change::Worse, Change::Better), "{name}");
        }
        for name in ["lost", "deliveries expected", "server bytes per session"] {
            assert_eq!(change(&worse, name), Change::None, "{name}");
        }
        assert!(worse.warnings().is_empty(), "{:?}", worse.warnings());
        let text = worse.to_string();
        let row = text.lines().find(|line| line.starts_with("server CPU per delivery")).unwrap();
        let words: Vec<&str> = row.split_whitespace().skip(5).collect();
        assert_eq!(words, ["13.10", "19.65", "+6.55", "1.50", "WORSE"]);
    }

    #[test]
    fn noise_is_no_change_but_any_loss_is() {
        let a = sample::findings(1.0, 3).report;
        let mut b = a.clone();
        b.all.latency_ms.p99 *= 1.14;
        b.server.cpu_us_per_delivery = Some(13.1 * 1.04);
        b.all.lost = 1;
        b.server.bytes_per_session = None;
        let comparison = Comparison { a, b };
        assert_eq!(change(&comparison, "latency p99, ms"), Change::None);
        assert_eq!(change(&comparison, "server CPU per delivery, µs"), Change::None);
        assert_eq!(change(&comparison, "server bytes per session"), Change::None);
        assert_eq!(change(&comparison, "lost"), Change::Worse);
        let worse = comparison.numbers().iter().filter(|number| number.change() == Change::Worse).count();
        assert_eq!(worse, 1);
        assert!(comparison.to_string().ends_with("beyond the noise: 1 worse, 0 better"));
    }

    #[test]
    fn what_is_not_comparable_is_said() {
        let a = sample::findings(1.0, 3).report;
        let mut b = sample::faulty().report;
        b.header.name = "town hall".into();
        b.header.seed = None;
        b.header.scale = Some(1.0);
        b.header.machine.cpus = 64;
        let said = Comparison { a, b }.warnings().join("\n");
        for what in [
            "midjourney and town hall",
            "seeds differ: 1 and unknown",
            "scales",
            "machines",
            "B is INVALID",
            "B is FAULTY",
        ] {
            assert!(said.contains(what), "{what}: {said}");
        }
        assert!(!said.contains("A is") && !said.contains("speeds"), "{said}");
    }

    #[test]
    fn both_curves_are_drawn_by_kind_and_nothing_is_a_page_too() {
        let of = |slowness| {
            let findings = sample::findings(slowness, 2);
            let steps = |histograms: &crate::report::findings::Histograms| {
                histograms.iter().map(|(kind, of)| (name(*kind), hgrm::parse(&hgrm::text(of)).unwrap())).collect()
            };
            (Curves { latency: steps(&findings.latency), last: steps(&findings.last_session) }, findings.report)
        };
        let ((a, before), (b, after)) = (of(1.0), of(1.5));
        let comparison = Comparison { a: before, b: after };
        let svg = comparison.page(&a, &b).unwrap();
        for said in ["Latency: message", "Latency: edit", "Until the last session has it: edit", "99.9%", "midjourney"]
        {
            assert!(svg.contains(said), "{said} is missing");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf\""));
        let none = Curves { latency: Vec::new(), last: vec![("all", Vec::new())] };
        assert!(comparison.page(&none, &none).unwrap().contains("Neither has histograms."));
    }
}
