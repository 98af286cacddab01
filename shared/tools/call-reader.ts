/**
 * Reads one call, `{"name": "f", "arguments": {…}}`, character by character. The keys may come in
 * any order, and others may stand between them. Of the arguments, each character is passed on as it
 * is: a model may write what is no JSON, and OpenAI's clients are used to checking.
 */

/** Llama writes `parameters`. */
const ARGUMENT_KEYS = ['arguments', 'parameters'];

const SPACE = /^[ \t\r\n]$/;
export const isSpace = (character: string): boolean => SPACE.test(character);

type Place = 'start' | 'key-or-end' | 'key' | 'in-key' | 'colon' | 'value' | 'in-value' | 'comma-or-end';

export type ReadCall = {
  /** Called once, when the name is known and the arguments begin or the call ends. */
  onName: (name: string) => void;
  /** Called with pieces of the arguments' text, after `onName`. */
  onArguments: (text: string) => void;
};

/** What a character did: the call goes on, it ended with this character, or this is no call. */
export type CallState = 'open' | 'ended' | 'failed';

export class CallReader {
  readonly #out: ReadCall;
  /** Which names count; null: any. */
  readonly #names: ReadonlySet<string> | null;
  #place: Place = 'start';
  #key = '';
  /** Of the key or value that is read, from its first character. */
  #text = '';
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  #name: string | null = null;
  /** The arguments so far, if the name is not known yet; null if there were none. */
  #held: string | null = null;
  #hasArguments = false;
  /** Whether the name has been told, so that this is a call whatever follows. */
  isCall = false;
  /** Whether the arguments have been read to their end. Other keys may follow. */
  hasWholeArguments = false;

  constructor(out: ReadCall, { names = null }: { names?: ReadonlySet<string> | null } = {}) {
    this.#out = out;
    this.#names = names;
  }

  push(character: string): CallState {
    switch (this.#place) {
      case 'start':
        return this.#expect(character === '{', 'key-or-end');
      case 'in-key':
        this.#text += character;
        if (!this.#endsString(character)) return 'open';
        this.#key = parsedString(this.#text) ?? '';
        this.#place = 'colon';
        return 'open';
      case 'in-value':
        return this.#inValue(character);
      default:
        return isSpace(character) ? 'open' : this.#between(character);
    }
  }

  #between(character: string): CallState {
    switch (this.#place) {
      case 'key-or-end':
        if (character === '}') return this.#end();
        return this.#beginKey(character);
      case 'key':
        return this.#beginKey(character);
      case 'colon':
        return this.#expect(character === ':', 'value');
      case 'value':
        return this.#beginValue(character);
      default:
        if (character === '}') return this.#end();
        return this.#expect(character === ',', 'key');
    }
  }

  #expect(isRight: boolean, next: Place): CallState {
    if (!isRight) return 'failed';
    this.#place = next;
    return 'open';
  }

  #beginKey(character: string): CallState {
    this.#text = character;
    this.#isString = character === '"';
    return this.#expect(this.#isString, 'in-key');
  }

  #beginValue(character: string): CallState {
    const isOpening = character === '{' || character === '[';
    const isText = character === '"';
    if (this.#key === 'name' && (!isText || this.#name !== null)) return 'failed';
    if (this.#isOfArguments) {
      const isArguments = character === '{' || isText || character === 'n';
      if (!isArguments || this.#hasArguments) return 'failed';
      this.#hasArguments = true;
    }
    if (character === '}' || character === ']' || character === ',' || character === ':') return 'failed';
    this.#place = 'in-value';
    this.#text = '';
    this.#depth = isOpening ? 1 : 0;
    this.#isString = isText;
    this.#take(character);
    return this.#refusesName ? 'failed' : 'open';
  }

  #inValue(character: string): CallState {
    if (this.#isString) {
      this.#take(character);
      if (this.#endsString(character) && this.#depth === 0) return this.#endValue();
      return 'open';
    }
    if (this.#depth === 0) {
      // A number, or a word: what ends it is no part of it.
      if (character !== ',' && character !== '}' && !isSpace(character)) {
        this.#take(character);
        return 'open';
      }
      const state = this.#endValue();
      return state === 'open' ? this.push(character) : state;
    }
    this.#take(character);
    if (character === '"') this.#isString = true;
    else if (character === '{' || character === '[') this.#depth++;
    else if ((character === '}' || character === ']') && --this.#depth === 0) return this.#endValue();
    return 'open';
  }

  /** Arguments in braces are passed on at once. Of all other values the end is awaited. */
  #take(character: string): void {
    if (this.#isOfArguments && this.#depth > 0) this.#argue(character);
    else this.#text += character;
  }

  #argue(text: string): void {
    if (this.#name === null) this.#held = (this.#held ?? '') + text;
    else if (!this.#refusesName) {
      this.#tellName();
      this.#out.onArguments(text);
    }
  }

  #endValue(): CallState {
    this.#place = 'comma-or-end';
    if (this.#key === 'name') {
      this.#name = parsedString(this.#text);
      if (this.#name === null || this.#name === '' || this.#refusesName) return 'failed';
      if (this.#held !== null) {
        this.#tellName();
        this.#out.onArguments(this.#held);
      }
    } else if (this.#isOfArguments && this.#text !== '') {
      // Some models write the arguments as a string with JSON in it.
      const text = this.#text === 'null' ? '{}' : parsedString(this.#text);
      if (text === null) return 'failed';
      this.#argue(text);
    }
    if (this.#isOfArguments) this.hasWholeArguments = true;
    return 'open';
  }

  #end(): CallState {
    if (this.#name === null || this.#refusesName) return 'failed';
    this.#tellName();
    // Functions without parameters are called so.
    if (!this.#hasArguments) this.#out.onArguments('{}');
    return 'ended';
  }

  #tellName(): void {
    if (this.isCall) return;
    this.isCall = true;
    this.#out.onName(this.#name!);
  }

  get #isOfArguments(): boolean {
    return ARGUMENT_KEYS.includes(this.#key);
  }

  get #refusesName(): boolean {
    return this.#name !== null && this.#names !== null && !this.#names.has(this.#name);
  }

  /** Whether the string ends with this character. */
  #endsString(character: string): boolean {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === '\\') this.#isEscaped = true;
    else if (character === '"' && (this.#depth > 0 || this.#text.length > 1 || this.#place === 'in-key')) {
      this.#isString = false;
      return true;
    }
    return false;
  }
}

function parsedString(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}
