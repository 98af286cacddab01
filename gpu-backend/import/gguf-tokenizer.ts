/**
 * `tokenizer.json`, `tokenizer_config.json` and the chat template from the metadata of a GGUF file.
 * llama.cpp's tokenizer "gpt2" is a byte-level BPE, "llama" is SentencePiece's BPE with byte
 * fallback. Others are refused by name.
 */
import type { GgufSource } from '#gpu-backend/gguf/open-gguf.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { PRE_TOKENIZERS } from './gguf-pre-tokenizers.ts';
import { mergesFromScores } from './merges-from-scores.ts';

export type GgufTokenizer = {
  /** The content of tokenizer.json and tokenizer_config.json. */
  json: Record<string, unknown>;
  config: Record<string, unknown>;
  /** The tokens that end an answer. */
  eosIds: number[];
  /** Jinja; undefined if the file has none. */
  chatTemplate: string | undefined;
};

/** llama.cpp's `enum llama_token_type`. 5 is an unused id, 6 a byte of SentencePiece. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/**
 * Control tokens that end an answer, whatever the metadata say: older files name only one, which
 * may be the end of a document rather than of a turn. llama.cpp goes by their texts too.
 */
const ENDS = ['<|eot_id|>', '<|eom_id|>', '<|im_end|>', '<|end|>', '<|endoftext|>', '<|end_of_text|>', '</s>'];
const END_KEYS = ['eos_token_id', 'eot_token_id', 'eom_token_id'].map((key) => `tokenizer.ggml.${key}`);

/** Throws a CheckpointError that names the key if one is missing, wrong, or not for us to read. */
export function ggufTokenizer(gguf: Pick<GgufSource, 'file' | 'metadata'>): GgufTokenizer {
  const metadata = new GgufMetadata(gguf);
  const model = metadata.needed(MODEL, metadata.text(MODEL));
  if (!Object.hasOwn(MODELS, model))
    metadata.refuse(
      MODEL,
      Object.keys(MODELS)
        .map((name) => `"${name}"`)
        .join(' or '),
    );
  const tokens = metadata.needed(TOKENS, metadata.texts(TOKENS));
  const types = metadata.numbers(TYPES) ?? tokens.map(() => 1);
  if (types.length !== tokens.length) metadata.refuse(TYPES, `a list of ${tokens.length}, one for each token`);

  const added_tokens = tokens.flatMap((content, id) =>
    isAdded(types[id]) && content !== ''
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] !== USER_DEFINED,
          },
        ]
      : [],
  );
  const kept = tokens.map((_, id) => id).filter((id) => types[id] !== UNUSED);
  // SentencePiece's pieces are all in its vocabulary; of a byte-level one, only what is in its
  // alphabet.
  const inModel = model === 'llama' ? kept : kept.filter((id) => !isAdded(types[id]));
  const vocab = new Map(inModel.map((id) => [tokens[id]!, id]));
  if (vocab.size !== inModel.length) metadata.refuse(TOKENS, 'every token once', 'the same token twice');

  const textOf = (key: string) => {
    const id = metadata.number(`tokenizer.ggml.${key}`);
    if (id === undefined) return undefined;
    return tokens[id] ?? metadata.refuse(`tokenizer.ggml.${key}`, `one of the ${tokens.length} tokens`);
  };
  const [bos, eos, unknown, pad] = ['bos_token_id', 'eos_token_id', 'unknown_token_id', 'padding_token_id'].map(textOf);
  if (eos === undefined) metadata.refuse('tokenizer.ggml.eos_token_id', 'this key');
  const named = END_KEYS.map((key) => metadata.number(key)).filter((id) => id !== undefined);
  const known = added_tokens.filter(({ content, special }) => special && ENDS.includes(content)).map(({ id }) => id);
  return {
    json: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens,
      ...MODELS[model]!({ metadata, vocab, isOrdinary: (id) => types[id] === 1, unknown }),
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...(bos !== undefined && { bos_token: bos }),
      eos_token: eos,
      ...(pad !== undefined && { pad_token: pad }),
      clean_up_tokenization_spaces: false,
    },
    eosIds: [...new Set([...named, ...known])],
    chatTemplate: metadata.text('tokenizer.chat_template'),
  };
}

const MODEL = 'tokenizer.ggml.model';
const TOKENS = 'tokenizer.ggml.tokens';
const TYPES = 'tokenizer.ggml.token_type';

const isAdded = (type: number | undefined) => type === UNKNOWN || type === CONTROL || type === USER_DEFINED;

type Source = {
  metadata: GgufMetadata;
  vocab: ReadonlyMap<string, number>;
  /** The ids of ordinary tokens, which merges may make. */
  isOrdinary: (id: number) => boolean;
  unknown: string | undefined;
};

/** SentencePiece's own limit is 16 characters. All ways to cut a token are tried. */
const MOST_CHARACTERS = 200;

/** The parts of tokenizer.json that differ, by llama.cpp's name of the tokenizer. */
const MODELS: Readonly<Record<string, (source: Source) => Record<string, unknown>>> = {
  gpt2: ({ metadata, vocab }) => {
    const key = 'tokenizer.ggml.pre';
    const name = metadata.needed(key, metadata.text(key));
    if (!Object.hasOwn(PRE_TOKENIZERS, name)) metadata.refuse(key, `one of ${Object.keys(PRE_TOKENIZERS).join(', ')}`);
    const { preTokenizer, normalizer, ignoreMerges } = PRE_TOKENIZERS[name]!;
    const byteLevel = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true };
    return {
      normalizer,
      pre_tokenizer: preTokenizer,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: ignoreMerges,
        vocab: Object.fromEntries(vocab),
        merges: metadata.needed('tokenizer.ggml.merges', metadata.texts('tokenizer.ggml.merges')),
      },
    };
  },
  llama: ({ metadata, vocab, isOrdinary, unknown }) => {
    const scores = metadata.needed('tokenizer.ggml.scores', metadata.numbers('tokenizer.ggml.scores'));
    const ordinary = new Map([...vocab].filter(([, id]) => isOrdinary(id)));
    const long = [...ordinary.keys()].find(({ length }) => length > MOST_CHARACTERS);
    if (long !== undefined) {
      metadata.refuse(TOKENS, `at most ${MOST_CHARACTERS} characters in a token`, `one of ${long.length}`);
    }
    const prefix = metadata.boolean('tokenizer.ggml.add_space_prefix') ?? true;
    const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    return {
      normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, spaces] } : spaces,
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: unknown ?? null,
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(vocab),
        merges: mergesFromScores(ordinary, scores),
      },
    };
  },
};
