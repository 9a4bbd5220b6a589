//! A run on one page: the main numbers and the verdict, percentiles by kind, and the course of the run.

use std::io;

use plotters::prelude::*;

use crate::report::chart::{
    Area, Axis, BLUE, Chart, Failed, GREEN, Line, ListSubscription, ORANGE, PALE, RED, SEA, VERMILION, Writing,
    picture, put, swatch, told,
};
use crate::report::findings::{Findings, Histograms, merged};
use crate::report::run::{Deliveries, RunReport, name};
use crate::report::series::Point;
use crate::report::summary::bottleneck;
use crate::report::units::{bytes, grouped, percent, rounded};

/// The page's width, in pixels.
const WIDTH: u32 = 1_600;
/// Left and right of everything.
const MARGIN: i32 = 24;
/// Height of the title and the main numbers.
const HEAD: u32 = 214;
/// Height of the percentiles.
const PERCENTILES: u32 = 400;
/// Width of each of the two charts of percentiles; what is left is the table's.
const PERCENTILES_WIDTH: u32 = 540;
/// Height of each of the two rows of charts over time.
const COURSE: u32 = 250;
/// Charts over time in a row.
const COLUMNS: u32 = 3;
/// Height of a line of the foot.
const FOOT_LINE: u32 = 20;
/// Lines of the foot; what does not fit is in the report.
const FOOT_LINES_MAX: usize = 14;

/// The page.
pub fn svg(findings: &Findings) -> io::Result<String> {
    let foot = foot_lines(&findings.report);
    let foot_height = if foot.is_empty() { 0 } else { foot.len() as u32 * FOOT_LINE + 24 };
    let height = HEAD + PERCENTILES + 2 * COURSE + foot_height + 10;
    picture((WIDTH, height), |page| {
        let (top, rest) = page.split_vertically(HEAD);
        head(&top, &findings.report)?;
        let (middle, rest) = rest.split_vertically(PERCENTILES);
        percentiles(&middle, findings)?;
        let (course, bottom) = rest.split_vertically(2 * COURSE);
        self::course(&course, &findings.series.points)?;
        for ((what, text), y) in foot.iter().zip((14..).step_by(FOOT_LINE as usize)) {
            put(&bottom, what, (MARGIN, y), &Writing::bold(13))?;
            let writing = Writing::plain(13);
            put(&bottom, &writing.fit(text, WIDTH as i32 - 2 * MARGIN - 100), (MARGIN + 100, y), &writing)?;
        }
        Ok(())
    })
}

fn head(area: &Area<'_>, report: &RunReport) -> Result<(), Failed> {
    let mut right = WIDTH as i32 - MARGIN;
    let sound = if report.sound { ("SOUND", GREEN) } else { ("FAULTY", RED) };
    let valid = if report.valid { ("VALID", GREEN) } else { ("INVALID: the load generator was the limit", RED) };
    for (text, colour) in [sound, valid] {
        right = badge(area, text, right, colour)? - 12;
    }
    let text = format!("bottleneck: {}", bottleneck(report.bottleneck));
    put(area, &text, (right - 6, 34), &Writing::plain(15).to_the_left())?;
    right -= Writing::plain(15).width(&text) + 30;

    let title = Writing::bold(28);
    let named = if report.header.name.is_empty() { "Replay" } else { &report.header.name };
    put(area, &title.fit(named, right - MARGIN), (MARGIN, 34), &title)?;
    let faint = Writing::faint(14);
    let room = WIDTH as i32 - 2 * MARGIN;
    put(area, &faint.fit(&report.header.how(), room), (MARGIN, 66), &faint)?;
    put(area, &faint.fit(&report.header.machine.to_string(), room), (MARGIN, 87), &faint)?;
    tiles(area, report)
}

/// A word in a coloured box that ends at `right`; says where it begins.
fn badge(area: &Area<'_>, text: &str, right: i32, colour: RGBColor) -> Result<i32, Failed> {
    let writing = Writing::bold(16).in_ink(WHITE);
    let left = right - writing.width(text) - 20;
    area.draw(&Rectangle::new([(left, 18), (right, 50)], colour.filled()))?;
    // Flush right within the box: the estimate of the width is too wide for most words.
    let inner = Writing::bold(16).in_ink(WHITE).centred();
    put(area, text, ((left + right) / 2, 34), &inner)?;
    Ok(left)
}

/// A main number: what it is, the number, and two lines about it.
struct Tile {
    what: &'static str,
    value: String,
    ink: RGBColor,
    below: [String; 2],
    /// How wide it is, compared with the others.
    parts: i32,
}

fn tiles(area: &Area<'_>, report: &RunReport) -> Result<(), Failed> {
    let all = tile_texts(report);
    const GAP: i32 = 10;
    let parts: i32 = all.iter().map(|tile| tile.parts).sum();
    let room = WIDTH as i32 - 2 * MARGIN - GAP * (all.len() as i32 - 1);
    let mut left = MARGIN;
    for tile in &all {
        let width = room * tile.parts / parts;
        area.draw(&Rectangle::new([(left, 106), (left + width, 202)], PALE.filled()))?;
        let (x, room) = (left + 10, width - 14);
        let (what, below) = (Writing::faint(13), Writing::faint(12));
        put(area, &what.fit(tile.what, room), (x, 120), &what)?;
        // The largest letters in which it fits.
        let value = (14..=22).rev().map(|size| Writing::bold(size).in_ink(tile.ink));
        let value = value.into_iter().find(|writing| writing.width(&tile.value) <= room).unwrap_or(Writing::bold(14));
        put(area, &value.fit(&tile.value, room), (x, 145), &value)?;
        put(area, &below.fit(&tile.below[0], room), (x, 170), &below)?;
        put(area, &below.fit(&tile.below[1], room), (x, 188), &below)?;
        left += width + GAP;
    }
    Ok(())
}

fn tile(parts: i32, what: &'static str, value: String, ink: RGBColor, below: [String; 2]) -> Tile {
    Tile { what, value, ink, below, parts }
}

// A table: one tile for each main number.
fn tile_texts(report: &RunReport) -> Vec<Tile> {
    let (all, arrival, traffic, server) = (&report.all, &report.arrival, &report.traffic, &report.server);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let wrong = |wrong: bool| if wrong { RED } else { Writing::INK };
    let missing = all.lost + all.not_yet;
    let times = all.latency_ms;
    let last = all.last_session_ms;
    vec![
        tile(
            9,
            "sessions live",
            grouped(arrival.live.into()),
            wrong(arrival.live < arrival.asked),
            [
                format!("of {} asked", grouped(arrival.asked.into())),
                format!("{} identifies/s", rounded(arrival.identifies_per_second)),
            ],
        ),
        tile(
            11,
            "deliveries",
            grouped(all.received),
            wrong(missing > 0),
            [
                format!("{} lost, {} not yet", grouped(all.lost), grouped(all.not_yet)),
                format!("{} late", grouped(all.late)),
            ],
        ),
        tile(
            9,
            "wrong deliveries",
            grouped(all.duplicated + all.out_of_order + all.leaked),
            wrong(all.duplicated + all.out_of_order + all.leaked > 0),
            [
                format!("{} dup., {} disorder", grouped(all.duplicated), grouped(all.out_of_order)),
                format!("{} leaked", grouped(all.leaked)),
            ],
        ),
        tile(
            9,
            "deliveries/s",
            rounded(traffic.deliveries_per_second),
            Writing::INK,
            [
                format!("peak {}", rounded(traffic.peak_deliveries_per_second)),
                format!("{:.0} bytes each", traffic.bytes_per_delivery),
            ],
        ),
        tile(
            13,
            "latency p50 / p99",
            format!("{} / {}", told(times.count, times.p50), told(times.count, times.p99)),
            Writing::INK,
            [format!("p99.9 {}", told(times.count, times.p999)), format!("max {}", told(times.count, times.max))],
        ),
        tile(
            13,
            "last session p50 / p99",
            format!("{} / {}", told(last.count, last.p50), told(last.count, last.p99)),
            Writing::INK,
            [format!("{} events", grouped(last.count)), format!("max {}", told(last.count, last.max))],
        ),
        tile(
            11,
            "server CPU / delivery",
            or_dash(server.cpu_us_per_delivery.map(|cpu| format!("{cpu:.2} µs"))),
            Writing::INK,
            [
                or_dash(server.cpus.map(|cpus| format!("{cpus:.2} CPUs used"))),
                or_dash(server.busiest.map(|busy| format!("busiest thread {}", percent(busy.wanted())))),
            ],
        ),
        tile(
            9,
            "memory / session",
            or_dash(server.bytes_per_session.map(|bytes| format!("{} B", rounded(bytes)))),
            Writing::INK,
            [
                format!("kernel {}", or_dash(server.kernel_bytes_per_session.map(bytes))),
                format!("client {}", or_dash(report.client.bytes_per_session.map(bytes))),
            ],
        ),
        tile(
            9,
            "requests",
            grouped(report.rest.count()),
            wrong(report.rest.errors() > 0),
            [
                format!("{} failed", grouped(report.rest.errors())),
                format!("lag p99 {}", told(report.rest.lag_ms.count, report.rest.lag_ms.p99)),
            ],
        ),
    ]
}

/// A curve for each kind, and the sum of all if there are several.
pub(super) fn curves(histograms: &Histograms) -> Vec<Line> {
    let some: Vec<_> = histograms.iter().filter(|(_, histogram)| !histogram.is_empty()).collect();
    let sum = (some.len() > 1).then(|| merged(histograms)).flatten();
    let sum = sum.map(|all| Line::of_histogram(ListSubscription::ALL, &all));
    sum.into_iter()
        .chain(some.iter().map(|(kind, histogram)| Line::of_histogram(ListSubscription::of(**kind), histogram)))
        .collect()
}

fn percentiles(area: &Area<'_>, findings: &Findings) -> Result<(), Failed> {
    let (left, rest) = area.split_horizontally(PERCENTILES_WIDTH);
    let (middle, right) = rest.split_horizontally(PERCENTILES_WIDTH);
    let latency = curves(&findings.latency);
    let last = curves(&findings.last_session);
    // Both have the same y axis, so that they can be compared by eye.
    let both: Vec<Line> = latency.iter().chain(&last).cloned().collect();
    let pixels = PERCENTILES_WIDTH - Chart::LEFT - Chart::RIGHT;
    for (area, title, lines) in
        [(&left, "Latency of deliveries", &latency), (&middle, "Time until the last session has it", &last)]
    {
        let (x, y) = (Axis::percentiles(lines, pixels), Axis::times(&both, Chart::inner_height(PERCENTILES)));
        Chart { title, x, y, lines, legend: &[] }.draw(area)?;
    }
    table(&right, &findings.report)
}

/// The legend of both charts, with the main values.
fn table(area: &Area<'_>, report: &RunReport) -> Result<(), Failed> {
    const COLUMNS: [(&str, i32); 6] =
        [("deliveries", 216), ("p50", 271), ("p99", 326), ("p99.9", 381), ("max", 436), ("last p99", 496)];
    let heading = Writing::faint(12);
    for (name, right) in COLUMNS {
        put(area, name, (right, 46), &heading.to_the_left())?;
    }
    let kinds = report.kinds.iter().map(|(kind, of)| (name(*kind), ListSubscription::of(*kind), of));
    let all = (report.kinds.len() != 1).then_some(("all", ListSubscription::ALL, &report.all));
    for ((name, look, of), y) in all.into_iter().chain(kinds).zip((72..).step_by(25)) {
        let Deliveries { latency_ms, last_session_ms, received, optional, .. } = of;
        swatch(area, look, (4, y), 26)?;
        put(area, name, (38, y), &Writing::bold(13))?;
        let values = [
            grouped(received + optional),
            told(latency_ms.count, latency_ms.p50),
            told(latency_ms.count, latency_ms.p99),
            told(latency_ms.count, latency_ms.p999),
            told(latency_ms.count, latency_ms.max),
            told(last_session_ms.count, last_session_ms.p99),
        ];
        for (value, (_, right)) in values.iter().zip(COLUMNS) {
            put(area, value, (right, y), &Writing::plain(12).to_the_left())?;
        }
    }
    Ok(())
}

/// The charts over time.
fn course(area: &Area<'_>, points: &[Point]) -> Result<(), Failed> {
    let over = |look: ListSubscription, value: fn(&Point) -> Option<f64>| {
        Line::over_time(look, points.iter().map(move |point| (point.seconds, value(point))))
    };
    // Latencies go onto a log axis.
    let log = |look: ListSubscription, value: fn(&Point) -> Option<f64>| {
        let logs = points.iter().map(move |point| (point.seconds, value(point).map(crate::report::chart::height)));
        Line::over_time(look, logs)
    };
    const PALE_LINE: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);
    let (blue, orange) = (ListSubscription::plain(BLUE), ListSubscription::plain(ORANGE));
    // Most of the time both lines are one: what is below must be seen, too.
    let under = ListSubscription { width: 5, ..orange };
    let rates = [over(blue, |point| Some(point.deliveries_per_second))];
    let times = [
        log(ListSubscription::plain(PALE_LINE), |point| point.max_ms),
        log(orange, |point| point.p99_ms),
        log(blue, |point| point.p50_ms),
    ];
    let sessions =
        [over(under, |point| Some(f64::from(point.connected))), over(blue, |point| Some(f64::from(point.live)))];
    let cpus = [over(orange, |point| point.client_cpus), over(blue, |point| point.server_cpus)];
    let memory = [
        over(ListSubscription::plain(SEA), |point| point.kernel_bytes.map(|bytes| bytes as f64)),
        over(blue, |point| point.server_bytes.map(|bytes| bytes as f64)),
    ];
    let most = points.iter().map(|point| point.posts_per_second).filter(|rate| rate.is_finite()).fold(1.0, f64::max);
    let requests = [faulty_seconds(points, most), over(blue, |point| Some(point.posts_per_second))];
    let charts = [
        ("Deliveries per second", Axis::counts(&rates, ""), &rates[..], &[][..]),
        (
            "Latency of each second",
            Axis::times(&times, Chart::inner_height(COURSE)),
            &times[..],
            &[("p50", blue), ("p99", orange), ("max", ListSubscription::plain(PALE_LINE))][..],
        ),
        ("Sessions", Axis::counts(&sessions, ""), &sessions[..], &[("live", blue), ("connected", under)][..]),
        ("CPUs used", Axis::counts(&cpus, ""), &cpus[..], &[("server", blue), ("load generator", orange)][..]),
        (
            "Memory",
            Axis::bytes(&memory),
            &memory[..],
            &[("server, anonymous", blue), ("kernel, whole machine", ListSubscription::plain(SEA))][..],
        ),
        (
            "Requests per second",
            Axis::counts(&requests, ""),
            &requests[..],
            &[("requests", blue), ("second with faults", FAULTS)][..],
        ),
    ];
    let seconds = || points.iter().map(|point| point.seconds).filter(|seconds| seconds.is_finite());
    let (start, end) = (seconds().fold(0.0, f64::min), seconds().fold(1.0, f64::max));
    for ((title, y, lines, legend), area) in charts.into_iter().zip(area.split_evenly((2, COLUMNS as usize))) {
        Chart { title, x: Axis::seconds(start..end), y, lines, legend }.draw(&area)?;
    }
    Ok(())
}

const FAULTS: ListSubscription = ListSubscription::plain(VERMILION);

/// An upright line for each second with faults: next to thousands of requests, a few would not be seen.
fn faulty_seconds(points: &[Point], height: f64) -> Line {
    let faulty = points.iter().filter(|point| point.errors > 0 && point.seconds.is_finite());
    let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
    // Closer together than a pixel they would only make the file larger.
    let pixel = points.last().map_or(0.0, |last| (last.seconds / f64::from(WIDTH / COLUMNS)).abs());
    for point in faulty {
        if parts.last().is_none_or(|last| point.seconds - last[0].0 >= pixel) {
            parts.push(vec![(point.seconds, 0.0), (point.seconds, height)]);
        }
    }
    Line { look: FAULTS, parts }
}

/// The lines at the foot: what the numbers alone do not say.
fn foot_lines(report: &RunReport) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.extend(report.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.extend(report.baselines.iter().map(|baseline| ("baseline", baseline.to_string())));
    let threads: Vec<String> =
        report.client.threads.iter().map(|thread| format!("{} {}", thread.name, thread.busy)).collect();
    if !threads.is_empty() {
        lines.push(("client", threads.join(", ")));
    }
    let left_out =
        |left: &crate::report::run::LeftOut| ("left out", format!("{} × {}: {}", left.count, left.what, left.why));
    lines.extend(report.left_out.iter().map(left_out));
    lines.extend(report.faults.iter().map(|fault| {
        let session = fault.session.map_or(String::new(), |session| format!(" on session {session}"));
        ("fault", format!("{}{session}: {}", fault.kind, fault.what))
    }));
    if lines.len() > FOOT_LINES_MAX {
        let more = lines.len() - FOOT_LINES_MAX + 1;
        lines.truncate(FOOT_LINES_MAX - 1);
        lines.push(("", format!("and {more} lines more in {}", crate::report::run::REPORT)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::script::Kind;
    use crate::report::sample;

    /// Whether all coordinates of a picture are numbers.
    fn check(svg: &str) {
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for wrong in ["NaN", "nan", "inf"] {
            let inside =
                svg.split(['"', ' ', ',']).filter(|word| *word == wrong || *word == format!("-{wrong}")).count();
            assert_eq!(inside, 0, "{wrong}");
        }
    }

    #[test]
    fn the_page_says_what_was_run_how_it_went_and_which_kinds_there_were() {
        let svg = svg(&sample::findings(1.0, 5)).unwrap();
        check(&svg);
        for said in [
            "midjourney",
            "seed 1 · scale 0.01 · speed 1",
            "commit 1e3dceb",
            "2026-11-24T00:14:13Z",
            "A CPU &lt;of&gt; 2 GHz &amp; more",
            "SOUND",
            "VALID",
            "bottleneck: neither",
            "44,871",
            "13.10 µs",
            "99.9%",
            "100 ms",
            "unreact",
            "2,017 B",
            "raw send loop",
        ] {
            assert!(svg.contains(said), "{said} is missing");
        }
        assert!(!svg.contains("presence") && !svg.contains("INVALID") && !svg.contains("FAULTY"));
    }

    #[test]
    fn a_faulty_run_says_so() {
        let svg = svg(&sample::faulty()).unwrap();
        check(&svg);
        for said in
            ["FAULTY", "INVALID: the load generator was the limit", "5 lost, 2 not yet", "1 leaked", "lines more"]
        {
            assert!(svg.contains(said), "{said} is missing");
        }
    }

    #[test]
    fn nothing_and_nonsense_make_a_page_too() {
        check(&svg(&Findings::default()).unwrap());
        let mut findings = sample::findings(1.0, Kind::ALL.len());
        findings.series.points.truncate(1);
        findings.series.points[0].p50_ms = Some(f64::NAN);
        findings.series.points[0].deliveries_per_second = f64::INFINITY;
        findings.report.traffic.deliveries_per_second = f64::INFINITY;
        findings.report.server.cpu_us_per_delivery = Some(f64::NAN);
        findings.latency.insert(crate::model::script::Kind::Edit, crate::base::times::microseconds());
        let mut one = crate::base::times::microseconds();
        one.record(1).unwrap();
        findings.last_session = [(crate::model::script::Kind::Edit, one)].into();
        findings.conclude();
        check(&svg(&findings).unwrap());
    }
}
