//! nchan, a module of nginx, configured with `/sub/NAME` for subscribers and `/pub/NAME` for publishers, as
//! `scripts/peers/nchan` does. Source: <https://nchan.io>, "Publisher Endpoint Configs".

use crate::runs::peers::peer::{Peer, Publish, Shape};
use crate::runs::peers::target::Target;

/// The channel that all subscribers are in.
const CHANNEL: &str = "hall";

/// An nginx with nchan at an address such as `http://127.0.0.1:8099`.
pub fn at(url: &str) -> Result<Peer, String> {
    let url = url.trim_end_matches('/');
    let publish = Target::parse(&format!("{url}/pub/{CHANNEL}"), "http")?;
    let subscribe = Target { path: format!("/sub/{CHANNEL}"), ..publish.clone() };
    Ok(Peer {
        name: "nchan".into(),
        subscribe,
        headers: Vec::new(),
        first_frame: None,
        // The shortest of the answers that nchan has to a publisher.
        publish: Publish::Request {
            method: "POST".into(),
            target: publish,
            headers: vec![("Accept".into(), "text/json".into())],
        },
        shape: Shape::Whole,
    })
}
