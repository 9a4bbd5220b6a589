//! Numbers as people read them.
//!
//! Lives on: the main thread.

/// Units and how many nanoseconds they are.
const UNITS: [(f64, &str); 4] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];

/// Three significant digits and a unit: `850 ns`, `12.3 µs`, `1.24 ms`, `60.0 s`.
pub(super) fn human(nanos: u64) -> String {
    // 999.5 and not 1,000: what would be rounded up to 1,000 belongs to the next unit.
    let (divisor, unit) =
        UNITS.into_iter().find(|(divisor, _)| (nanos as f64) < 999.5 * divisor).unwrap_or(UNITS[UNITS.len() - 1]);
    let value = nanos as f64 / divisor;
    let places = match value {
        _ if divisor == 1.0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.places$} {unit}")
}

/// The short form for axes, for round numbers: `10 µs`, `1 s`.
pub(super) fn axis(nanos: f64) -> String {
    let (divisor, unit) =
        UNITS.into_iter().find(|(divisor, _)| nanos < 999.5 * divisor).unwrap_or(UNITS[UNITS.len() - 1]);
    format!("{:.0} {unit}", nanos / divisor)
}

/// Microseconds, for files.
pub(super) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_three_digits_and_the_nearest_unit() {
        let said =
            [0, 850, 999, 1_000, 12_345, 999_499, 999_500, 1_239_000, 9_996_000, 60_000_000_000, 7_200_000_000_000];
        let expected = [
            "0 ns", "850 ns", "999 ns", "1.00 µs", "12.3 µs", "999 µs", "1.00 ms", "1.24 ms", "10.0 ms", "60.0 s",
            "7200 s",
        ];
        assert_eq!(said.map(human), expected);
        assert_eq!([1.0, 1e3, 2e4, 1e6, 1e10].map(axis), ["1 ns", "1 µs", "20 µs", "1 ms", "10 s"]);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
