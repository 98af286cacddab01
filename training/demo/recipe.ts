/** Everything that decides the demo bundle, in one place. `npm run train:demo` repeats it from the seed. */
import type { LlamaConfig } from '#gpu-backend/model/config.ts';
import { OPEN_LINE } from '#shared/protocol/directive.ts';
import { SPECIAL_TOKENS } from '../tokenizer/train-bpe.ts';

const token = (content: (typeof SPECIAL_TOKENS)[number]) => SPECIAL_TOKENS.indexOf(content);

export const DEMO = {
  seed: 7,
  config: {
    model_type: 'llama',
    vocab_size: 4096,
    hidden_size: 256,
    intermediate_size: 688,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: token('<|bos|>'),
    eos_token_id: token('<|end|>'),
    pad_token_id: token('<|pad|>'),
  } satisfies LlamaConfig,
  /**
   * The small world alone: at this size every share of real text costs fluency (docs/training.md has the trial). Questions lose words
   * (any keyword left must do), and the tokens that open an answer count double: they decide its topic, and held-out wordings
   * are most easily mistaken for another topic's.
   */
  base: {
    corpus: { worldDialogues: 110_000, realShare: 0, wordDropout: 0.1 },
    sft: {
      steps: 5_000,
      tokensPerBatch: 1536,
      learningRate: 3e-3,
      promptWeight: 0.2,
      opening: { tokens: 8, weight: 2 },
    },
    /** A second, shorter run on top: words that the wordings lack, many questions being asked in a few of their topic's. */
    keywords: {
      corpus: { worldDialogues: 30_000, realShare: 0, wordDropout: 0.1, keywordShare: 0.4 },
      steps: 1_200,
      learningRate: 1.5e-3,
    },
  },
  /**
   * The runs (training/methods/runs.ts) that the bundle is put together from. The router over the logits is not among them: it did not
   * beat a constant weight, and refused more ordinary questions (docs/evaluation, docs/training.md).
   */
  parts: { experts: ['spe-safety', 'spe-helpfulness'], routers: ['layers'] },
  worldPairs: 4_000,
  /** The reward and the cost model: what the experts' margins and D_dual are judged by. */
  score: { rank: 16, alpha: 32, learningRate: 1e-3, pairsPerBatch: 16, epochs: 1 },
  expert: {
    rank: 16,
    alpha: 32,
    beta: 0.3,
    nllWeight: 0.5,
    learningRate: 1e-3,
    pairsPerBatch: 16,
    epochs: 1,
    variant: 'corrected',
  },
  dual: 'corrected',
  router: { width: 32, beta: 0.1, lambda: 1, learningRate: 3e-3, pairsPerBatch: 16, epochs: 1, variant: 'corrected' },
  defaultWeight: 0.2,
  evaluation: { temperature: 0.7, topP: 0.9, seed: 11, maxTokens: 160 },
  /** The demo tenants' lines (policies/demo), measured beside the experts alone. */
  lines: {
    'strict: floor 0.9, budget 2': { ...OPEN_LINE, floor: 0.9, budget: 2 },
    'balanced: floor 0.3, budget 20': { ...OPEN_LINE, floor: 0.3, budget: 20 },
    'open: floor 0': { ...OPEN_LINE, floor: 0, budget: null },
    'open, mixed in the layers': { ...OPEN_LINE, floor: 0, budget: null, mode: 'layers' },
  },
} as const;
