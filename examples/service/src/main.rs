//! A web shop of the usual crates: axum, tonic, sqlx, reqwest, tower-http and `tracing`.
//!
//! ```text
//! load ─HTTP─▶ web ─gRPC─▶ stock
//!               └───HTTP─▶ prices        each with a SQLite database of its own
//! ```
//!
//! Nothing in it knows of Pivot but two lines of `main`.

mod customers;
mod database;
mod prices;
mod stock;
mod supervisor;
mod web;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(about = "A web shop of the usual crates, to be pivoted")]
struct ShopArguments {
    #[command(subcommand)]
    role: ShopRole,
    /// Ends when standard input does.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// The job of this process.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum ShopRole {
    /// All of them, as processes of their own, until Ctrl-C.
    All {
        /// Ends after so many seconds.
        #[arg(long)]
        seconds: Option<u64>,
        /// Of the shop; the next two are those of the warehouse and the price list.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// The shop: HTTP for customers.
    Web {
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where the stock is.
        #[arg(long, default_value = "http://127.0.0.1:8081")]
        stock: String,
        /// Where the prices are.
        #[arg(long, default_value = "http://127.0.0.1:8082")]
        prices: String,
    },
    /// The warehouse: gRPC.
    Stock {
        #[arg(long, default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
    },
    /// The price list: HTTP.
    Prices {
        #[arg(long, default_value = "127.0.0.1:8082")]
        listen: SocketAddr,
    },
    /// Customers.
    Load {
        /// Where the shop is.
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        web: String,
        /// How many at a time.
        #[arg(long, default_value_t = 2)]
        customers: u32,
        /// How long each of them thinks between two requests.
        #[arg(long, default_value_t = 20)]
        pause_ms: u64,
    },
}

impl ShopRole {
    fn name(&self) -> &'static str {
        match self {
            ShopRole::All { .. } => "shop",
            ShopRole::Web { .. } => "web",
            ShopRole::Stock { .. } => "stock",
            ShopRole::Prices { .. } => "prices",
            ShopRole::Load { .. } => "load",
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let ShopArguments { role, supervised } = ShopArguments::parse();
    if let ShopRole::All { seconds, port } = role {
        return supervisor::run(seconds.map(Duration::from_secs), port).await;
    }

    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).finish();

    // All that Pivot needs.
    let _pivot = pivot::builder().process(role.name()).init()?; // for Pivot
    pivot_subscriber::install(subscriber)?; // for Pivot; without it: subscriber.init()

    tokio::select! {
        ended = serve(role) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
        () = supervisor::parent_ended(), if supervised => Ok(()),
    }
}

/// Does the job of a role until the process ends.
async fn serve(role: ShopRole) -> anyhow::Result<()> {
    match role {
        ShopRole::Web { listen, stock, prices } => web::serve(listen, stock, prices).await,
        ShopRole::Stock { listen } => stock::serve(listen).await,
        ShopRole::Prices { listen } => prices::serve(listen).await,
        ShopRole::Load { web, customers, pause_ms } => {
            customers::run(&web, customers, Duration::from_millis(pause_ms)).await
        }
        ShopRole::All { .. } => Ok(()),
    }
}
