//! Answers over channels: they bring back what happened for the question, to whoever asked and to nobody else.
#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{Traced, enter_request, in_request, set_carrying, with_current};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

struct Question {
    number: u64,
    reply_to: Sender<Traced<u64>>,
}

/// Packs a value.
fn pack(value: u64) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(value)]).n = 1;
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
}

/// Returns the values that happened before, in order.
fn seen() -> Vec<String> {
    let mut values: Vec<String> = with_current(|current| {
        let rows = current.unwrap().unpack(KEY);
        rows.iter().flat_map(|rows| rows.iter()).map(|group| group.key[0].to_string()).collect()
    });
    values.sort();
    values
}

/// Answers questions until nobody can ask any more; the worker itself is in no request.
fn answer_all(questions: Receiver<Traced<Question>>) {
    for question in questions {
        let worked = question.run(|question| {
            pack(question.number);
            (question.reply_to, question.number + 100)
        });
        assert!(!in_request());
        let (reply_to, answer) = worked.answer();
        reply_to.send(answer).unwrap();
    }
}

#[test]
fn an_answer_brings_back_what_happened_for_its_question() {
    set_carrying(true);
    let (ask, questions) = channel();
    let worker = thread::spawn(move || answer_all(questions));

    for number in [1, 2] {
        let _scope = enter_request(None);
        pack(0);
        let (reply_to, answers) = channel();
        ask.send(Traced::new(Question { number, reply_to })).unwrap();

        let answer = answers.recv().unwrap();
        assert_eq!(seen(), ["0"]);
        assert_eq!(answer.join(), number + 100);
        assert_eq!(seen(), ["0", &number.to_string()]);
    }

    drop(ask);
    worker.join().unwrap();
}
