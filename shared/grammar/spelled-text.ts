/**
 * What a grammar can make an answer say, whatever the model thinks of it: names of properties,
 * constants, the words in a pattern. The edge classifies it like a prompt, because whoever writes a
 * grammar may write an answer.
 *
 * A grammar masks both experts, so what it forces costs nothing of a budget: the classifier is all
 * that stands before it. So a schema is read as it is compiled, with its references and
 * conjunctions followed, in the order of an answer. What cannot be read counts as unread, which a
 * policy prices.
 */
import { type Conjunction, itemAt, memberOf, type Sub } from './conjunction.ts';
import { Expansion, keyOf } from './expand-schema.ts';
import type { Grammar } from './grammar.ts';
import { GrammarError } from './grammar-error.ts';
import { surelyWithin } from './inexact-numbers.ts';
import { SchemaDocument } from './schema-document.ts';
import { fewNumbers } from './spelled-number.ts';
import { spelledString } from './spelled-string.ts';
import { Work } from './work.ts';

export type Spelled = {
  /** All of it, in order, as one text. Empty if it spells nothing. */
  text: string;
  /** Whether an answer may be made to say more than that. */
  isUnread: boolean;
};

export const SPELLS_NOTHING: Spelled = { text: '', isUnread: false };

/** Schemas visited, each as often as an answer may come by it. */
const MOST_VISITS = 10_000;
const MOST_CHARACTERS = 400_000;

/**
 * Throws what `compileGrammar` throws; so call it for what can be compiled.
 *
 * @param work what the request has cost so far; where it runs out, the rest is unread
 */
export function spelledText(grammar: Grammar, work = new Work()): Spelled {
  const words = new Words();
  addGrammar(words, grammar, work);
  return { text: words.text, isUnread: words.isUnread };
}

/** Collects the words, up to a bound. */
class Words {
  isUnread = false;
  readonly #words: string[] = [];
  #characters = 0;
  #visits = 0;

  get text(): string {
    return this.#words.join(' ');
  }

  add(word: string): void {
    if (word.trim() === '') return;
    this.#characters += word.length + 1;
    if (this.#characters > MOST_CHARACTERS) this.isUnread = true;
    else this.#words.push(word.trim());
  }

  /** Whether there is still room for one more schema. */
  visit(): boolean {
    if (++this.#visits > MOST_VISITS) this.isUnread = true;
    return this.#visits <= MOST_VISITS;
  }
}

function addGrammar(words: Words, grammar: Grammar, work: Work): void {
  switch (grammar.type) {
    case 'json_object':
    case 'text':
      return;
    case 'json_schema': {
      const document = new SchemaDocument(grammar.schema);
      try {
        new SchemaWords(words, new Expansion(document, work)).add([document.root], []);
      } catch (thrown) {
        // Too much work for a second reading.
        if (!(thrown instanceof GrammarError)) throw thrown;
        words.isUnread = true;
      }
      return;
    }
    case 'text-until':
      words.add(grammar.until);
      return;
    case 'literal':
      words.add(grammar.text);
      return;
    case 'sequence':
      for (const part of grammar.parts) addGrammar(words, part, work);
      return;
    case 'choice':
      for (const option of grammar.options) addGrammar(words, option, work);
      return;
    case 'triggered':
      for (const { begin, body } of grammar.triggers) {
        words.add(begin);
        addGrammar(words, body, work);
      }
      words.add(grammar.between);
      return;
    default:
      grammar satisfies never;
  }
}

class SchemaWords {
  readonly #words: Words;
  readonly #expansion: Expansion;

  constructor(words: Words, expansion: Expansion) {
    this.#words = words;
    this.#expansion = expansion;
  }

  /** @param within the schemas that are being read: one inside of itself says nothing new */
  add(sub: Sub, within: readonly string[]): void {
    const key = keyOf(sub);
    if (within.includes(key) || !this.#words.visit()) return;
    const inside = [...within, key];
    for (const conjunction of this.#expansion.alternatives(sub)) {
      if (conjunction.values !== null) {
        for (const value of conjunction.values) this.#addValue(value);
        continue;
      }
      const { types } = conjunction;
      if (types.has('string')) this.#addString(conjunction);
      if (types.has('number')) this.#addNumber(conjunction);
      if (types.has('array')) this.#addArray(conjunction, inside);
      if (types.has('object')) this.#addObject(conjunction, inside);
    }
  }

  #addString({ string, excluded }: Conjunction): void {
    const { text, isUnread } = spelledString(string, excluded);
    if (isUnread) this.#words.isUnread = true;
    for (const variant of text) this.#words.add(variant);
  }

  #addNumber({ number, excluded }: Conjunction): void {
    const few = fewNumbers(surelyWithin(number), excluded);
    if (few === null) this.#words.isUnread = true;
    for (const value of few ?? []) this.#addValue(value);
  }

  #addArray(conjunction: Conjunction, within: readonly string[]): void {
    const { prefix, min, max, contains } = conjunction.array;
    if (min > max) return;
    const last = Math.min(max, prefix.length + 1);
    for (let i = 0; i < last; i++) {
      const item = itemAt(conjunction, i);
      this.add(item, within);
      // Any place may be the one that counts.
      for (const { sub } of contains) this.add([...item, ...sub], within);
    }
  }

  #addObject(conjunction: Conjunction, within: readonly string[]): void {
    const { properties, required, names, additional } = conjunction.object;
    for (const name of new Set([...properties.keys(), ...required])) {
      this.#words.add(name);
      this.add(memberOf(conjunction, name), within);
    }
    this.add(names, within);
    this.add(additional, within);
  }

  #addValue(value: unknown): void {
    if (typeof value === 'string' || typeof value === 'number') this.#words.add(String(value));
    if (typeof value !== 'object' || value === null) return;
    for (const [name, one] of Object.entries(value)) {
      if (!Array.isArray(value)) this.#words.add(name);
      this.#addValue(one);
    }
  }
}
