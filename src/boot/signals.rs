//! Signals: SIGTERM and SIGINT begin a drain, a second one ends the process immediately, SIGUSR1 writes the histograms.
//!
//! Lives on: a thread of its own, `signals`; the main thread receives.

use flume::{Receiver, Sender};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::base::fatal::Fatal;

/// What the main thread has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Drain, then end.
    Stop,
    /// Write the histograms now.
    Dump,
    /// A core has panicked. Its guilds and sessions are lost, so the process must be restarted.
    CoreLost,
}

/// Starts listening to signals. The sender is for the cores, which report a panic through it.
pub fn listen() -> Result<(Sender<Signal>, Receiver<Signal>), Fatal> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])
        .map_err(|error| Fatal(format!("cannot listen to signals: {error}")))?;
    let (sender, receiver) = flume::bounded(4);
    let for_cores = sender.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut stopping = false;
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    // A full queue already holds one.
                    let _ = sender.try_send(Signal::Dump);
                } else if stopping {
                    std::process::exit(130);
                } else {
                    stopping = true;
                    let _ = sender.send(Signal::Stop);
                }
            }
        })
        .map_err(|error| Fatal(format!("cannot start a thread: {error}")))?;
    Ok((for_cores, receiver))
}
