//! The load generator's binary; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    guildhall_bench::cli::main()
}
