//! The `guildhall` binary. Everything is in the library; `boot` is where it begins.

fn main() -> std::process::ExitCode {
    guildhall::boot::command_line::main()
}
