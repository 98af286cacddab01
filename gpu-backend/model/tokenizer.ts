/**
 * A BPE tokenizer in Hugging Face's format, byte-level or with byte fallback, read by
 * @huggingface/tokenizers. It differs from the library in one point: text never becomes a control
 * token. The text of a control token in a message becomes its letters, not its meaning. So a user
 * cannot close their own turn and open the system's. Control tokens come only from the template.
 *
 * The library must not find control tokens in text, but it must still know where they are: white
 * space around them may belong to them, and the first piece of a text may be written otherwise than
 * the others. So it knows each of them by an alias that no text contains.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import * as z from 'zod';
import { TOOL_MARKS } from '#shared/tools/tool-syntax.ts';
import { BundleError } from './bundle-error.ts';
import { tokenBytes } from './byte-alphabet.ts';
import { fallbackByte, fallbackTokenBytes } from './byte-fallback.ts';
import { controlContents } from './control-tokens.ts';
import { mendPreTokenizer } from './mend-pre-tokenizer.ts';
import { replaceUnwritable } from './missing-bytes.ts';
import { type SpecialFrame, specialFrame } from './special-frame.ts';
import { withinTime } from './within-time.ts';

const FILE = 'tokenizer.json';
/** One, two, three and four bytes of UTF-8, a space and a newline. */
const ROUND_TRIP = 'a é\n€ 😀';

/** Gemma has 6,400, more than any other that we know. */
const MOST_ADDED = 20_000;

const AddedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  special: z.boolean().default(false),
  single_word: z.boolean().default(false),
});
export const TokenizerJson = z.looseObject({
  added_tokens: z
    .array(AddedToken)
    .max(MOST_ADDED, {
      // zod asks for this error only about an array.
      error: ({ input }) => `found ${(input as unknown[]).length} tokens, wanted at most ${MOST_ADDED}`,
    })
    .refine((tokens) => new Set(tokens.map(({ id }) => id)).size === tokens.length, {
      error: 'found an id twice, wanted each once',
    }),
  model: z.looseObject({
    type: z.literal('BPE'),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    byte_fallback: z.boolean().nullish(),
  }),
});
export type TokenizerJson = z.infer<typeof TokenizerJson>;

/** Long runs of one kind of character and an end that does not belong: hard for bad patterns. */
const HARD_TEXTS = ['a', 'A', 'aA', 'a1', '0', ' ', '\n', ' \n', '!', "'s", 'é', '語', 'a ', '. ', '_'].flatMap(
  (unit) => ['', '!', '\u0001'].map((end) => unit.repeat(256) + end),
);

/** Only as much of the decoder as we look at. */
const StripDecoder = z.looseObject({ type: z.literal('Strip'), content: z.literal(' '), start: z.int().min(1) });
const PrependingMetaspace = z.looseObject({
  type: z.literal('Metaspace'),
  prepend_scheme: z.enum(['always', 'first']).default('always'),
});
const SequenceDecoder = z.looseObject({ type: z.literal('Sequence'), decoders: z.array(z.unknown()) });

export class BundleTokenizer {
  /** The highest id plus one. */
  readonly vocabSize: number;
  /** The length of the longest token: a text of n bytes has at least n / maxTokenBytes tokens. */
  readonly maxTokenBytes: number;
  /** Content -> id of the special tokens. */
  readonly specials: ReadonlyMap<string, number>;
  /** Content -> id of the tokens that text never becomes: the special ones, and the template's. */
  readonly controls: ReadonlyMap<string, number>;
  /** Whether a text that is decoded loses one space at its start: encoding put one there. */
  readonly dropsFirstSpace: boolean;
  /** What it puts around a text if asked to; null if that is not known. Prompts do without it. */
  readonly frame: SpecialFrame | null;
  readonly #bytes: (Uint8Array | undefined)[] = [];
  readonly #tokenizer: Tokenizer;
  readonly #specialIds: ReadonlySet<number>;
  readonly #controlIds: ReadonlySet<number>;
  /** Id -> content of the special tokens and the control tokens. */
  readonly #contents: ReadonlyMap<number, string>;
  readonly #writable: (text: string) => string;

  /** @param chatTemplate the Jinja source: the tokens that it writes are control tokens */
  constructor(json: TokenizerJson, tokenizerConfig: Record<string, unknown>, chatTemplate: string) {
    const special = json.added_tokens.filter((token) => token.special);
    this.specials = new Map(special.map((token) => [token.content, token.id]));
    this.#specialIds = new Set(this.specials.values());
    const contents = controlContents(json.added_tokens, chatTemplate);
    const controls = json.added_tokens.filter(({ content }) => contents.has(content));
    const singleWord = controls.find((token) => token.single_word);
    if (singleWord) {
      throw new BundleError(FILE, `added token ${JSON.stringify(singleWord.content)}: single_word must be false`);
    }
    this.controls = new Map(controls.map((token) => [token.content, token.id]));
    this.#controlIds = new Set(this.controls.values());
    this.#contents = new Map([...special, ...controls].map(({ id, content }) => [id, content]));
    this.frame = specialFrame(json.post_processor);

    this.#readBytes(json);
    this.vocabSize = Object.values(json.model.vocab)
      .concat(json.added_tokens.map(({ id }) => id))
      .reduce((most, id) => Math.max(most, id + 1), 0);
    const longest = this.#bytes.reduce((most, bytes) => Math.max(most, bytes?.byteLength ?? 0), 1);
    // A normalizer may shorten text before it is cut into tokens. Composing letters, as NFC does,
    // makes at best one byte of three.
    this.maxTokenBytes = json.normalizer == null ? longest : 3 * longest;
    this.#writable = replaceUnwritable(this.#coveredBytes(json), FILE);
    this.dropsFirstSpace = dropsFirstSpace(json.decoder);

    try {
      const added_tokens = json.added_tokens.map((token) =>
        this.#controlIds.has(token.id) ? { ...token, content: aliasOf(token.id), normalized: false } : token,
      );
      this.#tokenizer = new Tokenizer(
        { ...json, added_tokens, pre_tokenizer: mendPreTokenizer(json.pre_tokenizer) },
        tokenizerConfig,
      );
    } catch (cause) {
      throw new BundleError(FILE, `the tokenizer cannot be built: ${String(cause)}`, { cause });
    }
    this.#checkPatterns();
    this.#checkNothingIsLost(json.model);
    for (const content of this.controls.keys()) this.encode(content);
  }

  /** The ids of a plain text. The text of a control token is text like any other. */
  encode(text: string): number[] {
    return this.encodeParts([text]);
  }

  /** The ids of a text with control tokens in it. A number is the id of a control token. */
  encodeParts(parts: readonly (string | number)[]): number[] {
    const pieces: string[] = [];
    let text = '';
    for (const part of parts) {
      if (typeof part === 'string') {
        text += part;
      } else {
        pieces.push(this.#writable(text), aliasOf(part));
        text = '';
      }
    }
    const whole = [...pieces, this.#writable(text)].join('');
    if (whole === '') return [];
    const ids: number[] = this.#tokenizer.encode(whole, { add_special_tokens: false }).ids;
    const wanted = parts.filter((part) => typeof part === 'number');
    const found = ids.filter((id) => this.#controlIds.has(id));
    if (found.length !== wanted.length || found.some((id, i) => id !== wanted[i])) {
      const id = found.find((candidate, i) => candidate !== wanted[i]);
      throw new BundleError(
        FILE,
        `plain text was encoded as the special token ${id}: its merges or vocabulary spell it out`,
      );
    }
    return ids;
  }

  /** The text that is encoded in the place of this one. docs/bundle.md says what differs. */
  asWritten(text: string): string {
    return this.#writable(text);
  }

  /** Whether the id is that of a control token. */
  isControl(id: number): boolean {
    return this.#controlIds.has(id);
  }

  /**
   * The bytes of a token, or undefined for a special token or an id without meaning. A mark of tool
   * calls has bytes in any case: answers consist of tokens with bytes.
   */
  bytesOf(id: number): Uint8Array | undefined {
    return this.#bytes[id];
  }

  /** Whether the id stands for a token, plain or special. */
  has(id: number): boolean {
    return this.#bytes[id] !== undefined || this.#specialIds.has(id);
  }

  decode(ids: readonly number[]): string {
    const chunks = ids.map((id) => this.#bytes[id] ?? new Uint8Array());
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(chunks));
    return this.dropsFirstSpace && text.startsWith(' ') ? text.slice(1) : text;
  }

  /** The text of any tokens. Special ones are in it by their contents. */
  decodeAll(ids: readonly number[]): string {
    const encoder = new TextEncoder();
    const chunks = ids.map((id) => this.#bytes[id] ?? encoder.encode(this.#contents.get(id)));
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(chunks));
    return this.dropsFirstSpace && text.startsWith(' ') ? text.slice(1) : text;
  }

  /** A token as the vocabulary writes it: `Ġthe`. Empty for an id without meaning. */
  tokenString(id: number): string {
    return this.#contents.get(id) ?? this.#tokenizer.id_to_token(id) ?? '';
  }

  #readBytes({ model, added_tokens }: TokenizerJson): void {
    const encoder = new TextEncoder();
    const fallback = model.byte_fallback === true;
    for (const [token, id] of Object.entries(model.vocab)) {
      if (this.#specialIds.has(id)) continue;
      const bytes = fallback ? fallbackTokenBytes(token) : tokenBytes(token);
      if (bytes) this.#bytes[id] = bytes;
      else if (!added_tokens.some((added) => added.id === id)) {
        throw new BundleError(FILE, `token ${id} ${JSON.stringify(token)} is not written in byte-level BPE`);
      }
    }
    for (const { content, id, special } of added_tokens) {
      if (!special || TOOL_MARKS.has(content))
        this.#bytes[id] = fallback ? fallbackTokenBytes(content) : encoder.encode(content);
    }
  }

  /** The bytes that a text can be written in, whatever its letters. */
  #coveredBytes({ model }: TokenizerJson): Set<number> {
    const covered = new Set<number>();
    for (const [token, id] of Object.entries(model.vocab)) {
      const bytes = this.#controlIds.has(id) ? undefined : this.#bytes[id];
      const byte = model.byte_fallback ? fallbackByte(token) : bytes?.byteLength === 1 ? bytes[0] : undefined;
      if (byte !== undefined) covered.add(byte);
    }
    return covered;
  }

  /** Its patterns meet text that clients write, in the thread that serves all of them. */
  #checkPatterns(): void {
    withinTime(
      () => {
        for (const text of HARD_TEXTS) this.#tokenizer.encode(text, { add_special_tokens: false });
      },
      () => new BundleError(FILE, 'found a pattern that does not come to an end, wanted one that reads any text'),
    );
  }

  /**
   * The library silently drops text that it has no token for. So we refuse a tokenizer that could
   * lose a letter.
   */
  #checkNothingIsLost({ vocab, merges }: TokenizerJson['model']): void {
    for (const merge of merges) {
      const product = (typeof merge === 'string' ? merge.split(' ', 2) : merge).join('');
      if (!Object.hasOwn(vocab, product))
        throw new BundleError(FILE, `the merge into ${JSON.stringify(product)} has no token`);
    }
    const back = this.decode(this.encode(ROUND_TRIP));
    // `add_prefix_space` may add one space in front.
    if (back.trimStart() !== ROUND_TRIP) {
      throw new BundleError(
        FILE,
        `loses text: ${JSON.stringify(ROUND_TRIP)} came back as ${JSON.stringify(back)}; wanted byte-level BPE or byte ` +
          'fallback without a normalizer that changes letters',
      );
    }
  }
}

/**
 * Three low surrogates: no well-formed text has two of them in a row. Only the first is U+DC00, so
 * an alias begins nowhere but at its start, whatever character is before it.
 */
function aliasOf(id: number): string {
  const unit = (value: number) => String.fromCharCode(0xdc01 + value);
  return `\udc00${unit(Math.floor(id / 1023))}${unit(id % 1023)}`;
}

/** Whether the decoder takes one space off the front of a text, which encoding had put there. */
function dropsFirstSpace(decoder: unknown): boolean {
  const sequence = SequenceDecoder.safeParse(decoder);
  if (sequence.success) return sequence.data.decoders.some(dropsFirstSpace);
  return StripDecoder.safeParse(decoder).success || PrependingMetaspace.safeParse(decoder).success;
}
