//! A gateway to try out, with a directory, an Okta and phones that live on this machine only.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_lab::demo::main()
}
