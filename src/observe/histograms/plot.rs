//! The plot: a percentile curve for each metric, as SVG.
//!
//! Lives on: the main thread.
//! To the right, each decade is ten times rarer: x is 1/(1-p), y the latency, both on a log scale, so that the tail has
//! as much room as the median. A metric has the same colour in every plot. Metrics without values and REST routes are
//! left out.

use std::io;
use std::ops::Range;

use hdrhistogram::Histogram;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::base::clock::iso8601;
use crate::base::metrics::{Metric, Metrics};
use crate::observe::histograms::Dump;
use crate::observe::histograms::units::{axis, grouped, human};

/// Size of the picture, in pixels.
const SIZE: (u32, u32) = (1280, 720);
/// Height of the title above the chart.
const TITLE_HEIGHT: u32 = 84;
/// Where the chart ends and the legend begins.
const CHART_WIDTH: u32 = 950;
/// Height of one metric in the legend.
const LEGEND_STEP: i32 = 66;
/// Points of one curve in the width of the chart; more than its pixels would not be seen.
const POINTS: u32 = 800;
/// Decades on the x axis at most: 99.999999%. With more the labels would touch.
const DECADES_MAX: f64 = 8.0;
/// Up to this many decades there is room for 50% between 0% and 90%.
const MEDIAN_DECADES_MAX: f64 = 7.0;
/// Up to this many decades, the y axis has labels within decades, too.
const FEW_DECADES: i32 = 3;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT_INK: RGBColor = RGBColor(0x66, 0x66, 0x66);
const LINE: RGBColor = RGBColor(0xc8, 0xc8, 0xc8);
const FAINT_LINE: RGBColor = RGBColor(0xee, 0xee, 0xee);
/// One for each metric, told apart by the colour-blind, too (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x33, 0x33, 0x33),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];
const _: () = assert!(COLOURS.len() >= Metric::ALL.len(), "every metric has a colour of its own");

/// What is drawn of a metric.
type Curve<'a> = (Metric, &'a Histogram<u64>);

/// The picture.
pub(super) fn svg(dump: &Dump<'_>, merged: &Metrics) -> io::Result<String> {
    let curves: Vec<Curve<'_>> = Metric::ALL
        .iter()
        .map(|metric| (*metric, merged.histogram(*metric)))
        .filter(|(_, histogram)| !histogram.is_empty())
        .collect();
    let mut svg = String::new();
    draw(&mut svg, dump, &curves).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

type Failed = DrawingAreaErrorKind<io::Error>;

fn draw(svg: &mut String, dump: &Dump<'_>, curves: &[Curve<'_>]) -> Result<(), Failed> {
    let picture = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let (title, body) = picture.split_vertically(TITLE_HEIGHT);
    text(&title, "Guildhall: latencies by percentile", (30, 34), 30.0, INK, FontStyle::Bold)?;
    text(&title, &subtitle(dump), (30, 66), 18.0, FAINT_INK, FontStyle::Normal)?;
    let (left, right) = body.split_horizontally(CHART_WIDTH);
    if curves.is_empty() {
        text(&left, "Nothing was measured.", (30, 40), 20.0, INK, FontStyle::Normal)?;
    } else {
        chart(&left, curves)?;
        legend(&right, curves)?;
    }
    picture.present()
}

/// `started 2026-11-23 21:06:22 UTC · ran 60 s · 2 cores · version 0.1.0`.
fn subtitle(dump: &Dump<'_>) -> String {
    let started = iso8601(dump.started.millis()).replace('T', " ");
    let cores = match dump.cores.len() {
        1 => "1 core".to_owned(),
        many => format!("{many} cores"),
    };
    let seconds = dump.ended.since(dump.started).as_secs();
    let started = started.split('.').next().unwrap_or_default();
    format!("started {started} UTC · ran {seconds} s · {cores} · version {}", dump.version)
}

fn chart(area: &Area<'_>, curves: &[Curve<'_>]) -> Result<(), Failed> {
    // All coordinates are logarithms to the base 10.
    let decades = curves.iter().map(|(_, histogram)| end(histogram)).fold(1.0, f64::max).ceil().min(DECADES_MAX);
    let latencies = decades_of(curves);
    let within = if latencies.end - latencies.start <= FEW_DECADES { [1, 2, 5].as_slice() } else { &[1] };
    let x = Axis {
        range: 0.0..decades,
        bold: percentiles(decades),
        light: ticks(0..decades as i32, &NINE),
        label: percent,
    };
    let y = Axis {
        range: f64::from(latencies.start)..f64::from(latencies.end),
        bold: ticks(latencies.clone(), within),
        light: ticks(latencies, &NINE),
        label: |decade| axis(10_f64.powf(decade)),
    };

    let mut chart = ChartBuilder::on(area)
        .margin_top(8)
        .margin_right(30)
        .margin_bottom(16)
        .margin_left(16)
        .set_label_area_size(LabelAreaPosition::Left, 84)
        .set_label_area_size(LabelAreaPosition::Bottom, 56)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(LINE)
        .light_line_style(FAINT_LINE)
        .axis_style(FAINT_LINE.mix(0.0))
        .label_style((FONT, 17).into_font().color(&INK))
        .axis_desc_style((FONT, 18).into_font().color(&FAINT_INK))
        .x_desc("percentile")
        .y_desc("latency")
        .draw()?;
    for (metric, histogram) in curves {
        chart.draw_series(LineSeries::new(points(histogram, decades), colour(*metric).stroke_width(2)))?;
    }
    Ok(())
}

/// An axis of logarithms: where its lines are and how they are labelled.
struct Axis {
    range: Range<f64>,
    bold: Vec<f64>,
    light: Vec<f64>,
    label: fn(f64) -> String,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { self.light.clone() } else { self.bold.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.label)(*value)
    }
}

/// Colour, name and the main values of each metric.
fn legend(area: &Area<'_>, curves: &[Curve<'_>]) -> Result<(), Failed> {
    for ((metric, histogram), y) in curves.iter().zip((18..).step_by(LEGEND_STEP as usize)) {
        area.draw(&PathElement::new([(6, y), (30, y)], colour(*metric).stroke_width(4)))?;
        text(area, metric.name(), (40, y), 18.0, INK, FontStyle::Bold)?;
        let at = |quantile| human(histogram.value_at_quantile(quantile));
        let values = format!("p50 {} · p99 {}", at(0.5), at(0.99));
        text(area, &values, (40, y + 20), 16.0, FAINT_INK, FontStyle::Normal)?;
        let values = format!("max {} · {} values", human(histogram.max()), grouped(histogram.len()));
        text(area, &values, (40, y + 39), 16.0, FAINT_INK, FontStyle::Normal)?;
    }
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn text(area: &Area<'_>, text: &str, at: (i32, i32), size: f64, ink: RGBColor, style: FontStyle) -> Result<(), Failed> {
    let font = FontDesc::new(FontFamily::from(FONT), size, style);
    let style = TextStyle::from(font).color(&ink).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(text, at, style))
}

fn colour(metric: Metric) -> RGBColor {
    COLOURS[metric as usize]
}

/// Where a curve ends: past `1 - 1/n` there is only the maximum, shown as a last step.
fn end(histogram: &Histogram<u64>) -> f64 {
    (2.0 * histogram.len() as f64).log10()
}

fn points(histogram: &Histogram<u64>, decades: f64) -> impl Iterator<Item = (f64, f64)> {
    let end = end(histogram).min(decades);
    (0..=POINTS).map(move |index| {
        let x = end * f64::from(index) / f64::from(POINTS);
        let value = histogram.value_at_quantile(1.0 - 10_f64.powf(-x));
        (x, height(value))
    })
}

/// The logarithm. Nothing takes no time at all; 0 stands for less than a nanosecond.
fn height(nanos: u64) -> f64 {
    (nanos.max(1) as f64).log10()
}

/// The decades that all values lie in.
fn decades_of(curves: &[Curve<'_>]) -> Range<i32> {
    let lowest = curves.iter().map(|(_, histogram)| height(histogram.value_at_quantile(0.0))).fold(f64::MAX, f64::min);
    let highest = curves.iter().map(|(_, histogram)| height(histogram.max())).fold(0.0, f64::max);
    let lowest = lowest.floor() as i32;
    lowest..(highest.ceil() as i32).max(lowest + 1)
}

const NINE: [i32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/// The given multiples of each power of ten, and the power at the end.
fn ticks(decades: Range<i32>, multiples: &[i32]) -> Vec<f64> {
    let end = f64::from(decades.end);
    let within = |decade: i32| multiples.iter().map(move |by| f64::from(decade) + f64::from(*by).log10());
    decades.flat_map(within).chain([end]).collect()
}

/// 0%, 50%, 90%, 99% and so on.
fn percentiles(decades: f64) -> Vec<f64> {
    let mut at: Vec<f64> = (0..=decades as i32).map(f64::from).collect();
    if decades <= MEDIAN_DECADES_MAX {
        at.insert(1, 2_f64.log10());
    }
    at
}

/// `99.9%` for 3.
fn percent(decade: f64) -> String {
    let places = (decade.round() as usize).saturating_sub(2);
    format!("{:.places$}%", 100.0 * (1.0 - 10_f64.powf(-decade)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::histograms::{minute, sample};

    #[test]
    fn the_plot_names_what_has_values_and_nothing_else() {
        let cores = sample();
        let dump = minute(&cores);
        let svg = svg(&dump, &dump.merged()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for said in [
            "lane_hop",
            "publish_to_last_flush",
            "99.9%",
            "50%",
            "100 µs",
            "2026-11-23 21:06:22 UTC",
            "2 cores",
            "1.2.3",
        ] {
            assert!(svg.contains(said), "{said} is missing");
        }
        assert!(!svg.contains("resume"));
        assert_eq!(svg.matches("<polyline").count() - svg.matches("stroke-width=\"4\"").count(), 5, "curves");
    }

    #[test]
    fn few_values_make_a_plot_too() {
        let mut one = Metrics::default();
        one.record(Metric::Resume, std::time::Duration::ZERO);
        for cores in [vec![], vec![one]] {
            let dump = minute(&cores);
            assert!(svg(&dump, &dump.merged()).unwrap().contains("</svg>"));
        }
    }

    #[test]
    fn decades_are_percentiles() {
        assert_eq!(
            [0.0, 2_f64.log10(), 1.0, 2.0, 3.0, 5.0].map(percent),
            ["0%", "50%", "90%", "99%", "99.9%", "99.999%"]
        );
    }
}
