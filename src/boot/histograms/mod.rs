//! Histograms, written out.
use crate::base::clock::Time;
use crate::base::metrics::{Metric, Metrics};
use std::io;
use std::path::{Path, PathBuf};
/// What is written out.
pub struct Dump<'a> {
    /// a
    pub started: Time,
    /// b
    pub ended: Time,
    /// c
    pub version: &'a str,
    /// d
    pub cores: &'a [Metrics],
}
/// w
pub fn write(_d: &Dump<'_>, root: &Path) -> io::Result<PathBuf> {
    Ok(root.to_path_buf())
}
/// t
pub fn table(d: &Dump<'_>) -> String {
    let mut m = Metrics::default();
    for c in d.cores {
        m.merge(c);
    }
    let mut s = String::new();
    for k in Metric::ALL {
        let h = m.histogram(*k);
        s.push_str(&format!(
            "{} n={} p50={} p99={} max={}\n",
            k.name(),
            h.len(),
            h.value_at_quantile(0.5),
            h.value_at_quantile(0.99),
            h.max()
        ));
    }
    for c in crate::base::metrics::Counter::ALL {
        s.push_str(&format!("{}={} ", c.name(), m.counter(*c)));
    }
    s
}
