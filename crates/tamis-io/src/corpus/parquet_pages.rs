//! Pages of a column chunk as the column reader can take them.

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;

/// The pages of a chunk but for data pages without a value, which some writers make of repeated columns: the reader of columns
/// takes such a page for the end of the chunk.
pub(super) struct FilledPages<P>(pub(super) P);

impl<P: PageReader> Iterator for FilledPages<P> {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for FilledPages<P> {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        loop {
            match self.0.get_next_page()? {
                Some(page) if page.is_data_page() && page.num_values() == 0 => {}
                other => return Ok(other),
            }
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        loop {
            match self.0.peek_next_page()? {
                Some(page) if !page.is_dict && page.num_levels == Some(0) => self.0.skip_next_page()?,
                other => return Ok(other),
            }
        }
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.0.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>, ParquetError> {
        self.0.take_deferred_dictionary()
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.0.at_record_boundary()
    }
}
