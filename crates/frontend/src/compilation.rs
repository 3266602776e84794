//! A query as it comes out of the compiler, ready to be installed.

use pivot_advice::{Advice, QueryId};
use pivot_query::{CompileOptions, Program};

/// A compiled query that can be installed.
#[derive(Debug, Clone)]
pub(crate) struct CompiledQuery {
    /// The id that its advice is for.
    pub(crate) id: QueryId,
    pub(crate) program: Program,
    /// What its parameters stand for.
    pub(crate) options: CompileOptions,
    pub(crate) advice: Vec<Advice>,
}

impl CompiledQuery {
    /// Lowers a program to advice under an id.
    pub(crate) fn new(id: QueryId, program: Program, options: CompileOptions) -> CompiledQuery {
        let advice = program.advice(id);
        CompiledQuery { id, program, options, advice }
    }
}
