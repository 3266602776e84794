//! Tools of gRPC that know nothing of Pivot: they ask a frontend what it can do, call it by that, and watch its health.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_tests::ServerProcess;
use std::path::PathBuf;
use std::process::Command;

const PACKAGES: [&str; 3] = ["grpcio==1.85.3", "grpcio-reflection==1.85.1", "grpcio-health-checking==1.85.1"];

/// Lists the services, calls one that installs a query, and prints what comes.
const SCRIPT: &str = r#"
import sys, grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
database = ProtoReflectionDescriptorDatabase(channel)
pool = DescriptorPool(database)
services = sorted(database.get_services())
print("services", *services)
install = pool.FindServiceByName("pivot.v1.Frontend").FindMethodByName("Install")
request = GetMessageClass(install.input_type)(text="FROM h IN Tool.hit SELECT COUNT", name="by_reflection")
call = channel.unary_unary("/pivot.v1.Frontend/Install", request_serializer=lambda m: m.SerializeToString(),
                           response_deserializer=GetMessageClass(install.output_type).FromString)
print("query", call(request).query)
for service in ["", "pivot.v1.Frontend"]:
    status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service)).status
    print("health", service or "all", health_pb2.HealthCheckResponse.ServingStatus.Name(status))
"#;

/// Installs the tools where they are missing, and returns Python with them.
fn python() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("grpc-tools");
    if !folder.join("installed").exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status().unwrap();
        assert!(made.success(), "python3 cannot make a virtual environment: {made}");
        let pip = Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES)
            .status()
            .unwrap();
        assert!(pip.success(), "the tools cannot be installed: {pip}");
        std::fs::write(folder.join("installed"), "").unwrap();
    }
    folder.join("bin/python")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_by_reflection_installs_a_query_and_sees_that_the_frontend_is_well() {
    let server = ServerProcess::start().await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let output = tokio::task::block_in_place(|| {
        Command::new(python()).args(["-c", SCRIPT, &address]).output().unwrap()
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");

    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    for service in ["pivot.v1.Frontend", "pivot.v1.Agents", "grpc.health.v1.Health"] {
        assert!(lines[0].split(' ').any(|found| found == service), "{printed}");
    }
    assert_eq!(lines[1..], ["query 1", "health all SERVING", "health pivot.v1.Frontend SERVING"]);
}
