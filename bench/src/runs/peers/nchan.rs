//! nchan, a module of nginx, configured with `/sub/NAME` for subscribers and `/pub/NAME` for publishers, as
//! `scripts/peers/nchan` does. Source: <https://nchan.io>, "Publisher Endpoint Configs".

use std::net::SocketAddr;

use crate::runs::peers::plain::{Plain, Publish};
use crate::runs::peers::target::Target;
use crate::runs::peers::{Peer, Shape, Way};

/// The channel that everybody is in.
const CHANNEL: &str = "hall";

/// An nginx with nchan.
#[derive(Debug, Clone)]
pub struct Nchan(Plain);

impl Nchan {
    /// At an address such as `http://127.0.0.1:8099`.
    pub fn at(url: &str) -> Result<Nchan, String> {
        let url = url.trim_end_matches('/');
        let publish = Target::parse(&format!("{url}/pub/{CHANNEL}"), "http")?;
        let subscribe = Target { path: format!("/sub/{CHANNEL}"), ..publish.clone() };
        Ok(Nchan(Plain {
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
        }))
    }
}

impl Peer for Nchan {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn subscribe(&self, out: &mut Vec<u8>) {
        self.0.subscribe(out);
    }

    fn first_frame(&self) -> Option<&str> {
        self.0.first_frame()
    }

    fn way(&self) -> Way {
        self.0.way()
    }

    fn publish(&self, out: &mut Vec<u8>, message: &str) {
        self.0.publish(out, message);
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}
