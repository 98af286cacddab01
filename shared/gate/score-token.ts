/**
 * What the mixture and its experts think of a token that is given, such as one of a prompt. Nothing
 * is drawn, so there is no temperature, no mask, no wish and no budget: the numbers are those of a
 * step at temperature 1 under an open budget. As in a step, whatever cannot be trusted leaves only
 * the safety expert.
 */
import { reportable } from './add-spending.ts';
import { checkReport } from './check-inputs.ts';
import { GateError } from './gate-error.ts';
import { readRow } from './gate-step.ts';
import type { GatePolicy, Report, TopToken } from './gate-types.ts';
import { openMixture } from './open-mixture.ts';
import { topTokens } from './top-tokens.ts';

export type ScoreInput = {
  /** [vocabulary]. null if the line gives the safety expert no part, so that it was not asked. */
  safetyLogits: Float32Array | null;
  line: Pick<GatePolicy, 'floor' | 'ceiling' | 'rule'>;
  report: Report;
} & (
  | { helpfulLogits: Float32Array | null; proposal: number }
  /** See gate-layers-step.ts. */
  | { layersLogits: Float32Array | null; alpha: number }
);

export type TokenScore = Required<TopToken> & { top: TopToken[] };

/** @throws GateError if there is no row to score with */
export function scoreToken(token: number, { safetyLogits, line, report, ...input }: ScoreInput): TokenScore {
  checkReport(report);
  const safety = readRow(safetyLogits);
  const helpful = 'helpfulLogits' in input ? readRow(input.helpfulLogits) : null;
  const beside =
    'helpfulLogits' in input
      ? { helpful, proposal: input.proposal }
      : { layers: readRow(input.layersLogits), alpha: input.alpha };
  const mixture = safety ? (openMixture(safety, beside, line)?.logprobs ?? safety) : helpful;
  if (!mixture || (safetyLogits && !safety)) {
    throw new GateError('safety_row_unusable', 'no expert that may score a token gave a usable row');
  }
  const own = (id: number) => ({
    logprobSafety: reportable(safety?.[id]),
    logprobHelpful: reportable(helpful?.[id]),
  });
  return { token, logprob: reportable(mixture[token]), ...own(token), top: topTokens(mixture, { report, own }) };
}
