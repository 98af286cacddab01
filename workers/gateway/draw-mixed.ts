/**
 * One token from two rows that came from different places. A helpfulness row that makes no sense
 * closes the gate, and then it has not run: receipts count the rows that could shape a token.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import {
  GateError,
  type GateStep,
  gateStep,
  gateTruncatedStep,
  logSoftmax,
  type OwnRow,
  pairRows,
} from '#shared/gate/index.ts';
import type { ExpertRow } from '#shared/protocol/expert-messages.ts';

type Drawing = { topK: number | null } & Omit<Parameters<typeof gateStep>[0], 'safetyLogits' | 'helpfulLogits'>;

/** `isMixed`: the helpfulness expert's row was fit to be drawn from. */
export function drawMixed(
  safety: ExpertRow,
  helpful: ExpertRow | null,
  { topK, ...rest }: Drawing,
): { step: GateStep; isMixed: boolean } {
  try {
    if (topK === null && 'logits' in safety) {
      // One that sends another kind of row counts as failed.
      const helpfulLogits = helpful !== null && 'logits' in helpful ? helpful.logits : null;
      const step = gateStep({ safetyLogits: safety.logits, helpfulLogits, ...rest });
      const rows = () => ({ safety: logSoftmax(safety.logits), helpful: helpfulLogits && logSoftmax(helpfulLogits) });
      return { step, isMixed: helpfulLogits !== null && couldMix(step, rows, rest) };
    }
    if (topK !== null && 'ids' in safety) {
      const beside: OwnRow | null = helpful !== null && 'ids' in helpful ? helpful : null;
      const paired = pairRows(safety, beside, { topK });
      const step = gateTruncatedStep({ rows: paired, ...rest });
      const rows = () => ({ safety: paired.safetyLogprobs, helpful: paired.helpfulLogprobs });
      return { step, isMixed: couldMix(step, rows, rest) };
    }
  } catch (cause) {
    if (!(cause instanceof GateError)) throw cause;
    throw unusable(cause);
  }
  throw unusable(undefined);
}

type Logprobs = { safety: Float64Array | null; helpful: Float64Array | null };

/**
 * Whether the gate could mix these rows. Below the weight 1, it has. At 1 it is closed, or the line
 * wants the safety expert alone at this token; only then is it worth looking at the rows again.
 */
function couldMix({ weight }: GateStep, rows: () => Logprobs, { proposal, policy }: Omit<Drawing, 'topK'>): boolean {
  if (weight < 1) return true;
  const { safety, helpful } = rows();
  if (!(proposal >= 0 && proposal <= 1) || safety === null || helpful?.length !== safety.length) return false;
  // Log-probabilities add up to a token that both have.
  return policy.rule === 'arithmetic' || safety.some((lp, i) => lp + (helpful[i] ?? Number.NaN) > -Infinity);
}

function unusable(cause: unknown): PlimsollError {
  const message = 'The safety expert gave no usable prediction, so the answer was stopped.';
  return new PlimsollError('expert_failed', message, { cause });
}
