//! tantivy, in memory, one thread.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gannet_index::tokenize;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value as _,
};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use crate::corpus::Corpus;
use crate::report::{Queries, Stopwatch, resident_bytes};

pub struct Theirs {
    writer: IndexWriter,
    reader: IndexReader,
    fields: Fields,
    pub build: Duration,
    pub resident_bytes: u64,
}

#[derive(Clone, Copy)]
struct Fields {
    words: Field,
    holder: Field,
    content: Field,
}

const WRITER_BYTES: usize = 100_000_000;

pub fn build(corpus: &Corpus) -> Result<Theirs> {
    let before = resident_bytes();
    let mut schema = Schema::builder();
    // Which entries have the word is all that is kept, as in ours: the
    // cheapest that tantivy can do.
    let words = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic),
    );
    let fields = Fields {
        words: schema.add_text_field("words", words),
        holder: schema.add_text_field("holder", STRING),
        content: schema.add_bytes_field("content", STORED),
    };
    let index = Index::create_in_ram(schema.build());
    let start = Stopwatch::start();
    let mut writer: IndexWriter = index.writer_with_num_threads(1, WRITER_BYTES)?;
    for files in corpus.holders() {
        add(&writer, fields, corpus, files)?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    let build = start.elapsed();
    let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
    let reader = index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()?;
    let resident_bytes = resident_bytes() - before;
    Ok(Theirs {
        writer,
        reader,
        fields,
        build,
        resident_bytes,
    })
}

fn documents(fields: Fields, corpus: &Corpus, files: Range<usize>) -> Vec<TantivyDocument> {
    let document = |file| {
        let words: Vec<String> = tokenize(corpus.path(file))
            .iter()
            .map(str::to_owned)
            .collect();
        let mut document = TantivyDocument::default();
        document.add_text(fields.words, words.join(" "));
        document.add_text(fields.holder, corpus.holder(file).to_string());
        document.add_bytes(
            fields.content,
            corpus.publication(file).entry.content.as_bytes(),
        );
        document
    };
    files.map(document).collect()
}

fn add(writer: &IndexWriter, fields: Fields, corpus: &Corpus, files: Range<usize>) -> Result<()> {
    for document in documents(fields, corpus, files) {
        writer.add_document(document)?;
    }
    Ok(())
}

impl Theirs {
    /// A holder comes, and is visible to the next search. Making the documents
    /// is not counted.
    pub fn join(&mut self, corpus: &Corpus, files: Range<usize>) -> Result<Duration> {
        let documents = documents(self.fields, corpus, files);
        let start = Stopwatch::start();
        for document in documents {
            self.writer.add_document(document)?;
        }
        self.writer.commit()?;
        self.reader.reload()?;
        Ok(start.elapsed())
    }

    pub fn leave(&mut self, corpus: &Corpus, files: Range<usize>) -> Result<Duration> {
        let holder = corpus.holder(files.start).to_string();
        let start = Stopwatch::start();
        self.writer
            .delete_term(Term::from_field_text(self.fields.holder, &holder));
        self.writer.commit()?;
        self.reader.reload()?;
        Ok(start.elapsed())
    }

    pub fn search(&self, queries: &[[String; 2]]) -> Result<Queries> {
        let searcher = self.reader.searcher();
        let mut result = Queries::default();
        let all = Stopwatch::start();
        for words in queries {
            let start = Instant::now();
            let term = |word: &String| -> (Occur, Box<dyn Query>) {
                let term = Term::from_field_text(self.fields.words, word);
                (
                    Occur::Must,
                    Box::new(TermQuery::new(term, IndexRecordOption::Basic)),
                )
            };
            let query = BooleanQuery::new(words.iter().map(term).collect());
            let top = searcher.search(&query, &TopDocs::with_limit(20).order_by_score())?;
            let mut ids = Vec::with_capacity(top.len());
            for (_, address) in top {
                let document: TantivyDocument = searcher.doc(address)?;
                let content = document.get_first(self.fields.content);
                let content = content
                    .and_then(|value| value.as_bytes())
                    .context("a content")?;
                ids.push(content.to_vec());
            }
            result.add(start.elapsed(), ids.len(), true);
        }
        result.total = all.elapsed();
        Ok(result)
    }
}
