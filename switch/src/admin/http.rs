//! The admin port: liveness, readiness, metrics. It only reads; loopback by default.

use super::{Command, Handle, Readiness};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::{SocketAddr, TcpListener};

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let failed = |e: std::io::Error| format!("admin port {address}: {e}; is another program using it?");
    let socket = TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

#[derive(Clone)]
struct Desk {
    handle: Handle,
    ready: Readiness,
}

pub(super) async fn serve(socket: TcpListener, handle: Handle, ready: Readiness) {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Desk { handle, ready });
    let served = async { axum::serve(tokio::net::TcpListener::from_std(socket)?, routes).await };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port is closed");
    }
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
        Ok(snapshot) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            (StatusCode::OK, kind, snapshot.render()).into_response()
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use tokio::sync::mpsc;

    /// Serves for as long as `asks` runs on a thread of its own; `desk` answers what reaches the switch.
    fn served(ready: Readiness, desk: fn(Command), asks: impl FnOnce(SocketAddr) + Send + 'static) {
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
                () = serve(socket, Handle::new(commands), ready) => panic!("the port was closed"),
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
}
