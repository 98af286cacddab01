/**
 * Turns the text of an answer into what is said and what is called, as the text comes. However the
 * text is cut into pieces, the same comes out.
 *
 * No character is lost or comes twice. What does not turn out to be a call is content, its marks
 * included. White space around a call belongs to the call, as the marks do. The work is linear in
 * the text: what has been taken for a call in vain is not searched again.
 */
import { CallReader, isSpace } from './call-reader.ts';
import { ARGUMENTS_MARK, ID_MARK, SYNTAX_MARKS, type SyntaxMarks, type ToolSyntax } from './tool-syntax.ts';

export type ToolEvent =
  | { type: 'content'; text: string }
  /** A call begins. Calls are counted from 0. */
  | { type: 'call'; index: number; name: string }
  /** More of the arguments of the call with this index, which is the last one. */
  | { type: 'arguments'; index: number; text: string };

/** In what is said; behind a mark; in a name that is no JSON; in a call; behind one. */
type Place = 'content' | 'opened' | 'name' | 'call' | 'behind';

/** A call without a mark, as it begins. Only JSON's own white space may stand before it. */
const BARE = /^[ \t\r\n]*\{$/;
const NAME = /^[\w.-]$/;
/** What may stand between a name and its arguments: `[CALL_ID]` and an id, `[ARGS]`. */
const WHOLE_MARK = /^(\[CALL_ID\]\w+)?(\[ARGS\])?$/;

function beginsMark(text: string): boolean {
  const behindId = text.replace(/^\[CALL_ID\]\w+/, '');
  return ID_MARK.startsWith(text) || /^\[CALL_ID\]\w*$/.test(text) || ARGUMENTS_MARK.startsWith(behindId);
}

export class ToolCallParser {
  readonly #marks: SyntaxMarks;
  readonly #names: ReadonlySet<string>;
  readonly #alone: boolean;
  #place: Place = 'content';
  /** What may turn out to be content or a part of a call. */
  #held = '';
  /** Whether anything but white space was said or called. */
  #hasBegun = false;
  /** Whether the calls are a JSON array that has not ended. */
  #isList = false;
  /** Whether the mark that closes the last call is still to come. */
  #isUnclosed = false;
  /** A name that is no JSON, and what has come behind it: marks and an id. */
  #name = '';
  #mark = '';
  #reader: CallReader | null = null;
  #calls = 0;
  #events: ToolEvent[] = [];

  /**
   * @param names of the functions that there are: a call without marks has to be of one of them
   * @param alone whether an answer that does not begin with a mark has no calls at all
   */
  constructor(syntax: ToolSyntax, { names, alone = false }: { names: Iterable<string>; alone?: boolean }) {
    const marks = SYNTAX_MARKS[syntax];
    this.#marks = alone ? { ...marks, bare: false } : marks;
    this.#names = new Set(names);
    this.#alone = alone;
  }

  /** How many calls have begun. */
  get calls(): number {
    return this.#calls;
  }

  /** Whether the last call has begun, and its arguments have not ended. */
  get isCut(): boolean {
    return this.#reader?.isCall === true && !this.#reader.hasWholeArguments;
  }

  /** Returns what is certain now. */
  push(text: string): ToolEvent[] {
    for (const character of text) this.#push(character);
    return this.#taken();
  }

  /** Returns what is left, once the text has ended. */
  end(): ToolEvent[] {
    const rest = this.#held.trimStart();
    const isBehind = this.#place === 'behind' && (rest === '' || this.#mayClose(rest));
    if (this.#reader?.isCall !== true && !isBehind) this.#say(this.#held);
    return this.#taken();
  }

  #taken(): ToolEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #push(character: string): void {
    this.#held += character;
    if (this.#place === 'content') this.#inContent(character);
    else if (this.#place === 'opened') this.#behindMark(character);
    else if (this.#place === 'name') this.#inName(character);
    else if (this.#place === 'call') this.#inCall(character);
    else this.#behindCall(character);
  }

  #inContent(character: string): void {
    const rest = this.#held.trimStart();
    const { open, bare } = this.#marks;
    if (this.#alone && this.#hasBegun && this.#calls === 0) {
      this.#say(this.#held);
      this.#held = '';
    } else if (rest === open) this.#place = 'opened';
    else if (bare && !this.#hasBegun && BARE.test(this.#held)) this.#beginCall(character, this.#names);
    else if (!open.startsWith(rest)) this.#sayUpTo(character);
  }

  #behindMark(character: string): void {
    if (isSpace(character)) return;
    const { lists } = this.#marks;
    if (character === '{') this.#beginCall(character, null);
    else if (lists && !this.#isList && character === '[') this.#isList = true;
    else if (lists && !this.#isList && NAME.test(character)) {
      this.#name = character;
      this.#mark = '';
      this.#place = 'name';
    } else this.#sayUpTo(character);
  }

  #inName(character: string): void {
    if (this.#mark === '' && NAME.test(character)) this.#name += character;
    else if (character === '{' && WHOLE_MARK.test(this.#mark)) {
      // Read as if the rest of the object were there, too.
      this.#beginCall(`{"name":${JSON.stringify(this.#name)},"arguments":{`, null);
      this.#held = '';
    } else if (beginsMark(this.#mark + character)) this.#mark += character;
    else this.#sayUpTo(character);
  }

  #inCall(character: string): void {
    const reader = this.#reader!;
    const state = reader.push(character);
    if (reader.isCall) this.#held = state === 'failed' ? character : '';
    if (state === 'failed') {
      this.#sayUpTo(character);
      return;
    }
    const isNamed = this.#name !== '';
    if (state === 'open' && !(isNamed && reader.hasWholeArguments)) return;
    this.#reader = null;
    this.#name = '';
    this.#isUnclosed = this.#marks.close !== null;
    this.#place = 'behind';
  }

  #behindCall(character: string): void {
    const rest = this.#held.trimStart();
    if (rest === '') return;
    const { open, close, bare } = this.#marks;
    if (this.#isUnclosed && rest === close) {
      this.#isUnclosed = false;
      this.#held = '';
    } else if (this.#isList && rest === ']') {
      this.#isList = false;
      this.#held = '';
    } else if (rest === open || (this.#isList && rest === ',')) this.#place = 'opened';
    else if (bare && /^;?\s*\{$/.test(rest)) this.#beginCall(character, this.#names);
    else if (!open.startsWith(rest) && !this.#mayClose(rest) && !(bare && /^;\s*$/.test(rest))) {
      this.#held = rest;
      this.#sayUpTo(character);
    }
  }

  #mayClose(rest: string): boolean {
    return this.#isUnclosed && this.#marks.close!.startsWith(rest);
  }

  /**
   * What is held is no call. All of it is said but a last character that may begin a mark, and
   * white space that may stand before one.
   */
  #sayUpTo(character: string): void {
    const held = this.#held;
    const beginsMark = this.#marks.open.startsWith(character);
    const said = (beginsMark ? held.slice(0, -character.length) : held).trimEnd();
    this.#isList = false;
    this.#isUnclosed = false;
    this.#name = '';
    this.#reader = null;
    this.#place = 'content';
    this.#say(said);
    this.#held = held.slice(said.length);
  }

  #beginCall(text: string, names: ReadonlySet<string> | null): void {
    const index = this.#calls;
    const reader = new CallReader(
      {
        onName: (name) => {
          this.#calls++;
          this.#hasBegun = true;
          this.#events.push({ type: 'call', index, name });
        },
        onArguments: (text) => {
          const last = this.#events.at(-1);
          if (last?.type === 'arguments') last.text += text;
          else this.#events.push({ type: 'arguments', index, text });
        },
      },
      { names },
    );
    for (const character of text) reader.push(character);
    this.#reader = reader;
    this.#place = 'call';
  }

  #say(text: string): void {
    if (text === '') return;
    if (text.trim() !== '') this.#hasBegun = true;
    const last = this.#events.at(-1);
    if (last?.type === 'content') last.text += text;
    else this.#events.push({ type: 'content', text });
  }
}
