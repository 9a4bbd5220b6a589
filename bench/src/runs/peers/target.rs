//! A URL of a peer, as far as it is needed: scheme, host, path.

use std::net::{SocketAddr, ToSocketAddrs};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address that the host has.
    pub address: SocketAddr,
    /// What the `Host` header says.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// Reads a URL that must have this scheme. An error says what is wrong.
    pub fn parse(url: &str, scheme: &str) -> Result<Target, String> {
        let wrong = |why: &str| format!("{url:?}: {why}");
        let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or_else(|| wrong(&format!("must begin with {scheme}://")))?;
        if url.chars().any(|odd| odd.is_whitespace() || odd.is_control()) {
            return Err(wrong("has spaces in it"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = with_port.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| wrong("the host has no address"))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Target { address, host: host.to_owned(), path: format!("{slash}{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("ws://127.0.0.1:81/sub?id=x", "ws").expect("sound");
        assert_eq!((target.address.port(), &*target.host, &*target.path), (81, "127.0.0.1:81", "/sub?id=x"));
        let bare = Target::parse("http://127.0.0.1?id=x", "http").expect("sound");
        assert_eq!((bare.address.port(), &*bare.path), (80, "/?id=x"));
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in
            ["http://127.0.0.1/", "ws:/127.0.0.1", "ws://", "ws://127.0.0.1:x/", "ws://127.0.0.1/a b", "ws://a\r\n/"]
        {
            assert!(Target::parse(url, "ws").is_err(), "{url:?}");
        }
    }
}
