//! A property test of carriers: entered, left and closed by several threads in any order, they agree with a
//! model in which a request is the set of numbers that it has packed.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{pack_at, packed, under_wrapped};
use pivot_subscriber::SubscriberBridge;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tracing::Span;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, dispatcher};

const THREADS: usize = 3;
const SPANS: usize = 4;

/// One step, done by one thread with one span.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// Makes the span if it is not open, with a second handle or without.
    Open {
        shared: bool,
    },
    Enter,
    Exit,
    /// An event that packs a new number.
    Pack,
    /// Drops a second handle.
    Drop,
    Close,
}

/// The request of one span.
#[derive(Debug, Clone)]
struct Carrier {
    /// The request that it is a branch of, or is.
    root: usize,
    /// The carrier in which it was made.
    parent: Option<usize>,
    shared: bool,
    is_closed: bool,
    handles: usize,
    /// The numbers that whoever enters sees.
    known: BTreeSet<u64>,
}

/// A span that a thread is inside of, how often it entered it, and the numbers that it sees in there.
#[derive(Debug, Clone)]
struct Inside {
    span: usize,
    depth: usize,
    seen: BTreeSet<u64>,
}

/// The state of all threads and spans.
#[derive(Debug, Default)]
struct Model {
    /// All carriers that there ever were.
    carriers: Vec<Carrier>,
    /// The carriers of the spans that are open.
    spans: [Option<usize>; SPANS],
    threads: [Vec<Inside>; THREADS],
    /// The span that each thread has just left.
    left: [Option<usize>; THREADS],
    requests: usize,
    numbers: u64,
}

impl Model {
    fn is_entered(&self, span: usize) -> bool {
        self.threads.iter().flatten().any(|inside| inside.span == span)
    }

    fn carrier(&mut self, span: usize) -> &mut Carrier {
        let carrier = self.spans[span].unwrap();
        &mut self.carriers[carrier]
    }

    /// Shares what a thread and the others inside of the same span have seen.
    fn exchange(&mut self, thread: usize) {
        let Some(last) = self.threads[thread].last().cloned() else { return };
        let carrier = self.carrier(last.span);
        if carrier.shared {
            carrier.known.extend(&last.seen);
            let known = carrier.known.clone();
            self.threads[thread].last_mut().unwrap().seen = known;
        }
    }

    /// Joins what a branch knows into the request that a thread is in, if it is a branch of that, or else into
    /// the innermost carrier that is still open of those in which it was made.
    fn join(&mut self, thread: usize, branch: &Carrier) {
        if branch.parent.is_none() {
            return;
        }
        if let Some(span) = self.threads[thread].last().map(|last| last.span)
            && self.carrier(span).root == branch.root
        {
            return self.threads[thread].last_mut().unwrap().seen.extend(&branch.known);
        }

        let mut parent = branch.parent;
        while let Some(carrier) = parent.map(|parent| &mut self.carriers[parent]) {
            if !carrier.is_closed {
                carrier.shared = true;
                return carrier.known.extend(&branch.known);
            }
            parent = carrier.parent;
        }
    }

    /// Makes a step. Returns false, unchanged, if it makes no sense.
    fn step(&mut self, op: Op, thread: usize, span: usize) -> bool {
        let inside = self.threads[thread].iter().rposition(|inside| inside.span == span);
        match op {
            Op::Open { shared } if self.spans[span].is_none() => {
                self.exchange(thread);
                self.requests += 1;
                let within = self.threads[thread].last().cloned();
                let parent = within.as_ref().map(|within| self.spans[within.span].unwrap());
                let root = parent.map_or(self.requests, |parent| self.carriers[parent].root);
                let known = within.map_or_else(BTreeSet::new, |within| within.seen);
                let handles = if shared { 2 } else { 1 };
                self.spans[span] = Some(self.carriers.len());
                self.carriers.push(Carrier { root, parent, shared, is_closed: false, handles, known });
            }
            Op::Enter if inside.is_some() => {
                self.threads[thread][inside.unwrap()].depth += 1;
                self.left[thread] = None;
            }
            Op::Enter => {
                let entered = self.is_entered(span);
                if self.spans[span].is_none() || entered && !self.carrier(span).shared {
                    return false;
                }
                let seen = self.carrier(span).known.clone();
                self.threads[thread].push(Inside { span, depth: 1, seen });
                self.left[thread] = None;
            }
            Op::Exit => {
                let Some(at) = inside else { return false };
                self.threads[thread][at].depth -= 1;
                if self.threads[thread][at].depth == 0 {
                    let inside = self.threads[thread].remove(at);
                    self.carrier(span).known.extend(inside.seen);
                    self.left[thread] = Some(span);
                }
            }
            Op::Pack => {
                self.exchange(thread);
                self.numbers += 1;
                let number = self.numbers;
                if let Some(last) = self.threads[thread].last_mut() {
                    last.seen.insert(number);
                }
                self.exchange(thread);
            }
            Op::Drop => {
                if self.spans[span].is_none() || self.carrier(span).handles != 2 {
                    return false;
                }
                self.carrier(span).handles = 1;
                let branch = self.carrier(span).clone();
                if self.left[thread] == Some(span) && !self.is_entered(span) {
                    self.join(thread, &branch);
                }
            }
            Op::Close if !self.is_entered(span) => {
                let Some(closed) = self.spans[span].take() else { return false };
                self.carriers[closed].is_closed = true;
                let branch = self.carriers[closed].clone();
                self.join(thread, &branch);
            }
            Op::Open { .. } | Op::Close => return false,
        }
        true
    }

    /// Returns the numbers that a thread sees; `None` outside any request.
    fn seen(&self, thread: usize) -> Option<Vec<u64>> {
        Some(self.threads[thread].last()?.seen.iter().copied().collect())
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Threads that work one at a time, so that every run has one order.
struct Threads(Vec<(Sender<Work>, JoinHandle<()>)>);

impl Threads {
    fn start(dispatch: &Dispatch) -> Threads {
        let start = |_| {
            let (order, orders) = channel::<Work>();
            let dispatch = dispatch.clone();
            let work = move || dispatcher::with_default(&dispatch, || orders.iter().for_each(|work| work()));
            (order, std::thread::spawn(work))
        };
        Threads((0..THREADS).map(start).collect())
    }

    /// Does work on a thread and returns when it is done.
    fn on<T: Send + 'static>(&self, thread: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        self.0[thread].0.send(Box::new(move || answer.send(work()).unwrap_or(()))).unwrap();
        answered.recv().unwrap()
    }
}

fn pack(n: u64) {
    tracing::info!(name: "pack", target: "law", n);
}

fn open(number: usize) -> Span {
    tracing::info_span!(target: "carrier", "request", number)
}

/// Runs steps against the bridge and the model, and compares what each thread sees after each step.
fn run(steps: &[(Op, usize, usize)]) -> Result<(), TestCaseError> {
    let dispatch = dispatcher::get_default(Clone::clone);
    let threads = Threads::start(&dispatch);
    let mut model = Model::default();
    let mut handles: [Vec<Span>; SPANS] = Default::default();

    for (at, (op, thread, span)) in steps.iter().copied().enumerate() {
        if !model.step(op, thread, span) {
            continue;
        }

        let id = handles[span].first().and_then(Span::id);
        let dispatch = dispatch.clone();
        match op {
            Op::Open { shared } => {
                let span_made = threads.on(thread, move || open(span));
                handles[span].extend(shared.then(|| span_made.clone()));
                handles[span].push(span_made);
            }
            Op::Enter => threads.on(thread, move || dispatch.enter(&id.unwrap())),
            Op::Exit => threads.on(thread, move || dispatch.exit(&id.unwrap())),
            Op::Pack => {
                let number = model.numbers;
                threads.on(thread, move || pack(number));
            }
            Op::Drop => {
                let handle = handles[span].pop();
                threads.on(thread, move || drop(handle));
            }
            Op::Close => {
                let all = std::mem::take(&mut handles[span]);
                threads.on(thread, move || drop(all));
            }
        }

        for number in 0..THREADS {
            // A thread that looks takes in what others have left.
            model.exchange(number);
            let inside = model.seen(number);
            let seen = threads.on(number, packed);
            prop_assert_eq!(seen, inside, "thread {} after step {}: {:?}", number, at, op);
        }
    }

    for (order, thread) in threads.0 {
        drop(order);
        thread.join().unwrap();
    }
    Ok(())
}

fn ops() -> impl Strategy<Value = Vec<(Op, usize, usize)>> {
    let op = prop_oneof![
        2 => any::<bool>().prop_map(|shared| Op::Open { shared }),
        4 => Just(Op::Enter),
        4 => Just(Op::Exit),
        5 => Just(Op::Pack),
        3 => Just(Op::Drop),
        1 => Just(Op::Close),
    ];
    proptest::collection::vec((op, 0..THREADS, 0..SPANS), 1..60)
}

/// Runs with carriers, and a query that packs at `pack`.
fn with_carriers(run: impl FnOnce()) {
    let bridge = SubscriberBridge::new(NoSubscriber::default()).carriers(|span| span.target() == "carrier");
    under_wrapped(bridge, || {
        pack(0);
        assert_eq!(pivot_agent::weave(&[pack_at("law::pack", "n")]), []);
        pivot_baggage::set_carrying(true);
        run();
        pivot_baggage::set_carrying(false);
    });
}

/// A branch that joins where its handle is dropped, or where its span is closed, while another thread is inside.
#[test]
fn what_a_joined_branch_has_packed_is_seen_by_all_who_are_inside() {
    use Op::{Close, Drop, Enter, Exit, Open, Pack};
    const SHARED: Op = Open { shared: true };
    const ALONE: Op = Open { shared: false };
    let dropped = [
        (SHARED, 0, 3),
        (Enter, 0, 3),
        (Enter, 1, 3),
        (SHARED, 0, 2),
        (Enter, 0, 2),
        (Pack, 0, 0),
        (Exit, 0, 2),
        (Drop, 0, 2),
    ];
    let closed = [
        (ALONE, 0, 2),
        (Enter, 0, 2),
        (SHARED, 0, 3),
        (Pack, 0, 0),
        (ALONE, 0, 0),
        (Enter, 0, 3),
        (Close, 0, 0),
        (Enter, 1, 3),
    ];

    with_carriers(|| {
        run(&dropped).unwrap();
        run(&closed).unwrap();
    });
}

#[test]
fn carriers_do_what_sets_do() {
    let cases = std::env::var("PIVOT_LAW_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    with_carriers(|| {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
        proptest!(config, |(steps in ops())| run(&steps)?);
    });
}
