//! Numbers that vary: sizes of messages, sizes of guilds, delays.
//!
//! All mathematics is `libm`'s, in Rust: the platform's own may differ in the last bit, and then so would traces.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::base::random::Chance;

/// A number, or a range and how numbers are spread in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// Always the same.
    Fixed(f64),
    /// All from `min` to `max` alike.
    Uniform(f64, f64),
    /// As many from 1 to 10 as from 10 to 100: `min` to `max`.
    LogUniform(f64, f64),
    /// Half are below the median; most are within a factor of e to the sigma of it. Cut off at `min` and `max`.
    LogNormal {
        /// Half are below.
        median: f64,
        /// How wide.
        sigma: f64,
        /// None is below.
        min: f64,
        /// None is above.
        max: f64,
    },
}

impl Spread {
    /// One of the numbers.
    pub fn draw(&self, chance: &mut Chance) -> f64 {
        match *self {
            Spread::Fixed(number) => number,
            Spread::Uniform(min, max) => min + chance.share() * (max - min),
            Spread::LogUniform(min, max) => {
                let (low, high) = (libm::log(min), libm::log(max));
                libm::exp(low + chance.share() * (high - low)).clamp(min, max)
            }
            Spread::LogNormal { median, sigma, min, max } => {
                // Box and Muller: one of the two that it gives.
                let radius = (-2.0 * libm::log(1.0 - chance.share())).sqrt();
                let normal = radius * libm::cos(std::f64::consts::TAU * chance.share());
                (median * libm::exp(sigma * normal)).clamp(min, max)
            }
        }
    }

    /// What is wrong with it, if its numbers may be from `low` to `high`.
    pub fn fault(&self, low: f64, high: f64) -> Option<String> {
        let (min, max) = match *self {
            Spread::Fixed(number) => (number, number),
            Spread::Uniform(min, max) | Spread::LogUniform(min, max) => (min, max),
            Spread::LogNormal { median, sigma, min, max } => {
                if !(0.0..=10.0).contains(&sigma) {
                    return Some(format!("sigma = {sigma}: must be from 0 to 10"));
                }
                if !(min <= median && median <= max) {
                    return Some(format!("median = {median}: must be from min to max, {min} to {max}"));
                }
                (min, max)
            }
        };
        if matches!(self, Spread::LogUniform(..) | Spread::LogNormal { .. }) && min <= 0.0 {
            return Some(format!("min = {min}: must be above 0"));
        }
        if min <= max && min >= low && max <= high {
            return None;
        }
        Some(format!("{min} to {max}: must be from {low} to {high}, and min not above max"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpreadKind {
    Uniform,
    LogUniform,
    LogNormal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpreadTable {
    spread: SpreadKind,
    min: f64,
    max: f64,
    median: Option<f64>,
    sigma: Option<f64>,
}

struct SpreadVisitor;

impl<'de> Visitor<'de> for SpreadVisitor {
    type Value = Spread;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, or { spread = \"uniform\" | \"log_uniform\" | \"log_normal\", min = …, max = … }")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Spread, E> {
        Ok(Spread::Fixed(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Spread, E> {
        Ok(Spread::Fixed(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Spread, A::Error> {
        use serde::de::Error as _;
        let table = SpreadTable::deserialize(MapAccessDeserializer::new(map))?;
        let (min, max) = (table.min, table.max);
        match (table.spread, table.median, table.sigma) {
            (SpreadKind::Uniform, None, None) => Ok(Spread::Uniform(min, max)),
            (SpreadKind::LogUniform, None, None) => Ok(Spread::LogUniform(min, max)),
            (SpreadKind::LogNormal, Some(median), Some(sigma)) => Ok(Spread::LogNormal { median, sigma, min, max }),
            _ => Err(A::Error::custom("`log_normal` has `median` and `sigma`, the others have neither")),
        }
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spread, D::Error> {
        deserializer.deserialize_any(SpreadVisitor)
    }
}

/// A rank from 0 to `ranks` − 1: about as likely as 1 / (rank + 1) to the `exponent`. 0: all alike.
pub fn zipf(chance: &mut Chance, ranks: u32, exponent: f64) -> u32 {
    let share = chance.share();
    let end = f64::from(ranks) + 1.0;
    // The continuous law from 1 to ranks + 1, inverted and rounded down: needs no table, however many ranks there are.
    let place = if (exponent - 1.0).abs() < 1e-9 {
        libm::exp(share * libm::log(end))
    } else {
        let power = 1.0 - exponent;
        libm::pow(1.0 + share * (libm::pow(end, power) - 1.0), 1.0 / power)
    };
    (place as u32).clamp(1, ranks.max(1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(spread: Spread) -> Vec<f64> {
        let mut chance = Chance::new(3);
        let mut drawn: Vec<f64> = (0..20_000).map(|_| spread.draw(&mut chance)).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn numbers_are_spread_as_said() {
        let uniform = many(Spread::Uniform(10.0, 20.0));
        assert!((uniform[10_000] - 15.0).abs() < 0.2 && uniform[0] >= 10.0 && uniform[19_999] <= 20.0);
        let log_uniform = many(Spread::LogUniform(1.0, 100.0));
        assert!((log_uniform[10_000] - 10.0).abs() < 0.5 && log_uniform[0] >= 1.0 && log_uniform[19_999] <= 100.0);
        let log_normal = many(Spread::LogNormal { median: 60.0, sigma: 1.0, min: 5.0, max: 500.0 });
        assert!((log_normal[10_000] - 60.0).abs() < 2.0 && log_normal[0] >= 5.0 && log_normal[19_999] <= 500.0);
        // A sixth is more than one sigma above the median.
        assert!((log_normal[16_827] / 60.0 - std::f64::consts::E).abs() < 0.2, "{}", log_normal[16_827]);
        assert_eq!(many(Spread::Fixed(3.0))[7], 3.0);
    }

    #[test]
    fn low_ranks_are_likelier() {
        for (exponent, low, high) in [(0.0, 0.08, 0.12), (1.0, 0.25, 0.35), (2.0, 0.5, 0.6)] {
            let mut chance = Chance::new(9);
            let mut counts = [0_u32; 10];
            (0..10_000).for_each(|_| counts[zipf(&mut chance, 10, exponent) as usize] += 1);
            let first = f64::from(counts[0]) / 10_000.0;
            assert!((low..high).contains(&first), "{exponent}: {first}");
            assert!(counts.iter().all(|count| *count > 0));
            assert!(exponent == 0.0 || counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
        }
        assert_eq!(zipf(&mut Chance::new(1), 1, 1.0), 0);
    }

    #[test]
    fn spreads_that_make_no_sense_are_refused() {
        assert!(Spread::Fixed(0.0).fault(1.0, 9.0).is_some());
        assert!(Spread::Uniform(5.0, 4.0).fault(1.0, 9.0).is_some());
        assert!(Spread::LogUniform(0.0, 4.0).fault(0.0, 9.0).is_some());
        assert!(Spread::LogNormal { median: 10.0, sigma: 1.0, min: 1.0, max: 9.0 }.fault(0.0, 9.0).is_some());
        assert!(Spread::Fixed(f64::NAN).fault(0.0, 9.0).is_some());
        assert_eq!(Spread::Uniform(1.0, 9.0).fault(1.0, 9.0), None);
    }
}
