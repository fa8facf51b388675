use std::sync::Arc; use std::time::Instant;
use arrow_array::*; use arrow_schema::*;
use tamis_io::sidecar::*; use tamis_io::store::Store;
fn main(){
 let d=std::env::temp_dir().join("tamis-sc"); let _=std::fs::remove_dir_all(&d); let s=Store::local(&d);
 for null in [true,false] {
  let n: usize = 200_000; let b=8192;
  let item=Arc::new(Field::new("item",DataType::Float32,null));
  let f=vec![Field::new("row",DataType::UInt64,false),Field::new("embedding",DataType::FixedSizeList(item.clone(),384),true)];
  let schema=Schema::new(f);
  let batches: Vec<RecordBatch>=(0..n/b).map(|k|{
   let r=|i:usize| f64::from(u32::from_le_bytes(tamis_core::Digest::of(&((k*b+i) as u64).to_le_bytes()).to_bytes()[..4].try_into().unwrap()))/4e9;
   let cols: Vec<ArrayRef>=vec![Arc::new(UInt64Array::from_iter_values((0..b).map(|i|(k*b+i) as u64))),Arc::new(FixedSizeListArray::new(item.clone(),384,Arc::new(Float32Array::from_iter_values((0..b*384).map(|i|r(i) as f32))),None))];
   RecordBatch::try_new(Arc::new(schema.clone()),cols).unwrap()}).collect();
  let p=format!("{null}.parquet"); let t=Instant::now(); let mut w=SidecarWriter::create(&s,&p,&schema).unwrap(); for x in &batches {w.write(x).unwrap()} let rows=w.rows(); w.commit().unwrap(); let tw=t.elapsed().as_secs_f64();
  let t=Instant::now(); for x in SidecarReader::open(&s,&p,SidecarColumns::All).unwrap(){x.unwrap();} let tr=t.elapsed().as_secs_f64();
  println!("null={null} rows={rows} size={} write {:.0} read {:.0} k rows/s", s.size(&p).unwrap().unwrap(), rows as f64/1e3/tw, rows as f64/1e3/tr);
 }
 let _=std::fs::remove_dir_all(&d);
}
