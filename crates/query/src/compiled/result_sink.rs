//! Where results of a query go besides to the clients that ask for them.

/// The place that results go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultSink {
    /// Prometheus reads them from the frontend.
    Prometheus(PrometheusSink),
}

/// How results are shown to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusSink {
    /// The beginning of the names of its metrics; `None` is the name of the query.
    pub prefix: Option<String>,
    /// The most series; further ones are counted and left out.
    pub series: usize,
}
