//! The control socket: one JSON request on a line, one JSON answer on a line. Who may open the socket may
//! operate the switch: its file belongs to the switch's user alone.

use super::door::{Door, Guest};
use super::reason::check_reason;
use super::{Command, DateTotals, Exceptions, Handle, ObligationView, Readiness, Status};
use crate::core::entry::KeyUse;
use crate::core::ids::ObligationId;
use crate::data_dir::control_socket_in;
use crate::driver::Terminal;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    Status,
    SafList,
    SafExceptions,
    Totals {
        date: Option<u32>,
    },
    SafSettle {
        id: u64,
        reason: String,
    },
    CutOver,
    Drain {
        name: String,
        on: bool,
    },
    /// Offers a participant a new working key.
    KeyChange {
        name: String,
        usage: KeyUse,
    },
    /// One terminal, or all.
    SignOff {
        whom: Option<Terminal>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Status(Status),
    Obligations(Vec<ObligationView>),
    Exceptions(Exceptions),
    Totals(Vec<DateTotals>),
    Done,
    Refused(String),
}

/// `sun_path` of a Unix socket's address, with its closing zero (unix(7)).
const PATH_BYTES_MAX: usize = 107;

pub(super) fn bind(path: &Path) -> Result<std::os::unix::net::UnixListener, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let len = path.as_os_str().len();
    if len > PATH_BYTES_MAX {
        let name = path.display();
        return Err(format!(
            "{name}: its path has {len} bytes and may have {PATH_BYTES_MAX}: give data_dir a shorter one"
        ));
    }
    let socket = std::os::unix::net::UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

pub(super) async fn serve(
    socket: std::os::unix::net::UnixListener,
    handle: Handle,
    ready: Readiness,
    door: Door,
) {
    let Ok(socket) = UnixListener::from_std(socket) else {
        tracing::error!("the control socket cannot be served");
        return;
    };
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                if let Some(guest) = door.admit(stream) {
                    tokio::spawn(converse(guest, handle.clone(), ready.clone()));
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(guest: Guest<UnixStream>, handle: Handle, ready: Readiness) {
    let (reader, mut writer) = tokio::io::split(guest);
    let mut lines = tokio::io::BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str::<Request>(&line) {
            // Nobody takes commands before the journal is replayed: say so at once.
            Ok(_) if ready.is_starting() => Answer::Refused(STARTING.into()),
            Ok(request) => answer(request, &handle).await,
            Err(error) => Answer::Refused(format!("not a request this switch knows: {error}")),
        };
        let mut text = serde_json::to_string(&answer).expect("answers always make JSON");
        text.push('\n');
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

const STARTING: &str = "the switch is starting: its journal is being replayed; ask again when it listens";

async fn answer(request: Request, handle: &Handle) -> Answer {
    let done = |result: Result<Result<(), String>, String>| match result {
        Ok(Ok(())) => Answer::Done,
        Ok(Err(why)) | Err(why) => Answer::Refused(why),
    };
    match request {
        Request::Status => handle.ask(Command::Status).await.map_or_else(Answer::Refused, Answer::Status),
        Request::SafList => {
            handle.ask(Command::Obligations).await.map_or_else(Answer::Refused, Answer::Obligations)
        }
        Request::SafExceptions => {
            handle.ask(Command::Exceptions).await.map_or_else(Answer::Refused, Answer::Exceptions)
        }
        Request::Totals { date } => {
            let totals = handle.ask(|reply| Command::Totals(date, reply)).await;
            totals.map_or_else(Answer::Refused, Answer::Totals)
        }
        Request::SafSettle { id, reason } => match check_reason(&reason).map(str::to_owned) {
            Ok(reason) => {
                done(handle.ask(|reply| Command::Settle { id: ObligationId(id), reason, reply }).await)
            }
            Err(why) => Answer::Refused(format!("reason: {why}")),
        },
        Request::CutOver => done(handle.ask(Command::CutOver).await),
        Request::KeyChange { name, usage } => {
            done(handle.ask(|reply| Command::KeyChange { name, usage, reply }).await)
        }
        Request::SignOff { whom } => done(handle.ask(|reply| Command::SignOff { whom, reply }).await),
        Request::Drain { name, on } => done(handle.ask(|reply| Command::Drain { name, on, reply }).await),
    }
}

/// Asks the switch that runs on this data folder. Blocks for up to five seconds.
///
/// # Errors
/// When no switch runs there, or it refuses; in words.
pub fn ask(data: &Path, request: &Request) -> Result<Answer, String> {
    let path = control_socket_in(data);
    let gone = |e: std::io::Error| {
        format!("no switch answers on {}: {e}. Is it running, and is this its data folder?", path.display())
    };
    let mut stream = std::os::unix::net::UnixStream::connect(&path).map_err(gone)?;
    let limit = Some(Duration::from_secs(5));
    stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)).map_err(gone)?;
    let mut text = serde_json::to_string(request).expect("requests always make JSON");
    text.push('\n');
    stream.write_all(text.as_bytes()).map_err(gone)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(gone)?;
    match serde_json::from_str(&line) {
        Ok(Answer::Refused(why)) => Err(why),
        Ok(answer) => Ok(answer),
        Err(error) => Err(format!("the switch's answer cannot be read: {error}")),
    }
}

/// The switch at a glance.
///
/// # Errors
/// As `ask`.
pub fn status(data: &Path) -> Result<Status, String> {
    match ask(data, &Request::Status)? {
        Answer::Status(status) => Ok(status),
        other => Err(format!("the switch answered something else: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminBounds;

    #[test]
    fn requests_have_a_fixed_form_on_the_socket() {
        let settle = Request::SafSettle { id: 7, reason: "by telephone".into() };
        let text = serde_json::to_string(&settle).unwrap();
        assert_eq!(text, r#"{"saf-settle":{"id":7,"reason":"by telephone"}}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), settle);
        assert_eq!(serde_json::to_string(&Request::Status).unwrap(), "\"status\"");
        assert!(serde_json::from_str::<Request>("{\"erase\":true}").is_err());
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_told_with_its_cure() {
        let why = bind(Path::new(&format!("/{}", "x".repeat(PATH_BYTES_MAX)))).err().unwrap();
        assert!(why.contains("108 bytes") && why.contains("data_dir"), "{why}");
    }

    #[test]
    fn p9_the_control_socket_lets_in_so_many_at_once_each_for_so_long_and_with_so_much_to_say() {
        use std::io::Read;
        use std::sync::atomic::Ordering;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let socket = bind(&path).unwrap();
        let (time, full) = (Duration::from_secs(2), 2);
        let door = Door::new(AdminBounds { connections_max: full, time, request_bytes_max: 8192 });
        let counts = door.clone();
        let asks = move || {
            let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
            let ended = |mut stream: std::os::unix::net::UnixStream| {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let mut text = Vec::new();
                match stream.read_to_end(&mut text) {
                    Ok(_) => String::from_utf8(text).unwrap(),
                    Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
                    Err(e) => panic!("it was not closed: {e}"),
                }
            };
            let (silent, mut trickling) = (connect(), connect());
            trickling.write_all(b"\"sta").unwrap();
            assert_eq!(ended(connect()), "", "there are two places");
            assert_eq!(
                (ended(silent), ended(trickling)),
                (String::new(), String::new()),
                "their time is over"
            );
            let mut long = connect();
            let _ = long.write_all(&[b'x'; 100_000]);
            assert_eq!(ended(long), "");
            let mut good = connect();
            good.write_all(b"\"status\"\n").unwrap();
            assert!(ended(good).contains("starting"), "the places are free again");
            let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            let counts = counts.counts();
            // The good one stayed open until its time was over, too.
            assert_eq!((load(&counts.full), load(&counts.time), load(&counts.size)), (1, 3, 1));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (commands, _inbox) = tokio::sync::mpsc::channel(1);
        runtime.block_on(async {
            let asking = tokio::task::spawn_blocking(asks);
            tokio::select! {
                () = serve(socket, Handle::new(commands), Readiness::default(), door) => panic!("it was closed"),
                done = asking => done.unwrap(),
            }
        });
    }

    #[test]
    fn no_switch_is_said_plainly() {
        let folder = tempfile::tempdir().unwrap();
        let refused = status(folder.path()).unwrap_err();
        assert!(refused.starts_with("no switch answers on"), "{refused}");
    }
}
