// Package slipway is the vocabulary of the platform: the nouns that more than
// one capability needs, and the one table of errors. It imports only the
// standard library, and docs/glossary.md says what each word means.
package slipway
