/**
 * What a GGUF file says of the tokenizer, out of `tokenizer.json`. The counterpart of
 * ../import/gguf-tokenizer.ts, which reads what is written here and must find the same: a tokenizer
 * that llama.cpp cannot have as it is is refused, and never written nearly right.
 *
 * A gate node sends ids, so llama.cpp's tokenizer has no part in an answer. `plimsoll model check`
 * compares it with the bundle's, to notice another model.
 */
import * as z from 'zod';
import { bool, text, uint32, type WrittenValue } from '#gpu-backend/gguf/written-value.ts';
import { mergesFromScores } from '#gpu-backend/import/merges-from-scores.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { type DecoderConfig, eosIds } from '#gpu-backend/model/config.ts';
import type { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { preTokenizerName } from './pre-tokenizer-name.ts';

/** llama.cpp's `enum llama_token_type`. */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const FILE = BUNDLE_FILES.tokenizer;

const Spaces = z.object({
  type: z.literal('Replace'),
  pattern: z.strictObject({ String: z.literal(' ') }),
  content: z.literal('▁'),
});
/** SentencePiece's two: with a space put before a text, and without. */
const SpaceNormalizer = z.union([
  Spaces.transform(() => ({ prefix: false })),
  z
    .object({
      type: z.literal('Sequence'),
      normalizers: z.tuple([z.object({ type: z.literal('Prepend'), prepend: z.literal('▁') }), Spaces]),
    })
    .transform(() => ({ prefix: true })),
]);

/**
 * @param json the bundle's tokenizer.json
 * @throws BundleError if llama.cpp has no such tokenizer
 */
export function tokenizerMetadata(
  json: TokenizerJson,
  {
    config,
    tokenizer,
    chatTemplate,
  }: { config: DecoderConfig; tokenizer: Pick<BundleTokenizer, 'controls' | 'frame'>; chatTemplate: string },
): Map<string, WrittenValue> {
  const { tokens, types } = tokenList(json, { size: config.vocab_size, controls: tokenizer.controls });
  const own = json.model.byte_fallback === true ? sentencePiece(json, tokens, types) : byteLevel(json);
  const [eos, eot, eom] = eosIds(config);
  const { bos_token_id: bos, pad_token_id: pad } = config;
  const { before = [], after = [] } = tokenizer.frame ?? {};
  const unknown = json.model.byte_fallback === true ? tokens.indexOf(String(json.model.unk_token)) : -1;
  const ids = { bos, eos, eot, eom, padding: pad, unknown: unknown === -1 ? null : unknown };
  return new Map<string, WrittenValue>([
    ...Object.entries(own).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const),
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: types }],
    ...Object.entries(ids).flatMap(([name, id]): [string, WrittenValue][] =>
      id == null ? [] : [[`tokenizer.ggml.${name}_token_id`, uint32(id)]],
    ),
    ['tokenizer.ggml.add_bos_token', bool(bos !== null && before.includes(bos))],
    ['tokenizer.ggml.add_eos_token', bool(eos !== undefined && after.includes(eos))],
    ['tokenizer.chat_template', text(chatTemplate)],
  ]);
}

/** Every row of the embedding has a token in the file, and those without a meaning are unused. */
function tokenList(
  { added_tokens, model }: TokenizerJson,
  { size, controls }: { size: number; controls: ReadonlyMap<string, number> },
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = Array.from({ length: size }, (): number => TYPE.unused);
  const set = (id: number, token: string, type: number) => {
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) {
    set(id, token, model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(token) ? TYPE.byte : TYPE.normal);
  }
  for (const { id, content } of added_tokens) {
    const unknown = model.byte_fallback === true && content === model.unk_token;
    set(id, content, unknown ? TYPE.unknown : controls.has(content) ? TYPE.control : TYPE.userDefined);
  }
  if (new Set(tokens).size < size)
    throw new BundleError(FILE, 'found a token twice, wanted each once, as llama.cpp does');
  return { tokens, types };
}

function byteLevel({ model, pre_tokenizer: preTokenizer, normalizer }: TokenizerJson): Record<string, WrittenValue> {
  const name = preTokenizerName({ preTokenizer, normalizer, ignoreMerges: model.ignore_merges === true });
  if (name === undefined) {
    throw new BundleError(
      FILE,
      'pre_tokenizer, normalizer and ignore_merges: found a cut that llama.cpp has no name for',
    );
  }
  return { model: text('gpt2'), pre: text(name), merges: { type: 'strings', value: mergesOf(model) } };
}

/**
 * llama.cpp joins the neighbours whose union has the best score, so the scores are the ranks of the
 * merges. What comes back from them must be the same list.
 */
function sentencePiece(
  { model, normalizer, pre_tokenizer }: TokenizerJson,
  tokens: readonly string[],
  types: readonly number[],
): Record<string, WrittenValue> {
  const spaces = SpaceNormalizer.safeParse(normalizer);
  if (!spaces.success || pre_tokenizer != null) {
    throw new BundleError(FILE, "normalizer, pre_tokenizer: found others than SentencePiece's, as llama.cpp has them");
  }
  const merges = mergesOf(model);
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const token = merge.replace(' ', '');
    if (!ranks.has(token)) ranks.set(token, rank);
  }
  const scores = tokens.map((token) => -(ranks.get(token) ?? merges.length));
  const ordinary = new Map(tokens.flatMap((token, id) => (types[id] === TYPE.normal ? [[token, id] as const] : [])));
  const back = mergesFromScores(ordinary, scores);
  const at = merges.findIndex((merge, i) => merge !== back[i]);
  if (at !== -1 || back.length !== merges.length) {
    const place = at === -1 ? merges.length : at;
    throw new BundleError(
      FILE,
      `merges: found ${merges[place]} at ${place}, wanted ${back[place]}, as llama.cpp joins`,
    );
  }
  return {
    model: text('llama'),
    pre: text('default'),
    scores: { type: 'float32s', value: scores },
    add_space_prefix: bool(spaces.data.prefix),
  };
}

const mergesOf = ({ merges }: TokenizerJson['model']) =>
  merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
