//! The session of this client: what its queries go with at the frontend, and how the frontend hears that it lives.

use pivot_protocol::wire;
use pivot_protocol::wire::frontend_client::FrontendClient;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::Code;
use tonic::transport::Channel;

/// How often a frontend that does not answer is told again that this client lives.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How often the frontend is told at most, however short its grace is.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// How often the frontend is told at least, however long its grace is.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the frontend is told in each grace, so that a call that is lost or late does not matter.
const CALLS_IN_GRACE: u32 = 4;

/// Whether a query stays installed when its client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryStay {
    /// The query goes some time after its client.
    WithClient,
    /// The query stays until somebody uninstalls it.
    Always,
}

/// The session of a client, from its start to its end, over all connections.
#[derive(Debug)]
pub(crate) struct ClientSession {
    id: String,
    /// For people: who and what the client is.
    name: String,
    /// Whether the frontend is told again and again that the session lives.
    is_told: AtomicBool,
}

impl ClientSession {
    /// Makes a session with an id of its own, of a client that is described in a word or two.
    pub(crate) fn new(what: &str) -> ClientSession {
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let user = user.filter(|user| !user.is_empty()).map(|user| format!("{user}@")).unwrap_or_default();
        let name = format!("{user}{} ({what}, pid {})", host_name(), std::process::id());
        ClientSession { id: random_id(), name, is_told: AtomicBool::new(false) }
    }

    /// Returns the owner of a query that this client installs.
    pub(crate) fn owner(&self, stay: QueryStay) -> wire::QueryOwner {
        let stays = stay == QueryStay::Always;
        wire::QueryOwner { session: self.id.clone(), name: self.name.clone(), stays }
    }

    /// Has the frontend told from now on, until the runtime ends, that the session lives.
    pub(crate) fn begin(&self, client: &FrontendClient<Channel>) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tokio::spawn(keep_alive(client.clone(), self.id.clone()));
        }
    }
}

/// Tells the frontend again and again that a session lives, also one that was away or has been started again.
async fn keep_alive(mut client: FrontendClient<Channel>, session: String) {
    loop {
        let request = wire::KeepAliveRequest { session: session.clone() };
        let pause = match client.keep_alive(request).await {
            Ok(reply) => {
                let grace = Duration::from_nanos(reply.into_inner().grace_ns.unsigned_abs());
                (grace / CALLS_IN_GRACE).clamp(LEAST_PAUSE, LONGEST_PAUSE)
            }
            // Queries of an older frontend stay in any case.
            Err(status) if status.code() == Code::Unimplemented => return,
            Err(_) => RETRY_PAUSE,
        };

        tokio::time::sleep(pause).await;
    }
}

/// Returns an id that no other client has.
fn random_id() -> String {
    // The keys of the standard hash are random.
    let random = [(); 2].map(|()| RandomState::new().hash_one(std::process::id()));
    format!("{:016x}{:016x}", random[0], random[1])
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_ids_of_their_own_and_a_name_for_people() {
        let (one, two) = (ClientSession::new("repl"), ClientSession::new("-c"));
        assert_ne!(one.id, two.id);
        assert!(one.name.ends_with(&format!("(repl, pid {})", std::process::id())), "{}", one.name);
        assert!(two.owner(QueryStay::Always).stays && !two.owner(QueryStay::WithClient).stays);
    }
}
