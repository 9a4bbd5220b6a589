//! Signals: SIGTERM and SIGINT ask for a drain, a second one ends at once, SIGUSR1 asks for histograms.
//!
//! Lives on: a thread of its own that does nothing else.

use flume::{Receiver, Sender};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::boot::Fatal;

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Leave service politely.
    Stop,
    /// Write the histograms now.
    Dump,
    /// Nobody's wish: a core has panicked. Its guilds and sessions are lost, so the process must begin anew.
    CoreLost,
}

/// Starts listening to signals. Others may wish through the sender.
pub fn listen() -> Result<(Sender<Wish>, Receiver<Wish>), Fatal> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])
        .map_err(|error| Fatal(format!("cannot listen to signals: {error}")))?;
    let (sender, wishes) = flume::bounded(4);
    let ours = sender.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut stopping = false;
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    // Several at once are one.
                    let _ = sender.try_send(Wish::Dump);
                } else if stopping {
                    std::process::exit(130);
                } else {
                    stopping = true;
                    let _ = sender.send(Wish::Stop);
                }
            }
        })
        .map_err(|error| Fatal(format!("cannot start a thread: {error}")))?;
    Ok((ours, wishes))
}
