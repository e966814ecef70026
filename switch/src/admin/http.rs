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

/// The switch's own thread turns.
async fn livez(State(desk): State<Desk>) -> Response {
    match desk.handle.ask(Command::Status).await {
        Ok(_) => (StatusCode::OK, "live\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

/// Traffic may come.
async fn readyz(State(desk): State<Desk>) -> Response {
    match desk.ready.check() {
        Ok(()) => (StatusCode::OK, "ready\n").into_response(),
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
