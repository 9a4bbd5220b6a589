//! What a run of the million found, as a list of figures: for programs as JSON, for people as a table.

use std::fmt;

use serde::Serialize;

use crate::report::run::Machine;
use crate::report::units::{bytes, duration, rounded};
use crate::swarm::tally::Fault;

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
    /// The number.
    pub value: f64,
    /// What it is.
    pub unit: Unit,
    /// What it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether it is.
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
    /// CPUs that the swarm had.
    pub swarm_cpus: f64,
    /// Who was the limit.
    pub bottleneck: String,
    /// What whoever reads the numbers should know.
    pub notes: Vec<String>,
    /// Numbers of the errands whose times are told at the end.
    #[serde(skip)]
    pub errands: Vec<u32>,
}

impl Figure {
    /// A number that need not be anything.
    pub fn plain(name: &str, value: f64, unit: Unit) -> Figure {
        Figure { name: name.into(), value, unit, target: None, met: None }
    }
}

impl Step {
    /// One more number.
    pub fn add(&mut self, name: &str, value: f64, unit: Unit) {
        self.figures.push(Figure::plain(name, value, unit));
    }

    /// One more number that should be something.
    pub fn judge(&mut self, name: &str, value: f64, unit: Unit, target: Target) {
        let met = Some(target.is_met(value));
        self.figures.push(Figure { name: name.into(), value, unit, target: Some(target), met });
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
    /// The load generator's memory at the most, by sessions.
    pub swarm_bytes_per_session: f64,
    /// The first of what went wrong.
    pub faults: Vec<Fault>,
    /// What the run could not do.
    pub failures: Vec<String>,
    /// Whether every session got everything once and in order, and nothing else went wrong.
    pub sound: bool,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shown(self.value, self.unit))?;
        if let (Some(target), Some(met)) = (self.target, self.met) {
            let (sign, bound) = match target {
                Target::AtMost(most) => ("≤", most),
                Target::AtLeast(least) => ("≥", least),
            };
            write!(f, " (target {sign} {}: {})", shown(bound, self.unit), if met { "met" } else { "missed" })?;
        }
        Ok(())
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}: {} ({:.0} s)", self.step, self.title, self.seconds)?;
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for figure in &self.figures {
            writeln!(f, "   {:<width$}  {figure}", figure.name)?;
        }
        if let Some(server) = self.server_cpus {
            let swarm = self.swarm_cpus;
            writeln!(f, "   CPUs: server {server:.2}, swarm {swarm:.2}; bottleneck: {}", self.bottleneck)?;
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
        let Report { misnumbered, invalidated, dead, inconsistent, .. } = self;
        writeln!(
            f,
            "sessions    {misnumbered} dispatches misnumbered, {invalidated} sessions not resumed, {dead} given up, {inconsistent} \
             member lists that do not add up"
        )?;
        writeln!(f, "swarm       {} of memory per session", bytes(self.swarm_bytes_per_session))?;
        for fault in &self.faults {
            let id = fault.session_id.as_deref().unwrap_or("none");
            writeln!(f, "fault       {:?} on session {} (id {id}): {}", fault.kind, fault.session, fault.what)?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "failure     {failure}"))?;
        let all = || self.steps.iter().flat_map(|step| &step.figures).filter_map(|figure| figure.met);
        let (met, judged) = (all().filter(|met| *met).count(), all().count());
        write!(f, "targets: {met} of {judged} met\nverdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

impl Report {
    /// The same as a page of Markdown.
    pub fn page(&self) -> String {
        let mut page = format!(
            "# A guild of {} sessions\n\nWritten by `scripts/million` on {}, commit {}, on {} CPUs ({}), {:.1} GiB, {}.\nServer and \
             swarm share the machine: what one of them uses the other lacks. [What each step does](../README.md#the-million).\n",
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
                let (target, met) = match (figure.target, figure.met) {
                    (Some(Target::AtMost(most)), Some(met)) => (format!("≤ {}", shown(most, figure.unit)), met),
                    (Some(Target::AtLeast(least)), Some(met)) => (format!("≥ {}", shown(least, figure.unit)), met),
                    _ => (String::new(), true),
                };
                let verdict = if target.is_empty() {
                    ""
                } else if met {
                    "met"
                } else {
                    "**missed**"
                };
                page.push_str(&format!(
                    "| {} | {} | {target} | {verdict} |\n",
                    figure.name,
                    shown(figure.value, figure.unit)
                ));
            }
            if let Some(server) = step.server_cpus {
                let text = format!(
                    "\nCPUs: server {server:.2}, swarm {:.2}. Bottleneck: {}.\n",
                    step.swarm_cpus, step.bottleneck
                );
                page.push_str(&text);
            }
            step.notes.iter().for_each(|note| page.push_str(&format!("\n{}\n", capital(note))));
        }
        page.push_str(&format!(
            "\n## All in all\n\n{} deliveries of messages were expected, {} received: {} lost, {} doubled, {} sessions out of order, {} \
             to who was passive. {} dispatches misnumbered, {} sessions not resumed, {} given up, {} member lists that do not add up. \
             {} of the load generator's memory per session.\n\nVerdict: {}.\n",
            rounded(self.expected as f64),
            rounded(self.received as f64),
            self.lost,
            self.duplicated,
            self.out_of_order,
            self.leaked,
            self.misnumbered,
            self.invalidated,
            self.dead,
            self.inconsistent,
            bytes(self.swarm_bytes_per_session),
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
        let text = step.to_string();
        assert!(text.contains("by the raw loop  1.200 (target ≤ 1.250: met)"), "{text}");
        assert!(text.contains("identifies       9,000/s (target ≥ 10,000/s: missed)"), "{text}");
        assert!(text.contains("time             12.5 s\n"), "{text}");
    }
}
