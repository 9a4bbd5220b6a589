//! What a running server writes about itself: latency histograms and traces of its traffic.

pub mod histograms;
pub mod recording;
