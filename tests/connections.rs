//! Connections to a frontend: too many of them, and those on which nothing is asked.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_frontend::FrontendOptions;
use pivot_protocol::wire::{self, frontend_client::FrontendClient};
use pivot_tests::{PATIENCE, PlayedAgent, TestFrontend};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

/// Begins a connection of HTTP/2 and asks nothing.
async fn connect_silently(url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream
}

/// Asks something on a connection of its own.
async fn ask(url: &str) -> Result<(), Status> {
    let client = FrontendClient::connect(url.to_owned()).await;
    let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
    client.list_queries(wire::ListQueriesRequest {}).await.map(|_| ())
}

#[tokio::test]
async fn who_comes_when_there_is_no_room_is_told_so_until_there_is() {
    let options = FrontendOptions { max_connections: 3, ..FrontendOptions::default() };
    let mut frontend = TestFrontend::start_with(options).await;
    frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap();
    let hello = |incarnation| wire::Hello { incarnation, ..Default::default() };
    let mut agents = Vec::new();
    for incarnation in 1..3 {
        let mut agent = PlayedAgent::attach(&frontend.url(), hello(incarnation)).await;
        agent.weave().await;
        agents.push(agent);
    }

    let refused = ask(&frontend.url()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("as many connections as it takes"), "{refused}");
    // Far more than are told so at once.
    let url = frontend.url();
    let address = url.strip_prefix("http://").unwrap();
    let surplus = futures::future::join_all((0..100).map(|_| TcpStream::connect(address))).await;
    frontend.client.list_queries(wire::ListQueriesRequest {}).await.expect("who is in goes on");
    drop(surplus);

    agents.pop();
    let freed = async {
        while ask(&frontend.url()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("there is room again");
    frontend.stop().await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_is_closed_and_a_quiet_client_is_not() {
    let mut frontend = TestFrontend::start().await;
    frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap();
    let mut agent =
        PlayedAgent::attach(&frontend.url(), wire::Hello { incarnation: 1, ..Default::default() }).await;
    agent.weave().await;

    let mut silent = connect_silently(&frontend.url()).await;
    let closed = async {
        let mut bytes = [0; 1024];
        // Settings of the other side come first.
        while silent.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection is closed");

    let list = frontend.client.list_agents(wire::ListAgentsRequest {}).await.unwrap().into_inner();
    assert_eq!(list.agents[0].state(), wire::agent::State::Connected);
    frontend.stop().await;
}
