//! The `yika` command. Everything it does is in the library; here are only arguments, logs and exit codes.

fn main() -> std::process::ExitCode {
    yika_switch::cli::run()
}
