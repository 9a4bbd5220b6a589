//! A TCP proxy on loopback that can cut what goes through it, mid-frame and without a word.
//!
//! Lives on: threads of its own, two for each connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy in front of a server.
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Listens on a free port and forwards to `server`, until the test process ends.
    pub fn before(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let ours = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                let _ = client.set_nodelay(true);
                let _ = upstream.set_nodelay(true);
                let mut open = ours.lock().expect("no test thread panics while it holds the list");
                open.push(client.try_clone().expect("descriptors"));
                open.push(upstream.try_clone().expect("descriptors"));
                forward(client.try_clone().expect("descriptors"), upstream.try_clone().expect("descriptors"));
                forward(upstream, client);
            }
        });
        Proxy { address, open }
    }

    /// Cuts every connection that is open now. Later ones work.
    pub fn cut(&self) {
        for stream in self.open.lock().expect("no test thread panics while it holds the list").drain(..) {
            // No linger: both sides see a reset, as after a lost network, not an orderly end.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
