//! What everything else stands on: bounds, clocks, histograms' percentiles, HTTP, sockets, and what /proc says.

pub mod clock;
pub mod descriptor_table;
pub mod http;
pub mod limits;
pub mod machine;
pub mod proc;
pub mod progress;
pub mod random;
pub mod source_address;
pub mod times;
