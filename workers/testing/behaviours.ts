/** The ways in which a scripted backend keeps its contract, or breaks it in one chosen way. */
import type { Receipt } from '#shared/protocol/receipt.ts';

export type Behaviour =
  | 'answer'
  /**
   * Sends one frame at a time, with a pause after each; `answer-forever` goes on for as long as
   * somebody listens.
   */
  | 'answer-slowly'
  | 'answer-forever'
  /** Judges no answer before it behaves otherwise. */
  | 'hold-scores'
  | 'refuse-overloaded'
  | 'refuse-as-a-proxy-would'
  | 'refuse-directive'
  | 'die-before-start'
  | 'never-start'
  /** Like a suspended process: it answers nothing, not even health. */
  | 'hang'
  /** Says that the request waits, for longer than a backend may be silent, and then answers. */
  | 'wait-first'
  | 'wait-forever'
  /** Says that it reads the prompt, for longer than a backend may be silent, and then answers. */
  | 'read-first'
  | 'error-first'
  | 'start-as-another-model'
  | 'die-after-start'
  | 'die-midway'
  | 'stall-midway'
  /** The same, and from then on every request finds it dead. */
  | 'die-for-good-midway'
  | 'stall-for-good-midway'
  | 'error-midway'
  | 'bad-frame-midway'
  /** Ends in the middle of a frame. */
  | 'cut-midway'
  /** Vouches for something else from some token on. */
  | 'wrong-mac-midway'
  | 'end-without-receipt'
  | 'go-on-after-end'
  | 'forge-receipt'
  | 'replay-receipt'
  | keyof typeof LIES
  | 'say-other-words'
  | 'cross-the-floor'
  | 'leave-safety-out'
  /** Its template adds more to a prompt than the edge thinks possible. */
  | 'count-many'
  | 'find-more-than-asked'
  | 'overspend'
  | 'hide-the-look'
  | 'stay-loose-after-the-look'
  | 'refuse-on-its-own';

/** Receipts that are correctly signed, but say something other than the frames. */
export const LIES = {
  'sign-as-another': { backend: 'somebody-else' },
  'sign-other-runs': { ran: { safety: 1000 } },
  'sign-another-bundle': { bundle: 'b0' },
  'sign-another-model': { model: 'another' },
  'sign-other-draws': { draws: 'other' },
  'sign-another-end': { finish_reason: 'length' },
  'sign-other-usage': { usage: { prompt_tokens: 1, completion_tokens: 999_999, total_tokens: 1_000_000 } },
  'sign-no-tokens': {
    usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 },
    weights: { min: 0, mean: 0, max: 0 },
  },
  'sign-odd-weights': { weights: { min: 0.9, mean: 0.1, max: 0.95 } },
  'sign-another-line': { signed_line: '0'.repeat(64) },
  'sign-another-limit': { max_tokens: 4 },
  'sign-less-spent': { spent: -1e9 },
} as const satisfies Record<string, Partial<Receipt>>;
