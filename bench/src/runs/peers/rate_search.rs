//! Which rate to try next, in the search for the highest that a server keeps up with.

use crate::base::limits;

/// The search: doubled until it is too much (or halved until it is not), then the middle of what is left.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateSearch {
    kept_up: Option<f64>,
    too_much: Option<f64>,
    steps: u32,
}

impl RateSearch {
    /// Notes how a step went.
    pub fn note(&mut self, rate: f64, kept_up: bool) {
        self.steps += 1;
        if kept_up {
            self.kept_up = Some(self.kept_up.map_or(rate, |best| best.max(rate)));
        } else {
            self.too_much = Some(self.too_much.map_or(rate, |least| least.min(rate)));
        }
    }

    /// The next rate to try; `None` if the answer is known well enough.
    pub fn next(&self) -> Option<f64> {
        if self.steps >= limits::PEER_STEPS_MAX {
            return None;
        }
        let rate = match (self.kept_up, self.too_much) {
            (None, None) => return None,
            (Some(best), None) => best * 2.0,
            (None, Some(least)) => least / 2.0,
            (Some(best), Some(least)) if least / best < limits::PEER_STEP_MIN => return None,
            (Some(best), Some(least)) => (best * least).sqrt(),
        };
        (rate <= limits::PEER_RATE_MAX).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(first: f64, limit: f64) -> (Option<f64>, u32) {
        let mut ladder = RateSearch::default();
        ladder.note(first, first <= limit);
        while let Some(rate) = ladder.next() {
            ladder.note(rate, rate <= limit);
        }
        (ladder.kept_up, ladder.steps)
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for (first, limit) in [(50.0, 437.0), (5.0, 21.0), (1_000.0, 21.0), (50.0, 50.0)] {
            let (found, steps) = search(first, limit);
            let found = found.expect("some rate is kept up");
            assert!(found <= limit && found * limits::PEER_STEP_MIN > limit, "{first} {limit} {found}");
            assert!(steps <= 12, "{steps}");
        }
    }

    #[test]
    fn a_search_ends_even_if_there_is_no_limit_or_nothing_works() {
        let (found, _) = search(50.0, f64::INFINITY);
        assert!(found.is_some_and(|rate| rate > limits::PEER_RATE_MAX / 2.0));
        let (found, steps) = search(50.0, 0.0);
        assert_eq!((found, steps), (None, limits::PEER_STEPS_MAX));
    }
}
