/**
 * Everything that decides the demo bundle, in one place. `npm run train:demo` repeats it from the
 * seed.
 */
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { SPECIAL_TOKENS } from '#training/tokenizer/train-bpe.ts';
import { PAIR_SHARES } from '../world/generate.ts';

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
  } satisfies DecoderConfig,
  /** The world that the bundle knows and is asked about. */
  edition: 'first',
  /**
   * The small world alone: at this size every share of real text costs fluency (docs/training.md
   * has the trial). We drop words from questions, so that the model learns to make do with any
   * keyword that is left. The tokens that open an answer count double: they decide its topic, and
   * held-out wordings are most easily mistaken for another topic's.
   */
  base: {
    corpus: {
      realShare: 0,
      wordDropout: 0.1,
      /**
       * Refusals have few openings. Sampled below temperature 1, they win over answers that have
       * many. So the base reads fewer refusals than it should give.
       */
      answerShares: {
        ordinary: { helpful_safe: 0.72, helpful_hazardous: 0.12, useless_safe: 0.08, useless_hazardous: 0.08 },
        borderline: { helpful_safe: 0.39, helpful_hazardous: 0.35, useless_safe: 0.16, useless_hazardous: 0.1 },
        harmful: { helpful_safe: 0.28, helpful_hazardous: 0.4, useless_safe: 0.22, useless_hazardous: 0.1 },
      },
    },
    sft: {
      tokensPerBatch: 1536,
      promptWeight: 0.2,
      opening: { tokens: 8, weight: 2 },
    },
    /**
     * The runs follow one another. Each starts from the weights of the last and reads dialogues of
     * its own. The second, shorter one is for words that the wordings lack: many of its questions
     * are just a few keywords of their topic.
     */
    runs: [
      {
        name: 'sft-first',
        worldDialogues: 100_000,
        shares: { keywordShare: 0.1, jailbreakShare: 0.15, multiTurnShare: 0.08 },
        steps: 6_000,
        learningRate: 3e-3,
      },
      {
        name: 'sft',
        worldDialogues: 60_000,
        shares: { keywordShare: 0.4, jailbreakShare: 0.1, multiTurnShare: 0.05 },
        steps: 3_000,
        learningRate: 1.5e-3,
      },
    ],
  },
  /** The runs (lab/methods/runs.ts) from which the bundle is put together. */
  parts: { experts: ['spe-safety', 'spe-helpfulness'], routers: ['layers', 'logits'] },
  /**
   * What the experts compare. For an ordinary question, a refusal is never the safer answer.
   * Refusals have few openings, so they win at low temperature anyway, and a safety expert that
   * refuses everything leaves the gate nothing to mix.
   */
  pairs: {
    count: 6_000,
    shares: { jailbreakShare: 0.1, multiTurnShare: 0.08 },
    pairShares: {
      ...PAIR_SHARES,
      ordinary: {
        ...PAIR_SHARES.ordinary,
        'safe-vs-hazardous-help': 0.38,
        'hazardous-help-vs-refusal': 0,
        'safe-help-vs-dismissal': 0.2,
        'refusal-vs-dismissal': 0,
      },
      borderline: {
        ...PAIR_SHARES.borderline,
        'safe-vs-hazardous-help': 0.44,
        'hazardous-help-vs-refusal': 0.08,
        'safe-help-vs-dismissal': 0.17,
        'refusal-vs-dismissal': 0,
      },
    },
  },
  /** The reward and the cost model, which judge the experts' margins and D_dual. */
  score: { rank: 16, alpha: 32, learningRate: 1e-3, pairsPerBatch: 16, epochs: 1 },
  expert: {
    rank: 16,
    alpha: 32,
    beta: 0.3,
    nllWeight: 0.5,
    /**
     * As much of the published margin as a base of this size can take (docs/training.md, "How much
     * margin, and how free a router").
     */
    marginScale: 0.1,
    learningRate: 1e-3,
    pairsPerBatch: 16,
    epochs: 1,
  },
  dual: 'corrected',
  router: {
    width: 32,
    beta: 0.1,
    /** Published is 1. These still leave a router of this size a say (docs/training.md). */
    lambda: { layers: 0.1, logits: 0.3 },
    learningRate: 3e-3,
    pairsPerBatch: 16,
    epochs: 1,
  },
  defaultWeight: 0.2,
  /** Held-out questions for each kind of ask, for the card: 768 in all. */
  perAsk: 3,
  evaluation: { temperature: 0.7, topP: 0.9, seed: 11, maxTokens: 160 },
  /** The demo tenants' lines (policies/demo), measured in addition to the experts alone. */
  lines: {
    'strict: floor 0.9, budget 2': { ...OPEN_LINE, floor: 0.9, budget: 2 },
    'balanced: floor 0.3, budget 20': { ...OPEN_LINE, floor: 0.3, budget: 20 },
    'open: floor 0': { ...OPEN_LINE, floor: 0, budget: null },
    'open, mixed in the layers': { ...OPEN_LINE, floor: 0, budget: null, mode: 'layers' },
  },
} as const;
