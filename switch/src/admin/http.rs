//! The admin port: liveness, readiness, metrics. It only reads; loopback by default. Each connection carries one
//! request, within the bounds of its `Door`.

use super::door::{Door, Guest};
use super::{Command, Handle, Readiness};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let failed = |e: io::Error| format!("admin port {address}: {e}; is another program using it?");
    let socket = TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

#[derive(Clone)]
struct Desk {
    handle: Handle,
    ready: Readiness,
    doors: [Door; 2],
}

/// The port, behind its door.
struct Port {
    socket: tokio::net::TcpListener,
    door: Door,
}

impl Listener for Port {
    type Io = Guest<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest<TcpStream>, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    if let Some(guest) = self.door.admit(stream) {
                        return (guest, address);
                    }
                }
                // Out of descriptors: others must end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// `doors`: the port's own, and that of the control socket, of which only the counts are shown.
pub(super) async fn serve(socket: TcpListener, handle: Handle, ready: Readiness, doors: [Door; 2]) {
    let door = doors[0].clone();
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Desk { handle, ready, doors })
        .layer(map_response(one_request));
    let served = async {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        axum::serve(Port { socket, door }, routes).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port is closed");
    }
}

/// A connection that waits for a further request would hold a place and do nothing.
async fn one_request(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The switch's own thread turns, or still replays its journal: whoever restarts what is not live must let it.
async fn livez(State(desk): State<Desk>) -> Response {
    if desk.ready.is_starting() {
        return (StatusCode::OK, "live, starting\n").into_response();
    }
    told(desk.handle.ask(Command::Ping).await, "live\n")
}

/// Traffic may come.
async fn readyz(State(desk): State<Desk>) -> Response {
    let ready = match desk.ready.check() {
        // What the switch's own thread knows counts as well, and that it answers.
        Ok(()) => desk.handle.ask(Command::Ready).await.and_then(|ready| ready),
        Err(why) => Err(why),
    };
    told(ready, "ready\n")
}

fn told(state: Result<(), String>, good: &'static str) -> Response {
    match state {
        Ok(()) => (StatusCode::OK, good).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn metrics(State(desk): State<Desk>) -> Response {
    match desk.handle.ask(Command::Snapshot).await {
        Ok(mut snapshot) => {
            snapshot.add_doors(desk.doors.each_ref().map(Door::counts));
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            (StatusCode::OK, kind, snapshot.render()).into_response()
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminBounds;
    use std::io::{Read, Write};
    use std::sync::atomic::Ordering;
    use tokio::sync::mpsc;

    /// Serves for as long as `asks` runs on a thread of its own; `desk` answers what reaches the switch.
    fn served(ready: Readiness, desk: fn(Command), asks: impl FnOnce(SocketAddr) + Send + 'static) {
        served_behind(Door::new(BOUNDS), ready, desk, asks);
    }

    const BOUNDS: AdminBounds =
        AdminBounds { connections_max: 2, time: Duration::from_secs(2), request_bytes_max: 8192 };

    fn served_behind(
        door: Door,
        ready: Readiness,
        desk: fn(Command),
        asks: impl FnOnce(SocketAddr) + Send + 'static,
    ) {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (commands, mut inbox) = mpsc::channel(4);
        runtime.block_on(async {
            let asking = tokio::task::spawn_blocking(move || asks(address));
            let desk = async {
                while let Some(command) = inbox.recv().await {
                    desk(command);
                }
            };
            tokio::select! {
                () = serve(socket, Handle::new(commands), ready, [door.clone(), door]) => panic!("the port was closed"),
                () = desk => panic!("nobody asks any more"),
                done = asking => done.unwrap(),
            }
        });
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_switch_that_starts_is_live_and_not_ready() {
        served(
            Readiness::default(),
            |_| panic!("nobody takes commands yet"),
            |address| {
                assert!(get(address, "/livez").starts_with("HTTP/1.1 200"));
                let ready = get(address, "/readyz");
                assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("starting"), "{ready}");
            },
        );
    }

    #[test]
    fn being_live_is_a_ping_and_being_ready_has_its_reasons() {
        let ready = Readiness::default();
        ready.set_ready();
        let desk = |command| match command {
            Command::Ping(reply) => reply.send(()).unwrap(),
            Command::Ready(reply) => reply.send(Err("no spare segment".into())).unwrap(),
            _ => panic!("health looks at nothing else"),
        };
        served(ready.clone(), desk, move |address| {
            assert!(get(address, "/livez").starts_with("HTTP/1.1 200"));
            let told = get(address, "/readyz");
            assert!(told.starts_with("HTTP/1.1 503") && told.ends_with("no spare segment\n"), "{told}");
            ready.set_draining();
            let told = get(address, "/readyz");
            assert!(told.starts_with("HTTP/1.1 503") && told.contains("draining"), "{told}");
        });
    }

    /// Waits until the other side closes; what it said before.
    fn ended(mut stream: std::net::TcpStream) -> String {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut text = Vec::new();
        match stream.read_to_end(&mut text) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("it was not closed: {e}"),
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn p9_the_admin_port_lets_in_so_many_at_once_each_for_so_long_and_with_so_much_to_say() {
        let door = Door::new(BOUNDS);
        let counts = door.clone();
        served_behind(
            door,
            Readiness::default(),
            |_| panic!("nobody asks"),
            move |address| {
                let connect = || std::net::TcpStream::connect(address).unwrap();
                let (silent, mut trickling) = (connect(), connect());
                trickling.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").unwrap();
                assert_eq!(ended(connect()), "", "there are two places");
                let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
                assert_eq!((load(&counts.counts().full), load(&counts.counts().time)), (1, 0));
                assert_eq!(ended(silent), "", "its time is over");
                ended(trickling);
                assert_eq!(load(&counts.counts().time), 2);
                let told = get(address, "/livez");
                assert!(told.starts_with("HTTP/1.1 200"), "the places are free again: {told}");
                let mut long = connect();
                // Refused in the middle, so that the rest may fail.
                let _ =
                    long.write_all(&[b"GET /livez HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 100_000]].concat());
                assert!(!ended(long).contains("200"));
                assert_eq!(load(&counts.counts().size), 1);
                let told = get_kept(address, "/livez");
                assert!(told.contains("connection: close"), "one request each: {told}");
            },
        );
    }

    /// As a client asks that would keep its connection.
    fn get_kept(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        ended(stream)
    }
}
