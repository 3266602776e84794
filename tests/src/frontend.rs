//! A real frontend in the process of the test, and a client of it.

use pivot_frontend::{FrontendOptions, RunningFrontend};
use pivot_protocol::wire;
use pivot_protocol::wire::frontend_client::FrontendClient;
use tonic::transport::Channel;

/// A frontend at a free port, with a client that is connected to it.
#[derive(Debug)]
pub struct TestFrontend {
    /// The client, for what the methods here do not do.
    pub client: FrontendClient<Channel>,
    running: RunningFrontend,
}

impl TestFrontend {
    /// Starts a frontend with the usual options.
    pub async fn start() -> Self {
        Self::start_with(FrontendOptions::default()).await
    }

    /// Starts a frontend with these options, but at a free port.
    pub async fn start_with(options: FrontendOptions) -> Self {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let running =
            pivot_frontend::start(FrontendOptions { listen, ..options }).await.expect("a port is free");

        let url = format!("http://{}", running.address());
        let client = FrontendClient::connect(url).await.expect("the frontend listens");
        Self { client, running }
    }

    /// Returns where agents and clients connect to.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// Installs a query and returns its number.
    ///
    /// # Panics
    ///
    /// If the query does not compile.
    pub async fn install(&mut self, text: &str) -> u32 {
        let response = self.try_install(text).await;
        response.query.unwrap_or_else(|| panic!("{:?}", response.diagnostics))
    }

    /// Installs a query, which may be refused.
    pub async fn try_install(&mut self, text: &str) -> wire::InstallResponse {
        let request = wire::InstallRequest { text: text.into(), ..Default::default() };
        self.client.install(request).await.expect("an answer").into_inner()
    }

    /// Uninstalls a query; returns whether it was still installed.
    pub async fn uninstall(&mut self, query: u32) -> bool {
        self.client.uninstall(wire::UninstallRequest { query }).await.is_ok()
    }

    /// Begins to read the results of a query from the first that is kept.
    pub async fn results(&mut self, query: u32) -> tonic::Streaming<wire::Frame> {
        let request = wire::ResultsRequest { query, after_sequence: 0, ..Default::default() };
        self.client.results(request).await.expect("the query is known").into_inner()
    }

    /// Uninstalls a query and returns its last frame.
    pub async fn finish(&mut self, query: u32) -> wire::Frame {
        assert!(self.uninstall(query).await, "query {query} is not installed");

        let mut frames = self.results(query).await;
        let mut last = None;
        while let Some(frame) = frames.message().await.expect("a frame") {
            last = Some(frame);
        }

        let last = last.expect("a query that is uninstalled has a last frame");
        assert!(last.last, "the stream of an uninstalled query ends after its last frame");
        last
    }

    /// Stops the frontend.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
