//! The program. What it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    count_store::main()
}
