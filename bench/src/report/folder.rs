//! A run's folder: the report, its histograms, its course and its picture.

use std::path::Path;
use std::{fs, io};

use crate::report::findings::{Findings, merged};
use crate::report::run::{REPORT, name};
use crate::report::{hgrm, page};

/// The course's file.
pub const SERIES: &str = "series.csv";
/// The picture's file.
pub const PAGE: &str = "page.svg";

/// Writes everything to a folder, which is made if it is not there. What an earlier run wrote there is replaced.
pub fn write(findings: &Findings, folder: &Path) -> io::Result<()> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    fs::create_dir_all(folder)?;
    remove_histograms(folder)?;
    // The report first: should the disk be full or the picture fail, the numbers are there.
    write(REPORT, &(serde_json::to_string_pretty(&findings.report)? + "\n"))?;
    write(SERIES, &findings.series.csv())?;
    for (histograms, file) in
        [(&findings.latency, latency_file as fn(_) -> String), (&findings.last_session, last_file)]
    {
        for (kind, histogram) in histograms.iter().filter(|(_, histogram)| !histogram.is_empty()) {
            write(&file(name(*kind)), &hgrm::text(histogram))?;
        }
        if let Some(all) = merged(histograms) {
            write(&file(ALL), &hgrm::text(&all))?;
        }
    }
    write(PAGE, &page::svg(findings)?)
}

/// All kinds together, in file names.
pub const ALL: &str = "all";

/// The file of a kind's latencies.
pub fn latency_file(kind: &str) -> String {
    format!("latency-{kind}.hgrm")
}

/// The file of a kind's times to the last session.
pub fn last_file(kind: &str) -> String {
    format!("last-session-{kind}.hgrm")
}

/// An earlier run may have had other kinds.
fn remove_histograms(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".hgrm") && (name.starts_with("latency-") || name.starts_with("last-session-")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::script::Kind;
    use crate::report::run::RunReport;
    use crate::report::sample;
    use hdrhistogram::Histogram;

    /// A folder of this test alone, which goes with it.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            Scratch(std::env::temp_dir().join(format!("guildhall-bench-{}-{name}", std::process::id())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // If it cannot be removed, the system's cleaning will.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_holds_the_report_as_it_was_and_a_histogram_by_kind() {
        let scratch = Scratch::new("folder");
        let findings = sample::findings(1.0, 3);
        write(&sample::findings(1.0, Kind::ALL.len()), &scratch.0).unwrap();
        write(&findings, &scratch.0).unwrap();
        assert_eq!(RunReport::read(&scratch.0).unwrap(), findings.report);
        assert_eq!(RunReport::read(&scratch.0.join(REPORT)).unwrap(), findings.report);
        let mut names: Vec<String> = fs::read_dir(&scratch.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        // The kinds of the run before are gone.
        assert_eq!(
            names,
            [
                "last-session-all.hgrm",
                "last-session-delete.hgrm",
                "last-session-edit.hgrm",
                "last-session-message.hgrm",
                "latency-all.hgrm",
                "latency-delete.hgrm",
                "latency-edit.hgrm",
                "latency-message.hgrm",
                "page.svg",
                "report.json",
                "series.csv"
            ]
        );
        let steps = hgrm::parse(&fs::read_to_string(scratch.0.join("latency-all.hgrm")).unwrap()).unwrap();
        let count: u64 = findings.latency.values().map(Histogram::len).sum();
        assert_eq!(steps.last().unwrap().count, count);
        let series = fs::read_to_string(scratch.0.join(SERIES)).unwrap();
        let columns: Vec<usize> = series.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, vec![13; findings.series.points.len() + 1]);
    }

    #[test]
    fn nothing_can_be_written_and_read_too() {
        let scratch = Scratch::new("empty");
        let mut findings = Findings::default();
        findings.conclude();
        write(&findings, &scratch.0).unwrap();
        assert_eq!(RunReport::read(&scratch.0).unwrap(), findings.report);
        assert!(findings.report.to_string().ends_with("verdict: sound"));
    }

    #[test]
    fn conclusions_follow_from_the_numbers() {
        let good = sample::findings(1.0, 3).report;
        assert!(good.sound && good.valid);
        assert_eq!(good.all.expected, good.kinds.values().map(|of| of.expected).sum::<u64>());
        assert_eq!(good.all.latency_ms.count, good.kinds.values().map(|of| of.latency_ms.count).sum::<u64>());
        assert!(good.traffic.peak_deliveries_per_second > good.traffic.deliveries_per_second);
        assert!(good.to_string().ends_with("bottleneck: neither\nverdict: sound"));
        let bad = sample::faulty().report;
        assert!(!bad.sound && !bad.valid);
        let text = bad.to_string();
        assert!(text.contains("INVALID as a measurement") && text.ends_with("verdict: FAULTY"), "{text}");
        let breaks: [fn(&mut RunReport); 8] = [
            |report| report.kinds.get_mut(&Kind::Edit).unwrap().lost = 1,
            |report| report.kinds.get_mut(&Kind::Edit).unwrap().not_yet = 1,
            |report| report.kinds.get_mut(&Kind::Edit).unwrap().leaked = 1,
            |report| report.kinds.get_mut(&Kind::Edit).unwrap().out_of_order = 1,
            |report| report.arrival.live -= 1,
            |report| report.sequence.late = 1,
            |report| report.connections.dead = 1,
            |report| report.rest.routes.get_mut("message").unwrap().errors = 1,
        ];
        for (index, spoil) in breaks.into_iter().enumerate() {
            let mut report = good.clone();
            spoil(&mut report);
            report.conclude();
            assert!(!report.sound, "break {index}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused_with_a_reason() {
        assert!(RunReport::parse("{").unwrap_err().contains("not the report of a replay"));
        assert!(RunReport::parse("{\"arrival\":{}}").unwrap_err().contains("not the report of a replay"));
        assert!(RunReport::parse("{\"version\":99}").unwrap_err().contains("version 99"));
        let missing = RunReport::read(Path::new("/nonexistent/report.json")).unwrap_err();
        assert!(missing.contains("/nonexistent/report.json"), "{missing}");
    }
}
