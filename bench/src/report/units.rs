//! Numbers as people read them, and tables of them.

use std::fmt;

/// Three significant digits and a unit, of milliseconds: `0.850 ms`, `12.3 ms`, `1.24 s`.
pub fn duration(ms: f64) -> String {
    match ms {
        // What would be rounded up to 1,000 belongs to the next unit.
        ms if ms < 0.9995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 999.5 => format!("{} ms", three_digits(ms)),
        ms => format!("{} s", three_digits(ms / 1e3)),
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The same of a number with a fraction, which is rounded off.
pub fn rounded(number: f64) -> String {
    let sign = if number <= -0.5 { "-" } else { "" };
    format!("{sign}{}", grouped(number.abs().round() as u64))
}

/// `850 B`, `12.3 KiB`, `1.24 GiB`.
pub fn bytes(bytes: f64) -> String {
    let units = [(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")];
    let (divisor, unit) = units.into_iter().find(|(divisor, _)| bytes.abs() < 999.5 * divisor).unwrap_or(units[3]);
    if divisor == 1.0 { format!("{bytes:.0} B") } else { format!("{} {unit}", three_digits(bytes / divisor)) }
}

/// A share in percent: `97%`.
pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn three_digits(value: f64) -> String {
    let places = match value.abs() {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

/// Text in columns: the first is flush left, all others are flush right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// One more row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_the_nearest_unit() {
        assert_eq!(
            [0.0, 0.85, 0.9996, 12.345, 999.4, 999.6, 60_000.0].map(duration),
            ["0 µs", "850 µs", "1.00 ms", "12.3 ms", "999 ms", "1.00 s", "60.0 s"]
        );
        assert_eq!([0.0, 2_017.0, 1e6, 5e9].map(bytes), ["0 B", "1.97 KiB", "977 KiB", "4.66 GiB"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([-0.4, -1_500.2, 2.5e3].map(rounded), ["0", "-1,500", "2,500"]);
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["kind", "p50"]);
        table.push(vec!["message".into(), "1,000".into()]);
        table.push(vec!["µ".into(), "1".into()]);
        assert_eq!(table.to_string(), "kind       p50\nmessage  1,000\nµ            1\n");
    }
}
