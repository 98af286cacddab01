/**
 * A byte-level BPE tokenizer in Hugging Face's format, read by @huggingface/tokenizers, with one
 * addition: `encode` never yields a special token. The text of a special token in a message becomes
 * its letters, not its meaning. So a user cannot close their own turn and open the system's.
 * Special tokens come only from the template.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import * as z from 'zod';
import { BundleError } from './bundle-error.ts';
import { tokenBytes } from './byte-alphabet.ts';

const FILE = 'tokenizer.json';
/** One, two, three and four bytes of UTF-8, a space and a newline. */
const ROUND_TRIP = 'a é\n€ 😀';

const AddedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  special: z.boolean().default(false),
});
export const TokenizerJson = z.looseObject({
  added_tokens: z.array(AddedToken),
  model: z.looseObject({
    type: z.literal('BPE'),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
export type TokenizerJson = z.infer<typeof TokenizerJson>;

export class BundleTokenizer {
  /** The highest id plus one. */
  readonly vocabSize: number;
  /** The length of the longest token: a text of n bytes has at least n / maxTokenBytes tokens. */
  readonly maxTokenBytes: number;
  /** Content -> id of the special tokens. */
  readonly specials: ReadonlyMap<string, number>;
  readonly #bytes: (Uint8Array | undefined)[] = [];
  readonly #tokenizer: Tokenizer;
  readonly #specialIds: ReadonlySet<number>;

  constructor(json: TokenizerJson, tokenizerConfig: Record<string, unknown>) {
    const special = json.added_tokens.filter((token) => token.special);
    this.specials = new Map(special.map((token) => [token.content, token.id]));
    this.#specialIds = new Set(this.specials.values());

    const vocabulary: [string, number][] = [
      ...Object.entries(json.model.vocab),
      ...json.added_tokens.map(({ content, id }): [string, number] => [content, id]),
    ];
    const plain = new Set(json.added_tokens.filter((token) => !token.special).map((token) => token.content));
    for (const [token, id] of vocabulary) {
      if (this.#specialIds.has(id)) continue;
      const bytes = plain.has(token) ? new TextEncoder().encode(token) : tokenBytes(token);
      if (!bytes) throw new BundleError(FILE, `token ${id} ${JSON.stringify(token)} is not written in byte-level BPE`);
      this.#bytes[id] = bytes;
    }
    this.vocabSize = vocabulary.reduce((most, [, id]) => Math.max(most, id + 1), 0);
    this.maxTokenBytes = this.#bytes.reduce((most, bytes) => Math.max(most, bytes?.byteLength ?? 0), 1);

    try {
      // The library does not learn of special tokens, so it cannot match them in a text.
      this.#tokenizer = new Tokenizer(
        { ...json, added_tokens: json.added_tokens.filter((t) => !t.special) },
        tokenizerConfig,
      );
    } catch (cause) {
      throw new BundleError(FILE, `the tokenizer cannot be built: ${String(cause)}`, { cause });
    }
    this.#checkNothingIsLost(json.model);
    for (const content of this.specials.keys()) this.encode(content);
  }

  /** The ids of a plain text. The text of a special token is text like any other. */
  encode(text: string): number[] {
    if (text === '') return [];
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    for (const id of ids) {
      if (this.#specialIds.has(id)) {
        throw new BundleError(
          FILE,
          `plain text was encoded as the special token ${id}: its merges or vocabulary spell it out`,
        );
      }
    }
    return ids;
  }

  /** The bytes of a token, or undefined for a special token or an id without meaning. */
  bytesOf(id: number): Uint8Array | undefined {
    return this.#bytes[id];
  }

  /** Whether the id stands for a token, plain or special. */
  has(id: number): boolean {
    return this.#bytes[id] !== undefined || this.#specialIds.has(id);
  }

  decode(ids: readonly number[]): string {
    const chunks = ids.map((id) => this.#bytes[id] ?? new Uint8Array());
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(chunks));
  }

  /**
   * The library silently drops text that it has no token for. So we refuse a tokenizer that could
   * lose a letter.
   */
  #checkNothingIsLost({ vocab, merges }: TokenizerJson['model']): void {
    const covered = new Set(this.#bytes.flatMap((bytes) => (bytes?.byteLength === 1 ? [bytes[0]!] : [])));
    for (let byte = 0; byte < 256; byte++) {
      if (!covered.has(byte))
        throw new BundleError(FILE, `no token for the byte ${byte}: found ${covered.size} of 256 bytes`);
    }
    for (const merge of merges) {
      const product = (typeof merge === 'string' ? merge.split(' ', 2) : merge).join('');
      if (!Object.hasOwn(vocab, product))
        throw new BundleError(FILE, `the merge into ${JSON.stringify(product)} has no token`);
    }
    const back = this.decode(this.encode(ROUND_TRIP));
    // `add_prefix_space` may add one space in front.
    if (back.trimStart() !== ROUND_TRIP) {
      throw new BundleError(FILE, `not byte-level: ${JSON.stringify(ROUND_TRIP)} came back as ${JSON.stringify(back)}`);
    }
  }
}
