//! What bounds a plan that runs, where its operators do not do it themselves.
//!
//! Window functions keep all rows of their input, and tell the pool of memory nothing of it: here they do. Joins and
//! recursion make any number of rows out of few without a point at which the statement could end: here there is one after
//! each batch.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use futures::stream::StreamExt;
use std::fmt;
use std::sync::Arc;

/// The operators that keep their input.
const KEEPERS: [&str; 2] = ["WindowAggExec", "BoundedWindowAggExec"];

/// The operators that make many rows of few.
const MAKERS: [&str; 7] = [
    "CrossJoinExec",
    "NestedLoopJoinExec",
    "HashJoinExec",
    "SortMergeJoinExec",
    "PiecewiseMergeJoinExec",
    "UnnestExec",
    "RecursiveQueryExec",
];

/// Puts a meter before each window function, and a point to end behind each operator that makes many rows.
#[derive(Debug)]
pub(super) struct BoundPlan;

impl PhysicalOptimizerRule for BoundPlan {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bounded = plan.transform_up(|node| {
            if MAKERS.contains(&node.name()) {
                return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
            }

            if !KEEPERS.contains(&node.name()) {
                return Ok(Transformed::no(node));
            }
            let inputs = node.children().into_iter().map(MeteredInput::around).collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, inputs)?))
        });
        bounded.data()
    }

    fn name(&self) -> &str {
        "bound_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Counts all rows that pass as memory that is taken, until the statement has ended.
#[derive(Debug)]
struct MeteredInput {
    input: Arc<dyn ExecutionPlan>,
}

impl MeteredInput {
    fn around(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(MeteredInput { input: input.clone() })
    }
}

impl DisplayAs for MeteredInput {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeteredInput")
    }
}

impl ExecutionPlan for MeteredInput {
    fn name(&self) -> &str {
        "MeteredInput"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        Ok(input.map_or(self, |input| Arc::new(MeteredInput { input })))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let taken = MemoryConsumer::new("window function").register(context.memory_pool());
        let input = self.input.execute(partition, context)?;

        let metered = input.map(move |batch| {
            let batch = batch?;
            taken.try_grow(batch.get_array_memory_size())?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), metered)))
    }
}
