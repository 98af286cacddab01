/**
 * How a byte-level BPE cuts a text before it merges. A GGUF file only names it
 * (`tokenizer.ggml.pre`); these are the same cuts in the words of `tokenizer.json`, as the models'
 * own files have them.
 */
type Cutter = {
  preTokenizer: object;
  normalizer: object | null;
  /** A piece that is a token as a whole becomes it, without merges. */
  ignoreMerges: boolean;
};

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

const split = (regex: string): object => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, byteLevel(false)],
});

/** Words of GPT-4's style, with runs of `digits`. */
const words = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|` +
  '\\s+(?!\\S)|\\s+';
const [UPPER, LOWER] = ['\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}', '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}'];
const TEKKEN =
  `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*|\\p{N}|` +
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const GPT2: Cutter = { preTokenizer: byteLevel(true), normalizer: null, ignoreMerges: false };
const LLAMA3: Cutter = { preTokenizer: split(words('\\p{N}{1,3}')), normalizer: null, ignoreMerges: true };
const QWEN2: Cutter = { preTokenizer: split(words('\\p{N}')), normalizer: { type: 'NFC' }, ignoreMerges: false };
const SINGLE_DIGITS: Cutter = {
  ...GPT2,
  preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
};

/** By llama.cpp's name. */
export const PRE_TOKENIZERS: Readonly<Record<string, Cutter>> = {
  'gpt-2': GPT2,
  'llama-bpe': LLAMA3,
  'llama-v3': LLAMA3,
  llama3: LLAMA3,
  qwen2: QWEN2,
  'deepseek-r1-qwen': QWEN2,
  smollm: SINGLE_DIGITS,
  starcoder: SINGLE_DIGITS,
  tekken: { preTokenizer: split(TEKKEN), normalizer: null, ignoreMerges: true },
};
