//! The `yika` command. Everything it does is in the library; here are only arguments, logs and exit codes.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    yika_switch::cli::run()
}
