//! Parquet in, Parquet out.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, StructArray, UInt8Array,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use tamis_io::corpus::{Columns, CorpusError, IdMode, ResolvedIds, discover};

use crate::corpus_support::{Document, corpus_of, in_memory, kept, read, read_from, with_ids};

/// A file with row groups of `group` rows.
fn file(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(7)
        .set_write_batch_size(7)
        .set_key_value_metadata(Some(vec![KeyValue::new("origin".to_owned(), "a test".to_owned())]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// Rows with a text, an integer id, a list and a struct.
fn rows(count: usize) -> RecordBatch {
    let texts = (0..count).map(|row| (row % 11 != 5).then(|| format!("text {row}").repeat(row % 5)));
    let mut lists = ListBuilder::new(Int64Builder::new());
    (0..count).for_each(|row| lists.append_value((0..row % 4).map(|value| Some(value as i64))));
    let lang: ArrayRef =
        Arc::new(StringArray::from_iter((0..count).map(|row| (row % 3 > 0).then_some("de"))));
    let meta = StructArray::new(
        Fields::from(vec![Field::new("lang", DataType::Utf8, true)]),
        vec![lang],
        Some((0..count).map(|row| row % 5 != 4).collect()),
    );
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values((0..count as i64).map(|row| row * 1_000_003)))),
        ("text", Arc::new(StringArray::from_iter(texts))),
        ("list", Arc::new(lists.finish())),
        ("meta", Arc::new(meta)),
    ])
}

fn read_back(file: Vec<u8>) -> (RecordBatch, Vec<KeyValue>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    (arrow_select::concat::concat_batches(&schema, &batches).unwrap(), pairs)
}

#[test]
fn rows_are_documents_or_failures_whatever_the_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let columns = Columns { carry: vec!["meta.lang".into()], ..with_ids() };
    let mut seen = None;
    for group in [1000, 64, 7] {
        let corpus = corpus_of(folder.path(), "a.parquet", &file(&rows(200), group));
        let got = read(&corpus, &columns).unwrap();
        assert_eq!(got.rows, 200);
        assert_eq!(got.documents.len() + got.failures.len(), 200);
        assert_eq!(got.documents[0].id.as_deref(), Some("1000003"), "row 0 has an empty text");
        assert_eq!(got.failures[0].reason, "empty-text");
        assert_eq!(got.failures.iter().filter(|failure| failure.reason == "null-text").count(), 18);
        for Document { row, carried, .. } in &got.documents {
            assert_eq!(
                carried[0].is_some(),
                row % 3 > 0 && row % 5 != 4,
                "a null struct has null fields, row {row}"
            );
        }
        for from in [0, 1, 63, 64, 150, 199, 200] {
            let tail = read_from(&corpus, &corpus.shards()[0], &columns, from).unwrap();
            assert!(tail.documents.iter().eq(got.documents.iter().filter(|document| document.row >= from)));
        }
        assert_eq!(*seen.get_or_insert_with(|| got.documents.clone()), got.documents);
        let ids = ResolvedIds { mode: IdMode::Column("id".into()), finding: None };
        assert_eq!(corpus.resolve_ids("text", None).unwrap(), ids);
    }
}

#[test]
fn every_type_of_text_and_id_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["a", "b", "a"];
    let dictionary: DictionaryArray<Int32Type> = texts.into_iter().map(Some).collect();
    let kinds: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(texts)),
        Arc::new(LargeStringArray::from_iter_values(texts)),
        Arc::new(StringViewArray::from_iter_values(texts)),
        Arc::new(BinaryArray::from_iter_values(texts)),
        Arc::new(dictionary),
    ];
    for (at, array) in kinds.into_iter().enumerate() {
        let content = batch(vec![
            ("id", Arc::new(UInt8Array::from(vec![7, 8, 255]))),
            ("text", array),
            ("score", Arc::new(Float64Array::from(vec![1.0, f64::NAN, 0.25]))),
            ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ]);
        let corpus = corpus_of(folder.path(), &format!("{at}.parquet"), &file(&content, 100));
        let columns = Columns { carry: vec!["score".into(), "ok".into()], ..with_ids() };
        let read = read(&corpus, &columns).unwrap();
        assert_eq!(read.texts(), texts);
        assert_eq!(read.documents[2].id.as_deref(), Some("255"));
        let carried: Vec<_> =
            read.documents.iter().map(|d| (d.carried[0].as_deref(), d.carried[1].as_deref())).collect();
        assert_eq!(
            carried,
            [(Some("1.0"), Some("true")), (Some("NaN"), None), (Some("0.25"), Some("false"))]
        );
    }
}

#[test]
fn bytes_that_are_not_utf8_are_a_failed_row() {
    let folder = tempfile::tempdir().unwrap();
    let texts: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"a".as_slice(), b"\xff"]));
    let corpus = corpus_of(folder.path(), "a.parquet", &file(&batch(vec![("text", texts)]), 100));
    assert_eq!(read(&corpus, &Columns::default()).unwrap().reasons(), [(1, "invalid-utf8")]);
}

#[test]
fn a_missing_or_unsuitable_column_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_of(folder.path(), "a.parquet", &file(&rows(3), 100));
    let error = read(&corpus, &Columns { text: "txt".into(), ..Columns::default() }).unwrap_err();
    assert!(
        error.to_string().contains("no column `txt`; columns are `id`, `text`, `list`, `meta`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("did you mean `text`"));
    for (columns, column) in [
        (Columns { text: "id".into(), ..Columns::default() }, "id"),
        (Columns { id: IdMode::Column("meta".into()), ..Columns::default() }, "meta"),
        (Columns { carry: vec!["list".into()], ..Columns::default() }, "list"),
    ] {
        let error = read(&corpus, &columns).unwrap_err();
        assert!(
            matches!(&error, CorpusError::ColumnType { column: found, .. } if found == column),
            "{error}"
        );
    }
    assert!(matches!(
        read(&corpus, &Columns { text: "meta.language".into(), ..Columns::default() }),
        Err(CorpusError::MissingColumn { .. })
    ));
}

#[test]
fn a_column_of_ids_that_cannot_be_used_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = || ("text", Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef);
    let ask = |ids: Option<ArrayRef>| {
        let columns = ids.into_iter().map(|ids| ("id", ids)).chain([text()]).collect();
        let corpus = corpus_of(folder.path(), "a.parquet", &file(&batch(columns), 100));
        (corpus.resolve_ids("text", None).unwrap(), corpus)
    };
    let (resolved, corpus) = ask(Some(Arc::new(Float64Array::from(vec![1.0, f64::NAN]))));
    assert_eq!(resolved.mode, IdMode::FromText);
    let warning = resolved.warning().unwrap();
    assert!(
        warning.contains("in shard `a.parquet` its type is Float64, and ids are strings or integers"),
        "{warning}"
    );
    // Asked for, it is refused, and the hint is one that works.
    let error = read(&corpus, &with_ids()).unwrap_err();
    assert!(error.hint().unwrap().contains("`--id none`"), "{error}");
    assert_eq!(read(&corpus, &Columns::default()).unwrap().documents.len(), 2);
    let (resolved, _) = ask(Some(Arc::new(Int64Array::from(vec![None::<i64>, None]))));
    assert_eq!(resolved.mode, IdMode::FromText);
    assert!(resolved.warning().unwrap().contains("0 of 2 documents have an id in it"), "{resolved:?}");
    assert_eq!(ask(None).0, ResolvedIds { mode: IdMode::FromText, finding: None });
}

#[test]
fn another_schema_in_one_shard_is_an_error_that_says_how_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &'static str| (name, Arc::new(StringArray::from(vec!["x"])) as ArrayRef);
    let number = |name: &'static str| (name, Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    let files = [
        ("a.parquet", vec![text("text"), number("id")]),
        ("b.parquet", vec![number("id"), text("text")]),
        ("c.parquet", vec![text("text"), text("id"), number("more")]),
        ("d.parquet", vec![text("text")]),
    ];
    for (name, columns) in files {
        corpus_of(folder.path(), name, &file(&batch(columns), 100));
    }
    let corpus = discover(folder.path().to_str().unwrap()).unwrap();
    let shards = corpus.shards();
    assert!(corpus.open(&shards[1], 0).is_ok(), "the order of columns does not matter");
    let message = corpus.open(&shards[2], 0).unwrap_err().to_string();
    let expected = "shard `c.parquet` has another schema than `a.parquet`: column `id` is Utf8 instead of Int64, \
                    column `more` (Int64) is additional";
    assert_eq!(message, expected);
    assert!(corpus.open(&shards[3], 0).unwrap_err().to_string().ends_with("column `id` is missing"));
    assert!(corpus.check_schemas().is_err());
}

#[test]
fn columns_of_one_name_are_read_where_nobody_asks_for_them_and_refused_where_somebody_does() {
    let folder = tempfile::tempdir().unwrap();
    let column = |name: &str, of: ArrayRef| (Field::new(name, of.data_type().clone(), false), of);
    let text = || Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    let number = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let put = |name: &str, columns: Vec<(Field, ArrayRef)>| {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        corpus_of(&folder.path().join(name), "a.parquet", &file(&batch, 100))
    };
    let corpus = put("others", vec![column("text", text()), column("x", text()), column("x", number())]);
    assert!(corpus.check_schemas().is_ok());
    assert_eq!(read(&corpus, &Columns::default()).unwrap().documents.len(), 1);
    let corpus = put("texts", vec![column("text", text()), column("text", text())]);
    let error = read(&corpus, &Columns::default()).unwrap_err();
    assert!(error.to_string().contains("2 columns are called `text`"), "{error}");
    assert!(error.hint().unwrap().contains("a name of its own"));
}

#[test]
fn damaged_pages_are_an_error_with_row_and_shard() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = file(&rows(2000), 1000);
    let middle = bytes.len() / 3;
    bytes[middle..middle + 400].fill(0xa5);
    let corpus = corpus_of(folder.path(), "a.parquet", &bytes);
    match read(&corpus, &Columns { carry: vec!["meta.lang".into()], ..with_ids() }) {
        Err(CorpusError::Damaged { shard, .. }) => assert_eq!(shard, "a.parquet"),
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn digest_changes_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |count| {
        let corpus = corpus_of(folder.path(), "a.parquet", &file(&rows(count), 50));
        let mut reader = corpus.open(&corpus.shards()[0], 0).unwrap();
        while reader.next_block().unwrap().is_some() {}
        reader.digest().unwrap()
    };
    assert_eq!(digest(100), digest(100));
    assert_ne!(digest(100), digest(101));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn kept_rows_have_all_their_columns(
        count in 0usize..300, group in 1usize..120, keep in proptest::collection::vec(any::<bool>(), 300),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&rows(count), group);
        let corpus = corpus_of(folder.path(), "a.parquet", &input);
        let out = in_memory();
        let written = kept(&corpus, &out, &mut |row| keep[row as usize]);
        prop_assert_eq!(&written, &kept(&corpus, &out, &mut |row| keep[row as usize]), "the same rows, the same bytes");
        let (before, pairs) = read_back(input);
        let (after, kept_pairs) = read_back(written);
        let mask = arrow_array::BooleanArray::from(keep[..count].to_vec());
        prop_assert_eq!(&arrow_select::filter::filter_record_batch(&before, &mask).unwrap(), &after);
        prop_assert_eq!(before.schema(), after.schema());
        let origin = |pairs: &[KeyValue]| pairs.iter().filter(|pair| pair.key == "origin").count();
        prop_assert_eq!((origin(&pairs), origin(&kept_pairs)), (1, 1));
    }
}
