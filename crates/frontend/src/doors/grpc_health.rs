//! The health service of gRPC: serving, as long as the frontend stores and shows results, like `/readyz`.

use crate::shared_state::SharedState;
use std::sync::Arc;
use std::time::Duration;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

/// How often it is looked at whether the frontend is ready.
const LOOK: Duration = Duration::from_millis(500);

/// The services whose health is told; the empty name stands for all of them.
const SERVICES: [&str; 3] = ["", "pivot.v1.Frontend", "pivot.v1.Agents"];

/// Returns the service, which tells news until the frontend stops. To be called within a runtime.
pub(crate) fn health_service(shared: &Arc<SharedState>) -> HealthServer<impl Health> {
    let (reporter, service) = health_reporter();
    tokio::spawn(report(shared.clone(), reporter));
    service
}

async fn report(shared: Arc<SharedState>, reporter: HealthReporter) {
    let mut stopping = shared.stopping();
    loop {
        let status = match shared.unready() {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        for service in SERVICES {
            reporter.set_service_status(service, status).await;
        }

        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}
