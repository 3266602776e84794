"""A gRPC service that knows nothing of Pivot: it hands each call on and its answer back."""

import sys
from concurrent import futures

from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
GrpcInstrumentorServer().instrument()
GrpcInstrumentorClient().instrument()
import grpc  # noqa: E402

channel = grpc.insecure_channel(sys.argv[2])
upstream = channel.unary_unary("/foreign.Server/Call")


def call(request, context):
    return upstream(request, timeout=10)


server = grpc.server(futures.ThreadPoolExecutor(4))
methods = {"Call": grpc.unary_unary_rpc_method_handler(call)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("foreign.Relay", methods),))
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
