//! Everything that `scripts/bench` measured, put into one file for programs and one for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::machine::Machine;
use crate::base::{clock, machine};
use crate::report::row::Row;
use crate::report::run::RunReport;
use crate::report::units::{bytes, duration, grouped, rounded};

/// What `scripts/bench` calls our own server.
const OURS: &str = "Guildhall";

/// What is put together.
#[derive(Debug, Args)]
pub struct ResultsArgs {
    /// The folder with what was measured: ceiling.json, raw.json, fanout.json, rows.jsonl, runs/NAME/report.json; what
    /// is missing is left out.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The folder of the results: results.json and README.md in it are replaced.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// What was left out, and why; can be repeated.
    #[arg(long, value_name = "SENTENCE")]
    note: Vec<String>,
}

/// All results of one go.
#[derive(Debug, Serialize)]
struct Results {
    commit: Option<String>,
    date: String,
    machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fanout: Option<Value>,
    servers: Vec<Row>,
    runs: Vec<RunReport>,
    notes: Vec<String>,
}

/// Puts it together.
pub fn run(args: &ResultsArgs) -> Result<bool, Box<dyn std::error::Error>> {
    let mut runs: Vec<RunReport> = Vec::new();
    if let Ok(folders) = std::fs::read_dir(args.from.join("runs")) {
        for folder in folders.flatten().filter(|entry| entry.path().join("report.json").exists()) {
            runs.push(RunReport::read(&folder.path())?);
        }
    }
    runs.sort_by(|one, other| one.header.started.cmp(&other.header.started));
    let results = Results {
        commit: machine::commit(),
        date: machine::date(clock::now_ns() / 1_000_000),
        machine: machine::describe(),
        ceiling: read(&args.from.join("ceiling.json"))?,
        raw: read(&args.from.join("raw.json"))?,
        fanout: read(&args.from.join("fanout.json"))?,
        servers: rows(&args.from.join("rows.jsonl"))?,
        runs,
        notes: args.note.clone(),
    };
    std::fs::create_dir_all(&args.into)?;
    std::fs::write(args.into.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    let page = page(&results);
    std::fs::write(args.into.join("README.md"), &page)?;
    println!("{page}");
    let sound = results.runs.iter().all(|run| run.sound) && results.servers.iter().all(|row| row.sound);
    Ok(sound)
}

/// A JSON file, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display())),
        Err(_) => Ok(None),
    }
}

fn rows(path: &Path) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

/// The page for people.
fn page(results: &Results) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = fill(&mut page, results);
    page
}

fn fill(page: &mut String, results: &Results) -> std::fmt::Result {
    let commit = results.commit.as_deref().unwrap_or("unknown");
    writeln!(page, "# Results\n")?;
    writeln!(
        page,
        "Written by `scripts/bench` on {}, commit {commit}, on {}.\nServer and load generator share the machine, so the ratios say \
         more than the absolute numbers. [What each number means](../README.md).\n",
        results.date, results.machine
    )?;
    limits(page, results)?;
    if !results.servers.is_empty() {
        servers(page, &results.servers)?;
    }
    if !results.runs.is_empty() {
        scenarios(page, &results.runs)?;
    }
    left_out(page, results)
}

/// The limits around the server.
fn limits(page: &mut String, results: &Results) -> std::fmt::Result {
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or(f64::NAN);
    writeln!(page, "## The limits around the server\n\n| what | figure |\n|---|---|")?;
    if let Some(raw) = &results.raw {
        for turn in raw["turns"].as_array().into_iter().flatten() {
            let how = turn["how"].as_str().unwrap_or("?");
            let (cpu, rate) = (number(turn, "cpu_us_per_send"), number(turn, "sends_per_second"));
            let (size, sockets) = (number(raw, "bytes"), number(raw, "sockets"));
            writeln!(
                page,
                "| kernel alone, {how}: {} to each of {} sockets | {cpu:.2} µs CPU each, {} per second |",
                bytes(size),
                rounded(sockets),
                rounded(rate)
            )?;
        }
    }
    if let Some(ceiling) = &results.ceiling {
        let each = number(ceiling, "cpu_ns_per_delivery");
        let (rate, size) = (number(ceiling, "deliveries_per_cpu_second"), number(ceiling, "bytes_per_delivery"));
        writeln!(
            page,
            "| load generator: deliveries of {} that one CPU checks | {} per second, {each:.0} ns each |",
            bytes(size),
            rounded(rate)
        )?;
    }
    if let Some(fanout) = &results.fanout {
        let live = number(&fanout["arrival"], "live");
        writeln!(
            page,
            "| one message to {} sessions: server's CPU per delivery by the kernel's per send | {:.3} |",
            rounded(live),
            number(fanout, "ratio")
        )?;
    }
    Ok(())
}

/// Our server and others with the same work.
fn servers(page: &mut String, servers: &[Row]) -> std::fmt::Result {
    writeln!(page, "\n## Servers compared\n")?;
    writeln!(
        page,
        "Everybody gets every message. Guildhall numbers each event per session, checks permissions and can resume; the others \
         do none of this.\n"
    )?;
    writeln!(
        page,
        "| server | subscribers | messages/s | deliveries/s | p50 | p99 | CPU per delivery | Guildhall's by it | memory per connection | \
         most deliveries/s | valid, sound |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for row in servers {
        let cpu = row.cpu_us_per_delivery.map_or("?".into(), |cpu| format!("{cpu:.2} µs"));
        let memory = row.user_bytes_per_connection.map_or("?".into(), bytes);
        let ratio = guildhalls_by(row, servers).map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let most = row.max_deliveries_per_second.map_or(String::new(), rounded);
        writeln!(
            page,
            "| {} | {} | {:.1} | {} | {} | {} | {cpu} | {ratio} | {memory} | {most} | {}, {} |",
            row.server,
            grouped(row.subscribers),
            row.messages_per_second,
            rounded(row.deliveries_per_second),
            duration(row.p50_ms),
            duration(row.p99_ms),
            yes(row.valid),
            yes(row.sound)
        )?;
    }
    Ok(())
}

/// What scenarios took.
fn scenarios(page: &mut String, runs: &[RunReport]) -> std::fmt::Result {
    writeln!(page, "\n## Scenarios\n")?;
    writeln!(
        page,
        "| scenario | scale | sessions | deliveries | lost, doubled, disordered, leaked | deliveries/s (peak) | p50 | p99 | \
         last session p99 | server CPU per delivery | memory per session | valid, sound |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for run in runs {
        let (all, server) = (&run.all, &run.server);
        writeln!(
            page,
            "| {} | {} | {} | {} | {}, {}, {}, {} | {} ({}) | {} | {} | {} | {} | {} | {}, {} |",
            run.header.name,
            run.header.scale.map_or("-".into(), |scale| scale.to_string()),
            grouped(run.arrival.live.into()),
            grouped(all.received),
            all.lost + all.not_yet,
            all.duplicated,
            all.out_of_order,
            all.leaked,
            rounded(run.traffic.deliveries_per_second),
            rounded(run.traffic.peak_deliveries_per_second),
            duration(all.latency_ms.p50),
            duration(all.latency_ms.p99),
            duration(all.last_session_ms.p99),
            server.cpu_us_per_delivery.map_or("-".into(), |cpu| format!("{cpu:.2} µs")),
            server.bytes_per_session.map_or("?".into(), bytes),
            yes(run.valid),
            yes(run.sound)
        )?;
    }
    Ok(())
}

/// What was not measured or not played, and why.
fn left_out(page: &mut String, results: &Results) -> std::fmt::Result {
    let mut notes = results.notes.clone();
    for run in &results.runs {
        let left_out: Vec<String> = run.left_out.iter().map(|what| format!("{} × {}", what.count, what.what)).collect();
        if !left_out.is_empty() {
            notes.push(format!("{}: not played, since the server lacks it: {}.", run.header.name, left_out.join(", ")));
        }
    }
    if !notes.is_empty() {
        writeln!(page, "\n## Left out\n")?;
        for note in notes {
            writeln!(page, "- {note}")?;
        }
    }
    Ok(())
}

/// Guildhall's CPU time per delivery by another server's, with as many subscribers and at about the same rate.
fn guildhalls_by(other: &Row, rows: &[Row]) -> Option<f64> {
    let alike = |row: &&Row| {
        row.server == OURS
            && row.subscribers == other.subscribers
            && (row.messages_per_second / other.messages_per_second - 1.0).abs() < 0.2
    };
    let ours = rows.iter().find(alike).filter(|_| other.server != OURS)?;
    Some(ours.cpu_us_per_delivery? / other.cpu_us_per_delivery?)
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "NO" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_what_there_is_and_nothing_else() {
        let results = Results {
            commit: Some("abc".into()),
            date: "today".into(),
            machine: Machine::default(),
            ceiling: serde_json::from_str(
                r#"{"cpu_ns_per_delivery":211.0,"deliveries_per_cpu_second":4700000.0,"bytes_per_delivery":300.0}"#,
            )
            .ok(),
            raw: None,
            fanout: None,
            servers: Vec::new(),
            runs: vec![RunReport::default()],
            notes: vec!["nchan is not here.".into()],
        };
        let page = page(&results);
        assert!(page.contains("4,700,000 per second, 211 ns each") && page.contains("- nchan is not here."));
        assert!(page.contains("## Scenarios") && !page.contains("Servers compared") && !page.contains("NaN"));
    }
}
