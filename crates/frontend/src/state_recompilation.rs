//! Installed queries that are compiled again, since the tracepoints that they were compiled against have changed.

use crate::compilation::{OutdatedQuery, RecompileJob, RecompiledQuery};
use crate::state::FrontendState;

impl FrontendState {
    /// Returns copies of all outdated queries and of the catalogue, from which they can be compiled again
    /// without the lock; `None` if no query is outdated.
    pub(crate) fn recompilation(&self) -> Option<RecompileJob> {
        let exports_version = self.exports_version();
        let outdated = self.queries.iter().filter(|query| query.is_outdated(exports_version));
        let queries: Vec<OutdatedQuery> = outdated
            .map(|query| OutdatedQuery {
                id: query.definition.id,
                text: query.definition.program.text.clone(),
                options: query.definition.options.clone(),
            })
            .collect();

        let catalog = self.registry.exports.catalog().clone();
        (!queries.is_empty()).then_some(RecompileJob { catalog, exports_version, queries })
    }

    /// Takes over what outdated queries were compiled to, and weaves it if any advice has changed. A
    /// query that no longer compiles runs on as it was.
    pub(crate) fn replace_outdated(&mut self, exports_version: u64, recompiled: Vec<RecompiledQuery>) {
        let generation = self.generation() + 1;
        let mut has_changed = false;

        for RecompiledQuery { id, compiled } in recompiled {
            // It may have been removed meanwhile.
            let query = self.queries.get_mut(id.number).filter(|query| query.is_active());
            match (query, compiled) {
                (Some(query), Some(compiled)) if self.wanted.has_room(id, compiled.wire_bytes) => {
                    has_changed |= query.replace(compiled, generation);
                }
                (Some(query), _) => query.keep_as_it_is(exports_version),
                (None, _) => {}
            }
        }
        if has_changed {
            self.weave();
        }
    }
}
