//! Views of row-major f32 matrices whose rows may lie apart (a slice of a fused projection).

/// `rows` rows of `width` values, the first at `data[0]`, each `stride` values after the one before.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    width: usize,
    stride: usize,
}

/// Like [`Rows`], writable.
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    width: usize,
    stride: usize,
}

fn needed(rows: usize, width: usize, stride: usize) -> usize {
    assert!(stride >= width, "row stride {stride} is less than the row width {width}");
    if rows == 0 || width == 0 { 0 } else { (rows - 1) * stride + width }
}

fn check_part(has_rows: usize, has_width: usize, first: usize, rows: usize, column: usize, width: usize) {
    assert!(first + rows <= has_rows, "rows {first}..{} of {has_rows}", first + rows);
    assert!(column + width <= has_width, "columns {column}..{} of {has_width}", column + width);
}

impl<'a> Rows<'a> {
    /// A view with a stride.
    ///
    /// # Panics
    /// If `stride < width`, or `data` ends before the last row does.
    #[inline]
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, width: usize, stride: usize) -> Self {
        let needed = needed(rows, width, stride);
        assert!(
            data.len() >= needed,
            "{rows} rows of {width} at stride {stride} need {needed} values, got {}",
            data.len()
        );
        Self { data, rows, width, stride }
    }

    /// Rows that lie back to back; `data.len()` is a multiple of `width`.
    ///
    /// # Panics
    /// If `width` is zero or does not divide `data.len()`.
    #[inline]
    #[must_use]
    pub fn contiguous(data: &'a [f32], width: usize) -> Self {
        assert!(
            data.len().is_multiple_of(width),
            "{} values are no whole number of rows of {width}",
            data.len()
        );
        Self { data, rows: data.len() / width, width, stride: width }
    }

    /// Number of rows.
    #[inline]
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    #[inline]
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Distance between the starts of two rows.
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Everything from the first value of the first row on.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    pub(crate) fn data(&self) -> &'a [f32] {
        self.data
    }

    /// `rows` rows from `first` on, and of each `width` values from `column` on.
    ///
    /// # Panics
    /// If that leaves the view.
    #[inline]
    #[must_use]
    pub fn part(&self, first: usize, rows: usize, column: usize, width: usize) -> Self {
        check_part(self.rows, self.width, first, rows, column, width);
        let start = (first * self.stride + column).min(self.data.len());
        Self::new(&self.data[start..], rows, width, self.stride)
    }

    /// Row `at`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn row(&self, at: usize) -> &'a [f32] {
        assert!(at < self.rows, "row {at} of {}", self.rows);
        &self.data[at * self.stride..][..self.width]
    }
}

impl<'a> RowsMut<'a> {
    /// A view with a stride.
    ///
    /// # Panics
    /// If `stride < width`, or `data` ends before the last row does.
    #[inline]
    #[must_use]
    pub fn new(data: &'a mut [f32], rows: usize, width: usize, stride: usize) -> Self {
        let needed = needed(rows, width, stride);
        assert!(
            data.len() >= needed,
            "{rows} rows of {width} at stride {stride} need {needed} values, got {}",
            data.len()
        );
        Self { data, rows, width, stride }
    }

    /// Rows that lie back to back; `data.len()` is a multiple of `width`.
    ///
    /// # Panics
    /// If `width` is zero or does not divide `data.len()`.
    #[inline]
    #[must_use]
    pub fn contiguous(data: &'a mut [f32], width: usize) -> Self {
        assert!(
            data.len().is_multiple_of(width),
            "{} values are no whole number of rows of {width}",
            data.len()
        );
        Self { rows: data.len() / width, data, width, stride: width }
    }

    /// Number of rows.
    #[inline]
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    #[inline]
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Distance between the starts of two rows.
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Everything from the first value of the first row on.
    #[inline]
    pub(crate) fn data(&mut self) -> &mut [f32] {
        self.data
    }

    /// `rows` rows from `first` on, and of each `width` values from `column` on.
    ///
    /// # Panics
    /// If that leaves the view.
    #[inline]
    #[must_use]
    pub fn part(&mut self, first: usize, rows: usize, column: usize, width: usize) -> RowsMut<'_> {
        check_part(self.rows, self.width, first, rows, column, width);
        let start = (first * self.stride + column).min(self.data.len());
        RowsMut::new(&mut self.data[start..], rows, width, self.stride)
    }

    /// Row `at`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&mut self, at: usize) -> &mut [f32] {
        assert!(at < self.rows, "row {at} of {}", self.rows);
        &mut self.data[at * self.stride..][..self.width]
    }
}
