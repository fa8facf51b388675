//! Kept Parquet is the input's: types, names, pairs, codecs, values and levels.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{AsBytes, ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::printer::print_schema;
use parquet::schema::types::{Type, TypePtr};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tamis_io::corpus::CorpusError;

use crate::corpus_support::{corpus_of, in_memory, kept};

/// A leaf of every physical and logical type that the format has; of those that can have any length, one of several.
fn leaves() -> Vec<(Physical, Option<LogicalType>, ConvertedType, i32)> {
    use ConvertedType as C;
    use LogicalType as L;
    use Physical as P;
    let mut all = vec![
        (P::BOOLEAN, None, C::NONE, -1),
        (P::INT32, None, C::NONE, -1),
        (P::INT64, None, C::NONE, -1),
        (P::INT96, None, C::NONE, -1),
        (P::FLOAT, None, C::NONE, -1),
        (P::DOUBLE, None, C::NONE, -1),
        (P::BYTE_ARRAY, None, C::NONE, -1),
        (P::FIXED_LEN_BYTE_ARRAY, None, C::NONE, 1),
        (P::FIXED_LEN_BYTE_ARRAY, None, C::NONE, 33),
        (P::FIXED_LEN_BYTE_ARRAY, None, C::INTERVAL, 12),
        (P::FIXED_LEN_BYTE_ARRAY, Some(L::Uuid), C::NONE, 16),
        (P::FIXED_LEN_BYTE_ARRAY, Some(L::Float16), C::NONE, 2),
        (P::INT32, Some(L::Date), C::DATE, -1),
        (P::INT32, None, C::DATE, -1),
        (P::BYTE_ARRAY, Some(L::geometry(Some("EPSG:4326".into()))), C::NONE, -1),
        (P::BYTE_ARRAY, Some(L::geography(None, None)), C::NONE, -1),
    ];
    for physical in [P::BOOLEAN, P::INT32, P::INT64, P::DOUBLE, P::BYTE_ARRAY] {
        all.push((physical, Some(L::Unknown), C::NONE, -1));
    }
    for (logical, converted) in
        [(L::String, C::UTF8), (L::Enum, C::ENUM), (L::Json, C::JSON), (L::Bson, C::BSON)]
    {
        all.push((P::BYTE_ARRAY, Some(logical), converted, -1));
        all.push((P::BYTE_ARRAY, None, converted, -1));
    }
    for (width, signed, converted) in [
        (8, true, C::INT_8),
        (16, true, C::INT_16),
        (32, true, C::INT_32),
        (64, true, C::INT_64),
        (8, false, C::UINT_8),
        (16, false, C::UINT_16),
        (32, false, C::UINT_32),
        (64, false, C::UINT_64),
    ] {
        let physical = if width == 64 { P::INT64 } else { P::INT32 };
        all.push((physical, Some(L::integer(width, signed)), converted, -1));
        all.push((physical, None, converted, -1));
    }
    for utc in [true, false] {
        all.push((P::INT32, Some(L::time(utc, TimeUnit::MILLIS)), C::TIME_MILLIS, -1));
        all.push((P::INT64, Some(L::time(utc, TimeUnit::MICROS)), C::TIME_MICROS, -1));
        all.push((P::INT64, Some(L::time(utc, TimeUnit::NANOS)), C::NONE, -1));
        all.push((P::INT64, Some(L::timestamp(utc, TimeUnit::MILLIS)), C::TIMESTAMP_MILLIS, -1));
        all.push((P::INT64, Some(L::timestamp(utc, TimeUnit::MICROS)), C::TIMESTAMP_MICROS, -1));
        all.push((P::INT64, Some(L::timestamp(utc, TimeUnit::NANOS)), C::NONE, -1));
    }
    all.push((P::INT32, None, C::TIME_MILLIS, -1));
    for converted in [C::TIME_MICROS, C::TIMESTAMP_MILLIS, C::TIMESTAMP_MICROS] {
        all.push((P::INT64, None, converted, -1));
    }
    for physical in [P::INT32, P::INT64, P::BYTE_ARRAY, P::FIXED_LEN_BYTE_ARRAY] {
        let length = if physical == P::FIXED_LEN_BYTE_ARRAY { 9 } else { -1 };
        all.push((physical, Some(L::decimal(3, 9)), C::DECIMAL, length));
        all.push((physical, None, C::DECIMAL, length));
    }
    all.push((P::FIXED_LEN_BYTE_ARRAY, Some(L::decimal(0, 60)), C::DECIMAL, 26));
    all
}

fn leaf(name: &str, of: usize, repetition: Repetition, id: Option<i32>) -> TypePtr {
    let (physical, logical, converted, length) = leaves().swap_remove(of);
    let (precision, scale) = match &logical {
        Some(LogicalType::Decimal(decimal)) => (decimal.precision, decimal.scale),
        _ if converted == ConvertedType::DECIMAL => (8, 2),
        _ => (-1, -1),
    };
    let built = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_converted_type(converted)
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .with_id(id)
        .build();
    Arc::new(built.unwrap())
}

fn group(
    name: &str,
    repetition: Repetition,
    of: Option<(LogicalType, ConvertedType)>,
    fields: Vec<TypePtr>,
) -> TypePtr {
    let (logical, converted) = of.map_or((None, ConvertedType::NONE), |(l, c)| (Some(l), c));
    let built = Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_converted_type(converted)
        .with_fields(fields)
        .build();
    Arc::new(built.unwrap())
}

/// A random field: a leaf, or one of the shapes that nested data have had in Parquet.
fn field(name: &str, depth: u32, rng: &mut StdRng) -> TypePtr {
    use parquet::basic::FieldRepetitionType::{OPTIONAL, REPEATED, REQUIRED};
    let any = [REQUIRED, OPTIONAL, REPEATED][rng.random_range(0..3)];
    let nullable = [REQUIRED, OPTIONAL][rng.random_range(0..2)];
    let id = rng.random_bool(0.5).then(|| rng.random_range(-3..1000));
    let of = rng.random_range(0..leaves().len());
    let shape = if depth == 0 { 0 } else { rng.random_range(0..9) };
    match shape {
        0..=3 => leaf(name, of, any, id),
        4 => {
            let fields = (0..rng.random_range(1..4)).map(|at| field(&format!("f{at}"), depth - 1, rng));
            let fields = fields.collect();
            group(name, any, None, fields)
        }
        5 => {
            let element = field("element", depth - 1, rng);
            let element = match element.get_basic_info().repetition() {
                REPEATED => leaf("element", of, nullable, id),
                _ => element,
            };
            let list = group("list", REPEATED, None, vec![element]);
            group(name, nullable, Some((LogicalType::List, ConvertedType::LIST)), vec![list])
        }
        // Lists of two levels, as old writers made them.
        6 => {
            let item = leaf("array", of, REPEATED, None);
            group(name, nullable, Some((LogicalType::List, ConvertedType::LIST)), vec![item])
        }
        7 => {
            let key = leaf("key", 6, REQUIRED, None);
            let value = leaf("value", of, nullable, id);
            let entries = group("key_value", REPEATED, None, vec![key, value]);
            group(name, nullable, Some((LogicalType::Map, ConvertedType::MAP)), vec![entries])
        }
        _ => {
            let binary = |name| leaf(name, 6, REQUIRED, None);
            let variant = Some((LogicalType::variant(Some(1)), ConvertedType::NONE));
            group(name, nullable, variant, vec![binary("metadata"), binary("value")])
        }
    }
}

/// Levels and values of one leaf; a value is its bytes.
#[derive(Clone, Default)]
struct Column {
    definition: Vec<i16>,
    repetition: Vec<i16>,
    values: Vec<Vec<u8>>,
}

/// Bytes of a value: small ones often, so that dictionaries are used, extremes, and any.
fn value(physical: Physical, length: i32, rng: &mut StdRng) -> Vec<u8> {
    let size = match physical {
        Physical::BOOLEAN => return vec![u8::from(rng.random_bool(0.5))],
        Physical::INT32 | Physical::FLOAT => 4,
        Physical::INT64 | Physical::DOUBLE => 8,
        Physical::INT96 => 12,
        Physical::FIXED_LEN_BYTE_ARRAY => length as usize,
        Physical::BYTE_ARRAY => match rng.random_range(0..20) {
            0 => 0,
            1 => rng.random_range(1000..20_000),
            _ => rng.random_range(1..12),
        },
    };
    match (rng.random_range(0..8), physical) {
        (0, Physical::FLOAT) => (-0.0_f32).to_bits().to_le_bytes().to_vec(),
        (0, Physical::DOUBLE) => (-0.0_f64).to_bits().to_le_bytes().to_vec(),
        // A NaN with a payload and a sign.
        (1, Physical::FLOAT) => 0xffc0_1234_u32.to_le_bytes().to_vec(),
        (1, Physical::DOUBLE) => 0xfff8_0000_0000_1234_u64.to_le_bytes().to_vec(),
        (0, _) => vec![0xff; size],
        (1, _) => vec![0; size],
        (2, _) if size > 0 => [&vec![0xff; size - 1][..], &[0x7f]].concat(),
        (3, _) if size > 0 => [&vec![0; size - 1][..], &[0x80]].concat(),
        (4 | 5, _) => vec![rng.random_range(0..3); size],
        _ => (0..size).map(|_| rng.random()).collect(),
    }
}

/// Appends one field of one record to the leaves below it, from leaf `at` on; returns the leaf behind.
fn fill(
    field: &Type,
    at: usize,
    (definition, repetition, depth): (i16, i16, i16),
    rng: &mut StdRng,
    columns: &mut [Column],
) -> usize {
    let count = match field.get_basic_info().repetition() {
        Repetition::REQUIRED => None,
        Repetition::OPTIONAL => Some(usize::from(rng.random_bool(0.7))),
        Repetition::REPEATED => Some([0, 1, 1, 2, 5][rng.random_range(0..5)]),
    };
    let repeated = field.get_basic_info().repetition() == Repetition::REPEATED;
    let depth = depth + i16::from(repeated);
    let mut end = at + count_leaves(field);
    if count == Some(0) {
        for column in &mut columns[at..end] {
            column.definition.push(definition);
            column.repetition.push(repetition);
        }
        return end;
    }
    let definition = definition + i16::from(count.is_some());
    for item in 0..count.unwrap_or(1) {
        let repetition = if item == 0 { repetition } else { depth };
        match field {
            Type::GroupType { fields, .. } => {
                end = fields
                    .iter()
                    .fold(at, |at, field| fill(field, at, (definition, repetition, depth), rng, columns));
            }
            Type::PrimitiveType { physical_type, type_length, .. } => {
                columns[at].definition.push(definition);
                columns[at].repetition.push(repetition);
                columns[at].values.push(value(*physical_type, *type_length, rng));
            }
        }
    }
    end
}

fn count_leaves(field: &Type) -> usize {
    match field {
        Type::PrimitiveType { .. } => 1,
        Type::GroupType { fields, .. } => fields.iter().map(|field| count_leaves(field)).sum(),
    }
}

fn write(writer: &mut ColumnWriter<'_>, column: &Column, levels: (bool, bool)) {
    let definition = levels.0.then_some(column.definition.as_slice());
    let repetition = levels.1.then_some(column.repetition.as_slice());
    macro_rules! write {
        ($writer:ident, $from:expr) => {{
            let values: Vec<_> = column.values.iter().map(|bytes| $from(bytes)).collect();
            $writer.write_batch(&values, definition, repetition).unwrap();
        }};
    }
    let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap();
    let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).unwrap();
    match writer {
        ColumnWriter::BoolColumnWriter(to) => write!(to, |bytes: &Vec<u8>| bytes[0] == 1),
        ColumnWriter::Int32ColumnWriter(to) => write!(to, |bytes: &Vec<u8>| i32::from_le_bytes(four(bytes))),
        ColumnWriter::Int64ColumnWriter(to) => write!(to, |bytes: &Vec<u8>| i64::from_le_bytes(eight(bytes))),
        ColumnWriter::FloatColumnWriter(to) => write!(to, |bytes: &Vec<u8>| f32::from_le_bytes(four(bytes))),
        ColumnWriter::DoubleColumnWriter(to) => {
            write!(to, |bytes: &Vec<u8>| f64::from_le_bytes(eight(bytes)));
        }
        ColumnWriter::Int96ColumnWriter(to) => write!(to, |bytes: &Vec<u8>| {
            let word = |at: usize| u32::from_le_bytes(four(&bytes[at..at + 4]));
            let mut value = Int96::new();
            value.set_data(word(0), word(4), word(8));
            value
        }),
        ColumnWriter::ByteArrayColumnWriter(to) => {
            write!(to, |bytes: &Vec<u8>| ByteArray::from(bytes.clone()));
        }
        ColumnWriter::FixedLenByteArrayColumnWriter(to) => {
            write!(to, |bytes: &Vec<u8>| FixedLenByteArray::from(bytes.clone()));
        }
    }
}

const CODECS: [Compression; 4] =
    [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW, Compression::LZ4];

fn any_codec(rng: &mut StdRng) -> Compression {
    match rng.random_range(0..6) {
        4 => Compression::GZIP(Default::default()),
        5 => Compression::ZSTD(Default::default()),
        at => CODECS[at],
    }
}

/// A file of a schema: row groups of these numbers of rows.
fn file(schema: &TypePtr, row_groups: &[usize], rng: &mut StdRng) -> Vec<u8> {
    let mut properties = WriterProperties::builder()
        .set_writer_version([WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0][rng.random_range(0..2)])
        .set_dictionary_enabled(rng.random_bool(0.5))
        .set_data_page_row_count_limit(rng.random_range(1..40))
        .set_write_batch_size(rng.random_range(1..20))
        .set_offset_index_disabled(rng.random_bool(0.5))
        .set_key_value_metadata(rng.random_bool(0.7).then(|| {
            let pair = |key: &str, value| KeyValue { key: key.to_owned(), value };
            vec![pair("z", Some("é\n".into())), pair("a", None), pair("z", Some(String::new()))]
        }));
    let descriptor = parquet::schema::types::SchemaDescriptor::new(Arc::clone(schema));
    for column in descriptor.columns() {
        properties = properties.set_column_compression(column.path().clone(), any_codec(rng));
    }
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::clone(schema), Arc::new(properties.build())).unwrap();
    for rows in row_groups {
        let mut columns = vec![Column::default(); descriptor.num_columns()];
        for _ in 0..*rows {
            schema.get_fields().iter().fold(0, |at, field| fill(field, at, (0, 0, 0), rng, &mut columns));
        }
        let mut group = writer.next_row_group().unwrap();
        for (leaf, column) in columns.iter().enumerate() {
            let descriptor = descriptor.column(leaf);
            let mut writer = group.next_column().unwrap().unwrap();
            let levels = (descriptor.max_def_level() > 0, descriptor.max_rep_level() > 0);
            write(writer.untyped(), column, levels);
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// A record of a leaf: definition level, repetition level, and the value where there is one.
type Record = Vec<(i16, i16, Option<Vec<u8>>)>;

fn records<T: DataType>(mut reader: ColumnReaderImpl<T>, rows: usize, levels: (i16, i16)) -> Vec<Record> {
    let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (read, ..) =
        reader.read_records(rows, Some(&mut definition), Some(&mut repetition), &mut values).unwrap();
    assert_eq!(read, rows);
    let mut values = values.iter().map(|value| value.as_bytes().to_vec());
    let count = if levels.0 == 0 { rows } else { definition.len() };
    let mut records: Vec<Record> = Vec::new();
    for at in 0..count {
        let definition = if levels.0 == 0 { 0 } else { definition[at] };
        let repetition = if levels.1 == 0 { 0 } else { repetition[at] };
        let value = (definition == levels.0).then(|| values.next().unwrap());
        if repetition == 0 {
            records.push(Vec::new());
        }
        records.last_mut().unwrap().push((definition, repetition, value));
    }
    assert!(values.next().is_none());
    records
}

/// Everything in a file, by leaf.
fn contents(reader: &SerializedFileReader<Bytes>) -> Vec<Vec<Record>> {
    let descriptor = reader.metadata().file_metadata().schema_descr_ptr();
    let mut all = vec![Vec::new(); descriptor.num_columns()];
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        let rows = group.metadata().num_rows() as usize;
        for (leaf, all) in all.iter_mut().enumerate() {
            let column = descriptor.column(leaf);
            let levels = (column.max_def_level(), column.max_rep_level());
            all.extend(match group.get_column_reader(leaf).unwrap() {
                ColumnReader::BoolColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::Int32ColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::Int64ColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::Int96ColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::FloatColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::DoubleColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::ByteArrayColumnReader(reader) => records(reader, rows, levels),
                ColumnReader::FixedLenByteArrayColumnReader(reader) => records(reader, rows, levels),
            });
        }
    }
    all
}

fn printed(schema: &Type) -> String {
    let mut text = Vec::new();
    print_schema(&mut text, schema);
    String::from_utf8(text).unwrap()
}

/// Keeps rows of a file and compares what comes out with it.
fn check(input: Vec<u8>, keep: &dyn Fn(u64) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_of(folder.path(), "a.parquet", &input);
    let out = in_memory();
    let written = kept(&corpus, &out, &mut |row| keep(row));
    assert_eq!(written, kept(&corpus, &out, &mut |row| keep(row)), "the same rows, the same bytes");
    let before = SerializedFileReader::new(Bytes::from(input)).unwrap();
    let after = SerializedFileReader::new(Bytes::from(written)).unwrap();
    let (from, to) = (before.metadata().file_metadata(), after.metadata().file_metadata());
    assert_eq!(printed(from.schema()), printed(to.schema()));
    assert_eq!(from.schema(), to.schema());
    assert_eq!(from.key_value_metadata(), to.key_value_metadata());
    for group in after.metadata().row_groups() {
        for (column, first) in group.columns().iter().zip(before.metadata().row_group(0).columns()) {
            assert_eq!(column.compression_codec(), first.compression_codec());
        }
    }
    for (leaf, (before, after)) in contents(&before).into_iter().zip(contents(&after)).enumerate() {
        let mut row = 0..;
        let expected: Vec<Record> = before.into_iter().filter(|_| row.next().is_some_and(keep)).collect();
        assert!(expected == after, "leaf {leaf} of {}", printed(from.schema()));
    }
}

#[test]
fn data_pages_without_a_value_are_passed_over() {
    // pyarrow 26.0.1: write_table({id, text, l: [[1], [2], [3]]}, data_page_size=1, write_batch_size=1) makes one of `l`.
    let input = include_bytes!("../fixtures/empty_page.parquet");
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_of(folder.path(), "a.parquet", input);
    for keep in 1..8_u64 {
        let keeps = |row: u64| keep >> row & 1 == 1;
        let written = kept(&corpus, &in_memory(), &mut |row| keeps(row));
        let reader = SerializedFileReader::new(Bytes::from(written)).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        let expected = |row: u64| {
            format!(
                "{{id: \"{}\", text: \"{}\", l: [{}]}}",
                ["a", "b", "c"][row as usize],
                ["x", "y", "z"][row as usize],
                row + 1
            )
        };
        assert_eq!(rows, (0..3).filter(|row| keeps(*row)).map(expected).collect::<Vec<_>>());
    }
}

#[test]
fn every_type_comes_out_as_it_went_in() {
    for of in 0..leaves().len() {
        let mut rng = StdRng::seed_from_u64(of as u64);
        let fields = [Repetition::REQUIRED, Repetition::OPTIONAL, Repetition::REPEATED]
            .map(|repetition| leaf(&format!("{repetition}"), of, repetition, Some(of as i32)));
        let built = Type::group_type_builder("spark_schema").with_fields(fields.to_vec()).build();
        let input = file(&Arc::new(built.unwrap()), &[70, 1, 300], &mut rng);
        check(input, &|row| row % 7 != 3 && row % 100 < 60);
    }
}

#[test]
fn a_long_file_is_copied_in_several_batches_and_row_groups() {
    let mut rng = StdRng::seed_from_u64(7);
    let fields = vec![leaf("a", 1, Repetition::REQUIRED, None), leaf("b", 6, Repetition::REPEATED, None)];
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build().unwrap());
    let input = file(&schema, &[3000, 2500], &mut rng);
    check(input.clone(), &|_| true);
    check(input.clone(), &|row| row % 40 == 0);
    check(input.clone(), &|row| row % 3 == 0);
    check(input, &|row| row == 5499);
}

/// A file with bytes of its footer replaced.
fn patched(file: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let end = file.len() - 8;
    let length = u32::from_le_bytes(file[end..end + 4].try_into().unwrap()) as usize;
    let start = end - length;
    let footer = &file[start..end];
    let at = find(footer, from).expect("the footer has the bytes that are replaced");
    let footer = [&footer[..at], to, &footer[at + from.len()..]].concat();
    let length = (footer.len() as u32).to_le_bytes();
    [&file[..start], &footer, &length, b"PAR1"].concat()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A file of two columns, `text` and `x` of a type of [`leaves`], not compressed.
fn two_columns(of: usize) -> Vec<u8> {
    let string = leaves().iter().position(|leaf| leaf.1 == Some(LogicalType::String)).unwrap();
    let fields =
        vec![leaf("text", string, Repetition::REQUIRED, None), leaf("x", of, Repetition::REQUIRED, None)];
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build().unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::clone(&schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    while let Some(mut column) = group.next_column().unwrap() {
        let descriptor = match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(to) => Arc::clone(to.get_descriptor()),
            ColumnWriter::FixedLenByteArrayColumnWriter(to) => Arc::clone(to.get_descriptor()),
            ColumnWriter::Int32ColumnWriter(to) => Arc::clone(to.get_descriptor()),
            _ => unreachable!("no test has another type"),
        };
        let value = value(descriptor.physical_type(), descriptor.type_length(), &mut rng);
        let values = Column { values: vec![value; 3], ..Column::default() };
        write(column.untyped(), &values, (false, false));
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn what_cannot_be_kept_is_refused_by_name_when_the_file_is_opened() {
    let plain = two_columns(1);
    // The last fields of a footer are the orders of its columns, 7; then comes 8, the algorithm of encryption.
    let signed = |file: &[u8]| {
        patched(file, b"\x1c\x00\x00\x1c\x00\x00\x00", b"\x1c\x00\x00\x1c\x00\x00\x1c\x1c\x00\x00\x00")
    };
    let cases = [
        ("column `x`: compressed with Brotli", patched(&plain, b"x\x15\x00", b"x\x15\x08")),
        ("column `x`: compressed with LZO", patched(&plain, b"x\x15\x00", b"x\x15\x06")),
        ("the file: encrypted", signed(&plain)),
        ("the footer: encrypted", [&plain[..plain.len() - 4], b"PARE"].concat()),
        (
            "column `text`: its data are in another file, `b`",
            patched(&plain, b"\x19\x2c\x26", b"\x19\x2c\x18\x01b\x16"),
        ),
        // An integer of a logical type that is not known.
        ("column `x`: of a type that is not read", {
            let date = leaves().iter().position(|leaf| leaf.1 == Some(LogicalType::Date)).unwrap();
            patched(&two_columns(date), b"x\x25\x0c\x4c\x6c\x00\x00", b"x\x6c\x9c\x00\x00")
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (expected, input) in cases {
        let corpus = corpus_of(folder.path(), "a.parquet", &input);
        let error = corpus.check_schemas().expect_err(expected);
        assert!(error.to_string().starts_with(&format!("shard `a.parquet`: {expected}")), "{error}");
        assert!(matches!(error, CorpusError::Unsupported { .. }) && error.hint().is_some(), "{error}");
    }
    assert!(corpus_of(folder.path(), "a.parquet", &plain).check_schemas().is_ok());
}

#[test]
fn a_schema_is_kept_to_the_byte_where_the_reader_of_the_crate_would_mend_it() {
    // A string that is stated by its logical type alone: the old name of the type is not put in.
    let converted = b"text\x25\x00\x4c\x1c\x00\x00";
    let alone = b"text\x6c\x1c\x00\x00";
    let input = patched(&two_columns(1), converted, alone);
    // A logical type that is not known yet.
    let uuid = leaves().iter().position(|leaf| leaf.1 == Some(LogicalType::Uuid)).unwrap();
    let unknown = b"x\x6c\x9c\x00\x00";
    let younger = patched(&two_columns(uuid), b"x\x6c\xec\x00\x00", unknown);
    let folder = tempfile::tempdir().unwrap();
    for (input, part, not) in [(input, &alone[..], &converted[..]), (younger, unknown, b"\xec\x00\x00")] {
        let corpus = corpus_of(folder.path(), "a.parquet", &input);
        let written = kept(&corpus, &in_memory(), &mut |row| row == 1);
        assert!(find(&written, part).is_some() && find(&written, not).is_none());
        check(input, &|row| row > 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn kept_files_are_of_their_input_whatever_its_types_and_nesting(
        seed in any::<u64>(),
        row_groups in proptest::collection::vec(1usize..90, 1..4),
        keep in proptest::collection::vec(any::<bool>(), 300),
        one_in in 1u64..30,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let fields = (0..rng.random_range(1..5)).map(|at| field(&format!("c{at}"), 3, &mut rng)).collect();
        let schema = Type::group_type_builder("schema").with_fields(fields).build().unwrap();
        let input = file(&Arc::new(schema), &row_groups, &mut rng);
        check(input, &|row| keep[row as usize] && row % one_in == 0);
    }
}
