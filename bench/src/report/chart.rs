//! Charts as SVG: axes whose labels never touch, curves that are distinguished, legends.
//!
//! A latency curve's x is 1/(1-p) on a log scale: to the right each decade is ten times rarer, so that the tail has as
//! much room as the median. All coordinates of log axes are logarithms to the base 10.

use std::io;
use std::ops::Range;

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::model::script::Kind;
use crate::report::hgrm::Step;
use crate::report::units::duration;

/// A part of a picture.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why a picture could not be drawn.
pub(super) type Failed = DrawingAreaErrorKind<io::Error>;

const FONT: &str = "sans-serif";
/// What text is written in.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// And text of less weight.
pub(super) const FAINT_INK: RGBColor = RGBColor(0x66, 0x66, 0x66);
/// All is well.
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x7a, 0x5a);
/// It is not.
pub(super) const RED: RGBColor = RGBColor(0xc0, 0x39, 0x1b);
/// The ground of boxes.
pub(super) const PALE: RGBColor = RGBColor(0xf4, 0xf5, 0xf6);
const LINE: RGBColor = RGBColor(0xcc, 0xcc, 0xcc);
const FAINT_LINE: RGBColor = RGBColor(0xee, 0xee, 0xee);

/// Told apart by the colour-blind, too (Okabe and Ito).
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// See [`BLUE`].
pub(super) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
/// See [`BLUE`].
pub(super) const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// See [`BLUE`].
pub(super) const SEA: RGBColor = RGBColor(0x00, 0x9e, 0x73);
const PINK: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
const PURPLE: RGBColor = RGBColor(0x6a, 0x3d, 0x9a);
const BROWN: RGBColor = RGBColor(0x8c, 0x51, 0x0a);
const OLIVE: RGBColor = RGBColor(0x99, 0x99, 0x33);

/// Height of a chart's title.
const TITLE_HEIGHT: u32 = 28;
/// Points of a percentile curve; more than a chart has pixels would not be seen.
const CURVE_POINTS: u32 = 600;
/// Points of a line over time before it is thinned.
const TIME_POINTS: usize = 1_000;
/// Width of a percentile's label.
const PERCENTILE_WIDTH: f64 = 70.0;
/// Labels of a time axis at most.
const TIME_TICKS: f64 = 7.0;
/// Height of a label and the room around it.
const LABEL_HEIGHT: f64 = 17.0;
/// The steps of a time axis, in seconds.
const TIME_STEPS: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0,
    86_400.0, 172_800.0,
];

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListSubscription {
    /// Its colour.
    pub colour: RGBColor,
    /// Its width in pixels.
    pub width: u32,
    /// Whether it is dashed.
    pub dashed: bool,
}

impl ListSubscription {
    /// A plain line.
    pub(super) const fn plain(colour: RGBColor) -> ListSubscription {
        ListSubscription { colour, width: 2, dashed: false }
    }

    /// A dashed line.
    pub(super) const fn dashed(colour: RGBColor) -> ListSubscription {
        ListSubscription { colour, width: 2, dashed: true }
    }

    /// A kind's line: it looks the same on every page. What undoes or follows something has its colour, and is dashed.
    pub(super) const fn of(kind: Kind) -> ListSubscription {
        match kind {
            Kind::Message => ListSubscription::plain(BLUE),
            Kind::Edit => ListSubscription::plain(ORANGE),
            Kind::Delete => ListSubscription::plain(VERMILION),
            Kind::React => ListSubscription::plain(SEA),
            Kind::Unreact => ListSubscription::dashed(SEA),
            Kind::Typing => ListSubscription::plain(PINK),
            Kind::Presence => ListSubscription::plain(SKY),
            Kind::Join => ListSubscription::plain(PURPLE),
            Kind::Leave => ListSubscription::dashed(PURPLE),
            Kind::ChannelCreate => ListSubscription::plain(BROWN),
            Kind::ChannelDelete => ListSubscription::dashed(BROWN),
            Kind::Voice => ListSubscription::plain(OLIVE),
        }
    }

    /// The line of all kinds together.
    pub(super) const ALL: ListSubscription = ListSubscription { colour: INK, width: 3, dashed: false };
}

/// A curve.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// How it looks.
    pub look: ListSubscription,
    /// Its parts: between two of them there was nothing to measure.
    pub parts: Vec<Vec<(f64, f64)>>,
}

impl Line {
    /// The percentile curve of a histogram of microseconds; y is the logarithm of milliseconds.
    pub(super) fn of_histogram(look: ListSubscription, histogram: &Histogram<u64>) -> Line {
        // Past 1 - 1/n there is only the maximum, shown as a last step.
        let end = (2.0 * histogram.len().max(1) as f64).log10();
        let at = |index: u32| {
            let x = end * f64::from(index) / f64::from(CURVE_POINTS);
            (x, height(histogram.value_at_quantile(1.0 - 10_f64.powf(-x)) as f64 / 1e3))
        };
        let points = (0..=CURVE_POINTS).map(at).collect();
        Line { look, parts: vec![points] }
    }

    /// The same of a distribution that was read from a file.
    pub(super) fn of_steps(look: ListSubscription, steps: &[Step]) -> Line {
        let count = steps.last().map_or(1, |last| last.count.max(1));
        let end = (2.0 * count as f64).log10();
        let x = |quantile: f64| (1.0 / (1.0 - quantile)).log10().min(end);
        Line { look, parts: vec![steps.iter().map(|step| (x(step.quantile), height(step.value))).collect()] }
    }

    /// Values over time; where there is none, the line has a gap.
    pub(super) fn over_time(look: ListSubscription, values: impl Iterator<Item = (f64, Option<f64>)>) -> Line {
        let mut parts = vec![Vec::new()];
        for (x, y) in values {
            match y.filter(|y| y.is_finite() && x.is_finite()) {
                Some(y) => parts.last_mut().expect("there is always one").push((x, y)),
                None if parts.last().is_some_and(|part| !part.is_empty()) => parts.push(Vec::new()),
                None => {}
            }
        }
        parts.retain(|part| !part.is_empty());
        let points: usize = parts.iter().map(Vec::len).sum();
        if points > TIME_POINTS {
            let bucket = points.div_ceil(TIME_POINTS / 2);
            parts = parts.iter().map(|part| thin(part, bucket)).collect();
        }
        Line { look, parts }
    }

    /// All its points.
    pub(super) fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.parts.iter().flatten().copied()
    }
}

/// Of every so many points the lowest and the highest: no peak is lost.
fn thin(points: &[(f64, f64)], bucket: usize) -> Vec<(f64, f64)> {
    let extremes = points.chunks(bucket).flat_map(|chunk| {
        let by_y = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let lowest = *chunk.iter().min_by(by_y).expect("chunks are not empty");
        let highest = *chunk.iter().max_by(by_y).expect("chunks are not empty");
        if lowest.0 <= highest.0 { [lowest, highest] } else { [highest, lowest] }
    });
    extremes.collect()
}

/// The logarithm of a time. Nothing takes no time at all; 0 stands for less than a microsecond.
pub(super) fn height(ms: f64) -> f64 {
    ms.max(1e-3).log10()
}

/// An axis: where its lines are and how they are labelled.
pub(super) struct Axis {
    range: Range<f64>,
    bold: Vec<f64>,
    light: Vec<f64>,
    label: Box<dyn Fn(f64) -> String>,
    /// What it shows, and in which unit.
    pub what: &'static str,
}

impl Axis {
    /// Percentiles: decades of rarity, up to what has values and room in so many pixels.
    pub(super) fn percentiles(lines: &[Line], pixels: u32) -> Axis {
        let room = (f64::from(pixels) / PERCENTILE_WIDTH).floor().max(1.0);
        let end = lines.iter().flat_map(Line::points).map(|(x, _)| x).fold(1.0, f64::max).min(room);
        let mut bold: Vec<f64> = (0..=end as i32).map(f64::from).collect();
        // 50% is a third of a decade from 0%.
        if f64::from(pixels) / end > 1.75 * PERCENTILE_WIDTH {
            bold.insert(1, 2_f64.log10());
        }
        let nines = ticks(0, end.ceil() as i32, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let light = nines.into_iter().filter(|at| *at <= end).collect();
        Axis { range: 0.0..end, bold, light, label: Box::new(percentile), what: "percentile" }
    }

    /// Times on a log scale, from the least to the largest, on so many pixels.
    pub(super) fn times(lines: &[Line], pixels: u32) -> Axis {
        let all = || lines.iter().flat_map(Line::points).map(|(_, y)| y);
        let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // The range ends at 1, 2 or 5 times a power of ten, so that no room is lost.
        let rounds = ticks(low.floor() as i32 - 1, high.ceil() as i32 + 1, &[1, 2, 5]);
        let start = rounds.iter().copied().filter(|at| *at <= low + 1e-9).fold(rounds[0], f64::max);
        let last = rounds[rounds.len() - 1];
        let end = rounds.iter().copied().filter(|at| *at >= high - 1e-9 && *at > start + 0.2).fold(last, f64::min);
        let inside = |at: &f64| (start - 1e-9..=end + 1e-9).contains(at);
        // Three labels in a decade, if there is room.
        let many = (end - start) * 3.0 * LABEL_HEIGHT <= f64::from(pixels);
        let within = if many { [1, 2, 5].as_slice() } else { &[1] };
        let (first, last) = (start.floor() as i32, end.ceil() as i32);
        Axis {
            range: start..end,
            bold: ticks(first, last, within).into_iter().filter(inside).collect(),
            light: ticks(first, last, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).into_iter().filter(inside).collect(),
            label: Box::new(|decade| round_duration(10_f64.powf(decade))),
            what: "",
        }
    }

    /// Counts, from 0: `20 k`.
    pub(super) fn counts(lines: &[Line], what: &'static str) -> Axis {
        let top = largest(lines);
        let units = [(1.0, ""), (1e3, " k"), (1e6, " M"), (1e9, " G")];
        let (divisor, unit) = units.into_iter().rev().find(|(divisor, _)| top >= 2.0 * divisor).unwrap_or(units[0]);
        Axis::linear(top, divisor, unit, what)
    }

    /// Bytes, from 0: `20 MiB`.
    pub(super) fn bytes(lines: &[Line]) -> Axis {
        let top = largest(lines);
        let units = [(1.0, " B"), (1024.0, " KiB"), (1_048_576.0, " MiB"), (1_073_741_824.0, " GiB")];
        let (divisor, unit) = units.into_iter().rev().find(|(divisor, _)| top >= 2.0 * divisor).unwrap_or(units[0]);
        Axis::linear(top, divisor, unit, "")
    }

    fn linear(top: f64, divisor: f64, unit: &'static str, what: &'static str) -> Axis {
        let top = if top > 0.0 { top / divisor } else { 1.0 };
        let magnitude = 10_f64.powf((top / 4.0).log10().floor());
        let fits = |by: &f64| by * magnitude * 4.0 >= top - 1e-9;
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(fits).unwrap_or(10.0) * magnitude;
        let steps = (top / step - 1e-9).ceil().max(1.0) as u32;
        let places = if step < 1.0 { (-step.log10() - 1e-9).ceil() as usize } else { 0 };
        let bold: Vec<f64> = (0..=steps).map(|index| f64::from(index) * step * divisor).collect();
        let label = move |value: f64| {
            if value == 0.0 { "0".into() } else { format!("{:.places$}{unit}", value / divisor) }
        };
        Axis { range: 0.0..bold[bold.len() - 1], light: bold.clone(), bold, label: Box::new(label), what }
    }

    /// The time since the traffic began.
    pub(super) fn seconds(range: Range<f64>) -> Axis {
        let range = if range.end > range.start { range } else { range.start..range.start + 1.0 };
        let span = range.end - range.start;
        let step = TIME_STEPS.into_iter().find(|step| span / step <= TIME_TICKS);
        let step = step.unwrap_or_else(|| (span / TIME_TICKS / 86_400.0).ceil() * 86_400.0);
        let (unit, what) = match step {
            step if step < 60.0 => (1.0, "seconds since the traffic began"),
            step if step < 3_600.0 => (60.0, "minutes since the traffic began"),
            _ => (3_600.0, "hours since the traffic began"),
        };
        let first = (range.start / step - 1e-9).ceil() as i64;
        let last = (range.end / step + 1e-9).floor() as i64;
        let bold: Vec<f64> = (first..=last).map(|index| index as f64 * step).collect();
        let label = move |seconds: f64| format!("{:.0}", seconds / unit);
        Axis { range, light: bold.clone(), bold, label: Box::new(label), what }
    }
}

fn largest(lines: &[Line]) -> f64 {
    lines.iter().flat_map(Line::points).map(|(_, y)| y).fold(0.0, f64::max)
}

/// The given multiples of each power of ten, and the power at the end.
fn ticks(first: i32, last: i32, multiples: &[i32]) -> Vec<f64> {
    let within = |decade: i32| multiples.iter().map(move |by| f64::from(decade) + f64::from(*by).log10());
    (first..last).flat_map(within).chain([f64::from(last)]).collect()
}

/// `99.9%` for 3.
fn percentile(decade: f64) -> String {
    let places = (decade.round() as usize).saturating_sub(2);
    format!("{:.places$}%", 100.0 * (1.0 - 10_f64.powf(-decade)))
}

/// `200 µs`, `5 ms`, `10 s`: of round numbers.
fn round_duration(ms: f64) -> String {
    match ms {
        ms if ms < 0.9995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1e3),
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = ((value - self.range.start) / (self.range.end - self.range.start)).clamp(0.0, 1.0);
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

/// A chart with its title.
pub(super) struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Its curves; the first are drawn first.
    pub lines: &'a [Line],
    /// Names of lines, to the right of the title.
    pub legend: &'a [(&'a str, ListSubscription)],
}

impl Chart<'_> {
    /// Left of the y axis.
    pub(super) const LEFT: u32 = 82;
    /// Right of the chart.
    pub(super) const RIGHT: u32 = 30;
    /// Where the title begins.
    const TITLE: i32 = 24;

    /// How high the chart itself is in an area of this height, if its x axis has a description.
    pub(super) const fn inner_height(height: u32) -> u32 {
        height - TITLE_HEIGHT - 46 - 12
    }

    /// Draws it into all of an area.
    pub(super) fn draw(self, area: &Area<'_>) -> Result<(), Failed> {
        let (head, body) = area.split_vertically(TITLE_HEIGHT);
        let (width, _) = area.dim_in_pixel();
        put(&head, self.title, (Self::TITLE, 16), &Writing::bold(16))?;
        let mut right = width as i32 - Self::RIGHT as i32;
        for (name, look) in self.legend.iter().rev() {
            let writing = Writing::plain(13);
            right -= writing.width(name);
            put(&head, name, (right, 16), &writing)?;
            swatch(&head, *look, (right - 26, 16), 20)?;
            right -= 26 + 16;
        }
        if self.lines.iter().all(|line| line.parts.is_empty()) {
            let (width, height) = body.dim_in_pixel();
            let middle = (width as i32 / 2 - 60, height as i32 / 2 - 10);
            return put(&body, "nothing was measured", middle, &Writing::faint(14));
        }
        let (x_what, y_what) = (self.x.what, self.y.what);
        let bottom = if x_what.is_empty() { 30 } else { 46 };
        let mut chart = ChartBuilder::on(&body)
            .margin_top(6)
            .margin_right(Self::RIGHT as i32)
            .margin_bottom(6)
            .set_label_area_size(LabelAreaPosition::Left, Self::LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, bottom)
            .build_cartesian_2d(self.x, self.y)?;
        let mut mesh = chart.configure_mesh();
        mesh.bold_line_style(LINE)
            .light_line_style(FAINT_LINE)
            .axis_style(FAINT_LINE.mix(0.0))
            .label_style((FONT, 13).into_font().color(&INK))
            .axis_desc_style((FONT, 13).into_font().color(&FAINT_INK));
        if !x_what.is_empty() {
            mesh.x_desc(x_what);
        }
        if !y_what.is_empty() {
            mesh.y_desc(y_what);
        }
        mesh.draw()?;
        for line in self.lines {
            let style = line.look.colour.stroke_width(line.look.width);
            for part in &line.parts {
                match part.as_slice() {
                    [alone] => {
                        chart.draw_series([Circle::new(*alone, line.look.width, line.look.colour.filled())])?;
                    }
                    points if line.look.dashed => {
                        chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, style))?;
                    }
                    points => {
                        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A short piece of a line, for a legend.
pub(super) fn swatch(area: &Area<'_>, look: ListSubscription, (x, y): (i32, i32), length: i32) -> Result<(), Failed> {
    let style = look.colour.stroke_width(look.width + 1);
    if look.dashed {
        let half = length / 2 - 3;
        area.draw(&PathElement::new([(x, y), (x + half, y)], style))?;
        return area.draw(&PathElement::new([(x + length - half, y), (x + length, y)], style));
    }
    area.draw(&PathElement::new([(x, y), (x + length, y)], style))
}

/// How text is written.
#[derive(Clone, Copy)]
pub(super) struct Writing {
    size: i32,
    ink: RGBColor,
    bold: bool,
    side: HPos,
}

impl Writing {
    /// What is written unless a colour is given.
    pub(super) const INK: RGBColor = INK;

    /// Plain.
    pub(super) const fn plain(size: i32) -> Writing {
        Writing { size, ink: INK, bold: false, side: HPos::Left }
    }

    /// Of less weight.
    pub(super) const fn faint(size: i32) -> Writing {
        Writing { ink: FAINT_INK, ..Writing::plain(size) }
    }

    /// Of more.
    pub(super) const fn bold(size: i32) -> Writing {
        Writing { bold: true, ..Writing::plain(size) }
    }

    /// In another colour.
    pub(super) const fn in_ink(self, ink: RGBColor) -> Writing {
        Writing { ink, ..self }
    }

    /// The point given is the text's right end.
    pub(super) const fn to_the_left(self) -> Writing {
        Writing { side: HPos::Right, ..self }
    }

    /// The point given is the text's middle.
    pub(super) const fn centred(self) -> Writing {
        Writing { side: HPos::Center, ..self }
    }

    /// How wide a text is at most, in pixels.
    pub(super) fn width(self, text: &str) -> i32 {
        let bold = if self.bold { 1.12 } else { 1.0 };
        let wide: f64 = text.chars().map(width_of).sum();
        (wide * f64::from(self.size) * bold).ceil() as i32
    }

    /// A text, cut so that it fits into so many pixels.
    pub(super) fn fit(self, text: &str, pixels: i32) -> String {
        if self.width(text) <= pixels {
            return text.to_owned();
        }
        let mut cut = String::new();
        for next in text.chars() {
            if self.width(&format!("{cut}{next}…")) > pixels {
                break;
            }
            cut.push(next);
        }
        cut + "…"
    }
}

/// The width of a character by the font's size. The viewer's font is not known; these are of a wide one.
fn width_of(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ' ' | '/' | ':' | ';' | '\'' | '|' | '·' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '-' => 0.41,
        'm' | 'M' | 'w' | 'W' | '%' | '…' | '@' => 1.0,
        upper if upper.is_uppercase() => 0.72,
        _ => 0.64,
    }
}

/// Writes a text; the point is the left end of its middle line.
pub(super) fn put(area: &Area<'_>, text: &str, at: (i32, i32), writing: &Writing) -> Result<(), Failed> {
    let style = if writing.bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::from(FONT), f64::from(writing.size), style);
    // No text may break the picture's XML.
    let text: String = text.chars().map(|next| if next.is_control() { ' ' } else { next }).collect();
    area.draw(&Text::new(text, at, TextStyle::from(font).color(&writing.ink).pos(Pos::new(writing.side, VPos::Center))))
}

/// A time for a legend, a dash if nothing was measured.
pub(super) fn told(count: u64, ms: f64) -> String {
    if count == 0 { "–".into() } else { duration(ms) }
}

/// A picture as text.
pub(super) fn picture(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<(), Failed>) -> io::Result<String> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).and_then(|()| draw(&area)).and_then(|()| area.present())
    };
    drawn.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ys: &[f64]) -> Line {
        Line::over_time(ListSubscription::ALL, ys.iter().enumerate().map(|(x, y)| (x as f64, Some(*y))))
    }

    #[test]
    fn axes_end_at_round_numbers_and_hold_everything() {
        for top in [0.0, 0.03, 1.0, 7.0, 99.0, 45_000.0, 61_234.0, 1.2e9] {
            let axis = Axis::counts(&[line(&[top])], "");
            assert!(axis.range.end >= top && axis.range.end <= top.max(0.5) * 2.6, "{top}: {:?}", axis.range);
            assert!((2..=6).contains(&axis.bold.len()), "{top}: {:?}", axis.bold);
            let labels: Vec<String> = axis.bold.iter().map(|at| axis.format_ext(at)).collect();
            let mut unique = labels.clone();
            unique.dedup();
            assert_eq!(labels, unique);
        }
        assert_eq!(Axis::counts(&[line(&[45_000.0])], "").format_ext(&20_000.0), "20 k");
        assert_eq!(Axis::bytes(&[line(&[6e9])]).format_ext(&2_147_483_648.0), "2 GiB");
        let times = Axis::times(&[line(&[height(3.0), height(170.0)])], 150);
        let labels: Vec<String> = times.bold.iter().map(|at| times.format_ext(at)).collect();
        assert_eq!(labels, ["2 ms", "5 ms", "10 ms", "20 ms", "50 ms", "100 ms", "200 ms"]);
        let low = Axis::times(&[line(&[height(3.0), height(170.0)])], 40);
        assert_eq!(low.bold, [1.0, 2.0]);
    }

    #[test]
    fn a_time_axis_has_few_labels_whatever_its_length() {
        for end in [0.0, 5.0, 60.0, 600.0, 3_600.0, 86_400.0, 1e7] {
            let axis = Axis::seconds(-4.0..end);
            assert!((1..=9).contains(&axis.bold.len()), "{end}: {:?}", axis.bold);
        }
        let hour = Axis::seconds(0.0..3_600.0);
        assert_eq!(hour.format_ext(&hour.bold[1]), "10");
        assert_eq!(hour.what, "minutes since the traffic began");
    }

    #[test]
    fn decades_are_percentiles() {
        assert_eq!(
            [0.0, 2_f64.log10(), 1.0, 2.0, 3.0, 5.0].map(percentile),
            ["0%", "50%", "90%", "99%", "99.9%", "99.999%"]
        );
    }

    #[test]
    fn thinning_keeps_the_peak_and_gaps_stay() {
        let mut ys = vec![1.0; 10_000];
        ys[5_003] = 99.0;
        let line = line(&ys);
        assert!(line.points().count() <= 2 * TIME_POINTS);
        assert!(line.points().any(|point| point == (5_003.0, 99.0)));
        let gaps = [(0.0, Some(1.0)), (1.0, None), (2.0, Some(f64::NAN)), (3.0, Some(2.0)), (4.0, Some(2.0))];
        let line = Line::over_time(ListSubscription::ALL, gaps.into_iter());
        assert_eq!(line.parts, [vec![(0.0, 1.0)], vec![(3.0, 2.0), (4.0, 2.0)]]);
    }

    #[test]
    fn long_texts_are_cut_to_fit() {
        let writing = Writing::plain(13);
        assert_eq!(writing.fit("short", 200), "short");
        assert_eq!(writing.fit("short", 0), "…");
        let cut = writing.fit(&"long ".repeat(50), 200);
        assert!(cut.ends_with('…') && writing.width(&cut) <= 200, "{cut}");
    }
}
