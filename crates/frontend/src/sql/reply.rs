//! Answers as messages: the columns, parts of about a megabyte with rows or bytes of Arrow, and the end.

use super::column_type::list_of;
use super::from_arrow::SentColumn;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Result, exec_err};
use pivot_protocol::{MAX_MESSAGE_BYTES, to_wire, wire};
use prost::Message;
use std::sync::Arc;

/// The bytes of a part, about.
const PART_BYTES: usize = 1 << 20;

/// The most bytes of a row, so that a part with it alone is a message.
const MAX_ROW_BYTES: usize = MAX_MESSAGE_BYTES - (1 << 10);

/// Makes the parts of an answer.
pub(super) enum ReplyWriter {
    /// With rows of values.
    Values(Vec<SentColumn>),
    /// With bytes of one stream of Arrow IPC.
    Arrow(Box<StreamWriter<Vec<u8>>>, SchemaRef),
}

impl ReplyWriter {
    /// Makes a writer for rows with a schema.
    pub(super) fn new(form: wire::sql_request::Form, schema: &Schema) -> Result<ReplyWriter> {
        Ok(match form {
            wire::sql_request::Form::Values => {
                ReplyWriter::Values(schema.fields().iter().map(|field| SentColumn::of(field)).collect())
            }
            wire::sql_request::Form::Arrow => {
                let plain = Arc::new(plain_schema(schema));
                ReplyWriter::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &plain)?), plain)
            }
        })
    }

    /// Returns the parts with the rows of a batch.
    pub(super) fn parts(&mut self, batch: &RecordBatch) -> Result<Vec<wire::SqlReply>> {
        match self {
            ReplyWriter::Values(columns) => row_parts(columns, batch),
            ReplyWriter::Arrow(writer, schema) => {
                let columns = batch.columns().iter().zip(schema.fields());
                let columns: Vec<ArrayRef> = columns
                    .map(|(array, field)| Ok(cast(array, field.data_type())?))
                    .collect::<Result<_>>()?;
                writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
                Ok(byte_parts(&std::mem::take(writer.get_mut())))
            }
        }
    }

    /// Returns the parts behind the last row, with the end.
    pub(super) fn end(self, end: wire::SqlEnd) -> Result<Vec<wire::SqlReply>> {
        let mut parts = match self {
            ReplyWriter::Values(_) => vec![],
            ReplyWriter::Arrow(writer, _) => byte_parts(&writer.into_inner()?),
        };
        parts.push(wire::SqlReply { end: Some(end), ..Default::default() });
        Ok(parts)
    }
}

/// Returns the first part of an answer: what its columns are.
pub(super) fn heading(schema: &Schema) -> wire::SqlReply {
    let columns = schema.fields().iter().map(|field| wire::SqlColumn {
        name: field.name().clone(),
        r#type: SentColumn::of(field).ty.code().into(),
        sql_type: field.data_type().to_string(),
    });
    wire::SqlReply { columns: columns.collect(), ..Default::default() }
}

fn row_parts(columns: &[SentColumn], batch: &RecordBatch) -> Result<Vec<wire::SqlReply>> {
    let mut values = Vec::with_capacity(columns.len());
    for (column, array) in columns.iter().zip(batch.columns()) {
        values.push(column.values(array)?.into_iter());
    }

    let (mut parts, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..batch.num_rows() {
        let row = values.iter_mut().map(|column| to_wire::value(&column.next().unwrap_or_default()));
        let row = wire::Row { values: row.collect(), standard_errors: vec![] };
        let size = row.encoded_len();
        if size > MAX_ROW_BYTES {
            return exec_err!("a row takes {} MiB, which is more than a message may have", size >> 20);
        }

        if bytes + size > PART_BYTES && !rows.is_empty() {
            parts.push(wire::SqlReply { rows: std::mem::take(&mut rows), ..Default::default() });
            bytes = 0;
        }
        rows.push(row);
        bytes += size;
    }
    if !rows.is_empty() {
        parts.push(wire::SqlReply { rows, ..Default::default() });
    }
    Ok(parts)
}

fn byte_parts(bytes: &[u8]) -> Vec<wire::SqlReply> {
    let parts = bytes.chunks(PART_BYTES);
    parts.map(|part| wire::SqlReply { arrow: part.to_vec(), ..Default::default() }).collect()
}

/// Returns a schema in which texts and bytes have the types that every reader of Arrow knows.
fn plain_schema(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| {
        let plain = plain_type(field.data_type());
        Field::new(field.name(), plain, field.is_nullable()).with_metadata(field.metadata().clone())
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn plain_type(ty: &DataType) -> DataType {
    match ty {
        DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::ListView(item) => list_of(plain_type(item.data_type())),
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(plain_type(item.data_type()))))
        }
        other => other.clone(),
    }
}
