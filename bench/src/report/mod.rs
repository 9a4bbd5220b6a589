//! What a run of traffic found, for people and as JSON.
//!
//! [`run`] is the report of a replay and [`series`] its course second by second; [`folder`] writes both, with [`page`]
//! as a picture and [`hgrm`] for other plotters. [`compare`] sets two reports side by side.

pub mod chart;
pub mod compare;
pub mod findings;
pub mod folder;
pub mod hgrm;
pub mod page;
pub mod results;
pub mod row;
pub mod run;
#[cfg(test)]
mod sample;
pub mod series;
pub mod summary;
pub mod units;

use serde::{Deserialize, Serialize};

use crate::base::limits;

/// If the server waited for a CPU for more than this share of the time, the load generator was in its way.
const CONTENDED: f64 = 0.1;

/// Which side limited the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// A thread of the server was saturated.
    Server,
    /// A thread of the client was saturated.
    Client,
    /// Neither was.
    #[default]
    Neither,
}

impl Bottleneck {
    /// Who it was, from how busy the busiest threads were. `None`: the server's threads could not be seen.
    pub fn of(server: Option<f64>, client: f64) -> Bottleneck {
        if server.is_some_and(|server| server >= limits::SATURATED) {
            Bottleneck::Server
        } else if client >= limits::SATURATED {
            Bottleneck::Client
        } else {
            Bottleneck::Neither
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saturated_client_is_no_measurement_of_the_server() {
        assert_eq!(Bottleneck::of(Some(0.5), 0.97), Bottleneck::Client);
        assert_eq!(Bottleneck::of(None, 0.97), Bottleneck::Client);
        assert_eq!(Bottleneck::of(Some(0.99), 0.97), Bottleneck::Server);
        assert_eq!(Bottleneck::of(Some(0.5), 0.5), Bottleneck::Neither);
    }
}
