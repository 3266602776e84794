//! The role `stock`: the warehouse, which knows how many pieces of each product there are. gRPC.

use crate::database;
use sqlx::SqlitePool;
use std::net::SocketAddr;
use tonic::{Request, Response, Status};
use tower_http::trace::TraceLayer;
use wire::stock_server::{Stock, StockServer};

/// The generated messages and service of `proto/stock.proto`.
#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub(crate) mod wire {
    tonic::include_proto!("shop");
}

const SCHEMA: &str = "
    CREATE TABLE stock (product INTEGER PRIMARY KEY, pieces INTEGER NOT NULL CHECK (pieces >= 0));
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
    INSERT INTO stock SELECT i, i * 40 FROM n;
";

/// Serves until the process ends.
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let warehouse = Warehouse { database: database::open("stock", SCHEMA).await? };
    tracing::info!(%listen, "stock");
    let server = tonic::transport::Server::builder().layer(TraceLayer::new_for_grpc());
    Ok({ server }.add_service(StockServer::new(warehouse)).serve(listen).await?)
}

/// The service.
#[derive(Debug)]
struct Warehouse {
    database: SqlitePool,
}

fn internal(error: sqlx::Error) -> Status {
    Status::internal(error.to_string())
}

#[tonic::async_trait]
impl Stock for Warehouse {
    async fn available(
        &self,
        request: Request<wire::AvailableRequest>,
    ) -> Result<Response<wire::AvailableResponse>, Status> {
        let query = sqlx::query_scalar("SELECT pieces FROM stock WHERE product = ?");
        let found = query.bind(request.get_ref().product).fetch_optional(&self.database).await;
        let found: Option<i64> = found.map_err(internal)?;
        let pieces = found.ok_or_else(|| Status::not_found("no such product"))?;
        Ok(Response::new(wire::AvailableResponse { pieces }))
    }

    async fn reserve(
        &self,
        request: Request<wire::ReserveRequest>,
    ) -> Result<Response<wire::ReserveResponse>, Status> {
        let wire::ReserveRequest { product, pieces } = *request.get_ref();

        // The table refuses fewer than no pieces, which rolls the transaction back.
        let mut transaction = self.database.begin().await.map_err(internal)?;
        sqlx::query("UPDATE stock SET pieces = pieces - ? WHERE product = ?")
            .bind(pieces)
            .bind(product)
            .execute(&mut *transaction)
            .await
            .map_err(|_| Status::failed_precondition("not as many there"))?;

        let query = sqlx::query_scalar("SELECT pieces FROM stock WHERE product = ?");
        let left = query.bind(product).fetch_one(&mut *transaction).await.map_err(internal)?;

        transaction.commit().await.map_err(internal)?;
        Ok(Response::new(wire::ReserveResponse { left }))
    }
}
