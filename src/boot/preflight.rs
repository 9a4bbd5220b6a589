//! What the host must offer, checked before anything is started, so that a lack is one clear sentence.
//!
//! Lives on: the main thread.

use glommio::{LocalExecutorBuilder, Placement};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::base::fatal::Fatal;

/// Takes as many descriptors as the system gives: each connection needs one, and shells are started with few.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays low");
    }
}

/// Whether io_uring works here: an executor is made and thrown away.
pub fn io_uring() -> Result<(), Fatal> {
    let probe = std::thread::spawn(|| {
        LocalExecutorBuilder::new(Placement::Unbound)
            .ring_depth(128)
            .make()
            .map(drop)
            .map_err(|error| error.to_string())
    });
    match probe.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fatal(format!(
            "this kernel or container does not let the server use io_uring ({error}); Linux 5.8 or newer is needed, \
             the sysctl kernel.io_uring_disabled must be 0, a container's seccomp profile must allow io_uring_setup, \
             and at least 512 KiB of memory must be lockable per core (ulimit -l)"
        ))),
        Err(_) => {
            Err(Fatal("this kernel does not let the server use io_uring; Linux 5.8 or newer is needed".to_owned()))
        }
    }
}
