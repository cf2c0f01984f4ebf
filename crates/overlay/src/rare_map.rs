//! A map that is empty most of the time, and takes one word then.

use std::collections::{BTreeMap, btree_map};

/// A [`BTreeMap`] behind one word: of very many simulated peers, hardly any is
/// searching. Emptied, it keeps no memory.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a map takes three words where it is")]
pub(crate) struct RareMap<K, V>(Option<Box<BTreeMap<K, V>>>);

impl<K, V> Default for RareMap<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord, V> RareMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.as_ref()?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.as_mut()?.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.get_or_insert_default().insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.0.as_mut()?.remove(key);
        self.rest();
        removed
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&K, &mut V) -> bool) {
        if let Some(map) = &mut self.0 {
            map.retain(keep);
        }
        self.rest();
    }

    /// An emptied map keeps memory.
    fn rest(&mut self) {
        self.0.take_if(|map| map.is_empty());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flat_map(|map| map.iter())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let map = self.0.as_mut();
        map.map_or_else(btree_map::IterMut::default, |map| map.iter_mut())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_that_takes_a_word_when_empty() {
        let mut map: RareMap<u8, u8> = RareMap::default();
        assert_eq!(size_of_val(&map), size_of::<usize>());
        assert_eq!((map.len(), map.get(&1)), (0, None));
        assert_eq!(map.remove(&1), None);
        assert_eq!(map.iter_mut().count(), 0);
        for key in [3, 1, 2] {
            assert_eq!(map.insert(key, key * 10), None);
        }
        map.values_mut().for_each(|value| *value += 1);
        let all: Vec<(u8, u8)> = map.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(all, [(1, 11), (2, 21), (3, 31)]);
        assert!(map.contains_key(&2) && map.keys().eq(&[1, 2, 3]));
        map.retain(|key, _| *key == 2);
        assert_eq!((map.len(), map.get_mut(&2)), (1, Some(&mut 21)));
        assert_eq!(map.remove(&2), Some(21));
        assert!(map.0.is_none() && map.values().next().is_none());
    }
}
