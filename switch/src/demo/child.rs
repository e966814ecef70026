//! The switch as a child process: started, asked whether it is up, killed, stopped.

use super::DemoError;
use super::folder::{Folder, tail_of};
use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) struct Switch {
    child: Child,
    log: Box<dyn Fn() -> String>,
}

const UP_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(20);

impl Switch {
    /// Starts it and waits until it answers: its listeners open only once its journal is replayed and what it
    /// found in doubt is durable.
    pub(super) fn spawn(folder: &Folder) -> Result<Switch, DemoError> {
        let failed = |doing, what: &str, source| DemoError::Io { doing, what: what.into(), source };
        let program = std::env::current_exe().map_err(|e| failed("find", "this program", e))?;
        let log = OpenOptions::new().create(true).append(true).open(folder.log());
        let log = log.map_err(|e| failed("write", "the switch's log", e))?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(folder.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| failed("start", "the switch", e))?;
        let path = folder.log();
        let mut switch = Switch { child, log: Box::new(move || tail_of(&path)) };
        let began = Instant::now();
        while folder.open_obligations().is_err() {
            switch.check()?;
            if began.elapsed() > UP_WITHIN {
                return Err(DemoError::NotUp { limit_s: UP_WITHIN.as_secs(), log: folder.log_tail() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(switch)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error when it ended by itself.
    pub(super) fn check(&mut self) -> Result<(), DemoError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(DemoError::Ended { status: status.to_string(), log: (self.log)() }),
            Err(source) => Err(DemoError::Io { doing: "watch", what: "the switch".into(), source }),
        }
    }

    /// SIGKILL: what a crash of the process is.
    pub(super) fn kill(&mut self) -> Result<(), DemoError> {
        let failed = |source| DemoError::Io { doing: "kill", what: "the switch".into(), source };
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        Ok(())
    }

    /// SIGTERM, and the wait for a clean end.
    pub(super) fn stop(mut self) -> Result<(), DemoError> {
        let failed = |source| DemoError::Io { doing: "stop", what: "the switch".into(), source };
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|e| failed(e.into()))?;
        }
        let began = Instant::now();
        while began.elapsed() < STOP_WITHIN {
            match self.child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(DemoError::Ended { status: status.to_string(), log: (self.log)() });
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        self.kill()
    }
}

impl Drop for Switch {
    /// No child outlives the demo, however it ends.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
