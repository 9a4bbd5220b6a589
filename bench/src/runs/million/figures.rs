//! What a run of the million found, as a list of figures: for programs as JSON, for people as a table.

use std::fmt;

use serde::Serialize;

use crate::base::machine::Machine;
use crate::base::proc::Busy;
use crate::report::units::{bytes, duration, rounded};
use crate::verify::tally::Fault;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// So many times.
    Count,
    /// Per second.
    PerSecond,
    /// One by another.
    Ratio,
    /// Bytes.
    Bytes,
    /// Microseconds of CPU time.
    Microseconds,
    /// CPUs.
    Cpus,
}

/// What a number should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(most) => value <= most,
            Target::AtLeast(least) => value >= least,
        }
    }
}

/// A number.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it says.
    pub name: String,
    /// The number; not a number, and null for programs, if it could not be measured.
    pub value: f64,
    /// How far the truth may be from it, either way, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give: Option<f64>,
    /// What it is.
    pub unit: Unit,
    /// What it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether it is; absent with a target: that was not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// What one step found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Step {
    /// Its name on the command line.
    pub step: String,
    /// What was done.
    pub title: String,
    /// How long it took in all.
    pub seconds: f64,
    /// Its numbers.
    pub figures: Vec<Figure>,
    /// CPUs that the server had on average, while what is measured went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpus: Option<f64>,
    /// CPUs that the pool had.
    pub pool_cpus: f64,
    /// How the server's busiest thread spent the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_busiest: Option<Busy>,
    /// How the pool's did.
    pub pool_busiest: Busy,
    /// Connections that ended meanwhile unasked.
    pub disconnects: u64,
    /// Who was the limit.
    pub bottleneck: String,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// Numbers of the tasks whose times are reported at the end.
    #[serde(skip)]
    pub tasks: Vec<u32>,
}

impl Figure {
    /// A number that need not be anything.
    pub fn plain(name: &str, value: f64, unit: Unit) -> Figure {
        Figure { name: name.into(), value, give: None, unit, target: None, met: None }
    }
}

impl Step {
    /// One more number.
    pub fn add(&mut self, name: &str, value: f64, unit: Unit) {
        self.figures.push(Figure::plain(name, value, unit));
    }

    /// One more number, and how far the truth may be from it.
    pub fn add_about(&mut self, name: &str, value: f64, give: f64, unit: Unit) {
        self.figures.push(Figure { give: Some(give), ..Figure::plain(name, value, unit) });
    }

    /// A number that should be something, and could not be measured.
    pub fn not_shown(&mut self, name: &str, unit: Unit, target: Target) {
        self.figures.push(Figure { target: Some(target), ..Figure::plain(name, f64::NAN, unit) });
    }

    /// One more number that should be something.
    pub fn judge(&mut self, name: &str, value: f64, unit: Unit, target: Target) {
        let met = Some(target.is_met(value));
        self.figures.push(Figure { target: Some(target), met, ..Figure::plain(name, value, unit) });
    }

    /// Something to know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Sessions that there should be.
    pub sessions: u32,
    /// When it began.
    pub started: String,
    /// What was measured.
    pub commit: Option<String>,
    /// On what.
    pub machine: Machine,
    /// By step.
    pub steps: Vec<Step>,
    /// Deliveries of messages that there should be, over the whole run.
    pub expected: u64,
    /// Of them, those that there were.
    pub received: u64,
    /// Never came.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Sessions that received everything, but in another order than most.
    pub out_of_order: u64,
    /// Came to who was passive then.
    pub leaked: u64,
    /// Dispatches whose number was not the next.
    pub misnumbered: u64,
    /// Sessions that the server did not resume.
    pub invalidated: u64,
    /// Sessions that were given up.
    pub dead: u64,
    /// Events about member lists that do not add up.
    pub inconsistent: u64,
    /// Connections that ended unasked, besides those of the storm and of who did not read.
    pub disconnects: u64,
    /// The load generator's memory after the step after which it was most, by sessions.
    pub pool_bytes_per_session: f64,
    /// The first of what went wrong.
    pub faults: Vec<Fault>,
    /// What the run could not do.
    pub failures: Vec<String>,
    /// Whether every session got everything once and in order, and nothing else went wrong.
    pub sound: bool,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown())?;
        if let Some(target) = self.target {
            let verdict = match self.met {
                Some(true) => "met",
                Some(false) => "missed",
                None => "not shown",
            };
            write!(f, " (target {}: {verdict})", target.shown(self.unit))?;
        }
        Ok(())
    }
}

impl Figure {
    /// The number in words.
    fn shown(&self) -> String {
        if self.value.is_nan() {
            return "unknown".into();
        }
        let give = self.give.map(|give| format!(" ± {}", shown(give, self.unit))).unwrap_or_default();
        format!("{}{give}", shown(self.value, self.unit))
    }
}

impl Target {
    fn shown(self, unit: Unit) -> String {
        match self {
            Target::AtMost(most) => format!("≤ {}", shown(most, unit)),
            Target::AtLeast(least) => format!("≥ {}", shown(least, unit)),
        }
    }
}

fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => duration(value * 1e3),
        Unit::Count => rounded(value),
        Unit::PerSecond => format!("{}/s", rounded(value)),
        Unit::Ratio => format!("{value:.3}"),
        Unit::Bytes => bytes(value),
        Unit::Microseconds => format!("{value:.2} µs"),
        Unit::Cpus => format!("{value:.2} CPUs"),
    }
}

impl Step {
    /// What server and pool had of the CPUs, in words, if that can be seen.
    fn cpus(&self) -> Option<String> {
        let (server, busiest) = self.server_cpus.zip(self.server_busiest)?;
        let told =
            |busy: Busy| format!("ran {:.0}% and waited {:.0}% of the time", busy.ran * 100.0, busy.waited * 100.0);
        Some(format!(
            "CPUs: server {server:.2}, pool {:.2}. The server's busiest thread {}, the pool's {}. Bottleneck: {}",
            self.pool_cpus,
            told(busiest),
            told(self.pool_busiest),
            self.bottleneck
        ))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}: {} ({:.0} s)", self.step, self.title, self.seconds)?;
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for figure in &self.figures {
            writeln!(f, "   {:<width$}  {figure}", figure.name)?;
        }
        if let Some(text) = self.cpus() {
            writeln!(f, "   {text}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "   {note}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        let Report { expected, received, lost, duplicated, out_of_order, leaked, .. } = self;
        writeln!(
            f,
            "messages    {} expected on the sessions, {} received, {lost} lost, {duplicated} doubled, {out_of_order} out of order, \
             {leaked} to who was passive",
            rounded(*expected as f64),
            rounded(*received as f64)
        )?;
        let Report { misnumbered, invalidated, dead, inconsistent, disconnects, .. } = self;
        writeln!(
            f,
            "sessions    {misnumbered} dispatches misnumbered, {invalidated} sessions not resumed, {dead} given up, {disconnects} \
             connections ended unasked, {inconsistent} member lists that do not add up"
        )?;
        writeln!(
            f,
            "client pool {} of memory per session after the step that took most",
            bytes(self.pool_bytes_per_session)
        )?;
        for fault in &self.faults {
            let id = fault.session_id.as_deref().unwrap_or("none");
            writeln!(f, "fault       {:?} on session {} (id {id}): {}", fault.kind, fault.session, fault.what)?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "failure     {failure}"))?;
        let all = || self.steps.iter().flat_map(|step| &step.figures).filter_map(|figure| figure.met);
        let (met, judged) = (all().filter(|met| *met).count(), all().count());
        let targets = self.steps.iter().flat_map(|step| &step.figures).filter(|figure| figure.target.is_some()).count();
        let more = if targets > judged { format!(", {} not shown", targets - judged) } else { String::new() };
        write!(f, "targets: {met} of {targets} met{more}\nverdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

impl Report {
    /// The same as a page of Markdown.
    pub fn page(&self) -> String {
        let mut page = format!(
            "# A guild of {} sessions\n\nWritten by `scripts/million` on {}, commit {}, on {} CPUs ({}), {:.1} GiB, {}.\nServer and \
             pool share the machine: what one of them uses the other lacks. [What each step does](../README.md#the-million).\n",
            rounded(f64::from(self.sessions)),
            self.started,
            self.commit.as_deref().unwrap_or("unknown"),
            self.machine.cpus,
            self.machine.cpu_model,
            self.machine.memory_bytes as f64 / f64::from(1 << 30),
            self.machine.kernel,
        );
        for step in &self.steps {
            page.push_str(&format!(
                "\n## {}\n\n| figure | value | target | |\n|---|---|---|---|\n",
                capital(&step.title)
            ));
            for figure in &step.figures {
                let target = figure.target.map(|target| target.shown(figure.unit)).unwrap_or_default();
                let verdict = match (figure.target, figure.met) {
                    (None, _) => "",
                    (Some(_), Some(true)) => "met",
                    (Some(_), Some(false)) => "**missed**",
                    (Some(_), None) => "not shown",
                };
                page.push_str(&format!("| {} | {} | {target} | {verdict} |\n", figure.name, figure.shown()));
            }
            if let Some(text) = step.cpus() {
                page.push_str(&format!("\n{text}.\n"));
            }
            step.notes.iter().for_each(|note| page.push_str(&format!("\n{}\n", capital(note))));
        }
        page.push_str(&format!(
            "\n## All in all\n\n{} deliveries of messages were expected, {} received: {} lost, {} doubled, {} sessions out of order, {} \
             to who was passive. {} dispatches misnumbered, {} sessions not resumed, {} given up, {} connections ended unasked, {} member \
             lists that do not add up. {} of the load generator's memory per session, after the step that took most.\n\nVerdict: {}.\n",
            rounded(self.expected as f64),
            rounded(self.received as f64),
            self.lost,
            self.duplicated,
            self.out_of_order,
            self.leaked,
            self.misnumbered,
            self.invalidated,
            self.dead,
            self.disconnects,
            self.inconsistent,
            bytes(self.pool_bytes_per_session),
            if self.sound { "sound" } else { "FAULTY" }
        ));
        for failure in &self.failures {
            page.push_str(&format!("\n- {failure}\n"));
        }
        page
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_with_whether_they_are_met() {
        let mut step = Step { step: "all".into(), title: "one message".into(), ..Step::default() };
        step.judge("by the raw loop", 1.2, Unit::Ratio, Target::AtMost(1.25));
        step.judge("identifies", 9_000.0, Unit::PerSecond, Target::AtLeast(10_000.0));
        step.add("time", 12.5, Unit::Seconds);
        step.add_about("at rest", 0.5, 0.125, Unit::Cpus);
        step.not_shown("by something else", Unit::Ratio, Target::AtMost(2.0));
        let text = step.to_string();
        assert!(text.contains("by the raw loop    1.200 (target ≤ 1.250: met)"), "{text}");
        assert!(text.contains("identifies         9,000/s (target ≥ 10,000/s: missed)"), "{text}");
        assert!(text.contains("time               12.5 s\n"), "{text}");
        assert!(text.contains("at rest            0.50 CPUs ± 0.12 CPUs\n"), "{text}");
        assert!(text.contains("by something else  unknown (target ≤ 2.000: not shown)"), "{text}");
    }
}
