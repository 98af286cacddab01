/**
 * Two pre-tokenizers of @huggingface/tokenizers 0.2.0 cut text otherwise than the Rust library.
 * The library takes `\d` and `\s` as JavaScript does. But Rust's `Digits` cuts at every numeric
 * character, such as `½`, `Ⅻ` and the digits of other scripts. And in Rust's `ByteLevel`, U+0085 is
 * white space and U+FEFF is not. In a `Split`, the library gets both right. So we hand it one.
 */

/** The words of GPT-2, as `ByteLevel` finds them. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export function mendPreTokenizer(preTokenizer: unknown): unknown {
  if (typeof preTokenizer !== 'object' || preTokenizer === null) return preTokenizer;
  const config = preTokenizer as Record<string, unknown>;
  switch (config.type) {
    case 'Digits':
      return cutAt(config.individual_digits === true ? '\\p{N}' : '\\p{N}+');
    case 'ByteLevel':
      // The space in front goes before the cut, so a tokenizer that adds one stays as it is.
      if (config.use_regex === false || config.add_prefix_space === true) return config;
      return { type: 'Sequence', pretokenizers: [cutAt(WORDS), { ...config, use_regex: false }] };
    case 'Sequence':
      if (!Array.isArray(config.pretokenizers)) return config;
      return { ...config, pretokenizers: config.pretokenizers.map(mendPreTokenizer) };
    default:
      return config;
  }
}

const cutAt = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
