//! When things happen, given how many per second there should be.

use serde::Deserialize;

use crate::base::random::Chance;

/// How the times of a rate are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other, as people are: now and then many at once.
    #[default]
    Poisson,
    /// At equal distances, for comparisons.
    Even,
}

/// A rate over time: straight pieces, one after another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Curve {
    /// Goes on for so many seconds, in a straight line from one rate to another.
    pub fn push(&mut self, seconds: f64, from: f64, to: f64) {
        if seconds > 0.0 {
            self.pieces.push(Piece { seconds, from, to });
        }
    }

    /// How many arrivals there are on average.
    pub fn total(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.seconds * (piece.from + piece.to) / 2.0).sum()
    }

    /// All times, in microseconds. With even arrivals the first is at a random place of its distance, so that many
    /// curves do not keep step.
    pub fn times(&self, arrivals: Arrivals, chance: &mut Chance) -> Vec<u64> {
        let mut times = Vec::new();
        let mut next = match arrivals {
            Arrivals::Poisson => -libm::log(1.0 - chance.share()),
            Arrivals::Even => chance.share(),
        };
        // Arrivals at a rate of 1 in the area under the curve are arrivals at the curve's rate in time.
        let (mut area, mut begin) = (0.0, 0.0);
        for piece in &self.pieces {
            let here = piece.seconds * (piece.from + piece.to) / 2.0;
            while next < area + here {
                times.push(((begin + piece.when(next - area)) * 1e6) as u64);
                next += match arrivals {
                    Arrivals::Poisson => -libm::log(1.0 - chance.share()),
                    Arrivals::Even => 1.0,
                };
            }
            area += here;
            begin += piece.seconds;
        }
        times
    }
}

impl Piece {
    /// After how many seconds the area under the piece is so large.
    fn when(&self, area: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        // from·t + slope/2·t² = area, in the form that does not divide by a slope of 0.
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        let seconds = if self.from + root > 0.0 { 2.0 * area / (self.from + root) } else { 0.0 };
        seconds.clamp(0.0, self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Curve {
        let mut curve = Curve::default();
        curve.push(10.0, 0.0, 100.0);
        curve.push(10.0, 100.0, 100.0);
        curve.push(5.0, 0.0, 0.0);
        curve
    }

    #[test]
    fn even_arrivals_are_as_many_as_the_area_and_evenly_far() {
        let times = ramp().times(Arrivals::Even, &mut Chance::new(1));
        assert_eq!(times.len(), 1_500);
        assert!(times.is_sorted() && *times.last().expect("there are some") < 20_000_000);
        let flat: Vec<u64> = times.iter().copied().filter(|at| *at >= 10_000_000).collect();
        assert!(flat.windows(2).all(|pair| (9_999..=10_001).contains(&(pair[1] - pair[0]))));
        // A quarter of the ramp's area is in the first half of its time.
        let early = times.iter().filter(|at| **at < 5_000_000).count();
        assert!((124..=126).contains(&early), "{early}");
    }

    #[test]
    fn poisson_arrivals_vary_as_they_should() {
        let counts: Vec<f64> =
            (0..400).map(|seed| ramp().times(Arrivals::Poisson, &mut Chance::new(seed)).len() as f64).collect();
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / 400.0;
        assert!((mean - 1_500.0).abs() < 10.0, "{mean}");
        assert!((1_100.0..1_900.0).contains(&variance), "a Poisson number's variance is its mean: {variance}");
    }

    #[test]
    fn nothing_arrives_where_the_rate_is_nothing() {
        let mut curve = Curve::default();
        curve.push(100.0, 0.0, 0.0);
        assert!(curve.times(Arrivals::Poisson, &mut Chance::new(1)).is_empty());
        assert!(curve.times(Arrivals::Even, &mut Chance::new(1)).is_empty());
        assert!(Curve::default().times(Arrivals::Poisson, &mut Chance::new(1)).is_empty());
    }
}
