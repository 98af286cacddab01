/**
 * Learns a byte-level BPE vocabulary (Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2)
 * and writes it as Hugging Face's `tokenizer.json`. A library reads such a file
 * (@huggingface/tokenizers), but none on npm learns one.
 *
 * It learns merges from distinct words and their counts. To keep the pair counts up to date, a
 * merge touches only the words that contain the merged pair. So 4,096 merges over a few million
 * words take only seconds.
 */
import { BYTE_CHARACTERS } from '#gpu-backend/model/byte-alphabet.ts';
import type { TokenizerJson } from '#gpu-backend/model/tokenizer.ts';

/** Splits text into words like GPT-2, as in Hugging Face's ByteLevel pre-tokenizer. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export const SPECIAL_TOKENS = ['<|pad|>', '<|bos|>', '<|system|>', '<|user|>', '<|assistant|>', '<|end|>'] as const;

type Word = { symbols: number[]; count: number };

/**
 * Learns a tokenizer of `vocabSize` tokens: the special tokens, the 256 bytes, then merges in order
 * of falling count. The pair's ids break ties, so that the same text gives the same file. Throws if
 * the text is too small to fill the vocabulary.
 */
export function trainBpe(texts: Iterable<string>, { vocabSize }: { vocabSize: number }): TokenizerJson {
  const tokens: string[] = [...SPECIAL_TOKENS, ...BYTE_CHARACTERS];
  const firstByte = SPECIAL_TOKENS.length;
  const words = countWords(texts, firstByte);
  const pairs = new PairCounts(words);
  const merges: [string, string][] = [];
  while (tokens.length < vocabSize) {
    const best = pairs.mostFrequent();
    if (best === null) {
      throw new Error(`the text fills only ${tokens.length} of ${vocabSize} tokens: give more text or a smaller size`);
    }
    const [left, right] = best;
    merges.push([tokens[left]!, tokens[right]!]);
    pairs.merge(left, right, tokens.length);
    tokens.push(tokens[left]! + tokens[right]!);
  }
  return tokenizerJson(tokens, merges);
}

function countWords(texts: Iterable<string>, firstByte: number): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([word, count]) => ({ symbols: Array.from(encoder.encode(word), (byte) => firstByte + byte), count }));
}

/** Tracks how often each neighbouring pair occurs, and in which words. */
class PairCounts {
  readonly #words: Word[];
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, Set<number>>();

  constructor(words: Word[]) {
    this.#words = words;
    words.forEach((_, i) => {
      this.#count(i, 1);
    });
  }

  mostFrequent(): [number, number] | null {
    let best = -1;
    let bestCount = 1; // A pair that occurs only once is not a pattern.
    for (const [pair, count] of this.#counts) {
      if (count > bestCount || (count === bestCount && best >= 0 && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    return best < 0 ? null : [Math.floor(best / PAIR_BASE), best % PAIR_BASE];
  }

  merge(left: number, right: number, merged: number): void {
    const places = this.#places.get(left * PAIR_BASE + right) ?? new Set();
    for (const at of [...places]) {
      this.#count(at, -1);
      const word = this.#words[at]!;
      const symbols: number[] = [];
      for (let i = 0; i < word.symbols.length; i++) {
        const found = word.symbols[i] === left && word.symbols[i + 1] === right;
        symbols.push(found ? merged : word.symbols[i]!);
        if (found) i++;
      }
      word.symbols = symbols;
      this.#count(at, 1);
    }
  }

  #count(at: number, sign: 1 | -1): void {
    const { symbols, count } = this.#words[at]!;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair = symbols[i]! * PAIR_BASE + symbols[i + 1]!;
      const next = (this.#counts.get(pair) ?? 0) + sign * count;
      if (next === 0) this.#counts.delete(pair);
      else this.#counts.set(pair, next);
      const places = this.#places.get(pair) ?? new Set();
      this.#places.set(pair, places);
      if (sign > 0) places.add(at);
      else places.delete(at);
    }
  }
}

/** Packs two ids into one number. It is above any vocabulary size, and its square is below 2^53. */
const PAIR_BASE = 2 ** 24;

function tokenizerJson(tokens: readonly string[], merges: [string, string][]): TokenizerJson {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
