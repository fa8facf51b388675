//! Corpus and run-directory files of tamis: the only room that touches them
