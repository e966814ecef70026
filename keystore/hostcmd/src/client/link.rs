//! One connection: comes, is tried with diagnostics, carries commands until something is wrong with it, and comes again.
//!
//! Whatever happens, every job that it took is answered. A reply that does not come in time ends the connection: what
//! comes late can then not be taken for the reply to something else.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use yika_keystore::BackendError;

use super::breaker::Permission;
use super::{Facts, Job, Link, Reply, Shared, Site, lock};
use crate::code::Code;
use crate::fields::Fields;
use crate::frame::{self, FrameError, Message};
use crate::stream::Stream;

/// A reply may be longer than a command of ours: the length of two bytes alone limits it.
const REPLY_BYTES_MAX: usize = u16::MAX as usize;
const ECHO: &[u8] = b"0004YIKA";

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client was closed")]
    Stopped,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the HSM closed it")]
    Closed,
    #[error("no reply came within {0:?}")]
    Silent(Duration),
    #[error("connecting took longer than {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("a reply answers no command that is under way")]
    Unasked,
    #[error("diagnostics were answered by {0}")]
    Diagnostics(String),
    #[error("the HSM answered {0}: it has lost its keys, look at its console")]
    NoKeys(String),
}

/// Keeps one connection until the client is closed.
pub(super) async fn drive_link(
    shared: Arc<Shared>,
    site: usize,
    link: usize,
    mut jobs: mpsc::Receiver<Job>,
    mut stopped: watch::Receiver<bool>,
) {
    let site = &shared.sites[site];
    let link = &site.links[link];
    let mut attempt = 0;
    while !*stopped.borrow() {
        let permission = lock(&site.breaker).ask(Instant::now());
        if let Permission::Wait(time) = permission {
            shared.tell();
            wait(time, link, &mut jobs, &mut stopped).await;
            continue;
        }
        let ended = tokio::select! {
            ended = live(&shared, site, link, &mut jobs, &mut attempt) => ended,
            _ = stopped.changed() => Ended::Stopped,
        };
        link.up.store(false, Ordering::Release);
        if matches!(ended, Ended::Stopped) {
            break;
        }
        lock(&site.breaker).failed(Instant::now());
        tracing::warn!(addr = %site.address.addr, reason = %ended, "a connection to an HSM ended");
        shared.tell();
        attempt += 1;
        let time = pause(attempt, shared.config.reconnect_min, shared.config.reconnect_max);
        wait(time, link, &mut jobs, &mut stopped).await;
    }
    jobs.close();
    while let Some(job) = jobs.recv().await {
        job.lost(link, "the client was closed");
    }
}

/// Waits for the next attempt, or the end of the client; gives back what was left from before, or sent a moment too late.
async fn wait(
    time: Duration,
    link: &Link,
    jobs: &mut mpsc::Receiver<Job>,
    stopped: &mut watch::Receiver<bool>,
) {
    let over = sleep(time);
    tokio::pin!(over);
    loop {
        tokio::select! {
            // What waits is given back also when the time is over.
            biased;
            Some(job) = jobs.recv() => job.lost(link, "the connection that it was given to is gone"),
            _ = stopped.changed() => return,
            () = &mut over => return,
        }
    }
}

/// Doubled each time up to the greatest, and of that a random part between half and all, so that many do not come at once.
fn pause(attempt: u32, min: Duration, max: Duration) -> Duration {
    let whole = min.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(max);
    let random = RandomState::new().hash_one(attempt) % 512;
    whole / 2 + whole * u32::try_from(random).unwrap_or(0) / 1024
}

async fn live(
    shared: &Shared,
    site: &Site,
    link: &Link,
    jobs: &mut mpsc::Receiver<Job>,
    attempt: &mut u32,
) -> Ended {
    let limit = shared.config.connect_timeout;
    let (stream, facts) = match timeout(limit, connect(shared, site)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::Late(limit),
    };
    tracing::info!(addr = %site.address.addr, firmware = facts.firmware, "connected to an HSM");
    *lock(&site.facts) = Some(facts);
    lock(&site.breaker).connected();
    *attempt = 0;
    link.up.store(true, Ordering::Release);
    shared.tell();
    let (read, write) = tokio::io::split(stream);
    let mut session = Session {
        shared,
        site,
        link,
        read,
        write,
        received: BytesMut::with_capacity(4096),
        out: Vec::new(),
        next: 0,
        under_way: HashMap::new(),
        order: VecDeque::new(),
        quiet_since: Instant::now(),
    };
    let ended = session.carry(jobs).await;
    let reason = format!("{}: {ended}", site.address.addr);
    // Before the jobs are answered, so that nobody sends the same way again.
    link.up.store(false, Ordering::Release);
    for (_, waiting) in session.under_way.drain() {
        if let Waiting::Job(job) = waiting {
            job.lost(link, &reason);
        }
    }
    ended
}

/// Connects, and asks what it is that was connected to.
async fn connect(shared: &Shared, site: &Site) -> Result<(Box<dyn Stream>, Facts), Ended> {
    let stream = TcpStream::connect(site.address.addr).await?;
    // Commands are small and waited for.
    stream.set_nodelay(true)?;
    let mut stream = site.address.connecting.protect(stream).await?;
    let header = header_of(0, shared.config.header_bytes);
    let mut out = Vec::new();
    frame::write(&mut out, &header, *b"NC", &[])?;
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut received = BytesMut::with_capacity(64);
    let reply = loop {
        if let Some(frame) = frame::next(&mut received, REPLY_BYTES_MAX)? {
            break frame;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(Ended::Closed);
        }
    };
    let message = Message::parse(&reply, header.len())?;
    if message.header != header || message.code != *b"ND" || !received.is_empty() {
        return Err(Ended::Unasked);
    }
    let facts = diagnostics(&mut Fields::new(message.body));
    facts.map(|facts| (stream, facts)).map_err(Ended::Diagnostics)
}

fn diagnostics(fields: &mut Fields<'_>) -> Result<Facts, String> {
    let told = fields.array().map(Code);
    if told != Ok(Code::OK) {
        return Err(told.map_or_else(|_| "nothing".to_owned(), Code::text));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match fields.take(16) {
        Ok(value) if value.iter().all(u8::is_ascii_hexdigit) => {
            Ok(Facts { master_check_value: text(value), firmware: text(fields.rest()) })
        }
        _ => Err("something else than a check value".to_owned()),
    }
}

enum Waiting {
    Job(Job),
    Echo,
}

/// A connection that stands.
struct Session<'a> {
    shared: &'a Shared,
    site: &'a Site,
    link: &'a Link,
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    received: BytesMut,
    out: Vec<u8>,
    /// Of the next header.
    next: u32,
    under_way: HashMap<Vec<u8>, Waiting>,
    /// Headers in the order in which their replies are due; those that came are left in until they are met.
    order: VecDeque<(Vec<u8>, Instant)>,
    quiet_since: Instant,
}

impl Session<'_> {
    async fn carry(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Ended {
        loop {
            let due = self.due();
            let room = self.under_way.len() < self.shared.config.window;
            let done = tokio::select! {
                job = jobs.recv(), if room => match job {
                    Some(job) => self.send(job, jobs).await,
                    None => return Ended::Stopped,
                },
                read = self.read.read_buf(&mut self.received) => match read {
                    Ok(0) => return Ended::Closed,
                    Ok(_) => self.take_replies(),
                    Err(error) => Err(error.into()),
                },
                () = sleep_until(due.into()) => {
                    if self.under_way.is_empty() {
                        self.echo().await
                    } else {
                        Err(Ended::Silent(self.shared.config.reply_timeout))
                    }
                }
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    /// When the next reply is due, or the next echo.
    fn due(&mut self) -> Instant {
        while let Some((header, due)) = self.order.front() {
            if self.under_way.contains_key(header) {
                return *due;
            }
            self.order.pop_front();
        }
        self.quiet_since + self.shared.config.idle_echo
    }

    /// Writes a job, and in the same turn what waits behind it.
    async fn send(&mut self, job: Job, jobs: &mut mpsc::Receiver<Job>) -> Result<(), Ended> {
        self.out.clear();
        self.put(job);
        while self.under_way.len() < self.shared.config.window {
            let Ok(job) = jobs.try_recv() else { break };
            self.put(job);
        }
        self.flush().await
    }

    async fn echo(&mut self) -> Result<(), Ended> {
        self.out.clear();
        let header = self.header();
        frame::write(&mut self.out, &header, *b"B2", &[ECHO])?;
        self.wait_for(header, Waiting::Echo);
        self.flush().await
    }

    fn put(&mut self, job: Job) {
        let header = self.header();
        match frame::write(&mut self.out, &header, job.command.code, &[&job.command.body]) {
            Ok(()) => self.wait_for(header, Waiting::Job(job)),
            Err(error) => {
                let reason = error.to_string();
                job.answer(self.link, Err(BackendError::Input { field: "length", reason }));
            }
        }
    }

    fn wait_for(&mut self, header: Vec<u8>, waiting: Waiting) {
        self.order.push_back((header.clone(), Instant::now() + self.shared.config.reply_timeout));
        self.under_way.insert(header, waiting);
    }

    /// A header that no command under way has. There are more of them than a window holds.
    fn header(&mut self) -> Vec<u8> {
        loop {
            self.next = self.next.wrapping_add(1);
            let header = header_of(self.next, self.shared.config.header_bytes);
            if !self.under_way.contains_key(&header) {
                return header;
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let limit = self.shared.config.reply_timeout;
        let write = async {
            self.write.write_all(&self.out).await?;
            self.write.flush().await
        };
        match timeout(limit, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Ended::Silent(limit)),
        }
    }

    fn take_replies(&mut self) -> Result<(), Ended> {
        self.quiet_since = Instant::now();
        while let Some(reply) = frame::next(&mut self.received, REPLY_BYTES_MAX)? {
            let message = Message::parse(&reply, self.shared.config.header_bytes)?;
            let Some(waiting) = self.under_way.remove(message.header) else { return Err(Ended::Unasked) };
            match waiting {
                Waiting::Job(job) => {
                    let expected = frame::reply_code(job.command.code);
                    let reply = read_reply(&message, expected);
                    // It would answer everything so: others do its work, and diagnostics tell when it can again.
                    if let Ok(Reply { code: code @ (Code::NO_KEYS | Code::MASTER_KEY), .. }) = reply {
                        let ended = Ended::NoKeys(code.text());
                        self.link.up.store(false, Ordering::Release);
                        job.lost(self.link, &ended.to_string());
                        return Err(ended);
                    }
                    lock(&self.site.breaker).worked();
                    job.answer(self.link, reply);
                }
                Waiting::Echo if message.code == *b"B3" && message.body.starts_with(b"00") => {
                    lock(&self.site.breaker).worked();
                }
                Waiting::Echo => return Err(Ended::Unasked),
            }
        }
        Ok(())
    }
}

fn read_reply(message: &Message<'_>, expected: [u8; 2]) -> Result<Reply, BackendError> {
    let text = |code: &[u8]| String::from_utf8_lossy(code).into_owned();
    let mut fields = Fields::new(message.body);
    match fields.array() {
        Ok(code) if message.code == expected => Ok(Reply { code: Code(code), body: fields.rest().to_vec() }),
        Ok(_) => {
            let reason = format!("expected the reply {}, got {:?}", text(&expected), text(&message.code));
            Err(BackendError::Protocol { reason })
        }
        Err(_) => Err(BackendError::Protocol { reason: "a reply without an error code".to_owned() }),
    }
}

/// A number to the base 36, as long as a header is.
fn header_of(number: u32, bytes: usize) -> Vec<u8> {
    let (mut left, mut header) = (number, vec![b'0'; bytes]);
    for place in header.iter_mut().rev() {
        let digit = u8::try_from(left % 36).expect("below 36");
        *place = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        left /= 36;
    }
    header
}

impl Job {
    fn answer(self, link: &Link, reply: Result<Reply, BackendError>) {
        link.under_way.fetch_sub(1, Ordering::AcqRel);
        // Nobody listens when the caller has given up. There is room for every answer.
        let _ = self.answer.try_send((self.index, reply));
    }

    fn lost(self, link: &Link, reason: &str) {
        self.answer(link, Err(BackendError::Unavailable { reason: reason.to_owned() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_counted_to_the_base_36() {
        assert_eq!(header_of(0, 4), b"0000");
        assert_eq!(header_of(35, 4), b"000Z");
        assert_eq!(header_of(36 * 36, 2), b"00", "comes round");
        assert_eq!(header_of(u32::MAX, 8), b"01Z141Z3");
    }

    #[test]
    fn pauses_double_up_to_the_greatest_and_are_never_nothing() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        for attempt in 1..100 {
            let whole = min.saturating_mul(1 << (attempt - 1).min(16)).min(max);
            let pause = pause(attempt, min, max);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn diagnostics_are_a_check_value_and_a_firmware() {
        let facts = diagnostics(&mut Fields::new(b"002686047595482904 1500-0023")).ok();
        assert_eq!(
            facts.map(|facts| (facts.master_check_value, facts.firmware)),
            Some(("2686047595482904".into(), "1500-0023".into()))
        );
        assert_eq!(diagnostics(&mut Fields::new(b"13")).err(), Some("13".into()));
        for wrong in [&b""[..], b"0", b"00", b"00268604759548290", b"00x68604759548290A"] {
            assert!(diagnostics(&mut Fields::new(wrong)).is_err());
        }
    }
}
