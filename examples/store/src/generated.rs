//! The generated messages and services of `proto/store.proto`; no public item names them.
#![allow(missing_docs, unreachable_pub, clippy::all)]

tonic::include_proto!("store.v1");
