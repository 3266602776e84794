//! The reflection service of gRPC: which services and messages there are, for tools that have no proto files.

use crate::accepted_connections::engage;
use pivot_protocol::FILE_DESCRIPTORS;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic_reflection::server::{Builder, Error};

/// Adds the service to others, in its current version and in the earlier one, which many tools still ask.
pub(crate) fn add_reflection(routes: Routes) -> Result<Routes, Error> {
    let current = InterceptedService::new(described().build_v1()?, engage);
    let earlier = InterceptedService::new(described().build_v1alpha()?, engage);
    Ok(routes.add_service(current).add_service(earlier))
}

fn described() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
