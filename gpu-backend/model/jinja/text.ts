/**
 * A string that remembers who wrote each of its characters: the template, or whoever sent the
 * messages. Every operation of the template language carries the origins along, so in the rendered
 * text we still know what a message contained. What a template sees is always the plain string.
 */

import { spendCharacters, spendSearch, spendSteps } from './work.ts';

/** A character that is a literal of the template, or a token that it was handed by name. */
const WRITTEN = 'w';
/** A character computed from messages, so that nobody can say from which. */
const GIVEN = 'g';
/** A character out of the first text given by number. The second text has the next one. */
const FIRST_NUMBERED = 0x100;
const MOST_NUMBERED = 0xffff - FIRST_NUMBERED;

/** Who wrote a stretch: the template, a numbered text given to it, or nobody knows who. */
export type Writer = 'template' | number | 'unknown';

function writerOf(origin: string): Writer {
  if (origin === WRITTEN) return 'template';
  return origin === GIVEN ? 'unknown' : origin.charCodeAt(0) - FIRST_NUMBERED;
}

export class Text {
  readonly string: string;
  /** For every UTF-16 unit of `string`, who wrote it. */
  readonly #origin: string;

  private constructor(string: string, origin: string) {
    this.string = string;
    this.#origin = origin;
  }

  static written(string: string): Text {
    spendCharacters(string.length);
    return new Text(string, WRITTEN.repeat(string.length));
  }

  /** @param number tells the texts apart that are given to one template, counted from 0 */
  static given(string: string, number?: number): Text {
    spendCharacters(string.length);
    const isNumbered = number !== undefined && number <= MOST_NUMBERED;
    const origin = isNumbered ? String.fromCharCode(FIRST_NUMBERED + number) : GIVEN;
    return new Text(string, origin.repeat(string.length));
  }

  static join(parts: readonly Text[], separator = EMPTY): Text {
    const between = separator.string.length * Math.max(0, parts.length - 1);
    spendCharacters(parts.reduce((sum, { string }) => sum + string.length, between));
    return new Text(
      parts.map(({ string }) => string).join(separator.string),
      parts.map((part) => part.#origin).join(separator.#origin),
    );
  }

  /** Counts in UTF-16 units, as all positions here do. */
  slice(start: number, end?: number): Text {
    spendSteps();
    return new Text(this.string.slice(start, end), this.#origin.slice(start, end));
  }

  /** Its characters, each a code point, as Python counts them. */
  characters(): Text[] {
    const out: Text[] = [];
    let at = 0;
    for (const { length } of this.string) {
      out.push(this.slice(at, at + length));
      at += length;
    }
    return out;
  }

  /** The pieces between the matches. */
  split(separator: string, limit = Number.POSITIVE_INFINITY): Text[] {
    spendSearch(this.string, separator);
    const out: Text[] = [];
    let at = 0;
    for (let found = this.string.indexOf(separator); found !== -1 && out.length < limit; ) {
      out.push(this.slice(at, found));
      at = found + separator.length;
      found = this.string.indexOf(separator, at);
    }
    return [...out, this.slice(at)];
  }

  /** Replaces each character. The replacement has the origin of what it replaces. */
  replaceCharacters(pattern: RegExp, replacement: (character: string) => string): Text {
    return Text.join(
      this.characters().map((character) => {
        const { string } = character;
        const changed = string.replace(pattern, replacement);
        return changed === string ? character : new Text(changed, character.#origin[0]!.repeat(changed.length));
      }),
    );
  }

  /**
   * The same text in other letters. If a letter becomes two, nobody can say any more which is
   * whose: then all of it counts as given.
   */
  recase(change: (text: string) => string): Text {
    spendCharacters(this.string.length);
    const changed = change(this.string);
    return changed.length === this.string.length ? new Text(changed, this.#origin) : Text.given(changed);
  }

  /** The longest stretches by one writer, in order. */
  *stretches(): Generator<{ text: string; writer: Writer }> {
    for (const { 0: stretch, index } of this.#origin.matchAll(/(.)\1*/gs)) {
      yield { text: this.string.slice(index, index + stretch.length), writer: writerOf(stretch[0]!) };
    }
  }
}

const EMPTY = Text.written('');
