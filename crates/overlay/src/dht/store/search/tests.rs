use super::*;

/// How many parts are read at once when so many were, and so much of 20 found.
#[track_caller]
fn check(read: u8, found: u8, expected: usize) {
    let wanted = Wanted::Content(ContentId::of(b"x"));
    let mut search = new_search(Timestamp::ZERO, wanted, 20);
    let part = |n: u8| Shard::of(ContentId::from_bytes([n; 32]), 8);
    search.visited = (0..read).map(part).collect();
    search.parts_read = read.into();
    search.found = (0..found).map(|n| [n; 32]).collect();
    assert_eq!(search.parallel(), expected);
}

#[test]
fn the_less_is_found_the_more_is_read_at_once() {
    check(0, 0, 1);
    check(1, 10, 2);
    check(3, 12, 4);
    check(1, 0, 20);
    check(4, 2, 18);
    check(16, 0, 320);
}
