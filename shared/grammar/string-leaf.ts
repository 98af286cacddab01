/**
 * A JSON string with its quotes, of a number of characters (code points) from `min` to `max`, and
 * not one of some given texts. It is written as `JSON.stringify` writes it. States are computed and
 * not stored, so a string of a thousand characters costs no more than one of ten.
 */
import type { Leaf } from './leaf.ts';

/** How far a character has come. Bytes of UTF-8: Unicode 16, table 3-7. */
const BEFORE = 0;
const BODY = 1;
const AFTER = 2;
const ESCAPE = 3;
/** After `\u`: its four digits, which name a control character without an escape of its own. */
const U = 4;
const U0 = 5;
const U00 = 6;
const U000 = 7;
const U001 = 8;
/** Any one, two or three bytes that go on with a character. */
const MORE_1 = 9;
const MORE_2 = 10;
const MORE_3 = 11;
const AFTER_E0 = 12;
const AFTER_ED = 13;
const AFTER_F0 = 14;
const AFTER_F4 = 15;
const PLACES = 16;

const within = (byte: number, least: number, most: number, next: number) => (byte >= least && byte <= most ? next : -1);
const isHex = (byte: number) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
/** b, t, n, f and r: these have an escape of their own. */
const SHORT = new Set([8, 9, 10, 12, 13]);
const ESCAPES = new Set([...'"\\bfnrt'].map((char) => char.charCodeAt(0)));

function stepInside(place: number, byte: number): number {
  switch (place) {
    case BODY:
      if (byte === 0x5c) return ESCAPE;
      if (byte < 0x20) return -1;
      if (byte < 0x80) return BODY;
      if (byte === 0xe0) return AFTER_E0;
      if (byte === 0xed) return AFTER_ED;
      if (byte === 0xf0) return AFTER_F0;
      if (byte === 0xf4) return AFTER_F4;
      if (byte >= 0xc2 && byte <= 0xdf) return MORE_1;
      if (byte >= 0xe1 && byte <= 0xef) return MORE_2;
      return within(byte, 0xf1, 0xf3, MORE_3);
    case ESCAPE:
      if (byte === 0x75) return U;
      return ESCAPES.has(byte) ? BODY : -1;
    case U:
      return byte === 0x30 ? U0 : -1;
    case U0:
      return byte === 0x30 ? U00 : -1;
    case U00:
      return byte === 0x30 ? U000 : byte === 0x31 ? U001 : -1;
    case U000:
      return isHex(byte) && !SHORT.has(Number.parseInt(String.fromCharCode(byte), 16)) ? BODY : -1;
    case U001:
      return isHex(byte) ? BODY : -1;
    case MORE_1:
      return within(byte, 0x80, 0xbf, BODY);
    case MORE_2:
      return within(byte, 0x80, 0xbf, MORE_1);
    case MORE_3:
      return within(byte, 0x80, 0xbf, MORE_2);
    case AFTER_E0:
      return within(byte, 0xa0, 0xbf, MORE_1);
    case AFTER_ED:
      return within(byte, 0x80, 0x9f, MORE_1);
    case AFTER_F0:
      return within(byte, 0x90, 0xbf, MORE_2);
    case AFTER_F4:
      return within(byte, 0x80, 0x8f, MORE_2);
    default:
      return -1;
  }
}

/** By place and byte: the next place; -1 if the byte may not come. The quotes are in it, too. */
const NEXT = Int8Array.from({ length: PLACES * 256 }, (_, i) => {
  const [place, byte] = [i >> 8, i & 255];
  if (byte === 0x22 && (place === BEFORE || place === BODY)) return place === BEFORE ? BODY : AFTER;
  return stepInside(place, byte);
});

/** The texts that it may not be, in JSON without quotes, as a tree of bytes. Node 0 is none. */
class Excluded {
  readonly next: Map<number, number>[] = [new Map(), new Map()];
  readonly ends = new Set<number>();

  constructor(texts: readonly string[]) {
    for (const text of texts) {
      let at = 1;
      for (const byte of new TextEncoder().encode(JSON.stringify(text).slice(1, -1))) {
        let to = this.next[at]!.get(byte);
        if (to === undefined) {
          to = this.next.push(new Map()) - 1;
          this.next[at]!.set(byte, to);
        }
        at = to;
      }
      this.ends.add(at);
    }
  }
}

export class StringLeaf implements Leaf {
  readonly id: string;
  readonly start: number;
  readonly #min: number;
  readonly #max: number;
  /** No state counts further. */
  readonly #most: number;
  readonly #excluded: Excluded;
  readonly #excludes: string;
  /** Any string. */
  readonly #isPlain: boolean;

  /**
   * Some text must be left: with `excluded`, `max` is Infinity.
   *
   * @param max Infinity: any number
   */
  constructor({
    min = 0,
    max = Infinity,
    excluded = [],
  }: { min?: number; max?: number; excluded?: readonly string[] }) {
    this.#excludes = JSON.stringify(excluded);
    this.id = `string ${min} ${max} ${this.#excludes}`;
    this.#min = min;
    this.#max = max;
    this.#most = max === Infinity ? min : max;
    this.#excluded = new Excluded(excluded);
    this.#isPlain = min === 0 && max === Infinity && excluded.length === 0;
    this.start = this.#state({ count: 0, node: excluded.length === 0 ? 0 : 1, place: BEFORE });
  }

  step(state: number, byte: number): number {
    const place = state % PLACES;
    const next = NEXT[(place << 8) | byte]!;
    // Nothing but the place counts.
    if (next < 0 || this.#isPlain) return next;
    const { count, node } = this.#parts(state);
    if (place === BEFORE) return this.#state({ count, node, place: next });
    if (next === AFTER) {
      if (count < this.#min || this.#excluded.ends.has(node)) return -1;
      return this.#state({ count, node: 0, place: AFTER });
    }
    const to = node === 0 ? 0 : (this.#excluded.next[node]!.get(byte) ?? 0);
    // A character counts when it begins.
    if (place !== BODY) return this.#state({ count, node: to, place: next });
    if (count >= this.#max) return -1;
    return this.#state({ count: Math.min(this.#most, count + 1), node: to, place: next });
  }

  accepts(state: number): boolean {
    return state % PLACES === AFTER;
  }

  exit(): number {
    return 0;
  }

  goesOn(state: number): boolean {
    return !this.accepts(state);
  }

  maskKey(state: number, reach: number): string {
    const { count, node, place } = this.#parts(state);
    const least = Math.min(reach, Math.max(0, this.#min - count));
    const most = Math.min(reach, this.#max - count);
    return `string ${place} ${least} ${most} ${node === 0 ? '' : `${node} ${this.#excludes}`}`;
  }

  #state({ count, node, place }: { count: number; node: number; place: number }): number {
    return (count * this.#excluded.next.length + node) * PLACES + place;
  }

  /** Without texts to look for, the node stays 0. */
  #parts(state: number): { count: number; node: number; place: number } {
    const rest = Math.floor(state / PLACES);
    const nodes = this.#excluded.next.length;
    return { count: Math.floor(rest / nodes), node: rest % nodes, place: state % PLACES };
  }
}
