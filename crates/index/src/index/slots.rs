//! Where entries live: slots with a number each, in pages.
//!
//! A page is made whole, so that growing never copies what is there and never
//! reserves more than one page in advance.

use gannet_base::{Media, Publication};

use super::media::{self, MediaView};

/// Slots of a page.
const PAGE_SLOTS: usize = 4_096;
/// In place of a signature.
const UNSIGNED: [u8; 64] = [0; 64];
/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// What is kept of one publication, besides its texts.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) content: u32,
    pub(super) folder: u32,
    /// Neighbours in the list of the content's entries. Those of one holder
    /// are next to each other.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// Where the name and, right behind it, the media start in the page's text.
    text_at: u32,
    name_len: u16,
    media_len: u16,
    pub(super) size: u64,
    /// 0 if it is not signed.
    pub(super) expires: u64,
}

#[derive(Debug)]
struct Page {
    slots: Vec<Slot>,
    /// Whose they are, by themselves: ranking looks at many of them.
    holders: Vec<u32>,
    /// By place, up to the last that is signed; no memory before the first.
    /// Who indexes its own files signs few of them.
    signatures: Vec<[u8; 64]>,
    text: String,
    text_unused: usize,
    /// No entry of the page expires before.
    earliest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    pages: Vec<Page>,
    /// The first free slot; `next` leads to the others.
    free: Option<u32>,
    len: usize,
}

fn place(id: u32) -> (usize, usize) {
    (id as usize / PAGE_SLOTS, id as usize % PAGE_SLOTS)
}

impl Slots {
    /// How many slots were ever made.
    pub(super) fn made(&self) -> usize {
        self.len
    }

    pub(super) fn slot(&self, id: u32) -> &Slot {
        let (page, place) = place(id);
        &self.pages[page].slots[place]
    }

    pub(super) fn slot_mut(&mut self, id: u32) -> &mut Slot {
        let (page, place) = place(id);
        &mut self.pages[page].slots[place]
    }

    /// Whose it is; [`NONE`] if it is deleted.
    pub(super) fn holder(&self, id: u32) -> u32 {
        let (page, place) = place(id);
        self.pages[page].holders[place]
    }

    /// Notes that it is deleted.
    pub(super) fn disown(&mut self, id: u32) {
        let (page, place) = place(id);
        self.pages[page].holders[place] = NONE;
    }

    /// The last component of the path.
    pub(super) fn name(&self, id: u32) -> &str {
        let (page, place) = place(id);
        let page = &self.pages[page];
        let slot = &page.slots[place];
        &page.text[slot.text_at as usize..][..usize::from(slot.name_len)]
    }

    /// The name and the media part.
    pub(super) fn texts(&self, id: u32) -> (&str, MediaView<'_>) {
        let (page, place) = place(id);
        let page = &self.pages[page];
        let slot = &page.slots[place];
        let start = slot.text_at as usize;
        let end = start + usize::from(slot.name_len);
        let media = &page.text[end..end + usize::from(slot.media_len)];
        (&page.text[start..end], MediaView::read(media))
    }

    /// Puts an entry, valid and new, into a free slot.
    pub(super) fn add(
        &mut self,
        publication: &Publication,
        name: &str,
        content: u32,
        holder: u32,
        folder: u32,
    ) -> u32 {
        let id = match self.free {
            Some(free) => {
                let next = self.slot(free).next;
                self.free = (next != NONE).then_some(next);
                free
            }
            None => u32::try_from(self.len).expect("entries_max is below the range of slots"),
        };
        let (at, place) = place(id);
        if at == self.pages.len() {
            self.pages.push(Page::new());
        }
        let page = &mut self.pages[at];
        let (text_at, name_len, media_len) = page.write(name, &publication.entry.media);
        let expires = publication.expires.as_unix_seconds();
        let slot = Slot {
            content,
            folder,
            next: NONE,
            previous: NONE,
            text_at,
            name_len,
            media_len,
            size: publication.entry.size,
            expires,
        };
        page.earliest = page.earliest.min(expires);
        if place == page.slots.len() {
            page.slots.push(slot);
            page.holders.push(holder);
            self.len += 1;
        } else {
            page.slots[place] = slot;
            page.holders[place] = holder;
        }
        page.sign(place, publication);
        id
    }

    /// Notes a new expiry and signature.
    pub(super) fn renew(&mut self, id: u32, publication: &Publication) {
        let (page, place) = place(id);
        let page = &mut self.pages[page];
        let expires = publication.expires.as_unix_seconds();
        page.earliest = page.earliest.min(expires);
        page.slots[place].expires = expires;
        page.sign(place, publication);
    }

    /// The signature of an entry; zeros if it was never signed.
    pub(super) fn signature(&self, id: u32) -> [u8; 64] {
        let (page, place) = place(id);
        let signature = self.pages[page].signatures.get(place);
        signature.copied().unwrap_or(UNSIGNED)
    }

    /// Forgets the texts of an entry; the slot is not yet free. Returns how
    /// long they were.
    pub(super) fn forget_texts(&mut self, id: u32) -> usize {
        let (page, place) = place(id);
        let page = &mut self.pages[page];
        let slot = &mut page.slots[place];
        let bytes = usize::from(slot.name_len) + usize::from(slot.media_len);
        slot.name_len = 0;
        slot.media_len = 0;
        slot.expires = u64::MAX;
        page.text_unused += bytes;
        bytes
    }

    /// Lets a slot be used again.
    pub(super) fn free(&mut self, id: u32) {
        self.slot_mut(id).next = self.free.unwrap_or(NONE);
        self.free = Some(id);
    }

    /// The slots whose entries expire before this time.
    pub(super) fn expiring_before(&mut self, time: u64) -> Vec<u32> {
        let mut found = Vec::new();
        for (number, page) in self.pages.iter_mut().enumerate() {
            if page.earliest >= time {
                continue;
            }
            page.earliest = u64::MAX;
            for (place, slot) in page.slots.iter().enumerate() {
                if slot.expires < time {
                    let id = number * PAGE_SLOTS + place;
                    found.push(u32::try_from(id).expect("slot numbers are 32 bits"));
                } else {
                    page.earliest = page.earliest.min(slot.expires);
                }
            }
        }
        found
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| {
            let slots = page.slots.capacity() * (size_of::<Slot>() + 4);
            slots + page.signatures.capacity() * 64 + page.text.capacity()
        });
        pages.sum()
    }
}

impl Page {
    fn new() -> Self {
        Self {
            slots: Vec::with_capacity(PAGE_SLOTS),
            holders: Vec::with_capacity(PAGE_SLOTS),
            signatures: Vec::new(),
            text: String::new(),
            text_unused: 0,
            earliest: u64::MAX,
        }
    }

    /// Keeps the signature of an entry, if it has one.
    fn sign(&mut self, place: usize, publication: &Publication) {
        let signature = publication.signature.0;
        if place >= self.signatures.len() {
            if signature == UNSIGNED {
                return;
            }
            if self.signatures.is_empty() {
                self.signatures.reserve_exact(PAGE_SLOTS);
            }
            self.signatures.resize(place + 1, UNSIGNED);
        }
        self.signatures[place] = signature;
    }

    /// Appends texts; returns where they start and how long they are.
    fn write(&mut self, name: &str, media: &Media) -> (u32, u16, u16) {
        if self.text_unused > self.text.len() / 2 + 1_024 {
            self.compact();
        }
        let start = self.text.len();
        if self.text.capacity() - start < name.len() {
            self.text.reserve_exact(start / 8 + name.len() + 1_024);
        }
        self.text.push_str(name);
        let middle = self.text.len();
        if !media.is_empty() {
            media::write(&mut self.text, media);
        }
        let short = |bytes: usize| u16::try_from(bytes).expect("valid entries have short texts");
        let at = u32::try_from(start).expect("a page holds a few megabytes of text");
        (at, short(middle - start), short(self.text.len() - middle))
    }

    fn compact(&mut self) {
        let mut text = String::with_capacity(self.text.len() - self.text_unused);
        for slot in &mut self.slots {
            let start = slot.text_at as usize;
            let bytes = usize::from(slot.name_len) + usize::from(slot.media_len);
            slot.text_at = u32::try_from(text.len()).expect("no longer than before");
            text.push_str(&self.text[start..start + bytes]);
        }
        self.text = text;
        self.text_unused = 0;
    }
}
