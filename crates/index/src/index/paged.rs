//! A list that never copies what is in it: in pages, each made whole.
//!
//! A vector of this size that grows leaves a hole of its old size behind it each
//! time. Allocators fill such holes with what is smaller, and the memory of a
//! process ends up well above what is in use.

use std::ops::{Index, IndexMut};

/// Entries of a page. The first page grows to that like any vector: a list may
/// stay short.
const PAGE: usize = 1_024;

#[derive(Debug)]
pub(super) struct Paged<T> {
    /// None empty; all but the last full.
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    /// One more than the place of the last.
    pub(super) fn len(&self) -> u32 {
        let before = self.pages.len().saturating_sub(1) * PAGE;
        let len = before + self.pages.last().map_or(0, Vec::len);
        u32::try_from(len).expect("no list has more entries than 32 bits number")
    }

    /// Appends; returns where.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let at = self.len();
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(value),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(value);
                self.pages.push(page);
            }
            None => self.pages.push(vec![value]),
        }
        at
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// Without what its entries point to.
    pub(super) fn memory_bytes(&self) -> usize {
        let entries: usize = self.pages.iter().map(Vec::capacity).sum();
        entries * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        let at = at as usize;
        &self.pages[at / PAGE][at % PAGE]
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        let at = at as usize;
        &mut self.pages[at / PAGE][at % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over several pages it is what a vector is, and nothing of it moves.
    #[test]
    fn it_is_a_list_whose_entries_stay_where_they_are() {
        let mut list = Paged::default();
        let all: Vec<u32> = (0..3 * 1_024 + 5).collect();
        for number in &all[..2_000] {
            assert_eq!(list.push(*number), *number);
        }
        let places: Vec<*const u32> = list.iter().map(std::ptr::from_ref).collect();
        for number in &all[2_000..] {
            assert_eq!(list.push(*number), *number);
        }
        assert!(list.iter().eq(&all) && list.len() as usize == all.len());
        assert!(
            list.iter()
                .map(std::ptr::from_ref)
                .zip(&places)
                .all(|(now, before)| now == *before)
        );
        list[3_000] += 1;
        assert_eq!((list[3_000], list[2_999]), (3_001, 2_999));
        // All but a few entries of the last page are in use.
        assert!(list.memory_bytes() < (all.len() + 1_024) * 4 + 8 * 24);
    }

    /// Many lists stay short, and are to be small.
    #[test]
    fn a_short_list_takes_no_page() {
        let mut list = Paged::default();
        assert_eq!((list.len(), list.memory_bytes()), (0, 0));
        list.push([0_u8; 40]);
        assert!(list.memory_bytes() < 400, "{}", list.memory_bytes());
    }
}
